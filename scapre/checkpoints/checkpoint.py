"""A checkpoint file as the engine wants it: its text projections, and the text encoder inside, one tensor at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from ..edits.fingerprint import by_numbers
from ..errors import ScaPreError, shorten
from ..families import FAMILIES, Role, find_projections, part, supported
from ..families.marks import find_class, part_of_a_model
from ..families.signatures import detect
from ..states.encoder import Encoder
from ..states.tokens import Tokenise
from .float8 import FLOAT8, read_float8
from .other_files import HEAD, begins_as_tensors, what_it_is
from .source import Source
from .tensor_file import TensorFile
from .text_encoders import encoder_of, tokens_of

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

_MODEL = "diffusion_model."  # the name that hosts know the diffusion model by
_PREFIXES = ("model.diffusion_model.", _MODEL, "")  # a checkpoint, and two ways to keep a diffusion model alone
_UNET = "input_blocks.0.0.weight"
_DIFFUSERS = ("conv_in.weight", "unet.conv_in.weight")
_PICKLED = {".ckpt", ".pt", ".pth", ".bin", ".pkl"}


class Checkpoint:
    """The text projections of a `.safetensors` checkpoint, under the names and in the order that ComfyUI has them.

    Attributes:
        file: The open file.
        family: Title of the model's family.
        roles: Role of each projection by its name.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file and finds the projections.

        Raises:
            ScaPreError: If it is no checkpoint of a supported family.
        """
        check_kind(path)
        self.file = TensorFile(path, "checkpoint")
        try:
            self.prefix, detected = self._find()
            inside = (name.removeprefix(self.prefix) for name in self.file.entries if name.startswith(self.prefix))
            ordered = (_MODEL + name for name in sorted(inside, key=by_numbers))  # a file may have any order
            self.family, self.roles = find_projections(detected, ordered, "checkpoint")
        except BaseException:
            self.file.__exit__(None, None, None)
            raise

    def __enter__(self) -> Checkpoint:
        """The checkpoint itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file."""
        self.file.__exit__(kind, error, trace)

    def stored_name(self, name: str) -> str:
        """What the file calls a projection."""
        return self.prefix + name.removeprefix(_MODEL)

    def read(self, name: str, device: torch.device) -> Tensor:
        """The weight of one matrix, (n, d), float32; a convolution's is flattened after its first dimension.

        Raises:
            ScaPreError: If the weight is quantised in another way than float8, or the file has changed meanwhile.
        """
        which = part(name)
        weight = self.parameter(which.weight).flatten(1)
        return which.of(weight).to(device)

    def parameter(self, name: str) -> Tensor:
        """Any parameter, in its own shape, float32 on the CPU.

        Raises:
            ScaPreError: If it is missing or quantised, or the file has changed meanwhile.
        """
        stored = self.stored_name(name)
        entry = self.file.entries.get(stored)
        if entry is None:
            raise ScaPreError(f"checkpoint: it has no {stored}, through which its text goes. Give the whole model.")
        if entry.dtype not in (*FLOATS, *FLOAT8):
            raise ScaPreError(
                f"checkpoint: {name} is quantised ({entry.dtype or shorten(entry.kind)}), which is not read here. Give "
                "a checkpoint in fp16, bf16, fp32 or fp8."
            )
        return self._values(stored).to(torch.float32)

    def _values(self, stored: str) -> Tensor:
        """A tensor as it is, or float8 as the numbers that it stands for."""
        float8 = self.file.entries[stored].dtype in FLOAT8
        return read_float8(self.file, stored) if float8 else self.file.read(stored)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape that the file keeps a matrix in."""
        which = part(name)
        return which.shape(*self.file.entries[self.stored_name(which.weight)].shape)

    def encoder(self, vocabulary: Path | None = None, others: Sequence[TensorFile] = ()) -> Encoder:
        """The text encoder inside, or in files of its own, as the model's projections read it.

        Args:
            vocabulary: Folder of CLIP's or T5's vocabulary; None looks for one.
            others: Files with text encoders.

        Raises:
            ScaPreError: If there is no text encoder, or another than the model's, or the vocabulary is missing.
        """
        return encoder_of(self._source(vocabulary, others))

    def _source(self, vocabulary: Path | None, others: Sequence[TensorFile]) -> Source:
        words = next(name for name, role in self.roles.items() if role not in (Role.POOLED, Role.LAYER))
        width = self.shape(words)[1]
        return Source(self.family, self.file, others, self.parameter, self._values, vocabulary, width)

    def tokens(self, vocabulary: Path | None = None, others: Sequence[TensorFile] = ()) -> Tokenise:
        """What cuts names into the tokens of its text encoder; see `encoder`.

        Raises:
            ScaPreError: If the vocabulary is missing.
        """
        return tokens_of(self._source(vocabulary, others))

    def _find(self) -> tuple[str, str]:
        """What names inside the model begin with, and the class that ComfyUI detects it as."""
        shapes = {name: entry.shape for name, entry in self.file.entries.items()}
        for prefix in _PREFIXES:
            if prefix + _UNET in shapes:
                inside = {name.removeprefix(prefix): s for name, s in shapes.items() if name.startswith(prefix)}
                return prefix, detect(inside, shapes)
        found = find_class(shapes)
        if found and (found.name not in FAMILIES or not found.converted):
            return found.prefix, found.name  # one that is not supported is refused by its name
        raise self._refused(shapes, converted=found is not None)

    def _refused(self, shapes: Mapping[str, Sequence[int]], *, converted: bool) -> ScaPreError:
        """The error for a file without a model in its original layout."""
        name = shorten(self.file.path.name)
        if converted or any(mark in shapes for mark in _DIFFUSERS):
            return ScaPreError(
                f"checkpoint: {name} has the names of diffusers. Give the checkpoint in its original layout, one "
                ".safetensors file."
            )
        if part := part_of_a_model(shapes):
            return ScaPreError(f"checkpoint: {name} is {part}.")
        return ScaPreError(
            f"checkpoint: {name} holds no diffusion model that is supported. Give a checkpoint of one of these: "
            f"{supported()}."
        )


def check_kind(path: Path, field: str = "checkpoint") -> None:
    """Refuses folders, and pickles by their names.

    Args:
        path: Of a file that is to be read.
        field: The input that names it, for messages.

    Raises:
        ScaPreError: For such.
    """
    if path.is_dir():
        raise ScaPreError(
            f"{field}: {shorten(path)} is a folder. Models in diffusers' folders are not read; give one "
            ".safetensors file, in the original layout."
        )
    if path.suffix.lower() in _PICKLED and not _known_by_content(path):
        raise ScaPreError(
            f"{field}: {shorten(path.name)} is a pickle file, which can run code when it is opened. Convert it to "
            ".safetensors first."
        )


def _known_by_content(path: Path) -> bool:
    """Whether a file shows what it is, whatever its name says."""
    if not path.is_file():  # opening a pipe would wait for ever
        return False
    with path.open("rb") as file:
        head = file.read(HEAD)
    return begins_as_tensors(head) or what_it_is(head) is not None
