"""GGUF files of text encoders, written by the package that llama.cpp's tools write them with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from torch import Tensor

gguf = pytest.importorskip("gguf", reason="is installed where torch is ours")


def write(
    path: Path, kind: str, tokens: int, width: int = 1, *, vocabulary: Tensor | None = None, own_positions: bool = False
) -> None:
    """Writes what tells an encoder.

    Args:
        path: Of the file.
        kind: What llama.cpp's tools call the model.
        tokens: Rows of its embeddings.
        width: Of its states.
        vocabulary: As sentencepiece has it.
        own_positions: Whether its second layer has a table of positions.
    """
    writer = gguf.GGUFWriter(path, kind)
    writer.add_block_count(2)
    if vocabulary is not None:
        _add_vocabulary(writer, sentencepiece.SentencePieceProcessor(model_proto=vocabulary.numpy().tobytes()))
    writer.add_tensor("token_embd.weight", np.zeros((tokens, width), "float16"))
    if own_positions:
        writer.add_tensor("enc.blk.1.attn_rel_b.weight", np.zeros((32, 1), "float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: gguf.GGUFWriter, words: sentencepiece.SentencePieceProcessor) -> None:
    numbers = range(words.get_piece_size())
    writer.add_tokenizer_model("t5")
    writer.add_token_list([words.id_to_piece(number) for number in numbers])
    writer.add_token_scores([words.get_score(number) for number in numbers])
    writer.add_token_types([_kind(words, number) for number in numbers])
    writer.add_add_space_prefix(True)
    writer.add_remove_extra_whitespaces(True)
    writer.add_eos_token_id(words.eos_id())
    writer.add_pad_token_id(words.pad_id())


def _kind(words: sentencepiece.SentencePieceProcessor, number: int) -> int:
    kinds = {words.is_unknown: 2, words.is_control: 3, words.is_unused: 5, words.is_byte: 6}
    return next((kind for told, kind in kinds.items() if told(number)), 1)
