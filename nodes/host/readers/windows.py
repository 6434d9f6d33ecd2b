"""CLIP: windows of 77 tokens with a start and an end, causal, so that padding carries the text too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from ....scapre.errors import ScaPreError, shorten
from .prefixes import CLIP_ORDER, PrefixEncoder
from .reader import PROBE, Reader, Sections, ids_of, merged, plain


class WindowReader(Reader):
    """Reads CLIP's states as they are."""

    windows = True
    _prefixed: PrefixEncoder | Literal[False] | None = None

    def literal(self, text: str) -> str:
        """Without special tokens."""
        return plain(text).replace("<|", "< |")

    def window(self, sections: Sections) -> int:
        """Less the start and the end."""
        return len(sections[self.name][0]) - 2

    def ids(self, text: str, sections: Sections) -> tuple[int, ...]:
        """What stands between the start and the end token."""
        found = sections[self.name]
        if len(found) > 1:
            window = self.window(sections)
            raise ScaPreError(
                f"{shorten(text)} needs more than the {window} tokens that the text encoder reads at once. "
                "Shorten the name, or use a shorter template."
            )
        ids = [entry[0] for entry in found[0]]
        # The end token is the last of CLIP's vocabulary; padding is the same or 0.
        return tuple(ids[1 : ids.index(max(ids), 1)])

    def whole(self, texts: Sequence[Sections]) -> Tensor:
        """All texts in one call of the host."""
        batch = self._asked(merged([_windows(text) for text in texts]))
        states: Tensor = batch.reshape(len(texts), -1, batch.shape[-1])
        return states.float().cpu()

    def _asked(self, tokens: Sections) -> Tensor:
        """What the host gives for windows, (1, all tokens, width)."""
        found: Tensor = self.clip.encode_from_tokens(tokens)
        return found

    def prefixes(self, texts: Sequence[Sections], length: int) -> Tensor:
        """Computed no further than they are read, where that can be done here.

        Whether it can is found out once, by a call of the host's that also loads the encoder: one of these is made for
        a run of a node, and in the run nothing moves the weights away.
        """
        if self._prefixed is None:
            probe = [_windows(self.clip.tokenize(PROBE))]
            states = self.whole(probe)
            found = PrefixEncoder(self.clip, states.shape[-1])
            self._prefixed = found.fits(ids_of(probe), states) and found
        if not self._prefixed:
            return super().prefixes(texts, length)
        return self._prefixed(ids_of([_windows(text) for text in texts]), length)


def _windows(sections: Sections) -> Sections:
    """Those of CLIP's encoders."""
    return {name: found for name, found in sections.items() if name in CLIP_ORDER}
