"""A copy of the host's MODEL that can be trained, as the engine wants it."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import comfy.model_management as management
import comfy.samplers
import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

from ...scapre.errors import ScaPreError, shorten
from ...scapre.families import part
from ...scapre.methods.kscu.denoiser import TextNoise
from ...scapre.methods.kscu.factors import Trained
from .sampling import Sampling, empty_latent
from .steps import together

_BLOCKS = ("transformer_blocks", "blocks")


@dataclass(frozen=True)
class _Text:
    states: Tensor
    more: Mapping[str, Any]


class HostDenoiser:
    """Predicts noise with a copy of a MODEL, whose weights are no inference tensors; the MODEL itself is not touched.

    What is predicted is (x - x0) / σ, with x0 as the host computes it: the noise of models that predict noise, and the
    velocity of those that flow. Patches of the model's weights are in the copy, those of its attention are not.
    """

    def __init__(self, model: Any, conditionings: Mapping[str, Any], sampling: Sampling, names: Iterable[str]) -> None:
        """Loads the copy.

        Args:
            model: The MODEL.
            conditionings: What CLIP Text Encode gives for each text that will be asked with, the empty one too.
            sampling: Steps, scheduler and size count.
            names: Of the weights of the layers that are trained.

        Raises:
            ScaPreError: If the loader gives no way to load the model again, or the scheduler is none, or gives another
                number of steps.
        """
        self._texts = {text: _out_of_inference(*found[0]) for text, found in conditionings.items()}
        self.shape = tuple(empty_latent(model, sampling).shape[1:])
        sigmas = _sigmas(model, sampling)
        self.sigmas = sigmas.tolist()
        self._copy = _copied(model)
        self._network = self._copy.model
        self._network.requires_grad_(False)
        management.load_models_gpu([self._copy], memory_required=1e20, force_full_load=True)
        self.device: torch.device = self._copy.load_device
        self.dtype: torch.dtype = self._network.get_dtype_inference()
        scale = self._network.model_sampling
        self.timesteps = [float(scale.timestep(sigma)) for sigma in sigmas[:-1].to(self.device)]
        layers = dict(self._network.named_modules())
        self._layers = {name: layers[part(name).weight.rpartition(".")[0]] for name in names}

    def save_memory(self) -> None:
        """Keeps nothing inside of transformer blocks for the way back, which are computed twice then."""
        for module in list(self._network.modules()):
            for name in _BLOCKS:
                blocks = getattr(module, name, None)
                if isinstance(blocks, nn.ModuleList):
                    for place, block in enumerate(blocks):
                        blocks[place] = _Twice(block)

    def __enter__(self) -> HostDenoiser:
        """Tells the host that gradients are taken, for which some models have code of their own."""
        self._was, management.in_training = management.in_training, True
        return self

    def __exit__(self, *error: object) -> None:
        """Gives the memory of the copy back."""
        management.in_training = self._was
        management.unload_model_and_clones(self._copy)
        del self._copy, self._network, self._layers
        gc.collect()
        management.soft_empty_cache()

    def start(self, noise: Tensor) -> Tensor:
        """Latents at the first step."""
        sigma = torch.tensor(self.sigmas[0], device=noise.device)
        latents: Tensor = self._network.model_sampling.noise_scaling(sigma, noise, torch.zeros_like(noise), True)
        return latents

    def predict(self, latents: Tensor, step: int, texts: Sequence[str], noise: TextNoise | None = None) -> Tensor:
        """ε for latents at a step; texts of different lengths are asked one after another."""
        groups = together([(self._texts[text].states, self._texts[text].more) for text in texts])
        if len(groups) == 1:
            return self._predict(latents, step, texts, noise)
        rows: dict[int, Tensor] = {}
        for group in groups:
            rows |= zip(
                group, self._predict(latents[group], step, [texts[place] for place in group], noise), strict=True
            )
        return torch.stack([rows[place] for place in range(len(texts))])

    def _predict(self, latents: Tensor, step: int, texts: Sequence[str], noise: TextNoise | None) -> Tensor:
        sigma = self.sigmas[step]
        sigmas = torch.full((len(latents),), sigma, device=latents.device)
        clean: Tensor = self._network.apply_model(
            latents, sigmas, transformer_options={}, **self._conditions(latents, texts, noise)
        )
        return (latents - clean) / sigma

    @contextmanager
    def with_factors(self, trained: Mapping[str, Trained]) -> Iterator[None]:
        """Adds to the layers' answers what is trained, by hooks that are there no longer than that."""
        handles = [self._layers[name].register_forward_hook(_adding(name, one)) for name, one in trained.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _conditions(self, latents: Tensor, texts: Sequence[str], noise: TextNoise | None) -> dict[str, Any]:
        known = [self._texts[text] for text in texts]
        states = torch.cat([text.states for text in known]).to(self.device)
        if noise:
            drawn = torch.randn(states.shape, generator=torch.Generator().manual_seed(noise.seed))
            states = states + noise.size * drawn.to(states)
        more = {
            key: torch.cat([text.more[key] for text in known]) if isinstance(value, Tensor) else value
            for key, value in known[0].more.items()
        }
        height, width = (8 * side for side in latents.shape[-2:])
        found = self._network.extra_conds(**{
            "width": width, "height": height, "prompt_type": "positive", **more, "cross_attn": states,
            "noise": latents, "device": self.device,
        })  # fmt: skip
        return {key: value.process_cond(batch_size=len(latents), area=None).cond for key, value in found.items()}


class _Twice(nn.Module):
    """A block whose insides are computed again on the way back."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, *inputs: Any, **more: Any) -> Any:
        """What the block answers."""
        return checkpoint(self.block, *inputs, use_reentrant=False, **more)


def _adding(name: str, trained: Trained) -> Any:
    which = part(name)

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        added = trained(layer, inputs[0]).to(output.dtype)
        if which.count > 1:  # one of several matrices, whose answers stand side by side
            before = which.index * added.shape[-1]
            added = pad(added, (before, output.shape[-1] - before - added.shape[-1]))
        return output + added

    return hook


def _out_of_inference(states: Tensor, more: Mapping[str, Any]) -> _Text:
    """A conditioning that gradients can be taken with."""
    return _Text(states.clone(), {key: _normal(value) for key, value in more.items()})


def _normal(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _sigmas(model: Any, sampling: Sampling) -> Tensor:
    schedulers = comfy.samplers.KSampler.SCHEDULERS
    if sampling.scheduler not in schedulers:
        raise ScaPreError(
            f"scheduler: there is no {shorten(sampling.scheduler)}. Choose one of {', '.join(schedulers)}."
        )
    sigmas = comfy.samplers.calculate_sigmas(
        model.get_model_object("model_sampling"), sampling.scheduler, sampling.steps
    )
    given = len(sigmas) - 1
    if given != sampling.steps:
        raise ScaPreError(
            f"scheduler: {sampling.scheduler} gives {given} steps where {sampling.steps} are asked for. Take another."
        )
    sigmas = sigmas.float()
    if not (sigmas.isfinite().all() and (sigmas[:-1] > 0).all() and sigmas[-1] == 0 and (sigmas.diff() < 0).all()):
        raise ScaPreError(
            f"scheduler: {sampling.scheduler} does not take the noise away step by step in {sampling.steps} steps. "
            "Take another, or fewer steps."
        )
    return sigmas


def _copied(model: Any) -> Any:
    if getattr(model, "cached_patcher_init", None) is None:
        raise ScaPreError(
            f"model: the loader that gave this {type(model.model.model_config).__name__} model cannot load it a second "
            "time, which training needs. Load it with Load Checkpoint or Load Diffusion Model."
        )
    return model.clone(force_deepcopy=True)
