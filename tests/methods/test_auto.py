"""`auto` against its equations in float64: moments one token after another, and the solve by an explicit inverse."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pack.scapre.concepts.concepts import Concept
from pack.scapre.errors import ScaPreError
from pack.scapre.families import Role
from pack.scapre.files import read_edit, write_edit
from pack.scapre.merge import merge_edits
from pack.scapre.methods.auto import Settings
from pack.scapre.methods.auto.contexts import COMBINED, WORDINGS, Slot, kept_texts, slots
from pack.scapre.methods.auto.moments import Span, concept_moments, kept_moment, weights
from pack.scapre.methods.auto.study import find_kin, study
from pack.scapre.progress import silent
from pack.scapre.solve import encode_request
from pack.scapre.states.lexicon import Lexicon
from pack.tests import edit_files
from pack.tests.worlds import SHAPES, WIDTH, WINDOW, Encoder, Projections, ask, edit_of, error

WEIGHTS = Projections(SHAPES)
VALUES = ["block.1.weight"]


class Worded(Encoder):
    """Has a vocabulary: words whose embeddings lie closer the closer their numbers are."""

    WORDS = tuple(f"{letter}{letter}{other}" for letter in "abcdef" for other in "ghij")

    def tokens(self, text: str) -> list[int]:
        return [self.WORDS.index(word) if word in self.WORDS else 100 for word in text.split()]

    def lexicon(self) -> Lexicon:
        angles = torch.arange(101) / 40
        vocabulary = {f"{word}</w>": number for number, word in enumerate(self.WORDS)} | {"x</w>": 100, "part": 99}
        return Lexicon.of(vocabulary, torch.stack([angles.cos(), angles.sin()], 1))


def request(text: str = "one\ntwo words -> thing", settings: Settings | None = None, **more):
    return ask(text, settings or Settings(), method="auto", preserve=("fish", "a ship"), **more)


def test_the_edit_is_the_closed_form_of_its_moments() -> None:
    asked = request(settings=Settings(hold=3, keep=7, reach=1.5))
    moments = study(Encoder(WIDTH), asked.concepts.concepts, asked.preserve, silent)
    s, d, g = (moments[key] for key in ("erased", "way", "kept"))
    inverse = torch.linalg.inv(3 * float(moments["square"]) * torch.eye(WIDTH, dtype=torch.float64) + s + 7 * g)
    for dtype, bound in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        edit = edit_of(asked, WEIGHTS, dtype)
        assert list(edit.shapes) == VALUES and edit.states.moments == {}
        weight = WEIGHTS.weights[VALUES[0]]
        assert error(edit.delta(VALUES[0], weight), 1.5 * weight.double() @ d @ inverse) < bound


def test_the_moments_are_sums_over_single_tokens() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y, z = (torch.randn(9, 5, generator=generator) for _ in range(3))
    s, d = concept_moments(x, Span(2, 3, 5), [(y, Span(2, 2, 4)), (z, Span(2, 4, 6))])
    # The first of the others has no token for the earlier one, which therefore stays there.
    # Class by class: the earlier token, the last, one later word, the end, three of padding.
    y = torch.cat((y, x[2:3]))
    expected = {2: ((9, 3), 1), 3: ((2, 4), 1), 4: ((3, 5), 1), 5: ((4, 6), 1)}
    expected |= {t: ((t - 1, min(t + 1, 8)), 1 / 3) for t in (6, 7, 8)}
    more = [(x[t].double(), (y[a].double() + z[b].double()) / 2, w) for t, ((a, b), w) in expected.items()]
    assert torch.allclose(s, sum(w * torch.outer(own, own) for own, _, w in more))
    assert torch.allclose(d, sum(w * torch.outer(aim - own, own) for own, aim, w in more))
    rows = x.double()
    kept = torch.outer(rows[0], rows[0]) + torch.outer(rows[4], rows[4])
    kept += rows[1:4].T @ rows[1:4] / 3 + rows[5:].T @ rows[5:] / 4
    assert torch.allclose(kept_moment(x, 4), kept)
    assert torch.allclose(
        kept_moment(x, 1), torch.outer(rows[0], rows[0]) + torch.outer(rows[1], rows[1]) + rows[2:].T @ rows[2:] / 7
    )


def test_every_class_of_positions_counts_one() -> None:
    for span in (Span(1, 1, 2), Span(2, 5, 9), Span(3, 3, 76), Span(1, 2, 75)):
        classes = span.classes(WINDOW)
        assert sum(map(len, classes)) == WINDOW - span.first
        assert weights(classes).sum().item() == pytest.approx(len(classes))
        assert len(span.beside(Span(1, 1, 3), WINDOW)) == WINDOW - span.first
        assert span.beside(span, WINDOW) == list(range(span.first, WINDOW))


def test_prompts_hold_a_name_alone_and_beside_others() -> None:
    found = list(slots(["cat", "dog"]))
    assert len(found) == len(WORDINGS) + len(COMBINED) and found[0] == Slot("", "")
    texts = [slot.fill("star") for slot in found]
    assert texts[4:6] == ["a cat and a star", "a star and a dog"]
    assert all("star" in text and "{" not in text for text in texts)
    kept = kept_texts(["cat", "dog"], 5)
    assert kept[0] == "" and "cat" in kept and len(kept) == len(set(kept)) and all("{" not in text for text in kept)


def test_kin_are_the_nearest_words_and_neither_erased_nor_the_name_itself() -> None:
    encoder = Worded(WIDTH)
    concepts = (Concept("aah"), Concept("some aag"))
    kin = find_kin(encoder, encoder.lexicon(), "aah", concepts, ("kept",))
    assert kin[:4] == ["kept", "aai", "aaj", "bbg"] and len(kin) == 1 + len(Worded.WORDS) - 2
    assert "aag" not in kin and "aah" not in kin
    assert find_kin(encoder, None, "aah", concepts, ("kept",)) == ["kept"]
    assert encoder.lexicon().words == Worded.WORDS


def test_a_typed_anchor_takes_the_place_of_the_kin() -> None:
    typed, kin = (study(Worded(WIDTH), (Concept("aah", anchor),), (), silent) for anchor in ("aaj", ""))
    assert not torch.allclose(typed["way"], kin["way"])
    assert torch.equal(typed["kept"], kin["kept"]) and torch.allclose(typed["erased"], kin["erased"])


def test_what_is_kept_holds_and_the_order_of_the_list_does_not_matter() -> None:
    drifts = [edit_of(request(settings=Settings(keep=keep)), WEIGHTS).report.drift["fish"] for keep in (0, 10, 1e5)]
    assert drifts[0] > drifts[1] > drifts[2] and drifts[2] < 1e-3
    first, second = (edit_of(request(text), WEIGHTS) for text in ("one\ntwo -> thing", "two -> thing\none"))
    weight = WEIGHTS.weights[VALUES[0]]
    assert error(first.delta(VALUES[0], weight), second.delta(VALUES[0], weight)) < 1e-12


def test_it_is_one_matrix_for_all_layers_and_any_list(tmp_path: Path) -> None:
    sizes = set()
    for text in ("one", "one\ntwo\nthree\nfour"):
        edit = edit_of(request(text), WEIGHTS, torch.float32)
        assert {key: tuple(value.shape) for key, value in edit.payload.shared.items()} == {"matrix": (WIDTH, WIDTH)}
        assert not any(edit.payload.matrices.values())
        write_edit(edit, tmp_path / "edit.safetensors")
        assert edit_files.same(edit, read_edit(tmp_path / "edit.safetensors"))
        sizes.add(edit.payload.shared["matrix"].nbytes)
    assert len(sizes) == 1
    with pytest.raises(ScaPreError, match="method auto, whose edits cannot be solved together"):
        merge_edits({"a": edit}, WEIGHTS)


def test_a_model_that_has_only_keys_is_refused() -> None:
    keys = Projections(SHAPES)
    keys.roles = dict.fromkeys(keys.roles, Role.KEY)
    with pytest.raises(ScaPreError, match="auto edits cross-attention value"):
        edit_of(request(), keys)


def test_the_study_stops_when_it_is_told_to() -> None:
    class Stop(Exception):
        pass

    def progress(stage: str, done: int, total: int) -> None:
        if done == 1 and total == 3:
            raise Stop

    with pytest.raises(Stop):
        encode_request(Encoder(WIDTH), request(), progress)
