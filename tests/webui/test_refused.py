"""What an edit cannot reach draws nothing: a program in the place of the model, and models of other families."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pack.benchmarks.host import webui
from pack.benchmarks.host.base import link
from pack.benchmarks.host.client import HostError
from pack.tests.webui import other_models
from pack.tests.webui.conftest import TWIN, Web, start

PROMPT = "a red cross"
ON = (True, "cross\nstar")
UNETS = {"chosen": {}, "automatic": {"override_settings": {"sd_model_checkpoint": "replaced.safetensors"}}}


@pytest.fixture(scope="module")
def a1111(web: Web) -> Web:
    """AUTOMATIC1111 with a checkpoint that another program draws in the place of."""
    if web.forge:
        pytest.skip("Forge has no SD Unet")
    models = web.data / "models" / "Stable-diffusion"
    webui.copy_model(web.data, models / TWIN, "replaced.safetensors")
    link((models / TWIN).with_suffix(".yaml"), models / "replaced.yaml")
    web.post("/sdapi/v1/refresh-checkpoints", {})
    return web


@pytest.fixture(params=UNETS)
def replaced(a1111: Web, request: pytest.FixtureRequest) -> Iterator[tuple[Web, dict[str, Any]]]:
    """What to ask for, so that the other program draws."""
    if request.param == "chosen":  # an override of a setting that was never saved would stay
        a1111.post("/sdapi/v1/options", {"sd_unet": "stand-in"})
    yield a1111, UNETS[request.param]
    a1111.post("/sdapi/v1/options", {"sd_unet": "Automatic"})


@pytest.fixture(scope="module")
def before(a1111: Web) -> tuple[bytes, bytes]:
    """The pictures of the model itself, without an edit and with one."""
    found = a1111.draw(PROMPT).pixels[0], a1111.draw(PROMPT, ON).pixels[0]
    assert found[0] != found[1]
    return found


def test_a_program_in_the_place_of_the_model_is_refused(
    before: tuple[bytes, bytes], replaced: tuple[Web, dict[str, Any]]
) -> None:
    web, request = replaced
    other = web.draw(PROMPT, **request).pixels[0]
    assert other not in before  # it does draw
    for values in (ON, (*ON, "", "", "auto", "usual", 0.0)):
        with pytest.raises(HostError, match="another program draws in the place of the model") as caught:
            web.draw(PROMPT, values, **request)
        assert "answered 500" in str(caught.value)
        assert web.get("/scapre/report")["failed"]
    assert web.draw(PROMPT, **request).pixels[0] == other
    web.post("/sdapi/v1/options", {"sd_unet": "None"})
    assert web.draw(PROMPT, ON).pixels[0] == before[1]
    assert web.draw(PROMPT).pixels[0] == before[0]


@pytest.fixture(scope="module")
def others(webui_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A web UI with checkpoints of other families beside MiniCanvas."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("hugging face")
        other_models.write_t5_tokenizer(home)
        patch.setenv("HF_HOME", str(home))
        web = start(webui_folder, tmp_path_factory.mktemp("others") / "data")
        models = web.data / "models" / "Stable-diffusion"
        other_models.write_sd3(models / "small-sd3.ckpt")
        other_models.write_flux(models / "small-flux.ckpt")
        with web:
            yield web


def drawn(web: Web, file: str, values: Any = None) -> bytes:
    """A picture of another family's model; these are drawn with no guidance, or with one of their own."""
    settings = {"sd_model_checkpoint": file, "sd_vae_decode_method": "Full"}
    return web.draw(PROMPT, values, steps=1, cfg_scale=1, override_settings=settings).pixels[0]


def test_flux_is_refused_by_its_name(others: Web) -> None:
    if not others.forge:
        pytest.skip("AUTOMATIC1111 takes Flux for a Stable Diffusion 1 without weights")
    erased = others.draw(PROMPT, ON).pixels[0]
    assert_refused(others, "small-flux.ckpt", "Flux models can be edited in ComfyUI, and not here yet")
    assert others.draw(PROMPT, ON).pixels[0] == erased


def test_stable_diffusion_3_is_refused_by_its_name(others: Web) -> None:
    erased = others.draw(PROMPT, ON).pixels[0]
    try:
        plain = drawn(others, "small-sd3.ckpt")
    except HostError as error:
        pytest.skip(f"this host itself cannot draw with it: {error}")
    assert_refused(others, "small-sd3.ckpt", "SD3 models can be edited in ComfyUI, and not here yet")
    assert drawn(others, "small-sd3.ckpt") == plain
    assert others.draw(PROMPT, ON).pixels[0] == erased


def assert_refused(web: Web, file: str, said: str) -> None:
    """No picture, and the family is told."""
    with pytest.raises(HostError, match=said) as caught:
        drawn(web, file, ON)
    assert "answered 500" in str(caught.value)
    assert said in web.get("/scapre/report")["text"]
