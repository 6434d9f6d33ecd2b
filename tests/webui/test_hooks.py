"""An edit beside plain layers does what the edited weights do, and leaves nothing behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.edits.edit import Edit
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.methods import METHODS
from pack.scapre.request import Request
from pack.scapre.solve import solve_edit
from pack.scapre_webui.arithmetic import exact
from pack.scapre_webui.guard import Guard
from pack.scapre_webui.hooks import Basis, Hooks, Shift
from pack.tests.worlds import Encoder, Projections

WIDTH = 12


def solved(method: str, width: int = WIDTH) -> tuple[Edit, Projections]:
    """An edit of small projections."""
    projections = Projections([(7, width), (5, width), (7, width)])
    solver = METHODS[method]
    preset = next(iter(solver.presets.values()))
    request = Request(parse_concepts("cat -> dog\nbird"), ("fish",), preset.settings, method=method)
    states, _ = encode_request(Encoder(width), request)
    return solve_edit(states, projections, request), projections


def layers(projections: Projections) -> dict[str, nn.Linear]:
    """Modules with the projections' weights."""
    found = {}
    for name in projections.roles:
        weight = projections.read(name, torch.device("cpu"))
        found[name] = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        found[name].weight = nn.Parameter(weight.clone(), requires_grad=False)
    return found


def edited(weight: torch.Tensor, edit: Edit, name: str, strength: float) -> torch.Tensor:
    """The weight that a merge comes to."""
    return weight + strength * edit.delta(name, weight) if name in edit.shapes else weight


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("method", ["auto", "scapre", "uce", "rece", "oce", "dp", "speed"])
def test_layers_answer_as_edited_weights_do(method: str, strength: float) -> None:
    edit, projections = solved(method)
    modules, states = layers(projections), torch.randn(2, 9, WIDTH, generator=torch.Generator().manual_seed(0))
    before = {name: module(states) for name, module in modules.items()}
    hooks = Hooks(edit, strength)
    hooks.put(modules, lambda name: modules[name].weight)
    for name, module in modules.items():
        wanted = states @ edited(module.weight, edit, name, strength).T
        assert torch.allclose(module(states), wanted, atol=2e-5 * float(wanted.abs().max()))
    hooks.remove()
    assert all(torch.equal(module(states), before[name]) for name, module in modules.items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules.values())


@pytest.mark.parametrize("held", [0, 3])
def test_what_an_edit_adds_to_states_is_its_matrix(held: int) -> None:
    from pack.scapre.methods.right import right_matrix

    random = torch.Generator().manual_seed(1)
    basis = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=random, dtype=torch.float64)).Q[:, :held]
    matrix = torch.randn(WIDTH, WIDTH, generator=random, dtype=torch.float64)
    matrix = matrix - matrix @ basis @ basis.T
    shared = right_matrix(matrix, torch.float32, basis if held else None)
    states = torch.randn(2, 3, WIDTH, generator=random)
    method = METHODS["uce"]
    found = method.shift(shared, None)(states)
    assert torch.allclose(found, states @ matrix.float().T, atol=5e-3)
    weight = torch.randn(4, WIDTH, generator=random)
    assert torch.allclose(found @ weight.T, states @ method.delta(shared, {}, weight, None).dense().T, atol=2e-5)


def test_what_is_changed_before_the_layers_needs_no_weight() -> None:
    edit, projections = solved("auto")

    def unread(name: str) -> Any:
        raise AssertionError(name)

    hooks = Hooks(edit, 1.0)
    hooks.put(layers(projections), unread)
    hooks.remove()


def test_the_same_states_are_changed_once_for_all_layers() -> None:
    edit, projections = solved("auto")
    modules = layers(projections)
    seen: list[torch.Tensor] = []
    for module in modules.values():
        module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    hooks = Hooks(edit, 1.0)
    hooks.put(modules, lambda name: modules[name].weight)
    handles = [
        module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0])) for module in modules.values()
    ]
    seen.clear()
    states = torch.randn(1, 4, WIDTH)
    for name in edit.shapes:
        modules[name](states)
    after = [one for one in seen if one is not states]
    assert len({id(one) for one in after}) == 1
    assert all(handles)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The states that hooks have computed something of, one entry a computation."""
    seen: list[torch.Tensor] = []
    for owner, name in ((Shift, "_moved"), (Basis, "__call__")):
        plain = getattr(owner, name)

        def told(self: Any, states: torch.Tensor, *values: Any, plain: Any = plain) -> torch.Tensor:
            seen.append(states)
            return plain(self, states, *values)

        monkeypatch.setattr(owner, name, told)
    return seen


def on(edit: Edit, projections: Projections, text: Any = None) -> tuple[Any, Any]:
    """What layers with the edit say to states, and what they should."""
    modules = layers(projections)
    Hooks(edit, 1.0).put(modules, lambda name: modules[name].weight, text)
    wanted = {name: edited(module.weight, edit, name, 1.0) for name, module in modules.items()}

    def differences(states: torch.Tensor) -> float:
        pairs = [(modules[name](states), states @ wanted[name].T) for name in edit.shapes]
        return max(float((found - right).abs().max() / right.abs().max()) for found, right in pairs)

    return differences, modules


CACHED = ["auto", "scapre", "rece", "oce"]


@pytest.mark.parametrize("method", CACHED)
def test_the_same_text_is_computed_once_for_all_steps(method: str, computed: list[torch.Tensor]) -> None:
    edit, projections = solved(method)
    differences, _ = on(edit, projections)
    texts = [torch.randn(2, 9, WIDTH, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    assert max(differences(text) for text in texts) < 1e-4
    first = len(computed)
    for _ in range(3):  # texts of AND come one after another, in tensors that are new at every step
        assert max(differences(text.clone()) for text in texts) < 1e-4
    assert len(computed) == first


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("method", CACHED)
def test_another_text_is_never_taken_for_the_last_one(method: str, inference: bool) -> None:
    edit, projections = solved(method)
    with torch.inference_mode(inference), torch.no_grad():
        differences, modules = on(edit, projections)
        states = torch.randn(2, 9, WIDTH)
        assert differences(states) < 1e-4
        states[0, 3] += 1  # written to where it is
        assert differences(states) < 1e-4
        for other in (states[:1], states[:, :5], states[:, :, :].flip(0), states + 1e-3, torch.zeros_like(states)):
            assert differences(other.clone()) < 1e-4 or not other.any()
        name = next(iter(edit.shapes))
        assert modules[name](torch.full_like(states, float("nan"))).isnan().all()
        assert differences(states) < 1e-4


@pytest.mark.parametrize("method", CACHED)
def test_states_of_another_precision_are_others(method: str) -> None:
    edit, projections = solved(method)
    states, name = torch.randn(1, 4, WIDTH).bfloat16(), next(iter(edit.shapes))

    def answers(*kinds: torch.dtype) -> torch.Tensor:
        modules = layers(projections)
        Hooks(edit, 1.0).put(modules, lambda name: modules[name].weight)
        return [modules[name].to(kind)(states.to(kind)) for kind in kinds][-1]

    alone = answers(torch.bfloat16)
    assert alone.dtype == torch.bfloat16
    assert torch.equal(answers(torch.float32, torch.bfloat16), alone)  # of equal values, but not their result


def test_what_reads_no_text_is_computed_anew_and_kept_nowhere(computed: list[torch.Tensor]) -> None:
    edit, projections = solved("scapre")
    differences, _ = on(edit, projections, text=())
    states = torch.randn(1, 4, WIDTH)
    assert differences(states) < 1e-4
    first = len(computed)
    assert differences(states) < 1e-4
    assert len(computed) == 2 * first


def test_half_precision_is_kept_and_not_taken_over() -> None:
    edit, projections = solved("auto")
    modules = {name: module.to(torch.bfloat16) for name, module in layers(projections).items()}
    states = torch.randn(2, 9, WIDTH).to(torch.bfloat16)
    hooks = Hooks(edit, 1.0)
    hooks.put(modules, lambda name: modules[name].weight.float())
    name = next(iter(edit.shapes))
    wanted = states.float() @ edited(modules[name].weight.float(), edit, name, 1.0).T
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = modules[name](states)
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.float(), wanted, atol=0.03 * float(wanted.abs().max()))


def test_missing_layers_are_told() -> None:
    edit, _ = solved("auto")
    with pytest.raises(ScaPreError, match="no projection"):
        Hooks(edit, 1.0).put({}, lambda name: torch.zeros(1))


def test_a_guarded_model_draws_only_when_the_guard_is_open() -> None:
    model = nn.Linear(3, 3)
    guard, states = Guard(model), torch.ones(1, 3)
    with pytest.raises(ScaPreError, match="before the edit"):
        model(states)
    guard.open()
    before = model(states)
    guard.close(ScaPreError("concepts: no"))
    with pytest.raises(ScaPreError, match="concepts: no"):
        model(states)
    guard.remove()
    assert torch.equal(model(states), before)


def test_arithmetic_is_exact_in_the_midst_of_half_precision() -> None:
    random = torch.Generator().manual_seed(2)
    one, other = (torch.randn(8, 8, generator=random) for _ in range(2))
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert (one @ other).dtype == torch.bfloat16
        with exact():
            found = one @ other
            assert found.dtype == torch.float32
            assert not found.is_inference()
        assert (one @ other).dtype == torch.bfloat16
