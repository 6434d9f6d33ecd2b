"""The methods an edit can be computed with. A new one is a folder or module here and a line in `METHODS`."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import ScaPreError, shorten
from .auto import Auto
from .dp import DP
from .fia import FIA
from .kscu import KSCU
from .method import Fit, Method, Problem
from .oce import OCE
from .rece import RECE
from .scapre import ScaPre
from .speed import SPEED
from .uce import UCE

__all__ = ["FIRST", "METHODS", "USUAL", "Fit", "Method", "Problem", "closed_form", "closed_forms", "method"]

FIRST = "scapre"
"""The method of files, workflows and calls that name none: they are older than the second one."""
USUAL = "auto"
"""What people are offered first."""

METHODS: dict[str, Method] = {
    "auto": Auto(), "scapre": ScaPre(), "uce": UCE(), "rece": RECE(), "speed": SPEED(), "oce": OCE(), "dp": DP(),
    "fia": FIA(), "kscu": KSCU(),
}  # fmt: skip


def closed_forms() -> dict[str, Method]:
    """The methods that need nothing but texts and weights."""
    return {name: solver for name, solver in METHODS.items() if not solver.draws}


def closed_form(name: str) -> Method:
    """Looks up a method that needs nothing but texts and weights.

    Raises:
        ScaPreError: If there is none of this name.
    """
    return _found(closed_forms(), name)


def _found(methods: Mapping[str, Method], name: str) -> Method:
    if name not in methods:
        raise ScaPreError(f"method: {shorten(name)} is unknown. Choose one of {', '.join(methods)}.")
    return methods[name]


def method(name: str) -> Method:
    """Looks a method up.

    Raises:
        ScaPreError: If there is none of this name.
    """
    return _found(METHODS, name)
