"""The methods an edit can be computed with. A new one is a folder or module here and a line in `METHODS`."""

from __future__ import annotations

from ..errors import ScaPreError, shorten
from .auto import Auto
from .method import Fit, Method, Problem
from .scapre import ScaPre
from .uce import UCE

__all__ = ["FIRST", "METHODS", "USUAL", "Fit", "Method", "Problem", "method"]

FIRST = "scapre"
"""The method of files that name none: they are older than the second one."""
USUAL = FIRST
"""What computes an edit where nobody chooses."""

METHODS: dict[str, Method] = {"scapre": ScaPre(), "auto": Auto(), "uce": UCE()}


def method(name: str) -> Method:
    """Looks a method up.

    Raises:
        ScaPreError: If there is none of this name.
    """
    if name not in METHODS:
        raise ScaPreError(f"method: {shorten(name)} is unknown. Choose one of {', '.join(METHODS)}.")
    return METHODS[name]
