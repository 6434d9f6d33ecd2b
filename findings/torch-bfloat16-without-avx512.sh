#!/usr/bin/env bash
# On a CPU without AVX-512 a matrix product in bfloat16 takes about ten times as long as in float32, and sixty times where
# the second matrix lies row by row; torch.autocast("cpu", torch.bfloat16) chooses it there, without a warning.
#
# Guess:    values are widened to float32 block by block, so that bfloat16 takes somewhat longer than float32, perhaps
#           twice, however the matrices lie; and autocast, which exists to save time, stays in float32 or warns there.
# Versions: torch 2.13.0 (CPU). Needs a CPU without AVX-512, and stops with 2 on any other, where it says nothing.
# Source:   torch.backends.cpu.get_cpu_capability() tells AVX2 from AVX512; which kernels stand behind either was not
#           looked up.
# Behaviour: one thread, (1536, 256) times (256, 1024), times the seconds of float32:
#           a layer's product, x W^T, W kept row by row      11
#           the same layer under autocast                    11, an answer in bfloat16, no warning
#           x M, M kept row by row                           64
# Why it matters: a training that was written on one machine takes hours for minutes on another, and nothing says why.
#
# Output seen: the table above (at most a third less in other runs; the script asks for 4 times, and twice that).
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/python" -m pip install -qq --no-deps \
  torch==2.13.0 typing_extensions==4.16.0 sympy==1.14.0 mpmath==1.3.0 networkx==3.6.1 jinja2==3.1.6 \
  markupsafe==3.0.3 filelock==3.29.0 fsspec==2026.4.0 packaging==26.0 numpy==2.4.6
cd "$tmp"
OMP_NUM_THREADS=1 "$tmp/venv/bin/python" - <<'PY'
import sys
import time
import warnings

import torch

if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "DEFAULT"):
    print(f"this CPU has {torch.backends.cpu.get_cpu_capability()}: nothing to see here")
    sys.exit(2)
torch.set_num_threads(1)
torch.manual_seed(0)
rows, layer = torch.randn(1536, 256), torch.nn.Linear(256, 1024, bias=False)


def seconds(act):
    act()
    return min(-time.perf_counter() + (act(), time.perf_counter())[1] for _ in range(5))


def chosen():
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        return layer(rows)


halves, weight = rows.bfloat16(), layer.weight.detach()
half_weight = weight.bfloat16()
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    usual = seconds(lambda: rows @ weight.T)
    slow = seconds(lambda: halves @ half_weight.T) / usual
    upright, half_upright = weight.T.contiguous(), half_weight.T.contiguous()
    slowest = seconds(lambda: halves @ half_upright) / seconds(lambda: rows @ upright)
    automatic = seconds(chosen) / usual
print(f"capability {torch.backends.cpu.get_cpu_capability()}, float32 {usual * 1000:.1f} ms")
seen = {
    "Linear's product": (f"{slow:.0f} times", slow > 4),
    "the same under autocast": (f"{automatic:.0f} times", automatic > 4),
    "rows times rows": (f"{slowest:.0f} times", slowest > 2 * slow),
    "dtype that autocast gives": (str(chosen().dtype), chosen().dtype is torch.bfloat16),
    "warnings": (str(len(said)), not said),
}
for name, (value, same) in seen.items():
    print(f"{name:28} {value:16} {'as recorded' if same else 'CHANGED'}")
sys.exit(not all(same for _, same in seen.values()))
PY
