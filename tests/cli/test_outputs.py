"""Outputs that cannot be written are refused before any work is done, and trying leaves nothing behind."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pack.scapre.cli import erase, export, main, merge
from pack.scapre.cli.arguments import check_output
from pack.scapre.errors import ScaPreError
from pack.scapre.files import write_edit
from pack.scapre.files.write import try_writing
from pack.tests.edit_files import tiny_edit

ROOT = Path(__file__).parents[2]


def place(folder: Path, kind: str) -> Path:
    """A path that cannot be written, of one kind."""
    name = "out.safetensors"
    if kind == "folder in its place":
        (folder / name).mkdir()
        return folder / name
    if kind == "path through a file":
        (folder / "file").touch()
        return folder / "file" / "deeper" / name
    if kind == "no such folder":
        return folder / "none" / name
    if kind == "long name":
        return folder / f"{'x' * 250}.safetensors"
    if kind == "long name in bytes":
        return folder / f"{'é' * 125}.safetensors"
    if kind == "links in a circle":
        (folder / name).symlink_to(folder / "other")
        (folder / "other").symlink_to(folder / name)
        return folder / name
    if kind == "pipe":
        os.mkfifo(folder / name)
        return folder / name
    return Path("/proc") / name  # where nobody makes files, not even root


REFUSED = {
    "folder in its place": "is a folder. Name a file",
    "path through a file": 'file" is a file, not a folder',
    "no such folder": "there is no folder",
    "long name": "cannot be written .*too long",
    "long name in bytes": "cannot be written .*too long",
    "links in a circle": "cannot be written .*symbolic links",
    "pipe": "cannot be written .*something else than a file",
    "system's folder": "cannot be written",
}
POSIX = pytest.mark.skipif(os.name == "nt" or not Path("/proc/self").exists(), reason="needs Linux")


@POSIX
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_written_is_refused_with_the_reason(tmp_path: Path, kind: str, overwrite: bool) -> None:
    path = place(tmp_path, kind)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ScaPreError, match=f"(?s)^--out: .*{REFUSED[kind]}") as refusal:
        check_output(path, [tmp_path / "input.safetensors"], overwrite)
    assert str(refusal.value).endswith(".") and len(str(refusal.value)) < 500
    assert sorted(tmp_path.rglob("*")) == before


def refuse(number: int) -> Callable[..., Any]:
    def opened(path: Path, *_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number), str(path))

    return opened


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOSPC, errno.EDQUOT])
def test_a_folder_that_takes_no_files_is_refused(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "open", refuse(number))
    with pytest.raises(ScaPreError, match=f"^--out: .*cannot be written .*{os.strerror(number)}"):
        check_output(tmp_path / "out.safetensors", [], False)


@pytest.mark.parametrize(
    ("windows", "number", "refused"),
    [(True, errno.EACCES, True), (False, errno.EACCES, False), (False, errno.EPERM, True), (False, errno.EROFS, True)],
)
def test_a_file_that_is_locked_is_refused_where_it_cannot_be_replaced(
    tmp_path: Path, windows: bool, number: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, usual = tmp_path / "out.safetensors", Path.open
    path.touch()

    def opened(self: Path, mode: str = "r", *more: Any, **named: Any) -> Any:
        return refuse(number)(self) if self == path else usual(self, mode, *more, **named)

    monkeypatch.setattr(Path, "open", opened)
    monkeypatch.setattr("pack.scapre.files.write._WINDOWS", windows)
    if refused:
        with pytest.raises(OSError, match=os.strerror(number)):
            try_writing(path)
    else:
        try_writing(path)
    assert list(tmp_path.iterdir()) == [path]


def test_what_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "out.safetensors"
    check_output(path, [], False)
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"mine")
    stamp = path.stat().st_mtime_ns
    check_output(path, [], True)
    with pytest.raises(ScaPreError, match="is there already"):
        check_output(path, [], False)
    assert path.read_bytes() == b"mine" and path.stat().st_mtime_ns == stamp
    assert list(tmp_path.iterdir()) == [path]


@POSIX
def test_a_link_to_nowhere_is_a_name_that_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "out.safetensors"
    path.symlink_to(tmp_path / "none")
    with pytest.raises(ScaPreError, match="is there already"):
        check_output(path, [], False)
    check_output(path, [], True)
    assert path.is_symlink() and not path.exists()


COMMANDS: dict[str, tuple[Any, Sequence[str]]] = {
    "erase": (erase, ["erase", "model.safetensors", "--concepts", "names.txt"]),
    "export": (export, ["export", "edit.safetensors", "--checkpoint", "model.safetensors", "--format", "lora"]),
    "merge": (merge, ["merge", "edit.safetensors", "--checkpoint", "model.safetensors"]),
}


@POSIX
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_reads_anything_before(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module, arguments = COMMANDS[command]

    def work(*_: Any, **__: Any) -> None:
        raise AssertionError("work was done")

    for name in ("Checkpoint", "read_edit", "request_of"):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, work)
    assert main([*arguments, "--out", "/proc/out.safetensors"]) == 2
    assert "scapre: --out: " in capsys.readouterr().err


@POSIX
@pytest.mark.skipif(not shutil.which("setpriv") or os.geteuid() != 0, reason="needs to take rights from root")
def test_without_rights_a_folder_is_refused(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    write_edit(tiny_edit(), tmp_path / "edit.safetensors")
    lowered = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", sys.executable]
    asked = ["export", tmp_path / "edit.safetensors", "--checkpoint", tmp_path / "none.safetensors", "--format", "lora"]
    ended = subprocess.run(
        [*lowered, ROOT / "scapre", *asked, "--out", locked / "out.safetensors"], capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert "--out: " in ended.stderr and "Permission denied" in ended.stderr and "Traceback" not in ended.stderr
