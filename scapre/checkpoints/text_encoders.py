"""The text encoder of a model: the one in its checkpoint, or what is given in files of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import ScaPreError, shorten
from ..families import TextEncoder, adapter, contexts, of_vectors, text_encoder
from ..families.contexts import Read
from ..states.context import ContextEncoder
from ..states.encoder import Encoder
from ..states.pooled import PooledEncoder
from ..states.readings import TwoReadings
from ..states.tokens import Tokenise
from .clip_files import clip_from_files, what_encoder
from .encoder import CheckpointEncoder
from .pieces import Pieces, own_pieces, t5_pieces
from .sentences import SentenceCutter, SentenceEncoder, VectorsBeside
from .t5_file import T5File, t5_prefix, traits_of
from .tensor_file import TensorFile
from .tokenizer import Tokenizer
from .towers import TOWERS

OPTION = "--text-encoder"
_INSIDE = "text_encoders."
_VOCABULARY = "spiece_model"

# The files that most people have.
_FILES = {
    "T5-XXL": "t5xxl_fp16.safetensors",
    "UMT5-XXL": "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
    "the first T5-11B": "oldt5_xxl_fp8_e4m3fn_scaled.safetensors",
    "T5-base": "t5_base.safetensors",
}


def encoder_of(
    family: str, inside: TensorFile, others: Sequence[TensorFile], reads: tuple[Read, Read], vocabulary: Path | None
) -> Encoder:
    """The text encoder of a model, as its projections read it.

    Args:
        family: Title of the model's family.
        inside: The checkpoint.
        others: Files of text encoders; with none, the checkpoint must hold its own.
        reads: Reads the model's own weights, and any tensor of the checkpoint.
        vocabulary: Folder of CLIP's or T5's vocabulary; None looks for one.

    Raises:
        ScaPreError: If there is no text encoder, or another than the model's, or its vocabulary is missing, or what
            leads from it to the projections.
    """
    wanted = text_encoder(family)
    if adapter(family) or not wanted.alone:
        way = "goes through a network" if adapter(family) else f"goes through an encoder ({wanted.title})"
        raise ScaPreError(
            f"checkpoint: the text of {family} models {way} that only ComfyUI has. Erase there, save the edit, and "
            "export, merge or verify it here."
        )
    clips = [file for file in others if t5_prefix(file) is None] if wanted.sentences else others

    def clip(width: int = 0) -> CheckpointEncoder:
        towers, cut = TOWERS[family], Tokenizer(vocabulary)
        if clips:
            return clip_from_files(clips, towers, family, cut, width)
        return CheckpointEncoder(inside.entries, reads[1], cut, towers, width)

    if family in TOWERS and not wanted.sentences:
        encoder = clip()
        return PooledEncoder(encoder, encoder.pooled) if of_vectors(family) else encoder
    file = t5_file(family, inside, [file for file in others if file not in clips] if wanted.sentences else others)
    leads, _ = contexts(family, reads[0])
    width = file.shape(file.embeddings)[1]
    if leads and leads.width != width:
        raise ScaPreError(
            f"{file.where} gives states of width {width:,}, and this {family} model takes "
            f"{leads.width:,}. Give {_wanted(wanted)}."
        )
    cut = SentenceCutter(pieces_of(file, vocabulary))
    if wanted.sentences and not wanted.is_clip:
        return VectorsBeside(file, cut, wanted, clip())
    sentences = SentenceEncoder(file, cut, wanted)
    if wanted.sentences:
        return TwoReadings(clip(width), sentences)
    return ContextEncoder(sentences, leads) if leads else sentences


def tokens_of(family: str, inside: TensorFile, others: Sequence[TensorFile], vocabulary: Path | None) -> Tokenise:
    """What cuts names into the tokens of a family's text encoder.

    Args:
        family: Title of the model's family.
        inside: The checkpoint.
        others: Files of text encoders.
        vocabulary: Folder of CLIP's or T5's vocabulary; None looks for one.

    Raises:
        ScaPreError: If the vocabulary is missing.
    """
    wanted = text_encoder(family)
    if wanted.is_clip:
        return Tokenizer(vocabulary)
    if not wanted.alone:
        raise ScaPreError(f"checkpoint: the tokens of {wanted.title} cannot be told here.")
    if wanted.by_layer:
        return SentenceCutter(pieces_of(t5_file(family, inside, others)))
    return SentenceCutter(t5_pieces(vocabulary))


def t5_file(family: str, inside: TensorFile, others: Sequence[TensorFile]) -> T5File:
    """The T5 that a family reads.

    Args:
        family: Its title.
        inside: The checkpoint.
        others: Files of text encoders.

    Raises:
        ScaPreError: If there is none, or another.
    """
    wanted = text_encoder(family)
    if len(others) > 1:
        raise ScaPreError(
            f"{OPTION}: a {family} model reads one {_t5(wanted)}, and {len(others)} files were given. Give "
            f"{_wanted(wanted)} alone."
        )
    file = others[0] if others else inside
    names = ("t5xxl",) if wanted.sentences else wanted.names
    starts = [""] if others else [f"{_INSIDE}{name}." for name in names]
    prefix = next((found for found in (t5_prefix(file, start) for start in starts) if found is not None), None)
    if prefix is not None:
        return _checked(family, wanted, T5File(file, prefix))
    if others:
        raise _another(family, wanted, file, what_encoder(file))
    raise ScaPreError(
        f"checkpoint: {shorten(file.path.name)} has no {_t5(wanted)} in it, and {family} models read {wanted.title}. "
        f"Give {OPTION} {_wanted(wanted)}."
    )


def pieces_of(file: T5File, vocabulary: Path | None = None) -> Pieces:
    """What cuts texts for a T5.

    Args:
        file: Its weights.
        vocabulary: Folder of T5's vocabulary; None looks for one. UMT5 brings its own.

    Raises:
        ScaPreError: If the vocabulary is missing or cannot be read.
    """
    if not file.own_positions:
        return t5_pieces(vocabulary)
    own = next((name for name in (_VOCABULARY, _INSIDE + _VOCABULARY) if name in file.file.entries), None)
    if own is None:
        raise ScaPreError(
            f"{file.where} does not hold the vocabulary of {file.title} "
            f"({_VOCABULARY}). Give the file that ComfyUI's examples name."
        )
    return own_pieces(file.file.read(own))


def _checked(family: str, wanted: TextEncoder, found: T5File) -> T5File:
    """Accepts the family's own T5, and one built like it that has not been published."""
    title = _t5(wanted)
    if (found.known and found.known != title) or found.traits != traits_of(title):
        raise _another(family, wanted, found.file, found.title)
    if found.multilingual and not found.own_positions:
        raise _another(family, wanted, found.file, f"a multilingual {found.title}")
    return found


def _another(family: str, wanted: TextEncoder, file: TensorFile, told: str) -> ScaPreError:
    return ScaPreError(
        f"{file.field}: {shorten(file.path.name)} is {told}, and {family} models read {wanted.title}. Give "
        f"{_wanted(wanted)}."
    )


def _wanted(wanted: TextEncoder) -> str:
    known = _FILES.get(_t5(wanted))
    return f"the file of {_t5(wanted)}" + (f", such as {known}" if known else "")


def _t5(wanted: TextEncoder) -> str:
    return wanted.sentences or wanted.title
