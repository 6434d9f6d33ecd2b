"""Small text encoders of ComfyUI's own classes with the real tokenizers: only sizes are small, weights are noise."""

from __future__ import annotations

import io
from functools import cache
from typing import Any
from unittest.mock import patch

import comfy.sd
import sentencepiece
import torch
from comfy.supported_models_base import ClipTarget
from comfy.text_encoders import (
    ace,
    anima,
    aura_t5,
    cosmos,
    flux,
    genmo,
    hidream,
    hunyuan_image,
    hunyuan_video,
    hydit,
    kandinsky5,
    lt,
    lumina2,
    omnigen2,
    pixart_t5,
    qwen_image,
    sa_t5,
    sd3_clip,
    wan,
    z_image,
)
from torch import Tensor

from pack.tests.host import models

WIDTH = 32  # of the text encoder's states
_T5 = {"d_ff": 48, "d_kv": 16, "num_heads": 2, "num_layers": 2}
# Wide enough to be told by their heads, of 64 each.
_WIDE_L = {"hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48}
_WIDE_G = {"hidden_size": 192, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 48}
_CHAT = {"intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 1, "num_key_value_heads": 1}


def _t5(tokenizer: Any, encoder: Any, width: int, name: str = "t5xxl", **more: Any) -> comfy.sd.CLIP:
    beside = {key: more.pop(key) for key in list(more) if key.endswith("_model_config")}
    sizes = {**_T5, "d_model": width, **more}
    # ACE-Step's class does not tell the name of its encoder on.
    options = {f"{name}_model_config": sizes, "_model_config": sizes, **beside, "dtype": torch.float32}
    data = {"spiece_model": vocabulary()} if name.startswith("umt5") else {}
    clip = comfy.sd.CLIP(ClipTarget(tokenizer, encoder), model_options=options, tokenizer_data=data)
    models.fill(clip.cond_stage_model, 0)
    return clip


@cache
def vocabulary(start: int = -1, *, of_bytes: bool = False) -> Tensor:
    """A vocabulary such as UMT5's, or with a start such as Gemma's, in the form that files have it in.

    The real ones have a piece for each byte, too.
    """
    made, words = io.BytesIO(), "a the cat dog red house painting by van gogh style of in tulip picture art"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([words] * 50), model_writer=made, hard_vocab_limit=False,
        vocab_size=256 * of_bytes + 60, byte_fallback=of_bytes,
        pad_id=0, eos_id=1, unk_id=3 if start == 2 else 2, bos_id=start, minloglevel=2,
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


def flux_clip(width: int = WIDTH) -> comfy.sd.CLIP:
    """Flux's T5 and CLIP-L."""
    return _t5(flux.FluxTokenizer, flux.flux_clip(), width, clip_l_model_config=_WIDE_L)


def sd3_clips(width: int = 4096, **loaded: bool) -> comfy.sd.CLIP:
    """SD3's CLIP-L, CLIP-G and T5, which the host has in one width alone."""
    beside = {"clip_l_model_config": _WIDE_L, "clip_g_model_config": _WIDE_G}
    return _t5(sd3_clip.SD3Tokenizer, sd3_clip.sd3_clip(**loaded), width, **beside)


def bert_and_mt5(width: int = WIDTH) -> comfy.sd.CLIP:
    """HunyuanDiT's BERT and mT5."""
    bert = {"hidden_size": width, "intermediate_size": 48, "num_attention_heads": 2, "num_hidden_layers": 2}
    t5 = {**_T5, "d_model": 48 if width == WIDTH else 2 * width, "vocab_size": 128}
    options = {"hydit_clip_model_config": bert, "mt5xl_model_config": t5, "dtype": torch.float32}
    data = {"mt5xl.spiece_model": vocabulary()}
    clip = comfy.sd.CLIP(ClipTarget(hydit.HyditTokenizer, hydit.HyditModel), model_options=options, tokenizer_data=data)
    models.fill(clip.cond_stage_model, 0)
    return clip


def mochi_t5xxl(width: int = WIDTH) -> comfy.sd.CLIP:
    """Mochi's T5."""
    return _t5(genmo.MochiT5Tokenizer, genmo.mochi_te(), width)


def pile_t5xl(width: int = WIDTH) -> comfy.sd.CLIP:
    """AuraFlow's T5."""
    return _t5(aura_t5.AuraT5Tokenizer, aura_t5.AuraT5Model, width, "pile_t5xl")


def chat(tokenizer: Any, encoder: Any, width: int, name: str, data: Any = None, **more: Any) -> comfy.sd.CLIP:
    """A language model of some sizes as the only text encoder, or beside CLIP-L."""
    sizes = {**_CHAT, "hidden_size": width, **more}
    options = {f"{name}_model_config": sizes, "clip_l_model_config": _WIDE_L, "dtype": torch.float32}
    with patch("comfy.text_encoders.qwen_vl.Qwen2VLVisionTransformer", torch.nn.Identity):  # no pictures are read here
        clip = comfy.sd.CLIP(ClipTarget(tokenizer, encoder), model_options=options, tokenizer_data=data or {})
    models.fill(clip.cond_stage_model, 0)
    return clip


def qwen_vl(width: int = WIDTH) -> comfy.sd.CLIP:
    """Qwen-Image's language model: its template is cut away before the text."""
    return chat(qwen_image.QwenImageTokenizer, qwen_image.te(), width, "qwen25_7b")


def z_qwen3(width: int = WIDTH) -> comfy.sd.CLIP:
    """Z-Image's: its template is read."""
    return chat(z_image.ZImageTokenizer, z_image.te(), width, "qwen3_4b")


def klein_qwen3(width: int = WIDTH) -> comfy.sd.CLIP:
    """Klein's: three layers side by side, with padding that is read."""
    return chat(flux.KleinTokenizer, flux.klein_te(), width // 3, "qwen3_4b", num_hidden_layers=28)


def gemma2(width: int = WIDTH) -> comfy.sd.CLIP:
    """Lumina 2's: a start, and no template."""
    data = {"spiece_model": vocabulary(start=2)}
    return chat(lumina2.LuminaTokenizer, lumina2.te(), width, "gemma2_2b", data, vocab_size=128)


def omnigen2_qwen(width: int = WIDTH) -> comfy.sd.CLIP:
    """OmniGen2's."""
    return chat(omnigen2.Omnigen2Tokenizer, omnigen2.te(), width, "qwen25_3b")


def llama_and_clip(width: int = WIDTH) -> comfy.sd.CLIP:
    """HunyuanVideo's: what stands around a text is cut away on both sides."""
    return chat(hunyuan_video.HunyuanVideoTokenizer, hunyuan_video.hunyuan_video_clip(), width, "llama")


def hidream_clips(width: int = WIDTH, **loaded: bool) -> comfy.sd.CLIP:
    """HiDream's CLIP-L, CLIP-G, T5, and Llama with all of its layers."""
    sizes = {**_CHAT, "hidden_size": width, "num_hidden_layers": 32}
    beside = {"clip_l_model_config": _WIDE_L, "clip_g_model_config": _WIDE_G, "llama_model_config": sizes}
    return _t5(hidream.HiDreamTokenizer, hidream.hidream_clip(**loaded), width, **beside)


def hunyuan_video_15_qwen(width: int = WIDTH) -> comfy.sd.CLIP:
    """HunyuanVideo 1.5's, without its reader of letters."""
    return chat(hunyuan_video.HunyuanVideo15Tokenizer, hunyuan_image.te(byt5=False), width, "qwen25_7b")


def hunyuan_image_qwen(width: int = WIDTH) -> comfy.sd.CLIP:
    """HunyuanImage 2.1's, without its reader of letters."""
    return chat(hunyuan_image.HunyuanImageTokenizer, hunyuan_image.te(byt5=False), width, "qwen25_7b")


def kandinsky_qwen_and_clip(width: int = WIDTH) -> comfy.sd.CLIP:
    """Kandinsky 5's, with its template for films."""
    return chat(kandinsky5.Kandinsky5Tokenizer, kandinsky5.te(), width, "qwen25_7b")


def kandinsky_image_qwen_and_clip(width: int = WIDTH) -> comfy.sd.CLIP:
    """The same with its template for pictures."""
    return chat(kandinsky5.Kandinsky5TokenizerImage, kandinsky5.te(), width, "qwen25_7b")
