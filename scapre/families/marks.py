"""Tells the class of any model but a UNet from the names in a file, by the marks that ComfyUI goes by, in its order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

Shapes = Mapping[str, Sequence[int]]

PREFIXES = ("model.diffusion_model.", "diffusion_model.", "model.model.", "net.", "model.", "")
"""Where files keep a diffusion model."""


class Mark(NamedTuple):
    """What one class of models is known by.

    Attributes:
        name: The class that ComfyUI detects.
        has: Names of parameters, or their beginnings, that must all be there.
        size: Where names do not tell: a parameter, an axis of it, and the sizes there.
        converted: Whether these are names of diffusers, which ComfyUI changes into its own.
    """

    name: str
    has: tuple[str, ...]
    size: tuple[str, int, tuple[int, ...]] | None = None
    converted: bool = False


class Found(NamedTuple):
    """What a file holds.

    Attributes:
        name: The class.
        prefix: What names of its parameters begin with.
        converted: See `Mark`.
    """

    name: str
    prefix: str
    converted: bool


_HUNYUAN_DIT, _HUNYUAN = "mlp_t5.0.weight", "txt_in.individual_token_refiner.blocks.0.norm1.weight"
_DOUBLE, _DISTILLED = "double_blocks.0.img_attn.norm.key_norm.", "distilled_guidance_layer."
_LTX, _COSMOS = "adaln_single.emb.timestep_embedder.linear_1.bias", "blocks.block0.blocks.0.block.attn.to_q.0.weight"
_CASCADE, _AUDIO = "clf.1.weight", "transformer.rotary_pos_emb.inv_freq"
_LUMINA = ("cap_embedder.1.weight", "noise_refiner.0.attention.k_norm.weight")
_WAN, _PREDICT2, _COG = "head.modulation", "blocks.0.mlp.layer1.weight", "blocks.0.norm1.linear.weight"
_KANDINSKY = "visual_transformer_blocks.0.cross_attention.key_norm.weight"
_SAM = "detector.backbone.vision_backbone."

# A class with more marks stands before those that it shares them with.
MARKS = (
    Mark("SD3", ("joint_blocks.0.context_block.attn.qkv.weight",)),
    Mark("Stable_Cascade_C", (_CASCADE, "clip_txt_mapper.weight")),
    Mark("Stable_Cascade_B", (_CASCADE, "clip_mapper.weight")),
    Mark("StableAudio3", (_AUDIO, "transformer.global_cond_embedder.0.weight")),
    Mark("StableAudio", (_AUDIO,)),
    Mark("AuraFlow", ("double_layers.0.attn.w1q.weight",)),
    Mark("HunyuanDiT1", (_HUNYUAN_DIT,), ("extra_embedder.0.weight", 1, (3968,))),
    Mark("HunyuanDiT", (_HUNYUAN_DIT,)),
    Mark("HunyuanVideo15_SR_Distilled", (_HUNYUAN, "vision_in.proj.0.weight"), ("img_in.proj.weight", 1, (98,))),
    Mark("HunyuanVideo15", (_HUNYUAN, "vision_in.proj.0.weight")),
    Mark("HunyuanVideoSkyreelsI2V", (_HUNYUAN, "vector_in."), ("img_in.proj.weight", 1, (32,))),
    Mark("HunyuanVideoI2V", (_HUNYUAN, "vector_in."), ("img_in.proj.weight", 1, (33,))),
    Mark("HunyuanVideo", (_HUNYUAN, "vector_in.")),
    Mark("HunyuanImage21Refiner", (_HUNYUAN,), ("img_in.proj.weight", 4, (1,))),
    Mark("HunyuanImage21", (_HUNYUAN,)),
    Mark("ChromaRadiance", (_DOUBLE, _DISTILLED, "nerf_blocks.0.norm.")),
    Mark("Chroma", (_DOUBLE, _DISTILLED)),
    Mark("Flux2", (_DOUBLE, "img_in.weight", "double_stream_modulation_img.lin.weight")),
    Mark("FluxInpaint", (_DOUBLE, "guidance_in.in_layer.weight"), ("img_in.weight", 1, (384,))),
    Mark("Flux", (_DOUBLE, "img_in.weight", "guidance_in.in_layer.weight")),
    Mark("LongCatImage", (_DOUBLE, "img_in.weight"), ("txt_in.weight", 1, (3584,))),
    Mark("FluxSchnell", (_DOUBLE, "img_in.weight")),
    Mark("GenmoMochi", ("t5_yproj.weight",)),
    Mark("PixArtAlpha", (_LTX, "pos_embed.proj.bias", "adaln_single.emb.resolution_embedder."), converted=True),
    Mark("PixArtSigma", (_LTX, "pos_embed.proj.bias"), converted=True),
    Mark("MiniMaxH3", ("video_patch_proj.weight", "audio_patch_proj.weight")),
    Mark("LTXAV", (_LTX, "audio_adaln_single.linear.weight")),
    Mark("LTXV", (_LTX,)),
    Mark("ACEStep", ("genre_embedder.weight",)),
    Mark("PixArtAlpha", ("t_block.1.weight", "ar_embedder.mlp.0.weight")),
    Mark("PixArtSigma", ("t_block.1.weight",)),
    Mark("CosmosI2V", (_COSMOS,), ("x_embedder.proj.1.weight", 1, (72,))),
    Mark("CosmosT2V", (_COSMOS,)),
    Mark("PiD", ("lq_proj.latent_proj.0.weight",)),
    Mark("PixelDiTT2I", ("core.pixel_embedder.proj.weight",)),
    Mark("ZImagePixelSpace", (*_LUMINA, "dec_net.cond_embed.weight")),
    Mark("ZImage", _LUMINA, ("cap_embedder.1.weight", 0, (3840,))),
    Mark("Lumina2", _LUMINA),
    # The patches are a convolution in one version, and a matrix that takes eight times as much in the other.
    Mark("CogVideoX_Inpaint", (_COG,), ("patch_embed.proj.weight", 1, (48, 384))),
    Mark("CogVideoX_I2V", (_COG,), ("patch_embed.proj.weight", 1, (32, 256))),
    Mark("CogVideoX_T2V", (_COG,)),
    Mark("SeedVR2", ("blocks.35.mlp.all.proj_in_gate.weight",)),
    Mark("SeedVR2", ("blocks.31.mlp.all.proj_in_gate.weight",)),
    Mark("SeedVR2", ("blocks.35.mlp.vid.proj_out.weight",)),
    Mark("WAN21_Vace", (_WAN, "vace_patch_embedding.weight")),
    Mark("WAN21_Camera", (_WAN, "control_adapter.conv.weight", "img_emb.proj.0.bias")),
    Mark("WAN22_Camera", (_WAN, "control_adapter.conv.weight")),
    Mark("WAN22_S2V", (_WAN, "casual_audio_encoder.encoder.final_linear.weight")),
    Mark("WAN21_HuMo", (_WAN, "audio_proj.audio_proj_glob_1.layer.bias")),
    Mark("WAN22_Animate", (_WAN, "face_adapter.fuser_blocks.0.k_norm.weight")),
    Mark("WAN21_SCAIL2", (_WAN, "patch_embedding_mask.weight")),
    Mark("WAN21_SCAIL", (_WAN, "patch_embedding_pose.weight")),
    Mark("WAN22_WanDancer", (_WAN, "patch_embedding_global.weight")),
    Mark("WAN21_FunControl2V", (_WAN, "img_emb.proj.0.bias"), ("patch_embedding.weight", 1, (48,))),
    Mark("WAN21_I2V", (_WAN, "img_emb.proj.0.bias")),
    Mark("WAN22_T2V", (_WAN,), ("head.head.weight", 0, (192,))),
    Mark("WAN21_T2V", (_WAN,)),
    Mark("Hunyuan3Dv2", ("latent_in.weight", "double_blocks.8.")),
    Mark("Hunyuan3Dv2mini", ("latent_in.weight",)),
    Mark("Hunyuan3Dv2_1", ("t_embedder.mlp.2.weight", "blocks.0.attn1.k_norm.weight")),
    Mark("TripoSplat", ("cam_out_layer.weight", "repo_layers.0.final_map.weight")),
    Mark("HiDreamO1", ("t_embedder1.mlp.0.weight", "x_embedder.proj1.weight")),
    Mark("HiDream", ("caption_projection.0.linear.weight",)),
    Mark("Anima", (_PREDICT2, "llm_adapter.blocks.0.cross_attn.q_proj.weight")),
    Mark("CosmosI2VPredict2", (_PREDICT2,), ("x_embedder.proj.1.weight", 1, (72,))),
    Mark("CosmosT2IPredict2", (_PREDICT2,)),
    Mark("Boogu", ("double_stream_layers.0.img_instruct_attn.processor.img_to_q.weight",)),
    Mark("Omnigen2", ("time_caption_embed.timestep_embedder.linear_1.bias",)),
    Mark("Lens", ("transformer_blocks.0.attn.norm_added_q.weight", "transformer_blocks.0.img_mlp.w1.weight")),
    Mark("MageFlow", ("txt_norm.weight", "proj_out.weight"), ("txt_norm.weight", 0, (2560,))),
    Mark("QwenImage", ("txt_norm.weight",)),
    Mark("Ideogram4", ("embed_image_indicator.weight",)),
    Mark("Krea2", ("txtfusion.projector.weight",)),
    Mark("Kandinsky5Image", (_KANDINSKY,), ("visual_embeddings.in_layer.bias", 0, (2560,))),
    Mark("Kandinsky5", (_KANDINSKY,)),
    Mark("ACEStep15", ("encoder.lyric_encoder.layers.0.input_layernorm.weight",)),
    Mark("RT_DETR_v4", ("encoder.pan_blocks.1.cv4.conv.weight",)),
    Mark("DepthAnything3", ("backbone.embeddings.patch_embeddings.projection.weight",)),
    Mark("ErnieImage", ("layers.0.mlp.linear_fc2.weight",)),
    Mark("SAM31", (f"{_SAM}trunk.blocks.0.attn.qkv.weight", f"{_SAM}propagation_convs.0.conv_1x1.weight")),
    Mark("SAM3", (f"{_SAM}trunk.blocks.0.attn.qkv.weight",)),
    Mark("JoyImage", ("double_blocks.0.attn.img_attn_qkv.weight", "condition_embedder.time_embedder.linear_1.weight")),
    Mark("AuraFlow", ("joint_transformer_blocks.0.attn.add_k_proj.weight",), converted=True),
    Mark("ZImage", ("noise_refiner.0.attention.norm_k.weight",), converted=True),
    Mark("Flux", ("x_embedder.weight", "single_transformer_blocks.0."), converted=True),
    Mark("SD3", ("transformer_blocks.0.attn.add_q_proj.weight", "pos_embed.proj.weight"), converted=True),
)

# What else is a safetensors file but no diffusion model, by a name among its tensors.
_PARTS = {
    re.compile(r"^states\.tokens$"): "an edit of this pack. Give the model that it is for",
    re.compile(r"lora[._](down|up|A|B)\.|hada_w1|lokr_w1|oft_blocks"): "a LoRA. Give the checkpoint it is used with",
    re.compile(r"^control_model\.|zero_convs\.|^controlnet_"): "a ControlNet. Give the checkpoint it is used with",
    re.compile(r"^(emb_params|clip_[gl])$"): "a textual inversion. Give the checkpoint it is used with",
    re.compile(r"text_model\.encoder\.|transformer\.resblocks\.|^shared\.weight$|^model\.layers\.\d+\.self_attn\."): (
        "a text encoder alone. Give the whole checkpoint"
    ),
    re.compile(r"decoder\.(conv_in|conv1)\.weight$"): "a VAE alone. Give the whole checkpoint",
}


def find_class(shapes: Shapes) -> Found | None:
    """The class of a model in a file, None for an unknown one.

    Args:
        shapes: Shape of every tensor in the file by its name.
    """
    for prefix in PREFIXES:
        inside = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
        known = next((mark for mark in MARKS if _bears(inside, mark)), None) if inside else None
        if known:
            return Found(known.name, prefix, known.converted)
    return None


def _bears(shapes: Shapes, mark: Mark) -> bool:
    if mark.size:
        name, axis, sizes = mark.size
        shape = shapes.get(name, ())
        if len(shape) <= axis or shape[axis] not in sizes:
            return False
    return all(start in shapes or any(name.startswith(start) for name in shapes) for start in mark.has)


def part_of_a_model(names: Iterable[str]) -> str | None:
    """What a file is that holds no diffusion model, and what to do: the end of a sentence. None for an unknown one.

    Args:
        names: Of its tensors.
    """
    names = list(names)
    if any(name.startswith(PREFIXES[0]) for name in names):
        return None  # a checkpoint, of whatever model
    return next((said for mark, said in _PARTS.items() if any(map(mark.search, names))), None)
