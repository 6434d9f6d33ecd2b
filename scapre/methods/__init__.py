"""The methods an edit can be computed with. A new one is a folder or module here and a line in `METHODS`."""

from __future__ import annotations

from ..errors import ScaPreError, shorten
from .auto import Auto
from .dp import DP
from .method import Fit, Method, Problem
from .oce import OCE
from .rece import RECE
from .scapre import ScaPre
from .speed import SPEED
from .uce import UCE

__all__ = ["FIRST", "METHODS", "USUAL", "Fit", "Method", "Problem", "method"]

FIRST = "scapre"
"""The method of files, workflows and calls that name none: they are older than the second one."""
USUAL = "auto"
"""What people are offered first."""

METHODS: dict[str, Method] = {
    "auto": Auto(), "scapre": ScaPre(), "uce": UCE(), "rece": RECE(), "speed": SPEED(), "oce": OCE(), "dp": DP(),
}  # fmt: skip


def method(name: str) -> Method:
    """Looks a method up.

    Raises:
        ScaPreError: If there is none of this name.
    """
    if name not in METHODS:
        raise ScaPreError(f"method: {shorten(name)} is unknown. Choose one of {', '.join(METHODS)}.")
    return METHODS[name]
