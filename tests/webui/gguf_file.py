"""Writes a UNet as GGUF with Forge's own package, in Forge's Python: only that has it.

PYTHON gguf_file.py UNET.safetensors TARGET.gguf Q8_0
"""

import sys

import gguf
from safetensors.numpy import load_file

# Forge knows by a layer which encoder files belong to a UNet; one of a single level has no such layer.
_MARK = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"


def main(source: str, target: str, kind: str) -> None:
    weights = load_file(source)
    weights.setdefault(_MARK, next(value for name, value in weights.items() if name.endswith("attn2.to_k.weight")))
    writer = gguf.GGUFWriter(target, "sd1")
    for name, value in weights.items():
        _add(writer, name, value.astype("float32"), gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add(writer: gguf.GGUFWriter, name: str, value, kind) -> None:
    """Matrices are quantised, and what else there is stays as it was."""
    if value.ndim == 2 and name.endswith(("to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight")):
        writer.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)
    else:
        writer.add_tensor(name, value)


main(*sys.argv[1:])
