#!/usr/bin/env bash
# A layer of a kohya LoRA is applied with another layer's alpha.
#
# Guess:    diffusers applies every layer of a kohya file, at its own alpha / rank, and at 1 where the file
#           holds no alpha for it.
# Versions: diffusers 0.42.1, peft 0.21.2, transformers 5.24.0, torch 2.13.0 (the loader needs it; CPU is enough).
#           By their sources, 0.31.0 still renamed the UNet's alphas (loaders/unet.py) and 0.32.2 does not;
#           only 0.42.1 was run.
# Source:   diffusers/loaders/lora_conversion_utils.py, _get_alpha_name: the name is cut at ".lora.", which names of
#           attention layers ("to_q_lora.down") do not hold; loaders/peft.py, load_lora_adapter: weights are
#           renamed for PEFT, alphas are not; utils/peft_utils.py, get_peft_kwargs: the commonest alpha is for
#           all, the others go to alpha_pattern, where these names match no layer.
# Behaviour: attention layers of the UNet get the commonest alpha of the file, divided by their own rank.
#           Feed-forward layers of the UNet get their own. A layer with no alpha gets the commonest alpha too, so one that should be at 1 may be at 1/4.
#           PEFT 0.21.2 warns that names in alpha_pattern matched nothing, where there are such names;
#           where one alpha is missing nothing is said.
# Why it matters: files whose rank differs by layer (resized, or made layer by layer with a tolerance) are applied
#           at other strengths than in the programs they were made for, and look only a little wrong.
#           Writing safely: the same alpha / rank is not enough. Multiply the scale into the up weights,
#           leave out every alpha, and the strengths are right (case "no alpha" below).
#
# Output seen (layers: strength in the file -> strength applied; the number of warnings about alpha_pattern):
#   own alphas        attn1 1 -> 1,  attn2 0.25 -> 1,  ff 0.5 -> 0.5    1
#   resized           attn1 1 -> 1,  attn2 1 -> 0.5,   ff 1 -> 1        1
#   alpha on some     attn1 1 -> 0.25,  attn2 0.25 -> 0.25,  ff 1 -> 0.25   0
#   no alpha          attn1 1 -> 1,  attn2 1 -> 1,     ff 1 -> 1        0
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
from diffusers import UNet2DConditionModel
from diffusers.loaders import StableDiffusionLoraLoaderMixin as Loader

logging.disable(logging.WARNING)


def unet():
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8, layers_per_block=1, block_out_channels=(32, 64), norm_num_groups=8, cross_attention_dim=32,
        attention_head_dim=8, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"))


def case(model, kinds, prefix, load, sizes):
    """sizes: kind -> (rank, alpha or None). Returns kind -> [strength in the file, strengths applied], warnings."""
    generator = torch.Generator().manual_seed(1)
    file, change, kind_of = {}, {}, {}
    for name, layer in model.named_modules():
        kind = next((k for k in kinds if f".{k}." in f".{name}."), None)
        if kind is None or not isinstance(layer, torch.nn.Linear):
            continue
        rank, alpha = sizes[kind]
        down = torch.randn(rank, layer.in_features, generator=generator)
        up = torch.randn(layer.out_features, rank, generator=generator)
        key = prefix + name.replace(".", "_")
        file[f"{key}.lora_down.weight"], file[f"{key}.lora_up.weight"] = down, up
        if alpha is not None:
            file[f"{key}.alpha"] = torch.tensor(float(alpha))
        change[name], kind_of[name] = up @ down, kind
    before = {name: model.get_submodule(name).weight.detach().clone() for name in change}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        load(model, *Loader.lora_state_dict(file))
    found = {}
    for name, by in change.items():
        layer = model.get_submodule(name)
        layer.merge()
        moved = layer.base_layer.weight.detach() - before[name]
        found.setdefault(kind_of[name], set()).add(round(float((moved * by).sum() / (by * by).sum()), 3))
    return ({k: [1.0 if sizes[k][1] is None else sizes[k][1] / sizes[k][0], sorted(found[k])] for k in kinds},
            sum("alpha_pattern" in str(w.message) for w in said))


def of_unet(sizes):
    return case(unet(), ("attn1", "attn2", "ff"), "lora_unet_",
                lambda model, weights, alphas: Loader.load_lora_into_unet(weights, alphas, model), sizes)


seen = {
    "own alphas": of_unet({"attn1": (4, 4), "attn2": (4, 1), "ff": (4, 2)}),
    "resized": of_unet({"attn1": (4, 4), "attn2": (8, 8), "ff": (4, 4)}),
    "alpha on some": of_unet({"attn1": (4, None), "attn2": (4, 1), "ff": (4, None)}),
    "no alpha": of_unet({"attn1": (4, None), "attn2": (8, None), "ff": (2, None)}),
}
recorded = {
    "own alphas": ({"attn1": [1.0, [1.0]], "attn2": [0.25, [1.0]], "ff": [0.5, [0.5]]}, 1),
    "resized": ({"attn1": [1.0, [1.0]], "attn2": [1.0, [0.5]], "ff": [1.0, [1.0]]}, 1),
    "alpha on some": ({"attn1": [1.0, [0.25]], "attn2": [0.25, [0.25]], "ff": [1.0, [0.25]]}, 0),
    "no alpha": ({"attn1": [1.0, [1.0]], "attn2": [1.0, [1.0]], "ff": [1.0, [1.0]]}, 0),
}
for name, value in seen.items():
    print(f"{name:14} {value}  {'as recorded' if value == recorded[name] else 'CHANGED'}")
sys.exit(seen != recorded)
PY
