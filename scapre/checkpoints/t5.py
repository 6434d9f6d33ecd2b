"""Runs T5 and its relatives from a file, layer by layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ScaPreError
from ..families import TextEncoder
from ..progress import Progress
from ..states.lexicon import Lexicon
from ..states.sentences import END, PADDING, check_length, literal, ordered
from .pieces import Pieces
from .towers import Read

_TOKENS = 4096  # encoded together
MARK = "encoder.block.0.layer.0.SelfAttention.q.weight"
"""The end of a name that every T5's file has."""
_TABLES = ("shared.weight", "encoder.embed_tokens.weight")
_SCALES = ("scale_weight", "weight_scale", "comfy_quant")
_BLOCK = re.compile(r"encoder\.block\.(\d+)\.(.+)")
_POSITIONS = "layer.0.SelfAttention.relative_attention_bias.weight"


class T5Encoder:
    """The states that a host's T5 gives for the same file, in the engine's order."""

    def __init__(self, names: Iterable[str], read: Read, pieces: Pieces, wanted: TextEncoder) -> None:
        """Finds the encoder.

        Args:
            names: Of all tensors in the file.
            read: Reads one of them.
            pieces: Cuts texts.
            wanted: What the model reads.

        Raises:
            ScaPreError: If the file holds none, or another one.
        """
        self._pieces, self._behind = pieces, wanted.behind
        marks = [name for name in names if name.endswith(MARK)]
        if not marks:
            raise ScaPreError(f"--text-encoder: it holds no {wanted.title}. Give the file that ComfyUI takes.")
        prefix = marks[0].removesuffix(MARK)
        own = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        if any(name.endswith(_SCALES) for name in own):
            raise ScaPreError("--text-encoder: it is quantised with scales. Give the encoder in fp16, bf16 or fp8.")
        by_layer = f"encoder.block.1.{_POSITIONS}" in own
        if by_layer != wanted.by_layer:
            raise ScaPreError(f"--text-encoder: it is {_kind(by_layer)}, and the model reads {wanted.title}.")
        table = read(prefix + next(name for name in _TABLES if name in own))
        self._embeddings = table if table.itemsize > 1 else table.half()  # rows of float8 cannot be picked

        def weight(name: str) -> Tensor:
            return read(prefix + name).to(torch.float32)

        self._model = _module(own, weight, self._embeddings, by_layer=by_layer)
        self._start: Tensor | None = None

    def tokens(self, text: str) -> Sequence[int]:
        """Ids of a text's tokens before the end.

        Raises:
            ScaPreError: If there are more than are read of a name.
        """
        found = self._pieces(literal(text))
        check_length(text, found)
        return found

    def remembered(self, key: str, make: Callable[[], Tensor]) -> Tensor:
        """What `make` gives; nothing is kept."""
        return make()

    def lexicon(self) -> Lexicon | None:
        """The words of the vocabulary."""
        found = Lexicon.of(self._pieces.vocabulary(), self._embeddings)
        return found if len(found.words) > 1 else None

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        """Windows of the texts, (texts, tokens, width), float32."""
        states, step = [], 32
        for first in range(0, len(texts), step):
            progress("text encoding", first, len(texts))
            states.append(self._windows(texts[first : first + step]))
        progress("text encoding", len(texts), len(texts))
        return torch.cat(states)

    def encode_prefixes(self, texts: Sequence[str], length: int) -> Tensor:
        """The first positions of the windows, (texts, length, width), float32."""
        return self._windows(texts)[:, :length]

    def _windows(self, texts: Sequence[str]) -> Tensor:
        if self._start is None:
            self._start = self._run([()])[0, 0]
        ids = [tuple(self.tokens(text)) for text in texts]
        order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
        together = max(1, _TOKENS // (len(ids[order[-1]]) + 1))
        found: dict[int, Tensor] = {}
        for first in range(0, len(order), together):
            some = order[first : first + together]
            for place, rows in zip(some, self._run([ids[place] for place in some]), strict=True):
                found[place] = ordered(rows, len(ids[place]), self._start, self._behind)
        return torch.stack([found[place] for place in range(len(texts))])

    @torch.no_grad()
    def _run(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """States of token ids with their ends, (texts, longest + 1, width); padding is masked."""
        longest = max(map(len, ids)) + 1
        tokens = torch.tensor([[*some, END, *[PADDING] * (longest - len(some) - 1)] for some in ids])
        there = torch.tensor([[1] * (len(some) + 1) + [0] * (longest - len(some) - 1) for some in ids])
        states: Tensor = self._model(
            inputs_embeds=self._embeddings[tokens].to(torch.float32), attention_mask=there
        ).last_hidden_state
        return states


def _kind(by_layer: bool) -> str:
    return "a UMT5" if by_layer else "a T5"


def _module(names: Sequence[str], read: Callable[[str], Tensor], embeddings: Tensor, *, by_layer: bool) -> nn.Module:
    """An encoder whose layers share the memory of one; a layer's weights are read when it runs."""
    from transformers import T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

    blocks: dict[int, list[str]] = {}
    for name in names:
        if match := _BLOCK.fullmatch(name):
            blocks.setdefault(int(match[1]), []).append(match[2])
    first = {part: read(f"encoder.block.0.{part}").clone() for part in blocks[0]}  # written to by all layers
    positions, queries = first[_POSITIONS], first["layer.0.SelfAttention.q.weight"]
    gated = "layer.1.DenseReluDense.wi_0.weight" in first
    sizes: dict[str, Any] = {
        "vocab_size": len(embeddings), "d_model": embeddings.shape[1], "num_layers": len(blocks),
        "num_heads": positions.shape[1], "relative_attention_num_buckets": len(positions),
        "d_kv": len(queries) // positions.shape[1], "d_ff": first["layer.1.DenseReluDense.wo.weight"].shape[1],
        "feed_forward_proj": "gated-gelu" if gated else "relu", "use_cache": False,
    }  # fmt: skip
    with torch.device("meta"):
        whole: Any = UMT5EncoderModel(UMT5Config(**sizes)) if by_layer else T5EncoderModel(T5Config(**sizes))
    inner: Any = whole.encoder.train(False)
    inner.embed_tokens = nn.Identity()  # texts come embedded
    _fill(inner.final_layer_norm, {"weight": read("encoder.final_layer_norm.weight")})
    shared = {part: weight for part, weight in first.items() if by_layer or part != _POSITIONS}
    for index, block in enumerate(inner.block):
        _fill(block, shared | ({} if by_layer or index else {_POSITIONS: positions}))
        block.register_forward_pre_hook(lambda *_, i=index: _copy(read, f"encoder.block.{i}.", shared))
    model: nn.Module = inner
    return model


def _fill(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    try:
        missing, unknown = module.load_state_dict(weights, strict=False, assign=True)
    except RuntimeError:
        raise _misshapen() from None
    if missing or unknown:
        raise _misshapen()


def _copy(read: Callable[[str], Tensor], prefix: str, shared: Mapping[str, Tensor]) -> None:
    for part, weight in shared.items():
        own = read(prefix + part)
        if own.shape != weight.shape:
            raise _misshapen()
        weight.copy_(own)


def _misshapen() -> ScaPreError:
    return ScaPreError("--text-encoder: its weights have another shape than T5's. Give another file.")
