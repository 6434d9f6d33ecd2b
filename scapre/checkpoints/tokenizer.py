"""CLIP's vocabulary: its two files are not part of a checkpoint, so they are looked for on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ScaPreError, shorten
from .towers import END, START, WINDOW

VARIABLE = "SCAPRE_TOKENIZER"
_IN_COMFYUI = Path("comfy") / "sd1_tokenizer"
_IN_CACHE = "openai/clip-vit-large-patch14"
_PACK = Path(__file__).absolute().parents[2]  # not resolved: a pack that is linked into ComfyUI lies in ComfyUI


class Tokenizer:
    """Splits names into CLIP's tokens, as the host does it."""

    def __init__(self, folder: Path | None = None) -> None:
        """Loads the vocabulary.

        Args:
            folder: With `vocab.json` and `merges.txt`; None looks for one.

        Raises:
            ScaPreError: If it is not there, or `transformers` is not installed.
        """
        self.split = _load(folder or find_vocabulary())

    def __call__(self, text: str) -> list[int]:
        """Ids of a text's tokens, without start and end.

        Raises:
            ScaPreError: If they do not fit the encoder's window.
        """
        ids: list[int] = self.split(literal(text))["input_ids"][1:-1]
        if len(ids) > WINDOW - 2:
            raise ScaPreError(
                f"{shorten(text)} needs more than the {WINDOW - 2} tokens that the text encoder reads at once. "
                "Shorten the name, or use a shorter template."
            )
        return ids

    def vocabulary(self) -> dict[str, int]:
        """Number of each token."""
        found: dict[str, int] = self.split.get_vocab()
        return found


def literal(text: str) -> str:
    """The text as the host's tokenizer is given a name: no special tokens, no embeddings, escaped brackets as such."""
    text = text.replace("embedding:", "embedding :").replace("<|", "< |")
    return text.replace("\\)", ")").replace("\\(", "(")


def find_vocabulary(environment: Mapping[str, str] = os.environ) -> Path | str:
    """The first folder that has the vocabulary, or its name in the local cache of Hugging Face.

    Args:
        environment: `SCAPRE_TOKENIZER` names the folder, `COMFYUI_PATH` a ComfyUI that has it.

    Raises:
        ScaPreError: If `SCAPRE_TOKENIZER` names a folder without it.
    """
    named = environment.get(VARIABLE)
    if named:
        return Path(named)
    found = (place / _IN_COMFYUI for place in places(environment))
    return next((place for place in found if (place / "vocab.json").is_file()), _IN_CACHE)


def vocabulary_folder(
    folder: Path | None, environment: Mapping[str, str], inside: Path, files: Sequence[str]
) -> tuple[Path | None, Path | None]:
    """The folder that was named, if any, and the one that has a vocabulary: that folder, or one of ComfyUI's.

    Args:
        folder: That was given; else `SCAPRE_TOKENIZER` may name one.
        environment: Of the process.
        inside: Where ComfyUI has it.
        files: That must be there.
    """
    named = folder or (Path(environment[VARIABLE]) if environment.get(VARIABLE) else None)
    tried = [named] if named else [place / inside for place in places(environment)]
    return named, next((place for place in tried if all((place / name).is_file() for name in files)), None)


def places(environment: Mapping[str, str]) -> Iterator[Path]:
    """Where ComfyUI may be."""
    if environment.get("COMFYUI_PATH"):
        yield Path(environment["COMFYUI_PATH"])
    for pack in (_PACK, _PACK.resolve()):
        yield pack.parents[1]  # the pack lies in ComfyUI/custom_nodes


def _load(place: Path | str) -> Any:
    try:
        from transformers import CLIPTokenizer
    except ImportError:
        raise ScaPreError(
            "transformers is not installed, and without it text cannot be encoded. Install it (pip install "
            "transformers), or use ComfyUI's Python."
        ) from None
    if isinstance(place, Path) and not all((place / file).is_file() for file in ("vocab.json", "merges.txt")):
        raise ScaPreError(
            f"tokenizer: {shorten(place)} does not hold vocab.json and merges.txt. Name the folder that does, such as "
            "comfy/sd1_tokenizer in ComfyUI."
        )
    try:
        tokenizer = CLIPTokenizer.from_pretrained(str(place), local_files_only=True)
        if tokenizer("")["input_ids"] != [START, END]:  # some versions make an empty vocabulary of one they do not find
            raise ValueError("it is another vocabulary than CLIP's")
        return tokenizer
    except Exception as error:  # the library for vocabularies raises nothing narrower
        if isinstance(place, Path):
            raise ScaPreError(
                f"tokenizer: {shorten(place)} cannot be read ({shorten(error)}). Copy the folder again."
            ) from None
        raise ScaPreError(
            "tokenizer: CLIP's vocabulary was not found on this machine, and nothing is downloaded. Give --tokenizer "
            "the folder with vocab.json and merges.txt (comfy/sd1_tokenizer in ComfyUI), or set COMFYUI_PATH."
        ) from None
