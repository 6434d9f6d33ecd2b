"""What a family of models declares of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from .blocks import Blocks
from .chat import Chat
from .contexts import Context, Read
from .roles import Role

_CLIP_NAMES = frozenset({"l", "h", "g"})


class Files(Enum):
    """Which text encoders files hold, and what a model reads of each."""

    CLIP = "CLIP"
    T5 = "T5"
    T5_WITH_VECTORS = "T5, and pooled vectors of CLIP's"
    CLIP_AND_T5 = "CLIP and T5 side by side"
    BERT_AND_T5 = "a BERT and T5 side by side"
    CHAT = "a language model in its file"
    CHAT_WITH_VECTORS = "a language model, and pooled vectors of CLIP's"
    NETWORK = "what a network of the model makes of a language model's states and T5's tokens"
    LAYERS = "T5, layers of a language model, and pooled vectors of CLIP's"


@dataclass(frozen=True)
class TextEncoder:
    """What reads a family's prompts.

    Attributes:
        title: Name for people.
        names: What ComfyUI calls its parts; any of them.
        loader: How to load it, the end of a sentence.
        behind: For T5 and its relatives what a model reads behind a text's end, times the end's state: 1 where it
            reads nothing there, 0 for zeros; None for padding that the text is read with.
        by_layer: Whether every layer has positions of its own, as UMT5's have, and T5's only the first.
        filled: How many tokens padding fills a text up to.
        end: T5's token for the end of a text.
        padding: Its token behind that.
        files: How the command line reads it.
        sentences: Title of the T5 among several encoders.
        chat: How a language model is read.
        beside: Parts that must be there, too.
        masked: Whether no token of T5's attends to padding, which the model reads all the same.
    """

    title: str
    names: frozenset[str]
    loader: str
    behind: float | None = 1.0
    by_layer: bool = False
    filled: int = 0
    end: int = 1
    padding: int = 0
    files: Files = Files.T5
    sentences: str = ""
    chat: Chat | None = None
    beside: frozenset[str] = frozenset()
    masked: bool = False

    @property
    def is_clip(self) -> bool:
        """Whether it cuts texts as CLIP does."""
        return self.names <= _CLIP_NAMES


CLIP = TextEncoder(
    "CLIP",
    _CLIP_NAMES,
    "the CLIP output of the same checkpoint loader, or Load CLIP with its files",
    files=Files.CLIP,
)


@dataclass(frozen=True)
class Family:
    """A family of models whose text enters through linear projections of what the encoder's states are made into.

    Attributes:
        title: Name for people.
        roles: Finds the matrices among a model's parameter names, and what each is for, in the model's order.
        place: Tells a matrix's layer, how people call it, and its role.
        encoder: Reads the prompts.
        context: Reads from the model's own weights what lies between the encoder's states and the projections; None
            where the projections read the states themselves.
        second: The same for the states of a second text encoder, which the projections read beside those of the first.
        padding: Name of a parameter whose rows (rows, d) stand in a prompt's place where a text has none.
        side: Pixels of a side that it draws at.
        adapter: Name of a network in the model that takes the encoder's states and a text's tokens to what the
            projections read, if there is one; hosts run it.
        note: What users should know of the way of its text.
        leaks: Whether names are erased from the pooled vector, too, unless it is forbidden: where they still come
            through it, or where it stands among the words.
        of_vectors: Whether the projections read a text's pooled vector and nothing else of it.
        layer: Tells from the name of a matrix for `Role.LAYER` which layer it reads, from 0.
    """

    title: str
    roles: Callable[[Iterable[str]], Mapping[str, Role]]
    place: Callable[[str], tuple[str, str, Role] | None]
    encoder: TextEncoder = CLIP
    context: Callable[[Read], Context] | None = None
    second: Callable[[Read], Context] | None = None
    padding: str = ""
    side: int = 1024
    adapter: str = ""
    note: str = ""
    leaks: bool = False
    of_vectors: bool = False
    layer: Callable[[str], int] | None = None


def of_blocks(titles: Mapping[str, str], blocks: Blocks, encoder: TextEncoder, **more: Any) -> dict[str, Family]:
    """Families that are rows of like blocks, by the class that ComfyUI detects a checkpoint as.

    Args:
        titles: Title of each class.
        blocks: Names of their matrices.
        encoder: Reads the prompts.
        more: See `Family`.
    """
    common = Family("", blocks.roles, blocks.place, encoder, **more)
    return {name: replace(common, title=title) for name, title in titles.items()}
