"""How text encoders read: which tokens carry a text's words, and what stands before and behind them.

The engine knows one order, that of CLIP: a start, the words, an end, and padding up to a window. A reader brings the
states of its encoders into that order. A new kind of encoder is a module here and a line in `READERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from typing import Any

from .adapted import AdaptedReader
from .beside import BertReader, BesideReader, JoinedReader, MultilingualReader
from .chats import ChatReader
from .layers import Kept, LayerReader, PaddedReader
from .reader import Network, Reader
from .sentences import SentenceReader
from .windows import WindowReader

__all__ = ["READERS", "Network", "Reader", "enough", "layer_readers", "readers"]

_CLIP = ("l", "h", "g")
_LAYERED = frozenset({"l", "g", "t5xxl", "llama"})
_CHATS = ("qwen25_7b", "qwen25_3b", "qwen3_4b", "qwen3_8b", "mistral3_24b", "gemma2_2b", "llama")

# By what the host calls the parts of an encoder: the reader, and the part whose tokens are a text's; and the same of a
# second one, where a model reads both side by side.
READERS: Mapping[frozenset[str], tuple[tuple[type[Reader], str], ...]] = {
    **{frozenset(some): ((WindowReader, some[0]),) for count in (1, 2, 3) for some in combinations(_CLIP, count)},
    **{frozenset({name}): ((SentenceReader, name),) for name in ("t5xxl", "umt5xxl", "t5base", "pile_t5xl")},
    frozenset({"l", "t5xxl"}): ((SentenceReader, "t5xxl"),),
    **{frozenset({name}): ((ChatReader, name),) for name in _CHATS},
    **{frozenset({"l", name}): ((ChatReader, name),) for name in ("llama", "qwen25_7b")},
    frozenset({"umt5base", "lyrics"}): ((SentenceReader, "umt5base"),),
    frozenset({"qwen3_06b", "t5xxl"}): ((AdaptedReader, "t5xxl"),),
    frozenset({"l", "g", "t5xxl"}): ((JoinedReader, "l"), (BesideReader, "t5xxl")),
    _LAYERED: ((PaddedReader, "t5xxl"),),
    frozenset({"hydit_clip"}): ((BertReader, "hydit_clip"),),
    frozenset({"hydit_clip", "mt5xl"}): ((BertReader, "hydit_clip"), (MultilingualReader, "mt5xl")),
}


def readers(clip: Any, names: Iterable[str], network: Network | None = None) -> list[Reader] | None:
    """The readers of a CLIP whose parts have these names: one, or two whose states a model reads side by side.

    None if there is none for these names; empty if what they read was not loaded.

    Args:
        clip: The host's.
        names: Of its parts.
        network: The model's own, for encoders whose states go through one together with a text's tokens.
    """
    known = READERS.get(frozenset(names))
    if known is None:
        return None
    model = getattr(clip, "cond_stage_model", None)  # a tokenizer alone has none
    return [kind(clip, name, network) for kind, name in known if model is None or kind.there(model)]


def enough(names: Iterable[str]) -> str:
    """Which parts of a CLIP with these names must be loaded, where a host can load some of them."""
    return "T5 and Llama, or all four" if frozenset(names) == _LAYERED else "CLIP-L and CLIP-G, or T5, or all three"


def layer_readers(clip: Any, names: Iterable[str]) -> Callable[[int], Reader] | None:
    """What gives readers of a language model's layers, by their numbers; None for a CLIP that has none beside others.

    Args:
        clip: The host's.
        names: Of its parts.
    """
    if frozenset(names) != _LAYERED:
        return None
    kept = Kept()
    return lambda number: LayerReader(clip, number, kept)
