"""The only module that reads, encodes with and patches the host's MODEL and CLIP; `sampling` draws with them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

import comfy.lora
import comfy.model_management as management
import comfy.model_patcher
import comfy.utils
import comfy.weight_adapter
import torch
from comfy.patcher_extension import CallbacksMP
from comfy.quant_ops import QuantizedTensor
from torch import Tensor

from ..scapre.edit import Edit
from ..scapre.errors import ScaPreError, shorten
from ..scapre.families import find_projections, supported
from ..scapre.fingerprint import sample
from ..scapre.progress import Progress

log = logging.getLogger("scapre")

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_CLIP_ENCODERS = {"l", "h", "g"}
_BATCH = 32
_STAGES = {"text encoding": (0.0, 0.4), "statistics": (0.4, 0.55), "solve": (0.55, 1.0), "export": (0.0, 1.0)}


class HostProgress:
    """Progress on the node, and the host's Cancel."""

    def __init__(self, node_id: str | None) -> None:
        """Shows progress on the node of this id."""
        self.node_id, self.stage = node_id, ""
        self.bar = comfy.utils.ProgressBar(1000, node_id=node_id)

    def say(self, text: str) -> None:
        """Shows a line of text on the node, where there is a server to show it."""
        server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
        if server is not None and self.node_id is not None:
            server.send_progress_text(text, self.node_id)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Moves the bar; raises the host's interruption when the user has cancelled."""
        management.throw_exception_if_processing_interrupted()
        if stage != self.stage:
            self.stage = stage
            self.say(f"{stage} …")
        start, end = _STAGES[stage]
        self.bar.update_absolute(round(1000 * (start + (end - start) * done / max(total, 1))))


class ClipEncoder:
    """The host's CLIP text encoders as the engine wants them: literal text, in batches."""

    def __init__(self, clip: Any) -> None:
        """Takes the CLIP input.

        Raises:
            ScaPreError: If it is missing or no CLIP text encoder.
        """
        if clip is None:
            raise ScaPreError(
                "clip: it is missing. This loader gives no text encoder (it loads a diffusion model alone); add a "
                "Load CLIP node with the text encoder that belongs to the model."
            )
        self.clip = clip
        unknown = set(self._tokens("")) - _CLIP_ENCODERS
        if unknown:
            raise ScaPreError(
                f"clip: {shorten(', '.join(sorted(unknown)))} is not a text encoder of a supported model. "
                f"Supported: {supported()}."
            )

    def _tokens(self, text: str) -> dict[str, list[list[tuple[int, float]]]]:
        # Weights, embeddings and brackets are prompt syntax; in a name they are letters like any others.
        literal = text.replace("embedding:", "embedding :").replace("<|", "< |")
        try:
            return self.clip.tokenize(literal, disable_weights=True)
        except TypeError:  # tokenizers that never read weights do not take the keyword
            return self.clip.tokenize(literal)

    def last_token(self, text: str) -> int:
        """Position of the last token before the end token.

        Raises:
            ScaPreError: If the text is longer than the encoder's window.
        """
        sections = next(iter(self._tokens(text).values()))
        if len(sections) > 1:
            window = len(sections[0]) - 2
            raise ScaPreError(
                f"{shorten(text)} needs more than the {window} tokens that the text encoder reads at once. "
                "Shorten the name, or use a shorter template."
            )
        ids = [entry[0] for entry in sections[0]]
        return ids.index(_end_token(ids), 1) - 1

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        """States of the texts, (texts, tokens, width), float32 on the CPU."""
        states = []
        for first in range(0, len(texts), _BATCH):
            progress("text encoding", first, len(texts))
            tokens = [self._tokens(text) for text in texts[first : first + _BATCH]]
            merged = {encoder: [section for entry in tokens for section in entry[encoder]] for encoder in tokens[0]}
            batch = self.clip.encode_from_tokens(merged)
            states.append(batch.reshape(len(tokens), -1, batch.shape[-1]).to("cpu", torch.float32))
        progress("text encoding", len(texts), len(texts))
        return torch.cat(states)


def _end_token(ids: Sequence[int]) -> int:
    return max(ids)  # the end token is the last of CLIP's vocabulary; padding is the same or 0


class HostProjections:
    """A MODEL's text projections as patched so far."""

    def __init__(self, model: Any) -> None:
        """Finds the projections.

        Raises:
            ScaPreError: If the model's family is not supported.
        """
        self.model = model
        detected = type(model.model.model_config).__name__
        self.family, self.names = find_projections(detected, model.model.state_dict())

    def read(self, name: str, device: torch.device) -> Tensor:
        """The weight with every patch before this node, float32, without loading the model or changing it.

        Raises:
            ScaPreError: If the weight is quantised.
        """
        weight = management.cast_to_device(self._original(name), device, torch.float32, copy=True)
        if name in self.model.patches:
            weight = comfy.lora.calculate_weight(self.model.patches[name], weight, name, torch.float32)
        return weight

    def _original(self, name: str) -> Tensor:
        """The weight without any patch, in whatever state the host keeps the model."""
        weight, _, _ = comfy.model_patcher.get_key_weight(self.model.model, name)
        if name in self.model.backup:  # some clone of the model is loaded with patches
            weight = self.model.backup[name].weight
        elif name in self.model.hook_backup:  # a schedule of weights is running
            weight = self.model.hook_backup[name][0]
        if isinstance(weight, QuantizedTensor) or weight.dtype not in _FLOATS:
            raise ScaPreError(
                f"model: {name} is quantised ({type(weight).__name__}, {weight.dtype}). Storing the edit in it would "
                "round much of it away; load the model in fp16, bf16 or fp32 (weight_dtype default)."
            )
        return weight

    def samples(self) -> dict[str, Tensor]:
        """`fingerprint.sample` of every projection; only those with patches are computed whole.

        Raises:
            ScaPreError: If a weight is quantised.
        """
        device = compute_device("auto")

        def current(name: str) -> Tensor:
            return self.read(name, device) if name in self.model.patches else self._original(name)

        return {name: sample(current(name)) for name in self.names}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every projection.

        Raises:
            ScaPreError: If a weight is quantised.
        """
        return {name: tuple(self._original(name).shape) for name in self.names}

    def notes(self) -> tuple[str, ...]:
        """What the edit cannot see of this model."""
        if self.model.injections or getattr(self.model, "weight_wrapper_patches", None):
            return ("the model carries bypass adapters, which change it outside its weights and are not erased",)
        return ()


class _Copies:
    """An edit's tensors on the device that last asked for them, until the host has finished with the model."""

    def __init__(self, edit: Edit) -> None:
        self.edit = edit
        self.drop()

    def drop(self, *_: Any) -> None:
        """Keeps the edit on the CPU alone, and believes in the device's memory again."""
        self.device, self.copy, self.fits = torch.device("cpu"), self.edit, True

    def delta(self, key: str, weight: Tensor) -> Tensor:
        """The edit of a weight, computed where the weight is if that has float64 and the memory, else on the CPU."""
        if self.fits and management.supports_fp64(weight.device):
            try:
                return self._on(weight.device).delta(key, weight)
            except Exception as error:
                management.raise_non_oom(error)
            self.drop()
            self.fits = False
            management.soft_empty_cache()
            log.warning("not enough GPU memory to apply the edit there; using the CPU")
        return self.edit.delta(key, weight.cpu()).to(weight.device)

    def _on(self, device: torch.device) -> Edit:
        if device != self.device:
            self.device, self.copy = device, self.edit.to(device)
        return self.copy


class EditPatch(comfy.weight_adapter.WeightAdapterBase):
    """Evaluates an edit on the weight that the host is patching, at its place among the other patches.

    The host rebuilds adapters from `weights`, moving the tensors in it; the edit itself, shared by all matrices, is
    carried along as it is.
    """

    name = "scapre"

    def __init__(self, loaded_keys: set[str], weights: tuple[Tensor, _Copies]) -> None:
        """Takes the host's two arguments: unused keys, and a marker tensor with the edit."""
        self.loaded_keys = loaded_keys
        self.weights = weights

    def calculate_weight(
        self,
        weight: Tensor,
        key: str,
        strength: float,
        strength_model: float,
        offset: Any,
        function: Callable[[Tensor], Tensor],
        intermediate_dtype: torch.dtype = torch.float32,
        original_weights: Any = None,
    ) -> Tensor:
        """Adds strength times the edit to the weight, in place as the host expects."""
        if strength:
            weight += function((strength * self.weights[1].delta(key, weight)).to(weight.dtype))
        return weight


def apply_edit(model: Any, edit: Edit, strength: float) -> Any:
    """A clone of the model with the edit as a patch; the model itself at strength 0.

    Raises:
        ScaPreError: If the edit was made for another architecture or is on the model already, or a weight is quantised.
    """
    _check_match(HostProjections(model), edit)
    if not strength:
        return model
    if any(carried.same_as(edit) for carried in carried_edits(model)):
        raise ScaPreError(
            "edit: the model already carries this edit, and would get it twice. Connect the model that goes into Erase "
            "Concepts; for a stronger edit, raise strength."
        )
    copies = _Copies(edit)
    patches = {name: EditPatch(set(), (torch.zeros(1), copies)) for name in edit.matrices}
    clone = model.clone()
    missed = set(patches) - set(clone.add_patches(patches, strength))
    if missed:
        raise ScaPreError(f"model: {shorten(sorted(missed)[0])} could not be patched. Restart the host and try again.")
    for event in (CallbacksMP.ON_LOAD, CallbacksMP.ON_CLEANUP):
        clone.add_callback_with_key(event, "scapre", copies.drop)
    return clone


def carried_edits(model: Any) -> list[Edit]:
    """The edits that a model has among its patches."""
    patches = (entry[1] for held in model.patches.values() for entry in held)
    copies = {id(p.weights[1]): p.weights[1] for p in patches if isinstance(p, EditPatch)}
    return [copy.edit for copy in copies.values()]


def _check_match(projections: HostProjections, edit: Edit) -> None:
    here, there = projections.shapes(), edit.shapes
    if here != there:
        raise ScaPreError(
            f"edit: it was made for a {edit.family} model with {len(there)} text projections, and this "
            f"{projections.family} model has {len(here)}, or others. Make the edit again on this model."
        )


def compute_device(choice: str) -> torch.device:
    """The device to solve on: the host's, unless the user chose the CPU or it lacks float64."""
    device = management.get_torch_device()
    return torch.device("cpu") if choice == "cpu" or not management.supports_fp64(device) else device


def with_cpu_fallback(compute: Callable[[torch.device], Edit], device: torch.device, memory: int) -> Edit:
    """Computes on a device, and on the CPU if its memory does not suffice."""
    if device.type != "cpu":
        management.free_memory(memory, device)
        try:
            return compute(device)
        except Exception as error:
            management.raise_non_oom(error)
        log.warning("not enough GPU memory to compute the edit there; using the CPU")
        management.soft_empty_cache()
    return compute(torch.device("cpu"))
