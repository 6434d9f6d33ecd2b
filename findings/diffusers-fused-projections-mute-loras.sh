#!/usr/bin/env bash
# After fuse_qkv_projections a LoRA of the fused layers does nothing, and one that was fused before cannot be taken off.
#
# Guess:    fusing q, k and v is a matter of speed: with a LoRA before or after it, the model answers as without fusing, or it raises.
# Versions: diffusers 0.42.1, peft 0.21.2, torch 2.13.0 (CPU).
# Source:   diffusers/models/attention_processor.py and attention.py, fuse_projections: the weights of to_q, to_k and to_v are copied
#           into a new layer (to_qkv, to_kv; add_q_proj and its kin into to_added_qkv), which the fused processors call instead.
#           The three stay as modules, so PEFT finds them, wraps them and reports them as active, and nobody calls them; a
#           copy is made of the base layer's weight, without its adapters.
# Behaviour: how much of the LoRA's effect on the answer is left (0: the base model; tiny random models, rank 8):
#                                        UNet    SD3     Flux
#           to_k, to_v: added, then fused    0       0       0
#           to_k, to_v: fused, then added    0       0       0
#           with to_q as well                .29     0       0       (a UNet's cross-attention has no fused q)
#           to_out.0 alone                   1       1       1
#           to_k, to_v with fuse_lora, then projections fused, then unfuse_lora:      1, where 0 is meant
#           to_v of all layers set to zero after fusing:                          the base model
#           get_active_adapters names the adapter each time; there is no warning.
# Why it matters: fusing is recommended for speed, once for a pipeline, and services then put each user's LoRA on it. A LoRA that erases
#           or hides something is then not there, and another user's cannot be taken off. An edit of to_k and to_v weights,
#           which is what most closed forms of concept erasure are, is lost the same way, and comes back when the
#           projections are unfused.
#
# Output seen: the table above, a line for each.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/python" -m pip install -qq --no-deps \
  diffusers==0.42.1 peft==0.21.2 transformers==5.24.0 accelerate==1.15.0 \
  safetensors==0.8.0 tokenizers==0.23.3 huggingface_hub==2.4.0 \
  torch==2.13.0 numpy==2.4.6 pillow==13.0.0 \
  typing_extensions==4.16.0 sympy==1.14.0 mpmath==1.3.0 jinja2==3.1.6 networkx==3.6.1 \
  markupsafe==3.0.4 filelock==4.3.1 fsspec==2026.9.0 packaging==26.4 \
  pyyaml==6.0.4 regex==2026.11.19 requests==2.34.2 urllib3==2.8.0 \
  charset-normalizer==3.5.3 certifi==2026.10.19.post1 idna==3.20 \
  httpx2==2.16.2 httpcore2==2.16.2 anyio==4.16.0 h11==0.16.0 \
  truststore==0.10.5 tqdm==4.70.1 psutil==7.2.2 importlib_metadata==10.2.0 \
  zipp==4.1.2 setuptools==84.2.1
cd "$tmp"
HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 "$tmp/venv/bin/python" - <<'PY' 2> /dev/null
import sys
import warnings

import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel, UNet2DConditionModel
from diffusers.utils import logging
from peft import LoraConfig

torch.manual_seed(0)
PICTURE, TEXT, STEP = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 32), torch.tensor([5])
POOLED, PATCHES = torch.randn(1, 32), torch.randn(1, 16, 4)
HEADS = {"num_layers": 2, "attention_head_dim": 16, "num_attention_heads": 2, "joint_attention_dim": 32, "in_channels": 4}


def model(kind):
    torch.manual_seed(0)
    if kind == "UNet":
        found = UNet2DConditionModel(
            sample_size=8, layers_per_block=1, block_out_channels=(32, 64), cross_attention_dim=32, attention_head_dim=8,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), norm_num_groups=8,
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        )
    elif kind == "SD3":
        found = SD3Transformer2DModel(
            sample_size=8, patch_size=2, caption_projection_dim=32, pooled_projection_dim=32, out_channels=4, **HEADS
        )
    else:
        found = FluxTransformer2DModel(
            num_single_layers=1, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8), **HEADS
        )
    return found.eval()


def answer(kind, of):
    if kind == "UNet":
        return of(PICTURE, STEP, TEXT).sample
    if kind == "SD3":
        return of(PICTURE, TEXT, POOLED, STEP).sample
    return of(PATCHES, TEXT, POOLED, STEP, torch.zeros(4, 3), torch.zeros(16, 3)).sample


def with_lora(found, targets):
    torch.manual_seed(1)
    found.add_adapter(LoraConfig(r=8, lora_alpha=8, target_modules=targets, init_lora_weights=False))
    return found


@torch.no_grad()
def cases(kind):
    base = answer(kind, model(kind))
    seen = {}
    for targets in (["to_k", "to_v"], ["to_q", "to_k", "to_v"], ["to_out.0"]):
        live = answer(kind, with_lora(model(kind), targets))

        def share(of):
            return round(float((answer(kind, of) - base).norm() / (live - base).norm()), 2)

        after, before = with_lora(model(kind), targets), model(kind)
        after.fuse_qkv_projections()
        before.fuse_qkv_projections()
        with_lora(before, targets)
        assert after.active_adapters() == before.active_adapters() == ["default"]
        seen[", ".join(targets)] = (share(after), share(before))
        if targets == ["to_k", "to_v"]:
            whole = with_lora(model(kind), targets)
            whole.fuse_lora()
            whole.fuse_qkv_projections()
            whole.unfuse_lora()
            seen["unfused again"] = (share(whole),)
    edited = model(kind)
    edited.fuse_qkv_projections()
    for name, weight in edited.named_parameters():
        if name.endswith("to_v.weight"):
            weight.zero_()
    seen["to_v set to zero"] = (round(float((answer(kind, edited) - base).norm()), 2),)
    edited.unfuse_qkv_projections()
    seen["and projections unfused"] = (bool((answer(kind, edited) - base).norm() > 1e-3 * base.norm()),)
    return seen


def recorded(kind):
    most = 0.29 if kind == "UNet" else 0.0
    return {
        "to_k, to_v": (0.0, 0.0), "unfused again": (1.0,), "to_q, to_k, to_v": (most, most), "to_out.0": (1.0, 1.0),
        "to_v set to zero": (0.0,), "and projections unfused": (True,),
    }


logging.set_verbosity_info()
changed = False
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for kind in ("UNet", "SD3", "Flux"):
        seen, wanted = cases(kind), recorded(kind)
        for name, values in seen.items():
            same = all(abs(one - other) < 0.05 for one, other in zip(values, wanted[name], strict=True))
            changed |= not same
            print(f"{kind:5} {name:24} {', '.join(map(str, values))}{'' if same else '  CHANGED'}")
said = [str(one.message) for one in told if "fuse" in str(one.message) or "lora" in str(one.message).lower()]
print(f"said: {said or 'nothing'}")
sys.exit(changed or bool(said))
PY
