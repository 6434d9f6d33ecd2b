"""Small transformers of ComfyUI's own classes with their own text encoders: only sizes are small, weights are noise."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import comfy.ops
import comfy.sd
import comfy.supported_models as supported
import sentencepiece
import torch
from comfy.ldm.anima.model import LLMAdapter
from comfy.model_patcher import ModelPatcher
from comfy.supported_models_base import ClipTarget
from comfy.text_encoders import ace, anima, cosmos, lt, pixart_t5, sa_t5, wan
from torch import Tensor

from pack.tests.host import models

WIDTH = 32  # of the text encoder's states
_T5 = {"d_ff": 48, "d_kv": 16, "num_heads": 2, "num_layers": 2}
_COSMOS = {
    "max_img_h": 16, "max_img_w": 16, "max_frames": 4, "in_channels": 16, "out_channels": 16, "patch_spatial": 2,
    "patch_temporal": 1, "model_channels": 48, "concat_padding_mask": True, "crossattn_emb_channels": WIDTH,
    "pos_emb_cls": "rope3d", "pos_emb_learnable": False, "pos_emb_interpolation": "crop", "use_adaln_lora": True,
    "adaln_lora_dim": 8, "num_blocks": 2, "num_heads": 2, "extra_per_block_abs_pos_emb": False,
}  # fmt: skip
_WAN = {
    "image_model": "wan2.1", "model_type": "t2v", "dim": 48, "ffn_dim": 64, "num_heads": 2, "num_layers": 2,
    "text_dim": WIDTH, "in_dim": 16, "out_dim": 16, "freq_dim": 32,
}  # fmt: skip
_PIXART = {
    "input_size": 32, "hidden_size": 48, "num_heads": 2, "depth": 2, "caption_channels": WIDTH,
    "model_max_length": 120, "in_channels": 4, "micro_condition": False, "pe_interpolation": 1, "pred_sigma": True,
    "patch_size": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A family: the class of its model, what the detection would say of it, its text encoder, and its latents."""

    model: type
    settings: dict[str, Any]
    encoder: Callable[..., comfy.sd.CLIP]
    latent: tuple[int, ...]
    extra: dict[str, Any] = field(default_factory=dict)


def _t5(tokenizer: Any, encoder: Any, width: int, name: str = "t5xxl", **more: Any) -> comfy.sd.CLIP:
    sizes = {**_T5, "d_model": width, **more}
    # ACE-Step's class does not tell the name of its encoder on.
    options = {f"{name}_model_config": sizes, "_model_config": sizes, "dtype": torch.float32}
    data = {"spiece_model": vocabulary()} if name.startswith("umt5") else {}
    clip = comfy.sd.CLIP(ClipTarget(tokenizer, encoder), model_options=options, tokenizer_data=data)
    models.fill(clip.cond_stage_model, 0)
    return clip


@cache
def vocabulary() -> Tensor:
    """A vocabulary such as UMT5's, in the form that its files have it in."""
    made, words = io.BytesIO(), "a the cat dog red house painting by van gogh style of in tulip picture art"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([words] * 50), model_writer=made, vocab_size=60, hard_vocab_limit=False,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
    )  # fmt: skip
    return torch.frombuffer(bytearray(made.getvalue()), dtype=torch.uint8)


def pixart_t5xxl(width: int = WIDTH) -> comfy.sd.CLIP:
    """PixArt's T5."""
    return _t5(pixart_t5.PixArtTokenizer, pixart_t5.pixart_te(), width)


def umt5(width: int = WIDTH) -> comfy.sd.CLIP:
    """Wan's UMT5, with a small vocabulary."""
    return _t5(wan.WanT5Tokenizer, wan.te(), width, "umt5xxl", vocab_size=128)


def ltxv_t5xxl(width: int = WIDTH) -> comfy.sd.CLIP:
    """LTXV's T5."""
    return _t5(lt.LTXVT5Tokenizer, lt.ltxv_te(), width)


def cosmos_t5xxl(width: int = WIDTH) -> comfy.sd.CLIP:
    """The first T5, of Cosmos."""
    return _t5(cosmos.CosmosT5Tokenizer, cosmos.te(), width)


def t5_base(width: int = WIDTH) -> comfy.sd.CLIP:
    """Stable Audio's T5."""
    return _t5(sa_t5.SAT5Tokenizer, sa_t5.SAT5Model, width, "t5base")


def umt5_base(width: int = WIDTH) -> comfy.sd.CLIP:
    """ACE-Step's UMT5."""
    return _t5(ace.AceT5Tokenizer, ace.AceT5Model, width, "umt5base", vocab_size=128)


def qwen3(width: int = WIDTH) -> comfy.sd.CLIP:
    """Anima's Qwen3."""
    sizes = {"hidden_size": width, "intermediate_size": 64, "num_hidden_layers": 1}
    options = {"qwen3_06b_model_config": sizes, "dtype": torch.float32}
    clip = comfy.sd.CLIP(ClipTarget(anima.AnimaTokenizer, anima.te()), model_options=options)
    models.fill(clip.cond_stage_model, 0)
    return clip


KINDS = {
    "pixart": Kind(
        supported.PixArtSigma, {"image_model": "pixart_sigma", **_PIXART},
        pixart_t5xxl, (1, 4, 64, 64),
    ),
    "wan": Kind(supported.WAN21_T2V, _WAN, umt5, (1, 16, 1, 8, 8)),
    "vace": Kind(
        supported.WAN21_Vace, {**_WAN, "model_type": "vace", "vace_layers": 1, "vace_in_dim": 96}, umt5,
        (1, 16, 1, 8, 8), {"vace_context": torch.zeros(1, 1, 96, 1, 8, 8), "vace_strength": [1.0]},
    ),
    "ltxv": Kind(
        supported.LTXV,
        {
            "image_model": "ltxv", "num_attention_heads": 2, "attention_head_dim": 24, "cross_attention_dim": 48,
            "num_layers": 2, "caption_channels": WIDTH, "in_channels": 128,
        },
        ltxv_t5xxl, (1, 128, 1, 8, 8),
    ),
    "cosmos": Kind(
        supported.CosmosT2V,
        {
            **_COSMOS, "image_model": "cosmos", "block_config": "FA-CA-MLP", "block_x_format": "THWBD",
            "affline_emb_norm": True, "extra_per_block_abs_pos_emb": True,
            "extra_per_block_abs_pos_emb_type": "learnable",
        },
        cosmos_t5xxl, (1, 16, 1, 8, 8),
    ),
    "predict2": Kind(
        supported.CosmosT2IPredict2, {**_COSMOS, "image_model": "cosmos_predict2", "min_fps": 1, "max_fps": 30},
        cosmos_t5xxl, (1, 16, 1, 8, 8),
    ),
    "anima": Kind(
        supported.Anima,
        {
            **_COSMOS, "image_model": "anima", "min_fps": 1, "max_fps": 30, "crossattn_emb_channels": WIDTH,
        },
        qwen3, (1, 16, 1, 8, 8),
    ),
    "ace-step": Kind(
        supported.ACEStep,
        {
            "audio_model": "ace", "attention_head_dim": 24, "in_channels": 8, "inner_dim": 48, "max_height": 16,
            "max_position": 128, "max_width": 128, "mlp_ratio": 2.0, "num_attention_heads": 2, "num_layers": 2,
            "out_channels": 8, "patch_size": [16, 1], "rope_theta": 10_000.0, "speaker_embedding_dim": 512,
            "text_embedding_dim": WIDTH, "ssl_encoder_depths": [], "ssl_latent_dims": [], "ssl_names": [],
            "lyric_encoder_vocab_size": 6693,
        },
        umt5_base, (1, 8, 16, 16),
    ),
    "stable audio": Kind(
        supported.StableAudio,
        {
            "audio_model": "dit1.0", "io_channels": 64, "embed_dim": 64, "depth": 2, "num_heads": 2,
            "cond_token_dim": WIDTH, "project_cond_tokens": False, "global_cond_dim": 2 * 768,
            "timestep_features_type": "learned",
        },
        t5_base, (1, 64, 16),
        {"global_embed": torch.zeros(1, 2 * 768)},
    ),
}  # fmt: skip


def transformer(kind: str, seed: int = 0) -> ModelPatcher:
    """A small diffusion model of a family; a loader that is asked again gives another of the same weights."""
    family = KINDS[kind]
    config = family.model(dict(family.settings))
    config.unet_config |= family.settings
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model(_seconds() if kind == "stable audio" else {}, "", device=models.CPU)
    if kind == "anima":  # the model makes it in one size alone
        own = {"dtype": torch.float32, "operations": comfy.ops.disable_weight_init}
        model.diffusion_model.llm_adapter = LLMAdapter(WIDTH, WIDTH, WIDTH, num_layers=2, num_heads=2, **own)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.diffusion_model.parameters():  # norms too: the host leaves them unset
            spread = 1 / math.sqrt(math.prod(parameter.shape[1:])) if parameter.ndim > 1 else 0.1
            parameter.copy_(spread * torch.randn(parameter.shape, generator=generator) + (parameter.ndim == 1))
    found = models.patcher(model)
    found.cached_patcher_init = (lambda kind, seed, **_: transformer(kind, seed), (kind, seed))
    return found


def _seconds() -> dict[str, Tensor]:
    """What Stable Audio's checkpoints hold beside the model."""
    shapes = {"embedder.embedding.0.weights": (128,), "embedder.embedding.1.weight": (768, 257),
              "embedder.embedding.1.bias": (768,)}  # fmt: skip
    return {
        f"conditioner.conditioners.seconds_{part}.{name}": torch.zeros(shape)
        for part in ("start", "total")
        for name, shape in shapes.items()
    }


def predicted(model: ModelPatcher, kind: str, states: Tensor, **more: Any) -> Tensor:
    """One forward pass on fixed noise with the host's conditioning."""
    family = KINDS[kind]
    noise = torch.randn(family.latent, generator=torch.Generator().manual_seed(99))
    with models.loaded(model), torch.inference_mode():
        return model.model.apply_model(noise, torch.full((1,), 0.5), c_crossattn=states, **family.extra, **more)
