"""The text encoder in a GGUF file: what cuts texts for it, told by the file's header."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...scapre.checkpoints.gguf_header import GgufHeader, read_gguf_header
from ...scapre.checkpoints.language_models import QWEN3, of_llama
from ...scapre.errors import ScaPreError, shorten
from .vocabularies import QWEN, Vocabulary, of_language_model, of_t5

_EMBEDDINGS, _OWN_POSITIONS = "token_embd.weight", "enc.blk.1.attn_rel_b.weight"
_VOCABULARY = "tokenizer.ggml."


def in_gguf(path: Path) -> Iterator[tuple[Vocabulary | None, Tensor | None]]:
    """What cuts texts for the encoder in a file, and what the file has of that; None for one that is not known.

    Raises:
        ScaPreError: If it cannot be read.
    """
    header = read_gguf_header(path)
    tokens, width = (*header.shapes.get(_EMBEDDINGS, ()), 0, 0)[:2]
    told = _KINDS.get(str(header.values.get("general.architecture")))
    found = told(header, tokens, width) if told else None
    own = _own(header) if found and found.inside else None
    if told is None or (found and found.inside and own is None):
        yield None, None
    elif found:
        yield found, own


def _t5(header: GgufHeader, tokens: int, _width: int) -> Vocabulary | None:
    return of_t5(tokens, own_positions=_OWN_POSITIONS in header.shapes)


# By what llama.cpp's tools call a model.
_KINDS: Mapping[str, Callable[[GgufHeader, int, int], Vocabulary | None]] = {
    "t5": _t5,
    "t5encoder": _t5,
    "qwen3": lambda _header, _tokens, width: of_language_model(QWEN3, width),
    "qwen2vl": lambda *_: QWEN,
    "qwen3vl": lambda *_: QWEN,
    "llama": lambda _header, tokens, width: of_language_model(of_llama(tokens), width),
}


def _own(header: GgufHeader) -> Tensor | None:
    """The file's vocabulary, if it is of pieces with scores, in the form that sentencepiece reads.

    It is what ComfyUI-GGUF makes of it: without the original's table of letters that count as the same.

    Raises:
        ScaPreError: If it is incomplete, or what writes that form is not installed.
    """
    if header.values.get(f"{_VOCABULARY}model") != "t5":
        return None
    try:
        from sentencepiece.sentencepiece_model_pb2 import ModelProto  # type: ignore[attr-defined]  # made as it is read

        return _as_sentencepiece(header, ModelProto())
    except ImportError as error:
        raise ScaPreError(f"the vocabulary cannot be read ({error}). Install the package protobuf.") from None
    except (LookupError, TypeError, ValueError) as error:
        raise ScaPreError(f"the file's vocabulary is incomplete ({shorten(error)}). Get the file again.") from None


def _as_sentencepiece(header: GgufHeader, model: Any) -> Tensor:
    said = {name.removeprefix(_VOCABULARY): value for name, value in header.values.items()}
    for text, score, kind in zip(said["tokens"], said["scores"], said["token_type"], strict=True):
        model.pieces.add(piece=text, score=score, type=kind)
    model.normalizer_spec.add_dummy_prefix = said["add_space_prefix"]
    model.normalizer_spec.remove_extra_whitespaces = said["remove_extra_whitespaces"]
    model.trainer_spec.byte_fallback = True
    model.trainer_spec.vocab_size = len(model.pieces)
    model.trainer_spec.eos_id, model.trainer_spec.pad_id = said["eos_token_id"], said["padding_token_id"]
    return torch.frombuffer(bytearray(model.SerializeToString()), dtype=torch.uint8)
