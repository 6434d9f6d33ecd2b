"""Concept List: names from a text file or a bundled list."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..scapre.errors import ScaPreError, shorten
from .inputs.types import CATEGORY
from .lists import list_path, read_names, sources


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
            status = list_path(source).stat()
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
