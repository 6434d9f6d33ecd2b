"""Does a concept come through the pooled text vector, where keys and values no longer say it?

MiniCanvas's UNet is given a second way for its text, as SDXL has one: the pooled vector (the end token's state) beside
the time step. Cross-attentions and the new layers are trained from nothing, both at once, on one in three combinations;
the rest starts from MiniCanvas. Then artists are erased from keys and values alone, and what is drawn is read with the
pooled vector as the prompt gives it, and with that of the same prompt without the name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from . import autoencoder, captions, checkpoint, judge, network
from .dataset import drawings
from .inprocess import BATCH, SAMPLING, decode, load, load_text_encoder, pack
from .network import EMPTY, SEED, SIGNAL_LIMIT, STEPS, signal_shares
from .training import Loss, Plan, Run, reduced
from .world import ARTIST_NAMES, COLOURS, OBJECTS, TRAINED, Picture

PLAN = Plan("pooled", steps=1500, rate=4e-4, warm_up=50, decay=0.995)
EACH, WORDINGS = 4, 2
"""Drawings of a combination, and captions that it is trained with."""
WIDTH, SIZES = 768, 6 * 256
"""Of the pooled vector, and of what SDXL's class puts behind it."""
SHAPE = {"adm_in_channels": WIDTH + SIZES, "num_classes": "sequential"}
NEW = (".attn2.", "label_emb.")
COUNT, ERASED, THINGS = 48, 4, ("circle", "star")
"""Pictures of each name; artists (the first) and objects, which are erased one at a time."""


def create() -> nn.Module:
    """Return the UNet: MiniCanvas's weights, but for its cross-attentions and what reads the vector."""
    model = network.create(**SHAPE)
    old = {name: value.float() for name, value in load_file(checkpoint.UNET).items() if not any(n in name for n in NEW)}
    missing, unknown = model.load_state_dict(old, strict=False)
    if unknown or not all(any(n in name for n in NEW) for name in missing):
        raise ValueError("the UNet that ships has another shape")
    return model


class Study:
    """Trains, and counts; everything it makes is kept in one folder."""

    def __init__(self, folder: Path) -> None:
        """Starts, or goes on with what is in the folder."""
        self.folder = folder
        torch.manual_seed(SEED)
        self.run = Run(PLAN, create(), folder / "pooled.pt")

    @cached_property
    def pictures(self) -> list[Picture]:
        """What is trained on: every third combination."""
        return [picture for picture in TRAINED[::3] for _ in range(EACH)]

    @cached_property
    def clip(self) -> Any:
        """MiniCanvas's text encoder."""
        return load_text_encoder(checkpoint.text_encoder())

    @cached_property
    def model(self) -> Any:
        """The host's class of SDXL around the UNet, in the latents of MiniCanvas."""
        import comfy.latent_formats
        import comfy.model_patcher
        import comfy.supported_models

        config = comfy.supported_models.SDXL({**network.SHAPE, **SHAPE})
        config.unet_config |= {"num_heads": network.SHAPE["num_heads"], "num_head_channels": -1}
        config.latent_format = comfy.latent_formats.SD15()
        config.set_inference_dtype(torch.float32, None)
        device = torch.device("cpu")
        model = config.get_model({}, "", device=device)
        model.diffusion_model.load_state_dict(self.run.averaged)
        return comfy.model_patcher.ModelPatcher(model, device, device)

    def states(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """States (texts, 77, 768) and pooled vectors (texts, 768): the end token's state."""
        encoder = pack("nodes.host.text_encoder").ClipEncoder(self.clip)
        ends = [len(encoder.tokens(text)) + 1 for text in texts]
        with torch.inference_mode():
            found = torch.cat(
                [encoder.encode(texts[i : i + BATCH], lambda *_: None) for i in range(0, len(texts), BATCH)]
            )
        return found, found[torch.arange(len(texts)), torch.tensor(ends)]

    def lessons(self) -> Mapping[str, Any]:
        """Latents, captions and their states, made once."""
        file = self.folder / "lessons.pt"
        if not file.is_file():
            coder = autoencoder.create()
            shipped = {name: value.float() for name, value in load_file(checkpoint.AUTOENCODER).items()}
            coder.load_state_dict(shipped, strict=False)  # its factors are in the checkpoint, and not among these
            latents = autoencoder.encode(coder, drawings(self.pictures, 90_000, self.folder / "drawings.npy"))
            chance, texts, said = np.random.Generator(np.random.PCG64(SEED)), {captions.NOTHING: 0}, []
            for picture in TRAINED[::3]:
                full = chance.permutation(captions.trained_wordings(picture)["full"])[:WORDINGS]
                said += [[texts.setdefault(str(text), len(texts)) for text in full]] * EACH
            states, pooled = self.states(list(texts))
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"latents": latents, "said": said, "states": states.half(), "pooled": pooled}, file)
        return dict(torch.load(file, weights_only=True))

    def loss(self) -> Loss:
        """The loss of MiniCanvas's own training, with both ways of the text open; none for a tenth of the pictures."""
        found, shares = self.lessons(), signal_shares()
        sizes = self.model.model.encode_adm(pooled_output=torch.zeros(1, WIDTH), width=64, height=64)[:, WIDTH:]

        def loss(random: torch.Generator, step: int) -> Tensor:
            chosen = torch.randint(len(found["latents"]), (network.BATCH,), generator=random)
            chance = np.random.Generator(np.random.PCG64([SEED, step]))
            said = [0 if chance.random() < EMPTY else int(chance.choice(found["said"][i])) for i in chosen.tolist()]
            latents = found["latents"][chosen]
            noise = torch.randn(latents.shape, generator=random)
            times = torch.randint(STEPS, (len(chosen),), generator=random)
            share = shares[times].view(-1, 1, 1, 1)
            noisy = (share.sqrt() * latents + (1 - share).sqrt() * noise).contiguous(memory_format=torch.channels_last)
            vector = torch.cat([found["pooled"][said], sizes.expand(len(said), -1)], 1)
            with reduced():
                predicted = self.run.model(noisy, times.float(), context=found["states"][said].float(), y=vector)
            error = (predicted.float() - noise).square().mean((1, 2, 3))
            ratio = shares[times] / (1 - shares[times])
            return (error * ratio.clamp(max=SIGNAL_LIMIT) / ratio).mean()

        return loss

    def train(self, until: float = math.inf) -> bool:
        """Trains to the end, or until a time."""
        return self.run.go(self.loss(), until)

    def drawn(self, model: Any, texts: Sequence[str], pooled: Sequence[str]) -> Any:
        """Pictures of texts, with the pooled vectors of other texts."""
        import comfy.sample

        states, vectors = self.states(list(texts))[0], self.states(list(pooled))[1]
        nothing, empty = self.states([""])
        parts, side = [], SAMPLING.size // 8
        for start in range(0, len(texts), BATCH):
            some = slice(start, start + BATCH)
            latent = torch.zeros(len(states[some]), 4, side, side)
            noise = torch.cat(
                [comfy.sample.prepare_noise(latent[:1], seed) for seed in range(start, start + len(latent))]
            )
            sizes = {"width": SAMPLING.size, "height": SAMPLING.size}
            with torch.inference_mode():
                parts.append(comfy.sample.sample(
                    model, noise, SAMPLING.steps, SAMPLING.cfg, "euler", "normal",
                    [[states[some], {"pooled_output": vectors[some], **sizes}]],
                    [[nothing, {"pooled_output": empty, **sizes}]], latent, disable_pbar=True,
                ))  # fmt: skip
        return decode(self._vae, torch.cat(parts))

    @cached_property
    def _vae(self) -> Any:
        return load(checkpoint.shipped()).vae

    def count(self, domain: str, name: str) -> dict[str, float]:
        """Share of pictures that are read as a name: before, and with the name erased from keys and values.

        Args:
            domain: `style` or `object`.
            name: An artist, or an object.
        """
        reader = judge.load(checkpoint.JUDGE)
        texts, bare = (list(some) for some in zip(*_asked(domain, name), strict=True))
        erase = pack("nodes.erase_concepts").EraseConcepts
        with torch.inference_mode():
            edited = erase.execute(self.model, self.clip, name, method="auto", preset="auto").args[0]

        def share(model: Any, words: Sequence[str], vectors: Sequence[str]) -> float:
            read = judge.read(reader, self.drawn(model, words, vectors)).words
            return sum(word == name for word in read[domain]) / len(words)

        return {
            "no edit": share(self.model, texts, texts),
            "no edit, vector without the name": share(self.model, texts, bare),
            "no edit, states without the name": share(self.model, bare, texts),
            "neither": share(self.model, bare, bare),
            "erased from keys and values": share(edited, texts, texts),
            "erased, vector without the name": share(edited, texts, bare),
        }


def _asked(domain: str, name: str) -> Iterator[tuple[str, str]]:
    """Prompts with a name, and the same without it."""
    colours = list(COLOURS)
    for i in range(COUNT):
        colour, artist = colours[3 * i % len(colours)], ARTIST_NAMES[(5 * i + 3) % len(ARTIST_NAMES)]
        if domain == "style":
            picture = Picture(OBJECTS[i % len(OBJECTS)], colour, name)
            yield captions.write(captions.WITH_ARTIST[i % 4], picture), captions.write("a {colour} {object}", picture)
        else:
            picture = Picture(name, colour, artist)
            yield (
                captions.write("a {colour} {object} by {artist}", picture),
                captions.write("a {colour} picture by {artist}", picture),
            )


def study(folder: Path, out: Path, until: float = math.inf) -> bool:
    """Train as far as time allows; when it is done, count and write what came out, name by name."""
    work = Study(folder)
    if not work.train(until):
        return False
    found = json.loads(out.read_text()) if out.is_file() else {"steps": PLAN.steps, "pictures": COUNT}
    for domain, name in (*(("style", name) for name in ARTIST_NAMES[:ERASED]), *(("object", name) for name in THINGS)):
        told = found.setdefault(f"{domain}s", {})
        if name not in told:
            told[name] = work.count(domain, name)
            out.write_text(json.dumps(found, indent=1) + "\n")
    return True
