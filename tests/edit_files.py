"""Small edits in files, and ways to damage the files, for the tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pack.scapre.edits.edit import Edit
from pack.scapre.encode import encode_request
from pack.scapre.methods.scapre.settings import Settings
from pack.scapre.solve import solve_edit
from pack.tests.worlds import Encoder, Projections, ask

WINDOW, WIDTH = 5, 6


class ShortEncoder(Encoder):
    """Reads five tokens, so that a file is a few kilobytes."""

    def encode(self, texts, progress=None):
        return super().encode(texts)[:, :WINDOW].clone()


def tiny_edit(**changes: Any) -> Edit:
    """An edit of two concepts in two matrices."""
    request = ask("cat -> dog\nbird", Settings(samples=2, bins=2, **changes), preserve=("fish",))
    states, _ = encode_request(ShortEncoder(WIDTH), request)
    return solve_edit(states, Projections([(3, WIDTH), (2, WIDTH)]), request)


def same(edit: Edit, other: Edit) -> bool:
    """Whether two edits agree in every value and bit."""
    tensors = (
        {"states": edit.states.states, **edit.payload.shared, **edit.sketch},
        {"states": other.states.states, **other.payload.shared, **other.sketch},
    )
    for edit_, found in zip((edit, other), tensors, strict=True):
        found |= {
            f"{name} {key}": value for name, rows in edit_.payload.matrices.items() for key, value in rows.items()
        }
    mine, its = tensors
    plain = (
        "method",
        "shapes",
        "settings",
        "concepts",
        "preserve",
        "seed",
        "family",
        "fingerprint",
        "report",
        "templates",
        "version",
    )
    return (
        mine.keys() == its.keys()
        and all(v.dtype == its[k].dtype and torch.equal(v, its[k]) for k, v in mine.items())
        and all(getattr(edit, name) == getattr(other, name) for name in plain)
        and (edit.states.kept, edit.states.window) == (other.states.kept, other.states.window)
        and edit.states.tokens == other.states.tokens
        and all(edit.states.last[head] == last for head, last in other.states.last.items())
    )


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and data of a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def join(header: Any, data: bytes) -> bytes:
    """The file of a header and data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def damaged(path: Path, change: Callable[[dict[str, Any], bytearray], Any]) -> None:
    """Changes header and data of a file; the header is replaced if `change` returns one."""
    header, data = split(path.read_bytes())
    body = bytearray(data)
    changed = change(header, body)
    path.write_bytes(join(header if changed is None else changed, bytes(body)))


def described(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Changes the table in an edit file's metadata."""

    def inner(header: dict[str, Any], _: bytearray) -> None:
        table = json.loads(header["__metadata__"]["edit"])
        change(table)
        header["__metadata__"]["edit"] = json.dumps(table)

    damaged(path, inner)


def stored(path: Path, name: str, value: float) -> None:
    """Writes a value into the first place of a tensor."""

    def inner(header: dict[str, Any], data: bytearray) -> None:
        entry = header[name]
        dtype = {"F64": torch.float64, "F32": torch.float32, "I64": torch.int64, "U8": torch.uint8}[entry["dtype"]]
        one = torch.tensor([value], dtype=dtype).numpy().tobytes()
        start = entry["data_offsets"][0]
        data[start : start + len(one)] = one

    damaged(path, inner)
