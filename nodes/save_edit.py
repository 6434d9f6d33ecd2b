"""Save Edit: an edit as a file."""

from __future__ import annotations

from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..scapre.edits.edit import Edit
from ..scapre.files import write_edit
from .host.folders import write_numbered
from .host.progress import HostProgress
from .inputs.types import CATEGORY, EditType


class SaveEdit(io.ComfyNode):
    """Writes an edit to the output folder under a new number."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs."""
        return io.Schema(
            node_id="ScaPreSaveEdit",
            display_name="Save Edit",
            category=CATEGORY,
            description="Saves an edit as a small file, to use it again without solving, to pass it on, or to combine "
            "it with others.",
            search_aliases=["export", "share", "store", "keep", "file", "erase", "concept erasure", "scapre"],
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=[
                EditType.Input("edit", tooltip="From Erase Concepts or Merge Edits."),
                io.String.Input(
                    "filename_prefix",
                    default="scapre/edit",
                    dynamic_prompts=False,
                    tooltip="Where in the output folder, and how the file's name begins; a number follows. Load Edit "
                    "lists what is in the folder scapre.",
                ),
                io.Boolean.Input(
                    "include_names",
                    default=True,
                    optional=True,
                    tooltip="Whether the file says what it erases. Off: names of concepts, anchors and preserved names "
                    "become numbers. The edit works all the same, and the numbers in it still let somebody test "
                    "a guess.",
                ),
                io.Boolean.Input(
                    "for_merging",
                    default=True,
                    optional=True,
                    advanced=True,
                    tooltip="Whether the file holds what Merge Edits needs. Off: a smaller file that works all the "
                    "same; to merge it, the text encoder is needed again.",
                ),
            ],
            outputs=[],
        )

    @classmethod
    def execute(
        cls,
        edit: Edit,
        filename_prefix: str = "scapre/edit",
        include_names: bool = True,
        for_merging: bool = True,
    ) -> io.NodeOutput:
        """Writes under the first free number."""

        def write(path: Path) -> None:
            write_edit(edit, path, names=include_names, states=for_merging, overwrite=False)

        path, _ = write_numbered(filename_prefix, write)
        return _saved(path, getattr(cls.hidden, "unique_id", None))


def _saved(path: Path, node_id: str | None) -> io.NodeOutput:
    place = path.relative_to(folder_paths.get_output_directory())
    text = f"Saved {place.as_posix()} ({path.stat().st_size / 1e6:.1f} MB)"
    HostProgress(node_id).say(text)
    saved = {"filename": place.name, "subfolder": place.parent.as_posix(), "type": "output"}
    return io.NodeOutput(ui={"text": [text], "edits": [saved]})
