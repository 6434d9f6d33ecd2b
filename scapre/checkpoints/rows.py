"""Embeddings of a vocabulary that stay in their file."""

from __future__ import annotations

import torch
from torch import Tensor

from .tensor_file import TensorFile


class Rows:
    """Embeddings that stay in the file: what is asked for is read."""

    device = torch.device("cpu")

    def __init__(self, file: TensorFile, name: str) -> None:
        """Takes the file, and the name of the embeddings."""
        self._file, self._name = file, name

    @property
    def shape(self) -> tuple[int, ...]:
        """(tokens, width)."""
        return tuple(self._file.entries[self._name].shape)

    def __getitem__(self, ids: Tensor, /) -> Tensor:
        """Rows, float32."""
        found = self._file.rows(self._name, ids.flatten())
        return found.view(*ids.shape, found.shape[-1]).float()
