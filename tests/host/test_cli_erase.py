"""`erase` on the command line against Erase Concepts on the same checkpoint in the host."""

from __future__ import annotations

from pathlib import Path

import comfy.sd
import pytest
import torch

from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.host.projections import HostProjections
from pack.scapre.cli import main
from pack.scapre.files import read_edit

CONCEPTS = "cat -> dog\nVincent van Gogh\nsailing ship"

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")


@pytest.mark.parametrize("preset", ["objects-few", "objects-many", "explicit"])
def test_the_command_line_solves_what_the_node_solves(preset: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(CONCEPTS, encoding="utf-8")
    asked = ["--concepts", str(tmp_path / "list.txt"), "--preset", preset, "--out", str(tmp_path / "e.safetensors")]
    assert main(["erase", str(tiny_checkpoint), *asked]) == 0
    ours = read_edit(tmp_path / "e.safetensors")
    model, clip, *_ = comfy.sd.load_checkpoint_guess_config(str(tiny_checkpoint), output_vae=False)
    with torch.inference_mode():
        inputs = {"model": model, "clip": clip, "concepts": CONCEPTS, "preset": preset}
        _, theirs, _ = EraseConcepts.EXECUTE_NORMALIZED(**inputs).result
    assert ours.fingerprint == theirs.fingerprint  # the same weights in the same order
    assert list(ours.shapes) == list(theirs.shapes)
    assert (ours.settings, ours.concepts, ours.family) == (theirs.settings, theirs.concepts, theirs.family)
    weights = HostProjections(model)
    for name in theirs.shapes:
        weight = weights.read(name, torch.device("cpu"))
        found, wanted = ours.delta(name, weight), theirs.delta(name, weight)
        assert (found - wanted).norm() < 1e-4 * wanted.norm()
