"""Checks of names with the tokeniser of a text encoder that a loader on the page names by its file."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import folder_paths
from torch import Tensor

from ...scapre.checkpoints.tensor_file import TensorFile
from ...scapre.concepts.name_check import NameCheck
from ...scapre.errors import ScaPreError
from .gguf_encoders import in_gguf
from .measure import NameMeasure
from .vocabularies import BERT, CLIP, Vocabulary, in_file

log = logging.getLogger("scapre")

_FOLDERS = ("text_encoders", "checkpoints")
_GGUF, _GGUF_FOLDER = ".gguf", "clip_gguf"  # how the packs that read such files list them
_KEPT = 6  # vocabularies, and what was read of them

Found = tuple[Vocabulary | None, NameCheck | None]


class NameChecks:
    """The check for each text encoder; that of CLIP-L, which cuts names as all CLIPs do, where none is known."""

    def __init__(self) -> None:
        """Reads nothing yet."""
        self._usual = NameCheck(NameMeasure())
        self._here = lru_cache(_KEPT)(lambda vocabulary: NameCheck(NameMeasure(vocabulary)))
        self._found = lru_cache(_KEPT)(self._in)

    def of(self, encoder: str) -> NameCheck:
        """The check for what a loader loads.

        Args:
            encoder: Its files, each in a line as `text_encoders/NAME` or `checkpoints/NAME`. Only what the host lists
                is opened.
        """
        try:
            paths = _paths(encoder.splitlines())
            found = [one for path in paths for one in self._found(path, path.stat().st_mtime_ns)]
        except OSError:  # it has gone meanwhile
            return self._usual
        return _first(found) or self._usual

    def _in(self, path: Path, _changed: int) -> Sequence[Found]:
        """What is in a file; nothing that is known where it cannot be read, which is said once."""
        try:
            return self._read(path)
        except ScaPreError as error:
            log.info("the text encoder cannot be told from its file, names are cut as CLIP does: %s", error)
            return [(None, None)]

    def _read(self, path: Path) -> Sequence[Found]:
        if path.suffix.lower() == _GGUF:
            found = list(in_gguf(path))
        else:
            with TensorFile(path, "clip") as file:
                found = list(in_file(file))
        return [(known, self._check(known, data)) for known, data in found]

    def _check(self, known: Vocabulary | None, data: Tensor | None) -> NameCheck | None:
        if known is None or known is CLIP:
            return None
        if data is None:
            return self._here(known)
        measure = NameMeasure(known, data)
        measure.load()
        return NameCheck(measure)


def _first(found: Sequence[Found]) -> NameCheck | None:
    """The check for the encoder that reads words first among several; None for CLIP, and for what is not known."""
    berts = [check for known, check in found if known is BERT]
    others = [check for known, check in found if known is not CLIP]
    clips = len(found) - len(others)
    # Beside one CLIP the other reads the words (Flux has a vector of CLIP's); beside two it is the second (SD3).
    alone = others and all(one is others[0] for one in others) and clips <= 1
    return berts[0] if berts else others[0] if alone else None


def _paths(lines: Iterable[str]) -> Iterator[Path]:
    for line in lines:
        folder, _, name = line.partition("/")
        if folder in _FOLDERS and name in _listed(folder, name):
            path = folder_paths.get_full_path(folder, name)
            if path and path.lower().endswith((".safetensors", ".sft", _GGUF)):
                yield Path(path)


def _listed(folder: str, name: str) -> Sequence[str]:
    """What the host lists where a file of this name may be."""
    if not name.lower().endswith(_GGUF):
        return list(folder_paths.get_filename_list(folder))
    there = _GGUF_FOLDER in folder_paths.folder_names_and_paths
    return list(folder_paths.get_filename_list(_GGUF_FOLDER)) if there else []
