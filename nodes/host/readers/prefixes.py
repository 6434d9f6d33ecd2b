"""The host's CLIP text encoders on the beginning of a text alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import comfy.model_management
import comfy.ops
import torch
import torch.nn.functional as F
from comfy.ldm.modules.attention import optimized_attention_for_device
from torch import Tensor

from ....scapre.states.prefix_tree import PrefixTree

Sections = Mapping[str, Sequence[Sequence[int]]]

CLIP_ORDER = "lgh"  # as the host's models of several encoders join their states
_CLOSE = 1e-5


def parts_of(model: Any, tokens: Iterable[str]) -> list[str]:
    """The encoders that a model has of those that its tokenizer cuts for, in its order."""
    return [name for name in sorted(tokens, key=CLIP_ORDER.index) if hasattr(model, f"clip_{name}")]


def close(found: Tensor, expected: Tensor) -> bool:
    """Whether what is computed here is what the host gives, but for rounding."""
    return found.shape == expected.shape and bool((found - expected).abs().max() <= _CLOSE * expected.abs().max())


class PrefixEncoder:
    """Computes the states of the first positions of texts with the host's own layers.

    CLIP is causal: a position's state depends on nothing behind it, so what is not read need not be computed, and what
    texts begin with alike is computed once. The host adds the positions' embeddings for whole windows only; here the
    part that is there is added. Everything else is the host's: its layers' parts, its casts, its patches.
    """

    def __init__(self, clip: Any, width: int) -> None:
        """Takes a CLIP whose options the host's own call has just set, and the width that it fills states to."""
        self._clip, self._width = clip, width

    def fits(self, tokens: Sections, states: Tensor) -> bool:
        """Whether it gives what the host gives.

        Args:
            tokens: Whole windows, by encoder.
            states: (texts, tokens, width) the host's own states of them.
        """
        length = states.shape[1] // 2
        try:
            found = self(tokens, length)
        except (AttributeError, TypeError, RuntimeError):  # classes that a host may have instead
            return False
        return close(found, states[:, :length])

    def __call__(self, tokens: Sections, length: int) -> Tensor:
        """States of the first positions, (texts, length, width), float32 on the CPU."""
        model, device = self._clip.cond_stage_model, self._clip.patcher.load_device
        with comfy.model_management.cuda_device_context(device), torch.no_grad():
            parts = [
                _states(getattr(model, f"clip_{name}"), [ids[:length] for ids in tokens[name]], device)
                for name in parts_of(model, tokens)
            ]
        found = torch.cat(parts, -1).to("cpu", torch.float32)
        return F.pad(found, (0, max(0, self._width - found.shape[-1])))


def _states(encoder: Any, tokens: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    if encoder.zero_out_masked or encoder.layer not in ("last", "hidden"):
        raise TypeError("states of this encoder depend on more than the positions before")
    layer = None if encoder.layer == "last" else encoder.layer_idx
    last, inner, _ = _through(encoder, tokens, device, layer)
    found = last if layer is None else inner
    norm = encoder.transformer.text_model.final_layer_norm
    return norm(found) if layer is None or encoder.layer_norm_hidden_state else found


def prefix_vectors(encoder: Any, tokens: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Pooled vectors, (texts, width), computed no further than to the texts' ends; as an encoder of the host's gives.

    Args:
        encoder: One of CLIP's.
        tokens: Whole windows.
        device: Where to compute.
    """
    longest = max(ids.index(max(ids), 1) for ids in tokens) + 1
    last, _, counts = _through(encoder, [ids[:longest] for ids in tokens], device, None)
    ends = torch.as_tensor(counts, device=last.device) - 1
    network = encoder.transformer
    found = network.text_model.final_layer_norm(last[torch.arange(len(last), device=last.device), ends])
    return network.text_projection(found) if encoder.return_projected_pooled else found


def _through(
    encoder: Any, tokens: Sequence[Sequence[int]], device: torch.device, layer: int | None
) -> tuple[Tensor, Tensor, Sequence[int]]:
    """What the last layer gives and another, and each text's tokens up to its end."""
    if encoder.enable_attention_masks:
        raise TypeError("states of this encoder depend on more than the positions before")
    text = encoder.transformer.text_model
    embeds, _, counts, _ = encoder.process_tokens(tokens, device)
    length = embeds.shape[1]
    places = comfy.ops.cast_to(text.embeddings.position_embedding.weight, dtype=embeds.dtype, device=embeds.device)
    later = torch.full((length, length), -torch.finfo(embeds.dtype).max, device=embeds.device).triu_(1)
    attend = optimized_attention_for_device(embeds.device, mask=True, small_input=True)
    tree = PrefixTree.of(tokens, embeds.device)
    rows = tree.gather(embeds + places[:length])
    layers = text.encoder.layers
    wanted = None if layer is None else range(len(layers))[layer]
    inner = rows
    for place, one in enumerate(layers):
        rows = _layer(one, rows, tree, later, attend)
        inner = rows if place == wanted else inner
    return tree.spread(rows), tree.spread(inner), counts


def _layer(layer: Any, rows: Tensor, tree: PrefixTree, mask: Tensor, attend: Callable[..., Tensor]) -> Tensor:
    """One of the host's layers, in which only attention looks at more than a position."""
    attention = layer.self_attn
    normed = layer.layer_norm1(rows)
    queries, keys, values = (
        tree.spread(project(normed)) for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    rows = rows + attention.out_proj(tree.gather(attend(queries, keys, values, attention.heads, mask)))
    found: Tensor = rows + layer.mlp(layer.layer_norm2(rows))
    return found
