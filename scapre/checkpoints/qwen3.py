"""Qwen3 layer by layer from its file, all texts through a layer before the next is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ScaPreError, shorten
from .float8 import layers_of, read_weight
from .pieces import Pieces
from .rotary import rotated
from .t5 import Told, batches
from .tensor_file import TensorFile
from .tokenizer import vocabulary_folder

NOTHING = 151643
"""What stands for a text without tokens."""
_BASE = 1e6
_EPSILON = 1e-6
_FIRST = "layers.0.self_attn.q_norm.weight"
_IN_COMFYUI = Path("comfy") / "text_encoders" / "qwen25_tokenizer"
_FILES = ("vocab.json", "merges.txt")


def qwen_prefix(file: TensorFile) -> str | None:
    """What the names of a Qwen3 begin with; None where there is none."""
    return next((name.removesuffix(_FIRST) for name in file.entries if name.endswith(_FIRST)), None)


def qwen_pieces(folder: Path | None = None, environment: Mapping[str, str] = os.environ) -> Pieces:
    """The vocabulary of Qwen2.5 and Qwen3.

    Args:
        folder: With `vocab.json` and `merges.txt`; None looks for one.
        environment: `SCAPRE_TOKENIZER` names the folder, `COMFYUI_PATH` a ComfyUI that has it.

    Raises:
        ScaPreError: If it is not there, or cannot be read.
    """
    named, found = vocabulary_folder(folder, environment, _IN_COMFYUI, _FILES)
    if found is None:
        raise ScaPreError(
            f"tokenizer: Qwen's vocabulary was not found{f' in {shorten(named)}' if named else ''}. Set COMFYUI_PATH "
            f"to a ComfyUI, which has it ({_IN_COMFYUI.as_posix()})."
        )
    try:
        from transformers import Qwen2Tokenizer

        cut: Any = Qwen2Tokenizer.from_pretrained(str(found), local_files_only=True)
    except Exception as error:  # the library for vocabularies raises nothing narrower
        raise ScaPreError(f"tokenizer: {shorten(found)} cannot be read ({shorten(error)}).") from None
    return Pieces(lambda text: cut(text)["input_ids"], cut.get_vocab)


class Qwen3:
    """States of token ids after the last norm, as ComfyUI computes them in float32."""

    def __init__(self, file: TensorFile, prefix: str) -> None:
        """Takes the file, and what the names in it begin with; nothing is read yet."""
        self.file, self._prefix = file, prefix

    @property
    def width(self) -> int:
        """Of a state.

        Raises:
            ScaPreError: If the file has no embeddings.
        """
        name = f"{self._prefix}embed_tokens.weight"
        entry = self.file.entries.get(name)
        if entry is None or len(entry.shape) != 2:
            raise ScaPreError(
                f"{self.file.field}: {shorten(self.file.path.name)} lacks {shorten(name)}, or it is no matrix. The "
                "file is damaged or not whole; get it again."
            )
        return entry.shape[1]

    @torch.no_grad()
    def __call__(self, texts: Sequence[Sequence[int]], told: Told = lambda done, total: None) -> list[Tensor]:
        """States of each text's tokens, (tokens, width), float32.

        Raises:
            ScaPreError: If a weight is missing, or quantised in another way than float8.
        """
        order, groups = batches(texts)
        states = [self._embedded([texts[place] for place in group]) for group in groups]
        layers = layers_of(self.file, f"{self._prefix}layers.")
        for number in range(layers):
            told(number, layers)
            read = self._reader(f"layers.{number}.")
            states = [_through(read, state) for state in states]
        told(layers, layers)
        norm = self._weight("norm.weight")
        rows = [row for state in states for row in _normed(state, norm)]
        return [rows[place] for place in order]

    def _embedded(self, texts: Sequence[Sequence[int]]) -> Tensor:
        ids = torch.tensor(texts)
        return self.file.rows(f"{self._prefix}embed_tokens.weight", ids.flatten()).float().view(*ids.shape, -1)

    def _reader(self, layer: str) -> Callable[[str], Tensor]:
        """Reads a layer's weights, each once."""
        held: dict[str, Tensor] = {}

        def read(name: str) -> Tensor:
            if name not in held:
                held[name] = self._weight(f"{layer}{name}.weight")
            return held[name]

        return read

    def _weight(self, name: str) -> Tensor:
        return read_weight(self.file, self._prefix + name)


def _through(read: Callable[[str], Tensor], states: Tensor) -> Tensor:
    """A layer: x + attention(norm x), and then x + feed-forward(norm x)."""
    inside = _normed(states, read("input_layernorm"))
    query, key = (_heads(inside, read(f"self_attn.{n}_proj"), read(f"self_attn.{n}_norm")) for n in "qk")
    value = F.linear(inside, read("self_attn.v_proj")).unflatten(-1, (key.shape[1], -1)).transpose(1, 2)
    shared = query.shape[1] // key.shape[1]
    key, value = (one.repeat_interleave(shared, 1) for one in (key, value))
    found = F.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2).flatten(2)
    states = states + F.linear(found, read("self_attn.o_proj"))
    inside = _normed(states, read("post_attention_layernorm"))
    inner = F.silu(F.linear(inside, read("mlp.gate_proj"))) * F.linear(inside, read("mlp.up_proj"))
    return states + F.linear(inner, read("mlp.down_proj"))


def _heads(states: Tensor, weight: Tensor, norm: Tensor) -> Tensor:
    """Rotated queries or keys by head, (texts, heads, tokens, head)."""
    found = F.linear(states, weight).unflatten(-1, (-1, len(norm))).transpose(1, 2)
    return rotated(_normed(found, norm), _BASE)


def _normed(states: Tensor, weight: Tensor) -> Tensor:
    return F.rms_norm(states, weight.shape, weight, _EPSILON)
