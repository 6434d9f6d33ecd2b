"""Concept List: names from a text file or a bundled list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io

from ..scapre.concepts.listed import AUTO, Choice
from ..scapre.concepts.readings import READINGS
from ..scapre.errors import ScaPreError, shorten
from .host.lists import lists
from .host.progress import HostProgress
from .inputs.types import CATEGORY

_HINTS = {"reading": "read_as {}", "column": "column {}"}


class ConceptList(io.ComfyNode):
    """Reads a list of names, keeps the lines that match, and joins them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="ScaPreConceptList",
            display_name="Concept List",
            category=CATEGORY,
            description="Names from a text file or table in ComfyUI's input folder, or from a bundled list, as text "
            "for Erase Concepts.",
            search_aliases=[
                "names",
                "list",
                "block list",
                "ban list",
                "artists",
                "file",
                "txt",
                "csv",
                "concepts",
                "scapre",
            ],
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Combo.Input(
                    "source",
                    options=lists().sources(),
                    tooltip="A bundled list, or a .txt, .csv or .tsv file (UTF-8) in ComfyUI's input folder.",
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
                io.Combo.Input(
                    "read_as",
                    options=[AUTO, *READINGS],
                    default=AUTO,
                    optional=True,
                    advanced=True,
                    tooltip="How the file is to be read. auto: as it looks; what can be meant in several ways is asked."
                    " lines: a name a line. commas: names between commas. columns: a table of names and anchors. "
                    "inverted: last name first.",
                ),
                io.String.Input(
                    "column",
                    default="",
                    dynamic_prompts=False,
                    optional=True,
                    advanced=True,
                    tooltip="In a table: the column of the names, by its head or its number. Empty: as its head says.",
                ),
            ],
            outputs=[io.String.Output(display_name="concepts", tooltip="The names, one per line.")],
        )

    @classmethod
    def fingerprint_inputs(cls, source: str, **_: Any) -> str:
        """Changes when the file does, so that an edited list is read again."""
        try:
            status = lists().path(source).stat()
        except (ScaPreError, OSError):
            return source
        return f"{source} {status.st_mtime_ns} {status.st_size}"

    @classmethod
    def execute(
        cls, source: str, filter: str = "", more: str = "", read_as: str = AUTO, column: str = ""
    ) -> io.NodeOutput:
        """Reads, filters and joins, and says what the file looks like."""
        lines, said = lists().read(source, Choice(read_as, column, _HINTS))
        kept = _filtered(lines, filter)
        if lines and not kept:
            raise ScaPreError(f"filter: {shorten(filter)} leaves none of the {len(lines)} names. Change or clear it.")
        if said:
            HostProgress(getattr(cls.hidden, "unique_id", None)).say(f"{source}: {said}")
        return io.NodeOutput("\n".join([*kept, *more.splitlines()]))


def _filtered(lines: Sequence[str], words: str) -> list[str]:
    given = [word.strip().casefold() for word in words.split(",") if word.strip()]
    wanted = [word for word in given if not word.startswith("-")]
    banned = [word[1:].strip() for word in given if word.startswith("-")]
    return [
        line
        for line in lines
        if (not wanted or any(word in line.casefold() for word in wanted))
        and not any(word in line.casefold() for word in banned if word)
    ]
