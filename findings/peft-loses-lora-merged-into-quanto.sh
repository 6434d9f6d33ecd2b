#!/usr/bin/env bash
# A LoRA that PEFT merges into a frozen layer of optimum-quanto is gone: the merged model is the base model, also with
# safe_merge=True, and nothing is said.
#
# Guess:    merging raises, since PEFT has no layer for quanto's weights, or gives base + LoRA, rounded to the type.
# Versions: peft 0.21.2, optimum-quanto 0.2.7, torch 2.13.0 (CPU).
# Source:   peft/tuners/lora/model.py, LoraModel._create_new_module, asks torchao, bitsandbytes, GPTQ and others before
#           nn.Linear; a QLinear is none of theirs and is an nn.Linear. peft/tuners/lora/layer.py, Linear.merge, adds to
#           `weight.data` (safe: assigns it), which a frozen weight of quanto does not take.
# Behaviour: how far the layer's answer is from the base layer's, as a share of it
#                                 with the LoRA   merged   merged, safe   unmerged   merge_and_unload
#           plain                 4.1             4.1      4.1            4.1        4.1
#           qint8, not frozen     4.1             4.1      4.1            4.1        4.1
#           qint8, frozen         4.1             0        0              4.1        0
#           qint4, frozen         4.1             0        0              4.1        0
#           qfloat8, frozen       4.1             0        0              4.1        0
#           The adapter counts as merged meanwhile, so it is not added while the model runs either.
# Why it matters: merging is what makes a LoRA free while it runs, and what is done before a model is saved. On such a
#           model it takes the LoRA away, one that erases a concept as well. Merge before quantising, or do not merge.
#
# Output seen: the table above. (torchao's weights have a PEFT layer of their own, which refuses to merge and says why.)
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/python" -m pip install -qq --no-deps \
  peft==0.21.2 transformers==5.24.0 accelerate==1.15.0 \
  safetensors==0.8.0 tokenizers==0.23.3 huggingface_hub==2.4.0 \
  torch==2.13.0 numpy==2.4.6 pillow==13.0.0 \
  typing_extensions==4.16.0 sympy==1.14.0 mpmath==1.3.0 jinja2==3.1.6 \
  markupsafe==3.0.4 filelock==4.3.1 fsspec==2026.9.0 packaging==26.4 \
  pyyaml==6.0.4 regex==2026.11.19 requests==2.34.2 urllib3==2.8.0 \
  charset-normalizer==3.5.3 certifi==2026.10.19.post1 idna==3.20 \
  httpx2==2.16.2 httpcore2==2.16.2 anyio==4.16.0 h11==0.16.0 \
  truststore==0.10.5 tqdm==4.70.1 psutil==7.2.2 importlib_metadata==10.2.0 \
  zipp==4.1.2 setuptools==84.2.1 \
  optimum-quanto==0.2.7 ninja==1.13.2
cd "$tmp"
cat > seen.py <<'PY'
import sys

import torch
from optimum.quanto import freeze, qfloat8, qint4, qint8, quantize
from peft import LoraConfig, get_peft_model
from torch import nn

INPUTS = torch.randn(4, 64, generator=torch.Generator().manual_seed(2))


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.q = nn.Linear(64, 64, bias=False)

    def forward(self, states):
        return self.q(states)


def model(kind, frozen):
    base = Base()
    if kind is not None:
        quantize(base, weights=kind)
    if frozen:
        freeze(base)
    before = base(INPUTS)
    found = get_peft_model(base, LoraConfig(target_modules=["q"], r=8, init_lora_weights=False))
    torch.manual_seed(1)
    for name, weight in found.named_parameters():
        if "lora_" in name:
            nn.init.normal_(weight, std=0.3)
    return found, lambda now: round(float((now(INPUTS) - before).norm() / before.norm()), 1)


@torch.no_grad()
def shares(kind, frozen):
    found, share = model(kind, frozen)
    told = [share(found)]
    found.merge_adapter()
    told.append(share(found))
    safe, its = model(kind, frozen)
    safe.merge_adapter(safe_merge=True)
    told.append(its(safe))
    found.unmerge_adapter()
    told.append(share(found))
    return (*told, share(found.merge_and_unload()))


cases = {
    "plain": (None, False), "qint8, not frozen": (qint8, False), "qint8, frozen": (qint8, True),
    "qint4, frozen": (qint4, True), "qfloat8, frozen": (qfloat8, True),
}  # fmt: skip
seen = {name: shares(*case) for name, case in cases.items()}
print("                   with LoRA, merged, merged safely, unmerged, merge_and_unload")
for name, row in seen.items():
    print(f"{name:20}", *row)
wanted = {name: (4.1, 0.0, 0.0, 4.1, 0.0) if name.endswith(", frozen") else (4.1,) * 5 for name in cases}
print("as recorded" if seen == wanted else f"something has changed: {wanted}")
sys.exit(seen != wanted)
PY
HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 "$tmp/venv/bin/python" seen.py 2>told.txt || { cat told.txt; exit 1; }
