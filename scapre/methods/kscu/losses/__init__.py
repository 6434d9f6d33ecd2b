"""The losses that can be trained with. A new one is a module here and a line in `LOSSES`."""

from __future__ import annotations

from collections.abc import Mapping

from .esd import ESD
from .kscu import KSCULoss
from .loss import Loss, Predictions, led_away

__all__ = ["LOSSES", "Loss", "Predictions", "led_away"]

LOSSES: Mapping[str, Loss] = {"kscu": KSCULoss(), "esd": ESD()}
