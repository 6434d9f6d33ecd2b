"""Where memory runs out the CPU takes over; Cancel stops at once and leaves nothing."""

from __future__ import annotations

import logging
from typing import Any

import comfy.model_management as management
import comfy.sd
import comfy.weight_adapter
import pytest
import torch
from torch import Tensor

from pack.nodes.host.device import has_float64, with_cpu_fallback
from pack.nodes.host.patch import apply_edit
from pack.nodes.host.progress import HostProgress
from pack.nodes.host.text_encoder import ClipEncoder
from pack.scapre.edits.edit import Edit
from pack.scapre.errors import ScaPreError
from pack.tests.host import models
from pack.tests.host.models import CPU, answer, projections, same, snapshot, solve, unet, untouched

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")


@pytest.fixture(params=["this host", "an old host"])
def host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """This host, and one that has none of the functions that came later."""
    if request.param == "an old host":
        for name in ("supports_fp64", "is_oom"):
            monkeypatch.delattr(management, name, raising=False)


@pytest.mark.usefixtures("host")
def test_float64_is_only_asked_of_devices_that_have_it() -> None:
    assert [has_float64(torch.device(kind)) for kind in ("cpu", "cuda", "mps")] == [True, True, False]


class Exhausting(Edit):
    """An edit whose first evaluation runs out of memory."""

    asked = 0

    def delta(self, name: str, weight: Tensor) -> Tensor:
        """The change, except the first time."""
        type(self).asked += 1
        if self.asked == 1:
            raise torch.OutOfMemoryError("no memory left")
        return super().delta(name, weight)


@pytest.mark.usefixtures("host")
def test_a_patch_without_memory_is_computed_on_the_cpu(edit: Edit, caplog: pytest.LogCaptureFixture) -> None:
    model = unet()
    expected = answer(apply_edit(model, edit, 1.0))
    Exhausting.asked = 0
    with caplog.at_level(logging.WARNING, "scapre"):
        found = answer(apply_edit(model, Exhausting(**vars(edit)), 1.0))
    assert torch.equal(found, expected)
    assert Exhausting.asked == len(edit.shapes) + 1
    assert [record.levelname for record in caplog.records if record.name == "scapre"] == ["WARNING"]


@pytest.mark.usefixtures("host")
def test_another_error_of_a_patch_is_not_hidden(edit: Edit) -> None:
    class Broken(Edit):
        def delta(self, name: str, weight: Tensor) -> Tensor:
            raise RuntimeError(f"{name} is broken")

    model = unet()
    before = answer(model)
    with pytest.raises(RuntimeError, match="is broken"):
        answer(apply_edit(model, Broken(**vars(edit)), 1.0))
    management.unload_all_models()
    assert torch.equal(answer(model), before)


# A device that this process does not have, and of whose memory the host asks the system.
ELSEWHERE = torch.device("mps")


@pytest.mark.usefixtures("host")
def test_a_solve_without_memory_is_done_on_the_cpu(edit: Edit, caplog: pytest.LogCaptureFixture) -> None:
    asked: list[torch.device] = []

    def compute(device: torch.device) -> Edit:
        asked.append(device)
        if device.type != "cpu":
            raise torch.OutOfMemoryError("no memory left")
        return edit

    with caplog.at_level(logging.WARNING, "scapre"):
        assert with_cpu_fallback(compute, ELSEWHERE) is edit
    assert asked == [ELSEWHERE, CPU]
    assert len([record for record in caplog.records if record.name == "scapre"]) == 1


@pytest.mark.usefixtures("host")
def test_a_solve_that_fails_otherwise_is_not_repeated() -> None:
    asked: list[torch.device] = []

    def compute(device: torch.device) -> Edit:
        asked.append(device)
        raise ScaPreError("clip: wrong")

    with pytest.raises(ScaPreError, match="wrong"):
        with_cpu_fallback(compute, ELSEWHERE)
    assert asked == [ELSEWHERE]


class PressesCancel(comfy.weight_adapter.WeightAdapterBase):
    """A patch that changes nothing; the user presses Cancel while it is read."""

    name = "cancel"
    read: list[str] = []  # noqa: RUF012 - shared on purpose

    def __init__(self, loaded_keys: set[str], weights: tuple[Tensor, ...]) -> None:
        self.loaded_keys, self.weights = loaded_keys, weights

    def calculate_weight(self, weight: Tensor, key: str, *_: Any, **__: Any) -> Tensor:
        """The weight as it is."""
        self.read.append(key)
        management.interrupt_current_processing()
        return weight


def test_cancel_stops_a_solve_at_once_and_leaves_nothing(clip: comfy.sd.CLIP, edit: Edit) -> None:
    bare = unet()
    before = snapshot(bare)
    fourth = list(projections(bare))[3]
    model = bare.clone()
    model.add_patches({fourth: PressesCancel(set(), (torch.zeros(1),))})
    PressesCancel.read.clear()
    with pytest.raises(management.InterruptProcessingException):
        solve(model, clip)
    assert PressesCancel.read == [fourth]  # no weight is read after it
    assert not management.processing_interrupted()
    assert untouched(bare, before, {})
    assert list(model.patches) == [fourth]
    again = solve(bare, clip)
    assert same(models.tensors(again), models.tensors(edit))


def test_cancel_stops_the_text_encoding(clip: comfy.sd.CLIP) -> None:
    progress, done = HostProgress(None), []

    def first_batch_then_cancel(stage: str, count: int, total: int) -> None:
        progress(stage, count, total)
        done.append(count)
        if count:
            management.interrupt_current_processing()

    with pytest.raises(management.InterruptProcessingException):
        ClipEncoder(clip).encode([f"text {index}" for index in range(200)], first_batch_then_cancel)
    assert len(done) == 2  # the start and the batch after which Cancel was pressed
    assert 0 < done[1] < 200
    assert not management.processing_interrupted()
