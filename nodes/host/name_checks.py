"""Checks of names with the tokeniser of a text encoder that a loader on the page names by its file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import folder_paths
from comfy.text_encoders.pixart_t5 import PixArtTokenizer
from comfy.text_encoders.wan import WanT5Tokenizer

from ...scapre.checkpoints.t5_file import T5File, t5_prefix
from ...scapre.checkpoints.tensor_file import TensorFile
from ...scapre.concepts.name_check import NameCheck
from ...scapre.errors import ScaPreError
from .measure import NameMeasure
from .tokenizer import NameTokenizer

log = logging.getLogger("scapre")

_FOLDERS = ("text_encoders", "checkpoints")
_BESIDE = 2  # encoders of CLIP's
_KEPT = 4  # a vocabulary and what was read of it, for each encoder
_CLIP = "token_embedding.weight"
_QWEN3 = "model.layers.0.self_attn.q_norm.weight"  # Anima's, beside which the host cuts T5's tokens
_VOCABULARY = "spiece_model"


class NameChecks:
    """The check for each text encoder; that of CLIP-L, which cuts names as all CLIPs do, where none is known."""

    def __init__(self) -> None:
        """Reads nothing yet."""
        self._usual = NameCheck(NameMeasure())
        self._made = lru_cache(_KEPT)(_check)

    def of(self, encoder: str) -> NameCheck:
        """The check for what a loader loads.

        Args:
            encoder: Its files, each in a line as `text_encoders/NAME` or `checkpoints/NAME`. Only what the host lists
                is opened.
        """
        try:
            found = [self._made(path, path.stat().st_mtime_ns) for path in _paths(encoder.splitlines())]
        except (ScaPreError, OSError) as error:
            log.info("the text encoder cannot be told from its file, names are cut as CLIP does: %s", error)
            return self._usual
        others = [one for one in found if one]
        # T5 with one CLIP reads the words (Flux, which has a vector of CLIP's); with two of them it stands beside CLIP.
        alone = others and all(one is others[0] for one in others) and len(found) - len(others) < _BESIDE
        return others[0] if alone else self._usual


def _paths(lines: Iterable[str]) -> Iterator[Path]:
    for line in lines:
        folder, _, name = line.partition("/")
        if folder in _FOLDERS and name in folder_paths.get_filename_list(folder):
            path = folder_paths.get_full_path(folder, name)
            if path and path.endswith((".safetensors", ".sft")):
                yield Path(path)


def _check(path: Path, _changed: int) -> NameCheck | None:
    """The check for a file's encoder; None for CLIP's, and for one that is not known.

    Raises:
        ScaPreError: If the file cannot be read.
    """
    with TensorFile(path, "clip") as file:
        prefix = t5_prefix(file)
        if any(name.endswith(_CLIP) for name in file.entries) or (prefix is None and _QWEN3 not in file.entries):
            return None
        if prefix is None or not T5File(file, prefix).multilingual:
            return _named(lambda: NameTokenizer(PixArtTokenizer()))
        own = next((name for name in file.entries if name.endswith(_VOCABULARY)), None)
        data = {"spiece_model": file.read(own)} if own else None
    return _named(lambda: NameTokenizer(WanT5Tokenizer(tokenizer_data=data))) if data else None


def _named(load: Callable[[], NameTokenizer]) -> NameCheck:
    return NameCheck(NameMeasure(load, of_clip=False))
