"""The life of an edit in a generation, with a model of the tests in the place of a host's."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pack.scapre.edits.edit import Edit
from pack.scapre.errors import ScaPreError
from pack.scapre_webui import infotext
from pack.scapre_webui.choices import Choices
from pack.scapre_webui.hooks import Hooks
from pack.scapre_webui.hosts.loaded import LoadedModel
from pack.scapre_webui.session import Interrupted, Session
from pack.tests.worlds import Encoder, Projections

WIDTH = 12
LIST = Choices(True, "cat -> dog")


class Drawing(nn.Module):
    """What draws: three layers beside each other."""

    def __init__(self, projections: Projections) -> None:
        super().__init__()
        self.names = {name: name.replace(".", "_") for name in projections.roles}
        for name, plain in self.names.items():
            weight = projections.read(name, torch.device("cpu"))
            layer = nn.Linear(WIDTH, len(weight), bias=False)
            layer.weight = nn.Parameter(weight.clone(), requires_grad=False)
            self.add_module(plain, layer)

    def forward(self, states: Tensor) -> Tensor:
        return torch.cat([getattr(self, plain)(states) for plain in self.names.values()], -1)


class Model(LoadedModel):
    """A model with its state, which counts how often it is encoded for."""

    def __init__(self, host: Any) -> None:
        self.host, self.unet, self.device = host, host.drawing, torch.device("cpu")

    def found(self) -> Any:
        return self.host.projections.family, self.host.projections.roles

    def state(self) -> Hashable:
        return self.host.file

    def encoder(self) -> Encoder:
        self.host.encoded += 1
        if self.host.broken:
            raise RuntimeError("no memory")
        return Encoder(WIDTH)

    def read(self, name: str, device: torch.device) -> Tensor:
        return self.host.projections.read(name, device)

    def alone(self) -> Any:
        return nullcontext()

    @cached_property
    def modules(self) -> dict[str, nn.Module]:
        return {name: getattr(self.unet, plain) for name, plain in self.unet.names.items()}

    def put(self, edit: Edit, strength: float, digest: str) -> Callable[[], None]:
        hooks = Hooks(edit, strength)
        hooks.put(self.modules, lambda name: self.read(name, torch.device("cpu")))
        return hooks.remove


def host(file: str = "one", seed: int = 0) -> Any:
    """What stands for a host's loaded model."""
    projections = Projections([(7, WIDTH), (5, WIDTH)], seed=seed)
    return SimpleNamespace(drawing=Drawing(projections), projections=projections, file=file, encoded=0, broken=False)


def processing(model: Any) -> Any:
    """What stands for a generation."""
    said: list[str] = []
    return SimpleNamespace(sd_model=model, extra_generation_params={}, said=said, comment=said.append)


STATES = torch.randn(1, 5, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def session() -> Session:
    return Session(lambda stage, done, total: None, lambda: None, Model)


def test_a_generation_is_erased_and_the_next_is_not(session: Session) -> None:
    model = host()
    p, before = processing(model), model.drawing(STATES)
    session.begin(p, lambda: LIST)
    session.put(p)
    erased = model.drawing(STATES)
    assert not torch.equal(erased, before)
    session.put(p)  # a second pass
    assert torch.equal(model.drawing(STATES), erased)
    assert p.extra_generation_params["ScaPre concepts"] == '["cat -> dog"]'
    assert len(p.said) == 1
    session.end()
    assert torch.equal(model.drawing(STATES), before)
    session.begin(processing(model), lambda: Choices())
    assert torch.equal(model.drawing(STATES), before)


def test_it_is_solved_once_for_batches_strengths_and_generations(session: Session) -> None:
    model = host()
    for strength in (1.0, 0.5, 0.0):
        p = processing(model)
        session.begin(p, lambda strength=strength: replace(LIST, strength=strength))
        session.put(p)
        session.put(p)
        session.end()
    assert model.encoded == 1
    for changes in ({"concepts": "cat"}, {"method": "uce"}, {"seed": 3}, {"anchor": "x"}, {"settings": "reach = 1"}):
        session.begin(processing(model), lambda changes=changes: replace(LIST, **changes))
        session.put(processing(model))
    assert model.encoded == 6
    model.file = "one, with a LoRA"
    session.begin(processing(model), lambda: LIST)
    session.put(processing(model))
    assert model.encoded == 7


def test_a_model_that_is_switched_to_does_not_draw_before_its_edit_is_on(session: Session) -> None:
    first, second = host(), host("two", seed=5)
    p, before = processing(first), second.drawing(STATES)
    session.begin(p, lambda: LIST)
    session.put(p)
    p.sd_model = second
    session.switched(second)
    assert not session.is_on(second)
    with pytest.raises(ScaPreError, match="before the edit"):
        second.drawing(STATES)
    session.put(p)
    assert session.is_on(second)
    assert not torch.equal(second.drawing(STATES), before)
    first.drawing(STATES)  # it is let go
    session.end()
    assert torch.equal(second.drawing(STATES), before)


@pytest.mark.parametrize("fault", ["list", "panel", "model", "shape"])
def test_what_fails_ends_the_generation_and_claims_nothing(session: Session, fault: str) -> None:
    model = host()
    p, before = processing(model), model.drawing(STATES)
    model.broken = fault == "model"

    def choose() -> Choices:
        if fault == "panel":
            raise ScaPreError("strength: no")
        return replace(LIST, concepts="# none") if fault == "list" else LIST

    if fault == "shape":
        model.projections = Projections([(7, WIDTH + 1), (5, WIDTH + 1)])
    session.begin(p, choose)
    session.put(p)
    for _ in range(2):
        with pytest.raises(ScaPreError) as caught:
            model.drawing(STATES)
    assert session.outcome.failed
    assert session.outcome.text == str(caught.value)
    assert not [key for key in p.extra_generation_params if key in infotext.KEYS]
    model.broken = False
    session.begin(processing(model), lambda: Choices())
    assert torch.equal(model.drawing(STATES), before)


def test_what_draws_before_the_edit_is_on_is_stopped(session: Session) -> None:
    model = host()
    session.begin(processing(model), lambda: LIST)
    with pytest.raises(ScaPreError, match="Switch off"):
        model.drawing(STATES)
    session.end()
    model.drawing(STATES)


def test_an_interrupted_solve_claims_nothing_and_fails_nothing() -> None:
    def stop(stage: str, done: int, total: int) -> None:
        raise Interrupted

    session, model = Session(stop, lambda: None, Model), host()
    p = processing(model)
    session.begin(p, lambda: LIST)
    session.put(p)
    assert not session.outcome.failed
    assert not p.extra_generation_params
    with pytest.raises(ScaPreError):
        model.drawing(STATES)  # hosts stop before they draw; if one did not, it would be here


def test_nothing_happens_where_it_is_off(session: Session) -> None:
    p = processing(host())
    session.begin(p, lambda: Choices(False, "# not even a list"))
    session.put(p)
    session.switched(p.sd_model)
    assert not session.active
    assert not p.extra_generation_params
    assert not p.sd_model.drawing._forward_pre_hooks


def test_whatever_the_panel_raises_stops_the_model(session: Session) -> None:
    def choose() -> Choices:
        raise ValueError("any")

    model = host()
    p = processing(model)
    session.begin(p, choose)
    session.put(p)
    with pytest.raises(ScaPreError, match="any"):
        model.drawing(STATES)


def test_where_no_guard_can_stand_the_generation_is_ended() -> None:
    stopped: list[bool] = []
    session = Session(lambda stage, done, total: None, lambda: stopped.append(True), Model)
    session.begin(processing(SimpleNamespace()), lambda: LIST)
    assert stopped == [True]
    session.put(processing(SimpleNamespace()))
    assert stopped == [True, True]
    assert session.outcome.failed


def test_cells_of_a_plot_that_share_what_they_say_do_not_claim_each_others_edits(session: Session) -> None:
    model, table = host(), {"Steps": 6}
    for enabled in (True, False):
        p = processing(model)
        p.extra_generation_params = table
        session.begin(p, lambda enabled=enabled: replace(LIST, enabled=enabled))
        session.put(p)
        session.end()
        assert ("ScaPre concepts" in p.extra_generation_params) == enabled
        assert p.extra_generation_params["Steps"] == 6
        table = p.extra_generation_params


def test_what_is_erased_after_an_interrupted_solve_says_all_of_it() -> None:
    stops = iter([True, *[False] * 1000])

    def progress(stage: str, done: int, total: int) -> None:
        if next(stops):
            raise Interrupted

    session, model = Session(progress, lambda: None, Model), host()
    p = processing(model)
    session.begin(p, lambda: LIST)
    session.put(p)
    assert not p.extra_generation_params
    session.put(p)  # the next batch
    assert infotext.read(p.extra_generation_params, "concepts") == LIST.concepts
