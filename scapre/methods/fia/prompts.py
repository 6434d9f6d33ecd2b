"""The prompts that FIA compares: each concept among everyday words, and the same words alone (Table 6 of the paper)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ...concepts.names import normalise
from ...errors import ScaPreError, shorten

_CONCEPT, _WORD = "NAME", "WORD"


@dataclass(frozen=True)
class Setting:
    """Where concepts of one kind are put.

    Attributes:
        base: The prompt without a concept, with WORD for an everyday word.
        wordings: Prompts with NAME for the concept and WORD, taken in turns.
        words: The everyday words.
    """

    base: str
    wordings: tuple[str, ...]
    words: tuple[str, ...]


SETTINGS = MappingProxyType({
    name: Setting(found["base"], tuple(found["wordings"]), tuple(found["words"]))
    for name, found in json.loads(Path(__file__).with_name("words.json").read_text(encoding="utf-8")).items()
})  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """All prompts of a run; base prompts are there once for all names.

    Attributes:
        texts: Prompts.
        base: Places of the base prompts.
        named: Places of each name's prompts.
    """

    texts: tuple[str, ...]
    base: range
    named: tuple[range, ...]

    def notes(self, asked: int) -> tuple[str, ...]:
        """Says where there are fewer pairs of a name than were asked for."""
        if len(self.base) >= asked:
            return ()
        return (f"{len(self.base)} pairs of each name, and not {asked}: there are no more everyday words (words)",)


def plan(kind: str, words: str, count: int, names: Sequence[str]) -> Plan:
    """The prompts for some names. A word that is the name itself is no place to look for it, and is left out there.

    Args:
        kind: A key of `SETTINGS`.
        words: Everyday words, parted by ;. None are those that come with the kind.
        count: Pairs of a name; fewer where there are not as many words.
        names: Of concepts, and of what is preserved.

    Raises:
        ScaPreError: If no word is left for a name.
    """
    setting = SETTINGS[kind]
    own = tuple(dict.fromkeys(word for word in map(str.strip, re.split("[;\n]", words)) if word)) or setting.words
    used = own[:count]
    texts = [setting.base.replace(_WORD, word) for word in used]
    named = []
    for name in names:
        found = [_worded(setting, i, word, name) for i, word in enumerate(used) if normalise(word) != normalise(name)]
        if not found:
            raise ScaPreError(
                f"concepts: {shorten(name)} is the only everyday word that it would be drawn with, so nothing would "
                "tell the pictures apart. Give other words."
            )
        named.append(range(len(texts), len(texts) + len(found)))
        texts += found
    return Plan(tuple(texts), range(len(used)), tuple(named))


def _worded(setting: Setting, place: int, word: str, name: str) -> str:
    before, after = setting.wordings[place % len(setting.wordings)].split(_CONCEPT)
    return before.replace(_WORD, word) + name + after.replace(_WORD, word)
