"""Arguments that several commands share, and the small files they name."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import ScaPreError, shorten
from ..export import DTYPES, FORMATS, Options, Rank
from ..methods import METHODS, USUAL
from ..methods.settings import declared

_MOST_BYTES = 2**20
_PATH = 200  # characters of a path in a message: its end tells more than its start
_SWITCH = {"on": True, "off": False}


def add_output(parser: argparse.ArgumentParser) -> None:
    """`--out` and `--overwrite`."""
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write (.safetensors)")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it is there already")


def check_output(out: Path, inputs: Iterable[Path | None], overwrite: bool) -> None:
    """Refuses, before any work is done, an output that would take the place of an input or of another file.

    Raises:
        ScaPreError: If it would.
    """
    shown = shorten(out, _PATH)
    if out.suffix != ".safetensors":
        raise ScaPreError(f"--out: {shown} does not end in .safetensors. Give it that ending.")
    if any(path and (out.resolve() == path.resolve() or _one_file(out, path)) for path in inputs):
        raise ScaPreError(f"--out: {shown} is also an input, and inputs are never written to. Name another file.")
    if not out.parent.is_dir():
        raise ScaPreError(f"--out: there is no folder {shorten(out.parent, _PATH)}. Make it first, or name another.")
    if out.exists() and not overwrite:
        raise ScaPreError(f"--out: {shown} is there already. Name another file, or add --overwrite.")


def _one_file(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def add_export(parser: argparse.ArgumentParser) -> None:
    """How a LoRA or difference is written."""
    usual = Rank()
    group = parser.add_argument_group("exported files")
    group.add_argument(
        "--rank", type=int, default=usual.rank, metavar="N", help="LoRA: one rank for all (by tolerance)"
    )
    group.add_argument(
        "--tolerance", type=float, default=usual.tolerance, metavar="SHARE",
        help=f"LoRA: share of each matrix's change that may be missing ({usual.tolerance:g})",
    )  # fmt: skip
    group.add_argument("--dtype", choices=DTYPES, default="", help="of the values (LoRA fp16, diff fp32)")


def add_names(parser: argparse.ArgumentParser) -> None:
    """Whether a file tells what it erases."""
    parser.add_argument("--no-names", action="store_true", help="do not write the concepts' names into the file")


def export_options(options: argparse.Namespace) -> Options:
    """The options that `add_export`, `add_names` and `add_output` have read."""
    rank = Rank(options.rank, options.tolerance)
    return Options(rank, options.dtype, not options.no_names, options.overwrite)


def add_format(parser: argparse.ArgumentParser, flag: str, **more: Any) -> None:
    """What to export as."""
    about = "lora: small, for every program. diff: exact. checkpoint: the whole model"
    parser.add_argument(flag, choices=FORMATS, **{"help": about, **more})


def add_settings(parser: argparse.ArgumentParser) -> None:
    """One option for each setting of the method."""
    group = parser.add_argument_group("settings, as the preset has them unless given")
    for setting in declared(METHODS[USUAL].settings):
        flag, kind = f"--{setting.name.replace('_', '-')}", type(setting.default)
        choices = _SWITCH if kind is bool else setting.choices or None
        more = {"choices": choices} if choices else {"type": kind, "metavar": "VALUE"}
        group.add_argument(flag, help=setting.about.replace("%", "%%"), **more)


def given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given."""
    values = {setting.name: getattr(options, setting.name) for setting in declared(METHODS[USUAL].settings)}
    return {name: _SWITCH.get(value, value) for name, value in values.items() if value is not None}


def seed(text: str) -> int:
    """A seed as the node takes it.

    Raises:
        ArgumentTypeError: If it is none.
    """
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{shorten(text)} is not a whole number from 0 to 2^63 - 1")
    return int(text)


def read_list(path: Path, field: str) -> str:
    """The text of a list of names.

    Raises:
        ScaPreError: If it is too large or not UTF-8.
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ScaPreError(f"{field}: {shorten(path, _PATH)} is larger than 1 MB. Split the list.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScaPreError(
            f"{field}: {shorten(path, _PATH)} is not UTF-8 text (byte {error.start}). Save it again with the encoding "
            "UTF-8."
        ) from None
