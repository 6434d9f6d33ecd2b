"""Small transformers of ComfyUI's own classes with their own text encoders: only sizes are small, weights are noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import comfy.ops
import comfy.sd
import comfy.supported_models as supported
import torch
from comfy.ldm.anima.model import LLMAdapter
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from pack.tests.host import encoders, models
from pack.tests.host.encoders import WIDTH

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
_FLUX = {
    "in_channels": 16, "context_in_dim": WIDTH, "hidden_size": 48, "mlp_ratio": 2.0, "num_heads": 2, "depth": 2,
    "depth_single_blocks": 2, "axes_dim": [8, 8, 8], "theta": 10_000, "patch_size": 2, "qkv_bias": True,
    "txt_ids_dims": [],
}  # fmt: skip
_LUMINA = {
    "image_model": "lumina2", "patch_size": 2, "in_channels": 16, "dim": 48, "cap_feat_dim": WIDTH, "n_layers": 2,
    "n_refiner_layers": 1, "n_heads": 2, "qk_norm": True, "axes_dims": [8, 8, 8], "axes_lens": [128, 64, 64],
    "multiple_of": 16,
}  # fmt: skip
_HUNYUAN = {
    "image_model": "hunyuan_video", "in_channels": 16, "out_channels": 16, "context_in_dim": WIDTH, "hidden_size": 48,
    "mlp_ratio": 2.0, "num_heads": 2, "depth": 1, "depth_single_blocks": 1, "axes_dim": [8, 8, 8], "theta": 256,
    "patch_size": [1, 2, 2], "qkv_bias": True, "guidance_embed": False, "byt5": False, "meanflow": False,
    "use_cond_type_embedding": False, "vision_in_dim": None, "meanflow_sum": False,
}  # fmt: skip
_KANDINSKY = {
    "image_model": "kandinsky5", "model_dim": 48, "ff_dim": 64, "time_dim": 32, "in_text_dim": WIDTH,
    "in_text_dim2": 128, "num_text_blocks": 1, "num_visual_blocks": 2, "axes_dims": (8, 8, 8),
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A family: the class of its model, what the detection would say of it, its text encoder, and its latents.

    What else its forward pass takes is in `extra`, or the host is asked to make it of a conditioning.
    """

    model: type
    settings: dict[str, Any]
    encoder: Callable[..., comfy.sd.CLIP]
    latent: tuple[int, ...]
    extra: dict[str, Any] = field(default_factory=dict)
    asked: bool = False


KINDS = {
    "pixart": Kind(
        supported.PixArtSigma, {"image_model": "pixart_sigma", **_PIXART},
        encoders.pixart_t5xxl, (1, 4, 64, 64),
    ),
    "wan": Kind(supported.WAN21_T2V, _WAN, encoders.umt5, (1, 16, 1, 8, 8)),
    "vace": Kind(
        supported.WAN21_Vace, {**_WAN, "model_type": "vace", "vace_layers": 1, "vace_in_dim": 96}, encoders.umt5,
        (1, 16, 1, 8, 8), {"vace_context": torch.zeros(1, 1, 96, 1, 8, 8), "vace_strength": [1.0]},
    ),
    "ltxv": Kind(
        supported.LTXV,
        {
            "image_model": "ltxv", "num_attention_heads": 2, "attention_head_dim": 24, "cross_attention_dim": 48,
            "num_layers": 2, "caption_channels": WIDTH, "in_channels": 128,
        },
        encoders.ltxv_t5xxl, (1, 128, 1, 8, 8),
    ),
    "cosmos": Kind(
        supported.CosmosT2V,
        {
            **_COSMOS, "image_model": "cosmos", "block_config": "FA-CA-MLP", "block_x_format": "THWBD",
            "affline_emb_norm": True, "extra_per_block_abs_pos_emb": True,
            "extra_per_block_abs_pos_emb_type": "learnable",
        },
        encoders.cosmos_t5xxl, (1, 16, 1, 8, 8),
    ),
    "predict2": Kind(
        supported.CosmosT2IPredict2, {**_COSMOS, "image_model": "cosmos_predict2", "min_fps": 1, "max_fps": 30},
        encoders.cosmos_t5xxl, (1, 16, 1, 8, 8),
    ),
    "anima": Kind(
        supported.Anima,
        {
            **_COSMOS, "image_model": "anima", "min_fps": 1, "max_fps": 30, "crossattn_emb_channels": WIDTH,
        },
        encoders.qwen3, (1, 16, 1, 8, 8),
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
        encoders.umt5_base, (1, 8, 16, 16),
    ),
    "stable audio": Kind(
        supported.StableAudio,
        {
            "audio_model": "dit1.0", "io_channels": 64, "embed_dim": 64, "depth": 2, "num_heads": 2,
            "cond_token_dim": WIDTH, "project_cond_tokens": False, "global_cond_dim": 2 * 768,
            "timestep_features_type": "learned",
        },
        encoders.t5_base, (1, 64, 16),
        {"global_embed": torch.zeros(1, 2 * 768)},
    ),
    "hunyuan dit": Kind(
        supported.HunyuanDiT,
        {
            "image_model": "hydit", "input_size": None, "patch_size": 2, "in_channels": 4, "hidden_size": 64,
            "depth": 4, "num_heads": 4, "mlp_ratio": 2.0, "qk_norm": True, "text_states_dim": WIDTH,
            "text_states_dim_t5": 48, "size_cond": True, "use_style_cond": True,
        },
        encoders.bert_and_mt5, (1, 4, 8, 8), asked=True,
    ),
    "sd3": Kind(
        supported.SD3,
        {
            "in_channels": 16, "out_channels": 16, "input_size": None, "patch_size": 2, "depth": 1, "num_blocks": 2,
            "pos_embed_scaling_factor": None, "pos_embed_max_size": 16, "adm_in_channels": 320,
            "context_embedder_config": {
                "target": "torch.nn.Linear", "params": {"in_features": 4096, "out_features": 64},
            },
        },
        encoders.sd3_clips, (1, 16, 8, 8), asked=True,
    ),
    "flux": Kind(
        supported.FluxSchnell,
        {
            **_FLUX, "image_model": "flux", "context_in_dim": 128, "out_channels": 16, "vec_in_dim": 128,
            "guidance_embed": False,
        },
        partial(encoders.flux_clip, 128), (1, 16, 8, 8), asked=True,
    ),
    "chroma": Kind(
        supported.Chroma,
        {
            **_FLUX, "image_model": "chroma", "in_channels": 64, "out_channels": 64, "vec_in_dim": None, "in_dim": 64,
            "out_dim": 48, "hidden_dim": 48, "n_layers": 1,
        },
        encoders.pixart_t5xxl, (1, 16, 8, 8), asked=True,
    ),
    "radiance": Kind(
        supported.ChromaRadiance,
        {
            **_FLUX, "image_model": "chroma_radiance", "in_channels": 3, "out_channels": 3, "patch_size": 16,
            "vec_in_dim": None, "in_dim": 64, "out_dim": 48, "hidden_dim": 48, "n_layers": 1, "nerf_hidden_size": 16,
            "nerf_mlp_ratio": 2, "nerf_depth": 1, "nerf_max_freqs": 4, "nerf_tile_size": 0,
            "nerf_final_head_type": "conv", "nerf_embedder_dtype": torch.float32, "use_x0": False,
            "use_sequential_txt_ids": False,
        },
        encoders.pixart_t5xxl, (1, 3, 32, 32), asked=True,
    ),
    "mochi": Kind(
        supported.GenmoMochi,
        {
            "image_model": "mochi_preview", "depth": 2, "patch_size": 2, "num_heads": 2, "hidden_size_x": 48,
            "hidden_size_y": 24, "mlp_ratio_x": 256.0, "mlp_ratio_y": 256.0, "learn_sigma": False, "in_channels": 12,
            "qk_norm": True, "qkv_bias": False, "out_bias": True, "attn_drop": 0.0, "patch_embed_bias": True,
            "posenc_preserve_area": True, "timestep_mlp_bias": True, "attend_to_padding": False,
            "timestep_scale": 1000.0, "use_t5": True, "t5_feat_dim": WIDTH, "t5_token_length": 256,
            "rope_theta": 10000.0,
        },
        encoders.mochi_t5xxl, (1, 12, 1, 8, 8), asked=True,
    ),
    "aura flow": Kind(
        supported.AuraFlow,
        {
            "max_seq": 64, "cond_seq_dim": WIDTH, "n_double_layers": 1, "n_layers": 2, "dim": 48, "n_heads": 2,
            "global_conddim": 48,
        },
        encoders.pile_t5xl, (1, 4, 8, 8), asked=True,
    ),
    "flux 2": Kind(
        supported.Flux2,
        {
            **_FLUX, "image_model": "flux2", "in_channels": 128, "out_channels": 128, "patch_size": 1,
            "context_in_dim": 96, "vec_in_dim": None, "guidance_embed": False, "axes_dim": [6, 6, 6, 6],
            "txt_ids_dims": [3], "global_modulation": True, "mlp_silu_act": True, "qkv_bias": False, "ops_bias": False,
        },
        partial(encoders.klein_qwen3, 96), (1, 128, 4, 4), asked=True,
    ),
    "qwen image": Kind(
        supported.QwenImage,
        {
            "image_model": "qwen_image", "in_channels": 64, "out_channels": 16, "num_layers": 2,
            "attention_head_dim": 24, "num_attention_heads": 2, "joint_attention_dim": WIDTH,
            "axes_dims_rope": (8, 8, 8),
        },
        encoders.qwen_vl, (1, 16, 1, 8, 8), asked=True,
    ),
    "z-image": Kind(
        supported.ZImage,
        {
            **_LUMINA, "dim": 256, "axes_dims": [32, 48, 48], "n_kv_heads": 2, "pad_tokens_multiple": 32,
            "z_image_modulation": True,
        },
        encoders.z_qwen3, (1, 16, 8, 8), asked=True,
    ),
    "lumina 2": Kind(supported.Lumina2, {**_LUMINA, "n_kv_heads": 1}, encoders.gemma2, (1, 16, 8, 8), asked=True),
    "omnigen2": Kind(
        supported.Omnigen2,
        {
            "image_model": "omnigen2", "hidden_size": 48, "num_layers": 2, "num_refiner_layers": 1,
            "num_attention_heads": 2, "num_kv_heads": 1, "axes_dim_rope": (8, 8, 8), "axes_lens": (64, 64, 64),
            "text_feat_dim": WIDTH,
        },
        encoders.omnigen2_qwen, (1, 16, 8, 8), asked=True,
    ),
    "hunyuan video": Kind(
        supported.HunyuanVideo, {**_HUNYUAN, "vec_in_dim": 128}, encoders.llama_and_clip, (1, 16, 1, 8, 8),
        asked=True,
    ),
    "hunyuan video 1.5": Kind(
        supported.HunyuanVideo15,
        {**_HUNYUAN, "in_channels": 65, "out_channels": 32, "vec_in_dim": None, "vision_in_dim": 16},
        encoders.hunyuan_video_15_qwen, (1, 32, 1, 8, 8), asked=True,
    ),
    "hunyuan image": Kind(
        supported.HunyuanImage21,
        {**_HUNYUAN, "in_channels": 64, "out_channels": 64, "vec_in_dim": None, "patch_size": [1, 1],
         "axes_dim": [12, 12]},
        encoders.hunyuan_image_qwen, (1, 64, 8, 8), asked=True,
    ),
    "hidream": Kind(
        supported.HiDream,
        {
            "image_model": "hidream", "attention_head_dim": 16, "axes_dims_rope": [8, 4, 4], "in_channels": 16,
            "out_channels": 16, "caption_channels": [WIDTH, WIDTH], "max_resolution": [16, 16], "num_layers": 16,
            "num_single_layers": 32, "llama_layers": [min(block, 31) for block in range(48)], "patch_size": 2,
            "num_attention_heads": 1, "num_routed_experts": 2, "num_activated_experts": 1, "text_emb_dim": 320,
        },
        encoders.hidream_clips, (1, 16, 8, 8), asked=True,
    ),
    "kandinsky 5": Kind(  # films: a picture to begin with, and where it is, lie beside the latent
        supported.Kandinsky5, {**_KANDINSKY, "visual_embed_dim": 132}, encoders.kandinsky_qwen_and_clip,
        (1, 16, 1, 8, 8), asked=True,
    ),
    "kandinsky 5 image": Kind(
        supported.Kandinsky5Image, {**_KANDINSKY, "visual_embed_dim": 64}, encoders.kandinsky_image_qwen_and_clip,
        (1, 16, 1, 8, 8), asked=True,
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
    with models.loaded(model) as network, torch.inference_mode():
        if family.asked:
            made = network.extra_conds(noise=noise, cross_attn=states, device=models.CPU, **more)
            return network.apply_model(noise, torch.full((1,), 0.5), **{name: one.cond for name, one in made.items()})
        return network.apply_model(noise, torch.full((1,), 0.5), c_crossattn=states, **family.extra, **more)
