"""Cuts texts into an encoder's pieces: with a vocabulary that ComfyUI has, or one that the encoder's file brings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import ScaPreError, shorten
from .tokenizer import vocabulary_folder

_IN_COMFYUI = Path("comfy") / "text_encoders"


@dataclass(frozen=True)
class Vocabulary:
    """A vocabulary that the library reads from a folder.

    Attributes:
        title: Of what has it.
        folder: Its name in ComfyUI.
        files: That must be in it.
        reader: What the library calls its reader; empty for a SentencePiece model.
        start: How many ids that stands before a text's.
        end: How many behind.
        looks: Tells a vocabulary that was read from another one.
    """

    title: str
    folder: str
    files: Sequence[str]
    reader: str
    start: int = 0
    end: int = 0
    looks: Callable[[Any], bool] = lambda cut: True


def _ends_as_t5(cut: Any) -> bool:
    """Some versions of the library read an empty vocabulary, unasked."""
    ids = cut("cat")["input_ids"]
    return ids[-1:] == [1] and 2 not in ids


T5 = Vocabulary("T5", "t5_tokenizer", ("tokenizer.json",), "T5TokenizerFast", end=1, looks=_ends_as_t5)
BERT = Vocabulary("BERT", "hydit_clip_tokenizer", ("vocab.txt",), "BertTokenizer", 1, 1)
QWEN = Vocabulary("Qwen", "qwen25_tokenizer", ("vocab.json", "merges.txt"), "Qwen2Tokenizer")
PILE_T5 = Vocabulary("Pile-T5", "t5_pile_tokenizer", ("tokenizer.model",), "")
LLAMA = Vocabulary("Llama", "llama_tokenizer", ("tokenizer.json",), "LlamaTokenizerFast", 1)


class Pieces:
    """Ids of a text's pieces, without what stands around every text."""

    def __init__(self, cut: Callable[[str], list[int]], vocabulary: Callable[[], dict[str, int]]) -> None:
        """Takes what cuts, and the number of each piece."""
        self._cut, self.vocabulary = cut, vocabulary

    def __call__(self, text: str) -> tuple[int, ...]:
        """Cuts a text."""
        # Escaped brackets are brackets, as to the host.
        return tuple(self._cut(text.replace("\\)", ")").replace("\\(", "("))) if text else ()


def pieces_in(which: Vocabulary, folder: Path | None = None, environment: Mapping[str, str] = os.environ) -> Pieces:
    """A vocabulary that ComfyUI has.

    Args:
        which: Of those above.
        folder: With its files; None looks for one.
        environment: `SCAPRE_TOKENIZER` names the folder, `COMFYUI_PATH` a ComfyUI that has it.

    Raises:
        ScaPreError: If it is not there, or cannot be read.
    """
    inside, files = _IN_COMFYUI / which.folder, " and ".join(which.files)
    named, found = vocabulary_folder(folder, environment, inside, which.files)
    if found is None:
        raise ScaPreError(
            f"tokenizer: {which.title}'s vocabulary was not found{f' in {shorten(named)}' if named else ''}. Give "
            f"--tokenizer the folder with {files} ({inside.as_posix()} in ComfyUI), or set COMFYUI_PATH."
        )
    if not which.reader:
        return own_pieces((found / which.files[0]).read_bytes(), f"tokenizer: {shorten(found)}")
    try:
        import transformers
    except ImportError:
        raise ScaPreError(
            "transformers is not installed, and without it text cannot be encoded. Install it (pip install "
            "transformers), or use ComfyUI's Python."
        ) from None
    try:
        cut: Any = getattr(transformers, which.reader).from_pretrained(str(found), local_files_only=True)
        if not which.looks(cut):
            raise ValueError(f"it is another vocabulary than {which.title}'s")
    except Exception as error:  # the library for vocabularies raises nothing narrower
        raise ScaPreError(
            f"tokenizer: {shorten(found)} cannot be read ({shorten(error)}). Copy the folder again."
        ) from None
    return Pieces(lambda text: cut(text)["input_ids"][which.start : -which.end or None], cut.get_vocab)


def own_pieces(model: Tensor | bytes, where: str = "--text-encoder: its vocabulary (spiece_model)") -> Pieces:
    """A SentencePiece model.

    Args:
        model: Its bytes, or a tensor of them, uint8.
        where: It is from, for messages.

    Raises:
        ScaPreError: If it cannot be read, or the library for it is missing.
    """
    try:
        import sentencepiece
    except ImportError:
        raise ScaPreError(
            "sentencepiece is not installed, and without it the encoder's vocabulary cannot be read. Install it (pip "
            "install sentencepiece), or use ComfyUI's Python."
        ) from None
    try:
        data = model if isinstance(model, bytes) else model.numpy().tobytes()
        cut: Any = sentencepiece.SentencePieceProcessor(model_proto=data)
        number = {cut.id_to_piece(place): place for place in range(cut.get_piece_size())}
        if not number:
            raise ValueError("it is empty")
    except Exception as error:
        raise ScaPreError(f"{where} cannot be read ({shorten(error)}).") from None
    return Pieces(cut.encode, lambda: number)
