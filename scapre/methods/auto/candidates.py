"""Words of the encoder's vocabulary that are near to a name by the embedding of its last token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...concepts.aliases import alike
from ...concepts.spelling import core
from ...states.encoder import Encoder
from ...states.lexicon import Lexicon

ANCHORS = 4
"""Kin whose mean takes a name's place."""
_NEAR = 5.0  # standard deviations: the nearest of thirty thousand unrelated words come to four
_KINDRED = 2 / 3  # of the fourth nearest name that goes too: where all of a kind go, what is left is of another kind
_APART = 4 / 5  # of it, too: on MiniCanvas words of one kind are at .9 and more, of other kinds at .78 and less


@dataclass(frozen=True)
class Candidates:
    """Words that may be kin of a name.

    Attributes:
        near: They, nearest first, and whether each is near at all; none where too few are.
        all_go: Whether that is since all of its kind are erased: others are near, and what stays is much farther.
    """

    near: Mapping[str, bool] = field(default_factory=dict)
    all_go: bool = False

    @classmethod
    def of(
        cls, encoder: Encoder, lexicon: Lexicon | None, name: str, count: int, banned: set[int], ends: set[int]
    ) -> Candidates:  # fmt: skip
        """Looks for them.

        Args:
            encoder: Reads the name.
            lexicon: Its vocabulary.
            name: It.
            count: Of candidates.
            banned: Tokens of words that are none.
            ends: The last tokens of all names that are erased.
        """
        tokens = encoder.tokens(core(name))
        if lexicon is None or not tokens or not lexicon.words:
            return cls()
        # Other words for it are no other names of its kind.
        others = ends - {tokens[-1]} - {own[-1] for word in alike(name) if (own := encoder.tokens(word))}
        kindred = sorted(lexicon.distances(tokens[-1], sorted(others)), reverse=True)[ANCHORS - 1 : ANCHORS]
        least = max([_NEAR, *(_KINDRED * distance for distance in kindred)])
        words = lexicon.nearest(tokens[-1], count, banned)
        if sum(distance >= least for _, distance in words) >= ANCHORS:
            return cls({word: distance >= _NEAR for word, distance in words})
        stays = words[0][1] if words else 0.0
        return cls(all_go=any(distance >= _NEAR and stays < _APART * distance for distance in kindred))
