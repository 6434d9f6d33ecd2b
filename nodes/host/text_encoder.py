"""The host's CLIP."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from ...scapre.errors import ScaPreError, shorten
from ...scapre.families import adapter, contexts, of_vectors, padding, supported, text_encoder
from ...scapre.files.cache import Cache
from ...scapre.progress import Progress
from ...scapre.states.context import ContextEncoder
from ...scapre.states.encoder import Encoder
from ...scapre.states.lexicon import Lexicon
from ...scapre.states.pooled import PooledEncoder
from ...scapre.states.readings import TwoReadings
from .folders import cache_folder
from .projections import HostProjections
from .readers import Network, Reader, enough, layer_readers, readers
from .readers.reader import PROBE, Sections

log = logging.getLogger("scapre")

_BATCH = 32
_FEW = 3  # texts, of which a batch saves nothing
_POOLED = "pooled_output"
_PROBED = 16
_REMEMBERED = 65_536
_SECTIONS = 2048
_FLOATS = (torch.float16, torch.bfloat16, torch.float32)


def encoder_for(clip: Any, projections: HostProjections) -> Encoder:
    """The text encoder of a model, as the model's projections read it.

    Raises:
        ScaPreError: If it is missing, or another than the model's, or what leads from it to the projections is not in
            the model.
    """
    family = projections.family
    network = adapter(family)
    encoder = ClipEncoder(clip, family, projections.network(network) if network else None)
    if of_vectors(family):
        return PooledEncoder(encoder, encoder.pooled)
    leads = contexts(family, projections.parameter)
    each = [ContextEncoder(one, lead) if lead else one for one, lead in zip(encoder.each(), leads, strict=False)]
    return each[0] if len(each) == 1 else TwoReadings(each[0], each[1], padding(family, projections.parameter))


class ClipEncoder:
    """The host's text encoders as the engine wants them: literal text, in batches."""

    def __init__(self, clip: Any, family: str | None = None, network: Network | None = None) -> None:
        """Takes the CLIP input.

        Args:
            clip: The host's.
            family: Title of the model that it is for; None for any.
            network: The model's own, for encoders that are read through one; without it they give no states.

        Raises:
            ScaPreError: If it is missing, or no text encoder of that family.
        """
        if clip is None:
            raise ScaPreError(
                "clip: it is missing. This loader gives no text encoder (it loads a diffusion model alone); add a "
                "Load CLIP node with the text encoder that belongs to the model."
            )
        self.clip = clip
        names = sorted(clip.tokenize(""))
        found = readers(clip, names, network)
        if found is None:
            raise ScaPreError(
                f"clip: {shorten(', '.join(names))} is not a text encoder of a supported model. "
                f"Supported: {supported()}."
            )
        if not found:
            raise ScaPreError(
                f"clip: of the text encoders that it cuts prompts for ({', '.join(names)}) too few are loaded: "
                f"{enough(names)}. Load them together."
            )
        self._layers = layer_readers(clip, names)
        wanted = family and text_encoder(family)
        if wanted and not (wanted.names.intersection(names) and wanted.beside.issubset(names)):
            raise ScaPreError(
                f"clip: it is {shorten(', '.join(names))}, and {family} models read {wanted.title}. Connect "
                f"{wanted.loader}."
            )
        self._sections = lru_cache(_SECTIONS)(partial(_tokenized, clip))  # a host cuts a text for all its encoders
        self._readers = found
        self._take(found[0])

    def _take(self, reader: Reader) -> None:
        self._reader = reader
        # A method asks of a text again and again. What is kept knows the reader and not this encoder, which the host's
        # models would else be held by, in a circle, until Python looks for such.
        self._known = lru_cache(_REMEMBERED)(partial(_ids_of, reader, self._sections))

    def each(self) -> list[ClipEncoder]:
        """It, and the same for the second of its text encoders, if a model reads two side by side."""
        found = [copy.copy(self) for _ in self._readers]
        for encoder, reader in zip(found, self._readers, strict=True):
            encoder._take(reader)
        return found

    def layer(self, number: int) -> ClipEncoder:
        """The same, of the states behind a layer of the language model among its text encoders.

        Raises:
            ScaPreError: If there is none beside others.
        """
        if self._layers is None:
            raise ScaPreError(
                f"clip: {self._reader.name} has no language model beside it, whose layers could be read. Connect the "
                "text encoders that belong to the model."
            )
        found = copy.copy(self)
        found._take(self._layers(number))
        return found

    def _tokens(self, text: str) -> Sections:
        found: Sections = self._sections(self._reader.literal(text))
        return found

    def tokens(self, text: str) -> Sequence[int]:
        """Ids of the tokens of a text's words.

        Raises:
            ScaPreError: If the text is longer than what the encoder reads at once.
        """
        return self._known(text)

    def window(self) -> int:
        """How many tokens of a text it reads at once."""
        return self._reader.window(self._tokens(""))

    def remembered(self, key: str, make: Callable[[], Tensor]) -> Tensor:
        """What `make` gives, or gave earlier for this encoder and key: kept in the host's user folder."""
        if not self._reader.remembers:
            return make()
        return Cache(cache_folder()).get(key, self.encode_prefixes([PROBE], _PROBED)[0], make)

    def lexicon(self) -> Lexicon | None:
        """The words of the first encoder's vocabulary; None where this host keeps them elsewhere."""
        name = self._reader.name
        tokenizer, encoder = (
            getattr(whole, f"clip_{name}", None) or getattr(whole, name, None)
            for whole in (getattr(self.clip, part, None) for part in ("tokenizer", "cond_stage_model"))
        )
        if tokenizer is None or encoder is None:
            return None if self._reader.windows else Lexicon.none()
        try:
            weight = encoder.transformer.get_input_embeddings().weight.detach()
            embeddings = weight if weight.dtype in _FLOATS else weight.to("cpu", torch.float32)
            found = Lexicon.of(tokenizer.tokenizer.get_vocab(), embeddings)
        except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            log.info("the vocabulary of %s cannot be read: %s", name, error)
            return None
        return found if len(found.words) > 1 else None

    def frame(self) -> Tensor:
        """What stands in every prompt beside the text's own tokens, (positions, width), float32 on the CPU."""
        return self._reader.frame()

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        """States of the texts, (texts, tokens, width), float32 on the CPU."""
        states = []
        for first in range(0, len(texts), _BATCH):
            progress("text encoding", first, len(texts))
            states.append(self._reader.whole(self._cut(texts[first : first + _BATCH])))
        progress("text encoding", len(texts), len(texts))
        return torch.cat(states)

    def encode_prefixes(self, texts: Sequence[str], length: int) -> Tensor:
        """States of the first positions of the texts, (texts, length, width), float32 on the CPU."""
        return self._reader.prefixes(self._cut(texts), length)

    def pooled(self, texts: Sequence[str]) -> Tensor:
        """Pooled vectors of the texts, (texts, width), float32 on the CPU.

        Raises:
            ScaPreError: If the encoder gives none.
        """
        return self._reader.vectors(self._cut(texts))

    def conditioning(self, text: str) -> Any:
        """What CLIP Text Encode gives for a text without any prompt syntax.

        Raises:
            ScaPreError: If it is longer than what the encoder reads at once.
        """
        self.tokens(text)
        return self.clip.encode_from_tokens_scheduled(self._tokens(text))

    def conditionings(self, texts: Sequence[str], *, vectors: bool = True) -> list[Any]:
        """The same of several texts, in one batch where the host keeps nothing of a text but states and a vector.

        Args:
            texts: Literal.
            vectors: Whether each has its own pooled vector; else all have the first one's, for models that read none.
        """
        first = self.conditioning(texts[0])
        (states, more), *others = first
        if others or len(texts) < _FEW or not self._reader.windows or set(more) - {_POOLED}:
            return [first, *(self.conditioning(text) for text in texts[1:])]
        found = []
        for start in range(1, len(texts), _BATCH):
            cut = self._cut(texts[start : start + _BATCH])
            rows, vector = self._reader.whole(cut), more.get(_POOLED)
            own = vectors and vector is not None
            pooled = self._reader.vectors(cut).to(vector).split(1) if own else [vector] * len(cut)
            found += [
                [[row[None].to(states), {**more, **({_POOLED: one} if _POOLED in more else {})}]]
                for row, one in zip(rows, pooled, strict=True)
            ]
        return [first, *found]

    def _cut(self, texts: Sequence[str]) -> list[Sections]:
        cut = [self._tokens(text) for text in texts]
        for text, sections in zip(texts, cut, strict=True):
            self._reader.ids(text, sections)
        return cut


def _tokenized(clip: Any, literal: str) -> Sections:
    try:
        found: Sections = clip.tokenize(literal, disable_weights=True)
    except TypeError:  # tokenizers that never read weights do not take the keyword
        found = clip.tokenize(literal)
    return found


def _ids_of(reader: Reader, sections: Callable[[str], Sections], text: str) -> tuple[int, ...]:
    return reader.ids(text, sections(reader.literal(text)))
