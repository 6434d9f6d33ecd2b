"""The command line: what it writes, what it says, how it ends, and that nothing of the user's is touched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pack.scapre.checkpoints.checkpoint import Checkpoint
from pack.scapre.checkpoints.tensor_file import TensorFile
from pack.scapre.cli import COMMANDS, console, main
from pack.scapre.export import FORMATS
from pack.scapre.files import read_edit, write_edit
from pack.scapre.methods.scapre.settings import PRESETS, Settings
from pack.tests import checkpoint_files

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a checkpoint, two edits of it and a list."""
    place = tmp_path_factory.mktemp("original")
    source = checkpoint_files.write(place / "model.safetensors", checkpoint_files.tensors())
    write_edit(checkpoint_files.edit_for(source, "cat -> dog\nbird"), place / "first.safetensors")
    many = PRESETS["objects-many"].settings
    write_edit(checkpoint_files.edit_for(source, "ship", many), place / "second.safetensors")
    (place / "list.txt").write_text("cat -> dog\n# a comment\nVincent van Gogh\n", encoding="utf-8")
    return place


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(original, tmp_path / "user")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def run(folder: Path, command: str, *arguments: str) -> int:
    """Runs a command whose file names are in the folder."""
    return main(
        [command, *(str(folder / text) if text.endswith((".safetensors", ".txt")) else text for text in arguments)]
    )


# --- erase ---


def test_erase_writes_an_edit_that_inspect_and_verify_read(
    folder: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "keep.txt").write_text("tulip", encoding="utf-8")
    before = content(folder)
    asked = ["--preset", "objects-many", "--seed", "7", "--anchor", "art", "--preserve", "keep.txt"]
    settings = ["--erase-scale", "2.5", "--informax", "off", "--bures-steps", "0", "--technique", "tensor"]
    files = [str(tiny_checkpoint), "--concepts", "list.txt", "--out", "new.safetensors"]
    assert run(folder, "erase", *files, *asked, *settings) == 0
    said = capsys.readouterr()
    assert "new.safetensors" in said.out and "2 concepts erased from SD1.x" in said.out
    assert said.err.splitlines() == ["text encoding …", "statistics …", "solve …"]
    edit = read_edit(folder / "new.safetensors")
    assert [(c.text, c.anchor) for c in edit.concepts] == [("cat", "dog"), ("Vincent van Gogh", "art")]
    assert (edit.seed, edit.preserve, edit.family) == (7, ("tulip",), "SD1.x")
    many = PRESETS["objects-many"].settings
    assert edit.settings == Settings(
        **{**vars(many), "erase_scale": 2.5, "informax": False, "bures_steps": 0, "technique": "tensor"}
    )
    assert main(["verify", str(tiny_checkpoint), str(folder / "new.safetensors")]) == 0
    assert "Same weights" in capsys.readouterr().out
    assert {name: data for name, data in content(folder).items() if name != "new.safetensors"} == before


@pytest.mark.parametrize("form", FORMATS)
def test_erase_exports_at_once(
    folder: Path, tiny_checkpoint: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(tiny_checkpoint), "--concepts", "list.txt", "--method", "uce", "--out", "new.safetensors"]
    assert run(folder, "erase", *files, "--export", form, "--rank", "4") == 0
    assert "Residual" in capsys.readouterr().out
    found = load_file(folder / "new.safetensors")
    if form == "checkpoint":
        assert found.keys() == load_file(tiny_checkpoint).keys()
    else:
        assert {name.split(".")[-1] for name in found} == {"lora": {"weight", "alpha"}, "diff": {"diff"}}[form]


def test_names_can_be_left_out(folder: Path, tiny_checkpoint: Path) -> None:
    files = [str(tiny_checkpoint), "--concepts", "list.txt", "--no-names", "--out"]
    assert run(folder, "erase", *files, "edit.safetensors") == 0
    assert run(folder, "erase", *files, "lora.safetensors", "--method", "uce", "--export", "lora") == 0
    assert not [name for name, data in content(folder).items() if b"Gogh" in data and name != "list.txt"]


def test_every_setting_has_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["erase", "--help"])
    text = capsys.readouterr().out
    assert [name for name in vars(Settings()) if f"--{name.replace('_', '-')}" not in text] == []


# --- the other commands ---


def test_inspect_tells_what_is_in_an_edit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit = read_edit(folder / "first.safetensors")
    assert run(folder, "inspect", "first.safetensors") == 0
    text = capsys.readouterr().out
    for part in ("cat -> dog", "bird -> (empty prompt)", "SD1.x", edit.fingerprint, "variant precise", "32 matrices"):
        assert part in text
    assert run(folder, "inspect", "first.safetensors", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["concepts"] == [{"concept": "cat", "anchor": "dog"}, {"concept": "bird", "anchor": ""}]
    assert found["settings"] == vars(edit.settings) and found["seed"] == edit.seed
    assert found["kept"] == dict(edit.report.kept)
    assert [tuple(shape) for shape in found["matrices"].values()] == list(edit.shapes.values())


def test_verify_tells_same_weights_from_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "verify", "model.safetensors", "first.safetensors") == 0
    changed = load_file(folder / "model.safetensors")
    changed = {name: value * 1.1 if "attn2" in name else value for name, value in changed.items()}
    checkpoint_files.write(folder / "other.safetensors", changed)
    capsys.readouterr()
    assert run(folder, "verify", "other.safetensors", "first.safetensors") == 1
    assert "differ by 10.0" in capsys.readouterr().out
    checkpoint_files.write(folder / "sdxl.safetensors", checkpoint_files.tensors("SDXL"))
    assert run(folder, "verify", "sdxl.safetensors", "first.safetensors") == 2


def test_verify_does_not_ask_how_a_file_orders_its_tensors(folder: Path) -> None:
    turned = dict(reversed(load_file(folder / "model.safetensors").items()))
    data = b"".join(value.numpy().tobytes() for value in turned.values())
    header, end = {}, 0
    for name, value in turned.items():
        start, end = end, end + value.nbytes
        kind = "F16" if value.dtype == torch.float16 else "F32"
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    (folder / "turned.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    assert run(folder, "verify", "turned.safetensors", "first.safetensors") == 0


@pytest.mark.parametrize("form", FORMATS)
def test_export_writes_what_the_format_is(folder: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(folder)
    asked = ["--checkpoint", "model.safetensors", "--format", form, "--out", "new.safetensors"]
    assert run(folder, "export", "first.safetensors", *asked) == 0
    assert "new.safetensors" in capsys.readouterr().out
    edit, found = read_edit(folder / "first.safetensors"), load_file(folder / "new.safetensors")
    with Checkpoint(folder / "model.safetensors") as checkpoint:
        name = checkpoint_files.texts(checkpoint)[0]
        weight = checkpoint.read(name, torch.device("cpu"))
        change = edit.delta(name, weight)
        if form == "checkpoint":
            assert torch.equal(found[checkpoint.stored_name(name)], (weight + change).half())
    file = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    if form == "diff":
        assert torch.equal(found[f"{file}.diff"], change)
    if form == "lora":
        given = found[f"{file}.lora_up.weight"].float() @ found[f"{file}.lora_down.weight"].float()
        assert (given - change).norm() < 0.06 * change.norm()
    assert {name: data for name, data in content(folder).items() if name != "new.safetensors"} == before


def test_merge_solves_all_concepts_as_if_they_had_been_typed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--checkpoint", "model.safetensors", "--out", "new.safetensors"]
    assert run(folder, "merge", "first.safetensors", "second.safetensors", *asked, "--remove", "bird") == 0
    assert "Merged 2 edits: 2 concepts" in capsys.readouterr().out
    merged = read_edit(folder / "new.safetensors")
    typed = checkpoint_files.edit_for(folder / "model.safetensors", "cat -> dog\nship")
    with Checkpoint(folder / "model.safetensors") as checkpoint:
        for name in merged.shapes:
            weight = checkpoint.read(name, torch.device("cpu"))
            assert torch.equal(merged.delta(name, weight), typed.delta(name, weight))


# --- how a command ends ---

MISTAKES: dict[str, tuple[str, ...]] = {
    "missing.safetensors": ("inspect", "missing.safetensors"),
    "not an edit": ("inspect", "model.safetensors"),
    "Convert it": ("erase", "model.ckpt", "--concepts", "list.txt", "--out", "new.safetensors"),
    "is a folder": ("erase", ".", "--concepts", "list.txt", "--out", "new.safetensors"),
    "no text encoder": ("erase", "model.safetensors", "--concepts", "list.txt", "--out", "new.safetensors"),
    "none.txt": ("erase", "model.safetensors", "--concepts", "none.txt", "--out", "new.safetensors"),
    "does not end in": ("erase", "model.safetensors", "--concepts", "list.txt", "--out", "new.pt"),
    "no folder": ("erase", "model.safetensors", "--concepts", "list.txt", "--out", "no/new.safetensors"),
    "is there already": ("erase", "model.safetensors", "--concepts", "list.txt", "--out", "first.safetensors"),
    "also an input": ("erase", "model.safetensors", "--concepts", "list.txt", "--out", "model.safetensors"),
    "gate_power": ("erase", "model.safetensors", "--concepts", "list.txt", "--out", "new.safetensors",
                   "--gate-power", "-3"),
    "rank": ("export", "first.safetensors", "--checkpoint", "model.safetensors", "--format", "lora",
             "--out", "new.safetensors", "--rank", "-1"),
    "remove": ("merge", "first.safetensors", "--checkpoint", "model.safetensors", "--out", "new.safetensors",
               "--remove", "no such thing"),
}  # fmt: skip


@pytest.mark.parametrize("said", MISTAKES)
def test_a_mistake_is_one_sentence_and_changes_nothing(
    folder: Path, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    before = content(folder)
    assert main(MISTAKES[said]) == 2
    out, err = capsys.readouterr()
    (line,) = [line for line in err.splitlines() if not line.endswith("…")]
    assert line.startswith("scapre: ") and said in line and line.endswith(".")
    assert out == ""
    assert content(folder) == before


@pytest.mark.parametrize("seed", ["-1", "1.5", str(2**63), "x"])
def test_a_seed_that_no_edit_file_holds_is_refused(folder: Path, seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(
            folder, "erase", "model.safetensors", "--concepts", "list.txt", "--out", "new.safetensors", f"--seed={seed}"
        )
    assert ended.value.code == 2
    assert "not a whole number" in capsys.readouterr().err


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_no_name_of_an_input_can_be_written_to(folder: Path, link: Callable[[Path, Path], None]) -> None:
    link(folder / "alias.safetensors", folder / "model.safetensors")
    before = content(folder)
    asked = ["--checkpoint", "model.safetensors", "--format", "checkpoint", "--overwrite", "--out", "alias.safetensors"]
    assert run(folder, "export", "first.safetensors", *asked) == 2
    assert content(folder) == before


def test_a_file_is_replaced_only_where_asked(folder: Path) -> None:
    asked = ["--checkpoint", "model.safetensors", "--format", "lora", "--out", "second.safetensors"]
    before = content(folder)
    assert run(folder, "export", "first.safetensors", *asked) == 2
    assert content(folder) == before
    assert run(folder, "export", "first.safetensors", *asked, "--overwrite") == 0
    assert content(folder)["second.safetensors"] != before["second.safetensors"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert (COMMANDS[name].__doc__ or "").split("\n")[0].split(":")[0] in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("form", FORMATS)
def test_ctrl_c_leaves_nothing_behind(
    folder: Path, form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def press(progress: console.ConsoleProgress, stage: str, done: int, total: int) -> None:
        if done == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr(console.ConsoleProgress, "__call__", press)
    before = content(folder)
    asked = ["--checkpoint", "model.safetensors", "--format", form, "--out", "new.safetensors"]
    assert run(folder, "export", "first.safetensors", *asked) == 130
    assert content(folder) == before
    assert "nothing was written" in capsys.readouterr().err


KILLED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
from scapre.cli import console
number = int(sys.argv.pop())
def end(progress, stage, done, total):
    if done == 9:
        os.kill(os.getpid(), number)
console.ConsoleProgress.__call__ = end
import scapre.__main__
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_killed_run_leaves_no_half_file_and_its_inputs_alone(folder: Path, number: int, status: int) -> None:
    before = content(folder)
    asked = ["export", "first.safetensors", "--checkpoint", "model.safetensors", "--format", "checkpoint"]
    command = [sys.executable, "-c", KILLED, *asked, "--out", "new.safetensors", str(int(number))]
    ended = subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True)
    assert ended.returncode == status, ended.stderr
    after = content(folder)
    assert not (folder / "new.safetensors").exists()
    assert {name: after[name] for name in before} == before
    left = sorted(set(after) - set(before))
    assert all(name.startswith(".") for name in left)
    assert not left or number == signal.SIGKILL  # nobody is there to tidy up after that


# --- what it takes ---


def test_a_checkpoint_is_read_and_written_tensor_by_tensor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[weakref.ref[torch.Tensor]] = []
    most, read = 0, TensorFile.read

    def watched(file: TensorFile, name: str) -> torch.Tensor:
        nonlocal most
        most = max(most, sum(value().nbytes for value in alive if value() is not None))  # type: ignore[union-attr]
        tensor = read(file, name)
        if file.path.name == "model.safetensors":
            alive.append(weakref.ref(tensor))
        return tensor

    monkeypatch.setattr(TensorFile, "read", watched)
    asked = ["--checkpoint", "model.safetensors", "--format", "checkpoint", "--out", "new.safetensors"]
    assert run(folder, "export", "first.safetensors", *asked) == 0
    largest = max(value.nbytes for value in load_file(folder / "model.safetensors").values())
    assert len(alive) == len(load_file(folder / "model.safetensors"))
    assert most <= 2 * largest


@pytest.mark.parametrize("command", ["inspect", "export"])
def test_only_erase_needs_transformers(folder: Path, command: str) -> None:
    asked = {
        "inspect": ["inspect", "first.safetensors"],
        "export": ["export", "first.safetensors", "--checkpoint", "model.safetensors", "--format", "lora"],
    }[command] + (["--out", "new.safetensors"] if command == "export" else [])
    script = "import sys; sys.modules['transformers'] = None; from scapre.cli import main; sys.exit(main(sys.argv[1:]))"
    ended = subprocess.run(
        [sys.executable, "-c", script, *asked], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr


def test_without_transformers_erase_says_so(folder: Path, tiny_checkpoint: Path) -> None:
    script = "import sys; sys.modules['transformers'] = None; from scapre.cli import main; sys.exit(main(sys.argv[1:]))"
    asked = ["erase", str(tiny_checkpoint), "--concepts", "list.txt", "--out", "new.safetensors"]
    ended = subprocess.run(
        [sys.executable, "-c", script, *asked], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "transformers is not installed" in ended.stderr and "Traceback" not in ended.stderr


def test_progress_on_a_terminal_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = console.ConsoleProgress()
    for done in range(4):
        progress("solve", done, 3)
    progress.finish()
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.endswith("solve 3/3\n") and err.startswith("\r")
