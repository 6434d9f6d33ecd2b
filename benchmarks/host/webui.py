"""Start a real AUTOMATIC1111 or Forge without a screen, with this pack as its extension, and talk to its API.

WEBUI_PATH names the folder, complete and ready to run: with its `repositories/`, and with the Python environment that
its own start script makes, `venv/`. Nothing is written into it: models, settings, pictures and the link to this pack
lie in a data folder of ours.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .base import PACK_ROOT, link
from .client import Client, HostError
from .process import Process, free_port

VARIABLE = "WEBUI_PATH"
EXTENSION = "ScaPre, erase concepts"  # any name will do: this one has spaces and a comma
_STARTED = "Startup time: "  # in the log
_START = Path(__file__).with_name("webui_start.py")
_SETTINGS = {
    "sd_vae_decode_method": "TAESD",
    "sd_vae_encode_method": "TAESD",
    "live_previews_enable": False,
    "samples_save": False,
    "grid_save": False,
    "CLIP_stop_at_last_layers": 1,
}
_COMMON = [
    *("--skip-torch-cuda-test", "--skip-prepare-environment", "--api", "--no-download-sd-model"),
    *("--server-name", "127.0.0.1"),
]
_FORGE = ["--always-cpu"]
_A1111 = [
    *("--skip-version-check", "--use-cpu", "all", "--no-half", "--precision", "full", "--do-not-download-clip"),
    *("--disable-safe-unpickle", "--opt-sdp-attention"),
]


class WebUI(Process, Client):
    """One web UI process with this pack among its extensions; use it as a context manager.

    Args:
        folder: of AUTOMATIC1111 or Forge.
        data: a data folder of our own; made when missing, and its path may have spaces.
        page: whether it serves its page, and not only its API.
        settings: options beside those that these models need.
        extra: more arguments for `launch.py`.
    """

    patience = 600.0

    def __init__(
        self,
        folder: Path,
        data: Path,
        *,
        page: bool = False,
        settings: Mapping[str, Any] | None = None,
        extra: Sequence[str] = (),
    ) -> None:
        self.data, self.page, self.extra, self.port = data, page, list(extra), free_port()
        for name in ("extensions", "models/Stable-diffusion", "models/VAE-taesd", "models/Lora", "models/scapre"):
            (data / name).mkdir(parents=True, exist_ok=True)
        link(PACK_ROOT, data / "extensions" / EXTENSION)
        # Without it, what is not a part of these tests starts no slower: extensions that come with the host.
        options = _SETTINGS | {"disabled_extensions": _others(folder)} | (settings or {})
        (data / "config.json").write_text(json.dumps(options), encoding="utf-8")
        Process.__init__(self, "the web UI", folder, data / "webui.log")
        Client.__init__(self, f"http://127.0.0.1:{self.port}")

    @property
    def forge(self) -> bool:
        """Whether it is Forge."""
        return is_forge(self.folder)

    def command(self) -> list[str]:
        """Return the command line."""
        folders = ["--data-dir", str(self.data), "--ckpt-dir", str(self.data / "models" / "Stable-diffusion")]
        options = [*_COMMON, *(_FORGE if self.forge else _A1111), *folders, "--port", str(self.port), *self.extra]
        page = ["--gradio-allowed-path", str(self.folder)] if self.page else ["--nowebui"]
        return [str(interpreter(self.folder)), str(_START), str(self.folder), *options, *page]

    def environment(self) -> dict[str, str]:
        """Return the environment: offline, and with no settings of a user's own."""
        kept = {key: value for key, value in super().environment().items() if key != "COMMANDLINE_ARGS"}
        return kept | {"HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False", "PYTHONDONTWRITEBYTECODE": "1"}

    def is_ready(self) -> bool:
        """Tell whether it answers. AUTOMATIC1111 ends where something asks before it has said that it has started."""
        if _STARTED not in self.log.read_text(encoding="utf-8", errors="replace"):
            return False
        try:
            self.get("/sdapi/v1/scripts")
        except HostError:
            return False
        return True

    def draw(self, prompt: str, scapre: Sequence[Any] | None = None, route: str = "txt2img", **request: Any) -> Drawn:
        """Draw pictures of 64 pixels a side.

        Args:
            prompt: of the host's syntax.
            scapre: arguments of this pack's panel; None sends none.
            route: `txt2img` or `img2img`.
            request: other fields.

        Raises:
            HostError: the host refused, with its words.
        """
        body: dict[str, Any] = {
            "prompt": prompt, "seed": 7, "steps": 6, "cfg_scale": 4, "width": 64, "height": 64,
            "sampler_name": "Euler", "scheduler": "Automatic",
        } | request  # fmt: skip
        if scapre is not None:
            body["alwayson_scripts"] = {"scapre": {"args": list(scapre)}}
        answer = self.post(f"/sdapi/v1/{route}", body)
        return Drawn(tuple(map(base64.b64decode, answer["images"])), json.loads(answer["info"]))


class Drawn:
    """Pictures as files, and what the host says of them."""

    def __init__(self, files: Sequence[bytes], info: Mapping[str, Any]) -> None:
        self.files, self.info = tuple(files), info

    @property
    def pixels(self) -> tuple[bytes, ...]:
        """The pictures alone, without what is written into their files."""
        from PIL import Image

        return tuple(Image.open(io.BytesIO(file)).convert("RGB").tobytes() for file in self.files)

    @property
    def infotext(self) -> str:
        """What is written into the first picture."""
        return self.info["infotexts"][0]


def find_webui() -> Path | None:
    """Return the folder that WEBUI_PATH names, if any.

    Raises:
        HostError: It cannot be run.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    folder = Path(named).expanduser().absolute()
    for part, what in ((folder / "launch.py", "no web UI"), (interpreter(folder), "a web UI without venv/")):
        if not part.is_file():
            raise HostError(f"{VARIABLE} is {folder}, which is {what}: there is no {part}. Start the web UI once.")
    return folder


def is_forge(folder: Path) -> bool:
    """Whether a folder is Forge's."""
    return (folder / "backend" / "patcher").is_dir()


def interpreter(folder: Path) -> Path:
    """The Python of a web UI's environment."""
    return folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def add_model(data: Path, file: Path, config: str | None = None) -> str:
    """Link a checkpoint into a data folder, with a configuration beside it where the host would not find the right one.

    Returns:
        The name that the host knows it by.
    """
    place = data / "models" / "Stable-diffusion" / file.name
    place.parent.mkdir(parents=True, exist_ok=True)
    link(file.resolve(), place)
    if config is not None:
        place.with_suffix(".yaml").write_text(config, encoding="utf-8")
    return file.name


def copy_model(data: Path, file: Path, name: str) -> str:
    """A checkpoint under another name, which is another model to the host."""
    place = data / "models" / "Stable-diffusion" / name
    if not place.is_file():
        shutil.copyfile(file, place)
    return name


def _others(folder: Path) -> list[str]:
    """Extensions that come with the host, but for LoRAs."""
    names = sorted(path.name for path in (folder / "extensions-builtin").iterdir() if path.is_dir())
    return [name for name in names if "lora" not in name.lower()]
