#!/usr/bin/env bash
# A kohya LoRA for the text encoder: without an out_proj in it, diffusers leaves q, k and v out; with one, the alphas are
# those of other layers.
#
# Guess:    every text encoder layer of a kohya file is applied, at its own alpha / rank, whichever others are in the file.
# Versions: diffusers 0.42.1, transformers 5.24.0, peft 0.21.2, torch 2.13.0 (the loader needs it; CPU is enough).
# Source:   diffusers/utils/state_dict_utils.py, convert_state_dict_to_diffusers and convert_state_dict_to_peft: the dialect
#           is told by "to_out_lora" or "lora_linear_layer" somewhere in the names, and q, k and v are renamed in the
#           first only. utils/peft_utils.py, get_peft_kwargs, branch is_unet=False: alphas of attention layers are
#           cut at "self_attn". loaders/lora_base.py, _load_lora_into_text_encoder: takes "text_model." off the
#           weights' names (the module's names in transformers 5), and not off the alphas'.
# Behaviour: q, k, v and the MLP, no out_proj: only the MLP is applied; transformers lists the others as unexpected keys,
#           and adds that these can be ignored. q, k and v alone: ValueError, the dialect is not recognised.
#           With an out_proj all are applied, each with the commonest alpha of the file over its own rank, so that
#           a layer meant at 0.25 is at 1; PEFT warns that names in alpha_pattern matched nothing. The UNet's loader has
#           a path of its own: see diffusers-lora-alpha-of-another-layer.sh.
# Why it matters: a file need not hold every layer, and one that holds fewer is applied in part, which the pictures show less
#           than a log would. Writing safely: put an out_proj in (zeros will do), the scale into the up weights, and no alpha.
#
# Output seen (strength in the file -> strength applied; the number of warnings about alpha_pattern):
#   no out_proj        q_proj 1 -> 0      fc1 1 -> 1                                 0
#   zeros as out_proj  q_proj 1 -> 1      fc1 1 -> 1                                 0
#   own alphas         q_proj 0.25 -> 1   out_proj 1 -> 1   fc1 0.5 -> 1   fc2 1 -> 1   1
#   only q_proj        ValueError
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
from diffusers.loaders import StableDiffusionLoraLoaderMixin as Loader
from transformers import CLIPTextConfig, CLIPTextModel

logging.disable(logging.WARNING)


def case(sizes, zeros=()):
    """sizes: kind of layer -> (rank, alpha or None). Returns kind -> [strength in the file, strengths applied], warnings."""
    torch.manual_seed(0)
    model = CLIPTextModel(CLIPTextConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                                         vocab_size=99, bos_token_id=97, eos_token_id=98))
    file, change, kind_of = {}, {}, {}
    for name, layer in model.named_modules():
        kind = name.rsplit(".", 1)[-1]
        if kind not in sizes:
            continue
        rank, alpha = sizes[kind]
        key = "lora_te_text_model_" + name.replace(".", "_")
        down = file[f"{key}.lora_down.weight"] = torch.randn(rank, layer.in_features)
        up = file[f"{key}.lora_up.weight"] = torch.randn(layer.out_features, rank) * (kind not in zeros)
        if alpha is not None:
            file[f"{key}.alpha"] = torch.tensor(float(alpha))
        if kind not in zeros:
            change[name], kind_of[name] = up @ down, kind
    before = {name: model.get_submodule(name).weight.detach().clone() for name in change}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            Loader.load_lora_into_text_encoder(*Loader.lora_state_dict(file), model, prefix="text_encoder")
        except ValueError as error:
            return type(error).__name__
    found = {}
    for name, by in change.items():
        layer = model.get_submodule(name)
        if hasattr(layer, "merge"):
            layer.merge()
        moved = getattr(layer, "base_layer", layer).weight.detach() - before[name]
        found.setdefault(kind_of[name], set()).add(round(float((moved * by).sum() / (by * by).sum()), 3) + 0.0)
    return ({kind: [1.0 if sizes[kind][1] is None else sizes[kind][1] / sizes[kind][0], sorted(values)]
             for kind, values in found.items()}, sum("alpha_pattern" in str(w.message) for w in said))


seen = {
    "no out_proj": case({"q_proj": (4, None), "fc1": (4, None)}),
    "zeros as out_proj": case({"q_proj": (4, None), "out_proj": (4, None), "fc1": (4, None)}, zeros=("out_proj",)),
    "own alphas": case({"q_proj": (4, 1), "out_proj": (4, 4), "fc1": (4, 2), "fc2": (4, 4)}),
    "only q_proj": case({"q_proj": (4, None)}),
}
recorded = {
    "no out_proj": ({"q_proj": [1.0, [0.0]], "fc1": [1.0, [1.0]]}, 0),
    "zeros as out_proj": ({"q_proj": [1.0, [1.0]], "fc1": [1.0, [1.0]]}, 0),
    "own alphas": ({"q_proj": [0.25, [1.0]], "out_proj": [1.0, [1.0]], "fc1": [0.5, [1.0]], "fc2": [1.0, [1.0]]}, 1),
    "only q_proj": "ValueError",
}
for name, value in seen.items():
    print(f"{name:18} {value}  {'as recorded' if value == recorded[name] else 'CHANGED'}")
sys.exit(seen != recorded)
PY
