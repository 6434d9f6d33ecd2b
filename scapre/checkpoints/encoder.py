"""Runs the text encoder of a checkpoint, layer by layer from the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ScaPreError
from ..progress import Progress
from ..states.lexicon import Lexicon
from .tokenizer import Tokenizer
from .towers import END, START, WINDOW, Read, Tower

_BATCH = 32


class CheckpointEncoder:
    """The states that a host's CLIP gives for the same checkpoint."""

    def __init__(
        self, names: Iterable[str], read: Read, tokenizer: Tokenizer, towers: Sequence[Tower], width: int = 0
    ) -> None:
        """Finds the text encoders.

        Args:
            names: Of all tensors in the checkpoint.
            read: Reads one of them.
            tokenizer: Gives a text's tokens.
            towers: Of the checkpoint's family.
            width: What states are filled up to with zeros; 0 for their own.

        Raises:
            ScaPreError: If a text encoder is not in the checkpoint.
        """
        self.tokenizer, self._names, self._read, self._width = tokenizer, list(names), read, width
        names = self._names
        self.towers = [(tower, _module(tower, tower.locate(names), read)) for tower in towers]

    def tokens(self, text: str) -> Sequence[int]:
        """Ids of a text's tokens between the start and the end token.

        Raises:
            ScaPreError: If the text is longer than the encoder's window.
        """
        return self.tokenizer(text)

    def remembered(self, key: str, make: Callable[[], Tensor]) -> Tensor:
        """What `make` gives; nothing is kept."""
        return make()

    def lexicon(self) -> Lexicon | None:
        """The words of the first encoder's vocabulary."""
        inner: Any = getattr(self.towers[0][1], "text_model", self.towers[0][1])
        return Lexicon.of(self.tokenizer.vocabulary(), inner.embeddings.token_embedding.weight.detach())

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        """States of the texts, (texts, tokens, width), float32."""
        states = []
        for first in range(0, len(texts), _BATCH):
            progress("text encoding", first, len(texts))
            states.append(self.encode_prefixes(texts[first : first + _BATCH], WINDOW))
        progress("text encoding", len(texts), len(texts))
        return torch.cat(states)

    @torch.no_grad()
    def encode_prefixes(self, texts: Sequence[str], length: int) -> Tensor:
        """States of the first positions of the texts, (texts, length, width), float32."""
        tokens = [self.tokenizer(text) for text in texts]
        found = torch.cat([_states(module, tower, tokens, length) for tower, module in self.towers], -1)
        return F.pad(found, (0, max(0, self._width - found.shape[-1])))

    @torch.no_grad()
    def pooled(self, texts: Sequence[str]) -> Tensor:
        """The pooled vectors of the texts, (texts, width), float32: the end tokens' states, maybe through a projection.

        Raises:
            ScaPreError: If the family reads none, or the file has no projection.
        """
        tokens, found = [self.tokenizer(text) for text in texts], []
        for tower, module, projection in self._pooling:
            states = _states(module, tower, tokens, WINDOW)
            ends = states[torch.arange(len(texts)), [len(ids) + 1 for ids in tokens]]
            found.append(ends if projection is None else ends @ projection)
        return torch.cat(found, -1)

    @cached_property
    def _pooling(self) -> list[tuple[Tower, nn.Module, Tensor | None]]:
        towers = [tower for tower, _ in self.towers if tower.pools]
        if not towers:
            raise ScaPreError("pooled: models of this family read no pooled vector of a text. Choose auto or off.")
        found = []
        for tower in towers:
            prefix, whole = tower.locate(self._names), tower.whole
            projection = whole.projection(prefix, self._names, self._read).float() if tower.projects else None
            found.append((whole, _module(whole, prefix, self._read), projection))
        return found


def _states(module: nn.Module, tower: Tower, tokens: Sequence[Sequence[int]], length: int) -> Tensor:
    """States of the first positions, (texts, length, width)."""
    more = {}
    if tower.masked:
        ends = torch.tensor([len(ids) + 1 for ids in tokens])
        more["attention_mask"] = (torch.arange(length) <= ends[:, None]).long()
    found: Tensor = module(_windows(tokens, tower.padding)[:, :length], **more).last_hidden_state
    return found


def _windows(tokens: Sequence[Sequence[int]], padding: int) -> Tensor:
    return torch.tensor([[START, *ids, END, *[padding] * (WINDOW - 2 - len(ids))] for ids in tokens])


def _module(tower: Tower, prefix: str, read: Read) -> nn.Module:
    """A CLIP text model whose layers share the memory of one; a layer's weights are read when it runs.

    So the largest encoder (2.8 GB in float32) takes the memory of one layer (80 MB) and its embeddings. Freeing and
    allocating each layer instead would let the process grow by gigabytes: the C library keeps such pieces.
    """
    from transformers import CLIPTextConfig, CLIPTextModel

    embeddings, norm, shared = (
        {name: weight.to(torch.float32, copy=True) for name, weight in weights.items()}
        for weights in (tower.embeddings(prefix, read), tower.norm(prefix, read), tower.layer(0, prefix, read))
    )
    vocabulary, width = embeddings["token_embedding.weight"].shape
    config = CLIPTextConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=len(shared["mlp.fc1.bias"]),
        num_hidden_layers=tower.layers, num_attention_heads=tower.heads, hidden_act=tower.activation,
        max_position_embeddings=WINDOW, bos_token_id=START, eos_token_id=END, pad_token_id=tower.padding,
    )  # fmt: skip
    with torch.device("meta"):
        model: nn.Module = CLIPTextModel(config).train(False)
    inner: Any = getattr(model, "text_model", model)  # transformers 5 has no module in between
    _fill(inner.embeddings, embeddings)
    inner.embeddings.position_ids = torch.arange(WINDOW)[None]
    if tower.final_norm:
        _fill(inner.final_layer_norm, norm)
    else:
        inner.final_layer_norm = nn.Identity()
    for index, layer in enumerate(inner.encoder.layers):
        _fill(layer, shared)
        layer.register_forward_pre_hook(lambda *_, i=index: _copy(tower.layer(i, prefix, read), shared))
    return model


def _fill(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Gives a module its weights; some versions of the library count buffers (position_ids) among them, others do not.

    Raises:
        ScaPreError: If a weight is missing, unknown, or of another shape.
    """
    buffers = {name for name, _ in module.named_buffers()}
    try:
        missing, unknown = module.load_state_dict(weights, strict=False, assign=True)
    except RuntimeError:
        raise _misshapen() from None
    if unknown or set(missing) - buffers:
        raise _misshapen()


def _copy(weights: Mapping[str, Tensor], shared: Mapping[str, Tensor]) -> None:
    for name, weight in weights.items():
        if weight.shape != shared[name].shape:
            raise _misshapen()
        shared[name].copy_(weight)


def _misshapen() -> ScaPreError:
    return ScaPreError("checkpoint: its text encoder has another shape than CLIP's. Give another checkpoint.")
