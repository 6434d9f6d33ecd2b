#!/usr/bin/env bash
# The same LoRA of cross-attention for a video model, in the four ways that files name it: diffusers applies alpha for Wan
# and leaves it out for LTX-Video, takes kohya's names for Wan only if every layer is in the file, and for LTX-Video never.
#
# Guess:    what loads does so with alpha / rank, as for Stable Diffusion, and a LoRA of some layers is one of those layers
#           whatever its names; what is not understood is refused.
# Versions: diffusers 0.42.1, peft 0.21.2, torch 2.13.0 (CPU), safetensors 0.8.0.
# Source:   diffusers/loaders/lora_conversion_utils.py: the converter of kohya's names for Wan pops the keys of every layer
#           of a block; that of ComfyUI's names for Wan folds alpha in, and that for LTX-Video renames keys alone.
#           diffusers/loaders/peft.py then looks for alphas under keys that the renamed ones do not have.
# Behaviour: names (alpha is half of the rank)             Wan                        LTX-Video
#           lora_unet_….lora_down / lora_up, alpha         KeyError                   no layer (told by a log line)
#           diffusion_model.….lora_down / lora_up, alpha   4 layers, half             IndexError
#           diffusion_model.….lora_A / lora_B, alpha       4 layers, half             4 layers, the whole: twice as much
#           diffusion_model.….lora_A / lora_B              4 layers, the whole        4 layers, the whole
# Why it matters: trainers for video models write ComfyUI's names with alpha below the rank, and such a file is applied to
#           LTX-Video at rank / alpha times its strength without a word. Files of cross-attention alone, as editing tools
#           make them, load for both models in the last form.
#
# Output seen: the table above, as lines that end with "as recorded".
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/python" -m pip install -qq --no-deps \
  diffusers==0.42.1 peft==0.21.2 transformers==5.24.0 accelerate==1.15.0 \
  safetensors==0.8.0 tokenizers==0.23.3 huggingface_hub==2.4.0 \
  torch==2.13.0 numpy==2.4.6 pillow==13.0.0 \
  typing_extensions==4.16.0 sympy==1.14.0 mpmath==1.3.0 jinja2==3.1.6 \
  markupsafe==3.0.4 filelock==4.3.1 fsspec==2026.9.0 packaging==26.4 \
  pyyaml==6.0.4 regex==2026.11.19 requests==2.34.2 urllib3==2.8.0 \
  charset-normalizer==3.5.3 certifi==2026.10.19.post1 idna==3.20 \
  httpx2==2.16.2 httpcore2==2.16.2 anyio==4.16.0 h11==0.16.0 \
  truststore==0.10.5 tqdm==4.70.1 psutil==7.2.2 importlib_metadata==10.2.0 \
  zipp==4.1.2 setuptools==84.2.1
cd "$tmp"
OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 "$tmp/venv/bin/python" - <<'PY' 2>/dev/null
import sys
from copy import deepcopy

import torch
from diffusers import LTXVideoTransformer3DModel, WanTransformer3DModel
from diffusers.loaders.lora_pipeline import LTXVideoLoraLoaderMixin, WanLoraLoaderMixin
from safetensors.torch import save_file

RANK = 2
torch.manual_seed(0)
MODELS = {
    "wan": (
        WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16,
            text_dim=16, freq_dim=32, ffn_dim=32, num_layers=2,
        ),
        WanLoraLoaderMixin, "blocks.{}.cross_attn.{}", ("k", "v"), 24,
    ),
    "ltx": (
        LTXVideoTransformer3DModel(
            in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16,
            num_layers=2, caption_channels=16,
        ),
        LTXVideoLoraLoaderMixin, "transformer_blocks.{}.attn2.{}", ("to_k", "to_v"), 16,
    ),
}
FORMS = {
    "kohya": ("lora_unet_", ("lora_down", "lora_up"), True),
    "module, down and up": ("diffusion_model.", ("lora_down", "lora_up"), True),
    "module, A and B": ("diffusion_model.", ("lora_A", "lora_B"), True),
    "module, A and B, no alpha": ("diffusion_model.", ("lora_A", "lora_B"), False),
}


def loaded(kind, form):
    model, mixin, pattern, layers, width = MODELS[kind]
    prefix, (down, up), alpha = FORMS[form]
    generator, content, whole = torch.Generator().manual_seed(1), {}, None
    for block in range(2):
        for layer in layers:
            inner = pattern.format(block, layer)
            name = prefix + (inner.replace(".", "_") if prefix == "lora_unet_" else inner)
            first, second = torch.randn(RANK, width, generator=generator), torch.randn(width, RANK, generator=generator)
            content |= {f"{name}.{down}.weight": first, f"{name}.{up}.weight": second}
            content |= {f"{name}.alpha": torch.tensor(RANK / 2)} if alpha else {}
            whole = second @ first  # of the last block's values
    save_file(content, "lora.safetensors")
    copy = deepcopy(model)
    try:
        found = mixin.lora_state_dict("lora.safetensors")
        mixin.load_lora_into_transformer(found[0] if isinstance(found, tuple) else found, transformer=copy, adapter_name="a")
    except (KeyError, IndexError) as error:
        return type(error).__name__
    count = sum("lora_B" in name for name, _ in copy.named_parameters())
    if not count:
        return "no layer"
    layer = next(part for name, part in copy.named_modules() if name.endswith("1.attn2.to_v"))
    applied = layer.lora_B["a"].weight @ layer.lora_A["a"].weight * layer.scaling["a"]
    return f"{count} layers, {float((applied.norm() / whole.norm()).detach()):.2f} of up times down"


recorded = {
    ("wan", "kohya"): "KeyError",
    ("wan", "module, down and up"): "4 layers, 0.50 of up times down",
    ("wan", "module, A and B"): "4 layers, 0.50 of up times down",
    ("wan", "module, A and B, no alpha"): "4 layers, 1.00 of up times down",
    ("ltx", "kohya"): "no layer",
    ("ltx", "module, down and up"): "IndexError",
    ("ltx", "module, A and B"): "4 layers, 1.00 of up times down",
    ("ltx", "module, A and B, no alpha"): "4 layers, 1.00 of up times down",
}
changed = False
for (kind, form), expected in recorded.items():
    seen = loaded(kind, form)
    changed |= seen != expected
    print(f"{kind:4} {form:28} {seen:36} {'as recorded' if seen == expected else 'CHANGED'}")
sys.exit(changed)
PY
