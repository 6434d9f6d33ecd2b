"""Which CLIP text encoders a family has, under which names a checkpoint keeps them, and which state is the text's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from ..errors import ScaPreError

Read = Callable[[str], Tensor]

WINDOW = 77
START, END = 49406, 49407

# What a layer is called by transformers, and by open_clip.
_OPEN_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_LAYERS = (*_OPEN_CLIP, "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")


@dataclass(frozen=True)
class Tower:
    """One CLIP text encoder, as the diffusion model wants it.

    Attributes:
        prefixes: Where a checkpoint may keep it.
        open_clip: Whether it has open_clip's names and fused projections, instead of those of transformers.
        layers: How many are run; the states of a second last layer need one less than the encoder has.
        heads: Attention heads.
        activation: As transformers calls it.
        final_norm: Whether the states go through the last normalisation.
        padding: The token that fills the window.
        pools: Whether the model reads this encoder's pooled vector, too.
        projects: Whether that goes through the encoder's projection.
        unread: Layers behind those, which only the pooled vector goes through.
        masked: Whether no token attends to what fills the window.
    """

    prefixes: tuple[str, ...]
    open_clip: bool
    layers: int
    heads: int
    activation: str
    final_norm: bool
    padding: int
    pools: bool = False
    projects: bool = True
    unread: int = 0
    masked: bool = False

    @property
    def whole(self) -> Tower:
        """The same for its pooled vector, which every layer and the last normalisation go into."""
        return replace(self, layers=self.layers + self.unread, unread=0, final_norm=True)

    def locate(self, names: Iterable[str]) -> str:
        """The prefix under which a checkpoint has it.

        Raises:
            ScaPreError: If it has not.
        """
        mark = "token_embedding.weight" if self.open_clip else "embeddings.token_embedding.weight"
        held = set(names)
        for prefix in self.prefixes:
            if prefix + mark in held:
                return prefix
        raise ScaPreError(
            f"checkpoint: it has no text encoder ({self.prefixes[0]}… is missing), and without one names cannot be "
            "read. Give a whole checkpoint, or the text encoder with --text-encoder."
        )

    def embeddings(self, prefix: str, read: Read) -> dict[str, Tensor]:
        """Weights of the embeddings under the names of transformers."""
        if self.open_clip:
            tokens, places = f"{prefix}token_embedding.weight", f"{prefix}positional_embedding"
        else:
            tokens, places = (f"{prefix}embeddings.{kind}_embedding.weight" for kind in ("token", "position"))
        return {"token_embedding.weight": read(tokens), "position_embedding.weight": read(places)}

    def norm(self, prefix: str, read: Read) -> dict[str, Tensor]:
        """Weights of the last normalisation."""
        name = "ln_final" if self.open_clip else "final_layer_norm"
        return {part: read(f"{prefix}{name}.{part}") for part in ("weight", "bias")}

    def projection(self, prefix: str, names: Iterable[str], read: Read) -> Tensor:
        """What takes the end token's state to the pooled vector, (width, width), applied from the right.

        Raises:
            ScaPreError: If the file has none.
        """
        held, start = set(names), prefix.removesuffix("text_model.")
        for beside in (start, start.removesuffix("transformer.")):
            if (name := f"{beside}text_projection") in held:
                return read(name)
            if (name := f"{beside}text_projection.weight") in held:
                return read(name).T
        raise ScaPreError(
            f"checkpoint: its text encoder has no projection of the pooled vector ({start}text_projection is missing). "
            "Give a whole checkpoint or text encoder, or --pooled off."
        )

    def layer(self, index: int, prefix: str, read: Read) -> dict[str, Tensor]:
        """Weights of one layer under the names of transformers."""
        if not self.open_clip:
            start = f"{prefix}encoder.layers.{index}."
            return {f"{name}.{part}": read(f"{start}{name}.{part}") for name in _LAYERS for part in ("weight", "bias")}
        start = f"{prefix}transformer.resblocks.{index}."
        found = {
            f"{name}.{part}": read(f"{start}{other}.{part}")
            for name, other in _OPEN_CLIP.items()
            for part in ("weight", "bias")
        }
        for part in ("weight", "bias"):
            thirds = read(f"{start}attn.in_proj_{part}").chunk(3)
            found |= {f"self_attn.{kind}_proj.{part}": third for kind, third in zip("qkv", thirds, strict=True)}
        return found


def _clip_l(*prefixes: str, layers: int, final_norm: bool) -> Tower:
    return Tower(prefixes, False, layers, 12, "quick_gelu", final_norm, END)


def _open_clip(*prefixes: str, layers: int, heads: int, final_norm: bool) -> Tower:
    return Tower(prefixes, True, layers, heads, "gelu", final_norm, 0)


def _clip_g(prefix: str) -> Tower:
    return replace(_open_clip(prefix, layers=31, heads=20, final_norm=False), pools=True, unread=1)


_SD1 = (
    _clip_l("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer.", layers=12, final_norm=True),
)
_SD2 = (_open_clip("cond_stage_model.model.", "conditioner.embedders.0.model.", layers=23, heads=16, final_norm=True),)
_SDXL = (
    _clip_l("conditioner.embedders.0.transformer.text_model.", layers=11, final_norm=False),
    _clip_g("conditioner.embedders.1.model."),
)
_REFINER = (_clip_g("conditioner.embedders.0.model."),)
_CASCADE = (
    Tower(("text_encoder.clip_g.transformer.text_model.",), False, 32, 20, "gelu", False, END, pools=True, masked=True),
)

_L_BESIDE = replace(
    _clip_l("text_encoders.clip_l.transformer.text_model.", layers=11, final_norm=False),
    pools=True,
    projects=False,
    unread=1,
)
_G_BESIDE = replace(_clip_g("text_encoders.clip_g.transformer.text_model."), open_clip=False)

# By the family's title; the states of several towers are joined in this order. Flux and its like read the vector alone.
TOWERS: Mapping[str, tuple[Tower, ...]] = {
    "SD1.x": _SD1,
    "SD2.x": _SD2,
    "SDXL refiner": _REFINER,
    "SD3": (_L_BESIDE, _G_BESIDE),
    "HiDream": (replace(_L_BESIDE, projects=True), _G_BESIDE),
    **dict.fromkeys(("Flux", "HunyuanVideo", "Kandinsky 5", "Kandinsky 5 Image"), (_L_BESIDE,)),
    **dict.fromkeys(("Stable Cascade C", "Stable Cascade B"), _CASCADE),
    **dict.fromkeys(("SDXL", "SSD-1B", "Segmind Vega", "KOALA"), _SDXL),
}
