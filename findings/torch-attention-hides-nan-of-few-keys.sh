#!/usr/bin/env bash
# Attention on a CPU answers zeros to a query with a NaN, if it has few keys: fewer than fit into one vector register. With
# more keys, with a mask, or with the math backend the answer is NaN, as it should be.
#
# Guess:    scaled_dot_product_attention answers NaN where a query, or every key, is NaN, however many keys there are
#           and whatever the backend; that it once answered zeros (pytorch issue 141128, of torch 2.5) is mended.
# Versions: torch 2.13.0 (it is the subject; CPU build).
# Source:   aten/src/ATen/native/cpu/FlashAttentionKernel.cpp: the maximum of a row of scores is taken in whole vectors and
#           then, for what is left over, number by number with a comparison, which a NaN never wins. A row that is all
#           left over so keeps -inf for its maximum, is taken for one that is masked as a whole, and gets zeros. The path
#           with a mask takes its maximum otherwise.
# Behaviour: a query that is NaN                     3 keys           64 keys
#           no mask                                 zeros            NaN
#           a mask of zeros                         NaN              NaN
#           math backend                            NaN              NaN
#           The edge is 8 keys in float32, bfloat16 and float16, and 4 in float64, with 256-bit vectors (AVX2 and the
#           plain build); twice that with AVX-512, by the source. Of two queries, one with a single NaN in it, that one
#           alone gets zeros.
# Why it matters: a text of a few tokens has a few keys. A damaged weight of a text encoder or of a small network behind it
#           (all of a query layer NaN, say) is then not seen in what comes out: the states are finite, and so is
#           whatever is computed from them, but the attention says nothing. Longer texts show it. Who looks for
#           damage should look at the weights, or at a text of twenty tokens. Here the weights are looked at since.
#
# Output seen: the table above and the two queries, as lines that end with "as recorded".
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/python" -m pip install -qq --no-deps torch==2.13.0 typing_extensions==4.16.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$tmp/venv/bin/python" - <<'PY'
import contextlib
import sys

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

HEAD = 16


def tensors(queries, keys):
    torch.manual_seed(0)
    return [torch.randn(1, 1, count, HEAD) for count in (queries, keys, keys)]


def said(found):
    return "NaN" if found.isnan().all() else "zeros" if not found.any() else "numbers"


def answer(keys, way, damaged, dtype):
    query, key, value = (tensor.to(dtype) for tensor in tensors(1, keys))
    {"query": query, "keys": key}[damaged].fill_(float("nan"))
    mask = torch.zeros(1, keys, dtype=dtype) if way == "a mask of zeros" else None
    with sdpa_kernel(SDPBackend.MATH) if way == "math backend" else contextlib.nullcontext():
        return said(F.scaled_dot_product_attention(query, key, value, attn_mask=mask))


recorded = {"no mask": ("zeros", "NaN"), "a mask of zeros": ("NaN", "NaN"), "math backend": ("NaN", "NaN")}
same = True


def line(what, found, wanted):
    global same
    same &= found == wanted
    print(f"{what:52} {found}  {'as recorded' if found == wanted else f'recorded: {wanted}'}")


for dtype in (torch.float32, torch.bfloat16, torch.float64):
    for damaged in ("query", "keys"):
        for way, wanted in recorded.items():
            found = tuple(answer(keys, way, damaged, dtype) for keys in (3, 64))
            line(f"{str(dtype)[6:]}, {damaged} NaN, {way}: 3 and 64 keys", found, wanted)
query, key, value = tensors(2, 3)
query[0, 0, 0, 0] = float("nan")
found = F.scaled_dot_product_attention(query, key, value)[0, 0]
line("two queries, one number of the first is NaN", tuple(map(said, found)), ("zeros", "numbers"))
sys.exit(0 if same else 1)
PY
