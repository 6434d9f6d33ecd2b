"""Drawn pictures as the host's images."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor


def batch_of_one(picture: Image.Image) -> Tensor:
    """An RGB picture as a batch, (1, height, width, 3), float32 in 0..1."""
    values = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return values.view(1, picture.height, picture.width, 3) / 255
