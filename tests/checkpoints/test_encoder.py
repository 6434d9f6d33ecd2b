"""The text encoder of a checkpoint with libraries that differ in what they call weights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import transformers
from torch import Tensor

from pack.scapre.checkpoints.encoder import CheckpointEncoder
from pack.scapre.checkpoints.towers import END, WINDOW, Tower
from pack.scapre.errors import ScaPreError
from pack.scapre.progress import silent

WIDTH, PREFIX = 16, "text_model."
TOWER = Tower((PREFIX,), False, 2, 2, "quick_gelu", True, END)


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """A small text encoder as a checkpoint has it."""
    generator = torch.Generator().manual_seed(0)
    sizes: dict[str, tuple[int, ...]] = {
        "embeddings.token_embedding.weight": (END + 1, WIDTH),
        "embeddings.position_embedding.weight": (WINDOW, WIDTH),
    }
    sizes |= {f"final_layer_norm.{part}": (WIDTH,) for part in ("weight", "bias")}
    for layer in (f"encoder.layers.{index}." for index in range(TOWER.layers)):
        for name, rows, columns in (("mlp.fc1", 32, WIDTH), ("mlp.fc2", WIDTH, 32)):
            sizes |= {f"{layer}{name}.weight": (rows, columns), f"{layer}{name}.bias": (rows,)}
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            sizes |= {f"{layer}self_attn.{name}.weight": (WIDTH, WIDTH), f"{layer}self_attn.{name}.bias": (WIDTH,)}
        for name in ("layer_norm1", "layer_norm2"):
            sizes |= {f"{layer}{name}.weight": (WIDTH,), f"{layer}{name}.bias": (WIDTH,)}
    return {PREFIX + name: torch.randn(size, generator=generator) / WIDTH**0.5 for name, size in sizes.items()}


class WithBuffer(transformers.CLIPTextModel):  # type: ignore[misc]
    """As transformers had it before 4.31: positions are among the weights."""

    kept = True

    def __init__(self, config: transformers.CLIPTextConfig) -> None:
        super().__init__(config)
        embeddings = getattr(self, "text_model", self).embeddings
        if hasattr(embeddings, "position_ids"):
            del embeddings.position_ids
        embeddings.register_buffer("position_ids", torch.arange(WINDOW)[None], persistent=self.kept)


class WithoutBuffer(WithBuffer):
    """As later versions have it."""

    kept = False


@pytest.fixture(params=[WithBuffer, WithoutBuffer])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The library in both ways."""
    monkeypatch.setattr(transformers, "CLIPTextModel", request.param)
    yield


def states(weights: dict[str, Tensor]) -> Tensor:
    encoder = CheckpointEncoder(weights, weights.__getitem__, lambda text: [ord(char) for char in text], [TOWER])
    return encoder.encode(["cat", ""], silent)


@pytest.mark.parametrize("ids", [None, torch.arange(WINDOW)[None], torch.arange(WINDOW)[None].half()])
@pytest.mark.usefixtures("library")
def test_positions_among_the_weights_are_no_damage(weights: dict[str, Tensor], ids: Tensor | None) -> None:
    file = weights if ids is None else weights | {f"{PREFIX}embeddings.position_ids": ids}
    found = states(file)
    assert found.shape == (2, WINDOW, WIDTH) and found.isfinite().all()


def test_the_states_are_the_same_in_every_version(weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    usual = states(weights)
    for version in (WithBuffer, WithoutBuffer):
        monkeypatch.setattr(transformers, "CLIPTextModel", version)
        assert torch.equal(states(weights), usual)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    "name", ["embeddings.position_embedding.weight", "final_layer_norm.bias", "encoder.layers.1.mlp.fc1.bias"]
)
def test_weights_of_another_shape_are_refused(weights: dict[str, Tensor], name: str) -> None:
    with pytest.raises(ScaPreError, match=r"^checkpoint: its text encoder has another shape"):
        states(weights | {PREFIX + name: torch.zeros(5)})


@pytest.mark.usefixtures("library")
def test_a_weight_that_the_library_wants_and_no_one_gives_is_refused(
    weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tower, "norm", lambda tower, prefix, read: {"weight": read(f"{prefix}final_layer_norm.weight")})
    with pytest.raises(ScaPreError, match="another shape"):
        states(weights)
