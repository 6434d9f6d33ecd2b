"""The reader against ten thousand damaged files: an edit or a ScaPreError, and no more memory than a file is worth."""

from __future__ import annotations

import copy
import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pack.scapre.checkpoints.tensor_file import TensorFile
from pack.scapre.edits.edit import Edit
from pack.scapre.errors import ScaPreError
from pack.scapre.files import read_edit, write_edit
from pack.tests.edit_files import join, split, tiny_edit

EXAMPLES = 3400  # by each of three ways to damage a file
PER_BYTE, FIXED = 32, 2**19
"""Most memory that reading may take: for every byte of the file, and in any case."""

ODD = [
    *(None, True, False, 0, 1, -1, 2, 7, 77, 2**31, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308, 1e999, -1e999),
    *("", "a", "\0", "\ud800", "\xa0", "cat", "F32", "F64", "I64", "U8", "9" * 99, "{concept}", "{concept}{concept}"),
    *([], {}, [[]], [0], [0, 0], [[0, 4]], [2**62, 2**62], {"a": 1}, ["cat"], ["{concept}"], [[[[[[[[0]]]]]]]]),
]


class Files(tuple):
    """A place for a file and the content of some, which is too long to be shown."""

    def __repr__(self) -> str:
        return "files"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A place for damaged files, and whole ones: named, private, without gate."""
    path = tmp_path_factory.mktemp("fuzz") / "edit.safetensors"
    whole = []
    for edit, names in ((tiny_edit(), True), (tiny_edit(), False), (tiny_edit(informax=False), True)):
        write_edit(edit, path, names=names)
        whole.append(path.read_bytes())
    return Files((path, whole))


def read(path: Path, data: bytes) -> Edit | None:
    """Reads a file as users do, and holds the reader to its promises."""
    path.write_bytes(data)
    tracemalloc.start()  # sees Python's memory alone; tensors are counted by their size
    try:
        edit = read_edit(path)
    except ScaPreError as error:
        edit = None
        assert len(str(error).encode()) < 1000  # can be shown
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak <= PER_BYTE * len(data) + FIXED
    if edit is not None:
        assert edit.nbytes <= len(data)
        for name, shape in edit.shapes.items():
            assert edit.delta(name, torch.ones(shape)).shape == shape
    return edit


WHICH = st.integers(0, 2)


def fuzz(test):
    return settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )(test)  # fmt: skip


@fuzz
@given(data=st.data())
def test_bytes_are_changed_cut_and_put_in(files, data):
    path, whole = files
    content = bytearray(whole[data.draw(WHICH)])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content)))
        match data.draw(st.sampled_from(["flip", "cut", "put in", "take out", "repeat", "length"])):
            case "flip" if place < len(content):
                content[place] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del content[place:]
            case "put in":
                content[place:place] = data.draw(st.binary(min_size=1, max_size=16))
            case "take out":
                del content[place : place + data.draw(st.integers(1, 64))]
            case "repeat":
                content[place:place] = content[place : place + data.draw(st.integers(1, 256))]
            case "length":
                content[:8] = data.draw(st.integers(0, 2**64 - 1)).to_bytes(8, "little")
    read(path, bytes(content))


def places_in(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, value in inner for place in places_in(value, (*path, key)))]


def changed(tree: Any, path: tuple[Any, ...], value: Any, way: str) -> Any:
    """A JSON value with one place replaced, left out, or put in again under another name."""
    if not path:
        return value
    tree = copy.deepcopy(tree)
    holder = tree
    for key in path[:-1]:
        holder = holder[key]
    if way == "replace":
        holder[path[-1]] = value
    elif way == "leave out":
        del holder[path[-1]]
    elif isinstance(holder, list):
        holder.insert(path[-1], copy.deepcopy(holder[path[-1]]))
    else:
        holder[value if isinstance(value, str) else "other"] = copy.deepcopy(holder[path[-1]])
    return tree


WAYS = st.sampled_from(["replace", "replace", "leave out", "put in again"])


@fuzz
@given(data=st.data())
def test_the_header_and_the_table_say_something_else(files, data):
    path, whole = files
    header, body = split(whole[data.draw(WHICH)])
    table = json.loads(header["__metadata__"]["edit"])
    for _ in range(data.draw(st.integers(1, 2))):
        value, way = data.draw(st.sampled_from(ODD)), data.draw(WAYS)
        if data.draw(st.booleans()):
            table = changed(table, data.draw(st.sampled_from(places_in(table))), value, way)
        else:
            header = changed(header, data.draw(st.sampled_from(places_in(header)[1:])), value, way)
    if isinstance(header.get("__metadata__"), dict) and "edit" in header["__metadata__"]:
        header["__metadata__"]["edit"] = json.dumps(table)
    read(path, join(header, body))


@fuzz
@given(data=st.data())
def test_the_numbers_are_others(files, data):
    path, whole = files
    header, body = split(whole[data.draw(WHICH)])
    entry = header[data.draw(st.sampled_from([name for name in header if name != "__metadata__"]))]
    kind = {"F64": torch.float64, "F32": torch.float32, "I64": torch.int64, "U8": torch.uint8}[entry["dtype"]]
    numbers = {
        torch.float64: st.floats(),
        torch.float32: st.floats(width=32),
        torch.int64: st.integers(-(2**63), 2**63 - 1),
        torch.uint8: st.integers(0, 255),
    }
    start, end = entry["data_offsets"]
    values = torch.frombuffer(bytearray(body[start:end]), dtype=kind)
    number = data.draw(numbers[kind])
    values[data.draw(st.integers(0, len(values) - 1))] = number
    edit = read(path, join(header, body[:start] + values.numpy().tobytes() + body[end:]))
    assert edit is None or math.isfinite(number)


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"a":[' + b"[]," * 300_000 + b"[]]}",
        b'{"a":[' + b"{}," * 300_000 + b"{}]}",
        b'{"a":[' + b'{"":0},' * 150_000 + b"{}]}",
        b'{"a":[' + b"0.1," * 250_000 + b"0]}",
        b'{"a":[' + b'"\xc3\xa9",' * 200_000 + b"0]}",
        b"{" + b",".join(b'"%d":[]' % i for i in range(100_000)) + b"}",
        b"{" + b",".join(b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % i for i in range(20_000)) + b"}",
        b'{"__metadata__":{' + b",".join(b'"%d":""' % i for i in range(100_000)) + b"}}",
    ],
    ids=["deep", "lists", "tables", "small tables", "numbers", "texts", "names", "entries", "metadata"],
)
def test_no_header_takes_much_more_memory_than_its_size(header, files):
    path, _ = files
    assert read(path, join(header, b"")) is None


@given(data=st.data())
@settings(max_examples=300, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
def test_the_tensors_of_a_file_are_never_larger_than_the_file(files, data):
    path, _ = files
    sizes = st.integers(0, 40)
    entries = {
        name: {"dtype": data.draw(st.sampled_from(["U8", "F32"])), "shape": data.draw(st.lists(sizes, max_size=3)),
               "data_offsets": [data.draw(sizes), data.draw(sizes)]}
        for name in data.draw(st.sets(st.sampled_from("abcd")))
    }  # fmt: skip
    path.write_bytes(join(entries, data.draw(st.binary(max_size=80))))
    try:
        with TensorFile(path) as file:
            assert sum(file.read(name).nbytes for name in file.entries) <= file.size
    except ScaPreError:
        pass
