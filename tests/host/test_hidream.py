"""HiDream reads T5, layers of Llama through matrices of their own, and a pooled vector: each is a part of an edit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import comfy.sd
import comfy.utils
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.host.patch import apply_edit
from pack.nodes.host.projections import HostProjections
from pack.nodes.host.readers import layers as reading
from pack.nodes.host.text_encoder import ClipEncoder, encoder_for
from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.edits.edit import Edit
from pack.scapre.edits.hide import hide_names
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.export.diff import write_diff
from pack.scapre.export.lora import write_lora
from pack.scapre.export.result import Options
from pack.scapre.families import Role, layers
from pack.scapre.files import read_edit, write_edit
from pack.scapre.merge import merge_edits
from pack.scapre.methods import METHODS
from pack.scapre.methods.auto import find_kin
from pack.scapre.progress import silent
from pack.scapre.report.data import report_data
from pack.scapre.request import Request
from pack.scapre.solve import solve_edit
from pack.scapre.states.further import chosen
from pack.tests.host import encoders, models
from pack.tests.host.models import CPU, same, snapshot
from pack.tests.host.test_static_text import uce
from pack.tests.host.transformers import KINDS, predicted, transformer

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")

READS = "HiDream models read CLIP-L, CLIP-G, T5-XXL and Llama 3.1. Connect Load CLIP .Quadruple"
KIND = "hidream"
CAPTION = "diffusion_model.caption_projection.{}.linear.weight"
VECTOR = "diffusion_model.p_embedder.pooled_embedder.linear_1.weight"
TEXTS = ["", "cat", "a red cat in the style of van gogh"]
BLOCKS, LAYERS = 48, 32


@cache
def clip() -> comfy.sd.CLIP:
    """No test changes it."""
    return encoders.hidream_clips()


def erased(names: str = "cat\nVan Gogh -> art", its: Any = None, **more: Any) -> Sequence[Any]:
    settings = {"method": "uce", "preset": "objects", "preserve": "tulip", **more}
    return EraseConcepts.execute(transformer(KIND), its or clip(), names, **settings).args


@pytest.fixture(scope="module")
def edit() -> Edit:
    found: Edit = erased()[1]
    return found


@cache
def caught(text: str) -> dict[str, Tensor]:
    """What every matrix that a text enters through reads of it, (positions, d), by its name."""
    model, seen = transformer(KIND), {}
    states, more = ClipEncoder(clip()).conditioning(text)[0]
    names = [name for name, role in HostProjections(model).roles.items() if role is not Role.OTHER]
    for name in names:
        model.model.get_submodule(name.removesuffix(".weight")).register_forward_hook(
            lambda _, inputs, __, name=name: seen.__setitem__(name, inputs[0].detach().flatten(0, -2).clone())
        )
    predicted(model, KIND, states, **more)
    return seen


def close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= 1e-5 * other.abs().max())


@pytest.mark.parametrize("text", TEXTS)
def test_each_matrix_reads_what_its_part_of_the_encoder_gives(text: str) -> None:
    encoder, there = encoder_for(clip(), HostProjections(transformer(KIND))), caught(text)
    states = encoder.encode([text], silent)[0]
    assert close(states[1:], there[CAPTION.format(BLOCKS)][:76])
    assert len(encoder.frame()) == 0
    for layer, names in layers("HiDream", HostProjections(transformer(KIND)).roles).items():
        one = encoder.layer(layer)
        assert len(names) == (17 if layer == LAYERS - 1 else 1)
        for name in names:
            assert close(one.encode([text], silent)[0][1:], there[name][1:77])
            assert close(one.frame(), there[name][:1])  # Llama's start
    assert close(encoder.pooled([text]), there[VECTOR])


def test_texts_are_read_alike_alone_and_together_and_no_further_than_they_are_asked_for() -> None:
    encoder = ClipEncoder(clip())
    for one in (encoder, encoder.layer(0), encoder.layer(20)):
        together = one.encode(TEXTS, silent)
        for text, states in zip(TEXTS, together, strict=True):
            assert close(one.encode([text], silent)[0], states)
            for length in (1, 4, 30):
                assert close(one.encode_prefixes([text], length)[0], states[:length])


def counted(encoder: str) -> tuple[list[int], Any]:
    """How many tokens one of the encoders reads in each call, and what ends that."""
    sizes: list[int] = []
    network = getattr(clip().cond_stage_model, encoder).transformer
    handle = network.register_forward_pre_hook(
        lambda _, __, given: sizes.append(given["embeds"].shape[:2].numel()), with_kwargs=True
    )
    return sizes, handle


def test_padding_costs_nothing_where_it_is_not_asked_for_and_other_encoders_next_to_nothing() -> None:
    encoder = ClipEncoder(clip())
    encoder.encode(["cat"], silent)  # the empty prompt is read once
    encoder.layer(0).encode_prefixes(["cat"], 6)
    for one, name, other in ((encoder, "t5xxl", "llama"), (encoder.layer(1), "llama", "t5xxl")):
        (own, first), (its, second) = counted(name), counted(other)
        try:
            one.encode_prefixes(["a red fox", "a red dog"], 6)
        finally:
            first.remove(), second.remove()
        assert sum(own) <= 2 * 7 and its == [1]


def test_states_of_several_layers_are_kept_for_those_that_come_next(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, texts = ClipEncoder(clip()), ["a red fox", "a house"]
    alone = [ClipEncoder(clip()).layer(layer).encode_prefixes(texts, 6) for layer in range(10)]
    encoder.layer(0).encode([""], silent)
    sizes, handle = counted("llama")
    try:
        for layer, wanted in enumerate(alone):
            assert close(encoder.layer(layer).encode_prefixes(texts, 6), wanted)
            assert sizes.count(14) == (1 if layer < 8 else 2)
        monkeypatch.setattr(reading, "_ROOM", 6 * 1024)  # for one of the texts
        other, calls = ClipEncoder(clip()), []
        other.layer(0).encode_prefixes([""], 2)
        for layer, wanted in enumerate(alone[:3]):
            before = len(sizes)
            assert close(other.layer(layer).encode_prefixes(texts, 6), wanted)
            calls.append(len(sizes) - before)
        assert all(calls)  # what does not fit is read again
    finally:
        handle.remove()


def test_the_edit_of_every_part_is_that_of_states_caught_in_the_model(edit: Edit) -> None:
    before = HostProjections(transformer(KIND))
    after = HostProjections(apply_edit(transformer(KIND), edit, 1.0))
    encoder = ClipEncoder(clip())

    def rows(name: str, texts: Sequence[str], place: Callable[[str], int]) -> Tensor:
        return torch.stack([caught(text)[name][place(text)] for text in texts]).double()

    def last(layer: int | None) -> Callable[[str], int]:
        one = encoder if layer is None else encoder.layer(layer)
        first = 0 if layer is None else 1  # Llama's start
        return lambda text: first + max(len(one.tokens(text)) - 1, 0)

    wanted: dict[str, Callable[[str], int]] = {CAPTION.format(BLOCKS): last(None), VECTOR: lambda _: 0}
    wanted |= {CAPTION.format(block): last(min(block, LAYERS - 1)) for block in range(BLOCKS)}
    assert edit.matrices.keys() == wanted.keys()
    for name, place in wanted.items():
        concepts, anchors = rows(name, ["cat", "Van Gogh"], place), rows(name, ["", "art"], place)
        found = uce(before.read(name, CPU).double(), concepts, anchors, rows(name, ["tulip"], place))
        assert (after.read(name, CPU) - found).abs().max() <= 1e-4 * found.abs().max(), name
    others = [name for name in before.roles if name not in edit.matrices]
    assert all(torch.equal(after.read(name, CPU), before.read(name, CPU)) for name in others)


def test_the_model_answers_otherwise_and_is_left_as_it_was(edit: Edit) -> None:
    model = transformer(KIND)
    kept, (states, more) = snapshot(model), ClipEncoder(clip()).conditioning("a cat")[0]
    before, after = (
        predicted(model, KIND, states, **more),
        predicted(apply_edit(model, edit, 1.0), KIND, states, **more),
    )
    assert (after - before).norm() > 1e-3 * before.norm()
    assert same(snapshot(model), kept)
    assert apply_edit(model, edit, 0.0) is model


def test_the_report_tells_of_every_layer(edit: Edit) -> None:
    _, _, report = erased()
    assert "layers of the language model: erased there, too (48 matrices)" in report
    assert "pooled vector: erased there, too (1 matrices)" in report
    blocks = [row["block"] for row in report_data(edit, "Title")["blocks"]]
    assert blocks[:2] == ["words of T5", "pooled vector"] and blocks[2] == "block 0"
    assert blocks[-1] == "block 47" and len(set(blocks)) == 50


def test_the_pooled_vector_can_be_left_as_it_is_and_the_layers_not() -> None:
    _, found, report = erased(pooled="off")
    assert found.pooled is None and len(found.further) == LAYERS and VECTOR not in found.matrices
    assert "also draw names from the pooled vector" in report


def test_kin_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """T5 finds them, and the vector its own; all layers stand beside T5's."""
    searches: list[int] = []

    def find(*given: Any, **more: Any) -> Any:
        searches.append(1)
        return find_kin(*given, **more)

    monkeypatch.setattr("pack.scapre.methods.auto.find_kin", find)
    _, found, report = erased("cat", method="auto", preset="auto", wordings="a photo of NAME", search=False)
    assert len(searches) == 2 and len(found.further) == LAYERS + 1
    assert "kin were not looked for" in report
    for name, part in found.further.items():
        assert part.report.drift[""] < 1e-5, name  # the empty prompt and Llama's start
        assert part.report.remaining["cat"] < 1


def test_layers_keep_no_states_but_the_rest_does(edit: Edit) -> None:
    assert edit.states.whole and edit.pooled is not None and edit.pooled.states.whole
    parts = [part for name, part in edit.further.items() if name != "pooled"]
    assert len(parts) == LAYERS and not any(part.states.whole or part.states.moments for part in parts)


@pytest.mark.parametrize("states", [True, False])
def test_edits_are_saved_and_loaded_with_all_their_parts(edit: Edit, states: bool, tmp_path: Path) -> None:
    write_edit(edit, tmp_path / "edit.safetensors", states=states)
    loaded = read_edit(tmp_path / "edit.safetensors")
    assert loaded.same_as(edit) and loaded.digest == edit.digest
    assert list(loaded.further) == list(edit.further) == ["pooled", *(f"layer {layer}" for layer in range(LAYERS))]
    with safe_open(tmp_path / "edit.safetensors", "pt") as file:
        assert file.metadata()["format_version"] == "4"
    write_edit(edit, tmp_path / "hidden.safetensors", names=False)
    hidden = read_edit(tmp_path / "hidden.safetensors")
    told = str((tmp_path / "hidden.safetensors").read_bytes()[:200_000])
    assert hidden.same_as(edit) and "Gogh" not in told and "tulip" not in told
    assert hide_names(hidden).further.keys() == edit.further.keys()


@pytest.mark.parametrize("odd", ["layer 00", "layer x", "layer ٣", "layer -1", "Layer 1"])
def test_files_with_odd_parts_are_refused(edit: Edit, odd: str, tmp_path: Path) -> None:
    write_edit(edit, tmp_path / "edit.safetensors")
    with safe_open(tmp_path / "edit.safetensors", "pt") as file:
        told, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    renamed = {f"{odd}.{name.partition('.')[2]}" if name.startswith("layer 1.") else name: value
               for name, value in tensors.items()}  # fmt: skip
    save_file(
        renamed,
        tmp_path / "odd.safetensors",
        {**{k: v for k, v in told.items() if k != "layer 1"}, odd: told["layer 1"]},
    )
    with pytest.raises(ScaPreError, match=r"damaged|unknown"):
        read_edit(tmp_path / "odd.safetensors")
    save_file(tensors, tmp_path / "twice.safetensors", {**told, "layer 2": told["layer 1"]})
    with pytest.raises(ScaPreError, match=r"damaged"):
        read_edit(tmp_path / "twice.safetensors")


def test_merging_reads_the_layers_again_and_gives_what_would_have_been_typed(edit: Edit) -> None:
    found = HostProjections(transformer(KIND))
    other = erased("red house")[1]
    encoder = encoder_for(clip(), found)
    merged = merge_edits({"edit_1": edit, "edit_2": other}, found, encoder=encoder)
    typed = erased("cat\nVan Gogh -> art\nred house")[1]
    assert merged.further.keys() == typed.further.keys() and merged.matrices == typed.matrices
    for name in (CAPTION.format(BLOCKS), CAPTION.format(3), CAPTION.format(47), VECTOR):
        weight = found.read(name, CPU)
        assert (merged.delta(name, weight) - typed.delta(name, weight)).norm() <= 1e-5 * typed.delta(
            name, weight
        ).norm()
    left = merge_edits({"edit_1": merged}, found, ["red house"], encoder=encoder)
    weight = found.read(CAPTION.format(3), CPU)
    assert (left.delta(CAPTION.format(3), weight) - edit.delta(CAPTION.format(3), weight)).norm() <= 1e-4
    with pytest.raises(ScaPreError, match=r"layers no states are kept.*Connect the text encoder"):
        merge_edits({"edit_1": edit, "edit_2": other}, found)
    with pytest.raises(ScaPreError, match=r"edit_1 also erases from the pooled vector, and edit_2 does not"):
        merge_edits({"edit_1": edit, "edit_2": erased(pooled="off")[1]}, found, encoder=encoder)


def test_exports_are_read_by_the_stock_loader(edit: Edit, tmp_path: Path) -> None:
    model = transformer(KIND)
    found, wanted = HostProjections(model), HostProjections(apply_edit(model, edit, 1.0))
    for write in (write_lora, write_diff):
        file = tmp_path / f"{write.__name__}.safetensors"
        write(edit, found, file, Options(dtype="fp32"), silent)
        there = HostProjections(models.with_lora(model, comfy.utils.load_torch_file(str(file)), 1.0))
        for name in edit.matrices:
            weight = wanted.read(name, CPU)
            allowed = 0.05 * (weight - found.read(name, CPU)).norm() if write is write_lora else 1e-5
            assert (there.read(name, CPU) - weight).norm() <= max(allowed, 1e-5), name


@pytest.mark.parametrize("missing", ["t5", "llama"])
def test_too_few_of_its_encoders_are_refused(missing: str) -> None:
    with pytest.raises(ScaPreError, match=r"^clip: .*too few are loaded: T5 and Llama, or all four"):
        erased(its=encoders.hidream_clips(**{missing: False}))


def test_without_clip_there_is_no_vector_to_erase_from() -> None:
    bare = encoders.hidream_clips(clip_l=False, clip_g=False)
    with pytest.raises(ScaPreError, match=r"CLIP-L and CLIP-G are not loaded.*Quadruple.*pooled to off"):
        erased(its=bare)
    assert erased(its=bare, pooled="off")[1].matrices.keys() == erased(pooled="off")[1].matrices.keys()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("flux", READS),
        ("sd3", READS),
        ("hunyuan video", READS),
    ],
)
def test_encoders_of_other_models_are_refused(kind: str, said: str) -> None:
    with pytest.raises(ScaPreError, match=f"^clip: .*{said}"):
        erased(its=KINDS[kind].encoder())


def test_a_layer_of_weights_that_are_no_numbers_is_named() -> None:
    model = transformer(KIND)
    model.model.diffusion_model.caption_projection[7].linear.weight.data[0, 0] = torch.nan
    with pytest.raises(ScaPreError, match=r"^model: diffusion_model.caption_projection.7.linear.weight contains NaN"):
        EraseConcepts.execute(model, clip(), "cat", method="uce", preset="objects")


def test_cancel_is_asked_for_between_layers() -> None:
    asked: list[str] = []

    class Stop(Exception):
        pass

    def progress(stage: str, done: int, total: int) -> None:
        asked.append(stage)
        if stage == "layers" and done > 3:
            raise Stop

    found = HostProjections(transformer(KIND))
    further, _ = chosen("auto", found)
    request = Request(parse_concepts("cat"), settings=METHODS["uce"].settings(), method="uce", further=further)
    states, _ = encode_request(encoder_for(clip(), found), request, progress)
    with pytest.raises(Stop):
        solve_edit(states, found, request, progress=progress)
    assert asked.count("layers") > 4


def test_room_is_asked_for_before_each_part(edit: Edit) -> None:
    """Between parts the host has run the text encoders, which may have taken the memory again."""
    found, asked = HostProjections(transformer(KIND)), list[int]()
    further, _ = chosen("auto", found)
    request = Request(parse_concepts("cat"), settings=METHODS["uce"].settings(), method="uce", further=further)
    states, _ = encode_request(encoder_for(clip(), found), request)
    solve_edit(states, found, request, room=asked.append)
    assert len(asked) == 2 + LAYERS and min(asked) > 0
    merge_edits({"edit_1": edit}, found, ["cat"], encoder=encoder_for(clip(), found), room=asked.append)
    assert len(asked) == 2 * (2 + LAYERS)


def test_an_edit_that_is_made_elsewhere_keeps_its_order(edit: Edit) -> None:
    """Digests tell edits apart: a part that is another makes another edit."""
    other = replace(edit, further={**edit.further, "layer 3": erased("tulip", preserve="")[1].further["layer 3"]})
    assert other.digest != edit.digest and not other.same_as(edit)


def test_names_that_the_language_model_does_not_read_are_erased_elsewhere(tmp_path: Path) -> None:
    """Some vocabularies drop letters that they lack: then a layer says nothing of a name, and none is erased there."""
    real = ClipEncoder.tokens

    def mute(self: ClipEncoder, text: str) -> Sequence[int]:
        return [] if self._reader.name == "llama" and "fox" in text else real(self, text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClipEncoder, "tokens", mute)
        edit, report = erased("cat\nfox -> dog")[1:3]
        assert 'the language model reads nothing of "fox", so nothing is erased in its layers' in report
        assert [c.text for c in edit.concepts] == ["cat", "fox"] == [c.text for c in edit.pooled.concepts]
        assert all(
            [c.text for c in part.concepts] == ["cat"] for name, part in edit.further.items() if name != "pooled"
        )
        for names in (True, False):
            write_edit(edit, tmp_path / f"{names}.safetensors", names=names)
            assert read_edit(tmp_path / f"{names}.safetensors").same_as(edit)
        lone = erased("fox")[1]
        assert list(lone.further) == ["pooled"] and CAPTION.format(3) not in lone.matrices
        assert apply_edit(transformer(KIND), lone, 1.0) is not None
        auto = erased("cat\nfox", method="auto", preset="auto", wordings="a photo of NAME", search=False)[1]
        assert [c.text for c in auto.further["layer 2"].concepts] == ["cat"]


def test_a_name_that_is_too_long_for_the_language_model_is_told_at_once() -> None:
    name = "Zusammenarbeit " * 30  # 30 tokens of T5's
    with pytest.raises(ScaPreError, match=r"75 tokens.*It is the language model, whose layers are read"):
        erased(name)


def test_layers_tell_what_they_have_to_say_and_whose_figures_are_worst() -> None:
    report = erased("cat", preserve="tulip\nred house\ndog\nblue bird")[2]
    (line,) = [line for line in report.splitlines() if "layers of the language model: erased there, too" in line]
    assert 'of a name\'s answer is left ("cat", layer ' in line and "what stays moves by at most" in line


def test_a_merge_says_where_layers_had_other_weights(edit: Edit) -> None:
    model = transformer(KIND)
    weight = model.model.diffusion_model.caption_projection[3].linear.weight
    with torch.no_grad():
        weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    found = HostProjections(model)
    merged = merge_edits({"edit_1": edit}, found, encoder=encoder_for(clip(), found))
    assert any("edit_1 had been solved from other weights" in note for note in merged.report.notes)


@pytest.mark.parametrize("swap", [("layer 3", "layer 4"), ("pooled", "layer 3"), ("layer 31", "layer 33")])
def test_parts_of_other_places_are_refused(edit: Edit, swap: tuple[str, str], tmp_path: Path) -> None:
    write_edit(edit, tmp_path / "edit.safetensors")
    with safe_open(tmp_path / "edit.safetensors", "pt") as file:
        told, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    one, other = swap
    other_name = {one: other, other: one}
    moved = {}
    for name, value in tensors.items():
        part = next((part for part in swap if name.startswith(f"{part}.")), None)
        moved[name if part is None else other_name[part] + name.removeprefix(part)] = value
    save_file(moved, tmp_path / "odd.safetensors", {other_name.get(key, key): text for key, text in told.items()})
    with pytest.raises(ScaPreError, match=r"damaged"):
        read_edit(tmp_path / "odd.safetensors")
