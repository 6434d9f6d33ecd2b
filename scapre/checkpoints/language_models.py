"""Which language model a file holds, and what its weights do not say of how it is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..errors import ScaPreError, shorten
from .tensor_file import TensorFile

_FIRST = "layers.0."
_MARK = f"{_FIRST}self_attn.q_proj.weight"
_EMBEDDINGS = "embed_tokens.weight"
_MISTRAL = 131_072  # tokens


@dataclass(frozen=True)
class Build:
    """How a language model computes.

    Attributes:
        title: Its name for people.
        base: Of its rotary positions.
        epsilon: What its norms add to a mean square.
        head: Width of an attention head.
        gemma: Whether it is built as Gemma is: embeddings times the root of their width, norms that multiply by 1 more
            than their weights, two more norms in a layer, and a GELU.
    """

    title: str
    base: float
    epsilon: float = 1e-6
    head: int = 128
    gemma: bool = False


QWEN3 = Build("Qwen3", 1e6)
QWEN25 = Build("Qwen2.5", 1e6)
LLAMA3 = Build("Llama 3", 5e5, 1e-5)
MISTRAL3 = Build("Mistral 3", 1e9, 1e-5)
GEMMA2 = Build("Gemma 2", 1e4, head=256, gemma=True)
GEMMA3 = Build("Gemma 3", 1e6, head=256, gemma=True)


class LanguageModel(NamedTuple):
    """A language model in a file.

    Attributes:
        file: The open file.
        prefix: What its names begin with.
        build: Which one it is.
    """

    file: TensorFile
    prefix: str
    build: Build

    @property
    def embeddings(self) -> str:
        """Name of its embeddings, (tokens, width)."""
        return self.prefix + _EMBEDDINGS

    @property
    def width(self) -> int:
        """Of a state.

        Raises:
            ScaPreError: If its embeddings are no matrix.
        """
        shape = self.file.entries[self.embeddings].shape
        if len(shape) != 2:
            raise ScaPreError(
                f"{self.file.field}: {shorten(self.embeddings)} in {shorten(self.file.path.name)} is no matrix. The "
                "file is damaged; get it again."
            )
        return int(shape[1])


def language_models(file: TensorFile) -> list[LanguageModel]:
    """Those in a file, told by what their first layers have."""
    starts = (name.removesuffix(_MARK) for name in file.entries if name.endswith(_MARK))
    there = (start for start in starts if start + _EMBEDDINGS in file.entries)
    return [LanguageModel(file, start, _build(file, start)) for start in there]


def _build(file: TensorFile, prefix: str) -> Build:
    def has(name: str) -> bool:
        return f"{prefix}{_FIRST}{name}" in file.entries

    if has("post_feedforward_layernorm.weight"):
        return GEMMA3 if has("self_attn.q_norm.weight") else GEMMA2
    if has("self_attn.q_norm.weight"):
        return QWEN3
    if has("self_attn.k_proj.bias"):
        return QWEN25
    return of_llama(*file.entries[prefix + _EMBEDDINGS].shape[:1])


def of_llama(tokens: int = 0) -> Build:
    """Which one of those that are built as Llama is.

    Args:
        tokens: How many it knows.
    """
    return MISTRAL3 if tokens == _MISTRAL else LLAMA3
