"""Concept List: names from a text file or a bundled list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import io

from ..scapre.errors import ScaPreError, shorten
from .inputs.types import CATEGORY

_BUNDLED = Path(__file__).with_name("lists")
_PREFIX = "bundled: "
_MOST_BYTES = 2**20


class ConceptList(io.ComfyNode):
    """Reads a list of names, keeps the lines that match, and joins them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="ScaPreConceptList",
            display_name="Concept List",
            category=CATEGORY,
            description="Names from a .txt file in ComfyUI's input folder, or from a bundled list, as text for Erase "
            "Concepts.",
            search_aliases=["names", "list", "block list", "ban list", "artists", "file", "txt", "concepts", "scapre"],
            inputs=[
                io.Combo.Input(
                    "source",
                    options=sources(),
                    tooltip="A bundled list, or a text file (UTF-8, one name per line) in ComfyUI's input folder.",
                ),
                io.String.Input(
                    "filter",
                    default="",
                    dynamic_prompts=False,
                    optional=True,
                    tooltip="Keep only lines that contain one of these words (separate them with commas); a word after "
                    "a minus sign drops lines. Empty keeps all.",
                ),
                io.String.Input(
                    "more",
                    multiline=True,
                    default="",
                    placeholder="more names, one per line",
                    dynamic_prompts=False,
                    optional=True,
                    tooltip="Names to add at the end, or another Concept List.",
                ),
            ],
            outputs=[io.String.Output(display_name="concepts", tooltip="The names, one per line.")],
        )

    @classmethod
    def fingerprint_inputs(cls, source: str, **_: Any) -> str:
        """Changes when the file does, so that an edited list is read again."""
        try:
            status = _path(source).stat()
        except (ScaPreError, OSError):
            return source
        return f"{source} {status.st_mtime_ns} {status.st_size}"

    @classmethod
    def execute(cls, source: str, filter: str = "", more: str = "") -> io.NodeOutput:
        """Reads, filters and joins."""
        lines = read_names(source)
        kept = _filtered(lines, filter)
        if lines and not kept:
            raise ScaPreError(f"filter: {shorten(filter)} leaves none of the {len(lines)} names. Change or clear it.")
        return io.NodeOutput("\n".join([*kept, *more.splitlines()]))


def sources() -> list[str]:
    """The bundled lists and the text files in the host's input folder, by the names they are chosen by."""
    root = Path(folder_paths.get_input_directory())
    found = (p for p in root.rglob("*.txt") if p.suffix == ".txt" and p.is_file() and _inside(p, root))
    names = sorted(path.relative_to(root).as_posix() for path in found)
    return [*(_PREFIX + path.stem for path in sorted(_BUNDLED.glob("*.txt"))), *names]


def read_names(source: str) -> list[str]:
    """The lines of a list that are neither empty nor comments.

    Raises:
        ScaPreError: If there is no such list, or it cannot be read as text of at most 1 MB.
    """
    return [line for line in _read(source).splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _inside(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


def _path(source: str) -> Path:
    """The file behind a choice; links and dots may not lead out of the allowed folder."""
    if source.startswith(_PREFIX):
        root, path = _BUNDLED, _BUNDLED / f"{source.removeprefix(_PREFIX)}.txt"
    else:
        root = Path(folder_paths.get_input_directory())
        path = root / source
    if not _inside(path, root) or path.suffix != ".txt":
        raise ScaPreError(
            f"source: {shorten(source)} is not a .txt file in ComfyUI's input folder. Put the list there."
        )
    if not path.is_file():
        raise ScaPreError(f"source: {shorten(source)} does not exist. Refresh the node (key R) and choose again.")
    return path


def _read(source: str) -> str:
    path = _path(source)
    if path.stat().st_size > _MOST_BYTES:
        raise ScaPreError(f"source: {shorten(source)} is larger than 1 MB. Split the list.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScaPreError(
            f"source: {shorten(source)} is not UTF-8 text (byte {error.start}). Save it again with the encoding UTF-8."
        ) from None
    except OSError as error:
        raise ScaPreError(
            f"source: {shorten(source)} cannot be read ({error.strerror}). Check its permissions."
        ) from None


def _filtered(lines: list[str], words: str) -> list[str]:
    given = [word.strip().casefold() for word in words.split(",") if word.strip()]
    wanted = [word for word in given if not word.startswith("-")]
    banned = [word[1:].strip() for word in given if word.startswith("-")]
    return [
        line
        for line in lines
        if (not wanted or any(word in line.casefold() for word in wanted))
        and not any(word in line.casefold() for word in banned if word)
    ]
