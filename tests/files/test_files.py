"""Edit files: exact, private if wished, whole or not there, and nothing but a sentence for those that are broken."""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
import re
import signal
import threading
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import safetensors
import torch
from safetensors.torch import load_file

from pack.scapre import VERSION
from pack.scapre.checkpoints.tensor_file import TensorFile
from pack.scapre.edits.hide import hide_names
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.files import read_edit, write_edit
from pack.scapre.files.write import write_tensors, written
from pack.scapre.merge import merge_edits
from pack.scapre.methods.scapre.settings import Settings
from pack.scapre.report.data import report_data
from pack.scapre.report.markdown import render
from pack.scapre.solve import solve_edit
from pack.scapre.states.prompts import TEMPLATES
from pack.tests.edit_files import damaged, described, join, same, stored, tiny_edit
from pack.tests.worlds import CASES, LISTS, SHAPES, WIDTH, Encoder, Projections, ask, edit_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with a tiny edit."""
    file = tmp_path / "edit.safetensors"
    write_edit(tiny_edit(), file)
    return file


# --- whole and exact ---


@pytest.mark.parametrize("names", LISTS)
@pytest.mark.parametrize("case", CASES)
def test_a_loaded_edit_is_the_saved_one_to_the_bit(case, names, tmp_path):
    projections, file = Projections(SHAPES), tmp_path / "edit.safetensors"
    for dtype in (torch.float32, torch.float64):
        edit = edit_of(ask(LISTS[names], CASES[case], preserve=("fish", "thing's")), projections, dtype)
        write_edit(edit, file)
        loaded = read_edit(file)
        assert same(edit, loaded)
        for name, weight in projections.weights.items():
            assert torch.equal(edit.delta(name, weight), loaded.delta(name, weight))
        again = tmp_path / "again.safetensors"
        write_edit(loaded, again)
        assert again.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("templates", TEMPLATES)
def test_wordings_states_and_odd_names_come_through(templates, tmp_path):
    request = ask(
        'ein "Schnörkel" -> 画\n"#1 {concept} [x] -> \\"" \n🎨\n' + "a" * 500, Settings(), seed=2**63 - 1,
        preserve=("thing",), templates=tuple(TEMPLATES[templates]), notes=("a note\nof two lines",),
    )  # fmt: skip
    edit = solve_edit(encode_request(Encoder(WIDTH), request)[0], Projections(SHAPES), request)
    write_edit(edit, tmp_path / "edit.safetensors")
    assert same(edit, read_edit(tmp_path / "edit.safetensors"))


def test_other_programs_can_open_the_file(path):
    tensors = load_file(path)
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "scapre edit" and metadata["format_version"] == "2"
    assert metadata["pack_version"] == VERSION
    table = json.loads(metadata["edit"])
    assert table["concepts"][0] == {"text": "cat", "anchor": "dog", "templates": []}
    assert (table["preserve"], table["seed"], table["family"]) == (["fish"], 3, "SD1.x")
    assert table["shapes"] == {"block.0.weight": [3, 6], "block.1.weight": [2, 6]}
    assert "strength" not in table
    edit = read_edit(path)
    assert torch.equal(tensors["shared.basis"], edit.payload.shared["basis"])
    header = int.from_bytes(path.read_bytes()[:8], "little")
    assert header % 8 == 0


def test_an_edit_that_could_not_be_read_is_not_written(path):
    before, edit = path.read_bytes(), tiny_edit()
    for name in ("stray  space", "a\x1b", "a" * 501, "half \ud800"):
        odd = replace(edit, preserve=(name,), states=replace(edit.states, last=edit.states.last | {name: 1}))
        odd = replace(odd, report=replace(odd.report, drift=odd.report.drift | {name: 0.0}))
        with pytest.raises(ScaPreError, match="edit: it cannot be saved"):
            write_edit(odd, path)
    for figure in (float("nan"), float("inf")):
        odd = replace(edit, report=replace(edit.report, kept=dict.fromkeys(edit.report.kept, figure)))
        with pytest.raises(ScaPreError, match="edit: it cannot be saved"):
            write_edit(odd, path)
    assert path.read_bytes() == before


def test_the_version_is_that_of_the_project():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^version = "([^"]+)"', project, re.MULTILINE)[1] == VERSION


def test_only_tokens_that_a_solve_reads_are_kept():
    edit = edit_of(ask("one\ntwo words -> a thing", Settings(), preserve=("fish", "a thing")), Projections(SHAPES))
    assert {text: (held.start, held.stop) for text, held in edit.states.kept.items()} == {
        "": (0, 77), "one": (1, 77), "two words": (2, 77), "a thing": (2, 77), "fish": (1, 2),
    }  # fmt: skip


# --- private ---

SECRETS = ["Xylophonist", "Quetzal", "Wyvern", "Zephyr"]


@pytest.mark.parametrize("templates", TEMPLATES)
def test_a_private_file_holds_no_name_in_any_form(templates, tmp_path):
    text = "Xylophonist -> Quetzal\nXYLOPHONIST -> Quetzal\nWyvern"
    request = ask(text, Settings(), preserve=("Zephyr", "Quetzal"), templates=tuple(TEMPLATES[templates]))
    assert any("XYLOPHONIST" in note for note in request.concepts.notes)
    projections, file = Projections(SHAPES), tmp_path / "edit.safetensors"
    edit = solve_edit(encode_request(Encoder(WIDTH), request)[0], projections, request)
    write_edit(edit, file, names=False)
    content = file.read_bytes().lower()
    for secret in SECRETS:
        for code in ("utf-8", "utf-16-le", "utf-32-le"):
            assert secret.lower().encode(code) not in content
    write_edit(edit, file)
    assert b"xylophonist" in file.read_bytes().lower()


@pytest.mark.parametrize("templates", TEMPLATES)
def test_a_private_edit_does_the_same_and_shows_numbers(templates, tmp_path):
    projections, file = Projections(SHAPES), tmp_path / "edit.safetensors"
    request = ask(
        "cat -> dog\ndog -> bird\nfox ->", CASES["valve"], preserve=("bird", "ship"),
        templates=tuple(TEMPLATES[templates]),
    )  # fmt: skip
    edit = edit_of(request, projections, torch.float32)
    write_edit(edit, file, names=False)
    hidden = read_edit(file)
    assert [(c.text, c.anchor) for c in hidden.concepts] == [
        ("concept\xa01", "concept\xa02"), ("concept\xa02", "anchor\xa01"), ("concept\xa03", ""),
    ]  # fmt: skip
    assert hidden.preserve == ("anchor\xa01", "preserved\xa01")
    assert list(hidden.report.remaining.values()) == list(edit.report.remaining.values())
    assert sorted(hidden.report.drift.values()) == sorted(edit.report.drift.values())
    assert "concept\xa01" in render(report_data(hidden, "Title"))
    merged = merge_edits({"edit": hidden}, projections)
    for name, weight in projections.weights.items():
        assert torch.equal(hidden.delta(name, weight), edit.delta(name, weight))
        assert torch.equal(merged.delta(name, weight), edit.delta(name, weight))
    assert same(hide_names(hidden), hidden)


def test_names_that_a_wording_makes_alike_can_be_hidden(tmp_path):
    templates = ("{concept}", "a photo of {concept}")
    edit = edit_of(ask("cat\na photo of cat", Settings(), templates=templates), Projections(SHAPES))
    write_edit(edit, tmp_path / "edit.safetensors", names=False)
    hidden = read_edit(tmp_path / "edit.safetensors")
    name, weight = next(iter(Projections(SHAPES).weights.items()))
    assert torch.equal(hidden.delta(name, weight), edit.delta(name, weight))


# --- broken ---


BROKEN = {
    "empty": (lambda p: p.write_bytes(b""), "cut short"),
    "text": (lambda p: p.write_text("hello, this is no tensor file"), "cut short, or not a safetensors"),
    "pickle": (lambda p: torch.save({"a": torch.zeros(3)}, p), "is a pickle file"),
    "no header": (lambda p: p.write_bytes(join(b"", b"")), "not JSON"),
    "huge header": (lambda p: os.truncate(_claims(p, 2**26 + 8), 2**26 + 100), "larger than any"),
    "header beyond the end": (lambda p: _claims(p, 2**62), "cut short"),
    "list header": (lambda p: p.write_bytes(join(b"[]", b"")), "not JSON"),
    "deep header": (lambda p: p.write_bytes(join(b'{"a":' * 50_000, b"")), "not JSON"),
    "not UTF-8": (lambda p: p.write_bytes(join(b'{"\xff": 1}', b"")), "not JSON"),
    "half a character": (lambda p: p.write_bytes(join(b'{"\\ud800": 1}', b"")), "not JSON"),
    "NaN in the header": (lambda p: p.write_bytes(join(b'{"a": NaN}', b"")), "not JSON"),
    "long number": (lambda p: p.write_bytes(join(b'{"a": ' + b"9" * 5000 + b"}", b"")), "not JSON"),
    "repeated name": (
        lambda p: p.write_bytes(p.read_bytes().replace(b'"shared.sigma"', b'"shared.basis"')), "occurs twice",
    ),
    "not an edit": (lambda p: damaged(p, lambda h, d: h["__metadata__"].pop("format") and None), "not an edit"),
    "no metadata": (lambda p: damaged(p, lambda h, d: h.pop("__metadata__") and None), "not an edit"),
    "metadata of numbers": (lambda p: damaged(p, lambda h, d: h["__metadata__"].update(format=1)), "not text"),
    "later format": (
        lambda p: damaged(p, lambda h, d: h["__metadata__"].update(format_version="5", pack_version="9.9.9")),
        r'written by ScaPre "9\.9\.9" .*Update the pack',
    ),
    "no table": (lambda p: damaged(p, lambda h, d: h["__metadata__"].pop("edit") and None), "description"),
    "broken table": (lambda p: damaged(p, lambda h, d: h["__metadata__"].update(edit="{")), "description"),
    "longer": (lambda p: p.write_bytes(p.read_bytes() + b"\0"), "should hold"),
    "unknown dtype": (lambda p: damaged(p, lambda h, d: h["shared.basis"].update(dtype="F4")), "shared.basis"),
    "wrong dtype": (lambda p: damaged(p, lambda h, d: h["shared.sigma"].update(dtype="I64")), "shared.sigma"),
    "wrong shape": (lambda p: damaged(p, lambda h, d: h["shared.anchors"]["shape"].reverse()), "does not fit the rest"),
    "other size": (lambda p: damaged(p, lambda h, d: h["shared.basis"].update(shape=[1, 1])), "fit its shape"),
    "negative shape": (lambda p: damaged(p, lambda h, d: h["shared.basis"].update(shape=[-6, -6])), "impossible"),
    "fractional shape": (lambda p: damaged(p, lambda h, d: h["shared.basis"].update(shape=[6.0, 6.0])), "impossible"),
    "enormous shape": (lambda p: damaged(p, lambda h, d: h["shared.basis"].update(shape=[2**47] * 8)), "does not fit"),
    "missing tensor": (lambda p: damaged(p, _drop), "missing"),
    "extra tensor": (lambda p: damaged(p, _add), "extra is unknown"),
    "overlap": (lambda p: damaged(p, _overlap), "overlaps"),
    "NaN": (lambda p: stored(p, "shared.tokens", float("nan")), "shared.tokens has values"),
    "infinity": (lambda p: stored(p, "states.tokens", float("inf")), "states.tokens has values"),
    "NaN in a sketch": (lambda p: stored(p, "sketch.block.0.weight", float("nan")), "sketch"),
    "negative eigenvalue": (lambda p: stored(p, "shared.eigenvalues", -1), "shared.eigenvalues"),
    "level above one": (lambda p: stored(p, "rows.block.0.weight.levels", 1.5), "levels"),
    "code of no level": (lambda p: stored(p, "rows.block.0.weight.codes", 255), "codes"),
    "base of no level": (lambda p: stored(p, "rows.block.1.weight.base", -1), "base"),
    "no such anchor": (lambda p: stored(p, "shared.target", 7), "target"),
    "token beyond the window": (lambda p: stored(p, "states.last", 9), "token 9 of 5"),
    "missing matrix": (lambda p: described(p, lambda t: t["shapes"].pop("block.1.weight")), "wrong value|unknown"),
    "no matrices": (lambda p: described(p, lambda t: t["shapes"].clear()), "no width"),
    "extra matrix": (lambda p: described(p, lambda t: t["shapes"].update(more=[2, 6])), "wrong value|missing"),
    "another matrix": (lambda p: described(p, lambda t: t["shapes"].update({"block.1.weight": [4, 6]})), "not fit"),
    "two widths": (lambda p: described(p, lambda t: t["shapes"].update({"block.1.weight": [2, 7]})), "width"),
    "missing key": (lambda p: described(p, lambda t: t.pop("seed")), "seed is missing"),
    "unknown key": (lambda p: described(p, lambda t: t.update(strength=1)), "strength is missing, or unknown"),
    "unknown setting": (lambda p: described(p, lambda t: t["settings"].update(more=1)), "more"),
    "setting of text": (lambda p: described(p, lambda t: t["settings"].update(ridge="1")), "ridge"),
    "setting out of range": (lambda p: described(p, lambda t: t["settings"].update(ridge=-1.0)), "ridge: -1.0"),
    "other variant": (lambda p: described(p, lambda t: t["settings"].update(variant="magic")), "magic"),
    "gate without its rows": (lambda p: described(p, lambda t: t["settings"].update(informax=False)), "unknown"),
    "negative seed": (lambda p: described(p, lambda t: t.update(seed=-1)), "whole number"),
    "true seed": (lambda p: described(p, lambda t: t.update(seed=True)), "whole number"),
    "no concepts": (lambda p: described(p, lambda t: t["concepts"].clear()), "names no concept"),
    "more concepts": (
        lambda p: described(p, lambda t: t["concepts"].append({"text": "x", "anchor": "", "templates": []})),
        "wrong value",
    ),
    "a million concepts": (
        lambda p: described(
            p, lambda t: t.update(concepts=[{"text": f"x{i}", "anchor": "", "templates": []} for i in range(10**5)])
        ),
        "wrong value",
    ),
    "a billion texts": (
        lambda p: described(
            p, lambda t: t.update(templates=["{concept}"] * 1000, concepts=[
                {"text": f"x{i}", "anchor": "", "templates": []} for i in range(1000)])
        ),
        "more than it has states of",
    ),
    "same concept twice": (lambda p: described(p, lambda t: t["concepts"][1].update(text=" CAT".strip())), "twice"),
    "erased and preserved": (lambda p: described(p, lambda t: t.update(preserve=["cat"])), "twice"),
    "empty name": (lambda p: described(p, lambda t: t["concepts"][0].update(text="")), "no name"),
    "control character": (lambda p: described(p, lambda t: t["concepts"][0].update(text="a\x1b[2J")), "is no name"),
    "long name": (lambda p: described(p, lambda t: t["concepts"][0].update(text="a" * 501)), "500 characters"),
    "long template": (lambda p: described(p, lambda t: t.update(templates=["{concept}" + "a" * 500])), "500 char"),
    "template without a place": (lambda p: described(p, lambda t: t.update(templates=["x"])), "exactly once"),
    "no template": (lambda p: described(p, lambda t: t.update(templates=[])), "templates"),
    "window of text": (lambda p: described(p, lambda t: t.update(window="5")), "whole number"),
    "other window": (lambda p: described(p, lambda t: t.update(window=6)), "states of"),
    "bad fingerprint": (lambda p: described(p, lambda t: t.update(fingerprint="x")), "fingerprint"),
    "figures missing": (lambda p: described(p, lambda t: t["report"]["kept"].pop()), "wrong value"),
    "figure of text": (lambda p: described(p, lambda t: t["report"]["kept"].__setitem__(0, "1")), "not a number"),
    "infinite figure": (
        lambda p: damaged(p, lambda h, d: h["__metadata__"].update(
            edit=re.sub(r'"kept": \[[^,]+', '"kept": [1e999', h["__metadata__"]["edit"]))), "not a number",
    ),
    "note of numbers": (lambda p: described(p, lambda t: t["report"].update(notes=[1])), "not a text"),
    "table for a list": (lambda p: described(p, lambda t: t.update(concepts={"a": 1})), "wrong value"),
}  # fmt: skip


def _claims(path, length):
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    return path


def _drop(header, data):
    entry = header.pop("states.last")
    start, end = entry["data_offsets"]
    del data[start:end]
    for other in header.values():
        if other.get("data_offsets", [0])[0] >= end:
            other["data_offsets"] = [place - (end - start) for place in other["data_offsets"]]


def _add(header, data):
    header["extra"] = {"dtype": "U8", "shape": [4], "data_offsets": [len(data), len(data) + 4]}
    data += b"abcd"


def _overlap(header, data):
    header["shared.sigma"]["data_offsets"] = header["shared.eigenvalues"]["data_offsets"]
    header["shared.sigma"]["shape"] = header["shared.eigenvalues"]["shape"]


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_refused_in_a_sentence(kind, path):
    damage, message = BROKEN[kind]
    damage(path)
    with pytest.raises(ScaPreError, match=f"(?s){message}") as raised:
        read_edit(path)
    assert str(raised.value).startswith('file: "edit.safetensors"')
    assert str(raised.value).endswith(".") and len(str(raised.value)) < 400
    assert raised.value.__cause__ is None


def test_a_file_that_ends_anywhere_is_refused(path):
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ScaPreError):
            read_edit(path)


def test_what_is_no_file_is_refused(tmp_path):
    for name, message in ((".", "is not a file"), ("none", "No such file"), ("a\0b", "null")):
        with pytest.raises(ScaPreError, match=message):
            read_edit(tmp_path / name)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ScaPreError, match="is not a file"):
            read_edit(tmp_path / "pipe")


def test_a_file_that_shrinks_while_it_is_read_is_refused(path):
    write_tensors(path, {"values": (torch.float32, (2**20,))}, lambda _: torch.zeros(2**20), {})
    with TensorFile(path) as file:
        os.truncate(path, 2**20)
        with pytest.raises(ScaPreError, match="cut while"):
            file.read("values")
        with pytest.raises(ScaPreError, match="no tensor"):
            file.read("others")


# --- written whole or not at all ---


def left_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError()]
)
def test_a_failed_write_leaves_everything_as_it_was(path, failure, overwrite):
    before = path.read_bytes()
    place = path if overwrite else path.with_name("other.safetensors")

    def tensor(name):
        if name == "b":
            raise failure
        return torch.zeros(2**16)

    entries = dict.fromkeys("abc", (torch.float32, (2**16,)))
    expected = ScaPreError if isinstance(failure, OSError) else type(failure)
    with pytest.raises(expected, match="disk is not full" if expected is ScaPreError else None):
        write_tensors(place, entries, tensor, {}, overwrite=overwrite)
    assert left_in(path.parent) == ["edit.safetensors"]
    assert path.read_bytes() == before


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs a limit on the size of files")
def test_a_disk_that_fills_up_while_writing_leaves_everything_as_it_was(path):
    import resource

    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
        with pytest.raises(ScaPreError, match="cannot be written"):
            write_edit(tiny_edit(), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    assert left_in(path.parent) == ["edit.safetensors"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_last_step_that_fails_leaves_nothing(path, monkeypatch, step, overwrite):
    def fail(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(*(os, "fsync", fail) if step == "fsync" else (Path, "replace", fail))
    before, place = path.read_bytes(), path if overwrite else path.with_name("other.safetensors")
    with pytest.raises(ScaPreError, match="Read-only"):
        write_edit(tiny_edit(), place, overwrite=overwrite)
    assert left_in(path.parent) == ["edit.safetensors"]
    assert path.read_bytes() == before


def test_places_that_cannot_be_written_are_named(path, tmp_path):
    (tmp_path / "folder.safetensors").mkdir()
    for place in ("none/edit.safetensors", "edit.safetensors/edit.safetensors", "folder.safetensors", "a" * 300):
        with pytest.raises(ScaPreError, match="cannot be written"):
            write_edit(tiny_edit(), tmp_path / place)
    assert left_in(tmp_path) == ["edit.safetensors", "folder.safetensors"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ScaPreError, match="cannot be written"):
        write_edit(tiny_edit(), tmp_path / "edit.safetensors")


def test_a_file_is_only_replaced_when_that_is_wanted(path):
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        write_edit(tiny_edit(ridge=2.0), path, overwrite=False)
    assert path.read_bytes() == before
    write_edit(tiny_edit(ridge=2.0), path)
    assert read_edit(path).settings.ridge == 2.0


def test_the_old_file_is_whole_until_the_new_one_is(path):
    before = path.read_bytes()
    with written(path) as part:
        part.write_bytes(b"half")
        assert path.read_bytes() == before
        part.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"


def test_a_file_has_the_rights_that_the_user_gives_new_files(path, tmp_path):
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def save_numbered(folder: Path, seed: int, times: int) -> None:
    edit = tiny_edit(ridge=float(seed))
    for _ in range(times):
        for number in count(1):
            with contextlib.suppress(FileExistsError):
                write_edit(edit, folder / f"edit_{number:05}_.safetensors", overwrite=False)
                break


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_those_who_save_at_once_take_different_numbers(kind, tmp_path):
    torch.set_num_threads(1)
    make = threading.Thread if kind == "threads" else multiprocessing.get_context("fork").Process
    workers = [make(target=save_numbered, args=(tmp_path, seed, 8)) for seed in range(1, 5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    names = [f"edit_{number:05}_.safetensors" for number in range(1, 33)]
    assert left_in(tmp_path) == names
    assert (
        sorted(read_edit(tmp_path / name).settings.ridge for name in names)
        == [1.0] * 8 + [2.0] * 8 + [3.0] * 8 + [4.0] * 8
    )


def test_those_who_replace_at_once_leave_one_whole_file(tmp_path):
    place = tmp_path / "edit.safetensors"
    edits = [tiny_edit(ridge=float(seed)) for seed in range(1, 5)]
    workers = [threading.Thread(target=lambda e=edit: [write_edit(e, place) for _ in range(10)]) for edit in edits]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        if place.exists():
            assert read_edit(place).settings.ridge in (1, 2, 3, 4)
    assert any(same(read_edit(place), edit) for edit in edits)
    assert left_in(tmp_path) == ["edit.safetensors"]
