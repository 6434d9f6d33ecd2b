#!/usr/bin/env bash
# safetensors saves float4 and E8M0 scales to bytes that its own load(bytes) refuses; from a path they load.
#
# Guess:    what safetensors.torch.save wrote, safetensors.torch.load and load_file read alike, and header, tensor
#           and get_slice agree on a tensor's shape.
# Versions: safetensors 0.8.0, torch 2.13.0 (safetensors.torch needs it; CPU), numpy 2.4.6, ml_dtypes 0.6.0.
#           The tables of 0.6.2 and 0.7.0 have the same gap by their sources; only 0.8.0 was run.
# Source:   safetensors/torch.py: _SIZE, which save uses, has float8_e8m0fnu and float4_e2m1fn_x2; _TYPES, which
#           load(bytes) uses (_view2torch, _getdtype), has neither. load_file goes through safe_open and not
#           through _TYPES. safetensors/numpy.py: load uses _TYPES (no BF16); load_file uses safe_open, which
#           asks numpy for a type called "bfloat16".
# Behaviour: 1. F4 and F8_E8M0: save works, load_file works, load(bytes) raises KeyError.
#           2. F4: the header counts numbers, torch's float4_e2m1fn_x2 counts pairs, so shape [2, 8] in the header
#           is a tensor of shape (2, 4); get_slice(...).get_shape() says [2, 8], and slicing raises RuntimeError
#           even for the whole tensor.
#           3. BF16 in numpy: load_file raises TypeError, until anything imports ml_dtypes; then the same call
#           gives bfloat16. load(bytes) raises KeyError before and after.
# Why it matters: readers that take files from memory (uploads, archives, hashing) fail on checkpoints with block
#           scales that the path reader opens, and one that compares shapes with the header finds a
#           difference where there is none. Whether numpy reads BF16 hangs on what else was imported.
#
# Output seen:
#   F4        saved yes   load_file (2, 4)   load KeyError   header [2, 8]   get_shape [2, 8]   slice RuntimeError
#   F8_E8M0   saved yes   load_file (8,)     load KeyError   header [8]      get_shape [8]      slice (8,)
#   BF16      saved yes   load_file (8,)     load (8,)       header [8]      get_shape [8]      slice (8,)
#   BF16 in numpy   load_file TypeError, after "import ml_dtypes" bfloat16; load KeyError and KeyError
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/python" -m pip install -qq --no-deps \
  safetensors==0.8.0 torch==2.13.0 typing_extensions==4.16.0 numpy==2.4.6 ml_dtypes==0.6.0 packaging==26.4
cd "$tmp"
OMP_NUM_THREADS=1 "$tmp/venv/bin/python" - <<'PY'
import json
import sys

import safetensors
import safetensors.numpy
import safetensors.torch
import torch


def says(do):
    try:
        return do()
    except Exception as error:
        return type(error).__name__


def torch_case(tensor):
    data = safetensors.torch.save({"w": tensor})
    with open("one.safetensors", "wb") as file:
        file.write(data)
    header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])["w"]
    with safetensors.safe_open("one.safetensors", "pt") as opened:
        part = opened.get_slice("w")
        return {"header": [header["dtype"], header["shape"]],
                "load_file": says(lambda: tuple(safetensors.torch.load_file("one.safetensors")["w"].shape)),
                "load": says(lambda: tuple(safetensors.torch.load(data)["w"].shape)),
                "get_shape": part.get_shape(), "slice": says(lambda: tuple(part[:].shape))}


def numpy_case():
    data = safetensors.torch.save({"w": torch.ones(8, dtype=torch.bfloat16)})
    with open("two.safetensors", "wb") as file:
        file.write(data)
    return [says(lambda: str(safetensors.numpy.load_file("two.safetensors")["w"].dtype)),
            says(lambda: str(safetensors.numpy.load(data)["w"].dtype))]


raw = torch.arange(8, dtype=torch.uint8)
seen = {"F4": torch_case(raw.view(2, 4).view(torch.float4_e2m1fn_x2)),
        "F8_E8M0": torch_case(raw.view(torch.float8_e8m0fnu)), "BF16": torch_case(torch.ones(8, dtype=torch.bfloat16)),
        "BF16 in numpy: load_file, load": numpy_case()}
import ml_dtypes  # noqa: E402,F401

seen["the same after import ml_dtypes"] = numpy_case()
recorded = {
    "F4": {"header": ["F4", [2, 8]], "load_file": (2, 4), "load": "KeyError", "get_shape": [2, 8],
           "slice": "RuntimeError"},
    "F8_E8M0": {"header": ["F8_E8M0", [8]], "load_file": (8,), "load": "KeyError", "get_shape": [8], "slice": (8,)},
    "BF16": {"header": ["BF16", [8]], "load_file": (8,), "load": (8,), "get_shape": [8], "slice": (8,)},
    "BF16 in numpy: load_file, load": ["TypeError", "KeyError"],
    "the same after import ml_dtypes": ["bfloat16", "KeyError"],
}
for what, value in seen.items():
    print(f"{what:32} {value}  {'as recorded' if value == recorded[what] else 'CHANGED'}")
sys.exit(seen != recorded)
PY
