"""A real AUTOMATIC1111 or Forge, which WEBUI_PATH names, with this pack and MiniCanvas; and ComfyUI beside it.

Without WEBUI_PATH the tests that need one are skipped. What can be proven without a host is in the other modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pack.benchmarks.host import webui
from pack.benchmarks.host.base import link
from pack.benchmarks.host.places import cache_folder
from pack.benchmarks.minicanvas import checkpoint
from pack.benchmarks.minicanvas.webui import add_minicanvas

TWIN = "twin.safetensors"


class Web(webui.WebUI):
    """The web UI of these tests, which tells what its projections do."""

    def passes(self) -> list[dict[str, torch.Tensor]]:
        """What every text projection did at the end of each pass of the last generation, as weights."""
        files = sorted((self.data / "probe").glob("*.safetensors"), key=lambda file: int(file.stem))
        return [load_file(file) for file in files]

    def weights(self) -> dict[str, torch.Tensor]:
        """The same, of the last pass."""
        return self.passes()[-1]


@cache
def lora() -> Path:
    """A LoRA under the names that all hosts know: parts of a weight's name between underscores."""
    weights = load_file(Path(checkpoint.UNET).with_name("lora.safetensors"))
    file = cache_folder() / "minicanvas" / "frames-lora.safetensors"
    named = {}
    for key, value in weights.items():
        layer, part = re.fullmatch(r"diffusion_model\.(.+?)\.((?:lora_|alpha).*)", key).groups()
        named[f"lora_unet_{layer.replace('.', '_')}.{part}"] = value
    save_file(named, file)
    return file


def start(folder: Path, data: Path, **options: Any) -> Web:
    """Make a web UI with MiniCanvas, a copy of it under another name, and a LoRA."""
    web = Web(folder, data, **options)
    minicanvas = add_minicanvas(data, folder, cache_folder() / "minicanvas")
    models = data / "models" / "Stable-diffusion"
    webui.copy_model(data, models / minicanvas, TWIN)
    config = (models / minicanvas).with_suffix(".yaml")
    if config.is_file():
        link(config, (models / TWIN).with_suffix(".yaml"))
    link(lora(), data / "models" / "Lora" / "frames.safetensors")
    link(Path(__file__).parent / "probe", data / "extensions" / "probe")
    return web


@pytest.fixture(scope="session")
def webui_folder() -> Path:
    """The folder that WEBUI_PATH names."""
    folder = webui.find_webui()
    if folder is None:
        pytest.skip(f"{webui.VARIABLE} names no folder of AUTOMATIC1111 or Forge")
    return folder


@pytest.fixture(scope="session")
def web(webui_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """It runs, for all tests of the session; its data folder has a space in its path."""
    with start(webui_folder, tmp_path_factory.mktemp("webui") / "data folder", page=True) as running:
        yield running
