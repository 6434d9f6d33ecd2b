#!/usr/bin/env bash
# PEFT's add_weighted_adapter makes an rsLoRA √rank times as strong, and leaves out what a DoRA has learned of lengths.
#
# Guess:    a combination of one adapter with the weight 1 is that adapter, whatever kind it is; or the kind is refused.
# Versions: peft 0.21.2, torch 2.13.0 (CPU), transformers 5.24.0, accelerate 1.15.0 (peft imports both).
# Source:   peft/tuners/lora/model.py, add_weighted_adapter: the new adapter has the first one's config with r and lora_alpha at
#           the new rank, so that its scaling is 1, and the adapters' own scalings are put into its factors; but use_rslora stays
#           in that config, so its scaling is rank / √rank. Of use_dora the new adapter gets lengths of its own, as for a new one.
# Behaviour: combination of one adapter at 1 by cat, linear and svd alike (Linear 32 to 32, alpha = rank, random factors): how much
#           of its change there is, and how far outputs are apart, against the change it made:
#           LoRA, rank 8 and 16          1       0
#           rsLoRA, rank 4, 8, 16        2, 2.83, 4    1, 1.83, 3
#           DoRA, rank 8, lengths x 1.3  1       .49
# Why it matters: it is how tools mix styles and negate concepts; a mix of rsLoRAs is several times
#           too strong, and looks like a bad mix, not like a fault. Nothing is said.
#
# Output seen: the table above, a line for each kind, rank and way.
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
import sys
import warnings

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

warnings.filterwarnings("ignore")
INPUTS = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
WAYS = ("cat", "linear", "svd")


@torch.no_grad()
def share(way, rank, weight=1.0, **kind):
    """How much of an adapter is in a combination of it alone, and how far outputs are from its own, against its change."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 32))
    before = model(INPUTS)
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=["0"], init_lora_weights=False, **kind)
    peft = get_peft_model(model, config, adapter_name="own")
    for name, value in peft.named_parameters():
        if "magnitude" in name:
            value.mul_(1.3)  # as training would
    own = peft(INPUTS)
    peft.add_weighted_adapter(["own"], [weight], "copy", combination_type=way)
    layer = peft.base_model.model[0]
    one, other = layer.get_delta_weight("own"), layer.get_delta_weight("copy")
    peft.set_adapter("copy")
    apart = (peft(INPUTS) - own).norm() / (own - before).norm()
    return round(float((one * other).sum() / one.square().sum()), 2), round(float(apart), 2)


recorded = {
    ("LoRA", 8): (1.0, 0.0), ("LoRA", 16): (1.0, 0.0),
    ("rsLoRA", 4): (2.0, 1.0), ("rsLoRA", 8): (2.83, 1.83), ("rsLoRA", 16): (4.0, 3.0),
    ("DoRA", 8): (1.0, 0.49),
}
KINDS = {"LoRA": {}, "rsLoRA": {"use_rslora": True}, "DoRA": {"use_dora": True}}
changed = False
for (kind, rank), expected in recorded.items():
    for way in WAYS:
        seen = share(way, rank, **KINDS[kind])
        same = all(abs(a - b) <= 0.02 for a, b in zip(seen, expected, strict=True))
        changed |= not same
        told = f"{kind:7} rank {rank:2}, {way:6}: {seen[0]:.2f} of its change, outputs {seen[1]:.2f} apart"
        print(told + ("" if same else "  CHANGED"))
sys.exit(changed)
PY
