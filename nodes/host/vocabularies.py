"""The vocabularies that text encoders cut texts with, and which encoders a file holds.

Templates that language models put around a text are left out: they end in front of it, so it is cut as it stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from comfy.sd1_clip import SD1Tokenizer, SDTokenizer
from comfy.text_encoders.aura_t5 import PT5XlTokenizer
from comfy.text_encoders.flux import Mistral3Tokenizer
from comfy.text_encoders.hunyuan_video import LLAMA3Tokenizer
from comfy.text_encoders.hydit import HyditBertTokenizer
from comfy.text_encoders.lumina2 import Gemma2BTokenizer
from comfy.text_encoders.pixart_t5 import T5XXLTokenizer
from comfy.text_encoders.wan import UMT5XXlTokenizer
from comfy.text_encoders.z_image import Qwen3Tokenizer
from torch import Tensor

from ...scapre.checkpoints.language_models import (
    GEMMA2,
    GEMMA3,
    LLAMA3,
    MISTRAL3,
    QWEN3,
    QWEN25,
    Build,
    language_models,
)
from ...scapre.checkpoints.t5_file import T5_WORDS, T5File, t5_prefix
from ...scapre.checkpoints.tensor_file import TensorFile
from ...scapre.concepts.pieces import Cut
from ...scapre.errors import ScaPreError, shorten


@dataclass(frozen=True)
class Vocabulary:
    """What cuts texts for encoders.

    Attributes:
        parts: What the host calls those, the first one standing for all.
        cut: How it marks words.
        tokenizer: The host's class.
        inside: How the host calls the vocabulary in an encoder's file; empty where the host has it itself.
    """

    parts: tuple[str, ...]
    cut: Cut
    tokenizer: Callable[..., SDTokenizer]
    inside: str = ""

    def load(self, data: Tensor | None = None) -> SD1Tokenizer:
        """The host's tokeniser.

        Args:
            data: What a file has of it.

        Raises:
            ScaPreError: If the host cannot load it.
        """
        own = {self.inside: data} if self.inside else {}
        try:
            return SD1Tokenizer(tokenizer_data=own, name=self.parts[0], tokenizer=self.tokenizer)
        except Exception as error:  # the libraries for vocabularies raise nothing narrower
            raise ScaPreError(
                f"clip: the vocabulary of {self.parts[0]} cannot be loaded ({shorten(error)}). Get the file of the "
                "text encoder again, or another version of the package transformers."
            ) from None


CLIP = Vocabulary(("l", "h", "g"), Cut.CLIP, SDTokenizer)
BERT = Vocabulary(("hydit_clip",), Cut.BERT, HyditBertTokenizer)
T5 = Vocabulary(("t5xxl", "t5base", "qwen3_06b"), Cut.SENTENCES, T5XXLTokenizer)
PILE_T5 = Vocabulary(("pile_t5xl",), Cut.SENTENCES, PT5XlTokenizer)
UMT5 = Vocabulary(("umt5xxl", "umt5base", "mt5xl"), Cut.SENTENCES, UMT5XXlTokenizer, "spiece_model")
GEMMA = Vocabulary(("gemma2_2b",), Cut.SENTENCES, Gemma2BTokenizer, "spiece_model")
QWEN = Vocabulary(("qwen3_4b", "qwen3_8b", "qwen25_7b", "qwen25_3b"), Cut.BYTES, Qwen3Tokenizer)
LLAMA = Vocabulary(("llama",), Cut.BYTES, LLAMA3Tokenizer)
MISTRAL = Vocabulary(("mistral3_24b",), Cut.BYTES, Mistral3Tokenizer, "tekken_model")

# Those that the host has; of several the first reads the words, and CLIP gives a vector (Flux).
_HERE = (BERT, T5, PILE_T5, QWEN, LLAMA, CLIP)

_OF_CLIP, _OF_BERT = "token_embedding.weight", "bert.embeddings.word_embeddings.weight"
_LETTERS = 10_000  # more tokens than an encoder of single letters has, whose texts are what is written in a picture
_ANIMA = 1024
_OF_LANGUAGE_MODELS = {
    QWEN3: QWEN, QWEN25: QWEN, LLAMA3: LLAMA, MISTRAL3: MISTRAL, GEMMA2: GEMMA, GEMMA3: GEMMA,
}  # fmt: skip


def of_parts(names: frozenset[str]) -> Vocabulary | None:
    """What cuts texts for an encoder with these parts, if the host has it.

    Args:
        names: What the host calls them.
    """
    return next((one for one in _HERE if names.intersection(one.parts)), None)


def in_file(file: TensorFile) -> Iterator[tuple[Vocabulary | None, Tensor | None]]:
    """What cuts texts for each encoder in a file, and what the file has of that; None for one that is not known.

    Raises:
        ScaPreError: If it cannot be read.
    """
    names = list(file.entries)
    yield from ((CLIP, None) for name in names if name.endswith(_OF_CLIP))
    yield from ((BERT, None) for name in names if name.endswith(_OF_BERT))
    prefix = t5_prefix(file)
    if prefix is not None:
        encoder = T5File(file, prefix)
        found = of_t5(encoder.shape(encoder.embeddings)[0], own_positions=encoder.own_positions)
        yield from [_with_data(file, found)] if found else []
    for model in language_models(file):
        yield _with_data(file, of_language_model(model.build, model.width))


def of_t5(tokens: int, *, own_positions: bool) -> Vocabulary | None:
    """What cuts texts for a T5; None for one of single letters.

    Args:
        tokens: How many it knows.
        own_positions: Whether every layer has a table of positions of its own.
    """
    if tokens <= _LETTERS:
        return None
    return UMT5 if tokens > T5_WORDS else PILE_T5 if own_positions else T5


def of_language_model(build: Build, width: int) -> Vocabulary:
    """What cuts texts for a language model: beside Anima's the host cuts T5's tokens."""
    return T5 if build is QWEN3 and width == _ANIMA else _OF_LANGUAGE_MODELS[build]


def _with_data(file: TensorFile, found: Vocabulary | None) -> tuple[Vocabulary | None, Tensor | None]:
    """With its vocabulary; not known if that should be in the file and is not."""
    if found is None or not found.inside:
        return found, None
    name = next((name for name in file.entries if name.endswith(found.inside)), None)
    return (found, file.read(name)) if name else (None, None)
