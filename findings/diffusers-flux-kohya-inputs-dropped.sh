#!/usr/bin/env bash
# A Flux LoRA with kohya's names loses its text, vector, picture and time inputs in diffusers, and nothing is said.
#
# Guess:    diffusers' converter of kohya's Flux LoRAs has a line each for txt_in, vector_in, img_in, time_in,
#           guidance_in and final_layer, so what it converts, load_lora_weights applies.
# Versions: diffusers 0.42.1, peft 0.21.2, transformers 5.24.0, torch 2.13.0 (CPU is enough).
# Source:   diffusers/loaders/lora_conversion_utils.py, _convert_kohya_flux_lora_to_diffusers: layers of blocks become
#           "transformer.transformer_blocks…", those outside the blocks "context_embedder", "x_embedder",
#           "time_text_embed…", "norm_out…", without "transformer.". loaders/peft.py then takes what begins with
#           "transformer." alone.
# Behaviour: a file with lora_unet_txt_in, lora_unet_vector_in_in_layer, lora_unet_img_in, lora_unet_time_in_in_layer
#           and a layer of a block loads without error, warning or log line, and only the block's layer is in the
#           model. A file of the outer layers alone changes nothing; there a line says "No LoRA keys associated to
#           FluxTransformer2DModel found", "safe to ignore". The same tensors under OneTrainer's names
#           (lora_transformer_context_embedder…), which the same function converts, and under diffusers' own arrive.
# Why it matters: whoever trains or exports the text input of Flux (concept erasure edits just that) and shares it in
#           kohya's spelling ships a file that works in ComfyUI and does nothing, or half, in diffusers. Export with
#           diffusers' names, transformer.context_embedder.lora_A.weight: both programs read them.
#
# Output seen:
#   kohya, with a block       context_embedder False, text_embedder False, x_embedder False, timestep False, block True
#   kohya, outer layers       nothing
#   OneTrainer                context_embedder True
#   diffusers                 context_embedder True
#   said of the first         0 lines
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
HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 "$tmp/venv/bin/python" - <<'PY'
import logging
import sys
import warnings

import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from safetensors.torch import save_file

heard = []


class Ear(logging.Handler):
    def emit(self, record):
        heard.append(record.getMessage())


logging.getLogger("diffusers").addHandler(Ear(level=logging.INFO))


def model():
    torch.manual_seed(0)
    return FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=24, pooled_projection_dim=20, guidance_embeds=False, axes_dims_rope=(4, 4, 8))


def pair(name, rows, columns, down="lora_down", up="lora_up", alpha=True):
    torch.manual_seed(1)
    found = {f"{name}.{down}.weight": torch.randn(2, columns), f"{name}.{up}.weight": torch.randn(rows, 2)}
    return found | ({f"{name}.alpha": torch.tensor(2.0)} if alpha else {})


outer = {**pair("lora_unet_txt_in", 32, 24), **pair("lora_unet_vector_in_in_layer", 32, 20),
         **pair("lora_unet_img_in", 32, 16), **pair("lora_unet_time_in_in_layer", 32, 256)}
files = {
    "kohya, with a block": {**outer, **pair("lora_unet_double_blocks_0_img_attn_proj", 32, 32)},
    "kohya, outer layers": outer,
    "OneTrainer": pair("lora_transformer_context_embedder", 32, 24),
    "diffusers": pair("transformer.context_embedder", 32, 24, "lora_A", "lora_B", alpha=False),
}
seen, said = {}, {}
for name, content in files.items():
    save_file(content, "lora.safetensors")
    network = model()
    heard.clear()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        state, alphas = FluxPipeline.lora_state_dict(
            ".", weight_name="lora.safetensors", local_files_only=True, return_alphas=True)
        FluxPipeline.load_lora_into_transformer(
            state, network_alphas=alphas, transformer=network, adapter_name="one")
    seen[name] = sorted(layer for layer, module in network.named_modules() if hasattr(module, "base_layer"))
    said[name] = len(heard) + len(warned)

recorded = {
    "kohya, with a block": ["transformer_blocks.0.attn.to_out.0"],
    "kohya, outer layers": [],
    "OneTrainer": ["context_embedder"],
    "diffusers": ["context_embedder"],
}
for name in files:
    print(f"{name:22} layers with a LoRA: {seen[name]}  {'as recorded' if seen[name] == recorded[name] else 'CHANGED'}")
quiet = said["kohya, with a block"]
print(f"lines said of the first: {quiet}")
sys.exit(seen != recorded or quiet != 0)
PY
