"""What a GGUF file says of itself, written by hand after the format's description and by its own package."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from pack.scapre.checkpoints.gguf_header import GgufHeader, read_gguf_header
from pack.scapre.errors import ScaPreError


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def start(tensors: int = 0, values: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, values)


NAMES = text("names") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("Beksiński")
MATRIX = text("w") + struct.pack("<IQQIQ", 2, 3, 5, 0, 0)
WHOLE = start(1, 2) + text("kind") + struct.pack("<I", 8) + text("t5") + NAMES + MATRIX


def read(tmp_path: Path, data: bytes) -> GgufHeader:
    (tmp_path / "a.gguf").write_bytes(data)
    return read_gguf_header(tmp_path / "a.gguf")


def test_texts_and_shapes(tmp_path: Path) -> None:
    assert read(tmp_path, WHOLE + bytes(60)) == GgufHeader({"kind": "t5", "names": ["a", "Beksiński"]}, {"w": (5, 3)})
    assert read(tmp_path, start()) == GgufHeader()


def test_numbers_of_every_kind_as_the_formats_own_package_writes_them(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "some")
    wanted = {
        "uint8": 200, "int8": -3, "uint16": 60_000, "int16": -300, "uint32": 2**31, "int32": -7, "float32": 0.5,
        "bool": True, "uint64": 2**63, "int64": -(2**40), "float64": 1e-300, "string": "ü",
        "array": [1.5, -2.0], "texts": ["a", ""], "flags": [True, False],
    }  # fmt: skip
    for kind, value in wanted.items():
        getattr(writer, f"add_{kind}" if not isinstance(value, list) else "add_array")(kind, value)
    writer.add_tensor("one", np.zeros((2, 3, 4), "float32"))
    writer.add_tensor("packed", np.zeros((7, 34), "uint8"), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = read_gguf_header(tmp_path / "a.gguf")
    assert found.values == {"general.architecture": "some", **wanted}
    assert found.shapes == {"one": (2, 3, 4), "packed": (7, 32)}


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_a_file_that_was_cut_is_refused(tmp_path: Path, end: int) -> None:
    with pytest.raises(ScaPreError, match="damaged"):
        read(tmp_path, WHOLE[:end])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"PK\3\4" + bytes(60), "begins otherwise"),
        (start(version=1), "begins otherwise"),
        (start(values=1) + text("a") + struct.pack("<I", 99), "unknown kind, 99"),
        (start(values=1) + text("a") + struct.pack("<IIQ", 9, 9, 1) + bytes(60), "unknown kind, 9"),
        (start(values=1) + text("a") + struct.pack("<IIQ", 9, 10, 2**20), "ends in its header"),
        (start(values=1) + struct.pack("<Q", 2**63), "ends in its header"),
        (start(values=1) + struct.pack("<Q", 1) + b"\xff" + bytes(60), "utf-8"),
        (start(tensors=1) + text("w") + struct.pack("<I", 2**31), "2147483648 axes"),
        (start(tensors=2**20), "ends in its header"),
        (start(tensors=2**60), "more tensors than"),
        (start(values=1) + text("a") + struct.pack("<IIQ", 9, 8, 2**60), "more values than"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, data: bytes, why: str) -> None:
    with pytest.raises(ScaPreError, match=why):
        read(tmp_path, data)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ScaPreError, match="cannot be read"):
        read_gguf_header(tmp_path / "none.gguf")
