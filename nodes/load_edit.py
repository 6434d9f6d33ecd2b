"""Load Edit: an edit from a file."""

from __future__ import annotations

from comfy_api.latest import io

from ..scapre.errors import ScaPreError
from ..scapre.files import read_edit
from .host.folders import edit_files, edit_path
from .host.tokenizer import tokens_told
from .inputs.types import CATEGORY, EditType
from .page.summary import SHOWN_AGAIN, report, show


class LoadEdit(io.ComfyNode):
    """Reads an edit that Save Edit wrote."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="ScaPreLoadEdit",
            display_name="Load Edit",
            category=CATEGORY,
            description="Reads an edit from a file, for Apply Edit or Merge Edits.",
            search_aliases=["open", "import", "file", "erase", "forget", "unlearn", "concept erasure", "scapre"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=list(edit_files()),
                    tooltip="A file in models/scapre, or one that Save Edit has written to output/scapre.",
                ),
            ],
            outputs=[
                EditType.Output(display_name="edit", tooltip="The edit, for Apply Edit or Merge Edits."),
                io.String.Output(
                    display_name="report",
                    tooltip="What the edit erases and what was measured when it was solved, as Markdown. Connect it "
                    "to Preview as Text.",
                ),
            ],
            **SHOWN_AGAIN,
        )

    @classmethod
    def validate_inputs(cls, file: str) -> bool | str:
        """Says in words that a file is gone."""
        try:
            edit_path(file)
        except ScaPreError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, file: str) -> str:
        """Changes when the file does, so that it is read again."""
        try:
            status = edit_path(file).stat()
        except (ScaPreError, OSError):
            return file
        return f"{file} {status.st_mtime_ns} {status.st_size}"

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        """Reads and reports."""
        edit = read_edit(edit_path(file))
        lines = [f"File {file}, of ScaPre {edit.version}, {edit.described}, seed {edit.seed}"]
        return show(edit, data=report(edit, [*lines, *tokens_told(edit)]))
