"""Pictures on their way through the host's sampler, one step at a time, with a look into the feed-forward layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import comfy.model_management as management
import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor, nn

from ...scapre.errors import ScaPreError
from ...scapre.methods.fia.observe import Watch
from .projections import HostProjections
from .sampling import Sampling, empty_latent
from .steps import check_sampler, one_step, sigmas_of, together
from .text_encoder import ClipEncoder

_KEY = "cond_or_uncond"
SHARE = 0.5  # of the free memory
_MOST_ON_CPU = 8  # more are no faster there
_COND = 0  # the host's number for what follows the prompt; 1 is what follows the negative one


class HostTrajectories:
    """Draws with a MODEL from literal prompts, all from the noise of one seed.

    A step is the host's own; see `one_step`.
    """

    def __init__(
        self, model: Any, clip: Any, sampling: Sampling, names: Iterable[str], batch: int, device: torch.device | None
    ) -> None:
        """Takes what KSampler takes.

        Args:
            model: The MODEL; a clone of it is watched.
            clip: The CLIP of the model.
            sampling: Settings of KSampler.
            names: Of the weights of the layers to look into.
            batch: How many pictures to draw together.
            device: Where to show what is seen; None is where it is.

        Raises:
            ScaPreError: If the host has no such sampler or scheduler, or the model is compiled.
        """
        check_sampler(sampling)
        self._modules = {name: model.get_model_object(name.rpartition(".")[0]) for name in names}
        _check_not_compiled(model, self._modules)
        self.batch, self._encoder, self._sampling = batch, ClipEncoder(clip), sampling
        self._device, self._pictures = device, 0
        self._watch: Watch | None = None
        self._encoded: dict[str, Any] = {}
        weights = HostProjections(model)
        biases = {name: name.removesuffix("weight") + "bias" for name in self._modules if _biased(self._modules[name])}
        self._biases = {name: weights.read(bias, torch.device("cpu")) for name, bias in biases.items()}
        self._model = model.clone()
        self._model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "scapre", self._look)

    def begin(self, texts: Sequence[str], names: Iterable[str]) -> None:
        """Encodes the prompts that are new, and sets out from noise for each, to look into some of the layers."""
        self._looked = {name: self._modules[name] for name in names}
        new = [text for text in dict.fromkeys(["", *texts]) if text not in self._encoded]
        self._encoded |= {text: self._encoder.conditioning(text) for text in new}
        self._prompts, self._negative = [self._encoded[text] for text in texts], self._encoded[""]
        self._empty = empty_latent(self._model, self._sampling)
        self._latents: list[Tensor] = [self._empty] * len(texts)
        sigmas_of(self._model, self._sampling)  # refuses schedulers that give too few

    def advance(self, places: Sequence[int], step: int, watch: Watch) -> None:
        """Takes some pictures one step on."""
        for group in together([self._prompts[place][0] for place in places]):
            some = [places[index] for index in group]
            self._watch, self._pictures = watch, len(some)
            try:
                drawn = self._sample(some, step)
            finally:
                self._watch = None
            for place, latent in zip(some, drawn, strict=True):
                self._latents[place] = latent[None]

    def _sample(self, places: Sequence[int], step: int) -> Tensor:
        latents = torch.cat([self._latents[place] for place in places])
        prompts = [self._prompts[place] for place in places]
        return one_step(self._model, latents, prompts, self._negative, self._sampling, step)

    def _look(self, executor: Any, *inputs: Any, **more: Any) -> Any:
        """Around one call of the model: the hooks are there no longer than it lasts.

        The host asks wrappers around the diffusion model itself only where its class does so, and PixArt's does not.
        What counts is the first call of a step that follows the prompt: samplers ask again at other places, and
        guidance by other nodes asks the model with parts of it changed.
        """
        options = next((one for one in (*inputs, *more.values()) if isinstance(one, dict) and _KEY in one), {})
        kinds, watch = options.get(_KEY, [_COND]), self._watch
        if watch is None or _COND not in kinds:
            return executor(*inputs, **more)
        self._watch = None
        with self._hooked(watch, kinds.index(_COND), len(kinds)):
            return executor(*inputs, **more)

    @contextmanager
    def _hooked(self, watch: Watch, part: int, parts: int) -> Iterator[None]:
        handles = [
            module.register_forward_hook(self._hook(watch, name, part, parts)) for name, module in self._looked.items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(
        self, watch: Watch, name: str, part: int, parts: int
    ) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def seen(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            if len(output) != parts * self._pictures:
                raise ScaPreError(
                    f"model: something calls it with {len(output)} pictures where {parts * self._pictures} are drawn, "
                    "so that it cannot be told which belongs to which prompt. Take away what wraps the model before "
                    "this node, such as tiling."
                )
            entered, answered = (tensor.chunk(parts)[part] for tensor in (inputs[0], output))
            if name in self._biases:
                answered = answered - self._biases[name].to(answered)
            watch(name, entered.to(self._device), answered.to(self._device))

        return seen


def _biased(module: nn.Module) -> bool:
    return getattr(module, "bias", None) is not None


def fitting_batch(model: Any, sampling: Sampling, most: int) -> int:
    """How many pictures, each with and without its prompt, the device's free memory holds by the host's estimate."""
    device = model.load_device
    free = SHARE * management.get_free_memory(device)
    most = min(most, _MOST_ON_CPU) if device.type == "cpu" else most
    _, *shape = empty_latent(model, sampling).shape
    return next((n for n in range(most, 1, -1) if model.model.memory_required([2 * n, *shape]) <= free), 1)


def _check_not_compiled(model: Any, modules: Mapping[str, nn.Module]) -> None:
    parts = (*model.model.modules(), *modules.values(), *model.object_patches.values())
    if "torch_compile_kwargs" in model.model_options or any(hasattr(part, "_orig_mod") for part in parts):
        raise ScaPreError(
            "model: it is compiled (torch.compile), so its layers cannot be watched. Connect the model from before it "
            "is compiled, and compile the output of this node."
        )
