"""The pack's nodes, one module each, and the extension that hands them to the host."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .apply_edit import ApplyEdit
from .before_after import BeforeAfter
from .before_after_grid import BeforeAfterGrid
from .concept_list import ConceptList
from .edit_map import EditMap
from .erase_concepts import EraseConcepts
from .erase_neurons import EraseNeurons
from .erase_while_sampling import EraseWhileSampling
from .export_edit import ExportEdit
from .host.folders import register_folder
from .load_edit import LoadEdit
from .merge_edits import MergeEdits
from .page.routes import register_routes
from .probe import Probe
from .save_edit import SaveEdit
from .unlearn import Unlearn

NODES: tuple[type[io.ComfyNode], ...] = (
    EraseConcepts,
    EraseNeurons,
    Unlearn,
    EraseWhileSampling,
    ApplyEdit,
    ConceptList,
    SaveEdit,
    LoadEdit,
    MergeEdits,
    ExportEdit,
    BeforeAfter,
    BeforeAfterGrid,
    EditMap,
    Probe,
)


register_folder()
register_routes()


class ScaPreExtension(ComfyExtension):
    """The extension."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes of the pack."""
        return list(NODES)


async def comfy_entrypoint() -> ScaPreExtension:
    """Called by the host."""
    return ScaPreExtension()
