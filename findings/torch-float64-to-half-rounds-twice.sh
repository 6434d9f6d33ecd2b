#!/usr/bin/env bash
# torch rounds float64 to float16 twice, numpy once: the same weights, saved by both, have other bytes.
#
# Guess:    tensor.half() of a float64 tensor is the nearest float16, as numpy's astype(float16) is.
# Versions: torch 2.13.0 (it is the subject; CPU), numpy 2.4.6, ml_dtypes 0.6.0.
# Source:   torch/include/torch/headeronly/util/Half.h and BFloat16.h: both types are made from float only, so a
#           double is rounded to float first. numpy has a conversion from double of its own
#           (numpy/halffloat.h, npy_double_to_half). The docstrings of Tensor.half and Tensor.to do not speak of it.
# Behaviour: a number just past the middle of two float16 loses that "just" on its way through float32, becomes an
#           exact tie and goes to the even neighbour, one unit too low (or, from just below, too high).
#           It comes to 238 of 4,194,304 normally distributed numbers (about 1 in 2^14); for bfloat16 to 37, and
#           there ml_dtypes, which gives numpy its bfloat16, goes through float as well and agrees with torch.
#           float32 -> float16 has none. The same with ATEN_CPU_CAPABILITY default, avx2 and avx512.
# Why it matters: whoever solves in float64 (closed-form edits, merges, SVD of a LoRA) and publishes float16 gets
#           another SHA-256 from torch than from numpy, though both "round to nearest even". The
#           error is half a unit and at most 2^-24 of the number more, so it does no harm; the hash does.
#           To have one answer: go to float32 on purpose, on both sides, or round in numpy.
#
# Output seen:
#   1 + 2^-11 + 2^-40 as float16       torch 1.0   numpy 1.0009765625
#   of 4,194,304 float64, torch and numpy differ in float16      238
#   the same, both from float32        0
#   torch's bfloat16 is not the nearest one                      37
#   torch and ml_dtypes differ in bfloat16                       0
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/python" -m pip install -qq --no-deps \
  torch==2.13.0 typing_extensions==4.16.0 numpy==2.4.6 ml_dtypes==0.6.0
cd "$tmp"
OMP_NUM_THREADS=1 "$tmp/venv/bin/python" - <<'PY'
import sys

import ml_dtypes
import numpy as np
import torch

one = 1 + 2**-11 + 2**-40
exact = np.random.Generator(np.random.PCG64(0)).standard_normal(1 << 22)
tensor = torch.from_numpy(exact)
half = tensor.half().numpy()
bfloat = tensor.bfloat16()
fraction, exponent = np.frexp(exact)
nearest = np.ldexp(np.rint(np.ldexp(fraction, 8)), exponent - 8)  # bfloat16 has 8 bits; rint takes ties to even

seen = {
    "1 + 2^-11 + 2^-40 as float16: torch, numpy": [torch.tensor(one, dtype=torch.float64).half().item(),
                                                   float(np.float64(one).astype(np.float16))],
    "float64 -> float16, torch and numpy differ": int((half != exact.astype(np.float16)).sum()),
    "float32 -> float16, torch and numpy differ": int((tensor.float().half().numpy()
                                                      != exact.astype(np.float32).astype(np.float16)).sum()),
    "float64 -> bfloat16, torch not the nearest": int((bfloat.double().numpy() != nearest).sum()),
    "float64 -> bfloat16, torch and ml_dtypes differ": int((bfloat.double().numpy() != exact.astype(
        ml_dtypes.bfloat16).astype(np.float64)).sum()),
}
recorded = {
    "1 + 2^-11 + 2^-40 as float16: torch, numpy": [1.0, 1.0009765625],
    "float64 -> float16, torch and numpy differ": 238,
    "float32 -> float16, torch and numpy differ": 0,
    "float64 -> bfloat16, torch not the nearest": 37,
    "float64 -> bfloat16, torch and ml_dtypes differ": 0,
}
for what, value in seen.items():
    print(f"{what:48} {value}  {'as recorded' if value == recorded[what] else 'CHANGED'}")
sys.exit(seen != recorded)
PY
