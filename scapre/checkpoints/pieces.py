"""Cuts texts into T5's pieces: with a vocabulary that ComfyUI has, or with the one that a UMT5's file brings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import ScaPreError, shorten
from .tokenizer import vocabulary_folder

_IN_COMFYUI = Path("comfy") / "text_encoders" / "t5_tokenizer"
_FILE = "tokenizer.json"


class Pieces:
    """Ids of a text's pieces, without the end."""

    def __init__(self, cut: Callable[[str], list[int]], vocabulary: Callable[[], dict[str, int]]) -> None:
        """Takes what cuts, and the number of each piece."""
        self._cut, self.vocabulary = cut, vocabulary

    def __call__(self, text: str) -> tuple[int, ...]:
        """Cuts a text."""
        # Escaped brackets are brackets, as to the host.
        return tuple(self._cut(text.replace("\\)", ")").replace("\\(", "("))) if text else ()


def t5_pieces(folder: Path | None = None, environment: Mapping[str, str] = os.environ) -> Pieces:
    """The vocabulary of T5.

    Args:
        folder: With `tokenizer.json`; None looks for one.
        environment: `SCAPRE_TOKENIZER` names the folder, `COMFYUI_PATH` a ComfyUI that has it.

    Raises:
        ScaPreError: If it is not there, or cannot be read.
    """
    named, found = vocabulary_folder(folder, environment, _IN_COMFYUI, (_FILE,))
    if found is None:
        raise ScaPreError(
            f"tokenizer: T5's vocabulary was not found{f' in {shorten(named)}' if named else ''}. Give --tokenizer the "
            f"folder with {_FILE} ({_IN_COMFYUI.as_posix()} in ComfyUI), or set COMFYUI_PATH."
        )
    try:
        import transformers
    except ImportError:
        raise ScaPreError(
            "transformers is not installed, and without it text cannot be encoded. Install it (pip install "
            "transformers), or use ComfyUI's Python."
        ) from None
    try:
        library: Any = transformers  # versions call the class by different names, and all know this one
        cut: Any = library.T5TokenizerFast.from_pretrained(str(found), local_files_only=True)
        if cut("cat")["input_ids"][-1:] != [1] or 2 in cut("cat")["input_ids"]:  # some versions read none, unasked
            raise ValueError("it is another vocabulary than T5's")
    except Exception as error:  # the library for vocabularies raises nothing narrower
        raise ScaPreError(
            f"tokenizer: {shorten(found)} cannot be read ({shorten(error)}). Copy the folder again."
        ) from None
    return Pieces(lambda text: cut(text)["input_ids"][:-1], cut.get_vocab)


def own_pieces(model: Tensor) -> Pieces:
    """The vocabulary that a file brings.

    Args:
        model: Bytes of a SentencePiece model, uint8.

    Raises:
        ScaPreError: If it cannot be read, or the library for it is missing.
    """
    try:
        import sentencepiece
    except ImportError:
        raise ScaPreError(
            "sentencepiece is not installed, and without it UMT5's vocabulary cannot be read. Install it (pip install "
            "sentencepiece), or use ComfyUI's Python."
        ) from None
    try:
        cut: Any = sentencepiece.SentencePieceProcessor(model_proto=model.numpy().tobytes())
        number = {cut.id_to_piece(place): place for place in range(cut.get_piece_size())}
    except Exception as error:
        raise ScaPreError(f"--text-encoder: its vocabulary (spiece_model) cannot be read ({shorten(error)}).") from None
    return Pieces(cut.encode, lambda: number)
