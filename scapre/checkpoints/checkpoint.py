"""A checkpoint file as the engine wants it: its text projections, and the text encoder inside, one tensor at a time."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from ..errors import ScaPreError, shorten
from ..families import find_projections, supported
from ..families.others import part_of_a_model, refused_class
from ..families.signatures import detect
from .encoder import CheckpointEncoder
from .float8 import FLOAT8, read_float8
from .other_files import HEAD, begins_as_tensors, what_it_is
from .tensor_file import TensorFile
from .tokenizer import Tokenizer
from .towers import TOWERS

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

_MODEL = "diffusion_model."  # the name that hosts know the diffusion model by
_PREFIXES = ("model.diffusion_model.", _MODEL, "")  # a checkpoint, and two ways to keep a diffusion model alone
_MARK = "input_blocks.0.0.weight"
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
        _check_kind(path)
        self.file = TensorFile(path, "checkpoint")
        try:
            self.prefix = self._find_prefix()
            inside = {
                name.removeprefix(self.prefix): entry.shape
                for name, entry in self.file.entries.items()
                if name.startswith(self.prefix)
            }
            # A file may keep its tensors in any order, and a fingerprint depends on it.
            ordered = (_MODEL + name for name in sorted(inside, key=_by_numbers))
            self.family, self.roles = find_projections(detect(inside, self.file.entries), ordered, "checkpoint")
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
        stored = self.stored_name(name)
        entry = self.file.entries[stored]
        if entry.dtype not in (*FLOATS, *FLOAT8):
            raise ScaPreError(
                f"checkpoint: {name} is quantised ({entry.dtype or shorten(entry.kind)}), which is not read here. Give "
                "a checkpoint in fp16, bf16, fp32 or fp8."
            )
        return self._values(stored).to(device, torch.float32).flatten(1)

    def _values(self, stored: str) -> Tensor:
        """A tensor as it is, or float8 as the numbers that it stands for."""
        float8 = self.file.entries[stored].dtype in FLOAT8
        return read_float8(self.file, stored) if float8 else self.file.read(stored)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape that the file keeps a weight in."""
        return self.file.entries[self.stored_name(name)].shape

    def encoder(self, vocabulary: Path | None = None) -> CheckpointEncoder:
        """The text encoder inside.

        Args:
            vocabulary: Folder of CLIP's vocabulary; None looks for one.

        Raises:
            ScaPreError: If the checkpoint has no text encoder, or the vocabulary is missing.
        """
        return CheckpointEncoder(self.file.entries, self._values, Tokenizer(vocabulary), TOWERS[self.family])

    def _find_prefix(self) -> str:
        for prefix in _PREFIXES:
            if prefix + _MARK in self.file.entries:
                return prefix
        raise self._refused()

    def _refused(self) -> ScaPreError:
        """The error for a file without a UNet in its original layout."""
        name, shapes = shorten(self.file.path.name), {name: entry.shape for name, entry in self.file.entries.items()}
        if known := refused_class(shapes):
            return ScaPreError(f"checkpoint: {known} models are not supported. Supported: {supported()}.")
        if any(mark in shapes for mark in _DIFFUSERS):
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


def _check_kind(path: Path) -> None:
    if path.is_dir():
        raise ScaPreError(
            f"checkpoint: {shorten(path)} is a folder. Models in diffusers' folders are not read; give one "
            ".safetensors file, in the original layout."
        )
    if path.suffix.lower() in _PICKLED and not _known_by_content(path):
        raise ScaPreError(
            f"checkpoint: {shorten(path.name)} is a pickle file, which can run code when it is opened. Convert it to "
            ".safetensors first."
        )


def _known_by_content(path: Path) -> bool:
    """Whether a file shows what it is, whatever its name says."""
    if not path.is_file():  # opening a pipe would wait for ever
        return False
    with path.open("rb") as file:
        head = file.read(HEAD)
    return begins_as_tensors(head) or what_it_is(head) is not None


def _by_numbers(name: str) -> list[tuple[int, str]]:
    """Sorts blocks by their numbers, as a model holds them."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]
