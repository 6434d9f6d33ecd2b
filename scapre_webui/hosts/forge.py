"""Forge: an edit is a patch of its own kind, merged into the weights after all LoRAs when the model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from backend import memory_management, utils
from backend.patcher import lora
from modules import sd_models, shared
from torch import Tensor

from ...scapre.edits.edit import Edit
from ...scapre.errors import ScaPreError
from ...scapre.families import Role, find_projections
from ...scapre.states.encoder import Encoder
from .. import places
from ..arithmetic import exact
from ..hooks import Hooks
from .engines import EngineEncoder
from .files import stamp
from .loaded import PREFIX, LoadedModel

_KIND = "scapre"
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)
_ENGINES = ("text_processing_engine", "text_processing_engine_l", "text_processing_engine_g")


class Model(LoadedModel):
    """A diffusion engine of Forge."""

    def __init__(self, model: Any) -> None:
        """Finds the projections; what it cannot edit, it can still guard."""
        self._model = model
        self.unet = model.forge_objects.unet.model.diffusion_model
        self.device = memory_management.get_torch_device()

    def found(self) -> tuple[str, Mapping[str, Role]]:
        """By the class that the host has detected."""
        names = [PREFIX + name for name, _ in self.unet.named_parameters()]
        return find_projections(type(self._model.forge_objects.unet.model.config).__name__, names)

    def state(self) -> Hashable:
        """The files, patches, and clip skip."""
        objects, kmodel = self._model.forge_objects, self._model.forge_objects.unet.model
        parts = objects.unet, objects.clip.patcher
        keys = [[key for key in part.lora_patches if not _is_ours(key)] for part in parts]
        patches = [(str(found), *(stamp(Path(str(key[0]))) for key in found)) for found in keys]
        skips = tuple(max(engine.clip_skip, engine.minimal_clip_skip) for engine in self._engines())
        file = Path(self._model.sd_checkpoint_info.filename)
        # The name of a loaded state has the text encoders and the kind of storage that were chosen beside the file.
        return (
            stamp(file),
            str(getattr(sd_models.model_data, "forge_hash", "")),
            *patches,
            skips,
            str(kmodel.storage_dtype),
        )

    def _engines(self) -> list[Any]:
        found = [getattr(self._model, name) for name in _ENGINES if hasattr(self._model, name)]
        if not found:
            raise ScaPreError("clip: this model has no CLIP text encoder. Choose the one that belongs to it.")
        return found

    def encoder(self) -> Encoder:
        """Its text encoders."""
        memory_management.load_model_gpu(self._model.forge_objects.clip.patcher)
        return EngineEncoder(self._engines(), _encode, places.cache_folder())

    def read(self, name: str, device: torch.device) -> Tensor:
        """The weight with the LoRAs of this prompt, whatever is merged into it at the moment."""
        patcher = self._model.forge_objects.unet
        weight = patcher.model.lora_loader.backup.get(name)
        weight = _values(utils.get_attr(patcher.model, name) if weight is None else weight).to(device, torch.float32)
        others = [
            patch
            for key, patches in patcher.lora_patches.items()
            if not _is_ours(key)
            for patch in patches.get(name, ())
        ]
        merged = lora.merge_lora_to_weight(others, weight, name).clone() if others else weight.clone()
        scale = self._scale(name)
        return merged if scale is None else merged * scale.detach().to(merged)

    def _scale(self, name: str) -> Tensor | None:
        """What a layer multiplies its weight with, LoRAs and all; a file may keep it beside a weight in eight bits."""
        scale: Tensor | None = getattr(self.modules[name], "scale_weight", None)
        return scale

    def put(self, edit: Edit, strength: float, digest: str) -> Callable[[], None]:
        """Puts the edit on a clone, which the host drops by itself; beside the layers where merging would round."""
        objects = self._model.forge_objects
        if self._differs() or not hasattr(lora, "extra_weight_calculators"):
            hooks = Hooks(edit, strength)
            hooks.put(self.modules, lambda name: self.read(name, torch.device("cpu")), self.text)
            return hooks.remove
        lora.extra_weight_calculators[_KIND] = _calculate
        unet = objects.unet.clone()  # what is loaded already would not be loaded again
        for key in [key for key in unet.lora_patches if _is_ours(key)]:
            del unet.lora_patches[key]
        if strength:
            copies = _Copies(edit)
            patches = {name: (_KIND, (copies, name)) for name in edit.matrices}
            missed = set(patches) - set(
                unet.add_patches(filename=f"{_KIND}:{digest}", patches=patches, strength_patch=strength)
            )
            if missed:
                raise ScaPreError(f"model: {min(missed)} could not be patched. Load the model again.")
        objects.unet = unet
        return _nothing

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Without LoRAs of the last prompt; the host leaves them and its clip skip as they are until the next one."""
        model, objects = self._model, self._model.forge_objects
        model.forge_objects = model.forge_objects_original.shallow_copy()
        model.set_clip_skip(int(shared.opts.CLIP_stop_at_last_layers))
        try:
            yield
        finally:
            model.forge_objects = objects

    def _differs(self) -> bool:
        """Whether what is merged into a weight is not what its layer does: rounded, or scaled afterwards."""
        stored = self._model.forge_objects.unet.model.storage_dtype
        return stored not in _FLOATS or any(self._scale(name) is not None for name in self.roles)


class _Copies:
    """An edit where its weights are; the host shows one weight after another."""

    def __init__(self, edit: Edit) -> None:
        self.edit, self._here = edit, edit

    def delta(self, name: str, weight: Tensor) -> Tensor:
        if memory_management.is_device_mps(weight.device):  # no float64 there
            return self.edit.delta(name, weight.cpu()).to(weight.device)
        if next(iter(self._here.payload)).device != weight.device:
            self._here = self.edit.to(weight.device)
        return self._here.delta(name, weight)


def _calculate(weight: Tensor, strength: float, value: tuple[_Copies, str]) -> Tensor:
    """What the host calls for each weight: with all earlier patches in it, in float32."""
    copies, name = value
    with exact():
        return weight + strength * copies.delta(name, weight).to(weight)


def _encode(engine: Any, tokens: Tensor) -> Tensor:
    engine.embeddings.fixes = None
    with torch.inference_mode():  # a model that was loaded between two pictures works in no other mode
        states: Tensor = engine.encode_with_transformers(tokens)
    return states


def _values(weight: Any) -> Tensor:
    """The values of a weight that may be quantised."""
    if hasattr(weight, "bnb_quantized"):
        from backend.operations_bnb import functional_dequantize_4bit

        return functional_dequantize_4bit(weight)  # type: ignore[no-any-return]
    if getattr(weight, "gguf_cls", None) is not None:
        from backend.operations_gguf import dequantize_tensor

        if not weight.baked:  # the host puts them in order when it draws for the first time, and reads no others
            weight = weight.copy_with_data(weight.data)
            weight.gguf_cls.bake(weight)
        return dequantize_tensor(weight)  # type: ignore[no-any-return]
    return weight.detach()


def _is_ours(key: tuple[Any, ...]) -> bool:
    return str(key[0]).startswith(f"{_KIND}:")


def _nothing() -> None:
    """The host drops the clone when the next batch begins."""
