"""How well the model itself draws what it is asked for: on trained captions, combinations and wordings it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np

from . import captions, network
from .dataset import training_pictures
from .evaluate import Evaluation
from .judge import DOMAINS, read
from .questions import ask
from .scores import Share, wilson
from .world import HELD_OUT, Picture

SEED = 11


def prompts(count: int) -> dict[str, list[tuple[str, Picture]]]:
    """Return `count` (text, picture) pairs of each set: what was trained on, and what was held out."""
    random = np.random.Generator(np.random.PCG64(SEED))
    texts, choices = network.training_captions(training_pictures())
    trained = [(texts[number], picture) for picture, (full, _, _) in choices.items() for number in full]
    known = list(choices)
    held_out = [
        (captions.write(wording, picture), picture)
        for wording, picture in zip(cycle(captions.WITH_ARTIST), HELD_OUT, strict=False)
    ]
    told = [(text, picture) for picture in known for text in captions.paraphrases(picture)]
    sets = {"trained captions": trained, "held-out combinations": held_out, "held-out wordings": told}
    return {name: [some[i] for i in random.permutation(len(some))[:count]] for name, some in sets.items()}


def measure(evaluation: Evaluation, count: int) -> dict[str, dict[str, Share]]:
    """Sample every set with the model as it is; return the share read right in each domain."""
    found = {}
    for name, asked in prompts(count).items():
        questions = [ask(picture, text) for text, picture in asked]
        drawn = evaluation.draw(evaluation.loaded.model, [(question.text, question.seed) for question in questions])
        words = read(evaluation.judge, drawn).words
        found[name] = {domain: right(words[domain], asked, domain) for domain in DOMAINS}
    return found


def right(words: Sequence[str], asked: Sequence[tuple[str, Picture]], domain: str) -> Share:
    """Return the share of pictures whose domain is read as asked for."""
    wanted = [{"object": p.object, "colour": p.colour, "style": p.artist}[domain] for _, p in asked]
    return wilson(sum(word == want for word, want in zip(words, wanted, strict=True)), len(wanted))
