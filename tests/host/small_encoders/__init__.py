"""A pack for the tests' server: nodes that give the text encoders and models of `transformers.py`.

The real ones have billions of weights, and the stock loaders make them in no other size. Everything else in a graph of
the tests is stock.
"""

from __future__ import annotations

import os
import sys
import types
from typing import Any

if "pack" not in sys.modules:
    package = types.ModuleType("pack")
    package.__path__ = [os.environ["SCAPRE_CHECKOUT"]]
    sys.modules["pack"] = package


class SmallTextEncoder:
    """Gives the CLIP of one family, as wide as that family's."""

    RETURN_TYPES = ("CLIP",)
    FUNCTION = "load"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Which family."""
        return {"required": {"kind": ("STRING", {}), "width": ("INT", {"max": 2**16})}}

    def load(self, kind: str, width: int) -> tuple[Any]:
        """Makes it."""
        from pack.tests.host.transformers import KINDS

        return (KINDS[kind].encoder(width),)


class SmallModel:
    """Gives the diffusion model of one family, where the stock loader knows that in one size alone."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "load"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Which family."""
        return {"required": {"kind": ("STRING", {})}}

    def load(self, kind: str) -> tuple[Any]:
        """Makes it."""
        from pack.tests.host.transformers import transformer

        return (transformer(kind),)


NODE_CLASS_MAPPINGS = {"SmallTextEncoder": SmallTextEncoder, "SmallModel": SmallModel}
