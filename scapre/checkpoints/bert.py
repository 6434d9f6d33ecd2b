"""BERT, layer by layer from a checkpoint, and its states in the engine's order, as the nodes give them in ComfyUI."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ScaPreError, shorten
from ..states.sentences import WINDOW, bracketed, check_length, ordered
from .float8 import layers_of, read_weight
from .pieces import Pieces
from .sentences import Ids, SentenceCutter, WholeEncoder
from .t5 import Told, batches
from .tensor_file import TensorFile
from .tokenizer import vocabulary_folder

_START, _END = 101, 102
_HEAD = 64
_EPSILON = 1e-12
_IN_COMFYUI = Path("comfy") / "text_encoders" / "hydit_clip_tokenizer"
_FILE = "vocab.txt"


class BertCutter(SentenceCutter):
    """Ids of a name's tokens between the start and the end."""

    def _cut(self, text: str) -> Ids:
        ids = self._pieces(bracketed(text))
        check_length(text, ids)
        return ids


def bert_pieces(folder: Path | None = None, environment: Mapping[str, str] = os.environ) -> Pieces:
    """The vocabulary of HunyuanDiT's BERT.

    Args:
        folder: With `vocab.txt`; None looks for one.
        environment: `SCAPRE_TOKENIZER` names the folder, `COMFYUI_PATH` a ComfyUI that has it.

    Raises:
        ScaPreError: If it is not there, or cannot be read.
    """
    named, found = vocabulary_folder(folder, environment, _IN_COMFYUI, (_FILE,))
    if found is None:
        raise ScaPreError(
            f"tokenizer: BERT's vocabulary was not found{f' in {shorten(named)}' if named else ''}. Give --tokenizer "
            f"the folder with {_FILE} ({_IN_COMFYUI.as_posix()} in ComfyUI), or set COMFYUI_PATH."
        )
    try:
        from transformers import BertTokenizer

        cut: Any = BertTokenizer.from_pretrained(str(found), local_files_only=True)
    except Exception as error:  # the library for vocabularies raises nothing narrower
        raise ScaPreError(f"tokenizer: {shorten(found)} cannot be read ({shorten(error)}).") from None
    return Pieces(lambda text: cut(text)["input_ids"][1:-1], cut.get_vocab)


class Rows:
    """Embeddings that stay in the file: what is asked for is read."""

    device = torch.device("cpu")

    def __init__(self, file: TensorFile, name: str) -> None:
        """Takes the file, and the name of the embeddings."""
        self._file, self._name = file, name

    @property
    def shape(self) -> tuple[int, ...]:
        """(tokens, width)."""
        return tuple(self._file.entries[self._name].shape)

    def __getitem__(self, ids: Tensor, /) -> Tensor:
        """Rows, float32."""
        found = self._file.rows(self._name, ids.flatten())
        return found.view(*ids.shape, found.shape[-1]).float()


class BertEncoder(WholeEncoder):
    """The states that a host's BERT gives; in the place of what is behind a text's end stands what its start says.

    Since attention goes in both directions, the start speaks of the whole text, and the engine lets the start itself
    stand for the empty prompt.
    """

    def __init__(self, file: TensorFile, prefix: str, cut: BertCutter) -> None:
        """Takes what it reads with.

        Args:
            file: That has the weights.
            prefix: What their names begin with.
            cut: Cuts texts.

        Raises:
            ScaPreError: If they are not in the file.
        """
        self._file, self._prefix = file, prefix
        self._words_of = f"{prefix}embeddings.word_embeddings.weight"
        if self._words_of not in file.entries:
            raise ScaPreError(
                f"checkpoint: {shorten(file.path.name)} has no BERT in it ({self._words_of} is missing). Give the "
                "whole checkpoint of the model, with its text encoders."
            )
        super().__init__(file, cut, Rows(file, self._words_of))

    def _window(self, rows: Tensor, words: int, start: Tensor) -> Tensor:
        return ordered(rows[1:], words, start, rows[:1].expand(WINDOW, -1))

    @torch.no_grad()
    def _run(self, keys: Sequence[Ids], told: Told) -> list[Tensor]:
        texts = [(_START, *ids, _END) for ids in keys]
        order, groups = batches(texts)
        states = [self._embedded(torch.tensor([texts[place] for place in group])) for group in groups]
        layers = layers_of(self._file, f"{self._prefix}encoder.layer.")
        for number in range(layers):
            told(number, layers)
            states = [self._through(f"encoder.layer.{number}.", state) for state in states]
        told(layers, layers)
        rows = [row for state in states for row in state]
        return [rows[place] for place in order]

    def _embedded(self, ids: Tensor) -> Tensor:
        words = self._embeddings[ids]
        places, kinds = (
            self._read_weight(f"embeddings.{kind}_embeddings.weight") for kind in ("position", "token_type")
        )
        return self._normed("embeddings.LayerNorm", words + places[: ids.shape[1]] + kinds[0])

    def _through(self, layer: str, states: Tensor) -> Tensor:
        """A layer: norm(x + attention(x)), and then norm(x + feed-forward(x))."""
        query, key, value = (
            self._linear(f"{layer}attention.self.{name}", states).unflatten(-1, (-1, _HEAD)).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        found = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        answered = self._linear(f"{layer}attention.output.dense", found)
        states = self._normed(f"{layer}attention.output.LayerNorm", states + answered)
        inner = F.gelu(self._linear(f"{layer}intermediate.dense", states))
        return self._normed(f"{layer}output.LayerNorm", states + self._linear(f"{layer}output.dense", inner))

    def _linear(self, name: str, states: Tensor) -> Tensor:
        return F.linear(states, self._read_weight(f"{name}.weight"), self._read_weight(f"{name}.bias"))

    def _normed(self, name: str, states: Tensor) -> Tensor:
        weight, bias = (self._read_weight(f"{name}.{part}") for part in ("weight", "bias"))
        return F.layer_norm(states, weight.shape, weight, bias, _EPSILON)

    def _read_weight(self, name: str) -> Tensor:
        return read_weight(self._file, self._prefix + name)
