"""Safetensors files as they come: any dtype, any tensor that is not needed, and other files under that name."""

from __future__ import annotations

import gzip
import io
import json
import math
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pack.scapre.checkpoints import entries
from pack.scapre.checkpoints.checkpoint import Checkpoint
from pack.scapre.checkpoints.entries import DTYPES
from pack.scapre.checkpoints.tensor_file import TensorFile
from pack.scapre.errors import ScaPreError
from pack.scapre.export import FORMATS, Options
from pack.scapre.files import read_edit
from pack.scapre.progress import silent
from pack.tests import checkpoint_files

# Name in the format, and bits of a value; the last two are made up, as a later version of the format might have them.
BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4, "C64": 64, "I64": 64, "I32": 32, "I16": 16, "I8": 8,
    "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8, "NEW_2": 2, "C128": 128,
}  # fmt: skip
SHAPE = (4, 8)


def packed(header: Mapping[str, Any], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def with_more(path: Path, kinds: Mapping[str, int], place: str = "more.{}") -> Path:
    """Puts a tensor of each dtype behind those of a file."""
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header, data = json.loads(whole[8 : 8 + length]), bytearray(whole[8 + length :])
    for kind, bits in kinds.items():
        values = bytes((number * 37 + bits) % 256 for number in range(math.prod(SHAPE) * bits // 8))
        header[place.format(kind)] = {
            "dtype": kind, "shape": list(SHAPE), "data_offsets": [len(data), len(data) + len(values)],
        }  # fmt: skip
        data += values
    path.write_bytes(packed(header, bytes(data)))
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A checkpoint with a tensor of every dtype."""
    path = checkpoint_files.write(tmp_path / "model.safetensors", checkpoint_files.tensors())
    return with_more(path, BITS)


# --- dtypes ---


def test_tensors_of_any_dtype_are_no_damage(source: Path) -> None:
    with TensorFile(source) as file:
        assert {name.removeprefix("more.") for name in file.entries if name.startswith("more.")} == set(BITS)
        for kind, bits in BITS.items():
            assert file.stored_bytes(f"more.{kind}").tolist() == [
                (n * 37 + bits) % 256 for n in range(math.prod(SHAPE) * bits // 8)
            ]
            if kind in DTYPES:
                assert file.read(f"more.{kind}").shape == SHAPE
                continue
            with pytest.raises(ScaPreError, match=rf'^file: "more\.{kind}" in "model.*stored as "{kind}".*fp16'):
                file.read(f"more.{kind}")
    assert {"U16", "U32", "U64", "C64", "F8_E8M0"} <= set(DTYPES)  # of this torch
    assert not {"F4", "F6_E2M3", "NEW_2"} & set(DTYPES)


def test_a_whole_checkpoint_has_them_bit_by_bit(source: Path, tmp_path: Path) -> None:
    edit, out = checkpoint_files.edit_for(source), tmp_path / "out.safetensors"
    with Checkpoint(source) as checkpoint:
        said = FORMATS["checkpoint"](edit, checkpoint, out, Options(), silent)
    with TensorFile(source) as before, TensorFile(out) as after:
        assert before.entries.keys() == after.entries.keys()
        for name, entry in before.entries.items():
            assert (after.entries[name].kind, after.entries[name].shape) == (entry.kind, entry.shape)
            if "attn2" not in name:
                assert torch.equal(before.stored_bytes(name), after.stored_bytes(name))
            assert after.entries[name].start * 8 % (after.entries[name].bits if entry.bits >= 8 else 1) == 0
        assert said.size == sum(entry.size for entry in before.entries.values())


def test_the_library_of_the_format_reads_what_is_written(tmp_path: Path) -> None:
    kinds = {kind: bits for kind, bits in BITS.items() if kind not in ("NEW_2", "C128")}
    source = with_more(checkpoint_files.write(tmp_path / "a.safetensors", checkpoint_files.tensors()), kinds)
    edit, out = checkpoint_files.edit_for(source), tmp_path / "out.safetensors"
    with Checkpoint(source) as checkpoint:
        FORMATS["checkpoint"](edit, checkpoint, out, Options(), silent)
    with safe_open(out, "pt") as file:
        assert {file.get_slice(f"more.{kind}").get_dtype() for kind in kinds} == set(kinds)


def test_a_torch_that_lacks_a_dtype_still_knows_its_size(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "DTYPES", {kind: dtype for kind, dtype in DTYPES.items() if kind != "U32"})
    with TensorFile(source) as file, pytest.raises(ScaPreError, match='stored as "U32"'):
        file.read("more.U32")
    header = {"a": {"dtype": "U32", "shape": [2], "data_offsets": [0, 7]}}
    source.write_bytes(packed(header, bytes(7)))
    with pytest.raises(ScaPreError, match="does not fit its shape"):
        TensorFile(source)


@pytest.mark.parametrize(
    ("kind", "shape", "size", "fits"),
    [
        ("F4", [3, 2], 3, True), ("F4", [3, 2], 6, False), ("F4", [3], 1, False), ("F6_E2M3", [4], 3, True),
        ("U32", [2], 8, True), ("U32", [2], 4, False), ("C64", [1], 8, True), ("NEW", [5], 3, True),
    ],
)  # fmt: skip
def test_sizes_are_checked_where_they_are_known(
    tmp_path: Path, kind: str, shape: list[int], size: int, fits: bool
) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(packed({"a": {"dtype": kind, "shape": shape, "data_offsets": [0, size]}}, bytes(size)))
    if fits:
        with TensorFile(path) as file:
            assert file.entries["a"].size == size
        return
    with pytest.raises(ScaPreError, match="does not fit its shape"):
        TensorFile(path)


@pytest.mark.parametrize("kind", [None, 4, ["F32"], {}])
def test_a_dtype_that_is_no_text_is_damage(tmp_path: Path, kind: object) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(packed({"a": {"dtype": kind, "shape": [1], "data_offsets": [0, 4]}}, bytes(4)))
    with pytest.raises(ScaPreError, match="does not describe"):
        TensorFile(path)


def test_a_place_that_ends_before_it_begins_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(packed({"a": {"dtype": "NEW", "shape": [1], "data_offsets": [4, 0]}}, bytes(4)))
    with pytest.raises(ScaPreError, match="impossible"):
        TensorFile(path)


def test_projections_of_an_unknown_dtype_are_quantised(tmp_path: Path) -> None:
    content = checkpoint_files.tensors()
    name = next(name for name in content if "attn2" in name)
    del content[name]
    path = checkpoint_files.write(tmp_path / "a.safetensors", content)
    with Checkpoint(with_more(path, {"NEW": 8}, name)) as checkpoint:
        inside = name.removeprefix("model.")
        assert inside in checkpoint.roles
        with pytest.raises(ScaPreError, match=r'^checkpoint: .*attn2.* is quantised \("NEW"\)'):
            checkpoint.read(inside, torch.device("cpu"))


@pytest.mark.parametrize("metadata", [{"__metadata__": None}, {}, {"__metadata__": {}}])
def test_no_metadata_are_no_damage(tmp_path: Path, metadata: dict[str, None]) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(packed(metadata, b""))
    with TensorFile(path) as file:
        assert file.metadata == {}


@pytest.mark.parametrize("metadata", [[], 0, "", False, {"a": None}])
def test_metadata_that_are_no_texts_are_damage(tmp_path: Path, metadata: object) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(packed({"__metadata__": metadata}, b""))
    with pytest.raises(ScaPreError, match="metadata is not text"):
        TensorFile(path)


# --- other files ---


def pickled(**options: bool) -> bytes:
    file = io.BytesIO()
    torch.save({"a": torch.zeros(300)}, file, **options)
    return file.getvalue()


def cut(share: float) -> Callable[[Path], bytes]:
    def content(folder: Path) -> bytes:
        save_file({"a": torch.zeros(300), "b": torch.ones(3)}, folder / "whole")
        whole = (folder / "whole").read_bytes()
        return whole[: int(len(whole) * share)]

    return content


OTHERS: dict[str, tuple[bytes | Callable[[Path], bytes], str]] = {
    "nothing": (b"", "is empty"),
    "GGUF": (b"GGUF\3\0\0\0" + bytes(64), "GGUF.*fp16"),
    "torch.save": (pickled(), r"pickle.*Convert it to \.safetensors"),
    "old torch.save": (pickled(_use_new_zipfile_serialization=False), r"pickle.*Convert it to \.safetensors"),
    "zip": (b"PK\3\4\x14\0\0\0\0\0" + bytes(16) + b"model.safetensors" + bytes(64), "archive.*Unpack"),
    "gzip": (gzip.compress(bytes(99)), "archive.*Unpack"),
    "tar": (b"model.safetensors" + bytes(240) + b"ustar\0" + bytes(300), "archive.*Unpack"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS.*git lfs pull"),
    "page": (b"<!DOCTYPE html>\n<html><head><title>Sign in</title>", "web page.*sign in"),
    "shouted page": (b"\xef\xbb\xbf \r\n<HTML LANG=en>" + bytes(9), "web page.*sign in"),
    "index": (
        b'{"metadata": {"total_size": 9}, "weight_map": {"a": "model-00001.safetensors"}}',
        "JSON.*several files",
    ),
    "workflow": (b'{"last_node_id": 9, "nodes": []}', "JSON"),
    "error": (b'{"error":"Unauthorized"}', "JSON.*answer"),
    "list": (b"[1, 2]", "JSON"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(64), "picture"),
    "zeros": (bytes(5000), "zeros.*not finished"),
    "cut in the data": (cut(0.9), r"cut short: it should hold 1,\d{3} bytes and holds 1,\d{3}, .*did not finish"),
    "cut in the header": (cut(0.05), r"cut short: it should hold more than \d+ bytes .*did not finish"),
    "text": (b"hello, this is no tensor file", "cut short, or not a safetensors file"),
}


@pytest.mark.parametrize("name", ["a.safetensors", "a.ckpt", "a.part", "a"])
@pytest.mark.parametrize("kind", OTHERS)
def test_other_files_are_told_apart_by_their_content(tmp_path: Path, kind: str, name: str) -> None:
    content, said = OTHERS[kind]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content(tmp_path))
    for read, field in ((read_edit, "file"), (Checkpoint, "checkpoint")):
        if read is Checkpoint and name == "a.ckpt" and kind == "text":
            continue  # a file that shows nothing is what its name says: see the pickles of the checkpoints' tests
        with pytest.raises(ScaPreError, match=f"(?s){said}") as refusal:
            read(path)
        assert str(refusal.value).startswith(f'{field}: "{name}" is ')
        assert str(refusal.value).endswith(".") and len(str(refusal.value)) < 400


def test_a_checkpoint_is_read_whatever_its_name(tmp_path: Path) -> None:
    path = checkpoint_files.write(tmp_path / "a.ckpt", checkpoint_files.tensors())
    with Checkpoint(path) as checkpoint:
        assert checkpoint.family == "SD1.x"


def test_a_header_that_is_as_long_as_a_pickle_is_old_is_one(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for length in (0x0280, 0x0480, 0x4B50):  # begins as a pickle does, or with a P as a zip archive
        text = json.dumps({"__metadata__": {"a": ""}}).encode()
        path.write_bytes(struct.pack("<Q", length) + text + b" " * (length - len(text)))
        with TensorFile(path) as file:
            assert file.metadata == {"a": ""}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e4m3fn])
@pytest.mark.parametrize("numbers", [[3], [0, 1, 2, 3, 4, 5, 6], [6, 0, 6, 2, 3], [5, 4, 3], []])
def test_rows_are_those_of_the_whole_matrix(tmp_path: Path, dtype: torch.dtype, numbers: list[int]) -> None:
    whole = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    save_file({"before": torch.zeros(3, dtype=torch.uint8), "a": whole}, tmp_path / "a.safetensors")
    with TensorFile(tmp_path / "a.safetensors") as file:
        found = file.rows("a", torch.tensor(numbers, dtype=torch.long))
    assert found.dtype == dtype and found.shape == (len(numbers), 5)
    assert torch.equal(found.float(), whole.float()[numbers])


def test_rows_of_what_is_no_matrix_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(7), "b": torch.zeros(4096, 64)}, tmp_path / "a.safetensors")
    with TensorFile(tmp_path / "a.safetensors") as file:
        with pytest.raises(ScaPreError, match="is no matrix"):
            file.rows("a", torch.tensor([1]))
        with pytest.raises(ScaPreError, match="has no tensor"):
            file.rows("c", torch.tensor([1]))
        for beyond in (4096, -1):
            with pytest.raises(ScaPreError, match=r"has no row"):
                file.rows("b", torch.tensor([0, beyond]))
        (tmp_path / "a.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes()[:-40])
        with pytest.raises(ScaPreError, match="was cut while it was read"):
            file.rows("b", torch.tensor([4095]))
