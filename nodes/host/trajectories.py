"""Pictures on their way through the host's sampler, one step at a time, with a look into the feed-forward layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import comfy.model_management as management
import comfy.sample
import comfy.samplers
import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor, nn

from ...scapre.errors import ScaPreError, shorten
from ...scapre.methods.fia.observe import Watch
from .sampling import Sampling, empty_latent
from .text_encoder import ClipEncoder

_KEY = "cond_or_uncond"
_SHARE = 0.5  # of the free memory
_MOST_ON_CPU = 8  # more are no faster there
_COND = 0  # the host's number for what follows the prompt; 1 is what follows the negative one


class HostTrajectories:
    """Draws with a MODEL from literal prompts, all from the noise of one seed.

    A step is the host's own: KSampler from one step to the next. So samplers that look back at earlier steps start anew
    at each.
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
        self._device = device
        self._watch: Watch = _ignore
        self._model = model.clone()
        self._model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "scapre", self._look)

    def begin(self, texts: Sequence[str]) -> None:
        """Encodes the prompts, and sets out from noise for each."""
        self._prompts = [self._encoder.conditioning(text) for text in texts]
        self._negative = self._encoder.conditioning("")
        self._empty = empty_latent(self._model, self._sampling)
        self._latents: list[Tensor] = [self._empty] * len(texts)

    def advance(self, places: Sequence[int], step: int, watch: Watch) -> None:
        """Takes some pictures one step on."""
        self._watch = watch
        try:
            drawn = self._sample(places, step)
        finally:
            self._watch = _ignore
        for place, latent in zip(places, drawn, strict=True):
            self._latents[place] = latent[None]

    def _sample(self, places: Sequence[int], step: int) -> Tensor:
        noise = comfy.sample.prepare_noise(self._empty, self._sampling.seed)
        latents = torch.cat([self._latents[place] for place in places])
        return comfy.sample.sample(
            self._model,
            (noise if step == 0 else torch.zeros_like(noise)).expand_as(latents),
            self._sampling.steps,
            self._sampling.cfg,
            self._sampling.sampler_name,
            self._sampling.scheduler,
            _together([self._prompts[place] for place in places]),
            self._negative,
            latents,
            disable_noise=step > 0,
            start_step=step,
            last_step=step + 1,
            disable_pbar=True,
            seed=self._sampling.seed + step,  # of samplers that add noise as they go
        )

    def _look(self, executor: Any, *inputs: Any, **more: Any) -> Any:
        """Around one call of the diffusion model: the hooks are there no longer than it lasts."""
        options = next((one for one in (*inputs, *more.values()) if isinstance(one, dict) and _KEY in one), {})
        with self._hooked(options.get(_KEY, [_COND])):
            return executor(*inputs, **more)

    @contextmanager
    def _hooked(self, kinds: Sequence[int]) -> Iterator[None]:
        handles = [
            module.register_forward_hook(self._hook(name, kinds.index(_COND), len(kinds)))
            for name, module in self._modules.items()
            if _COND in kinds
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, name: str, part: int, parts: int) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def seen(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            entered, answered = (tensor.chunk(parts)[part] for tensor in (inputs[0], output))
            if (bias := getattr(module, "bias", None)) is not None:
                answered = answered - bias.to(answered)
            self._watch(name, entered.to(self._device), answered.to(self._device))

        return seen


def _ignore(name: str, inputs: Tensor, outputs: Tensor) -> None:
    """Nobody watches."""


def fitting_batch(model: Any, sampling: Sampling, most: int) -> int:
    """How many pictures, each with and without its prompt, the device's free memory holds by the host's estimate."""
    device = model.load_device
    free = _SHARE * management.get_free_memory(device)
    most = min(most, _MOST_ON_CPU) if device.type == "cpu" else most
    _, *shape = empty_latent(model, sampling).shape
    return next((n for n in range(most, 1, -1) if model.model.memory_required([2 * n, *shape]) <= free), 1)


def _together(prompts: Sequence[list[Any]]) -> list[Any]:
    """One conditioning of a batch from those of its pictures."""
    states = torch.cat([prompt[0][0] for prompt in prompts])
    first = prompts[0][0][1]
    more = {
        key: torch.cat([prompt[0][1][key] for prompt in prompts]) if isinstance(value, Tensor) else value
        for key, value in first.items()
    }
    return [[states, more]]


def check_sampler(sampling: Sampling) -> None:
    """Accepts a sampler and a scheduler that the host has.

    Raises:
        ScaPreError: If it lacks one; the host would take another without a word.
    """
    known = {"sampler_name": comfy.samplers.KSampler.SAMPLERS, "scheduler": comfy.samplers.KSampler.SCHEDULERS}
    given = {"sampler_name": sampling.sampler_name, "scheduler": sampling.scheduler}
    for field, name in given.items():
        if name not in known[field]:
            raise ScaPreError(
                f"{field}: this ComfyUI has no {shorten(name)}. Choose one of {', '.join(list(known[field])[:12])}, …"
            )


def _check_not_compiled(model: Any, modules: Mapping[str, nn.Module]) -> None:
    parts = (*model.model.modules(), *modules.values(), *model.object_patches.values())
    if "torch_compile_kwargs" in model.model_options or any(hasattr(part, "_orig_mod") for part in parts):
        raise ScaPreError(
            "model: it is compiled (torch.compile), so its layers cannot be watched. Connect the model from before it "
            "is compiled, and compile the output of this node."
        )
