"""Before and After on the real host: the pictures of the usual graph, in pairs; and the grid that is drawn of them."""

from __future__ import annotations

import io as files
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import comfy.model_management as management
import comfy.sd
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from pack.benchmarks.graphs import ERASE, ERASE_NODE, Sampling, picture_node, text_to_image
from pack.benchmarks.host.client import Graph, PromptFailed, PromptInterrupted, images
from pack.benchmarks.host.server import Server
from pack.nodes.before_after import MOST_PROMPTS, BeforeAfter, read_prompts
from pack.nodes.before_after_grid import BeforeAfterGrid
from pack.nodes.host import sampling
from pack.nodes.pictures.lettering import font_for, wrap
from pack.scapre.errors import ScaPreError
from pack.tests.host.models import text_encoder, unet

PROMPTS = ("a photo of a cat", "a sailing (ship:1.3)")
QUICK = Sampling(size=64, steps=2, cfg=4.5, seed=7)
ERASED = {"concepts": "cat"}
PAIR = "pair"
ANY_VAE = SimpleNamespace(first_stage_model="never asked")
NUMBERS = {
    "seed": 0, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "width": 64, "height": 64
}  # fmt: skip


@pytest.fixture
def name(tiny_checkpoint: Path) -> str:
    """The checkpoint as the server lists it."""
    return tiny_checkpoint.name


def pair_graph(name: str, sampling: Sampling = QUICK, **inputs: Any) -> Graph:
    """Before and After alone; it is an output node."""
    model = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}}
    erase = {"class_type": ERASE_NODE, "inputs": {"model": ["model", 0], "clip": ["model", 1], **ERASED}}
    asked = {
        "original": ["model", 0], "edited": [ERASE, 0], "clip": ["model", 1], "vae": ["model", 2],
        "prompts": "\n".join(PROMPTS), "negative": "", "seed": sampling.seed, "steps": sampling.steps,
        "cfg": sampling.cfg, "sampler_name": "euler", "scheduler": "normal", "width": sampling.size,
        "height": sampling.size, **inputs,
    }  # fmt: skip
    return {"model": model, ERASE: erase, PAIR: {"class_type": "ScaPreBeforeAfter", "inputs": asked}}


def pixels(server: Server, reference: dict[str, str]) -> bytes:
    return Image.open(files.BytesIO(server.image(reference))).convert("RGB").tobytes()


# --- on the server ---


def test_pictures_are_those_of_the_usual_graph(server: Server, name: str) -> None:
    entry = server.run(pair_graph(name))
    pairs = entry["outputs"][PAIR]["scapre_compare"]
    usual = [server.run(text_to_image(name, PROMPTS, QUICK, erase)) for erase in (None, ERASED)]
    expected = [[pixels(server, images(run, picture_node(index))[0]) for run in usual] for index in range(len(PROMPTS))]
    assert [[pixels(server, pair[side]) for side in ("before", "after")] for pair in pairs] == expected
    assert len({picture for pair in expected for picture in pair}) == 2 * len(PROMPTS)


def test_the_page_is_told_captions_and_temporary_files(server: Server, name: str) -> None:
    entry = server.run(pair_graph(name, prompts="# a comment\n  a dog \n\na cat"))
    pairs = entry["outputs"][PAIR]["scapre_compare"]
    assert [pair["caption"] for pair in pairs] == ["a dog", "a cat"]
    references = [pair[side] for pair in pairs for side in ("before", "after")]
    assert {tuple(sorted(reference)) for reference in references} == {("filename", "subfolder", "type")}
    assert {reference["type"] for reference in references} == {"temp"}
    assert len({reference["filename"] for reference in references}) == 4
    workflow = Image.open(files.BytesIO(server.image(references[0]))).info["prompt"]
    assert json.loads(workflow)[PAIR]["class_type"] == "ScaPreBeforeAfter"  # as in every preview of the host


def test_outputs_feed_the_grid(server: Server, name: str) -> None:
    graph = pair_graph(name)
    shown = {key: [PAIR, slot] for slot, key in enumerate(("before", "after", "captions"))}
    graph["grid"] = {"class_type": "ScaPreBeforeAfterGrid", "inputs": {**shown, "columns": 2}}
    graph["show"] = {"class_type": "PreviewImage", "inputs": {"images": ["grid", 0]}}
    entry = server.run(graph)
    grid = Image.open(files.BytesIO(server.image(images(entry, "show")[0]))).convert("RGB")
    first = entry["outputs"][PAIR]["scapre_compare"][0]["before"]
    enlarged = (
        Image.open(files.BytesIO(server.image(first))).convert("RGB").resize((256, 256), Image.Resampling.NEAREST)
    )
    found = np.asarray(grid, dtype=int)[34 : 34 + 256, 16 : 16 + 256]
    assert np.abs(found - np.asarray(enlarged, dtype=int)).max() <= 1  # a preview cuts what the grid rounds


def test_cancel_stops_between_two_steps(server: Server, name: str) -> None:
    server.run(pair_graph(name))  # so that everything before the node is there
    run = server.queue(pair_graph(name, Sampling(size=64, steps=5000, seed=8)))
    time.sleep(1.0)
    server.interrupt(run)
    with pytest.raises(PromptInterrupted) as stopped:
        server.wait(run, timeout=60)  # far shorter than the 5000 steps of each picture
    assert stopped.value.node_type == "ScaPreBeforeAfter"


def test_a_mistake_is_told_by_the_node(server: Server, name: str) -> None:
    with pytest.raises(PromptFailed, match="prompts: there are none") as failed:
        server.run(pair_graph(name, prompts="\n# nothing\n"))
    assert failed.value.node_type == "ScaPreBeforeAfter"


# --- sampling ---


@pytest.mark.usefixtures("nothing_left_loaded")
@pytest.mark.parametrize("sampler", ["euler", "dpmpp_sde"])
def test_latents_are_those_of_the_ksampler_to_the_bit(clip: comfy.sd.CLIP, sampler: str) -> None:
    model = unet()
    with torch.inference_mode():
        *positives, negative = sampling.encode(model, clip, [*PROMPTS, "blurry"])
        numbers = sampling.Sampling(3, 4, 5.0, sampler, "karras", 64, 32)
        bar = sampling.PictureBar(len(PROMPTS))
        found = sampling.sample(model, positives, negative, numbers, bar)
        (empty,) = sampling.stock.EmptyLatentImage().generate(64, 32)
        expected = [
            sampling.stock.common_ksampler(model, 3, 4, 5.0, sampler, "karras", positive, negative, empty)[0]["samples"]
            for positive in positives
        ]
    assert [latent.shape for latent in found] == [(1, 4, 4, 8)] * len(PROMPTS)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert not torch.equal(found[0], found[1])
    assert bar._bar.current == bar._bar.total


@pytest.mark.usefixtures("nothing_left_loaded")
def test_cancel_is_heard_before_the_first_step(clip: comfy.sd.CLIP) -> None:
    management.interrupt_current_processing(True)
    with pytest.raises(management.InterruptProcessingException):
        sampling.encode(unet(), clip, PROMPTS)


@pytest.mark.usefixtures("nothing_left_loaded")
class TestMistakes:
    """What is wrong is told by the name of its input."""

    def run(self, **changes: Any) -> None:
        model = unet()
        given = {"original": model, "edited": model, "clip": text_encoder(), "vae": ANY_VAE, "prompts": "a cat"}
        with torch.inference_mode():
            BeforeAfter.EXECUTE_NORMALIZED(**given | NUMBERS | changes)

    def test_no_text_encoder(self) -> None:
        with pytest.raises(ScaPreError, match=r"^clip: it is missing.*Load CLIP"):
            self.run(clip=None)

    def test_a_text_encoder_of_another_model(self) -> None:
        with pytest.raises(ScaPreError, match=r"^clip: .*64 numbers wide.*reads 24\."):
            self.run(clip=text_encoder("sdxl"))

    @pytest.mark.parametrize("vae", [None, SimpleNamespace(first_stage_model=None)])
    def test_no_vae(self, vae: Any) -> None:
        with pytest.raises(ScaPreError, match=r"^vae: it is missing.*Load VAE"):
            self.run(vae=vae)

    @pytest.mark.parametrize("other", ["sd20", "sdxl", "inpainting"])
    def test_models_that_do_not_belong_together(self, other: str) -> None:
        edited = unet(in_channels=9) if other == "inpainting" else unet(other)
        with pytest.raises(ScaPreError, match=r"^edited: it is .*, and original is SD15 .*Erase Concepts"):
            self.run(edited=edited)


def test_prompts_are_read_line_by_line() -> None:
    text = "\n  a cat, (sitting:1.2)\r\n#one more\n\n a cat, (sitting:1.2)\n{a|b} # 2 \n"
    assert read_prompts(text) == ["a cat, (sitting:1.2)", "a cat, (sitting:1.2)", "{a|b} # 2"]
    assert len(read_prompts("a\n" * MOST_PROMPTS)) == MOST_PROMPTS


def test_too_many_prompts_are_counted() -> None:
    with pytest.raises(ScaPreError, match=f'^prompts: {MOST_PROMPTS + 1} are more .*"number {MOST_PROMPTS}"'):
        read_prompts("\n".join(f"number {index}" for index in range(MOST_PROMPTS + 1)))


# --- the grid ---


def noise(count: int, height: int, width: int, channels: int = 3, seed: int = 0) -> Tensor:
    """Pictures whose values are whole 255ths."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, height, width, channels), generator=generator) / 255


def grid(before: Tensor, after: Tensor, **inputs: Any) -> Tensor:
    """The grid of two batches, (height, width, 3)."""
    (picture,) = BeforeAfterGrid.EXECUTE_NORMALIZED(before=before, after=after, **inputs).result
    assert picture.ndim == 4 and len(picture) == 1
    return picture[0]


def test_small_pictures_are_enlarged_by_whole_pixels() -> None:
    before, after = noise(3, 64, 64), noise(3, 64, 64, seed=1)
    drawn = grid(before, after, columns=2, before_heading="", after_heading=" ")
    space, gap, side = 16, 4, 256
    step = 2 * side + gap + space
    assert drawn.shape == (2 * (side + space) + space, 2 * step + space, 3)
    for index, (row, column) in enumerate([(0, 0), (0, 1), (1, 0)]):
        top, left = space + row * (side + space), space + column * step
        for number, source in enumerate((before, after)):
            x = left + number * (side + gap)
            found = drawn[top : top + side, x : x + side]
            assert torch.equal(found, source[index].repeat_interleave(4, 0).repeat_interleave(4, 1))
    assert (drawn[-side - space :, step + space :] == 1).all()  # an empty place is paper


def test_large_pictures_stay_as_they_are() -> None:
    before, after = noise(1, 96, 300), noise(1, 96, 300, seed=1)
    drawn = grid(before, after, before_heading="", after_heading="")
    assert drawn.shape == (96 + 2 * 16, 2 * 300 + 4 + 2 * 16, 3)
    assert torch.equal(drawn[16:112, 16:316], before[0])


def test_captions_and_headings_are_written_below_and_above() -> None:
    before = noise(2, 64, 64)
    plain = grid(before, before, before_heading="", after_heading="")
    headed = grid(before, before)
    told = grid(before, before, captions="a cat\n" + "a long caption " * 40)
    line = 18
    assert len(headed) == len(plain) + line
    assert len(told) == len(headed) + 2 * (4 + 2 * line)  # room for two lines below each pair
    below = told[34 + 256 + 4 : 34 + 256 + 4 + 2 * line, 16:532]
    ink = (below < 0.5).any(-1)
    assert ink[:line].any() and not ink[line:].any()
    assert (told[16:34, 16:272] < 0.5).any()


def test_fewer_captions_leave_pairs_without_one() -> None:
    before = noise(2, 64, 64)
    first = grid(before, before, captions="\na dog", columns=2)
    assert (first[-38:, 16:532] == 1).all()
    assert (first[-38:, 550:] < 0.5).any()


def test_another_size_is_fitted_in_with_margins() -> None:
    before, after = noise(1, 256, 256), torch.zeros(1, 128, 512, 3)
    drawn = grid(before, after, before_heading="", after_heading="")
    fitted = drawn[16:272, 16 + 256 + 4 : 16 + 256 + 4 + 256]
    assert (fitted[96:160] == 0).all()
    assert (fitted[:96] == 1).all() and (fitted[160:] == 1).all()


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_grey_and_transparent_pictures_become_rgb(channels: int) -> None:
    before = noise(1, 256, 256, channels).half()
    drawn = grid(before, before, before_heading="", after_heading="")
    shades = before[0, ..., :3] if channels == 4 else before[0, ..., :1].expand(256, 256, 3)
    assert torch.allclose(drawn[16:272, 16:272], shades.float(), atol=0.5 / 255)


def test_values_that_are_no_colours_are_drawn_all_the_same() -> None:
    before = torch.tensor([float("nan"), float("inf"), -3.0, 2.0]).repeat(64).expand(1, 256, 256).unsqueeze(-1)
    drawn = grid(before, before, before_heading="", after_heading="")
    assert drawn[16, 16:20, 0].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("before", "after", "inputs", "message"),
    [
        (2, 3, {}, r"^after: 3 pictures do not pair up with 2"),
        (0, 0, {}, r"^after: 0 pictures do not pair up with 0"),
        (1, 1, {"captions": "one\ntwo"}, r"^captions: 2 lines are more than the 1 pairs"),
    ],
)
def test_what_does_not_pair_up_is_told(before: int, after: int, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(ScaPreError, match=message):
        grid(noise(before, 8, 8), noise(after, 8, 8), **inputs)


def test_a_grid_that_no_viewer_opens_is_refused() -> None:
    tall = torch.zeros(1, 1, 1, 3).expand(64, 512, 64, 3)
    with pytest.raises(ScaPreError, match=r"^columns: with 1 the grid would be .* x 13[\d,]+ pixels"):
        grid(tall, tall, columns=1)


@settings(max_examples=60, deadline=None)
@given(text=st.text(), width=st.integers(30, 400), most=st.integers(1, 3))
def test_any_text_fits_its_lines(text: str, width: int, most: int) -> None:
    font = font_for("", 16)
    lines = wrap(text, font, width, most)
    assert len(lines) <= most
    assert all(font.getlength(line) <= width for line in lines)
    whole, shown = "".join(text.encode("utf-8", "replace").decode().split()), "".join("".join(lines).split())
    assert shown == whole or (shown.endswith("…") and whole.startswith(shown[:-1]))


@pytest.mark.parametrize("caption", ["一座蓝色的房子", "Joan Miró", "дом", "\ud800", "👩‍👩‍👧", "\u202eabc", "a\tb\x00"])
def test_a_caption_in_any_script_is_drawn(caption: str) -> None:
    before = noise(1, 64, 64)
    drawn = grid(before, before, captions=caption)
    assert (drawn[34 + 256 :] < 0.5).any()
