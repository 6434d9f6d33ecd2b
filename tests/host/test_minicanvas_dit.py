"""MiniCanvas-DiT on the real server: three stock loaders, a stock graph, and names that are gone from its pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from pack.benchmarks.graphs import REPORT, Sampling, picture_node, text_to_image
from pack.benchmarks.host.base import link
from pack.benchmarks.host.client import images
from pack.benchmarks.host.server import Server
from pack.benchmarks.minicanvas import inprocess, readout, separate, transformer

KEPT = (
    "a red star",
    "a blue house",
    "a green fish in the style of Mina Okoro",
    "a black moon in the style of Noor Rahman",
)
GONE = tuple(f"a {colour} {thing} in the style of Arlo Vane" for colour, thing in (("blue", "house"), ("red", "heart")))


@pytest.fixture(scope="module")
def files(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the server knows the files by, by folder."""
    places = []
    for file in separate.build(tmp_path_factory.mktemp("models")):
        places.append(server.base / "models" / file.parent.name / file.name)
        places[-1].parent.mkdir(parents=True, exist_ok=True)
        link(file, places[-1])
    yield dict(separate.NAMES)
    for place in places:
        place.unlink()


def test_stock_nodes_draw_what_is_asked_for_and_not_what_is_erased(server: Server, files: dict[str, str]) -> None:
    plain = _read(server, server.run(text_to_image(files, (*KEPT, *GONE), Sampling())), (*KEPT, *GONE))
    assert len(plain) == 16 and sum(plain.values()) >= 14
    assert all(plain[text, "style"] for text in GONE)
    erasing = {"concepts": "Arlo Vane", "method": "auto", "preset": "auto"}
    entry = server.run(text_to_image(files, (*KEPT, *GONE), Sampling(), erasing, "scapre/erased"))
    seen = _read(server, entry, (*KEPT, *GONE))
    assert not any(seen[text, "style"] for text in GONE)
    assert sum(right for (text, _), right in seen.items() if text in KEPT) >= 9
    report = str(entry["outputs"][REPORT])
    assert "Flux" in report and "pooled vector: erased there, too (1 matrices)" in report


def _read(server: Server, entry: dict[str, Any], texts: tuple[str, ...]) -> dict[tuple[str, str], bool]:
    """Whether each picture shows what its prompt asks for, by prompt and domain."""
    pictures = [server.image(images(entry, picture_node(index))[0]) for index in range(len(texts))]
    assert {Image.open(io.BytesIO(picture)).size for picture in pictures} == {(64, 64)}
    found = zip(texts, readout.see(pictures), strict=True)
    return {
        (text, domain): seen[domain] == word for text, seen in found for domain, word in readout.asked(text).items()
    }


def test_what_is_there_is_kept_and_another_model_is_not_touched(tmp_path: Path) -> None:
    files = separate.build(tmp_path)
    before = [file.stat().st_mtime_ns for file in files]
    assert separate.build(tmp_path) == files
    assert [file.stat().st_mtime_ns for file in files] == before
    save_file({"theirs": torch.zeros(1)}, files[1])
    files[0].unlink()  # nothing is written where one of them is another's
    with pytest.raises(FileExistsError, match="another model"):
        separate.build(tmp_path)
    assert list(load_file(files[1])) == ["theirs"] and not files[0].exists()


def test_channels_that_are_not_there_are_neither_read_nor_written() -> None:
    small, parts = load_file(separate.TRANSFORMER), separate.shipped()
    wide = parts["diffusion_models"]
    assert torch.equal(wide["img_in.weight"][:, : small["img_in.weight"].shape[1]], small["img_in.weight"])
    for name in ("img_in.weight", "final_layer.linear.weight", "final_layer.linear.bias"):
        assert wide[name].count_nonzero() == small[name].count_nonzero()
    latents = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(1))
    others = latents.clone()
    others[:, transformer.CHANNELS :] = 0
    vae = inprocess.load_separate(parts).vae
    assert (inprocess.decode(vae, latents) == inprocess.decode(vae, others)).all()


def test_the_network_that_is_trained_is_the_host_s() -> None:
    """Its forward for training gives what the host's gives."""
    network, chance = transformer.create().eval(), torch.Generator().manual_seed(2)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=chance)

    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * noise(*parameter.shape))
        noisy, states, vectors, times = noise(2, 4, 8, 8), noise(2, 9, 768), noise(2, 768), torch.tensor([0.2, 0.9])
        own = transformer.forward(network, noisy, times, states, vectors)
        wanted = network(noisy, times, context=states, y=vectors)
    assert (own - wanted).abs().max() <= 1e-4 * wanted.abs().max()
