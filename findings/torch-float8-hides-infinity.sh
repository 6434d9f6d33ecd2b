#!/usr/bin/env bash
# Cast to float8_e4m3fn, torch makes 448 of everything larger, infinity too; its other float8 types and numpy's
# type of the same name do not.
#
# Guess:    one rule for all float8 types of torch, and the same byte from numpy's (ml_dtypes') type of that name.
# Versions: torch 2.13.0 (it is the subject; CPU), ml_dtypes 0.6.0, numpy 2.4.6.
# Source:   torch/include/torch/headeronly/util/Float8_e4m3fn.h, fp8e4m3fn_from_fp32_value (its comment: finite
#           overflow or infinity saturates); Float8_e5m2.h, fp8e5m2_from_fp32_value (infinity);
#           Float8_e8m0fnu.h, fp8e8m0fnu_from_fp32_value (the sign is not looked at, 0 has exponent 0).
#           ml_dtypes' README describes the types' values, and leaves what a cast of others gives open.
# Behaviour: from   500        infinity   -2       0
#   e4m3fn   torch  448        448        -2       0
#            numpy  nan        nan        -2       0
#   e5m2     torch  512        inf        -2       0         (numpy: the same; 61440 and more is inf)
#   e4m3fnuz torch  nan        nan        -2       0         (numpy: the same; its largest is 240)
#   e5m2fnuz torch  512        nan        -2       0         (numpy: the same)
#   e8m0fnu  torch  512        nan        2        2^-127
#            numpy  512        nan        nan      nan
#           Of the 63,488 finite float16 numbers, e4m3fn differs for 14,718 and e8m0fnu for 31,745.
# Why it matters: a checkpoint cast to e4m3fn shows no infinity and no NaN, however broken it was before, so a
#           check for finite weights has to run before the cast, and the largest weights are flat at 448.
#           The same weights cast with numpy hold NaN. Block scales (e8m0fnu) made of a block of zeros
#           or without abs() pass in torch and are NaN in numpy.
#
# Output seen: the table above.
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

few = np.array([500, np.inf, -2, 0], np.float32)
every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
every = every[np.isfinite(every)].astype(np.float32)


def both(name):
    def of_torch(values):
        return torch.from_numpy(values).to(getattr(torch, name)).view(torch.uint8).numpy()

    def of_numpy(values):
        with np.errstate(all="ignore"):
            return values.astype(getattr(ml_dtypes, name)).view(np.uint8)

    def text(raw):
        return " ".join(f"{v:g}" for v in raw.view(getattr(ml_dtypes, name)).astype(np.float64))

    return text(of_torch(few)), text(of_numpy(few)), int((of_torch(every) != of_numpy(every)).sum())


recorded = {
    "float8_e4m3fn": ("448 448 -2 0", "nan nan -2 0", 14718),
    "float8_e5m2": ("512 inf -2 0", "512 inf -2 0", 0),
    "float8_e4m3fnuz": ("nan nan -2 0", "nan nan -2 0", 0),
    "float8_e5m2fnuz": ("512 nan -2 0", "512 nan -2 0", 0),
    "float8_e8m0fnu": ("512 nan 2 5.87747e-39", "512 nan nan nan", 31745),
}
print(f"{len(every)} finite float16; casts of {few.tolist()}: torch, numpy, finite float16 that differ")
seen = {name: both(name) for name in recorded}
for name, value in seen.items():
    print(f"{name:16} {value}  {'as recorded' if value == recorded[name] else 'CHANGED'}")
sys.exit(seen != recorded)
PY
