"""Whatever is drawn, and however, is erased, and what is not to be erased is not: on the real host."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pack.benchmarks.host.client import HostError
from pack.tests.webui import comfy
from pack.tests.webui.conftest import TWIN, Web, lora

LIST = "cross\nstar"
ON = (True, LIST)
PROMPT = "a red cross"
LORA_PROMPT = f"{PROMPT} <lora:frames:1>"
EXACT = 1e-5


@pytest.fixture(scope="module")
def plain(web: Web) -> bytes:
    """The picture that nothing is erased from."""
    return web.draw(PROMPT).pixels[0]


@pytest.fixture(scope="module")
def erased(web: Web, plain: bytes) -> bytes:
    """The same with the edit."""
    picture = web.draw(PROMPT, ON).pixels[0]
    assert picture != plain
    return picture


@pytest.fixture(scope="module")
def saved(web: Web, erased: bytes) -> str:
    """Name of a file with that edit."""
    return str(web.post("/scapre/erase", {"concepts": LIST, "name": "of the tests"})["name"])


@pytest.fixture(scope="module")
def file(web: Web, saved: str) -> Path:
    """The file itself."""
    return web.data / "models" / "scapre" / saved


def with_file(name: str, strength: float = 1.0) -> list[Any]:
    """The panel's values with an edit file."""
    return [True, "", "", "", "auto", "usual", strength, 0, name]


def assert_off(web: Web, plain: bytes) -> None:
    """The next picture is as one of a model that was never edited."""
    assert web.draw(PROMPT).pixels[0] == plain
    assert comfy.apart(web.weights(), comfy.weights()) < 1e-7


def test_the_weights_are_those_of_comfyui(web: Web, erased: bytes, file: Path, plain: bytes) -> None:
    assert web.draw(PROMPT, ON).pixels[0] == erased
    assert comfy.apart(web.weights(), comfy.weights(file)) < EXACT
    assert comfy.apart(web.weights(), comfy.weights()) > 1e-2
    assert_off(web, plain)


@pytest.mark.parametrize("strength", [0.0, 0.5, 2.0])
def test_a_file_at_any_strength(web: Web, saved: str, file: Path, plain: bytes, strength: float) -> None:
    picture = web.draw(PROMPT, with_file(saved, strength)).pixels[0]
    assert comfy.apart(web.weights(), comfy.weights(file, strength)) < EXACT
    assert (picture == plain) == (strength == 0)
    assert_off(web, plain)


@pytest.mark.parametrize("values", [
    [True, LIST, "", "", "scapre", "objects-few"],
    [True, LIST, "", "", "scapre", "confusable"],
    [True, LIST, "", "moon\nsun", "uce"],
    [True, LIST, "", "", "oce"],
], ids=["precise", "scale", "uce", "oce"])  # fmt: skip
def test_other_methods(web: Web, plain: bytes, values: list[Any], request: pytest.FixtureRequest) -> None:
    names = ("enabled", "concepts", "anchor", "preserve", "method", "preset")
    told = dict(zip(names[1:], values[1:], strict=False)) | {"name": f"other method {request.node.callspec.id}"}
    name = web.post("/scapre/erase", told)["name"]
    assert web.draw(PROMPT, values).pixels[0] != plain
    assert comfy.apart(web.weights(), comfy.weights(web.data / "models" / "scapre" / name)) < EXACT
    assert_off(web, plain)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_file_of_cut_neurons(web: Web, plain: bytes, strength: float) -> None:
    cut = comfy.cut_neurons(web.data / "models" / "scapre" / "cut.safetensors")
    assert web.draw(PROMPT, with_file(cut.name, strength)).pixels[0] != plain
    assert comfy.apart(web.weights(), comfy.weights(cut, strength)) < EXACT
    assert comfy.apart(comfy.weights(cut, strength), comfy.weights()) > 1e-2
    framed = web.draw(LORA_PROMPT, with_file(cut.name, strength))
    assert framed.pixels[0] != plain
    assert comfy.apart(web.weights(), comfy.weights(cut, strength, lora())) < EXACT
    assert_off(web, plain)


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_a_file_of_what_was_trained(web: Web, plain: bytes, strength: float) -> None:
    learned = comfy.trained(web.data / "models" / "scapre" / "trained.safetensors", "cross-attention")
    assert web.draw(PROMPT, with_file(learned.name, strength)).pixels[0] != plain
    assert comfy.apart(web.weights(), comfy.weights(learned, strength)) < EXACT
    assert comfy.apart(comfy.weights(learned, strength), comfy.weights()) > 1e-3
    assert web.draw(LORA_PROMPT, with_file(learned.name, strength)).pixels[0] != plain
    assert comfy.apart(web.weights(), comfy.weights(learned, strength, lora())) < EXACT
    assert_off(web, plain)


def test_a_file_of_trained_convolutions_is_refused(web: Web, plain: bytes) -> None:
    learned = comfy.trained(web.data / "models" / "scapre" / "rest.safetensors", "all but cross-attention")
    with pytest.raises(HostError, match=r"changes convolutions.*LoRA"):
        web.draw(PROMPT, with_file(learned.name, 1.0))
    assert_off(web, plain)


def test_a_lora_of_trained_convolutions_is_the_same_edit(web: Web, plain: bytes) -> None:
    learned = comfy.trained(web.data / "models" / "scapre" / "rest.safetensors", "all but cross-attention")
    comfy.as_lora(learned, web.data / "models" / "Lora" / "rest.safetensors")
    web.post("/sdapi/v1/refresh-loras", {})
    assert web.draw(f"{PROMPT} <lora:rest:1>").pixels[0] != plain
    assert comfy.apart(web.weights(), comfy.weights(learned)) < EXACT
    assert comfy.apart(comfy.weights(learned), comfy.weights()) > 1e-3
    assert_off(web, plain)


def test_loras_on_and_off_in_any_order(web: Web, saved: str, file: Path, plain: bytes, erased: bytes) -> None:
    framed = web.draw(LORA_PROMPT).pixels[0]
    assert framed != plain
    assert comfy.apart(web.weights(), comfy.weights(lora=lora())) < EXACT
    both = web.draw(LORA_PROMPT, with_file(saved)).pixels[0]
    assert comfy.apart(web.weights(), comfy.weights(file, lora=lora())) < EXACT
    assert web.draw(PROMPT, with_file(saved)).pixels[0] == erased
    assert comfy.apart(web.weights(), comfy.weights(file)) < EXACT
    assert web.draw(LORA_PROMPT, with_file(saved)).pixels[0] == both
    assert web.draw(LORA_PROMPT).pixels[0] == framed
    assert web.draw(LORA_PROMPT, ON).pixels[0] not in (framed, plain)
    assert web.draw(PROMPT, ON).pixels[0] == erased
    assert_off(web, plain)


def test_an_edit_that_depends_on_weights_counts_loras(web: Web, plain: bytes) -> None:
    values = [True, LIST, "", "", "scapre", "objects-few"]
    alone = web.draw(PROMPT, values).pixels[0]
    both = web.draw(LORA_PROMPT, values).pixels[0]
    assert both != alone
    assert comfy.apart(web.weights(), comfy.weights(lora=lora())) > 1e-3
    assert web.draw(PROMPT, values).pixels[0] == alone
    assert_off(web, plain)


def test_batches(web: Web, plain: bytes, erased: bytes, file: Path) -> None:
    drawn = web.draw(PROMPT, ON, n_iter=2, batch_size=2)
    first = [picture for picture in drawn.pixels if picture == erased]
    assert len(drawn.info["infotexts"]) >= 4
    assert all("ScaPre edit" in text for text in drawn.info["infotexts"])
    assert len(web.passes()) == 2
    assert all(comfy.apart(found, comfy.weights(file)) < EXACT for found in web.passes())
    assert first or not web.forge  # a batch of two is not always the same bits as one picture
    assert_off(web, plain)


def test_hires_fix(web: Web, plain: bytes, file: Path) -> None:
    request: dict[str, Any] = {"enable_hr": True, "hr_scale": 2, "hr_upscaler": "Latent", "denoising_strength": 0.7}
    request |= {"hr_additional_modules": ["Use same choices"]} if web.forge else {}
    unedited = web.draw(PROMPT, **request).pixels[0]
    edited = web.draw(PROMPT, ON, **request).pixels[0]
    assert edited != unedited
    assert all(comfy.apart(found, comfy.weights(file)) < EXACT for found in web.passes())
    assert_off(web, plain)


def test_a_switch_to_a_refiner_in_the_midst_of_a_picture(web: Web, plain: bytes, erased: bytes, file: Path) -> None:
    request = {"refiner_checkpoint": TWIN, "refiner_switch_at": 0.5}
    assert web.draw(PROMPT, **request).pixels[0] == plain
    assert web.draw(PROMPT, ON, **request).pixels[0] == erased
    assert comfy.apart(web.weights(), comfy.weights(file)) < EXACT
    assert web.draw(PROMPT, **request).pixels[0] == plain
    assert_off(web, plain)


def test_a_refiner_in_batches_with_a_lora(web: Web, saved: str, file: Path, plain: bytes) -> None:
    request = {"refiner_checkpoint": TWIN, "refiner_switch_at": 0.5, "n_iter": 2}
    web.draw(LORA_PROMPT, **request)
    host = [comfy.apart(found, comfy.weights(lora=lora())) < EXACT for found in web.passes()]
    assert host == [web.forge] * 2  # AUTOMATIC1111 leaves LoRAs out after the switch
    web.draw(LORA_PROMPT, with_file(saved), **request)
    wanted = comfy.weights(file, lora=lora() if web.forge else None)
    assert [comfy.apart(found, wanted) < EXACT for found in web.passes()] == [True, True]
    assert_off(web, plain)


def test_another_checkpoint_and_back(web: Web, plain: bytes, erased: bytes) -> None:
    other = {"override_settings": {"sd_model_checkpoint": TWIN}}
    assert web.draw(PROMPT, ON, **other).pixels[0] == erased
    assert web.draw(PROMPT, **other).pixels[0] == plain
    assert web.draw(PROMPT, ON).pixels[0] == erased
    assert_off(web, plain)


def test_clip_skip(web: Web, plain: bytes, erased: bytes) -> None:
    skip = {"override_settings": {"CLIP_stop_at_last_layers": 2}}
    unedited, edited = web.draw(PROMPT, **skip), web.draw(PROMPT, ON, **skip)
    assert edited.pixels[0] not in (unedited.pixels[0], erased)
    assert web.draw(PROMPT, ON).pixels[0] == erased
    assert_off(web, plain)


def test_prompt_editing_and_several_prompts(web: Web, plain: bytes, erased: bytes, file: Path) -> None:
    for prompt in ("a red [cross:star:0.5]", "a red cross AND a blue star", "a (red cross:1.3) BREAK in a field"):
        assert web.draw(prompt, ON).pixels[0] != web.draw(prompt).pixels[0]
        web.draw(prompt, ON)
        assert comfy.apart(web.weights(), comfy.weights(file)) < EXACT
    assert_off(web, plain)


def test_img2img_and_inpainting(web: Web, plain: bytes, file: Path) -> None:
    picture = base64.b64encode(web.draw(PROMPT).files[0]).decode()
    request: dict[str, Any] = {"route": "img2img", "init_images": [picture], "denoising_strength": 0.8}
    for more in ({}, {"mask": _mask(), "inpainting_fill": 1}):
        unedited = web.draw(PROMPT, **request, **more).pixels[0]
        edited = web.draw(PROMPT, ON, **request, **more)
        assert edited.pixels[0] != unedited
        assert "ScaPre edit" in edited.infotext
        assert comfy.apart(web.weights(), comfy.weights(file)) < EXACT
        assert web.draw(PROMPT, **request, **more).pixels[0] == unedited
    assert_off(web, plain)


def _mask() -> str:
    import io

    from PIL import Image

    half = np.zeros((64, 64), np.uint8)
    half[:, :32] = 255
    held = io.BytesIO()
    Image.fromarray(half).save(held, "PNG")
    return base64.b64encode(held.getvalue()).decode()
