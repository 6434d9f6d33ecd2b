"""Arguments that several commands share, and the small files they name."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..checkpoints.checkpoint import Checkpoint, check_kind
from ..checkpoints.t5_files import OPTION
from ..checkpoints.tensor_file import TensorFile
from ..concepts.listed import AUTO, Choice, listed_text
from ..concepts.readings import READINGS
from ..concepts.text import MOST_BYTES, decode, named
from ..edits.agreement import tokens_notes
from ..edits.edit import Edit
from ..errors import ScaPreError, shorten
from ..export import DTYPES, FORMATS, Options, Rank
from ..files.write import try_writing
from ..methods import USUAL, closed_forms
from ..methods.settings import MethodSettings, Setting, declared
from .console import note

_PATH = 200  # characters of a path in a message: its end tells more than its start
_SWITCH = {"on": True, "off": False}


def add_output(parser: argparse.ArgumentParser) -> None:
    """`--out` and `--overwrite`."""
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write (.safetensors)")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it is there already")


def check_output(out: Path, inputs: Iterable[Path | None], overwrite: bool) -> None:
    """Refuses, before any work is done, an output that cannot be written, or would take the place of another file.

    Raises:
        ScaPreError: If it is such.
    """
    shown = shorten(out, _PATH)
    if out.suffix != ".safetensors":
        raise ScaPreError(f"--out: {shown} does not end in .safetensors. Give it that ending.")
    _check_folder(out.parent)
    try:
        if out.is_dir():
            raise ScaPreError(f"--out: {shown} is a folder. Name a file.")
        try_writing(out)
    except OSError as error:
        raise ScaPreError(
            f"--out: {shown} cannot be written ({error.strerror or error}). Name another file, or a folder that you "
            "may write to."
        ) from None
    if any(path and _one_file(out, path) for path in inputs):
        raise ScaPreError(f"--out: {shown} is also an input, and inputs are never written to. Name another file.")
    if os.path.lexists(out) and not overwrite:
        raise ScaPreError(f"--out: {shown} is there already. Name another file, or add --overwrite.")


def _check_folder(folder: Path) -> None:
    """Refuses what is no folder.

    Raises:
        ScaPreError: If it is none.
    """
    shown = shorten(folder, _PATH)
    try:
        if folder.is_dir():
            return
        file = next((part for part in (folder, *folder.parents) if part.exists() and not part.is_dir()), None)
    except OSError as error:
        raise ScaPreError(
            f"--out: {shown} cannot be reached ({error.strerror or error}). Name another folder."
        ) from None
    if file:
        raise ScaPreError(f"--out: {shorten(file, _PATH)} is a file, not a folder. Name another folder.")
    raise ScaPreError(f"--out: there is no folder {shown}. Make it first, or name another.")


def _one_file(one: Path, other: Path) -> bool:
    # What cannot be looked at, such as links in a circle (no OSError before Python 3.13), is refused when it is read.
    with contextlib.suppress(OSError, RuntimeError):
        return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))
    return False


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
    """The method, its preset, and one option for each setting of any method."""
    presets = "; ".join(f"{name}: {', '.join(solver.presets)}" for name, solver in closed_forms().items())
    parser.add_argument(
        "--method", choices=closed_forms(), help=f"how to erase ({USUAL}, or the one that has the preset)"
    )
    parser.add_argument("--preset", metavar="NAME", help=f"documented settings; the first unless given. {presets}")
    group = parser.add_argument_group("settings, as the preset has them unless given")
    for setting in _settings():
        flag, kind = f"--{setting.name.replace('_', '-')}", type(setting.default)
        choices = _SWITCH if kind is bool else setting.choices or None
        more = {"choices": choices} if choices else {"type": kind, "metavar": "VALUE"}
        group.add_argument(flag, help=setting.about.replace("%", "%%"), **more)


def _settings() -> Iterable[Setting]:
    """Every setting of any method by its name; those of one name mean the same."""
    return {
        setting.name: setting for solver in closed_forms().values() for setting in declared(solver.settings)
    }.values()


def given_method(options: argparse.Namespace) -> str:
    """The method that was given, or else the first that has the preset."""
    having = [name for name, solver in closed_forms().items() if options.preset in solver.presets]
    return options.method or next(iter(having), USUAL)


def given_settings(options: argparse.Namespace) -> tuple[str, MethodSettings]:
    """The preset's name and its settings, with those that were given.

    Raises:
        ScaPreError: If the method has no such preset or setting, or a value is outside its range.
    """
    solver = closed_forms()[given_method(options)]
    values = {setting.name: getattr(options, setting.name) for setting in _settings()}
    given = {name: _SWITCH.get(value, value) for name, value in values.items() if value is not None}
    preset = options.preset or next(iter(solver.presets))
    return preset, solver.choose(preset, given)


def seed(text: str) -> int:
    """A seed as the node takes it.

    Raises:
        ArgumentTypeError: If it is none.
    """
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{shorten(text)} is not a whole number from 0 to 2^63 - 1")
    return int(text)


def add_tokenizer(parser: argparse.ArgumentParser) -> None:
    """Where the vocabulary is that names are cut with."""
    parser.add_argument(
        "--tokenizer",
        type=Path,
        metavar="DIR",
        help="folder with CLIP's or Qwen's vocab.json and merges.txt (T5, Llama: tokenizer.json, HunyuanDiT's BERT: "
        "vocab.txt, Pile-T5: tokenizer.model)",
    )


def add_text_encoder(parser: argparse.ArgumentParser) -> None:
    """Where the text encoder is, if it is not in the checkpoint."""
    parser.add_argument(
        "--text-encoder",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="the text encoder of a model that comes without one (T5 and its relatives, CLIP, Qwen, Llama, Gemma); "
        "once for each file",
    )


@contextlib.contextmanager
def text_encoder_files(paths: Iterable[Path]) -> Iterator[list[TensorFile]]:
    """The open files of `--text-encoder`.

    Raises:
        ScaPreError: If one is no safetensors file.
    """
    with contextlib.ExitStack() as stack:
        for path in paths:
            check_kind(path, OPTION)
        yield [stack.enter_context(TensorFile(path, OPTION)) for path in paths]


def names_here(
    edits: Iterable[Edit], vocabulary: Path | None, checkpoint: Checkpoint, others: Sequence[TensorFile] = ()
) -> tuple[str, ...]:
    """What to say where this installation cuts names into other tokens than the one that an edit was made on.

    Args:
        edits: They are for the checkpoint's family.
        vocabulary: Folder of CLIP's or T5's vocabulary; None looks for one.
        checkpoint: The model.
        others: Files with text encoders.

    Raises:
        ScaPreError: If the folder that was given holds no vocabulary, or a file no text encoder of the family.
    """
    try:
        tokenise = checkpoint.tokens(vocabulary, others)
        return tuple(dict.fromkeys(sentence for edit in edits for sentence in tokens_notes(edit, tokenise)))
    except ScaPreError as error:
        if vocabulary or others:
            raise
        return (f"the tokens of names were not compared: {str(error).rstrip('.')}",)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """How lists of names are to be read."""
    parser.add_argument(
        "--as", dest="reading", choices=READINGS, default=AUTO, help="how lists are to be read (as they look)"
    )
    parser.add_argument(
        "--column", default="", metavar="NAME", help="the column of the names, by its head or its number"
    )


def read_list(path: Path, field: str, options: argparse.Namespace) -> str:
    """The text of a list of names, a name a line, whatever the shape of the file; says what shape that is.

    Raises:
        ScaPreError: If it is too large, no text, or of a shape that can be meant in several ways.
        OSError: If it cannot be read.
    """
    if path.is_dir():
        raise ScaPreError(f"{named(field, path)} is a folder. Name the file with the list.")
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    where, hints = named(field, path.name), {"reading": "--as {}", "column": "--column {}"}
    choice = Choice(options.reading, options.column, hints, anchors=field == "concepts")
    text, said = listed_text(decode(data, where), where, choice)
    if said:
        note(f"{where}: {said}.")
    return text
