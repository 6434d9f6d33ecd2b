"""How the command line is started: as the README says, from any folder, also by a Python that ignores all of them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pytest

from pack.scapre import VERSION
from pack.scapre.cli import COMMANDS, _parser
from pack.scapre.files import write_edit
from pack.tests.edit_files import tiny_edit

ROOT = Path(__file__).parents[2]
DOCUMENTED = [
    line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("python PACK")
]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this Python with a ._pth file beside it, as in ComfyUI's portable package."""
    if sys.version_info < (3, 11) or os.name == "nt":
        pytest.skip("only Windows' own build of this Python reads ._pth files")
    folder = tmp_path_factory.mktemp("embedded")
    python = Path(shutil.copy(Path(sys.executable).resolve(), folder / "python"))
    places = [sysconfig.get_path("stdlib"), sysconfig.get_config_var("DESTSHARED"), sysconfig.get_path("purelib")]
    (folder / "python._pth").write_text("\n".join([*places, ".", "import site"]), encoding="utf-8")
    said = subprocess.run([python, "-c", "import sys; print(sys.flags.isolated, sys.path)"], capture_output=True)
    assert said.stdout.startswith(b"1 "), said.stderr
    return python


@pytest.fixture(params=["python", "embedded"])
def python(request: pytest.FixtureRequest) -> Path:
    """Both."""
    return Path(sys.executable) if request.param == "python" else request.getfixturevalue("embedded")


@pytest.fixture
def other_name(tmp_path: Path) -> Path:
    """The pack in a folder that is called as nobody would call a module."""
    folder = tmp_path / "my nodes-2.0"
    (folder).mkdir()
    shutil.copytree(ROOT / "scapre", folder / "scapre", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run(command: Sequence[str | Path], cwd: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(command, cwd=cwd, env=clean | {"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True)
    assert ended.returncode == 0, ended.stderr
    assert not [line for line in ended.stderr.splitlines() if b"Warning" in line]
    return ended.stdout.decode()


def documented(command: str, python: Path, pack: Path) -> list[str | Path]:
    """The README's line for a command."""
    (line,) = [line for line in DOCUMENTED if line.startswith(f"python PACK/scapre {command} ")]
    return [python, str(pack / "scapre"), *shlex.split(line)[2:]]


def test_every_command_is_documented_as_it_is_taken() -> None:
    for name in COMMANDS:
        assert _parser().parse_args([str(part) for part in documented(name, Path(), Path())[2:]]).command == name
    assert len(DOCUMENTED) == len(COMMANDS)


def test_the_documented_command_works_in_any_folder(python: Path, tmp_path: Path, other_name: Path) -> None:
    write_edit(tiny_edit(), tmp_path / "edit.safetensors")
    said = run(documented("inspect", python, ROOT), tmp_path)
    assert "Fingerprint" in said
    assert run(documented("inspect", python, other_name), tmp_path) == said
    assert run([*documented("inspect", python, other_name)[:2], "inspect", tmp_path / "edit.safetensors"], ROOT) == said


@pytest.mark.parametrize(
    ("folder", "name"), [(".", "scapre"), (".", "scapre/"), (".", "scapre/__main__.py"), ("scapre", "."),
                         ("scapre/cli", ".."), ("scapre", "../scapre")]
)  # fmt: skip
def test_the_folder_may_be_named_in_any_way(python: Path, folder: str, name: str) -> None:
    assert run([python, name, "--version"], ROOT / folder) == f"{VERSION}\n"


def test_as_a_module_of_the_packs_folder_it_works_too() -> None:
    assert run([sys.executable, "-m", "scapre", "--version"], ROOT) == f"{VERSION}\n"


SHOW = """
import json, runpy, sys
start, pack = sys.argv[1:]
sys.path.insert(0, pack)
import scapre.cli
sys.path.remove(pack)
def main():
    import of_another_pack
    print(json.dumps([sys.path, sys.modules["__main__"].__package__]))
scapre.cli.main = main
sys.argv[1:] = []
runpy.run_path(start, run_name="__main__")
"""


@pytest.mark.parametrize(("folder", "start"), [(".", "scapre"), ("scapre", "."), ("scapre/cli", "..")])
def test_its_modules_hide_none_of_their_names(tmp_path: Path, folder: str, start: str) -> None:
    (tmp_path / "show.py").write_text(SHOW, encoding="utf-8")
    (tmp_path / "of_another_pack.py").touch()
    places, package = json.loads(run([sys.executable, tmp_path / "show.py", start, str(ROOT)], ROOT / folder))
    assert places[0] == str(ROOT) and package == "scapre"
    inside = (ROOT / "scapre").resolve()
    assert inside not in [Path(ROOT / folder, place).resolve() for place in places if place]


def test_help_says_the_documented_form(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args(["--help"])
    said = capsys.readouterr().out
    assert said.startswith("usage: python PACK/scapre ") and "PACK is the pack's folder" in said
