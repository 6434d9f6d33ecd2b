"""The pack in a real server: found, run, interrupted, restarted, and failing in words."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pack.benchmarks.graphs import ERASE, ERASE_NODE, REPORT, Sampling, picture_node, text_to_image
from pack.benchmarks.host.client import (
    Graph,
    HostError,
    PromptFailed,
    PromptInterrupted,
    PromptRejected,
    UnknownNode,
    cached_nodes,
    images,
)
from pack.benchmarks.host.server import Server, ServerFailed

QUICK = Sampling(size=64, steps=2)
ENDLESS = Sampling(size=64, steps=5000)
MANY = "\n".join(f"thing number {index}" for index in range(4000))


@pytest.fixture
def name(tiny_checkpoint: Path) -> str:
    """The checkpoint as the server lists it."""
    return tiny_checkpoint.name


def erasing(name: str, concepts: str = "cat", **widgets: Any) -> Graph:
    return text_to_image(name, ["a photo of a cat"], QUICK, {"concepts": concepts, **widgets})


def pixels(server: Server, entry: dict[str, Any]) -> bytes:
    return Image.open(io.BytesIO(server.image(images(entry, picture_node(0))[0]))).convert("RGB").tobytes()


@pytest.mark.parametrize("node", [ERASE_NODE, "ScaPreApplyEdit", "ScaPreConceptList"])
def test_node_is_served_with_a_tooltip_on_every_input(server: Server, node: str) -> None:
    info = server.object_info(node)
    assert info["python_module"] == "custom_nodes.comfyui-scapre"
    for group in ("required", "optional"):
        for declaration in info["input"].get(group, {}).values():
            assert declaration[1]["tooltip"]


def test_unknown_node_is_named(server: Server) -> None:
    with pytest.raises(UnknownNode, match="NoSuchNode"):
        server.object_info("NoSuchNode")


def test_graph_returns_a_picture_that_differs_from_the_one_before(server: Server, name: str) -> None:
    before = server.run(text_to_image(name, ["a photo of a cat"], QUICK))
    after = server.run(erasing(name))
    assert len(pixels(server, before)) == QUICK.size**2 * 3
    assert pixels(server, before) != pixels(server, after)


def test_report_names_the_concept(server: Server, name: str) -> None:
    entry = server.run(erasing(name, "sailing ship"))
    assert "sailing ship" in "".join(entry["outputs"][REPORT]["text"])


def test_strength_zero_gives_the_original_picture(server: Server, name: str) -> None:
    before = server.run(text_to_image(name, ["a photo of a cat"], QUICK))
    after = server.run(erasing(name, strength=0.0))
    assert pixels(server, before) == pixels(server, after)


def test_second_queue_does_not_run_the_node_again(server: Server, name: str) -> None:
    graph = erasing(name, "lighthouse")
    assert ERASE not in cached_nodes(server.run(graph))
    assert ERASE in cached_nodes(server.run(graph))


def test_new_seed_of_the_sampler_keeps_the_edit(server: Server, name: str) -> None:
    first = erasing(name, "windmill")
    again = text_to_image(name, ["a photo of a cat"], Sampling(size=64, steps=2, seed=9), {"concepts": "windmill"})
    server.run(first)
    cached = cached_nodes(server.run(again))
    assert ERASE in cached
    assert "sample-0" not in cached


def test_sampling_can_be_interrupted(server: Server, name: str) -> None:
    run = server.queue(text_to_image(name, ["a photo of a cat"], ENDLESS))
    time.sleep(1.5)
    server.interrupt(run)
    with pytest.raises(PromptInterrupted):
        server.wait(run, timeout=30)


def test_the_node_is_left_at_an_interrupt(server: Server, name: str) -> None:
    server.run(text_to_image(name, ["a photo of a cat"], QUICK))  # so that the loader is cached and the node starts
    run = server.queue(erasing(name, MANY))
    time.sleep(0.7)
    server.interrupt(run)
    with pytest.raises(PromptInterrupted) as stopped:
        server.wait(run, timeout=60)
    assert stopped.value.node_type == ERASE_NODE  # not after it; how soon it answers, the benchmarks say
    assert pixels(server, server.run(erasing(name)))  # and the server stays usable


def test_missing_concepts_are_explained(server: Server, name: str) -> None:
    with pytest.raises(PromptFailed, match="concepts") as failed:
        server.run(erasing(name, "\n\n"))
    assert failed.value.node_type == ERASE_NODE


def test_unknown_preset_is_rejected_by_name(server: Server, name: str) -> None:
    with pytest.raises(PromptRejected, match="preset"):
        server.queue(erasing(name, preset="no such preset"))


def test_bad_checkpoint_is_rejected_by_name(server: Server) -> None:
    with pytest.raises(PromptRejected, match=r"CheckpointLoaderSimple.*missing\.safetensors"):
        server.queue(erasing("missing.safetensors"))


def test_restart_on_the_same_base_directory_and_port(server: Server, name: str) -> None:
    port = server.port
    server.stop()
    with pytest.raises(HostError, match="no answer"):
        server.get("/system_stats")
    server.start()
    assert server.port == port
    assert pixels(server, server.run(erasing(name)))


def test_server_that_cannot_start_shows_its_last_lines(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("raise SystemExit('there is no such thing as a server')")
    with pytest.raises(ServerFailed, match="no such thing as a server"):
        Server(tmp_path, tmp_path / "base", cpu=True).start()
