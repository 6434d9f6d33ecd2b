"""Export Edit: writes an edit as a LoRA or a full difference, which load without this pack."""

from __future__ import annotations

from typing import Any

import folder_paths
from comfy_api.latest import io

from ..scapre.edits.edit import Edit
from ..scapre.export import DTYPES, FORMATS, Options, Rank
from .host.folders import write_numbered
from .host.patch import apply_edit
from .host.progress import HostProgress
from .host.projections import HostProjections
from .inputs.settings import check_whole
from .inputs.types import CATEGORY, EditType

_AUTO = "auto"


class ExportEdit(io.ComfyNode):
    """Evaluates an edit on a model and writes what it changes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="ScaPreExportEdit",
            display_name="Export Edit",
            category=CATEGORY,
            description="Writes an edit as a LoRA or a full difference. The file loads with Load LoRA and in other "
            "programs, without this pack. For a whole checkpoint, use Save Checkpoint.",
            search_aliases=["lora", "save", "save lora", "extract lora", "share", "erase", "concept erasure", "scapre"],
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="The model that the edit is evaluated on: what goes into Erase Concepts, not its output.",
                ),
                EditType.Input("edit", tooltip="From Erase Concepts, Merge Edits or Load Edit."),
                io.Combo.Input(
                    "format",
                    options=["lora", "diff"],
                    default="lora",
                    tooltip="lora: small, for ComfyUI, A1111, Forge and diffusers. diff: every change in full, exact "
                    "and large, for ComfyUI, A1111 and Forge.",
                ),
                io.Int.Input(
                    "rank",
                    default=0,
                    min=0,
                    max=2048,
                    optional=True,
                    tooltip="Rank of the LoRA, the same for all matrices. 0: as many as the tolerance asks for.",
                ),
                io.Float.Input(
                    "tolerance",
                    default=Rank().tolerance,
                    min=0.0,
                    max=0.99,
                    step=0.01,
                    round=1e-6,
                    optional=True,
                    tooltip="With rank 0: the share of each matrix's change that the LoRA may miss.",
                ),
                io.Combo.Input(
                    "dtype",
                    options=[_AUTO, *DTYPES],
                    default=_AUTO,
                    optional=True,
                    advanced=True,
                    tooltip="Precision of the stored values. auto: fp16 for a LoRA, fp32 for a full difference.",
                ),
                io.Boolean.Input(
                    "include_names",
                    default=True,
                    optional=True,
                    advanced=True,
                    tooltip="Whether the file's metadata say what it erases. Off keeps the list to yourself.",
                ),
                io.String.Input(
                    "filename_prefix",
                    default="loras/scapre",
                    dynamic_prompts=False,
                    optional=True,
                    tooltip="Where in ComfyUI's output folder. A number is added and no file is replaced; Load LoRA "
                    "lists what is in output/loras.",
                ),
            ],
            outputs=[
                io.String.Output(
                    display_name="report",
                    tooltip="File, ranks, and how much of the edit the file misses. Connect it to Preview as Text.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        edit: Edit,
        format: str,
        rank: int = 0,
        tolerance: float = Rank().tolerance,
        dtype: str = _AUTO,
        include_names: bool = True,
        filename_prefix: str = "loras/scapre",
    ) -> io.NodeOutput:
        """Evaluates, writes and reports."""
        check_whole(cls, rank=rank)
        apply_edit(model, edit, 1.0)  # refuses another architecture, and a model that has the edit already
        progress = HostProgress(getattr(cls.hidden, "unique_id", None))
        options = Options(Rank(rank, tolerance), "" if dtype == _AUTO else dtype, include_names)
        weights = HostProjections(model)
        path, exported = write_numbered(
            filename_prefix, lambda path: FORMATS[format](edit, weights, path, options, progress)
        )
        progress.say(f"{path.name}, {exported.size / 1e6:.1f} MB, residual {exported.residual:.2g}")
        shown = path.relative_to(folder_paths.get_output_directory()).as_posix()
        return io.NodeOutput(exported.render(f"output/{shown}"))
