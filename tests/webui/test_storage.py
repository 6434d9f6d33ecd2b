"""Weights in eight bits, and models that lie elsewhere while they are not used: each on a web UI of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pack.benchmarks.host.webui import is_forge
from pack.scapre.edits.fingerprint import sample
from pack.scapre.files import read_edit
from pack.tests.webui import comfy
from pack.tests.webui import stored as files
from pack.tests.webui.conftest import Web, start

PROMPT = "a red cross"
LIST = "cross\nstar"
METHODS = {"shift": ("auto", "usual"), "dense": ("scapre", "objects-few")}


ROUNDED = {"eight bits": 1e-2, "scaled eight bits": 1e-2, "Q8_0": 2e-3, "Q4_0": 1e-2}
"""Ways that round the weights, and by how much at least."""
_EIGHT = {True: {"forge_unet_storage_dtype": "float8-e4m3fn"}, False: {"fp8_storage": "Enable"}}


@pytest.fixture(scope="module", params=[*ROUNDED, "--medvram", "--lowvram"])
def small(request: pytest.FixtureRequest, webui_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A web UI that saves memory in one way."""
    forge, way = is_forge(webui_folder), request.param
    if forge and way.startswith("--"):
        pytest.skip("Forge manages its memory by itself and has no such argument")
    if not forge and way in ("scaled eight bits", "Q8_0", "Q4_0"):
        pytest.skip("AUTOMATIC1111 knows no such files")
    data = tmp_path_factory.mktemp("small") / "data"
    options: dict[str, Any] = {"extra": [way]} if way.startswith("--") else {"settings": _settings(forge, way, data)}
    web = start(webui_folder, data, **options)
    if way.startswith("Q"):
        files.write_gguf(web.data, webui_folder, way)
    elif way == "scaled eight bits":
        files.write_scaled(web.data)
    with web:
        yield web, way


def _settings(forge: bool, way: str, data: Path) -> dict[str, Any]:
    if way == "eight bits":
        return _EIGHT[forge]
    beside = {"forge_additional_modules": [str(data / files.BESIDE)]} if way.startswith("Q") else {}
    return {"sd_model_checkpoint": files.GGUF if way.startswith("Q") else files.SCALED} | beside


@pytest.mark.parametrize("kind", METHODS)
def test_the_edit_is_not_rounded(small: tuple[Web, str], kind: str) -> None:
    web, way = small
    method, preset = METHODS[kind]
    # Asked for before anything is drawn: the host may not have made its weights ready yet.
    told = web.post("/scapre/erase", {"concepts": LIST, "method": method, "preset": preset, "name": kind})
    plain = web.draw(PROMPT).pixels[0]
    base = web.weights()
    rounded = comfy.apart(base, comfy.weights())
    assert rounded > ROUNDED[way] if way in ROUNDED else rounded < 1e-5
    edit = read_edit(web.data / "models" / "scapre" / told["name"])
    # What was read is what the layers do.
    assert edit.difference({name: sample(base[name]) for name in edit.shapes}) == 0
    picture = web.draw(PROMPT, [True, "", "", "", "auto", "usual", 1, 0, told["name"]]).pixels[0]
    assert picture != plain
    wanted = {name: value + edit.delta(name, value) if name in edit.shapes else value for name, value in base.items()}
    # AUTOMATIC1111 computes in bfloat16 where a CPU has weights in eight bits.
    exact = 1e-2 if way == "eight bits" and not web.forge else 1e-5
    assert comfy.apart(web.weights(), wanted) < exact
    edited = {name: wanted[name] for name in edit.shapes}
    eight = {name: value.to(torch.float8_e4m3fn).float() for name, value in edited.items()}
    assert way != "eight bits" or comfy.apart(eight, edited) > 1e-2  # merged into the weights, it would be
    assert web.draw(PROMPT).pixels[0] == plain
