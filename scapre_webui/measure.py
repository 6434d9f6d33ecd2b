"""How the text encoder reads names, from the vocabulary that a web UI has, whether a model is loaded or not."""

from __future__ import annotations

import logging
from pathlib import Path

from modules import paths

from ..scapre.checkpoints.tokenizer import Tokenizer, literal
from ..scapre.checkpoints.towers import WINDOW
from ..scapre.concepts.name_check import Measure, NameCheck
from ..scapre.concepts.pieces import words_of
from ..scapre.errors import ScaPreError

log = logging.getLogger("scapre")

_PLACES = ("backend/huggingface/runwayml/stable-diffusion-v1-5/tokenizer", "openai/clip-vit-large-patch14")
_WINDOW = WINDOW - 2  # less the start and the end


def name_check() -> NameCheck | None:
    """What reviews lists; None where no vocabulary is found, and then nothing is downloaded."""
    folders = (Path(paths.script_path) / place for place in _PLACES)
    try:
        tokenizer = Tokenizer(next((folder for folder in folders if (folder / "vocab.json").is_file()), None))
    except ScaPreError as error:
        log.info("names are not measured: %s", error)
        return None
    return NameCheck(lambda name: _measured(tokenizer, name))


def _measured(tokenizer: Tokenizer, name: str) -> Measure:
    ids = tokenizer.split(literal(name), truncation=False)["input_ids"][1:-1]
    texts = (tokenizer.split.decode([number]).strip() for number in ids)
    words = words_of(zip(tokenizer.split.convert_ids_to_tokens(ids), texts, strict=True))
    return Measure(words, tuple(ids), len(ids) <= _WINDOW, _WINDOW)
