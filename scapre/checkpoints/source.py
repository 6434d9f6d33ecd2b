"""Where the text encoders of a model are, and what each file of them is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..errors import ScaPreError, shorten
from ..families import Context, TextEncoder, contexts, text_encoder
from ..families.contexts import Read
from ..states.sentences import END
from .clip_files import clip_from_files, clip_name, what_encoder
from .encoder import CheckpointEncoder
from .language_models import MISTRAL3, LanguageModel, language_models
from .pieces import PILE_T5, T5, pieces_in
from .sentences import SentenceCutter
from .t5_file import T5File, t5_prefix
from .t5_files import OPTION, own_pieces_of, t5_file
from .tensor_file import TensorFile
from .tokenizer import Tokenizer
from .towers import TOWERS


def holds_t5(file: TensorFile) -> bool:
    """Whether there is a T5 in a file."""
    return t5_prefix(file) is not None


def holds_language_model(file: TensorFile) -> bool:
    """Whether there is a language model in a file."""
    return bool(language_models(file))


@dataclass(frozen=True)
class Source:
    """Where a model's text encoders are.

    Attributes:
        family: Title of the model's family.
        inside: The checkpoint.
        others: Files of text encoders; with none, the checkpoint must hold its own.
        own: Reads the model's own weights.
        any_of: Reads any tensor of the checkpoint.
        vocabulary: Folder of the encoder's vocabulary; None looks for one.
        width: Of what the first of its projections reads.
    """

    family: str
    inside: TensorFile
    others: Sequence[TensorFile]
    own: Read
    any_of: Read
    vocabulary: Path | None
    width: int

    @property
    def wanted(self) -> TextEncoder:
        """What reads the family's prompts."""
        return text_encoder(self.family)

    @cached_property
    def contexts(self) -> tuple[Context | None, Context | None]:
        """What lies between the encoders' states and the projections."""
        return contexts(self.family, self.own)

    def clip(self, files: Sequence[TensorFile], width: int = 0) -> CheckpointEncoder:
        """CLIP, from files or from the checkpoint; see `CheckpointEncoder` for the width."""
        towers, cut = TOWERS[self.family], Tokenizer(self.vocabulary)
        if files:
            return clip_from_files(files, towers, self.family, cut, width)
        return CheckpointEncoder(self.inside.entries, self.any_of, cut, towers, width)

    def clip_beside(self, files: Sequence[TensorFile], width: int = 0) -> CheckpointEncoder:
        """The same beside T5, with a word of what is missing."""
        names = " and ".join(clip_name(tower) for tower in TOWERS[self.family])
        there = any(name.startswith(TOWERS[self.family][0].prefixes) for name in self.inside.entries)
        if not files and not there:
            raise ScaPreError(
                f"{OPTION}: {self.family} models also read {names}, and neither the checkpoint nor a file has it. Give "
                f"{OPTION} once for each file."
            )
        return self.clip(files, width)

    def t5(self, files: Sequence[TensorFile]) -> tuple[T5File, SentenceCutter]:
        """T5, from a file or from the checkpoint, and what cuts texts for it."""
        file = t5_file(self.family, self.inside, files)
        return file, SentenceCutter(own_pieces_of(file)) if self.wanted.by_layer else self.t5_cutter()

    def t5_cutter(self) -> SentenceCutter:
        """What cuts texts for a T5 whose vocabulary ComfyUI has."""
        end = self.wanted.end
        return SentenceCutter(pieces_in(T5 if end == END else PILE_T5, self.vocabulary), end)

    def vectors(self, files: Sequence[TensorFile]) -> Callable[[], CheckpointEncoder]:
        """What gives CLIP for pooled vectors when it is asked for; files that were given are checked now."""
        if files:
            self.clip_beside(files)
        return lambda: self.clip_beside(files)

    def parted(self, first: Callable[[TensorFile], bool]) -> tuple[list[TensorFile], list[TensorFile]]:
        """The files of one kind, and the others."""
        found: tuple[list[TensorFile], list[TensorFile]] = [], []
        for file in self.others:
            found[not first(file)].append(file)
        return found

    def language_model(self, files: Sequence[TensorFile], title: str) -> LanguageModel:
        """The language model of this title, from a file or from the checkpoint.

        Raises:
            ScaPreError: If there is none, or another.
        """
        if len(files) > 1:
            raise ScaPreError(
                f"{OPTION}: {self.family} models read one language model, and {len(files)} files were given. Give the "
                f"file of {self.wanted.title} alone."
            )
        file = files[0] if files else self.inside
        there = language_models(file)
        found = next((model for model in there if model.build.title == title), None)
        if found is None and any(model.build is MISTRAL3 for model in there):
            raise ScaPreError(
                f"{file.field}: {shorten(file.path.name)} is {what_encoder(file)}, which only ComfyUI runs. Erase "
                "there, save the edit, and export, merge or verify it here."
            )
        if found is None:
            name = shorten(file.path.name)
            told = f"{OPTION}: {name} is {what_encoder(file)}" if files else f"checkpoint: {name} has no text encoder"
            raise ScaPreError(
                f"{told}, and {self.family} models read {self.wanted.title}. Give {OPTION} the file of "
                f"{self.wanted.title}."
            )
        return found
