"""How long `auto` takes from names to weights, and how large its edits are: `python -m benchmarks.auto`.

The text encoders have the real architecture (CLIP-L; CLIP-L and CLIP-G for SDXL) and random weights; names are pairs
of words of CLIP's own vocabulary. Projections are those of `benchmarks.solve`. The released preset `objects-many` is
timed in the same process for comparison, on as many names, without its text encoding.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .solve import SHAPES, apply

if TYPE_CHECKING:
    from scapre.states.encoder import Encoder

COUNTS = (1, 10, 50)
TEXTS = 64
_WORD = "a picture of {} beside a house"


def encoder(model: str) -> Encoder:
    """Random text encoders of a model's architecture; what they have told of general words is remembered."""
    import torch

    from scapre.checkpoints.tokenizer import Tokenizer
    from scapre.states.lexicon import Lexicon

    from .synthetic import towers

    torch.manual_seed(0)
    parts = list(towers(model))
    tokenizer = Tokenizer(None)

    class Random:
        def __init__(self) -> None:
            self.kept: dict[str, torch.Tensor] = {}

        def tokens(self, text: str) -> Sequence[int]:
            return tokenizer(text)

        def encode(self, texts: Sequence[str], progress: Callable[..., None]) -> torch.Tensor:
            return torch.cat([self.encode_prefixes(texts[i : i + 32], 77) for i in range(0, len(texts), 32)])

        @torch.no_grad()
        def encode_prefixes(self, texts: Sequence[str], length: int) -> torch.Tensor:
            windows = [[49406, *tokenizer(text), *[49407] * 77][:length] for text in texts]
            return torch.cat([tower(torch.tensor(windows)).last_hidden_state for tower in parts], -1)

        def remembered(self, key: str, make: Callable[[], torch.Tensor]) -> torch.Tensor:
            if key not in self.kept:
                self.kept[key] = make()
            return self.kept[key]

        def lexicon(self) -> Lexicon:
            table = getattr(parts[0], "text_model", parts[0]).embeddings.token_embedding.weight
            return Lexicon.of(tokenizer.vocabulary(), table.detach())

    return Random()


def measure(model: str, counts: Sequence[int]) -> list[dict[str, Any]]:
    """The rows of one model, in a process of their own."""
    import torch

    from scapre.concepts.concepts import parse_concepts
    from scapre.encode import encode_request
    from scapre.export.factors import Rank, factorise
    from scapre.files import write_edit
    from scapre.methods import METHODS
    from scapre.request import Request
    from scapre.solve import solve_edit

    from .synthetic import States, Weights, ask

    torch.set_grad_enabled(False)
    cpu, shapes, reader = torch.device("cpu"), SHAPES[model], encoder(model)
    weights, words = Weights(shapes, cpu), reader.lexicon().words
    encode_request(reader, Request(parse_concepts("cat"), settings=METHODS["auto"].settings(), method="auto"))
    rows = [{"model": model, **speed_of_encoding(reader, words)}]
    for count in counts:
        names = "\n".join(f"{words[37 * i % len(words)]} {words[(101 * i + 7) % len(words)]}" for i in range(count))
        request = Request(parse_concepts(names), settings=METHODS["auto"].settings(), method="auto")
        states, seconds = encode_request(reader, request)
        began = time.perf_counter()
        edit = solve_edit(states, weights, request)
        row = {"model": model, "concepts": count, "encode": seconds, "solve": time.perf_counter() - began}
        row |= {"apply": apply(edit, weights, cpu), **edit.solver.figures(edit.payload, edit.settings)}
        name = next(iter(edit.matrices))
        change = edit.change(name, weights.read(name, cpu))
        row["ranks"] = {share: len(factorise(change, Rank(tolerance=share))[1]) for share in (0.01, 0.05)}
        with tempfile.TemporaryDirectory() as folder:
            for states_too in (False, True):
                file = Path(folder) / "edit.safetensors"
                write_edit(edit, file, states=states_too)
                row["mb with states" if states_too else "mb"] = file.stat().st_size / 1e6
        old = ask(count, "objects-many")
        states, _ = encode_request(States(shapes[0][1]), old)
        began = time.perf_counter()
        edit = solve_edit(states, weights, old)
        row["released solve"] = time.perf_counter() - began
        row["released apply"] = apply(edit, weights, cpu)
        rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)
    return rows


def speed_of_encoding(reader: Encoder, words: Sequence[str]) -> dict[str, Any]:
    """Seconds for the same texts as whole windows and as far as they are read."""
    from scapre.methods.auto.common import read_lengths
    from scapre.states.prefixes import encode_prefixes

    texts = [_WORD.replace("{}", word) for word in words[: TEXTS * 11 : 11]]
    reader.encode(texts[:2], lambda *_: None)
    began = time.perf_counter()
    reader.encode(texts, lambda *_: None)
    whole = time.perf_counter() - began
    began = time.perf_counter()
    encode_prefixes(reader, read_lengths(reader, texts))
    part = time.perf_counter() - began
    found = {"texts": TEXTS, "whole windows": whole, "as far as read": part, "ratio": whole / part}
    print(json.dumps(found), file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.auto", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--counts", nargs="+", type=int, default=list(COUNTS))
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/auto.json"))
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for model in options.models:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
            rows += fresh.submit(measure, model, options.counts).result()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
