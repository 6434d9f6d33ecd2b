"""The node Probe on the host's own models: what is left of a name where it was erased, and everywhere else."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import comfy.model_management as management
import comfy.sd
import pytest
import torch
from comfy.model_patcher import ModelPatcher

from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.erase_while_sampling import EraseWhileSampling
from pack.nodes.host import probe as host_probe
from pack.nodes.host.attack import words_like
from pack.nodes.host.patch import apply_edit
from pack.nodes.host.projections import HostProjections
from pack.nodes.host.strengths import MOST_PREDICTIONS
from pack.nodes.host.text_encoder import ClipEncoder
from pack.nodes.probe import Probe, read_points
from pack.scapre.errors import ScaPreError
from pack.tests.host import models, test_cascade
from pack.tests.host.test_static_text import lora_of
from pack.tests.host.transformers import KINDS, transformer

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")

SMALL = {"steps": 4, "look_at": "0, 60", "size": 64, "cfg": 3.0}


def ask(original: Any, edited: Any, clip: Any, names: str = "cat", preserve: str = "", **more: Any) -> Any:
    with torch.inference_mode():
        return Probe.EXECUTE_NORMALIZED(
            original=original, edited=edited, clip=clip, names=names, preserve=preserve, **{**SMALL, **more}
        ).result


def figures(result: Any) -> dict[str, float]:
    return {row["name"]: row.get("left", row.get("drift")) for row in json.loads(result[2])["names"]}


def erased(model: Any, clip: Any, names: str = "cat", **more: Any) -> ModelPatcher:
    with torch.inference_mode():
        return EraseConcepts.execute(model, clip, names, **{"method": "uce", "preset": "objects", **more}).args[0]


@pytest.fixture(scope="module")
def clip() -> comfy.sd.CLIP:
    return models.text_encoder()


def test_a_model_against_itself_is_untouched(clip: comfy.sd.CLIP) -> None:
    model = models.unet()
    kept = models.snapshot(model)
    report, image, numbers = ask(model, model, clip, "cat\nred house -> thing", "dog")
    assert figures((report, image, numbers)) == {"cat": 1.0, "red house": 1.0, "dog": 0.0, "": 0.0}
    assert image.shape[0] == 1 and image.shape[2:] == (768, 3) and 0 < image.mean() < 1
    assert "# Probe" in report and "red house" in report and "s; seed 0\n" in report
    assert "s; 2 seeds from 0\n" in ask(model, model, clip, "cat", seeds=2)[0]
    assert models.same(models.snapshot(model), kept)


def rows_of(result: Any, role: str) -> dict[str, float]:
    return {row["name"]: row["left"] for row in json.loads(result[2])["names"] if row["role"] == role}


def test_attacks_call_up_what_was_erased(clip: comfy.sd.CLIP) -> None:
    model = models.unet()
    edited = erased(model, clip, "cat\nvan gogh", strength=0.5)  # half of an edit can be turned round
    plain, found = (ask(model, edited, clip, "cat", "dog", attacks=attacks) for attacks in ("off", "both"))
    assert rows_of(found, "erased") == rows_of(plain, "erased")
    left, called = (rows_of(found, role)["cat"] for role in ("erased", "attacked"))
    assert abs(called - 1) < 0.5 * abs(left - 1)
    words = rows_of(found, "related")
    assert set(words) == set(words_like(["cat"], ["dog"])) and 0 < len(words) <= 3
    assert "## Called up by an attack" in found[0] and "## Other words for them" in found[0]


@pytest.mark.parametrize(("kind", "attacks"), [("flux", "states"), ("wan", "words"), ("sd3", "states")])
def test_attacks_on_other_families(kind: str, attacks: str) -> None:
    model, encoder = transformer(kind), KINDS[kind].encoder()
    edited = erased(model, encoder)
    found = ask(model, edited, encoder, attacks=attacks)
    assert (rows_of(found, "attacked").keys() == {"cat"}) == (attacks == "states") and not rows_of(found, "related")


def test_where_no_weight_that_reads_text_differs_nothing_is_attacked(clip: comfy.sd.CLIP) -> None:
    model = models.unet()
    with torch.inference_mode():
        edited = EraseWhileSampling.execute(model, clip, "cat").args[0]
    found = ask(model, edited, clip, "cat", attacks="states")
    assert "Not attacked" in found[0] and not rows_of(found, "attacked")
    assert rows_of(found, "erased")["cat"] < 1


@pytest.mark.parametrize("kind", ["hunyuan video", "sd3", "hidream"])
def test_the_pooled_vector_and_layers_are_attacked_too(kind: str) -> None:
    model, encoder = transformer(kind), KINDS[kind].encoder()
    edited = erased(model, encoder, strength=0.5)
    left, called = (rows_of(ask(model, edited, encoder, attacks="states"), role) for role in ("erased", "attacked"))
    assert abs(called["cat"] - 1) < 0.5 * abs(left["cat"] - 1)


def test_words_that_are_prompts_themselves_are_left_out(clip: comfy.sd.CLIP) -> None:
    model = models.unet()
    other = words_like(["cat"], [])[0]
    found = ask(model, model, clip, "cat", attacks="words", wordings=f"NAME {other}")
    assert other not in rows_of(found, "related") and rows_of(found, "erased").keys() == {"cat"}


@pytest.mark.parametrize("size", [8, 56])
def test_pictures_that_no_model_draws_are_refused(clip: comfy.sd.CLIP, size: int) -> None:
    model = models.unet()
    with pytest.raises(ScaPreError, match=rf"^size: {size} is too small"):
        ask(model, model, clip, size=size)
    with pytest.raises(ScaPreError, match=rf"^size: {size} is too small"):
        erased_by_asking(model, clip, size=size)


def test_names_that_cannot_be_asked_about_are_left_out_of_the_search(clip: comfy.sd.CLIP) -> None:
    model = models.unet()
    report = erased_by_asking(model, clip, "cat\na picture\n" + "dog " * 74, preserve="in a style", most_left=0.97)[2]
    assert "found by asking the model" in report and "Not asked of" in report and "a picture" in report
    with pytest.raises(ScaPreError, match=r"^auto_strength: the model cannot be asked about"):
        erased_by_asking(model, clip, "a picture")


def test_models_that_draw_no_pictures_are_refused_before_anything_is_solved() -> None:
    for model, encoder in (
        (transformer("stable audio"), KINDS["stable audio"].encoder()),
        (test_cascade.stage("c"), test_cascade.text_encoder()),
    ):
        with pytest.raises(ScaPreError, match=r"^auto_strength: this model draws no picture by itself"):
            erased_by_asking(model, encoder)


def test_text_that_goes_through_a_network_is_not_attacked() -> None:
    model = transformer("wan")
    with pytest.raises(ScaPreError, match=r"^attacks: the text of Wan models goes through a network"):
        ask(model, model, KINDS["wan"].encoder(), attacks="states")


def erased_by_asking(model: Any, clip: Any, names: str = "cat", **more: Any) -> Any:
    inputs = {"method": "uce", "preset": "objects", "auto_strength": True, "size": 64, **more}
    with torch.inference_mode():
        return EraseConcepts.execute(model, clip, names, **inputs).args


def test_strength_is_set_by_asking(clip: comfy.sd.CLIP) -> None:
    model = models.unet()
    kept = models.snapshot(model)
    edited, edit, report = erased_by_asking(model, clip, "cat\nred house", preserve="dog", most_left=0.97)
    strength = float(re.search(r"Strength ([\d.]+), found by asking the model", report)[1])  # type: ignore[index]
    assert 0 < strength < 2 and f"strength {strength:g}\n" in report
    plain = apply_edit(model, edit, strength)
    for name in edit.shapes:
        assert torch.equal(*(HostProjections(one).read(name, models.CPU) for one in (edited, plain)))
    management.unload_all_models()
    assert models.same(models.snapshot(model), kept)
    again = erased_by_asking(model, clip, "cat\nred house", preserve="dog", most_left=0.97)[2]
    assert re.findall(r"Strength .*", again) == re.findall(r"Strength .*", report)


def test_a_strength_that_does_not_suffice_is_told_and_names_that_pay_are_named(clip: comfy.sd.CLIP) -> None:
    names = "\n".join(f"cat {number}" for number in range(10))
    report = erased_by_asking(models.unet(), clip, names, preserve="\n".join("abcdefghijk"), most_left=-1.0)[2]
    assert "Strength 2 is the greatest that is tried, and does not suffice" in report
    assert "Preserved names that pay for it" in report and "Asked of the 8 names" in report
    taken = int(re.search(r"([\d,]+) predictions", report)[1].replace(",", ""))  # type: ignore[index]
    assert taken <= MOST_PREDICTIONS


def test_the_search_for_a_strength_is_cancelled(clip: comfy.sd.CLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(self: Any, *_: Any) -> Any:
        management.interrupt_current_processing()
        return self

    monkeypatch.setattr(host_probe.HostModels, "edit", press)
    with pytest.raises(management.InterruptProcessingException):
        erased_by_asking(models.unet(), clip)


@pytest.mark.parametrize("kind", ["wan", "flux"])
def test_strength_is_set_for_other_families(kind: str) -> None:
    report = erased_by_asking(transformer(kind), KINDS[kind].encoder(), most_left=0.99)[2]
    assert re.search(r"Strength [\d.]+( is the greatest|, found by asking)", report)


def test_what_is_erased_is_less_and_the_same_each_time(clip: comfy.sd.CLIP) -> None:
    model = models.unet()
    edited = erased(model, clip)
    first, second = (ask(model, edited, clip, "cat", "dog", seeds=2) for _ in range(2))
    found = figures(first)
    assert found["cat"] < 0.99 and first[2] == second[2]
    half = figures(ask(model, erased(model, clip, strength=0.5), clip, "cat"))
    assert found["cat"] < half["cat"] < 1


def test_any_change_of_a_model_is_seen(clip: comfy.sd.CLIP) -> None:
    model = transformer("hunyuan dit")
    changed = models.with_lora(model, lora_of(model, 1), 1.0)
    found = figures(ask(model, changed, KINDS["hunyuan dit"].encoder(), "cat", "dog"))
    assert abs(found["cat"] - 1) > 1e-3 and found["dog"] > 1e-3


@pytest.mark.parametrize("kind", ["wan", "flux", "z-image", "hunyuan dit", "anima"])
def test_every_family_is_asked(kind: str) -> None:
    """Prompts of different lengths, and encoders whose states go to a model one text at a time."""
    model, encoder = transformer(kind), KINDS[kind].encoder()
    found = figures(ask(model, erased(model, encoder), encoder, "cat\na red house", cfg=1.0))
    assert set(found) == {"cat", "a red house", ""} and all(math.isfinite(value) for value in found.values())
    assert figures(ask(model, model, encoder, "cat", cfg=1.0)) == {"cat": 1.0, "": 0.0}


def test_conditionings_of_several_texts_are_those_of_each(clip: comfy.sd.CLIP) -> None:
    for encoder in (ClipEncoder(clip), ClipEncoder(models.text_encoder("sdxl")), ClipEncoder(KINDS["wan"].encoder())):
        texts = ["", "cat", "a red cat", "(dog:1.2)"]
        for one, text in zip(encoder.conditionings(texts), texts, strict=True):
            ((states, more),), ((wanted, other),) = one, encoder.conditioning(text)
            assert (states - wanted).abs().max() <= 1e-5 * wanted.abs().max() and more.keys() == other.keys()
            if isinstance(other.get("pooled_output"), torch.Tensor):
                assert (more["pooled_output"] - other["pooled_output"]).abs().max() <= 1e-5


def test_a_vector_that_no_model_reads_is_not_computed(clip: comfy.sd.CLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: ClipEncoder, *_: Any) -> Any:
        raise AssertionError("a pooled vector was computed")

    model, other = models.unet(), models.unet(seed=1)
    wanted = ask(model, other, clip, "cat\ndog\na red house")[2]
    monkeypatch.setattr(type(ClipEncoder(clip)._reader), "vectors", forbidden)
    assert json.loads(ask(model, other, clip, "cat\ndog\na red house")[2]) == json.loads(wanted)


def test_with_little_memory_fewer_are_asked_at_once(clip: comfy.sd.CLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    model = models.unet()
    wanted, sizes, own = ask(model, model, clip)[2], [], host_probe.one_step

    def small(model: Any, latents: torch.Tensor, *more: Any) -> torch.Tensor:
        sizes.append(len(latents))
        if len(latents) > 2:
            raise management.OOM_EXCEPTION
        return own(model, latents, *more)

    monkeypatch.setattr(host_probe, "one_step", small)
    assert ask(model, model, clip)[2] == wanted and max(sizes) > 2

    def never(*_: Any) -> torch.Tensor:
        raise management.OOM_EXCEPTION

    monkeypatch.setattr(host_probe, "one_step", never)
    with pytest.raises(management.OOM_EXCEPTION):
        ask(model, model, clip)


def test_cancel_stops_it(clip: comfy.sd.CLIP) -> None:
    model = models.unet()
    management.interrupt_current_processing()
    with pytest.raises(management.InterruptProcessingException):
        ask(model, model, clip)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"names": ""}, r"^names: there are none"),
        ({"names": "a picture"}, r'^names: "a picture" is itself a prompt'),
        ({"names": "\n".join(f"name {i}" for i in range(201))}, r"^names: 201 are more than"),
        ({"preserve": "cat"}, r"^preserve: line 1, .cat., is also in concepts"),
        ({"look_at": "100"}, r"^look_at: .*100.* is outside of the way"),
        ({"look_at": "-3, 10"}, r"^look_at: .*-3.* is outside"),
        ({"look_at": "σ"}, r"^look_at: .*σ.* is outside"),
        ({"look_at": " , "}, r"^look_at: it is empty"),
        ({"wordings": "a poster"}, r"^wordings: .*needs NAME once"),
        ({"sampler_name": "dpmpp_sde"}, r"^sampler_name: .*dpmpp_sde"),
        ({"cfg": float("nan")}, r"^cfg: nan is no number"),
        ({"clip": None}, r"^clip: it is missing"),
    ],
)
def test_bad_input_is_explained(clip: comfy.sd.CLIP, more: dict[str, Any], said: str) -> None:
    model = models.unet()
    with pytest.raises(ScaPreError, match=said):
        ask(model, model, **{"clip": clip, **more})


def test_models_of_different_architectures_are_refused(clip: comfy.sd.CLIP) -> None:
    with pytest.raises(ScaPreError, match=r"^edited: it is .*, and original is "):
        ask(models.unet(), models.unet("sdxl"), clip)


def test_the_encoder_of_another_model_is_refused() -> None:
    model = models.unet()
    with pytest.raises(ScaPreError, match=r"^clip: "):
        ask(model, model, models.text_encoder("sdxl"))


def test_points_are_steps() -> None:
    assert read_points("0, 50%, 99.9, 50", 10) == [0, 5, 9]
