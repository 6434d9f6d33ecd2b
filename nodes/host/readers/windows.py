"""CLIP: windows of 77 tokens with a start and an end, causal, so that padding carries the text too."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ....scapre.errors import ScaPreError, shorten
from .prefixes import PrefixEncoder
from .reader import PROBE, Reader, Sections, ids_of, merged, plain


class WindowReader(Reader):
    """Reads CLIP's states as they are."""

    _prefixed: bool | None = None

    def literal(self, text: str) -> str:
        """Without special tokens."""
        return plain(text).replace("<|", "< |")

    def window(self, sections: Sections) -> int:
        """Less the start and the end."""
        return len(next(iter(sections.values()))[0]) - 2

    def ids(self, text: str, sections: Sections) -> tuple[int, ...]:
        """What stands between the start and the end token."""
        found = next(iter(sections.values()))
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
        batch = self.clip.encode_from_tokens(merged(texts))
        states: Tensor = batch.reshape(len(texts), -1, batch.shape[-1])
        return states.float().cpu()

    def prefixes(self, texts: Sequence[Sections], length: int) -> Tensor:
        """Computed no further than they are read, where that can be done here."""
        if not self._prefixes_fit():
            return super().prefixes(texts, length)
        return PrefixEncoder(self.clip)(ids_of(texts), length)

    def _prefixes_fit(self) -> bool:
        """Whether prefixes can be encoded on their own here; the host's call that finds out also loads the encoder.

        It is asked once: one of these is made for a run of a node, and in the run nothing moves the weights away.
        """
        if self._prefixed is None:
            probe = [self.clip.tokenize(PROBE)]
            self._prefixed = PrefixEncoder(self.clip).fits(ids_of(probe), self.whole(probe))
        return self._prefixed
