"""`python -m benchmarks.minicanvas train`: from nothing to the weights that ship, in sittings of any length."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from . import autoencoder, captions, checkpoint, judge, network, separate, transformer
from .artists import Array
from .dataset import SEED, drawings, training_pictures
from .inprocess import BATCH, Loaded, decode, encode, load, load_text_encoder, pack, sample
from .training import Run, reduced
from .world import ARTIST_NAMES, COLOURS, HELD_OUT, OBJECTS, Picture

SAMPLES = 48
SHEET_SECONDS = 600


def kept(file: Path, make: Callable[[], Tensor]) -> Tensor:
    """Return what a file holds; make it first if it is not there."""
    if not file.is_file():
        unfinished = file.with_suffix(".part")
        torch.save(make(), unfinished)
        unfinished.replace(file)
    return torch.load(file, weights_only=True)


class Workshop:
    """Everything a training has made so far, in one folder; each part is made when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sheet = 0.0

    @cached_property
    def pictures(self) -> list[Picture]:
        """What the training drawings show."""
        return training_pictures()

    @cached_property
    def drawings(self) -> Array:
        """The training drawings."""
        return drawings(self.pictures, SEED, self.folder / "drawings.npy")

    @cached_property
    def judge(self) -> Run:
        """The judge's run."""
        return judge.start(self.folder / "judge.pt")

    @cached_property
    def autoencoder(self) -> Run:
        """The autoencoder's run."""
        return autoencoder.start(self.folder / "autoencoder.pt")

    @cached_property
    def encoder(self) -> dict[str, Tensor]:
        """The text encoder's weights."""
        return checkpoint.text_encoder()

    @cached_property
    def lessons(self) -> network.Lessons:
        """What the UNet learns from; the autoencoder must be finished."""
        texts, choices = network.training_captions(self.pictures)
        latents = kept(self.folder / "latents.pt", self._latents)
        states = kept(self.folder / "captions.pt", lambda: self._states(texts))
        return network.Lessons(latents, self.pictures, states, choices)

    @cached_property
    def ends(self) -> Tensor:
        """Place of the end token in each caption."""

        def found() -> Tensor:
            tokens = pack("nodes.host.text_encoder").ClipEncoder(load_text_encoder(self.encoder)).tokens
            return torch.tensor([len(tokens(text)) + 1 for text in network.training_captions(self.pictures)[0]])

        return kept(self.folder / "ends.pt", found)

    def _latents(self) -> Tensor:
        model = autoencoder.create()
        weights = self.autoencoder.averaged
        if not self.autoencoder.step:  # none was trained here
            shipped = {name: value.float() for name, value in load_file(checkpoint.AUTOENCODER).items()}
            weights = model.state_dict() | shipped
        model.load_state_dict(weights)
        return autoencoder.encode(model, self.drawings)

    def _states(self, texts: list[str]) -> Tensor:
        clip = load_text_encoder(self.encoder)
        with reduced():
            parts = [encode(clip, texts[start : start + BATCH]).half() for start in range(0, len(texts), BATCH)]
        return torch.cat(parts)

    @cached_property
    def network(self) -> Run:
        """The UNet's run."""
        return network.start(self.folder / "unet.pt")

    @cached_property
    def transformer(self) -> Run:
        """The transformer's run."""
        return transformer.start(self.folder / "transformer.pt")

    def train_transformer(self, until: float = math.inf) -> bool:
        """Go on with the transformer, on latents of the autoencoder; return whether it is learned."""
        run = self.transformer
        return run.go(transformer.loss_on(run, self.lessons, self.ends), until)

    def loaded(self) -> Loaded:
        """Return the model as it is so far, loaded by the host."""
        weights = checkpoint.assemble(self.network.averaged, self.autoencoder.averaged, self.encoder)
        return load({name: value.half() if value.is_floating_point() else value for name, value in weights.items()})

    def watch(self, run: Run) -> None:
        """Every few minutes, write a sheet of what the UNet draws."""
        if time.monotonic() - self._sheet < SHEET_SECONDS and not run.finished:
            return
        self._sheet = time.monotonic()
        now = self.loaded()
        shown = [Picture(OBJECTS[i % 20], list(COLOURS)[i % 10], ARTIST_NAMES[i % 16]) for i in range(SAMPLES // 2)]
        shown += HELD_OUT[:: len(HELD_OUT) // (SAMPLES // 2)][: SAMPLES // 2]
        texts = [captions.write(captions.WITH_ARTIST[0], picture) for picture in shown]
        states = encode(now.clip, ["", *texts])
        made = decode(now.vae, sample(now.model, states[1:], states[:1], range(len(shown))))
        rows = made.reshape(4, SAMPLES // 4, *made.shape[1:]).transpose(0, 2, 1, 3, 4)
        Image.fromarray(rows.reshape(4 * made.shape[1], -1, 3)).save(self.folder / f"sheet-{run.step:05d}.png")

    @property
    def runs(self) -> list[Run]:
        """All runs, in the order they are made."""
        return [self.judge, self.autoencoder, self.network]

    def train(self, until: float = math.inf) -> bool:
        """Go on until everything is learned, or until a time; return whether it is."""
        return (
            self.judge.go(judge.loss_on(self.judge, self.drawings, self.pictures), until)
            and self.autoencoder.go(autoencoder.loss_on(self.autoencoder, self.drawings), until)
            and self.network.go(network.loss_on(self.network, self.lessons), until, self.watch)
        )

    def ship(self, folder: Path) -> None:
        """Write the averaged weights of all parts in half precision."""
        folder.mkdir(parents=True, exist_ok=True)
        scales = ("vae_scale", "vae_shift")  # belong to the checkpoint, see `assemble`
        for run, name in zip(self.runs, (checkpoint.JUDGE, checkpoint.AUTOENCODER, checkpoint.UNET), strict=True):
            weights = {key: value for key, value in run.averaged.items() if key not in scales}
            checkpoint.save_half(weights, folder / name.name)

    def ship_transformer(self, folder: Path) -> None:
        """Write the transformer's averaged weights in half precision."""
        checkpoint.save_half(self.transformer.averaged, folder / separate.TRANSFORMER.name)

    def spent(self) -> str:
        """Say how long each part took."""
        runs = [run for run in vars(self).values() if isinstance(run, Run)]
        return ", ".join(f"{run.plan.name} {run.seconds / 60:.0f} min, {run.step} steps" for run in runs)
