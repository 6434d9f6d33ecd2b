"""Small checkpoints of families that this pack does not edit, in the shapes that AUTOMATIC1111 and Forge read them by.

Both read most sizes off a file. Text encoders have to be of full size, so every matrix of theirs is one row, repeated:
a `.ckpt` keeps the row alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

_UNET = "model.diffusion_model."
_CLIP = "text_encoders.clip_{}.transformer."
_T5 = "text_encoders.t5xxl.transformer."
_TOKENS, _WINDOW = 49408, 77
_T5_WIDTH, _T5_HEADS, _T5_LAYERS, _T5_TOKENS = 4096, 64, 24, 32128
_AUTOENCODER = 20

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def write_sd3(file: Path, depth: int = 2) -> Path:
    """Stable Diffusion 3: as wide as it has blocks, 64 for each."""
    shapes = {_UNET + name: shape for name, shape in _mmdit(64 * depth, depth)}
    return _write(file, shapes | _encoders({"l": (768, 12), "g": (1280, 32)}))


def write_flux(file: Path) -> Path:
    """Flux: what it is recognised by; it cannot draw, which is not what it is for."""
    shapes = {f"{_UNET}double_blocks.0.{part}_attn.norm.{one}_norm.scale": (128,)
              for part in ("img", "txt") for one in ("key", "query")}  # fmt: skip
    shapes |= {f"{_UNET}img_in.weight": (3072, 64), f"{_UNET}txt_in.weight": (3072, _T5_WIDTH)}
    shapes |= {f"{_UNET}single_blocks.{number}.norm.key_norm.scale": (128,) for number in range(_AUTOENCODER)}
    shapes |= {f"vae.decoder.up.{number}.bias": (1,) for number in range(_AUTOENCODER)}
    return _write(file, shapes | _encoders({"l": (768, 12)}))


def write_t5_tokenizer(hub: Path) -> None:
    """T5's tokenizer with a few pieces, where a host looks for what it has downloaded (`HF_HOME`)."""
    place = hub / "hub" / "models--google--t5-v1_1-xxl"
    found = place / "snapshots" / "0"
    found.mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0", encoding="utf-8")
    pieces = [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["▁", -1.0]]
    special = [{"id": number, "content": pieces[number][0], "special": True, "single_word": False, "lstrip": False,
                "rstrip": False, "normalized": False} for number in range(3)]  # fmt: skip
    end = {"SpecialToken": {"id": "</s>", "type_id": 0}}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}, "decoder": None,
        "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}, end],
                           "pair": [{"Sequence": {"id": "A", "type_id": 0}}, end],
                           "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}},
        "model": {"type": "Unigram", "unk_id": 2, "vocab": pieces},
    }  # fmt: skip
    (found / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    (found / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "T5Tokenizer"}), encoding="utf-8")
    (found / "config.json").write_text(json.dumps({"model_type": "t5"}), encoding="utf-8")


def _write(file: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    random = torch.Generator().manual_seed(0)
    torch.save({name: _repeated(name, shape, random) for name, shape in shapes.items()}, file)
    return file


def _repeated(name: str, shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    row = torch.randn(shape[-1], generator=random) * 0.02 + ("norm" in name and name.endswith("weight"))
    return row.expand(shape)


def _linear(name: str, given: int, wanted: int) -> Shapes:
    yield f"{name}.weight", (wanted, given)
    yield f"{name}.bias", (wanted,)


def _mmdit(width: int, depth: int, side: int = 8) -> Shapes:
    yield "pos_embed", (1, side * side, width)
    yield "x_embedder.proj.weight", (width, 16, 2, 2)
    yield "x_embedder.proj.bias", (width,)
    for name, given in (("t", 256), ("y", 2048)):
        yield from _linear(f"{name}_embedder.mlp.0", given, width)
        yield from _linear(f"{name}_embedder.mlp.2", width, width)
    yield from _linear("context_embedder", _T5_WIDTH, width)
    for number in range(depth):
        for part in ("context", "x"):
            yield from _block(f"joint_blocks.{number}.{part}_block", width, part == "context" and number == depth - 1)
    yield from _linear("final_layer.linear", width, 64)
    yield from _linear("final_layer.adaLN_modulation.1", width, 2 * width)


def _block(name: str, width: int, last: bool) -> Shapes:
    yield from _linear(f"{name}.attn.qkv", width, 3 * width)
    yield from _linear(f"{name}.adaLN_modulation.1", width, (2 if last else 6) * width)
    if not last:
        yield from _linear(f"{name}.attn.proj", width, width)
        yield from _linear(f"{name}.mlp.fc1", width, 4 * width)
        yield from _linear(f"{name}.mlp.fc2", 4 * width, width)


def _encoders(clips: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, ...]]:
    found = {_T5 + name: shape for name, shape in _t5()}
    for letter, (width, layers) in clips.items():
        found |= {_CLIP.format(letter) + name: shape for name, shape in _clip(width, layers)}
    return found | {f"first_stage_model.decoder.up.{number}.bias": (1,) for number in range(_AUTOENCODER)}


def _clip(width: int, layers: int) -> Shapes:
    yield "text_model.embeddings.token_embedding.weight", (_TOKENS, width)
    yield "text_model.embeddings.position_embedding.weight", (_WINDOW, width)
    for number in range(layers):
        layer = f"text_model.encoder.layers.{number}"
        for part in ("q", "k", "v", "out"):
            yield from _linear(f"{layer}.self_attn.{part}_proj", width, width)
        for part in ("layer_norm1", "layer_norm2"):
            yield f"{layer}.{part}.weight", (width,)
            yield f"{layer}.{part}.bias", (width,)
        yield from _linear(f"{layer}.mlp.fc1", width, 4 * width)
        yield from _linear(f"{layer}.mlp.fc2", 4 * width, width)
    yield "text_model.final_layer_norm.weight", (width,)
    yield "text_model.final_layer_norm.bias", (width,)
    yield "text_projection.weight", (width, width)


def _t5() -> Shapes:
    """As thin as Forge's layers may be; AUTOMATIC1111 leaves it out unless it is told otherwise."""
    yield "shared.weight", (_T5_TOKENS, _T5_WIDTH)
    yield "encoder.final_layer_norm.weight", (_T5_WIDTH,)
    yield "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", (32, _T5_HEADS)
    for number in range(_T5_LAYERS):
        block = f"encoder.block.{number}.layer"
        for part in ("q", "k", "v"):
            yield f"{block}.0.SelfAttention.{part}.weight", (_T5_HEADS, _T5_WIDTH)
        yield f"{block}.0.SelfAttention.o.weight", (_T5_WIDTH, _T5_HEADS)
        for part in ("wi_0", "wi_1"):
            yield f"{block}.1.DenseReluDense.{part}.weight", (1, _T5_WIDTH)
        yield f"{block}.1.DenseReluDense.wo.weight", (_T5_WIDTH, 1)
        for part in range(2):
            yield f"{block}.{part}.layer_norm.weight", (_T5_WIDTH,)
