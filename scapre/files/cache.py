"""What has been read of a text encoder, kept on disk: a few files, safe to delete, believed only where they fit."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ..checkpoints.tensor_file import TensorFile
from ..errors import ScaPreError
from .write import write_tensors

log = logging.getLogger("scapre")

_SUFFIX = ".moments.safetensors"
_MOST = 8  # files
_SAME = 1e-5  # of the states' norm: what another batch or device changes


class Cache:
    """Tensors by a key and by the text encoder that they were read of.

    An encoder is known by its states of a probe, which a file holds beside the tensor: so another model, a LoRA or
    another clip skip is another encoder.
    """

    def __init__(self, folder: Path) -> None:
        """Takes a folder, which need not be there."""
        self._folder = folder

    def get(self, key: str, probe: Tensor, make: Callable[[], Tensor]) -> Tensor:
        """What was kept, or what `make` gives, which is kept then; nothing is where it raises.

        Args:
            key: Says all that the tensor depends on beside the encoder.
            probe: (tokens, d) states of a fixed text.
            make: Gives the tensor, of any shape, float32.
        """
        digest = hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
        for path in self._files():
            with contextlib.suppress(ScaPreError, OSError, LookupError):
                if (found := _read(path, digest, probe)) is not None:
                    return found
        value = make()
        try:
            self._write(digest, probe, value)
        except (ScaPreError, OSError) as error:
            log.info("the cache %s cannot be written: %s", self._folder, error)
        return value

    def _files(self) -> list[Path]:
        """The files that are there, latest first."""
        with contextlib.suppress(OSError):
            return sorted(self._folder.glob("*" + _SUFFIX), key=lambda path: -path.stat().st_mtime)
        return []

    def _write(self, digest: str, probe: Tensor, value: Tensor) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        tensors = {"probe": probe.float().contiguous(), "value": value.float().contiguous()}
        name = hashlib.blake2b(digest.encode() + _bytes(tensors["probe"]), digest_size=8).hexdigest()
        entries = {key: (tensor.dtype, tuple(tensor.shape)) for key, tensor in tensors.items()}
        told = {"key": digest, "sum": _sum(tensors["value"])}
        write_tensors(self._folder / (name + _SUFFIX), entries, tensors.__getitem__, told)
        for path in self._files()[_MOST:]:
            path.unlink(missing_ok=True)


def _read(path: Path, digest: str, probe: Tensor) -> Tensor | None:
    """The tensor of a file, if it is that of the key and the encoder and was not damaged."""
    with TensorFile(path) as file:
        if file.metadata.get("key") != digest or file.entries["probe"].shape != tuple(probe.shape):
            return None
        kept = file.read("probe")
        if not bool((kept - probe).norm() <= _SAME * probe.norm()):
            return None
        value = file.read("value")
    whole = value.dtype == torch.float32 and bool(value.isfinite().all()) and bool(value.any())
    return value if whole and _sum(value) == file.metadata.get("sum") else None


def _sum(value: Tensor) -> str:
    return hashlib.blake2b(_bytes(value), digest_size=16).hexdigest()


def _bytes(value: Tensor) -> bytes:
    return value.cpu().numpy().tobytes()
