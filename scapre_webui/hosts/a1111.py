"""AUTOMATIC1111: its weights are its own and change lazily with the LoRAs, so an edit stands beside the layers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from modules import devices, shared
from torch import Tensor, nn

from ...scapre.edits.edit import Edit
from ...scapre.errors import ScaPreError
from ...scapre.families import Role, find_projections
from ...scapre.families.marks import find_class
from ...scapre.families.signatures import detect
from ...scapre.states.encoder import Encoder
from .. import places
from ..hooks import Hooks
from .engines import EngineEncoder
from .files import stamp
from .loaded import PREFIX, LoadedModel

_UNET = "input_blocks.0.0.weight"


class Model(LoadedModel):
    """A model of the `ldm` or `sgm` kind."""

    def __init__(self, model: Any) -> None:
        """Finds the diffusion model; what cannot be edited can still be guarded."""
        self._model = model
        self.unet = model.model.diffusion_model
        self.device = devices.device

    def found(self) -> tuple[str, Mapping[str, Role]]:
        """By the shapes: the host tells no class."""
        shapes = {name: tuple(value.shape) for name, value in self.unet.named_parameters()}
        other = None if _UNET in shapes else find_class(shapes)
        return find_projections(
            other.name if other else detect(shapes, field="model"), (PREFIX + name for name in shapes)
        )

    def state(self) -> Hashable:
        """The file, LoRAs, and clip skip."""
        networks = tuple(
            (net.name, net.te_multiplier, net.unet_multiplier, net.dyn_dim, stamp(Path(net.network_on_disk.filename)))
            for net in _networks()
        )
        skips = shared.opts.CLIP_stop_at_last_layers, getattr(shared.opts, "sdxl_clip_l_skip", False)
        return stamp(Path(self._model.sd_checkpoint_info.filename)), networks, skips, self._marks()

    def _marks(self) -> tuple[str, ...]:
        """A few values of the first and the last weight: a model may have been merged where it is, without a file."""
        named = self.modules
        modules = named[next(iter(named))], named[next(reversed(named))]
        return tuple(str(_original(module).flatten()[:8].float().tolist()) for module in modules)

    def encoder(self) -> Encoder:
        """Its text encoders."""
        found = getattr(self._model, "cond_stage_model", None)
        parts = getattr(getattr(self._model, "conditioner", None), "embedders", [found])
        engines = [part for part in parts if hasattr(part, "encode_with_transformers")]
        if not engines:
            raise ScaPreError("clip: this model has no CLIP text encoder, so names cannot be read.")
        if getattr(self._model, "lowvram", False) and hasattr(self._model, "conditioner"):
            self._model.get_learned_conditioning([""])  # with little memory, this alone brings the encoders in
        return EngineEncoder(engines, _encode, places.cache_folder())

    def read(self, name: str, device: torch.device) -> Tensor:
        """The weight with the LoRAs of this prompt: a module takes them in when it is called."""
        module: Any = self.modules[name]
        weight: Any = module.weight
        if _networks() or getattr(module, "network_current_names", None):
            with torch.no_grad(), devices.autocast():
                module(torch.zeros(1, weight.shape[1], dtype=devices.dtype, device=weight.device))
        half = getattr(module, "fp16_weight", None)  # beside a weight that is stored in eight bits
        return (module.weight if half is None or _networks() else half).detach().to(device, torch.float32).clone()

    def alone(self) -> AbstractContextManager[None]:
        """Without LoRAs of the last prompt, which the host takes out of a layer when it is called without them."""
        return _without_networks()

    def put(self, edit: Edit, strength: float, digest: str) -> Callable[[], None]:
        """Puts the edit beside the layers."""
        if _replaced():
            raise ScaPreError(
                "model: another program draws in the place of the model (SD Unet, such as TensorRT), which an edit "
                "cannot reach. Choose None under Settings, Stable Diffusion, SD Unet."
            )
        hooks = Hooks(edit, strength)
        if strength:
            hooks.put(self.modules, lambda name: self.read(name, torch.device("cpu")), self.text)
        return hooks.remove


@contextmanager
def _without_networks() -> Iterator[None]:
    there = getattr(sys.modules.get("networks"), "loaded_networks", [])
    kept, there[:] = list(there), []
    try:
        yield
    finally:
        there[:] = kept


def _encode(engine: Any, tokens: Tensor) -> Tensor:
    engine.hijack.fixes = None
    tokens, inner = tokens.to(devices.device), engine.wrapped
    short = hasattr(inner, "text_transformer_forward") and tokens.shape[1] < inner.model.positional_embedding.shape[0]
    with devices.autocast():
        states: Tensor = _of_prefixes(inner, tokens) if short else engine.encode_with_transformers(tokens)
    return states


def _of_prefixes(inner: Any, tokens: Tensor) -> Tensor:
    """States of OpenCLIP for less than a window, which its own call does not take: positions and mask are cut.

    What calls it compares it with whole windows first.
    """
    length, model = tokens.shape[1], inner.model
    places = model.token_embedding(tokens) + model.positional_embedding[:length]
    found = inner.text_transformer_forward(places.permute(1, 0, 2), attn_mask=model.attn_mask[:length, :length])
    if not isinstance(found, dict):
        return model.ln_final(found.permute(1, 0, 2))  # type: ignore[no-any-return]
    states: Tensor = found[inner.layer]
    return model.ln_final(states) if inner.legacy else states


def _original(module: nn.Module) -> Tensor:
    """A weight without LoRAs."""
    kept = getattr(module, "network_weights_backup", None)
    weight: Any = module.weight if kept is None or isinstance(kept, bool) else kept
    return weight.detach()


def _networks() -> list[Any]:
    """The LoRAs of this prompt, which the host's own extension keeps."""
    return list(getattr(sys.modules.get("networks"), "loaded_networks", []))


def _replaced() -> bool:
    from modules import sd_unet

    return getattr(sd_unet, "current_unet", None) is not None
