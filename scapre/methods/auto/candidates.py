"""Words of the encoder's vocabulary that are near to a name by the embedding of its last token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...states.lexicon import Lexicon

ANCHORS = 4
"""Kin whose mean takes a name's place."""
_NEAR = 5.0  # standard deviations: the nearest of thirty thousand unrelated words come to four
_KINDRED = 2 / 3  # of the fourth nearest name that goes too: where all of a kind go, what is left is of another kind
_APART = 4 / 5  # of it, too: on MiniCanvas 93 % of names are below where all of a kind go, and 1 % where one stays


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
        cls, lexicon: Lexicon | None, name: Sequence[int], count: int, banned: set[int], ends: set[int]
    ) -> Candidates:  # fmt: skip
        """Looks for them.

        Args:
            lexicon: The encoder's vocabulary.
            name: Its tokens.
            count: Of candidates.
            banned: Tokens of words that are none.
            ends: The last tokens of the names that are erased, this one or not.
        """
        if lexicon is None or not name or not lexicon.words:
            return cls()
        others = sorted(ends - {name[-1]})
        kindred = sorted(lexicon.distances(name[-1], others), reverse=True)[ANCHORS - 1 : ANCHORS]
        least = max([_NEAR, *(_KINDRED * distance for distance in kindred)])
        words = lexicon.nearest(name[-1], count, banned)
        if sum(distance >= least for _, distance in words) >= ANCHORS:
            return cls({word: distance >= _NEAR for word, distance in words})
        stays = words[0][1] if words else 0.0
        return cls(all_go=any(distance >= _NEAR and stays < _APART * distance for distance in kindred))
