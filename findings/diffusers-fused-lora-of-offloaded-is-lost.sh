#!/usr/bin/env bash
# fuse_lora of an offloaded UNet says nothing, and the LoRA is gone from its pictures.
#
# Guess:    diffusers fuses a LoRA into a model that accelerate has offloaded (as enable_sequential_cpu_offload does), as PEFT's own
#           merge_adapter does then; or it raises.
# Versions: diffusers 0.42.1, peft 0.21.2, accelerate 1.15.0, torch 2.13.0 (CPU; the model is offloaded from the CPU to the CPU).
# Source:   diffusers/loaders/peft.py, _fuse_lora_apply: it calls merge() of each layer. PEFT's merge_adapter and merge_and_unload
#           first bring an offloaded layer's weight in (onload_layer, peft/tuners/tuners_utils.py); merge() itself does not, and adds
#           to the weight on the meta device, which does nothing. The layer then counts as merged, and its forward() leaves the LoRA out.
# Behaviour: distance of the outputs, against that of LoRA and base model:
#                        fused from LoRA   fused from base   unfused from LoRA
#           plain        0                 1                 0
#           offloaded    1                 0                 0
#           A LoRA that is added to a model which is offloaded already is on the meta device, without its values; the model
#           still answers (see torch-meta-weights-answer-unwritten-memory.sh), so that its outputs are of chance.
# Why it matters: offloading is what makes large models fit, and fusing what makes LoRAs fast. Together they give the base
#           model: a style that is missing, or, where a LoRA erases a concept, the concept. Fuse before offloading.
#
# Output seen: the table above.
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
HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 "$tmp/venv/bin/python" - <<'PY' 2> /dev/null
import sys
import warnings

import torch
from accelerate import cpu_offload
from diffusers import UNet2DConditionModel
from peft import LoraConfig

warnings.filterwarnings("ignore")
torch.manual_seed(0)
NOISE, TEXT = torch.randn(1, 4, 8, 8), torch.randn(1, 7, 32)
LORA = LoraConfig(r=4, lora_alpha=4, init_lora_weights=False, target_modules=["to_k", "to_v"])


def unet():
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8, layers_per_block=1, block_out_channels=(32, 64), cross_attention_dim=32, attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        norm_num_groups=8,
    ).eval()


@torch.no_grad()
def drawn(model):
    return model(NOISE, torch.tensor([5]), TEXT).sample


def case(offloaded):
    model = unet()
    torch.manual_seed(1)
    model.add_adapter(LORA)
    if offloaded:
        cpu_offload(model, execution_device="cpu")
    live = drawn(model)
    model.fuse_lora()
    fused = drawn(model)
    model.unfuse_lora()
    whole = (live - BASE).norm()
    return tuple(round(float((one - other).norm() / whole), 3)
                 for one, other in ((fused, live), (fused, BASE), (drawn(model), live)))


def onto_offloaded():
    """Where the numbers of a LoRA are that is added to a model which is offloaded already."""
    model = unet()
    cpu_offload(model, execution_device="cpu")
    model.add_adapter(LORA)
    return {value.device.type for name, value in model.named_parameters() if "lora_" in name}


BASE = drawn(unet())
recorded = {False: (0.0, 1.0, 0.0), True: (1.0, 0.0, 0.0)}
changed = False
for offloaded, expected in recorded.items():
    seen = case(offloaded)
    changed |= seen != expected
    print(f"{'offloaded' if offloaded else 'plain':10} fused: {seen[0]} from the LoRA, {seen[1]} from the base model; "
          f"unfused: {seen[2]} from the LoRA{'' if seen == expected else '  CHANGED'}")
devices = onto_offloaded()
changed |= devices != {"meta"}
print("a LoRA that is added after offloading is on:", *devices)
sys.exit(changed)
PY
