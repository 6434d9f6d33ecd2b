"""What the judge says about a few pictures, in words: for the demo."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
from PIL import Image

from .artists import SIDE
from .checkpoint import JUDGE
from .judge import DOMAINS, Judge, load, read

Words: TypeAlias = "dict[str, str]"
"""A word for each of the judge's domains."""


@cache
def _judge() -> Judge:
    return load(JUDGE)


def see(pictures: Sequence[bytes]) -> list[Words]:
    """Return what the judge reads in encoded pictures: a word for each domain."""
    opened = [
        Image.open(io.BytesIO(data)).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX) for data in pictures
    ]
    words = read(_judge(), np.stack([np.asarray(picture) for picture in opened])).words
    return [{domain: words[domain][index] for domain in DOMAINS} for index in range(len(pictures))]


def asked(prompt: str) -> Words:
    """Return the words of each domain that a prompt names."""
    padded = f" {prompt.replace(',', ' ')} "
    named = {domain: [word for word in words if word and f" {word} " in padded] for domain, words in DOMAINS.items()}
    return {domain: words[0] for domain, words in named.items() if words}


def _of(words: Words, name: str) -> list[str]:
    return [domain for domain, word in words.items() if word == name]


def say(words: Words) -> str:
    """Say what was read."""
    return f"{words['colour']} {words['object']}, {words['style'] or 'plain'}"


def summary(prompts: Sequence[str], concepts: Sequence[str], before: Sequence[Words], after: Sequence[Words]) -> str:
    """Count how often erased concepts and everything else that was asked for are read, before and after.

    Args:
        prompts: what was asked.
        concepts: what was erased, as Erase Concepts takes it.
        before: what `see` gave for the pictures without the edit.
        after: the same with it.
    """
    names = [concept.split("->")[0].strip() for concept in concepts]
    seen = list(zip(map(asked, prompts), before, after, strict=True))
    lines = ["The judge read, before -> after:"]
    for name in names:
        hits = [[one[domain] == name, two[domain] == name] for words, one, two in seen for domain in _of(words, name)]
        if hits:
            first, second = np.sum(hits, axis=0)
            lines.append(f"  {name}: in {first} -> {second} of {len(hits)} pictures that ask for it")
    others = [
        [one[domain] == word, two[domain] == word]
        for words, one, two in seen
        for domain, word in words.items()
        if word not in names
    ]
    first, second = np.sum(others, axis=0) if others else (0, 0)
    lines.append(f"  everything else that was asked for: {first} -> {second} of {len(others)} right")
    return "\n".join(lines) + "\n"
