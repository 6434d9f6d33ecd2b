"""The T5 that a family reads: in its checkpoint, or in a file of its own, and what cuts texts for it."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ScaPreError, shorten
from ..families import TextEncoder, text_encoder
from .clip_files import what_encoder
from .pieces import Pieces, own_pieces
from .t5_file import T5File, t5_prefix, traits_of
from .tensor_file import TensorFile

OPTION = "--text-encoder"
INSIDE = "text_encoders."
_VOCABULARY = "spiece_model"

# The files that most people have.
_FILES = {
    "T5-XXL": "t5xxl_fp16.safetensors",
    "UMT5-XXL": "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
    "the first T5-11B": "oldt5_xxl_fp8_e4m3fn_scaled.safetensors",
    "T5-base": "t5_base.safetensors",
}


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
            f"{OPTION}: {family} models read one {wanted.sentences or 'text encoder'}, and {len(others)} files were "
            f"given. Give {wanted_file(wanted)} alone."
        )
    file = others[0] if others else inside
    names = ("t5xxl",) if wanted.sentences else wanted.names
    starts = [""] if others else [f"{INSIDE}{name}." for name in names]
    prefix = next((found for found in (t5_prefix(file, start) for start in starts) if found is not None), None)
    if prefix is not None:
        return _checked(family, wanted, T5File(file, prefix))
    if others:
        raise _another(family, wanted, file, what_encoder(file))
    raise ScaPreError(
        f"checkpoint: {shorten(file.path.name)} has no {wanted.sentences or 'text encoder'}, and {family} models read "
        f"{wanted.title}. Give {OPTION} {wanted_file(wanted)}."
    )


def own_pieces_of(file: T5File) -> Pieces:
    """What cuts texts for a UMT5, whose file brings its vocabulary.

    Args:
        file: Its weights.

    Raises:
        ScaPreError: If the vocabulary is missing or cannot be read.
    """
    own = next((name for name in (_VOCABULARY, INSIDE + _VOCABULARY) if name in file.file.entries), None)
    if own is None:
        raise ScaPreError(
            f"{file.where} does not hold the vocabulary of {file.title} "
            f"({_VOCABULARY}). Give the file that ComfyUI's examples name."
        )
    return own_pieces(file.file.read(own))


def _checked(family: str, wanted: TextEncoder, found: T5File) -> T5File:
    """Accepts the family's own T5, and one built like it that has not been published."""
    title = t5_title(wanted)
    if (found.known and found.known != title) or found.traits != traits_of(title):
        raise _another(family, wanted, found.file, found.title)
    if found.multilingual and not found.own_positions:
        raise _another(family, wanted, found.file, f"a multilingual {found.title}")
    return found


def _another(family: str, wanted: TextEncoder, file: TensorFile, told: str) -> ScaPreError:
    return ScaPreError(
        f"{file.field}: {shorten(file.path.name)} is {told}, and {family} models read {wanted.title}. Give "
        f"{wanted_file(wanted)}."
    )


def wanted_file(wanted: TextEncoder) -> str:
    """What to give, the end of a sentence."""
    known = _FILES.get(t5_title(wanted))
    return f"the file of {t5_title(wanted)}" + (f", such as {known}" if known else "")


def t5_title(wanted: TextEncoder) -> str:
    """Which T5 a family reads."""
    return wanted.sentences or wanted.title
