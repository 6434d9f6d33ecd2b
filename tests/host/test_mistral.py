"""Flux 2 reads three layers of Mistral 3, whose vocabulary lies in its file: the host makes a tokenizer of that.

Not with every version of transformers: with 5.24 ComfyUI 0.30 raises (`findings/comfyui-flux2-cuts-marked-scripts.sh`),
and these tests are left out.
"""

from __future__ import annotations

import base64
import json
from functools import cache

import comfy.sd
import pytest
import torch
from comfy.text_encoders import flux

from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.host.projections import HostProjections
from pack.nodes.host.text_encoder import ClipEncoder, encoder_for
from pack.scapre.progress import silent
from pack.tests.host import encoders
from pack.tests.host.test_static_text import predicted, watched
from pack.tests.host.transformers import transformer

WIDTH = 96  # of three layers
_WORDS = ["cat", " cat", "red", " red", "in", " in", "the", " the", "style", " style", "of", " of", "van", " van"]


def vocabulary() -> torch.Tensor:
    """One such as Mistral's, with a token for each byte and for some words and their beginnings."""
    parts = dict.fromkeys(word[:end].encode() for word in _WORDS for end in range(2, len(word) + 1))
    pieces = [bytes([byte]) for byte in range(256)] + list(parts)
    names = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"]
    names += [f"<SPECIAL_{rank}>" for rank in range(len(names), 32)]
    content = {
        "config": {"default_vocab_size": len(names) + len(pieces)},
        "vocab": [{"rank": i, "token_bytes": base64.b64encode(one).decode()} for i, one in enumerate(pieces)],
        "special_tokens": [{"rank": rank, "token_str": name} for rank, name in enumerate(names)],
    }
    return torch.frombuffer(bytearray(json.dumps(content).encode()), dtype=torch.uint8)


@cache
def clip() -> comfy.sd.CLIP:
    """Flux 2's own classes, small."""
    data = {"tekken_model": vocabulary()}
    try:
        return encoders.chat(
            flux.Flux2Tokenizer, flux.flux2_te(), WIDTH // 3, "mistral3_24b", data, num_hidden_layers=31, vocab_size=400
        )
    except TypeError as error:
        pytest.skip(f"this ComfyUI cannot make Mistral's tokenizer with this transformers: {error}")


@pytest.mark.parametrize("text", ["", "cat", "a red cat in the style of van gogh"])
def test_the_engine_reads_what_the_projection_reads(text: str) -> None:
    model = transformer("flux 2")
    encoder = encoder_for(clip(), HostProjections(model))
    states, more = ClipEncoder(clip()).conditioning(text)[0]
    with watched(model) as seen:
        predicted(model, "flux 2", states, **more)
    (there,) = (rows.flatten(0, -2) for rows in seen.values())
    there = there[there.abs().sum(-1) > 0]  # the host fills up with zeros before a text, which no edit moves
    frame, tokens = encoder.frame(), len(encoder.tokens(text))
    own, close = encoder.encode([text], silent)[0], 1e-5 * there.abs().max()
    assert (frame - there[: len(frame)]).abs().max() <= close
    assert (own[1 : tokens + 2] - there[len(frame) : len(frame) + tokens + 1]).abs().max() <= close
    for length in (1, 3, 9):
        assert (encoder.encode_prefixes([text, "a red cat"], length)[0] - own[:length]).abs().max() <= close


def test_names_are_erased_from_flux_2() -> None:
    _, edit, report = EraseConcepts.execute(
        transformer("flux 2"), clip(), "cat", preserve="style", method="uce", preset="objects"
    ).args
    assert "Erased 1 concept" in report
    assert edit.report.remaining["cat"] < 0.01 and edit.report.drift["style"] < 0.01
