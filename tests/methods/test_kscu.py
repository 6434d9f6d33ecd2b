"""KSCU on a toy model: its table, its loss, its factors, and a run that stops and goes on."""

from __future__ import annotations

import math
import zlib
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice, pairwise

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.export import FORMATS, Options, Rank
from pack.scapre.families import Role, having
from pack.scapre.files import read_edit, write_edit
from pack.scapre.merge import merge_edits
from pack.scapre.methods import METHODS, closed_forms
from pack.scapre.methods.kscu import Settings
from pack.scapre.methods.kscu.factors import make
from pack.scapre.methods.kscu.losses import LOSSES, Predictions
from pack.scapre.methods.kscu.mask import Mask
from pack.scapre.methods.kscu.neighbours import held_names
from pack.scapre.methods.kscu.prompts import VARIANTS, lessons
from pack.scapre.methods.kscu.settings import PRESETS
from pack.scapre.methods.kscu.steps import any_steps, key_steps
from pack.scapre.methods.kscu.train import Trainer
from pack.scapre.methods.kscu.trajectory import advance, guided, noise, seeded, walk
from pack.scapre.methods.kscu.turns import Turns
from pack.scapre.report.data import report_data
from pack.scapre.report.markdown import render
from pack.scapre.request import Request
from pack.scapre.solve import solve_edit
from pack.tests import worlds
from pack.tests.methods import kscu_oracle as oracle

SOLVER = METHODS["kscu"]
BLOCK = "diffusion_model.input_blocks.1.1.transformer_blocks.0"
LAYERS = {
    "diffusion_model.input_blocks.0.0.weight": nn.Conv2d(3, 6, 3, padding=1, bias=False),
    f"{BLOCK}.attn2.to_v.weight": nn.Linear(8, 6, bias=False),
    f"{BLOCK}.ff.net.2.weight": nn.Linear(6, 6, bias=False),
    "diffusion_model.output_blocks.0.0.in_layers.2.weight": nn.Conv2d(6, 3, 3, padding=1, bias=False),
}
SMALL = Settings(layers="all", first=3, steps=8, iterations=12, rank=2, learning_rate=0.01, passes=2, guidance=2.0)


class Toy:
    """A model of two convolutions and two matrices, as the engine reads it and trains it."""

    family = "SD1.x"
    device, shape = torch.device("cpu"), (3, 4, 4)

    def __init__(self, steps: int = 8, dtype: torch.dtype = torch.float32) -> None:
        self.dtype, self.exact, self.asked = dtype, dtype, []
        generator = torch.Generator().manual_seed(0)
        self.layers = {}
        for name, kind in LAYERS.items():
            weight = torch.randn(kind.weight.shape, generator=generator) / math.sqrt(math.prod(kind.weight.shape[1:]))
            layer = type(kind)(*_sizes(kind), bias=False, **({"padding": 1} if isinstance(kind, nn.Conv2d) else {}))
            layer.weight = nn.Parameter(weight, requires_grad=False)
            self.layers[name] = layer.to(dtype)
        self.roles = {name: _role(name) for name in self.layers}
        self.sigmas = torch.linspace(4, 0, steps + 1).tolist()
        self.timesteps = torch.linspace(1000, 100, steps).tolist()

    def read(self, name, device):
        return self.layers[name].weight.flatten(1)

    def shapes(self):
        return {name: tuple(layer.weight.shape) for name, layer in self.layers.items()}

    def start(self, drawn):
        return (drawn * self.sigmas[0]).to(self.exact)

    def predict(self, latents, step, texts, text_noise=None):
        assert len(texts) == len(latents)
        self.asked += [(step, text) for text in texts]
        enter, value, forward, leave = self.layers.values()
        states = torch.stack([_state(text) for text in texts]).to(self.exact)
        if text_noise:
            drawn = torch.randn(states.shape, generator=torch.Generator().manual_seed(text_noise.seed))
            states = states + text_noise.size * drawn.to(states)
        hidden = (enter(latents) + value(states)[:, :, None, None]).tanh()
        hidden = hidden + forward(hidden.movedim(1, -1)).movedim(-1, 1)
        return latents / (1 + self.sigmas[step]) + leave(hidden)

    @contextmanager
    def with_factors(self, trained):
        handles = [
            self.layers[name].register_forward_hook(lambda layer, x, y, part=part: y + part(layer, x[0]))
            for name, part in trained.items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def shape_of(self, name):
        return tuple(self.layers[name].weight.shape)


def _sizes(layer):
    if isinstance(layer, nn.Conv2d):
        return layer.in_channels, layer.out_channels, layer.kernel_size
    return layer.in_features, layer.out_features


def _role(name):
    return Role.VALUE if "attn2" in name else Role.FEED_FORWARD if "ff.net" in name else Role.OTHER


def _state(text):
    words = [torch.Generator().manual_seed(zlib.crc32(word.encode())) for word in text.split()]
    return sum((torch.randn(8, generator=word) for word in words), torch.zeros(8))


class Weights(Toy):
    """The toy as projections, whose shapes are asked for by name."""

    shape = Toy.shape_of


def trainer(names: str = "cat", settings: Settings = SMALL, held=(), seed: int = 5, toy: Toy | None = None) -> Trainer:
    toy = toy or Toy(settings.steps)
    wanted = having(toy, SOLVER.edits(settings))
    shapes = {name: shape for name, shape in toy.shapes().items() if name in wanted}
    concepts = parse_concepts(names, "").concepts
    found = lessons(concepts, settings.prompts, seed)
    return Trainer(toy, make(shapes, settings.rank, seed), found, held, settings, seed)


def run(found: Trainer, until: int | None = None) -> Trainer:
    def progress(stage, done, total):
        if done == until:
            raise KeyboardInterrupt

    try:
        found.run(progress)
    except KeyboardInterrupt:
        assert found.done == until
    return found


def edit_of(names: str = "cat", settings: Settings = SMALL, seed: int = 5):
    found = run(trainer(names, settings, seed=seed))
    request = Request(parse_concepts(names, ""), (), settings, seed, method="kscu")
    states, _ = encode_request(worlds.Encoder(12), request)
    return solve_edit(states, Weights(), request, learned=found.payload())


@pytest.mark.parametrize(("first", "steps", "passes"), [(24, 50, 8), (14, 50, 8), (40, 50, 8), (3, 8, 2), (49, 50, 3)])
def test_the_table_is_that_of_the_paper(first: int, steps: int, passes: int) -> None:
    entries = list(islice(key_steps(first, steps, passes), 3000))
    assert [entry.step for entry in entries] == oracle.table(first, steps - 1, steps - 5, passes, 3000)
    for before, after in pairwise(entries):
        same = after.picture == before.picture
        assert same == (after.step == before.step + 1)  # an entry goes on from the one before, or begins anew


def test_esd_trains_at_any_step_of_new_pictures() -> None:
    entries = list(islice(any_steps(0, 50, 3), 2000))
    assert {entry.step for entry in entries} == set(range(50))
    assert [entry.picture for entry in entries] == list(range(2000))
    assert entries == list(islice(any_steps(0, 50, 3), 2000)) != list(islice(any_steps(0, 50, 4), 2000))


@pytest.mark.parametrize("timestep", [999.0, 500.0, 20.0])
def test_the_loss_is_that_of_the_paper(timestep: float) -> None:
    generator = torch.Generator().manual_seed(1)
    tuned_c, tuned_u, frozen_c, frozen_u = torch.randn(4, 2, 3, 4, 4, generator=generator, dtype=torch.float64)
    settings = Settings(erase=1.5, empty_erase=3e-5, empty_weight=0.25)
    frozen = Predictions(frozen_c, frozen_u, frozen_u)
    tuned = Predictions(tuned_c, tuned_u, tuned_u)
    wanted = {"g": 1.5, "l1": 3e-5, "l2": 0.25}
    found = LOSSES["kscu"](tuned, frozen, timestep, settings).item()
    assert found == pytest.approx(oracle.loss(tuned_c, tuned_u, frozen_c, frozen_u, timestep, **wanted), rel=1e-12)
    found = LOSSES["esd"](tuned, frozen, timestep, settings).item()
    wanted["l2"] = 0.0
    assert found == pytest.approx(oracle.loss(tuned_c, tuned_u, frozen_c, frozen_u, timestep, **wanted), rel=1e-12)


def test_a_replacement_is_where_the_concept_goes() -> None:
    c, u, other, tuned = torch.randn(4, 1, 3, 4, 4, dtype=torch.float64)
    settings = Settings(erase=0.0, empty_weight=0.0)
    reached = LOSSES["kscu"](Predictions(other, u, u), Predictions(c, u, other), 500.0, settings)
    assert reached == 0
    assert LOSSES["kscu"](Predictions(tuned, u, u), Predictions(c, u, other), 500.0, settings) > 0


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_those_of_finite_differences(rank: int, loss: str) -> None:
    toy, settings = Toy(dtype=torch.float64), replace(SMALL, loss=loss, empty_weight=0.3)
    trained = make(toy.shapes(), rank, 0)
    for part in trained.values():
        part.double()
        for parameter in part.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)).double()
    latents = noise(toy, 2, seeded(3))
    with torch.no_grad():
        c, u = toy.predict(latents.repeat(2, 1, 1, 1), 4, ["a cat"] * 2 + [""] * 2).split(2)

    def objective() -> torch.Tensor:
        with toy.with_factors(trained):
            both = toy.predict(latents.repeat(2, 1, 1, 1), 4, ["a cat"] * 2 + [""] * 2).split(2)
        return LOSSES[loss](Predictions(*both, both[1]), Predictions(c, u, u), toy.timesteps[4], settings)

    objective().backward()
    for part in trained.values():
        for parameter in part.parameters():
            for place in torch.linspace(0, parameter.numel() - 1, 5).long().tolist():
                with torch.no_grad():
                    slope = oracle.slope(lambda: objective().item(), parameter, place)
                assert parameter.grad.view(-1)[place].item() == pytest.approx(slope, rel=1e-5, abs=1e-9)


def test_a_walk_is_eulers() -> None:
    toy = Toy()
    latents = noise(toy, 1, seeded(1))
    by_hand = latents
    for step in range(3):
        c, u = (toy.predict(by_hand, step, [text]) for text in ("cat", ""))
        by_hand = by_hand + (toy.sigmas[step + 1] - toy.sigmas[step]) * (u + 2.0 * (c - u))
    assert torch.allclose(walk(toy, latents, ["cat"], range(4), 2.0), by_hand, atol=1e-5)


def loss_of(found: Trainer) -> float:
    """The mean loss in pictures of the model before."""
    toy, total = found.denoiser, 0.0
    for seed in range(8):
        latents = walk(toy, noise(toy, 1, seeded(99, seed)), ["cat"], range(4), 2.0)
        for step in range(3, 8):
            with torch.no_grad():
                c, u = toy.predict(latents.repeat(2, 1, 1, 1), step, ["cat", ""]).split(1)
                with toy.with_factors(found.trained):
                    tuned = toy.predict(latents.repeat(2, 1, 1, 1), step, ["cat", ""]).split(1)
            loss = LOSSES["kscu"](Predictions(*tuned, u), Predictions(c, u, u), toy.timesteps[step], found.settings)
            total += loss.item()
            latents = advance(toy, latents, step, guided(c, u, 2.0))
    return total / 40


@pytest.mark.parametrize("rank", [0, 2])
def test_the_loss_falls_and_the_model_stays(rank: int) -> None:
    settings = replace(SMALL, rank=rank, iterations=150, augmented=0.0)
    found = trainer(settings=settings)
    before = {name: layer.weight.clone() for name, layer in found.denoiser.layers.items()}
    first = loss_of(found)
    run(found)
    assert found.done == 150
    assert loss_of(found) < 0.5 * first and SOLVER.remaining(found.payload())[0] < 0.9
    for name, layer in found.denoiser.layers.items():
        assert torch.equal(layer.weight, before[name]) and not layer._forward_hooks


def test_the_latents_of_one_picture_are_taken_on() -> None:
    found = run(trainer(settings=replace(SMALL, iterations=7)))
    steps = [step for step, _ in found.denoiser.asked]
    rebuilt = steps.count(0) // 2  # with the concept and without
    assert rebuilt == 2  # 3..7, and again from 3: two pictures in seven iterations


def test_the_next_latents_are_a_guided_step_of_the_trained_model() -> None:
    found = run(trainer(settings=replace(SMALL, iterations=1)))
    toy, first = Toy(), trainer(settings=SMALL)
    latents = walk(toy, noise(toy, 1, seeded(5, 0, 1)), ["cat"], range(4), 2.0)
    with toy.with_factors(first.trained):
        c, u = toy.predict(latents.repeat(2, 1, 1, 1), 3, ["cat", ""]).split(1)
    wanted = advance(toy, latents, 3, guided(c, u, 2.0))
    assert torch.allclose(found.payload().shared["latents"].view(1, 3, 4, 4), wanted, atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("stop", [1, 5, 11])
@pytest.mark.parametrize("rank", [0, 2])
def test_a_run_that_goes_on_is_the_run_that_never_stopped(loss: str, stop: int, rank: int) -> None:
    settings = replace(SMALL, loss=loss, rank=rank, batch=2, hold=0.5)
    names, held = "cat\ndog -> wolf\nhut", ["pond", "road"]
    straight = run(trainer(names, settings, held)).payload()
    first = run(trainer(names, settings, held), until=stop)
    again = trainer(names, settings, held)
    again.resume(first.payload())
    found = run(again).payload()
    assert found.same_as(straight) and int(found.shared["done"]) == 12


def test_seeds_tell_runs_apart() -> None:
    one, same, other = (run(trainer(seed=seed)).payload() for seed in (1, 1, 2))
    assert one.same_as(same) and not one.same_as(other)


@pytest.mark.parametrize("rank", [0, 2])
def test_the_edit_does_to_weights_what_the_factors_did_to_answers(rank: int) -> None:
    settings = replace(SMALL, rank=rank)
    found, edit = run(trainer(settings=settings)), edit_of(settings=settings)
    latents, texts = noise(found.denoiser, 2, seeded(9)), ["a cat", ""]
    with torch.no_grad(), found.denoiser.with_factors(found.trained):
        wanted = found.denoiser.predict(latents, 2, texts)
    toy = Toy()
    for name, layer in toy.layers.items():
        change = edit.delta(name, layer.weight.flatten(1)).view(layer.weight.shape)
        assert change.abs().max() > 0
        layer.weight = nn.Parameter(layer.weight + change, requires_grad=False)
    assert torch.allclose(toy.predict(latents, 2, texts), wanted, atol=1e-5)


@pytest.mark.parametrize("layers", ["cross-attention", "all but cross-attention", "all"])
def test_layers_are_chosen_by_role(layers: str) -> None:
    edit = edit_of(settings=replace(SMALL, layers=layers))
    cross = {name for name in LAYERS if "attn2" in name}
    assert (
        set(edit.shapes)
        == {
            "cross-attention": cross,
            "all but cross-attention": LAYERS.keys() - cross,
            "all": LAYERS.keys(),
        }[layers]
    )


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("states", [True, False])
def test_a_file_holds_it_bit_for_bit(tmp_path, rank: int, states: bool) -> None:
    edit = edit_of(settings=replace(SMALL, rank=rank))
    write_edit(edit, tmp_path / "edit.safetensors", states=states)
    again = read_edit(tmp_path / "edit.safetensors")
    kept = edit.payload if states else SOLVER.trimmed(edit.payload)
    assert again.payload.same_as(kept) and again.settings == edit.settings
    resumed = trainer(settings=replace(SMALL, rank=rank))
    if states:
        resumed.resume(again.payload)
        assert resumed.done == 12
        return
    with pytest.raises(ScaPreError, match="for_merging off"):
        resumed.resume(again.payload)


@pytest.mark.parametrize("rank", [0, 2])
def test_merging_adds_changes_up(rank: int) -> None:
    settings = replace(SMALL, rank=rank)
    one, other = edit_of("cat", settings), edit_of("dog\nhut", settings, seed=8)
    both = merge_edits({"edit1": one, "edit2": other}, Weights())
    assert [concept.text for concept in both.concepts] == ["cat", "dog", "hut"]
    assert any("added up" in note for note in both.report.notes)
    for name, layer in Toy().layers.items():
        weight = layer.weight.flatten(1)
        total = one.delta(name, weight) + other.delta(name, weight)
        assert torch.allclose(both.delta(name, weight), total, atol=1e-6)
    left = [SOLVER.remaining(edit.payload) for edit in (one, other, both)]
    assert left[2] == [*left[0], *left[1]]
    apart = merge_edits({"edit1": one, "edit2": other}, Weights(), remove=["cat"])
    for name, layer in Toy().layers.items():
        assert torch.allclose(apart.delta(name, layer.weight.flatten(1)), other.delta(name, layer.weight.flatten(1)))


def test_what_cannot_be_merged_is_refused() -> None:
    one, pair = edit_of("cat"), edit_of("dog\nhut", seed=8)
    with pytest.raises(ScaPreError, match=r"cannot be taken apart.*Train again"):
        merge_edits({"edit1": one, "edit2": pair}, Weights(), remove=["dog"])
    with pytest.raises(ScaPreError, match="erase the same concept"):
        merge_edits({"edit1": one, "edit2": edit_of("cat", seed=8)}, Weights())
    with pytest.raises(ScaPreError, match=r"different layers.*Apply Edit"):
        merge_edits({"a": one, "b": edit_of("dog", replace(SMALL, layers="cross-attention"))}, Weights())
    with pytest.raises(ScaPreError, match=r"full weights \(rank 0\)"):
        merge_edits({"a": one, "b": edit_of("dog", replace(SMALL, rank=0))}, Weights())


def test_a_lora_holds_the_factors_themselves(tmp_path) -> None:
    edit, weights = edit_of(), Weights()
    options = Options(Rank(), "fp32")
    made = FORMATS["lora"](edit, weights, tmp_path / "lora.safetensors", options, lambda *_: None)
    assert made.residual < 1e-6 and made.rank == 2
    file = load_file(tmp_path / "lora.safetensors")
    ups = {name: value for name, value in file.items() if name.endswith("lora_up.weight")}
    assert len(ups) == len(LAYERS)
    enter = "lora_unet_conv_in"
    own = edit.payload.matrices["diffusion_model.input_blocks.0.0.weight"]
    assert torch.equal(file[f"{enter}.lora_down.weight"], own["down"].view(2, 3, 3, 3))
    assert torch.equal(file[f"{enter}.lora_up.weight"], own["up"].view(6, 2, 1, 1))
    assert file["lora_unet_up_blocks_0_resnets_0_conv1.lora_down.weight"].shape == (2, 6, 3, 3)
    made = FORMATS["lora"](edit, weights, tmp_path / "one.safetensors", Options(Rank(1), "fp32"), lambda *_: None)
    assert made.rank == 1 and made.residual > 0.01
    made = FORMATS["diff"](edit, weights, tmp_path / "diff.safetensors", Options(Rank(), "fp32"), lambda *_: None)
    assert load_file(tmp_path / "diff.safetensors")[f"{enter}.diff"].shape == (6, 3, 3, 3)


def test_the_report_says_what_is_left() -> None:
    edit = edit_of("cat\ndog -> wolf", replace(SMALL, iterations=100, augmented=0.0))
    data = report_data(edit, "Erased")
    assert [row["name"] for row in data["concepts"]] == ["cat", "dog"]
    assert all(0 < row["remaining"] < 1 for row in data["concepts"])
    assert not data["drift"] and not data["neurons"]
    blocks = {row["block"]: row for row in data["blocks"]}
    assert blocks["input 1.0"]["value"] > 0 and blocks["input 1.0"]["output"] > 0 and blocks["input 0"]["rest"] > 0
    told = render(data)
    assert "rest of a layer (R)" in told and "Drift" not in told and "iterations 100" in told
    assert "kept" not in told and "where the concept should go" in told


def test_remaining_is_one_before_anything_is_learned() -> None:
    found = run(trainer(settings=replace(SMALL, iterations=1)))
    assert SOLVER.remaining(found.payload()) == pytest.approx([1.0], rel=1e-5)


def test_numbers_that_grow_without_end_stop_it_at_the_last_finite_state() -> None:
    found = run(trainer(settings=replace(SMALL, learning_rate=0.1, rank=0, iterations=400), toy=Exploding(8)))
    assert found.diverged and 0 < found.done < 400
    assert all(tensor.isfinite().all() for tensor in found.payload())
    at_once = trainer(settings=SMALL, toy=Exploding(8, at=0))
    with pytest.raises(ScaPreError, match="loss of the first iteration is"):
        run(at_once)


def test_with_scaled_gradients_too_the_last_finite_state_is_kept(tmp_path) -> None:
    toy = Exploding(8)
    toy.dtype = torch.float16  # says so, and computes on as before
    found = run(trainer(toy=toy))
    assert found.diverged and found.done == 3
    assert all(tensor.isfinite().all() for tensor in found.payload())
    straight, first, again = trainer(toy=half()), trainer(toy=half()), trainer(toy=half())
    again.resume(run(first, until=5).payload())
    assert run(again).payload().same_as(run(straight).payload())


def half() -> Toy:
    toy = Toy()
    toy.dtype = torch.float16
    return toy


class Exploding(Toy):
    """Gives infinity after some calls with gradients."""

    def __init__(self, steps: int, at: int = 3) -> None:
        super().__init__(steps)
        self.at = at

    def predict(self, latents, step, texts, text_noise=None):
        found = super().predict(latents, step, texts, text_noise)
        self.at -= torch.is_grad_enabled()
        return found * math.inf if self.at < 0 else found


def test_a_mask_trains_the_entries_with_the_largest_gradients() -> None:
    parameter = nn.Parameter(torch.zeros(4, 5))
    parameter.grad = torch.arange(20.0).view(4, 5) - 10
    mask = Mask(0.25, 2)
    mask.apply([parameter], 0)
    kept = parameter.grad != 0
    assert kept.sum() == 5 and parameter.grad[0, 0] == -10 and parameter.grad[3, 4] == 9
    parameter.grad = torch.ones(4, 5)
    mask.apply([parameter], 1)
    assert torch.equal(parameter.grad != 0, kept)  # until it is chosen anew
    parameter.grad = torch.arange(20.0).view(4, 5)
    mask.apply([parameter], 2)
    assert torch.equal(parameter.grad != 0, torch.arange(20).view(4, 5) > 14)
    whole = run(trainer(settings=replace(SMALL, rank=0, mask=1.0))).payload()
    part = run(trainer(settings=replace(SMALL, rank=0, mask=0.1, mask_every=100))).payload()
    for name, own in part.matrices.items():
        assert (own["change"] != 0).double().mean() == pytest.approx(0.1, abs=0.05)
        assert (whole.matrices[name]["change"] != 0).double().mean() > 0.9


def test_what_is_held_moves_less() -> None:
    settings = replace(SMALL, iterations=120, augmented=0.0, batch=2)
    moved = {}
    for weight in (0.0, 5.0):
        found = run(trainer("cat", replace(settings, hold=weight), held=["dog"]))
        latents = noise(found.denoiser, 1, seeded(77))
        before = found.denoiser.predict(latents, 5, ["dog"])
        with torch.no_grad(), found.denoiser.with_factors(found.trained):
            moved[weight] = (found.denoiser.predict(latents, 5, ["dog"]) - before).norm().item()
    assert moved[5.0] < 0.7 * moved[0.0]


def test_prompts_vary_in_the_last_iterations_alone() -> None:
    settings = replace(SMALL, iterations=20, augmented=0.25, wordings="a picture of NAME here")
    found = run(trainer("big cat", settings))
    asked = [text for _, text in found.denoiser.asked if text]
    usual = "a picture of big cat here"
    first = next(i for i, text in enumerate(asked) if text != usual)
    assert "big cat" in asked[first] and first / len(asked) > 0.7
    for lesson in lessons(parse_concepts("big cat", "").concepts, settings.prompts, 0):
        assert len(lesson.variants[0]) == VARIANTS and len(set(lesson.variants[0])) > 3
        assert all("big cat" in text for text in lesson.variants[0])


def test_names_without_a_turn_are_told() -> None:
    edit = edit_of("cat\ndog\nhut", replace(SMALL, iterations=2))
    assert any("2 of 3 names had no turn" in note for note in edit.report.notes)
    assert not any("had no turn" in note for note in edit_of("cat\ndog", replace(SMALL, iterations=30)).report.notes)


def test_texts_are_those_that_are_asked_with() -> None:
    settings = replace(SMALL, iterations=20, augmented=0.3, wordings="NAME; a picture of NAME", batch=2)
    found = lessons(parse_concepts("cat\ndog -> wolf\nhut", "").concepts, settings.prompts, 5)
    asked = run(trainer("cat\ndog -> wolf\nhut", settings)).denoiser.asked
    assert {text for _, text in asked} - {""} == set(Turns(found, settings, 5).texts(0)) - {""}
    assert set(Turns(found, settings, 5).texts(15)) < set(Turns(found, settings, 5).texts(0))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shared.seen", torch.ones(1, 3)),
        ("shared.done", torch.tensor([1, 2])),
        ("shared.done", torch.tensor([10**12])),
        ("shared.adam", torch.ones(3)),
        (f"rows.{next(iter(LAYERS))}.up_second", -torch.ones(6, 2)),
    ],
)
def test_tampered_files_are_refused(tmp_path, name: str, value: torch.Tensor) -> None:
    write_edit(edit_of(), tmp_path / "edit.safetensors")
    with safe_open(tmp_path / "edit.safetensors", "pt") as file:
        metadata, tensors = file.metadata(), dict(zip(file.keys(), map(file.get_tensor, file.keys()), strict=True))
    assert name in tensors
    save_file(tensors | {name: value}, tmp_path / "edit.safetensors", metadata=metadata)
    with pytest.raises(ScaPreError, match="damaged or of another kind"):
        read_edit(tmp_path / "edit.safetensors")


def test_latents_of_another_size_are_not_resumed() -> None:
    payload = run(trainer()).payload()
    shared = dict(payload.shared) | {"latents": torch.zeros(1, 7)}
    with pytest.raises(ScaPreError, match="other sizes"):
        trainer().resume(replace(payload, shared=shared))
    wider = dict(payload.shared) | {"latents": torch.zeros(3, 48)}
    found = trainer()
    found.resume(replace(payload, shared=wider))  # as where memory was full: new pictures are begun
    assert found.done == 12


def test_concepts_take_turns() -> None:
    found = run(trainer("cat\ndog\nhut", replace(SMALL, iterations=30, augmented=0.0)))
    asked = {text for _, text in found.denoiser.asked}
    assert {"cat", "dog", "hut"} <= asked


def test_held_names_are_preserved_ones_and_neighbours() -> None:
    concepts, encoder = parse_concepts("cat", "").concepts, worlds.Encoder(12)
    assert held_names(encoder, concepts, ("dog",), Settings()) == (
        (), ("preserved names are not held, since hold is 0",)
    )  # fmt: skip
    assert held_names(encoder, concepts, (), Settings()) == ((), ())
    assert held_names(encoder, concepts, ("dog", "hut"), Settings(hold=1.0)) == (("dog", "hut"), ())


def test_presets_are_those_of_the_paper() -> None:
    told = {name: (p.settings.layers, p.settings.first, p.settings.iterations) for name, p in PRESETS.items()}
    cross, rest = "cross-attention", "all but cross-attention"
    assert told == {
        "style": (cross, 24, 500), "class": (rest, 14, 750), "instance": (cross, 40, 200),
        "explicit": (rest, 14, 750), "esd-x": (cross, 0, 1000), "esd-u": (rest, 0, 1000),
    }  # fmt: skip
    style = PRESETS["style"].settings
    assert (style.steps, style.passes, style.guidance, style.erase) == (50, 8, 3.0, 1.0)
    assert (style.empty_erase, style.empty_weight, style.augmented, style.noise) == (2e-5, 1e-4, 0.05, 1e-5)
    assert (style.mask, style.batch, style.prompts) == (1.0, 1, ("NAME",))
    held = {name: (preset.settings.hold, preset.settings.neighbours) for name, preset in PRESETS.items()}
    assert held == {name: (0.0, 0) if "esd" in name else (2.0, 16) for name in PRESETS}  # ours
    assert (Settings().hold, Settings().neighbours) == (0.0, 0)


def test_it_is_no_closed_form() -> None:
    assert "kscu" in METHODS and "kscu" not in closed_forms()
    request = Request(parse_concepts("cat", ""), (), SMALL, method="kscu")
    states, _ = encode_request(worlds.Encoder(12), request)
    with pytest.raises(ScaPreError, match="Unlearn Concepts"):
        solve_edit(states, Weights(), request)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"first": 50}, "outside the steps of a picture"),
        ({"first": 30, "steps": 20}, "outside the steps"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"iterations": 0}, "iterations"),
        ({"wordings": "a picture"}, "no place for the name"),
        ({"layers": "some"}, "layers"),
        ({"mask": 0.0}, "mask"),
        ({"size": 8}, "too small"),
        ({"size": 100}, "no multiple of 8"),
        ({"wordings": "FILENAME"}, "no place for the name"),
    ],
)
def test_bad_settings_are_refused(bad: dict, says: str) -> None:
    with pytest.raises(ScaPreError, match=says):
        replace(Settings(), **bad)
