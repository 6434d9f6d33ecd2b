"""SD3 and HunyuanDiT read every prompt twice, by two text encoders side by side, through the same matrices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import comfy.sd
import pytest
import torch
from torch import Tensor

from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.host.projections import HostProjections
from pack.nodes.host.text_encoder import ClipEncoder, encoder_for
from pack.nodes.host.tokenizer import tokens_told
from pack.nodes.unlearn import Unlearn
from pack.scapre.errors import ScaPreError
from pack.scapre.families import Role
from pack.scapre.progress import silent
from pack.scapre.states.readings import SECOND, TwoReadings
from pack.tests.host import encoders, models
from pack.tests.host.test_static_text import TWICE, conditioning, predicted, text_encoder, watched
from pack.tests.host.transformers import transformer

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")

TEXTS = ["", "cat", "a red cat in the style of van gogh"]
FIRST = 77  # positions that CLIP or BERT has among what a model reads


def caught(kind: str, text: str) -> Tensor:
    """What the text projections of a model read of a text, (positions, d)."""
    model = transformer(kind)
    states, more = conditioning(kind, text)
    with watched(model) as seen:
        predicted(model, kind, states, **more)
    first, *others = seen.values()
    assert all(torch.equal(first, other) for other in others)
    return first[0]


@pytest.fixture(params=TWICE)
def reader(request: pytest.FixtureRequest) -> Iterator[tuple[str, TwoReadings]]:
    found = encoder_for(text_encoder(request.param), HostProjections(transformer(request.param)))
    assert isinstance(found, TwoReadings)
    yield request.param, found


def close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= 1e-5 * other.abs().max())


@pytest.mark.parametrize("text", TEXTS)
def test_both_readings_are_what_the_projections_read(reader: tuple[str, TwoReadings], text: str) -> None:
    kind, encoder = reader
    there = caught(kind, text)
    first, second = encoder.encode([text, SECOND + text], silent)
    words, pieces = (len(encoder.tokens(mark + text)) for mark in ("", SECOND))
    assert close(first[1 : words + 2], there[1 : words + 2])  # the words and the end
    assert close(second[1 : pieces + 2], there[FIRST : FIRST + pieces + 1])
    if kind == "sd3":  # padding is read, as far as each encoder has it
        assert close(first, there[:FIRST]) and close(second[1:], there[FIRST : FIRST + 76])
    else:  # the rest are rows of the model's own; the start speaks of the whole text, and T5 has none
        assert close(first[words + 2 :], there[:1].expand(75 - words, -1))
        rows = HostProjections(transformer(kind)).parameter("diffusion_model.text_embedding_padding")
        assert close(torch.cat([there[words + 2 : FIRST], there[FIRST + pieces + 1 :]]), torch.cat([
            rows[words + 2 : FIRST], rows[FIRST + pieces + 1 :],
        ]))  # fmt: skip
        assert torch.equal(encoder.frame()[-len(rows) :], rows)


def test_the_second_empty_prompt_is_the_frame(reader: tuple[str, TwoReadings]) -> None:
    kind, encoder = reader
    assert torch.equal(encoder.frame()[:FIRST], encoder.encode([SECOND], silent)[0])
    assert len(encoder.frame()) == FIRST + (333 if kind == "hunyuan dit" else 0)


def test_texts_are_read_alike_alone_and_together_by_both(reader: tuple[str, TwoReadings]) -> None:
    _, encoder = reader
    texts = [mark + text for text in (*TEXTS, "tulip") for mark in ("", SECOND)]
    together = encoder.encode(texts, silent)
    for text, states in zip(texts, together, strict=True):
        assert close(encoder.encode([text], silent)[0], states)
        assert close(encoder.encode_prefixes([text], 5)[0], states[:5])


def test_one_encoder_runs_without_the_other(reader: tuple[str, TwoReadings]) -> None:
    """The host runs both for every text: the one that is not asked is given next to nothing."""
    kind, encoder = reader
    parts = {"sd3": ("clip_l", "t5xxl"), "hunyuan dit": ("hydit_clip", "mt5xl")}[kind]
    encoder.encode(["cat", SECOND + "cat"], silent)  # the empty prompts are read once
    read = dict.fromkeys(parts, 0)

    def count(name: str, given: dict[str, Any]) -> None:
        read[name] += given["embeds"].shape[1]

    handles = [
        getattr(text_encoder(kind).cond_stage_model, name).transformer.register_forward_pre_hook(
            lambda _, __, given, name=name: count(name, given), with_kwargs=True
        )
        for name in parts
    ]
    try:
        encoder.encode(["a red cat"], silent)
        first, second = read[parts[0]], read[parts[1]]
        assert first >= 5 and second <= 1  # the end of a text
        encoder.encode([SECOND + "a red cat"], silent)
        assert read[parts[1]] - second >= 5 and read[parts[0]] - first <= 2  # a start and an end
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize(("loaded", "shown"), [({"t5": False}, "l"), ({"clip_l": False, "clip_g": False}, "t5xxl")])
def test_sd3_is_read_with_the_encoders_that_are_loaded(loaded: dict[str, bool], shown: str) -> None:
    encoder = ClipEncoder(encoders.sd3_clips(**loaded))
    assert [reader.name for reader in encoder._readers] == [shown]
    found = encoder_for(encoder.clip, HostProjections(transformer("sd3")))
    assert not isinstance(found, TwoReadings)
    states: Any = encoder.conditioning("a cat")[0][0]
    assert close(
        found.encode(["a cat"], silent)[0, -20:-1], states[0, -21:-2] if shown == "t5xxl" else states[0, -20:-1]
    )


def test_tokens_of_sd3_are_compared_with_those_of_clip_alone() -> None:
    """An edit does not say that it was made with T5 alone."""
    edit = erased("sd3", encoders.sd3_clips(clip_l=False, clip_g=False), method="uce", preset="objects", pooled="off")[
        1
    ]
    assert tokens_told(edit) == () == tokens_told(erased("sd3", method="uce", preset="objects", pooled="off")[1])


@pytest.mark.parametrize("loaded", [{"clip_g": False, "t5": False}, {"clip_l": False, "t5": False}])
def test_too_few_encoders_are_refused(loaded: dict[str, bool]) -> None:
    with pytest.raises(ScaPreError, match=r"^clip: .*too few are loaded.*CLIP-L and CLIP-G"):
        ClipEncoder(encoders.sd3_clips(**loaded))


@pytest.mark.parametrize("name", ["[SEP] cat", "[MASK]", "[CLS] cat", "</s> cat", "(cat:1.3)", "{}"])
def test_names_are_read_literally_by_both(name: str) -> None:
    clip = text_encoder("hunyuan dit")
    for encoder in ClipEncoder(clip).each():
        tokens = encoder.tokens(f"{name} tulip")
        assert not {101, 102, 103} & set(tokens) or encoder._reader.name == "mt5xl"
        assert list(tokens[-len(encoder.tokens("tulip")) :]) == list(encoder.tokens("tulip"))


def erased(kind: str, clip: comfy.sd.CLIP | None = None, **more: Any) -> Any:
    with torch.inference_mode():
        return EraseConcepts.execute(transformer(kind), clip or text_encoder(kind), "cat\nred house", **more).args


# The default takes a minute on the width that the host has SD3 in; what it makes of two readings, engine tests say.
@pytest.mark.parametrize(("kind", "method"), [("hunyuan dit", "auto"), ("sd3", "uce")])
def test_what_both_say_is_erased(kind: str, method: str) -> None:
    kept = models.snapshot(transformer(kind))
    model, edit, report = erased(
        kind, preserve="tulip", method=method, preset="auto" if method == "auto" else "objects"
    )
    assert set(edit.report.kept) == {"cat", "red house"} and SECOND not in report
    assert edit.report.drift["tulip"] < 0.3 and (method == "uce" or edit.report.drift[""] < 1e-2)
    before, after = HostProjections(transformer(kind)), HostProjections(model)
    encoder = encoder_for(text_encoder(kind), before)
    name = next(name for name in edit.shapes if before.roles[name] in (Role.VALUE, Role.INPUT))
    weight, new = (projections.read(name, models.CPU) for projections in (before, after))
    for mark in ("", SECOND):
        state = encoder.encode([mark + "cat"], silent)[0, len(encoder.tokens(mark + "cat"))]
        assert (new @ state - weight @ state).norm() > 0.01 * (
            weight @ state
        ).norm()  # of noise, in which nothing is kin
    assert models.same(models.snapshot(transformer(kind)), kept)


def test_sd3_s_pooled_vector_is_edited_too() -> None:
    edit = erased("sd3", method="uce", preset="objects")[1]
    assert list(edit.pooled.shapes) == ["diffusion_model.y_embedder.mlp.0.weight"]
    assert edit.pooled.templates == ("{concept}",) and edit.templates == ("{concept}", SECOND + "{concept}")


def test_vectors_are_those_that_the_host_gives_with_the_states() -> None:
    encoder = ClipEncoder(text_encoder("sd3"))
    for text, vector in zip(TEXTS, encoder.pooled(TEXTS), strict=True):
        there: Tensor = encoder.conditioning(text)[0][1]["pooled_output"][0]
        assert close(vector, there)


def test_what_does_not_reach_the_vector_is_said_of_hunyuan_dit() -> None:
    assert "mT5" in erased("hunyuan dit", method="uce", preset="objects")[2]


def test_the_encoder_of_another_family_is_refused() -> None:
    flux = encoders.flux_clip()
    with pytest.raises(ScaPreError, match=r"SD3 models read CLIP-L, CLIP-G and T5-XXL.*Triple"):
        encoder_for(flux, HostProjections(transformer("sd3")))
    with pytest.raises(ScaPreError, match=r"HunyuanDiT models read a BERT and mT5-XL"):
        encoder_for(flux, HostProjections(transformer("hunyuan dit")))


def test_sd3_is_not_trained() -> None:
    with pytest.raises(ScaPreError, match=r"^(model|layers|method): "), torch.inference_mode():
        Unlearn.execute(transformer("sd3"), text_encoder("sd3"), "cat", iterations=1)
