#!/usr/bin/env bash
# Where a CPU has no AVX-512, or torch is told to do without, bfloat16 is dozens of times slower than float32 in the same
# matrix product, and torch.autocast("cpu", torch.bfloat16) chooses it there all the same, without a warning.
#
# Guess:    values are widened to float32 block by block, so that bfloat16 takes somewhat longer than float32, perhaps
#           twice; and autocast, which exists to save time, stays in float32 or warns where it costs time.
# Versions: torch 2.13.0 (CPU), oneDNN as it is built into it.
# Source:   aten/src/ATen/native/mkldnn/Matmul.cpp (use_mkldnn_bf16_matmul asks mkldnn_bf16_device_check, which wants
#           AVX-512); what is left is aten/src/ATen/native/cpu/BlasKernel.cpp, a loop over columns. torch/amp/
#           autocast_mode.py asks a CPU for nothing but the dtype.
# Behaviour: one thread, ATEN_CPU_CAPABILITY=avx2 and ONEDNN_MAX_CPU_ISA=AVX2, (1536, 256) x (256, 1024):
#           float32                      1
#           bfloat16                     more than ten times as long (58 times on the machine it was found on)
#           Linear under autocast        the same, an answer in bfloat16, no warning
# Why it matters: a training that was written on one machine takes hours for minutes on another, and nothing says why;
#           torch.backends.cpu.get_cpu_capability() tells beforehand.
#
# Output seen: the table above.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/python" -m pip install -qq --no-deps \
  torch==2.13.0 typing_extensions==4.16.0 sympy==1.14.0 mpmath==1.3.0 networkx==3.6.1 jinja2==3.1.6 \
  markupsafe==3.0.3 filelock==3.29.0 fsspec==2026.4.0 packaging==26.0 numpy==2.4.6
cd "$tmp"
OMP_NUM_THREADS=1 ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 "$tmp/venv/bin/python" - <<'PY'
import sys
import time
import warnings

import torch

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
    automatic = seconds(chosen) / usual
print(f"capability {torch.backends.cpu.get_cpu_capability()}, float32 {usual * 1000:.1f} ms")
seen = {
    "bfloat16, times float32": (f"{slow:.0f}", slow > 10),
    "autocast, times float32": (f"{automatic:.0f}", automatic > 10),
    "dtype that autocast gives": (str(chosen().dtype), chosen().dtype is torch.bfloat16),
    "warnings": (str(len(said)), not said),
}
for name, (value, same) in seen.items():
    print(f"{name:28} {value:16} {'as recorded' if same else 'CHANGED'}")
sys.exit(not all(same for _, same in seen.values()))
PY
