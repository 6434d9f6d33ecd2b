"""The method auto in the node, on the host's own text encoder and its vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import comfy.sd
import folder_paths
import pytest
import torch

from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.host.projections import HostProjections
from pack.nodes.host.text_encoder import ClipEncoder
from pack.nodes.merge_edits import MergeEdits
from pack.scapre.errors import ScaPreError
from pack.scapre.methods import METHODS, closed_forms
from pack.tests.host import encoders, models

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(folder_paths, "get_user_directory", lambda: str(tmp_path))
    return tmp_path


def erased(clip: comfy.sd.CLIP, concepts: str, **inputs: Any) -> Any:
    return EraseConcepts.execute(models.unet(), clip, concepts, **{"method": "auto", **inputs})


def test_it_erases_values_alone_and_keeps_the_empty_prompt(clip: comfy.sd.CLIP, user_folder: Path) -> None:
    model = models.unet()
    before = models.snapshot(model)
    output = EraseConcepts.execute(model, clip, "chair\nClaude Monet", preserve="table", method="auto")
    patched, edit, report = output.args
    assert models.same(before, models.snapshot(model))
    assert edit.method == "auto" and all(name.endswith("attn2.to_v.weight") for name in edit.shapes)
    assert "reach" in report and "rank" in report
    assert max(edit.report.change.values()) > 0 and edit.report.drift[""] < 0.2  # 24 wide, which a window fills
    assert len(list((user_folder / "scapre" / "cache").iterdir())) == 1
    again = EraseConcepts.execute(models.unet(), clip, "chair\nClaude Monet", preserve="table", method="auto").args[1]
    assert again.same_as(edit)
    there, here = HostProjections(model), HostProjections(patched)
    cpu = torch.device("cpu")
    changed = {name for name in here.roles if not torch.equal(here.read(name, cpu), there.read(name, cpu))}
    assert changed == set(edit.shapes)


@pytest.mark.parametrize(
    ("made", "least"),
    [
        (models.text_encoder, 25_000), (encoders.pixart_t5xxl, 5_000), (encoders.pile_t5xl, 5_000),
        (encoders.bert_and_mt5, 2_000), (encoders.z_qwen3, 0),
    ],
)  # fmt: skip
def test_words_of_a_vocabulary_are_those_that_texts_are_cut_into(made: Callable[[], comfy.sd.CLIP], least: int) -> None:
    """Or kin would be looked for among the pieces of other words: CLIP's has tokens that begin as BERT's pieces do."""
    encoder = ClipEncoder(made())
    lexicon = encoder.lexicon()
    words = dict(zip(lexicon.words, lexicon.ids.tolist(), strict=True)) if lexicon else {}
    assert len(words) >= least and bool(words) == bool(least)
    for word in [word for word in ("cat", "dog", "circle", "house", "painting", *list(words)[::4000]) if word in words]:
        assert list(encoder.tokens(word)) == [words[word]]
    assert not words or {"cat", "house"} <= words.keys()


def test_a_node_that_names_no_method_is_of_the_first_version(clip: comfy.sd.CLIP) -> None:
    edit = EraseConcepts.execute(models.unet(), clip, "cat", preset="objects-many").args[1]
    assert (edit.method, edit.settings) == ("scapre", METHODS["scapre"].presets["objects-many"].settings)


@pytest.mark.parametrize("method", closed_forms())
def test_every_method_runs_in_the_node_with_its_own_settings_alone(clip: comfy.sd.CLIP, method: str) -> None:
    odd = {"ridge": 0.7, "reach": 1.25, "variant": "scale", "kind": "object", "seed": 5}
    output = erased(clip, "cat\ntwo words -> dog", method=method, preserve="bird\nlion", preset="objects-few", **odd)
    edit = output.args[1]
    assert edit.method == method and edit.report.change and max(edit.report.change.values()) > 0
    assert edit.described in output.args[2]


def test_an_unknown_method_or_setting_is_refused_in_words(clip: comfy.sd.CLIP) -> None:
    with pytest.raises(ScaPreError, match=r'method: "magic" is unknown\. Choose one of auto, scapre'):
        erased(clip, "cat", method="magic")
    with pytest.raises(ScaPreError, match="reach: 99"):
        erased(clip, "cat", reach=99.0)


def test_an_encoder_without_a_vocabulary_is_served_by_general_words(
    clip: comfy.sd.CLIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClipEncoder, "lexicon", lambda self: None)
    edit = erased(clip, "cat").args[1]
    assert any("this text encoder's vocabulary cannot be read: general words" in note for note in edit.report.notes)
    assert edit.solver.figures(edit.payload, edit.settings)["reach"] <= 1.5


def test_concepts_are_taken_out_with_the_text_encoder(clip: comfy.sd.CLIP) -> None:
    edit = erased(clip, "cat\nchair").args[1]
    with pytest.raises(ScaPreError, match=r"cannot be taken apart.*Connect the text encoder \(clip\)"):
        MergeEdits.execute(models.unet(), {"edit_1": edit}, "chair")
    left = MergeEdits.execute(models.unet(), {"edit_1": edit}, "chair", clip=clip).args[1]
    assert [concept.text for concept in left.concepts] == ["cat"]
    assert left.same_as(erased(clip, "cat").args[1])
