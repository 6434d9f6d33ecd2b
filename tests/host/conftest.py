"""What the tests on the host's own classes share."""

from __future__ import annotations

from collections.abc import Iterator

import comfy.model_management as management
import comfy.sd
import pytest

from pack.scapre.edits.edit import Edit
from pack.tests.host import models


@pytest.fixture
def nothing_left_loaded() -> Iterator[None]:
    """Unloads what a test has loaded."""
    yield
    management.unload_all_models()


@pytest.fixture(scope="module")
def clip() -> comfy.sd.CLIP:
    """SD1.x's text encoder; no test changes it."""
    return models.text_encoder()


@pytest.fixture(scope="module")
def edit(clip: comfy.sd.CLIP) -> Edit:
    """An edit of `models.unet()`."""
    return models.solve(models.unet(), clip)
