"""The pooled vector: names erased from the columns of a matrix that read it, on the host's own SDXL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy.sd
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from safetensors.torch import load_file
from torch import Tensor

from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.host.patch import apply_edit
from pack.nodes.host.projections import HostProjections
from pack.nodes.host.readers.vectors import VectorEncoder
from pack.nodes.host.text_encoder import ClipEncoder
from pack.scapre.edits.edit import Edit
from pack.scapre.edits.hide import hide_names
from pack.scapre.errors import ScaPreError
from pack.scapre.export.diff import write_diff
from pack.scapre.export.lora import write_lora
from pack.scapre.export.result import Options
from pack.scapre.files import read_edit, write_edit
from pack.scapre.merge import merge_edits
from pack.scapre.progress import silent
from pack.scapre.report.data import report_data
from pack.tests.host import models

WIDE = {**models.TOWERS, "g": 1280}
WEIGHT = "diffusion_model.label_emb.0.0.weight"
NAME = f"{WEIGHT}[:1280]"
CONTEXT = sum(WIDE[tower] for tower in "lg")


@pytest.fixture(scope="module")
def model() -> ModelPatcher:
    """SDXL as the host has it, small, with a vector of its real size."""
    return models.unet("sdxl", context_dim=CONTEXT, adm_in_channels=2816)


@pytest.fixture(scope="module")
def clip() -> comfy.sd.CLIP:
    """Its encoders; the second gives a vector of the real size."""
    return models.text_encoder("sdxl", towers=WIDE)


def host(clip: comfy.sd.CLIP, text: str) -> Tensor:
    return clip.encode_from_tokens(clip.tokenize(text), return_pooled=True)[1][0].float()


def erased(model: ModelPatcher, clip: comfy.sd.CLIP, names: str = "cat -> dog\nred fox", **more: Any) -> Sequence[Any]:
    chosen = {"method": "uce", "preset": "objects", "pooled": "on", **more}
    return EraseConcepts.execute(model, clip, names, **chosen).args


@pytest.fixture(scope="module")
def edit(model: ModelPatcher, clip: comfy.sd.CLIP) -> Edit:
    found: Edit = erased(model, clip, preserve="tulip")[1]
    return found


def test_vectors_are_those_that_the_host_gives_of_each_text(clip: comfy.sd.CLIP) -> None:
    texts = ["cat", "", "a painting by Vincent van Gogh, red and blue"]
    encoder = ClipEncoder(clip)
    found = encoder.pooled(texts)
    assert found.shape == (3, 1280) and encoder._reader._batched
    for text, vector in zip(texts, found, strict=True):
        torch.testing.assert_close(vector, host(clip, text), rtol=0, atol=1e-5 * float(vector.abs().max()))


@pytest.mark.parametrize("kind", ["sd15", "sd20", "refiner"])
def test_so_are_those_of_other_encoders_and_of_hosts_that_give_one_at_a_time(kind, monkeypatch) -> None:
    clip = models.text_encoder(kind)
    together = ClipEncoder(clip).pooled(["cat", "a red dog"])
    monkeypatch.setattr(VectorEncoder, "like", lambda *_: None)
    alone = ClipEncoder(clip).pooled(["cat", "a red dog"])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(alone[1], host(clip, "a red dog"), rtol=0, atol=0)


def test_the_change_is_the_closed_form_on_pooled_vectors(model, clip, edit) -> None:
    weight = model.model.get_parameter(WEIGHT).detach()[:, :1280].double()
    above, below = 0.5 * weight, 0.5 * torch.eye(1280, dtype=torch.float64)
    for name, anchor in (("cat", "dog"), ("red fox", "")):
        c, g = host(clip, name).double(), host(clip, anchor).double()
        above, below = above + torch.outer(weight @ g, c), below + torch.outer(c, c)
    q = host(clip, "tulip").double()
    above, below = above + torch.outer(weight @ q, q), below + torch.outer(q, q)
    truth = above @ torch.linalg.inv(below) - weight
    found = edit.delta(NAME, weight.float()).double()
    assert (found - truth).norm() < 1e-4 * truth.norm()


def test_only_the_columns_that_read_text_change(model, clip, edit) -> None:
    before = models.snapshot(model)
    patched = erased(model, clip, preserve="tulip")[0]
    with models.loaded(patched) as network:
        after = network.get_parameter(WEIGHT).detach().clone()
    old = before[WEIGHT]
    assert torch.equal(after[:, 1280:], old[:, 1280:])
    assert torch.allclose(after[:, :1280], old[:, :1280] + edit.delta(NAME, old[:, :1280].float()), atol=1e-6)
    assert not torch.equal(after[:, :1280], old[:, :1280])
    assert models.same(models.snapshot(model), before)


def test_off_and_auto_leave_the_vector_alone_for_sdxl(model, clip) -> None:
    for choice in ("off", "auto"):
        found = erased(model, clip, pooled=choice)[1]
        assert found.pooled is None and NAME not in found.matrices


def test_a_model_without_such_a_vector_says_so() -> None:
    _, edit, report = erased(models.unet("sd15"), models.text_encoder("sd15"))
    assert edit.pooled is None and "read no pooled vector" in report


def test_unknown_choices_and_encoders_of_other_widths_are_refused(model, clip) -> None:
    with pytest.raises(ScaPreError, match=r"pooled: .*maybe"):
        erased(model, clip, pooled="maybe")
    with pytest.raises(ScaPreError, match=r"width|wide"):
        erased(models.unet("sdxl", adm_in_channels=2816), models.text_encoder("sdxl"))


@pytest.mark.parametrize("method", ["auto", "scapre", "rece", "speed", "oce", "dp"])
def test_every_closed_form_erases_there(model, clip, method) -> None:
    from pack.scapre.methods import closed_form

    preset = next(iter(closed_form(method).presets))
    _, edit, report = erased(model, clip, method=method, preset=preset)
    weight = model.model.get_parameter(WEIGHT).detach()[:, :1280].float()
    change = edit.delta(NAME, weight).float()
    assert change.isfinite().all() and change.norm() > 0
    # Vectors of an encoder with random weights have most in common, which OCE's projection keeps.
    assert edit.pooled.report.kept["cat"] < (0.96 if method == "oce" else 0.9), edit.pooled.report
    assert "pooled vector" in report
    assert [row["block"] for row in report_data(edit, "Title")["blocks"]][-1] == "pooled vector"


def test_files_hidden_names_and_merging_keep_both_parts(tmp_path: Path, model, clip, edit) -> None:
    write_edit(edit, tmp_path / "edit.safetensors")
    found = read_edit(tmp_path / "edit.safetensors")
    weight = model.model.get_parameter(WEIGHT).detach()[:, :1280].float()
    assert torch.equal(found.delta(NAME, weight), edit.delta(NAME, weight))
    assert found.digest == edit.digest and found.same_as(edit) and found.matrices == edit.matrices
    hidden = hide_names(edit)
    assert hidden.pooled.concepts == hidden.concepts and "cat" not in [c.text for c in hidden.pooled.concepts]
    one, two = (erased(model, clip, name, preserve="tulip")[1] for name in ("cat -> dog", "red fox"))
    merged = merge_edits({"a": one, "b": two}, HostProjections(model), encoder=ClipEncoder(clip), progress=silent)
    assert torch.allclose(merged.delta(NAME, weight), edit.delta(NAME, weight), atol=1e-6)
    assert merged.matrices == edit.matrices


def test_edits_with_and_without_it_do_not_merge(model, clip, edit) -> None:
    other = erased(model, clip, "tulip", pooled="off")[1]
    with pytest.raises(ScaPreError, match=r"edits: a also erases from the pooled vector, and b does not"):
        merge_edits({"a": edit, "b": other}, HostProjections(model), progress=silent)


def test_exports_give_what_the_edit_gives(tmp_path: Path, model, clip, edit) -> None:
    weight = model.model.get_parameter(WEIGHT).detach().float()
    whole = torch.zeros_like(weight)
    whole[:, :1280] = edit.delta(NAME, weight[:, :1280])
    projections = HostProjections(model)
    write_diff(edit, projections, tmp_path / "diff.safetensors", Options(dtype="fp32"), silent)
    write_lora(edit, projections, tmp_path / "lora.safetensors", Options(dtype="fp32"), silent)
    for file in ("diff", "lora"):
        content = load_file(tmp_path / f"{file}.safetensors")
        patched = comfy.sd.load_lora_for_models(model, None, content, 1.0, 0)[0]
        with models.loaded(patched) as network:
            after = network.get_parameter(WEIGHT).detach().clone()
        assert (after - weight - whole).norm() < 1e-2 * whole.norm(), file
        assert torch.equal(after[:, 1280:], weight[:, 1280:]), file


def test_an_edit_is_applied_once_and_at_a_strength(model, clip, edit) -> None:
    weight = model.model.get_parameter(WEIGHT).detach().float()
    half = apply_edit(model, edit, 0.5)
    with models.loaded(half) as network:
        after = network.get_parameter(WEIGHT).detach().clone()
    assert torch.allclose(after[:, :1280] - weight[:, :1280], 0.5 * edit.delta(NAME, weight[:, :1280]), atol=1e-6)
    with pytest.raises(ScaPreError, match="edit"):
        apply_edit(half, replace(edit), 1.0)
