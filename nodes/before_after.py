"""Before and After: the same prompts and seed through the original and the edited model."""

from __future__ import annotations

from typing import Any

import comfy.samplers
from comfy_api.latest import io, ui
from torch import Tensor

from ..scapre.errors import ScaPreError, shorten
from .host.sampling import PictureBar, Sampling, check_inputs, decode, encode, sample
from .inputs.settings import check_whole
from .inputs.types import CATEGORY

MOST_PROMPTS = 64
_WHOLE = ("seed", "steps", "width", "height")
_MOST_PIXELS = 16384  # the host's own limits, as in Empty Latent Image and KSampler
# A compared picture should change with the edit alone; a host that is too old to know the word knows True.
_CONTROL = getattr(getattr(io, "ControlAfterGenerate", None), "fixed", True)


class BeforeAfter(io.ComfyNode):
    """Samples every prompt twice, and shows the pairs under a slider."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="ScaPreBeforeAfter",
            display_name="Before and After",
            category=CATEGORY,
            description="Draws the same prompts from the same seed with the original and the edited model, and shows "
            "each pair under a slider.",
            search_aliases=[
                *("compare", "comparison", "slider", "side by side", "a/b", "difference", "test", "sampler"),
                *("preview", "erase", "concept erasure", "scapre"),
            ],
            is_output_node=True,
            inputs=[*_models(), *_texts(), *_numbers()],
            outputs=[
                io.Image.Output(display_name="before", tooltip="One picture a prompt, of the original model."),
                io.Image.Output(display_name="after", tooltip="The same prompts and seed, of the edited model."),
                io.String.Output(display_name="captions", tooltip="The prompts that were drawn, one per line."),
            ],
        )

    @classmethod
    def execute(
        cls, original: Any, edited: Any, clip: Any, vae: Any, prompts: str, negative: str = "", **numbers: Any
    ) -> io.NodeOutput:
        """Samples all of before, then all of after, so that weights are patched once."""
        check_whole(cls, **{name: numbers[name] for name in _WHOLE if name in numbers})
        texts = read_prompts(prompts)
        check_inputs(original, edited, clip, vae)
        *positives, against = encode(original, clip, [*texts, negative])
        settings, bar = Sampling(**numbers), PictureBar(2 * len(texts))
        latents = [sample(model, positives, against, settings, bar) for model in (original, edited)]
        before, after = (decode(vae, drawn) for drawn in latents)
        return io.NodeOutput(before, after, "\n".join(texts), ui={"scapre_compare": cls._shown(before, after, texts)})

    @classmethod
    def _shown(cls, before: Tensor, after: Tensor, texts: list[str]) -> list[dict[str, Any]]:
        """What the slider shows: pairs of files in the host's temporary folder."""
        files = (ui.PreviewImage(pictures, cls=cls).values for pictures in (before, after))
        return [
            {"caption": text, "before": dict(first), "after": dict(second)}
            for text, first, second in zip(texts, *files, strict=True)
        ]


def read_prompts(text: str) -> list[str]:
    """The prompts of a text, one a line, without blank lines and those that start with #.

    Raises:
        ScaPreError: If there is none, or more than `MOST_PROMPTS`.
    """
    lines = (line.strip() for line in text.splitlines())
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise ScaPreError('prompts: there are none. Type at least one, one per line, such as "a photo of a cat".')
    if len(found) > MOST_PROMPTS:
        raise ScaPreError(
            f"prompts: {len(found):,} are more than one run draws ({MOST_PROMPTS}); the first that is too many is "
            f"{shorten(found[MOST_PROMPTS])}. Leave some out."
        )
    return found


def _models() -> tuple[io.Input, ...]:
    return (
        io.Model.Input("original", tooltip="The model without the edit: what goes into Erase Concepts or Apply Edit."),
        io.Model.Input("edited", tooltip="The model with the edit, from Erase Concepts, Apply Edit or Merge Edits."),
        io.Clip.Input("clip", tooltip="The text encoder of the model; it reads the prompts for both."),
        io.Vae.Input("vae", tooltip="The VAE of the model; it decodes the pictures of both."),
    )


def _texts() -> tuple[io.Input, ...]:
    return (
        io.String.Input(
            "prompts",
            multiline=True,
            default="",
            placeholder="one per line, such as\na house in the style of Vincent van Gogh\na photo of a dog",
            dynamic_prompts=False,
            tooltip=f"What to draw, one prompt per line, at most {MOST_PROMPTS}. Take some with the erased concept "
            "and some without. Lines that start with # are left out.",
        ),
        io.String.Input(
            "negative",
            multiline=True,
            default="",
            placeholder="negative prompt, for all",
            dynamic_prompts=False,
            tooltip="What the pictures should not show, for all prompts and both models.",
        ),
    )


def _numbers() -> tuple[io.Input, ...]:
    side = {"default": 512, "min": 16, "max": _MOST_PIXELS, "step": 8}
    return (
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=2**64 - 1,
            control_after_generate=_CONTROL,
            tooltip="Seed of the noise that every picture starts from; the same in a KSampler gives the same picture.",
        ),
        io.Int.Input("steps", default=20, min=1, max=10000, tooltip="Steps of sampling for each picture."),
        io.Float.Input(
            "cfg",
            default=7.0,
            min=0.0,
            max=100.0,
            step=0.1,
            round=0.01,
            tooltip="How closely the pictures follow the prompts (classifier-free guidance).",
        ),
        io.Combo.Input(
            "sampler_name",
            options=comfy.samplers.KSampler.SAMPLERS,
            default="euler",
            tooltip="The sampling algorithm, as in KSampler.",
        ),
        io.Combo.Input(
            "scheduler",
            options=comfy.samplers.KSampler.SCHEDULERS,
            default="normal",
            tooltip="How the noise is taken away over the steps, as in KSampler.",
        ),
        io.Int.Input("width", **side, tooltip="Width of a picture in pixels, a multiple of 8."),
        io.Int.Input("height", **side, tooltip="Height of a picture in pixels, a multiple of 8."),
    )
