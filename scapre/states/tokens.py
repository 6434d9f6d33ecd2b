"""The tokens that an installation cuts a name into: kept with an edit, so that another installation can compare.

One name can have other tokens elsewhere: versions of the library that cuts names, with and without the one that
repairs typographic signs, differ on accents, quotes and some scripts. An edit then meets prompts it was not made for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..concepts.names import is_hidden
from ..errors import ScaPreError, shorten
from .encoder import Encoder
from .readings import is_second

_HASHED = "#"
_KEPT = re.compile(r"(?:\d{1,7}(?: \d{1,7})*)?|#[0-9a-f]{16}")

Tokenise = Callable[[str], Sequence[int]]


def check_read(encoders: Sequence[Encoder], names: Iterable[str]) -> None:
    """Accepts names that one of a model's encoders reads something of: some vocabularies drop what they lack.

    Raises:
        ScaPreError: For another one, whose prompts are to the model what they are without it.
    """
    for name in names:
        if not any(_reads(encoder, name) for encoder in encoders):
            raise ScaPreError(
                f"concepts: the text encoder reads nothing of {shorten(name)}: its vocabulary has no piece for it, so "
                "a prompt with it is to the model what it is without it. Take it out, or write it in other letters."
            )


def _reads(encoder: Encoder, name: str) -> bool:
    try:
        return bool(encoder.tokens(name))
    except ScaPreError:  # it is too long, which is said where it is encoded
        return True


def written(ids: Iterable[int]) -> str:
    """Token ids as an edit keeps them."""
    return " ".join(map(str, ids))


def hashed(kept: str) -> str:
    """Kept token ids that can be compared and not read; whoever guesses the name can still test the guess."""
    return kept if kept.startswith(_HASHED) else _HASHED + hashlib.blake2b(kept.encode(), digest_size=8).hexdigest()


def is_kept(value: str) -> bool:
    """Whether a text from a file can be kept token ids."""
    return _KEPT.fullmatch(value) is not None


def agree(one: str, other: str) -> bool:
    """Whether kept tokens are the same, as far as one of them is not known."""
    if not (one and other) or one == other:
        return True
    return hashed(one) == hashed(other) if _HASHED in (one[0], other[0]) else False


def read_otherwise(kept: Mapping[str, str], tokenise: Tokenise) -> tuple[str, ...]:
    """Heads that this installation cuts into other tokens than those that were kept.

    Hidden ones cannot be told, and of two encoders it is the first that cuts names here. The null prompt is no name.

    Args:
        kept: Tokens by head.
        tokenise: Gives the token ids of a text here.
    """
    known = {head: kept[head] for head in kept if head and not is_hidden(head) and not is_second(head)}
    return tuple(head for head, tokens in known.items() if not agree(tokens, _here(head, tokenise)))


def _here(head: str, tokenise: Tokenise) -> str:
    try:
        return written(tokenise(head))
    except ScaPreError:  # too many tokens here
        return _HASHED
