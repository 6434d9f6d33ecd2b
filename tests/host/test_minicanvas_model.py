"""The model that ships, on the real server: stock nodes sample it, and its workflow runs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import save_file
from torch import zeros

from pack.benchmarks import demo
from pack.benchmarks.graphs import Sampling, picture_node, text_to_image
from pack.benchmarks.host.base import PACK_ROOT, add_checkpoint
from pack.benchmarks.host.client import images
from pack.benchmarks.host.places import comfy_root
from pack.benchmarks.host.server import Server
from pack.benchmarks.minicanvas import checkpoint, readout, workflow

PROMPTS = (
    "a red star",
    "a blue house",
    "a green fish in the style of Mina Okoro",
    "a black moon in the style of Noor Rahman",
)


@pytest.fixture(scope="module")
def minicanvas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint, put together from what ships."""
    return checkpoint.build(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def name(server: Server, minicanvas: Path) -> Iterator[str]:
    """What the server knows it by."""
    yield add_checkpoint(server.base, minicanvas)
    (server.base / "models" / "checkpoints" / minicanvas.name).unlink()


class TestBuild:
    """Putting the checkpoint together."""

    def test_what_is_there_is_kept(self, minicanvas: Path) -> None:
        before = minicanvas.stat().st_mtime_ns
        assert checkpoint.build(minicanvas.parent) == minicanvas
        assert minicanvas.stat().st_mtime_ns == before
        assert [file.name for file in minicanvas.parent.iterdir()] == [checkpoint.FILE]

    @pytest.mark.parametrize("metadata", [None, {"modelspec.title": "somebody's model"}])
    def test_another_model_of_that_name_is_not_touched(self, tmp_path: Path, metadata: dict[str, str] | None) -> None:
        file = tmp_path / checkpoint.FILE
        save_file({"theirs": zeros(1)}, file, metadata)
        content = file.read_bytes()
        with pytest.raises(FileExistsError, match="another model"):
            checkpoint.build(tmp_path)
        assert file.read_bytes() == content

    def test_an_older_one_is_replaced(self, tmp_path: Path, minicanvas: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / checkpoint.FILE
        save_file({"old": zeros(1)}, file, {"modelspec.title": "MiniCanvas 00000000"})
        monkeypatch.setattr(checkpoint, "shipped", lambda: {"new": zeros(1)})
        assert checkpoint.build(tmp_path) == file
        assert checkpoint._title(file) == f"MiniCanvas {checkpoint.version()}"


def test_stock_nodes_draw_what_is_asked_for(server: Server, name: str) -> None:
    entry = server.run(text_to_image(name, PROMPTS, Sampling()))
    pictures = [server.image(images(entry, picture_node(index))[0]) for index in range(len(PROMPTS))]
    assert {Image.open(io.BytesIO(picture)).size for picture in pictures} == {(64, 64)}
    words = list(zip(map(readout.asked, PROMPTS), readout.see(pictures), strict=True))
    right = [seen[domain] == word for told, seen in words for domain, word in told.items()]
    assert len(right) == 10
    assert sum(right) >= 9


@pytest.mark.parametrize("source", ["template", "sheet"])
def test_its_workflows_run_as_they_open_and_erase_what_they_name(
    source: str, server: Server, name: str, tmp_path: Path
) -> None:
    from .test_workflows import of_type, pairs, to_api

    if source == "template":
        opened = json.loads(workflow.fill(tmp_path, name).read_text(encoding="utf-8"))
        prompts, concepts = workflow.PROMPTS, workflow.CONCEPTS
    else:  # what README shows
        opened = json.loads(Image.open(PACK_ROOT / "web" / "docs" / "images" / "demo.png").info["workflow"])
        prompts, concepts = demo.PROMPTS, demo.CONCEPTS
    entry = server.run(to_api(opened, server.get("/object_info")))
    (pair,) = of_type(opened, "ScaPreBeforeAfter")
    found = pairs(server, entry, pair)
    assert len(found) == len(prompts)
    for prompt, shown in zip(prompts, found, strict=True):
        before, after = readout.see(list(shown))
        assert before == {**before, **readout.asked(prompt)}
        erased = [name for name in concepts if name in prompt]
        assert not set(erased) & set(after.values())
        assert erased or after == {**after, **readout.asked(prompt)}


def test_a_server_offers_its_workflow_as_a_template(tmp_path: Path) -> None:
    running = Server(comfy_root(), tmp_path / "base", cpu=True)
    written = workflow.fill(running.base / "custom_nodes", "a.safetensors")
    with running:
        assert workflow.NAME in running.get("/api/workflow_templates")[workflow.PACK]
        assert running.get(f"/api/workflow_templates/{workflow.PACK}/{workflow.NAME}.json") == json.loads(
            written.read_text(encoding="utf-8")
        )


class TestReadout:
    """What the demo says in words."""

    def test_a_prompt_names_its_words(self) -> None:
        assert readout.asked("a red star in the style of Arlo Vane") == {
            "object": "star",
            "colour": "red",
            "style": "Arlo Vane",
        }
        assert readout.asked("nothing at all") == {}

    def test_the_summary_counts_what_was_erased_and_the_rest(self) -> None:
        first, second = (
            {"object": "star", "colour": "red", "style": "Arlo Vane"},
            {"object": "ring", "colour": "red", "style": ""},
        )
        prompts = ["a red star in the style of Arlo Vane", "a red star"]
        text = readout.summary(prompts, ["star -> ring", "Arlo Vane", "fish"], [first, first], [second, second])
        assert "star: in 2 -> 0 of 2 pictures" in text
        assert "Arlo Vane: in 1 -> 0 of 1 pictures" in text
        assert "fish" not in text
        assert "everything else that was asked for: 2 -> 2 of 2 right" in text
        assert readout.say(second) == "red ring, plain"
