"""Edit files of released versions still load, and give the changes they gave."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pack.scapre.files import read_edit, write_edit

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*-precise.safetensors")) + sorted(FOLDER.glob("*-scale.safetensors"))


def test_there_are_two_of_every_kept_version() -> None:
    assert [file.name for file in FILES] == ["0.1.0-precise.safetensors", "0.1.0-scale.safetensors"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_gives_the_changes_it_gave(file: Path) -> None:
    version, variant = file.stem.split("-")
    kept, edit = load_file(FOLDER / f"{version}-changes.safetensors"), read_edit(file)
    assert (edit.version, edit.method, edit.described) == (version, "scapre", f"variant {variant}")
    assert [concept.text for concept in edit.concepts] == ["cat", "bird"]
    assert list(edit.shapes) == ["block.0.weight", "block.1.weight"]
    for name in edit.shapes:
        change = edit.delta(name, kept[f"weight {name}"])
        assert torch.allclose(change, kept[f"{variant} {name}"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_is_written_again_as_it_was(file: Path, tmp_path: Path) -> None:
    write_edit(read_edit(file), tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()
