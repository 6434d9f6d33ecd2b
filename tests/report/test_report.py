"""The report: its data against a plain computation, its JSON, and Markdown that no name can break."""

from __future__ import annotations

import itertools
import json
import math
import re
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from pack.scapre.edits.hide import hide_names
from pack.scapre.encode import encode_request
from pack.scapre.families import Role, place, stable_diffusion
from pack.scapre.files import read_edit, write_edit
from pack.scapre.merge import merge_edits
from pack.scapre.methods.scapre.settings import Settings
from pack.scapre.report.conflicts import MOST
from pack.scapre.report.data import NOTE, report_data
from pack.scapre.report.markdown import escape, render
from pack.scapre.states.prompts import TEMPLATES
from pack.tests.worlds import CASES, WIDTH, Encoder, Projections, ask, edit_of

UNET = [
    "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
    "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_v.weight",
    "diffusion_model.input_blocks.1.1.transformer_blocks.1.attn2.to_k.weight",
    "diffusion_model.input_blocks.1.1.transformer_blocks.1.attn2.to_v.weight",
    "diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_v.weight",
    "diffusion_model.output_blocks.11.1.transformer_blocks.3.attn2.to_k.weight",
    "elsewhere.weight",
]
TEXT = "cat -> dog\nbird\nowl -> cat\nfox ->"
PRESERVE = ("fish", "dog")
HOSTILE = [
    "a | b", "a\\|b", "|", "\\", "`code", "*bold* _it_ __x__ ~~s~~", "[x](https://evil.example)", "![](//e.example/i)",
    "<img src=x onerror=alert(1)>", "<!--", "&lt;b&gt; &#124; &", "https://evil.example www.evil.example a@b.example",
    "# h", "- x", "1. x", "> q", "```", "---", "long_hair_(blue)", "concept\xa01", "漢字 | 😀", "--- | ---",
]  # fmt: skip


class Unet(Projections):
    """Projections under the names of a UNet, as many as there are here."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__([(4 + index, WIDTH) for index in range(len(UNET))], seed=seed)
        self.weights = dict(zip(UNET, self.weights.values(), strict=True))
        self.roles = dict(zip(self.weights, itertools.cycle((Role.KEY, Role.VALUE)), strict=False))


def solved(text=TEXT, case="preset objects-few", preserve=PRESERVE, **more):
    return edit_of(ask(text, CASES[case], preserve=preserve, **more), Unet())


def told(edit):
    """The data without the seconds, which differ from run to run."""
    return {key: value for key, value in report_data(edit, "Title", ["line"]).items() if key != "seconds"}


def digits(value: float) -> float:
    return pytest.approx(value, rel=6e-4, abs=1e-9)


@pytest.mark.parametrize("case", ["preset objects-few", "preset confusable-many", "valve"])
def test_the_data_are_what_the_dense_change_does(case):
    edit, weights = solved(case=case), Unet().weights
    states = encode_request(Encoder(WIDTH), ask(TEXT, Settings(), preserve=PRESERVE))[0]
    c = {text: states.of(text)[states.last[text]].double() for text in ("cat", "dog", "bird", "owl", "fox", "fish", "")}
    before = torch.cat([weight.double() for weight in weights.values()])
    change = torch.cat([edit.delta(name, weight) for name, weight in weights.items()])
    data = report_data(edit, "Title", ["line"])
    assert (data["title"], data["lines"]) == ("Title", ["line"])
    assert [(row["name"], row["anchor"]) for row in data["concepts"]] == [
        ("cat", "dog"), ("bird", ""), ("owl", "cat"), ("fox", ""),
    ]  # fmt: skip
    for row in data["concepts"]:
        name, gap = row["name"], before @ (c[row["name"]] - c[row["anchor"]])
        old, new = before @ c[name], (before + change) @ c[name]
        assert row["remaining"] == digits(((gap + change @ c[name]).norm() / gap.norm()).item())
        assert row["kept"] == digits((new @ old / (old @ old)).item())
    null = states.of("").double().T
    assert data["drift"][0]["drift"] == digits(((change @ null).norm() / (before @ null).norm()).item())
    assert [(row["name"], row["role"]) for row in data["drift"]] == [
        ("", "empty"), ("dog", "preserved"), ("cat", "anchor"), ("fish", "preserved"),
    ]  # fmt: skip
    for row in data["drift"][1:]:
        assert row["drift"] == digits(((change @ c[row["name"]]).norm() / (before @ c[row["name"]]).norm()).item())


def test_layers_are_named_as_people_count_them_and_hold_their_own_change():
    edit, weights = solved(), Unet().weights
    share = {name: digits((edit.delta(name, w).norm() / w.double().norm()).item()) for name, w in weights.items()}
    assert report_data(edit, "Title")["blocks"] == [
        {"block": "input 1.0", "key": share[UNET[0]], "value": share[UNET[1]], "output": None, "rest": None},
        {"block": "input 1.1", "key": share[UNET[2]], "value": share[UNET[3]], "output": None, "rest": None},
        {"block": "middle 0", "key": None, "value": share[UNET[4]], "output": None, "rest": None},
        {"block": "output 11.3", "key": share[UNET[5]], "value": None, "output": None, "rest": None},
        {"block": "elsewhere", "key": None, "value": share[UNET[6]], "output": None, "rest": None},
    ]
    unets = stable_diffusion.FAMILIES.values()
    assert {place(family.title, UNET[5]).label for family in unets} == {"output 11.3"}
    halves = [place("PixArt Sigma", f"diffusion_model.blocks.12.cross_attn.kv_linear.weight[{n}/2]") for n in (1, 2)]
    assert [(half.label, half.role) for half in halves] == [("block 12", Role.KEY), ("block 12", Role.VALUE)]
    assert place("Wan", "diffusion_model.vace_blocks.3.cross_attn.v.weight").label == "vace block 3"
    assert place("A later family", UNET[5]) == (UNET[5], UNET[5].removesuffix(".weight"), Role.VALUE)


def test_layers_whose_names_look_alike_stay_apart():
    names = [UNET[0], UNET[0].replace("diffusion_model", "other")]
    edit = solved()
    edit = replace(edit, report=replace(edit.report, change=dict(zip(names, (0.25, 0.5), strict=True))))
    assert [(row["block"], row["key"]) for row in told(edit)["blocks"]] == [("input 1.0", 0.25), ("input 1.0", 0.5)]


@pytest.mark.parametrize("templates", TEMPLATES)
def test_conflicts_are_the_cosines_of_the_last_tokens(templates):
    edit = solved("cat -> dog\nred ship\nbird", preserve=(), templates=tuple(TEMPLATES[templates]))
    found, first = report_data(edit, "Title")["conflicts"], TEMPLATES[templates][0]
    vectors = []
    for name in ("cat", "red ship", "bird"):
        text = first.replace("{concept}", name)
        vectors.append(edit.states.of(text)[edit.states.last[text.split(name)[0] + name]].tolist())
    assert (found["names"], found["of"]) == (["cat", "red ship", "bird"], 3)
    for i, mine in enumerate(vectors):
        for j, other in enumerate(vectors):
            dot = math.fsum(a * b for a, b in zip(mine, other, strict=True))
            assert found["cosines"][i][j] == digits(dot / math.hypot(*mine) / math.hypot(*other))
            assert found["cosines"][i][j] == found["cosines"][j][i]
        assert found["cosines"][i][i] == 1


def test_one_concept_has_nothing_to_conflict_with():
    assert report_data(solved("cat"), "Title")["conflicts"] is None


def test_of_many_concepts_those_closest_to_another_are_taken_in_their_order():
    count, names = MOST + 37, [f"name {index}" for index in range(MOST + 37)]
    edit = edit_of(ask("\n".join(names), Settings(samples=2, bins=2)), Projections([(3, WIDTH)]), torch.float32)
    vectors = torch.stack([edit.states.of(name)[edit.states.last[name]].double() for name in names])
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    nearest = [max((unit[i] @ unit[j]).item() for j in range(count) if j != i) for i in range(count)]
    best = sorted(sorted(range(count), key=lambda index: -nearest[index])[:MOST])
    found = report_data(edit, "Title")["conflicts"]
    assert found["names"] == [names[index] for index in best]
    assert found["names"] != names[:MOST]
    assert (found["of"], len(found["cosines"])) == (count, MOST)


def test_a_text_that_two_wordings_share_has_one_row():
    edit = solved("cat\na photo of cat", templates=("{concept}", "a photo of {concept}"), preserve=())
    assert [row["name"] for row in told(edit)["concepts"]] == [
        "cat", "a photo of cat", "a photo of a photo of cat",
    ]  # fmt: skip


# --- merged, from a file, private ---


def test_a_file_gives_the_same_data(tmp_path):
    edit = solved()
    write_edit(edit, tmp_path / "edit.safetensors")
    loaded = read_edit(tmp_path / "edit.safetensors")
    assert report_data(loaded, "Title", ["line"]) == report_data(edit, "Title", ["line"])


@pytest.mark.parametrize("hide", [False, True])
def test_merging_gives_the_data_of_the_whole_list(hide):
    parts = [edit_of(ask(text, Settings(), preserve=PRESERVE[:1]), Unet()) for text in ("cat -> dog\nbird", "fox ->")]
    parts = [hide_names(part) if hide else part for part in parts]
    whole = edit_of(ask("cat -> dog\nbird\nfox ->", Settings(), preserve=PRESERVE[:1]), Unet(), torch.float32)
    merged = merge_edits(dict(zip("ab", parts, strict=True)), Unet())
    mine, its = told(hide_names(merged)), told(hide_names(whole))
    assert mine == its
    assert hide or told(merged) == told(whole)


@pytest.mark.parametrize("templates", TEMPLATES)
def test_a_private_edit_has_the_same_figures_under_numbers(templates):
    edit = solved(templates=tuple(TEMPLATES[templates]))
    shown, hidden = told(edit), told(hide_names(edit))
    for part in ("concepts", "drift"):
        for mine, its in zip(hidden[part], shown[part], strict=True):
            assert {**mine, "name": "", "anchor": ""} == {**its, "name": "", "anchor": ""}
    assert hidden["blocks"] == shown["blocks"]
    assert hidden["conflicts"]["cosines"] == shown["conflicts"]["cosines"]
    assert hidden["conflicts"]["names"] == [f"concept\xa0{number}" for number in (1, 2, 3, 4)]
    assert not re.search("cat|dog|bird|owl|fox|fish", json.dumps(hidden, ensure_ascii=False))


def test_the_same_edit_gives_the_same_data():
    edit = solved()
    assert json.dumps(report_data(edit, "Title")) == json.dumps(report_data(edit, "Title"))
    assert told(edit) == told(solved())


# --- JSON ---


@given(st.lists(st.floats(allow_nan=True), min_size=4, max_size=4))
@example([0.0, -0.0, math.inf, sys.float_info.max])
def test_any_figure_is_strict_json_with_four_digits(figures):
    edit = BASE
    odd = dict(zip(edit.report.kept, figures, strict=True))
    data = report_data(replace(edit, report=replace(edit.report, kept=odd, seconds={"solve": figures[0]})), "Title")
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    for row in data["concepts"]:
        figure = odd[row["name"]]
        if abs(figure) < 1e308:  # four digits of a number above it may be infinity
            assert row["kept"] == pytest.approx(figure, rel=6e-4)
            assert len(re.sub(r"e.*|[-.]", "", repr(row["kept"])).strip("0")) <= 4
        elif not math.isfinite(figure):
            assert row["kept"] is None
    render(data)


BASE = solved()


# --- Markdown ---


def cells(line: str) -> list[str]:
    """The cells of a table's row, as Markdown splits it: a backslash makes the sign after it plain."""
    found, cell, signs = [], "", iter(line)
    for sign in signs:
        if sign == "|":
            found.append(cell)
            cell = ""
        else:
            cell += sign + (next(signs, "") if sign == "\\" else "")
    assert not cell.strip()
    return [part.strip(" ") for part in found[1:]]


def plain(text: str) -> str:
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text)


def tables(text: str) -> list[list[list[str]]]:
    blocks = [block.splitlines() for block in text.split("\n\n")]
    return [[cells(line) for line in block] for block in blocks if block[0].startswith("|")]


def named(data, names):
    """Data in which every name, note and line is one of these."""
    row = data["concepts"][0]
    concepts = [{**row, "name": name, "anchor": anchor} for name, anchor in zip(names, reversed(names), strict=True)]
    drift = [{**data["drift"][1], "name": name} for name in names]
    square = [[1.0] * len(names)] * len(names)
    conflicts = {"names": names, "cosines": square, "of": len(names)}
    return {**data, "concepts": concepts, "drift": drift, "conflicts": conflicts, "lines": names, "notes": names}


def test_no_name_breaks_a_table():
    text = render(named(report_data(BASE, "Title"), HOSTILE))
    erased, drift, change, close = tables(text)
    for table in (erased, drift, change, close):
        assert {len(row) for row in table} == {len(table[0])}
    assert [[plain(name) for name in row[2:]] for row in erased[2:]] == [
        [name, anchor] for name, anchor in zip(HOSTILE, reversed(HOSTILE), strict=True)
    ]
    assert [plain(row[2]) for row in drift[2:]] == HOSTILE
    assert {plain(row[1]) for row in close[2:]} <= set(HOSTILE)


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp"))))
def test_an_escaped_name_is_one_cell_that_says_the_name(name):
    (cell,) = cells(f"| {escape(name)} |")
    assert plain(cell) == name.strip().strip(" ")
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*<\[\]|~]", escape(name))


def test_a_note_of_several_lines_begins_no_heading_and_no_list():
    names = ["first\n# second", "# x\r\n- y", "1) z\u2028> w", "\x0b+ v", "    code", "=== x"]
    text = render({**report_data(BASE, "Title"), "lines": names, "notes": names})
    notes = text.split("## Notes\n\n")[1].splitlines()
    assert [plain(note) for note in notes] == [
        "* first # second", "* # x - y", "* 1) z > w", "* + v", "* code", "* === x",
    ]  # fmt: skip
    starts = ("\\#", "1\\)", "\\+", "code", "\\=")
    assert all(note[2:].startswith(start) for note, start in zip(notes[1:], starts, strict=True))
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# Title", "## Erased", "## Drift of what should stay", "## Relative change of the weights",
        "## Concepts close to each other", "## Notes",
    ]  # fmt: skip


def test_names_that_need_no_backslash_have_none():
    for name in ("long_hair", "(cat:1.9)", "Tom & Jerry", "a.b/c", "-5", "O'Keeffe, Georgia", "漢字", "C#", "a: b"):
        assert escape(name) == name


def test_the_markdown_has_every_figure():
    edit = solved(preserve=("fish",), case="valve")
    data = report_data(edit, "Erased 4 concepts", ["Preset x"])
    text = render(data)
    erased, drift, change, close = tables(text)
    assert erased[0] == ["kept", "remaining", "concept", "anchor"]
    assert [row[:2] for row in erased[2:]] == [[f"{r['kept']:.3f}", f"{r['remaining']:.3f}"] for r in data["concepts"]]
    assert [row[0] for row in drift[2:]] == [f"{row['drift']:.3f}" for row in data["drift"]]
    assert drift[2][1:] == ["empty", "(empty prompt)"]
    assert change[2:] == [
        [*("-" if row[part] is None else f"{row[part]:.3f}" for part in ("key", "value")), row["block"]]
        for row in data["blocks"]
    ]
    assert len(close) == 2 + 6
    assert [float(row[0]) for row in close[2:]] == sorted((float(row[0]) for row in close[2:]), reverse=True)
    for stage, seconds in data["seconds"].items():
        assert f"{stage} {seconds:.3f}" in text
    for said in ("# Erased 4 concepts", "Preset x", "7 matrices: least", NOTE):
        assert said in text


def test_a_long_list_is_whole_and_its_closest_pairs_are_counted():
    names = "\n".join(f"name {index}" for index in range(300))
    text = render(report_data(solved(names, preserve=()), "Title"))
    erased, _, _, close = tables(text)
    assert [row[2] for row in erased[2:]] == names.splitlines()
    most = max(erased[2:], key=lambda row: float(row[1]))
    assert "300 rows: mean remaining " in text and f"most {most[1]} (" in text
    assert len(close) == 2 + 40
    assert "The 40 closest of 44,850 pairs." in text
