"""The models of the web UIs. A new host is a module here and a line in `HOSTS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from ...scapre.errors import ScaPreError
from .loaded import LoadedModel


def _is_forge(model: Any) -> bool:
    return hasattr(model, "forge_objects") and type(model.forge_objects.unet).__module__ == "backend.patcher.unet"


def _is_a1111(model: Any) -> bool:
    return not hasattr(model, "forge_objects") and hasattr(getattr(model, "model", None), "diffusion_model")


HOSTS: Mapping[str, Callable[[Any], bool]] = {"forge": _is_forge, "a1111": _is_a1111}
"""Module of each host here, and whether a loaded model is one of its own."""


def loaded(model: Any) -> LoadedModel:
    """A host's loaded model as this pack needs it.

    Raises:
        ScaPreError: If it is of another host.
    """
    for name, is_its in HOSTS.items():
        if is_its(model):
            found: LoadedModel = import_module(f".{name}", __name__).Model(model)
            return found
    raise ScaPreError(
        "model: this web UI keeps its models in a way that is not known here. ScaPre works in AUTOMATIC1111 and Forge."
    )
