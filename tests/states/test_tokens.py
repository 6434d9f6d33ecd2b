"""The tokens of names: kept with an edit, hidden with its names, and compared wherever the edit is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pack.scapre.edits.agreement import tokens_notes
from pack.scapre.edits.hide import hide_names
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.files import read_edit, write_edit
from pack.scapre.merge import merge_edits
from pack.scapre.methods.scapre.settings import Settings
from pack.scapre.solve import solve_edit
from pack.scapre.states.prompts import TEMPLATES
from pack.scapre.states.readings import TwoReadings
from pack.scapre.states.tokens import agree, hashed, is_kept, read_otherwise, written
from pack.tests import edit_files
from pack.tests.worlds import SHAPES, WIDTH, Encoder, Projections, ask, edit_of

WEIGHTS = Projections(SHAPES)
LIST = "Zoë Kraus -> art\ncat"


class Elsewhere(Encoder):
    """Cuts names with accents in another way, into as many tokens."""

    def tokens(self, text: str) -> list[int]:
        return [number + ("ë" in text) for number in super().tokens(text)]


def made(encoder: Encoder, text: str = LIST, **more):
    request = ask(text, Settings(), **more)
    return solve_edit(encode_request(encoder, request)[0], WEIGHTS, request)


@pytest.mark.parametrize("name", ["star,", "star.", "(star:1.2)", "Saber (Fate)", "C++"])
def test_erasing_begins_at_the_last_token_that_carries_a_word(name: str) -> None:
    class Cutting(Encoder):
        """Punctuation is a token of its own, as it is in CLIP."""

        def tokens(self, text: str) -> list[int]:
            parted = "".join(f" {char} " if not (char.isalnum() or char.isspace()) else char for char in text)
            return super().tokens(parted)

    request = ask(f'"{name}"', Settings(), preserve=(f"x{name}",))
    states, _ = encode_request(Cutting(WIDTH), request)
    end = {"star,": 1, "star.": 1, "(star:1.2)": 6, "Saber (Fate)": 3, "C++": 1}[name]
    assert states.last[name] == end and states.kept[name].start == end
    assert len(states.tokens[name].split()) > end
    assert torch.equal(states.subject(request.pairs()[0].concept), states.of(name)[end])


def test_a_name_that_the_encoder_reads_nothing_of_is_refused() -> None:
    """Or the empty prompt would be erased in its place."""

    class Dropping(Encoder):
        """Leaves out what is not in its vocabulary, as Llama's is loaded by some versions of the library."""

        def tokens(self, text: str) -> list[int]:
            return super().tokens("".join(letter for letter in text if letter.isascii()))

    for names in ("cat\n葛飾北斎", "葛飾北斎 -> cat"):
        with pytest.raises(ScaPreError, match=r"^concepts: .*reads nothing of .葛飾北斎.: .*other letters"):
            made(Dropping(WIDTH), names)
    assert made(Dropping(WIDTH), "red 葛\ncat -> 飾", preserve=("北",)).report.kept
    both = TwoReadings(Dropping(WIDTH), Encoder(WIDTH))  # what one of two reads is erased
    assert encode_request(both, ask("葛飾北斎", Settings()))[0].tokens["葛飾北斎"] == ""


def test_tokens_are_kept_for_every_name_in_every_wording() -> None:
    edit = made(Encoder(WIDTH), templates=tuple(TEMPLATES["styles"]), preserve=("fish",))
    assert {"cat", "fish", "Zoë Kraus", "painting by cat", "art"} <= edit.states.tokens.keys()
    assert edit.states.tokens["cat"] == written(Encoder(WIDTH).tokens("cat")) and edit.states.tokens[""] == ""


def test_tokens_come_through_files_and_merging_and_early_files_have_none(tmp_path: Path) -> None:
    path, edit = tmp_path / "edit.safetensors", edit_files.tiny_edit()
    write_edit(edit, path)
    assert read_edit(path).states.tokens == edit.states.tokens and len(edit.states.tokens) == 5
    merged = merge_edits({"a": made(Encoder(WIDTH), "cat"), "b": made(Encoder(WIDTH), "owl")}, WEIGHTS)
    assert merged.states.tokens == made(Encoder(WIDTH), "cat\nowl").states.tokens
    early = replace(edit, states=replace(edit.states, tokens={}))
    write_edit(early, path)
    assert read_edit(path).states.tokens == {}
    header, _ = edit_files.split(path.read_bytes())
    assert header["__metadata__"]["format_version"] == "1"
    mixed = merge_edits({"a": replace(early, family="SD1.x"), "b": edit}, Projections([(3, 6), (2, 6)]))
    write_edit(mixed, path)
    assert set(read_edit(path).states.tokens) == set(mixed.states.tokens) | {""}


@pytest.mark.parametrize(
    "value", [["1 2"], ["", "x", "1", "2", "3"], [1, 2, 3, 4, 5], ["#12", "", "", "", ""], "abcde"]
)
def test_damaged_tokens_are_refused(value: object, tmp_path: Path) -> None:
    path = tmp_path / "edit.safetensors"
    write_edit(edit_files.tiny_edit(), path)
    edit_files.described(path, lambda table: table.update(tokens=value))
    with pytest.raises(ScaPreError, match="is damaged"):
        read_edit(path)


def test_hidden_names_keep_only_a_hash_of_their_tokens(tmp_path: Path) -> None:
    edit, path = edit_files.tiny_edit(), tmp_path / "edit.safetensors"
    write_edit(edit, path, names=False)
    kept = read_edit(path).states.tokens
    assert all(tokens.startswith("#") and is_kept(tokens) for head, tokens in kept.items() if head)
    assert sorted(kept.values()) == sorted(tokens and hashed(tokens) for tokens in edit.states.tokens.values())
    for tokens in filter(None, edit.states.tokens.values()):
        assert tokens.encode() not in path.read_bytes()
    assert hide_names(read_edit(path)).states.tokens == kept  # hashed once


def test_tokens_agree_as_far_as_they_are_known() -> None:
    assert agree("1 2", "1 2") and agree("", "1") and agree("1", "") and agree(hashed("1 2"), "1 2")
    assert not agree("1 2", "1 3") and not agree(hashed("1 2"), "1 3") and not agree("1 2", hashed("1 3"))


def test_an_installation_that_reads_a_name_otherwise_says_so_by_name() -> None:
    edit = made(Encoder(WIDTH))
    assert tokens_notes(edit, Encoder(WIDTH).tokens) == ()
    (note,) = tokens_notes(edit, Elsewhere(WIDTH).tokens)
    assert '"Zoë Kraus"' in note and '"cat"' not in note and "other tokens" in note
    assert tokens_notes(hide_names(edit), Elsewhere(WIDTH).tokens) == ()

    def full(text: str) -> list[int]:
        raise ScaPreError(f"{text} has too many tokens")

    assert read_otherwise(edit.states.tokens, full) == ("Zoë Kraus", "art", "cat")


def test_merging_edits_of_two_installations_says_whose_names_differ() -> None:
    edits = {"a": made(Encoder(WIDTH)), "b": made(Elsewhere(WIDTH), "Zoë Kraus -> art\nowl")}
    notes = " ".join(merge_edits(edits, WEIGHTS).report.notes)
    assert 'the installation of b cuts "Zoë Kraus" into other tokens than that of a' in notes
    alike = {"a": made(Encoder(WIDTH)), "b": edit_of(ask("owl", Settings()), WEIGHTS, torch.float32)}
    assert "tokens" not in " ".join(merge_edits(alike, WEIGHTS).report.notes)
