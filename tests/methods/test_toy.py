"""A method from outside goes through the table alone into solve, file, merge, export, report, node and command line."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pack import dev
from pack.nodes.apply_edit import ApplyEdit
from pack.nodes.edit_map import EditMap
from pack.nodes.host.projections import HostProjections
from pack.nodes.host.text_encoder import ClipEncoder
from pack.nodes.inputs.settings import setting_inputs, settings_from
from pack.nodes.merge_edits import MergeEdits
from pack.scapre.cli import arguments
from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.edits.edit import Edit
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.export import FORMATS, Options, Rank
from pack.scapre.families import Role
from pack.scapre.files import read_edit, write_edit
from pack.scapre.merge import merge_edits
from pack.scapre.methods import METHODS, method
from pack.scapre.methods.scapre.settings import Settings as ScaPreSettings
from pack.scapre.progress import silent
from pack.scapre.report.data import report_data
from pack.scapre.report.markdown import render
from pack.scapre.request import Request
from pack.scapre.solve import solve_edit
from pack.tests import checkpoint_files, edit_files
from pack.tests.host import models
from pack.tests.methods.toy import Projection, Settings
from pack.tests.worlds import SHAPES, WIDTH, Encoder, Projections, ask, edit_of, error

README = Path(dev.__file__).parent / "scapre" / "README.md"
WEIGHTS = Projections(SHAPES)
VALUES = ["block.1.weight"]  # of three, the only value


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> Projection:
    """The method, by its line in the table."""
    found = Projection()
    monkeypatch.setitem(METHODS, "toy", found)
    return found


def request(text: str, share: float = 1.0) -> Request:
    return ask(text, Settings(share), method="toy", preserve=("fish",))


def solved(text: str = "cat\nred ship", share: float = 1.0) -> Edit:
    return edit_of(request(text, share), WEIGHTS, torch.float32)


def expected(text: str, weight: torch.Tensor, share: float = 1.0) -> torch.Tensor:
    """W' - W by a pseudoinverse, in float64."""
    states, _ = encode_request(Encoder(WIDTH), request(text))
    concepts = torch.stack([states.subject(pair.concept) for pair in request(text).pairs()]).double()
    return -share * weight.double() @ torch.linalg.pinv(concepts) @ concepts


def test_it_is_solved_for_its_role_alone() -> None:
    edit = solved(share=0.5)
    assert list(edit.shapes) == list(edit.report.change) == list(edit.sketch) == VALUES
    weight = WEIGHTS.weights[VALUES[0]]
    assert error(edit.delta(VALUES[0], weight), expected("cat\nred ship", weight, 0.5)) < 1e-5
    assert edit.report.kept == pytest.approx(dict.fromkeys(["cat", "red ship"], 0.5))
    assert set(edit.report.seconds) == {"text encoding", "statistics", "read", "fit", "solve", "report"}
    with pytest.raises(ScaPreError, match="no projection"):
        edit.delta("block.0.weight", WEIGHTS.weights["block.0.weight"])


def test_a_model_without_its_role_is_refused() -> None:
    keys = Projections(SHAPES)
    keys.roles = dict.fromkeys(keys.roles, Role.KEY)
    with pytest.raises(ScaPreError, match=r"Projection edits cross-attention value, and this SD1\.x model has none"):
        edit_of(request("cat"), keys)


def test_its_files_say_whose_they_are_and_older_packs_refuse_them(tmp_path: Path) -> None:
    edit, path = solved(), tmp_path / "edit.safetensors"
    write_edit(edit, path)
    assert edit_files.same(edit, read_edit(path))
    header, _ = edit_files.split(path.read_bytes())
    told = header["__metadata__"]
    assert (told["format_version"], told["method"], told["method_format"]) == ("2", "toy", "1")
    assert {name for name in header if name.startswith(("shared.", "rows."))} == {"shared.basis"}


def test_a_file_of_an_unknown_method_or_payload_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "edit.safetensors"
    write_edit(solved(), path)
    monkeypatch.setattr(Projection, "format", 3)
    with pytest.raises(
        ScaPreError, match=r'with the method "toy" in its format "1", which this version .* Update the pack'
    ):
        read_edit(path)
    monkeypatch.delitem(METHODS, "toy")
    with pytest.raises(ScaPreError, match=r'with the method "toy"'):
        read_edit(path)
    with pytest.raises(ScaPreError, match=r'method: "toy" is unknown\. Choose one of auto, scapre'):
        method("toy")


@pytest.mark.parametrize(("name", "value"), [("share", 2), ("share", "much"), ("other", 1)])
def test_a_file_is_held_against_the_methods_own_settings(name: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "edit.safetensors"
    write_edit(solved(), path)
    edit_files.described(path, lambda table: table["settings"].update({name: value}))
    with pytest.raises(ScaPreError, match=r"file: .* is damaged"):
        read_edit(path)


def test_a_file_is_held_against_the_methods_own_bounds(tmp_path: Path) -> None:
    path = tmp_path / "edit.safetensors"
    write_edit(solved(), path)
    edit_files.stored(path, "shared.basis", 1.5)
    with pytest.raises(ScaPreError, match=r"shared\.basis has values from .* to 1\.5"):
        read_edit(path)


def test_the_union_is_solved_as_if_it_had_been_typed() -> None:
    merged = merge_edits({"a": solved("cat"), "b": solved("red ship\ndog")}, WEIGHTS, remove=["dog"])
    assert merged.same_as(replace(solved(), seed=merged.seed))
    assert not merged.same_as(solved("cat"))


def test_edits_of_two_methods_and_of_one_that_cannot_are_not_solved_together(monkeypatch: pytest.MonkeyPatch) -> None:
    other = edit_of(ask("dog", ScaPreSettings()), WEIGHTS, torch.float32)
    with pytest.raises(ScaPreError, match="a was made with the method Projection and b with ScaPre"):
        merge_edits({"a": solved(), "b": other}, WEIGHTS)
    monkeypatch.setattr(Projection, "joint", False)
    with pytest.raises(
        ScaPreError, match="a was made with the method Projection, whose edits cannot be solved together"
    ):
        merge_edits({"a": solved()}, WEIGHTS)


@pytest.mark.parametrize("form", FORMATS)
def test_it_is_exported_in_every_format(form: str, tmp_path: Path) -> None:
    source = checkpoint_files.write(tmp_path / "source.safetensors", checkpoint_files.tensors())
    with checkpoint_files.Checkpoint(source) as checkpoint:
        states, _ = encode_request(Encoder(768), request("cat\nred ship"))
        edit = solve_edit(states, checkpoint, request("cat\nred ship"))
        assert all("to_v" in name for name in edit.shapes) and len(edit.shapes) == 16
        options = Options(Rank(0, 0.0), dtype="fp32" if form != "checkpoint" else "")
        exported = FORMATS[form](edit, checkpoint, tmp_path / "out.safetensors", options, silent)
        assert len(exported.residuals) == 16 and exported.residual < (0.3 if form == "checkpoint" else 1e-5)
        assert set(exported.ranks.values()) == ({2} if form == "lora" else set())
    written, before = load_file(tmp_path / "out.safetensors"), load_file(source)
    if form == "checkpoint":
        moved = {name for name in before if not torch.equal(written[name], before[name])}
        assert moved == {name for name in before if "attn2.to_v" in name}
    else:
        assert all("to_v" in name for name in written)


def test_its_own_figures_are_in_the_report() -> None:
    data = report_data(solved(), "Title", ["line"])
    assert data["lines"] == ["line", "directions taken away 2"]
    assert "directions taken away 2" in render(data)
    assert solved().described == "method Projection"
    assert {row["value"] is None for row in data["blocks"]} == {False}


def test_the_nodes_carry_it() -> None:
    model, clip = models.unet(), models.text_encoder()
    projections, asked = HostProjections(model), Request(parse_concepts("cat\ndog"), settings=Settings(), method="toy")
    edit = solve_edit(encode_request(ClipEncoder(clip), asked)[0], projections, asked)
    before = models.answer(model)
    (edited,) = ApplyEdit.execute(model, edit).args
    assert set(edited.patches) == {name for name, role in projections.roles.items() if role is Role.VALUE}
    assert (models.answer(edited) - before).abs().max() > 0
    with pytest.raises(ScaPreError, match="already carries this edit"):
        ApplyEdit.execute(edited, edit)
    _, merged, report = MergeEdits.execute(model, {"edit_1": edit}, remove="dog").args
    assert [concept.text for concept in merged.concepts] == ["cat"] and merged.method == "toy"
    assert "directions taken away 1" in report
    (picture,) = EditMap.execute(edit).args
    assert picture.shape[0] == 1 and picture.shape[2] == 1024


def test_its_settings_are_inputs_of_a_node_and_options_of_a_command(
    toy: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry,) = setting_inputs({"toy": toy}, "toy")
    assert (entry.id, entry.max, entry.step) == ("share", 1, 0.05)
    assert entry.tooltip == "How much of the concepts' own directions is taken away. Below 0: as the preset has it."
    assert settings_from(toy, "whole", {"share": 0.25, "bins": 7}) == ("whole", Settings(0.25))
    assert settings_from(toy, "objects-few", {"share": -1.0}) == ("whole", Settings())
    parser = argparse.ArgumentParser()
    arguments.add_settings(parser)
    assert "How much of the concepts' own directions" in " ".join(parser.format_help().split())
    chosen = parser.parse_args(["--method", "toy", "--share", "0.5"])
    assert arguments.given_settings(chosen) == ("whole", Settings(0.5))
    with pytest.raises(ScaPreError, match=r"share: 2\.0 is outside 0 to 1"):
        toy.choose("whole", {"share": 2.0})
    with pytest.raises(ScaPreError, match='settings: "ridge" is not a setting of Projection'):
        toy.choose("whole", {"ridge": 2.0})


def test_the_worked_example_is_this_method() -> None:
    code = (Path(__file__).with_name("toy.py")).read_text(encoding="utf-8")
    example = code[code.index("@dataclass") :].strip()
    assert f"```python\n{example}\n```" in README.read_text(encoding="utf-8")
