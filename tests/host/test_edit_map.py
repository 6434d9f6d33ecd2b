"""Edit Map's picture, and the report that the nodes hand to the page, here and in a real server."""

from __future__ import annotations

import io
import itertools
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comfy.sd
import pytest
import torch
from comfy_api.latest import io as host_io
from PIL import Image

from pack.benchmarks.host.client import Graph, cached_nodes, images
from pack.benchmarks.host.server import Server
from pack.nodes.edit_map import EditMap
from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.host.projections import HostProjections
from pack.nodes.merge_edits import MergeEdits
from pack.nodes.pictures import lettering
from pack.nodes.pictures.edit_map import draw_edit_map
from pack.nodes.pictures.page import Page, drawable
from pack.nodes.pictures.themes import THEMES
from pack.scapre.families import Role, find_projections, place
from pack.scapre.report.data import ReportData
from pack.tests.host.models import KINDS, unet

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")

WIDTHS = (640, 1024, 2048)
SDXL = [
    *(f"input {block}.{t}" for block, depth in ((4, 2), (5, 2), (7, 10), (8, 10)) for t in range(depth)),
    *(f"middle {t}" for t in range(10)),
    *(f"output {block}.{t}" for block, depth in enumerate((10, 10, 10, 2, 2, 2)) for t in range(depth)),
]
ROLES = {
    "to_k": Role.KEY, "to_v": Role.VALUE, "to_q": Role.QUERY, "to_out": Role.ANSWER, "net": Role.FEED_FORWARD,
}  # fmt: skip
LAYERS = {
    "SD1.x": [f"input {b}.0" for b in (1, 2, 4, 5, 7, 8)] + ["middle 0"] + [f"output {b}.0" for b in range(3, 12)],
    "SDXL": SDXL,
    "one": ["input 1.0"],
    "unknown": [f"block.{index}.with.a.long.name" for index in range(300)],
}
NAMES = [
    "cat", "W" * 500, "a very long name " * 20, "漢字の名前", "😀 emoji", "Café Ñandú", "Жуковский", "محمد علي",
    "z" + "\u0301\u0316" * 40, "\u202eedirrevo", "i\u200bi", "concept\xa01", "",
]  # fmt: skip


def report(count: int, layers: str = "SD1.x", names: list[str] = NAMES, held: int = 3, seed: int = 0) -> ReportData:
    """A report of so many concepts with drawn figures."""
    draw = random.Random(seed)
    shown = min(count, 100)
    cosines = [[round(draw.uniform(-0.2, 1), 3) for _ in range(shown)] for _ in range(shown)]
    for y in range(shown):
        for x in range(y + 1):
            cosines[x][y] = cosines[y][x] if x != y else 1.0
    called = [names[index] if index < len(names) else f"name {index}" for index in range(count)]
    return {
        "title": f"Erased {count} concepts from SD1.x (32 matrices)",
        "lines": ["Variant precise, seed 0"],
        "seconds": {"text encoding": 0.1234, "read": 0.0, "solve": 1234.5},
        "concepts": [
            {"name": name, "anchor": "", "remaining": round(draw.uniform(0, 1.2), 3), "kept": draw.uniform(-0.2, 1.1)}
            for name in called
        ],
        "drift": [
            {"name": "", "role": "empty", "drift": 0.01},
            {"name": "art", "role": "anchor", "drift": 0.5},
            *({"name": f"kept {i}", "role": "preserved", "drift": draw.uniform(0, 0.7)} for i in range(held)),
        ],
        "blocks": [
            {"block": label, "key": draw.uniform(0, 0.2), "value": draw.uniform(0.1, 0.4), "output": None, "rest": None}
            for label in LAYERS[layers]
        ],
        "neurons": [],
        "conflicts": {"names": called[:shown], "cosines": cosines, "of": count} if count > 1 else None,
        "notes": ["a note"],
    }


def runs(flags: list[bool]) -> list[tuple[int, int]]:
    """Where a list is true, as start and end."""
    edges = [index for index, (a, b) in enumerate(itertools.pairwise([False, *flags, False])) if a != b]
    return list(zip(edges[::2], edges[1::2], strict=True))


def lengths(picture: torch.Tensor, colour: tuple[int, ...]) -> list[int]:
    """Pixels across each group of rows that has a colour, from the first to the last pixel that has it."""
    drawn = (picture == torch.tensor(colour, dtype=torch.uint8)).all(-1)
    places = [drawn[start:end].any(0).nonzero().flatten() for start, end in runs(drawn.any(1).tolist())]
    return [int(place[-1] - place[0]) + 1 for place in places]


def pixels(picture: Image.Image) -> torch.Tensor:
    values = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return values.view(picture.height, picture.width, 3)


# --- the picture ---


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", THEMES)
def test_bars_are_as_long_as_their_values(width: int, theme: str) -> None:
    data = report(20, "one", names=[])
    data.update(conflicts=None, seconds={"one": 2.0, "two": 4.0, "three": 1.0})
    for row, value in zip(data["concepts"], [1.0, 0.0, *(0.05 * step for step in range(1, 19))], strict=True):
        row.update(remaining=value, kept=None)
    drawn = pixels(draw_edit_map(data, width, theme))
    left, right = drawn[:, : width // 2], drawn[:, width // 2 :]
    bars = lengths(left, THEMES[theme].bar)
    assert len(bars) == 19  # a value of 0 has none
    values = sorted((row["remaining"] for row in data["concepts"]), reverse=True)[:19]
    track = bars[1] / 0.9  # the line covers the end of the first
    assert bars == pytest.approx([value * track for value in values], abs=1 + width / 1000)
    assert width / 6 < track < width / 3
    held = sorted((row["drift"] for row in data["drift"]), reverse=True)
    expected = [value * track for value in (*held, 0.5, 1.0, 0.25)]
    assert lengths(right, THEMES[theme].bar) == pytest.approx(expected, abs=1)


def test_a_bar_past_one_moves_the_line_and_one_past_two_is_cut() -> None:
    data = report(3, "one", names=[])
    data["conflicts"] = None
    for row, value in zip(data["concepts"], (1.6, 0.8, 0.4), strict=True):
        row.update(remaining=value, kept=None)
    first = lengths(pixels(draw_edit_map(data, 1024, "light"))[:, :512], THEMES["light"].bar)
    assert first == pytest.approx([first[0], first[0] / 2, first[0] / 4], abs=1.5)
    data["concepts"][0]["remaining"] = 40.0
    second = lengths(pixels(draw_edit_map(data, 1024, "light"))[:, :512], THEMES["light"].bar)
    assert second == pytest.approx([first[0], first[0] * 0.4, first[0] * 0.2], abs=1.5)
    data["concepts"][0]["remaining"] = None
    assert len(lengths(pixels(draw_edit_map(data, 1024, "light"))[:, :512], THEMES["light"].bar)) == 2


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Page, tuple[int, ...], Image.Image]]:
    """Every text with its place, and how the place looked after it was written."""
    found: list[tuple[Page, tuple[int, ...], Image.Image]] = []
    plain = Page.write

    def write(self: Page, text: str, corner: tuple[int, int], width: int, size: float = 1.0, *more: Any, **named: Any):
        box = (*corner, corner[0] + width, corner[1] + self.style.line(size))
        assert len(self.image.crop(box).getcolors()) == 1, f"{text!r} is written over something"
        plain(self, text, corner, width, size, *more, **named)
        found.append((self, box, self.image.crop(box)))

    monkeypatch.setattr(Page, "write", write)
    return found


@pytest.mark.parametrize(
    ("count", "width", "layers"),
    [
        *itertools.product([1, 2, 3, 16, 17, 60, 1000], [1024], ["SD1.x"]),
        *itertools.product([3, 1000], [640, 2048], LAYERS),
    ],
)
def test_no_text_leaves_the_picture_or_meets_anything(written: list[Any], count: int, width: int, layers: str) -> None:
    theme = ("light", "dark")[count % 2]
    picture = draw_edit_map(report(count, layers, held=3 * count if count < 100 else 400), width, theme)
    assert len(written) > 20
    for page, (left, upper, right, lower), crop in written:
        assert 0 <= left < right <= page.image.width and 0 <= upper < lower <= page.image.height
        assert page.image.crop((left, upper, right, lower)).tobytes() == crop.tobytes()
    for (page, one, _), (other, two, _) in ((a, b) for i, a in enumerate(written) for b in written[:i]):
        apart = one[2] <= two[0] or two[2] <= one[0] or one[3] <= two[1] or two[3] <= one[1]
        assert page is not other or apart
    edge = width // 58
    for box in ((0, 0, width, edge), (0, picture.height - edge, width, picture.height), (0, 0, edge, picture.height),
                (width - edge, 0, width, picture.height)):  # fmt: skip
        assert picture.crop(box).getcolors() == [(edge * max(box[2] - box[0], box[3] - box[1]), THEMES[theme].paper)]
    assert picture.width == width
    assert picture.height < 4 * width


def test_layers_and_concepts_have_their_shades() -> None:
    theme = THEMES["light"]
    data = report(2, "SD1.x", names=["one", "two"])
    data["conflicts"]["cosines"] = [[1.0, 0.37], [0.37, 1.0]]
    for index, row in enumerate(data["blocks"]):
        row.update(key=None, value=(index + 1) / 16)
    drawn = pixels(draw_edit_map(data, 1024, "light"))

    def count(share: float) -> int:
        return int((drawn == torch.tensor(theme.shade(share), dtype=torch.uint8)).all(-1).sum())

    cells = [count((index + 1) / 16) for index in range(16)]
    assert min(cells) > 1000
    assert max(cells) < 1.3 * min(cells)
    assert count(0.37) > 2 * 1000


@pytest.mark.parametrize("theme", THEMES.values())
def test_shades_grow_steadily_and_text_can_be_read(theme: Any) -> None:
    def light(colour: tuple[int, ...]) -> float:
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in colour)]
        return sum(part * value for part, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
        low, high = sorted((light(one), light(other)))
        return (high + 0.05) / (low + 0.05)

    steps = [light(theme.shade(step / 64)) ** (1 / 3) for step in range(65)]  # about what the eye sees
    moves = [(b - a) * (1 if steps[-1] > steps[0] else -1) for a, b in itertools.pairwise(steps)]
    assert min(moves) > 0
    assert max(moves) < 5 * min(moves)
    assert contrast(theme.ink, theme.paper) > 10
    assert contrast(theme.faint, theme.paper) > 4.5
    assert min(contrast(colour, theme.paper) for colour in (theme.bar, theme.mark)) > 3
    assert theme.shade(-1) == theme.ramp[0] and theme.shade(2) == theme.ramp[-1]


def test_a_name_that_cannot_be_drawn_is_told_by_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "_SYSTEM_FONTS", ())
    shown = {"cat": "cat", "": "(empty prompt)", "Café Ñandú": "Cafe Nandu", "漢字": "7. 漢字", "é 漢": "7. é 漢"}
    assert {name: drawable(name, 7) for name in shown} == shown
    draw_edit_map(report(16), 640, "dark")


# --- the nodes ---


def run(node: Any, **inputs: Any) -> Any:
    with torch.inference_mode():
        return node.EXECUTE_NORMALIZED(**inputs)


def shown(outcome: Any) -> ReportData:
    """What the page is handed, as the host sends it."""
    assert list(outcome.ui) == ["scapre_report"]
    (text,) = outcome.ui["scapre_report"]
    return json.loads(text, parse_constant=pytest.fail)


def test_nodes_hand_the_page_what_their_text_says(clip: comfy.sd.CLIP) -> None:
    model = unet()
    outcome = run(EraseConcepts, model=model, clip=clip, concepts="cat -> dog\nred ship", preserve="tulip")
    edit, text, data = *outcome.result[1:], shown(outcome)
    assert data["title"] == "Erased 2 concepts from SD1.x (14 matrices)"
    assert data["lines"] == ["Preset objects-few, variant precise, strength 1"]
    assert [row["name"] for row in data["concepts"]] == ["cat", "red ship"]
    assert [row["role"] for row in data["drift"]] == ["empty", "anchor", "preserved"]
    for row in (*data["concepts"], *data["drift"]):
        assert row["name"] in text
    assert [row["block"] for row in data["blocks"]] == [
        "input 1.0", "input 3.0", "middle 0", "output 0.0", "output 1.0", "output 2.0", "output 3.0",
    ]  # fmt: skip
    assert all(row["key"] and row["value"] for row in data["blocks"])
    merged = run(MergeEdits, model=model, edits={"edit_1": edit})
    again = shown(merged)
    assert again["lines"] == ["Merged edit_1; settings of edit_1, strength 1"]
    assert {**again, "lines": [], "seconds": {}} == {**data, "lines": [], "seconds": {}}


def test_the_map_is_an_image_of_its_width(clip: comfy.sd.CLIP) -> None:
    edit = run(EraseConcepts, model=unet(), clip=clip, concepts="cat -> dog\nred ship").result[1]
    made = {}
    for theme in THEMES:
        (made[theme],) = run(EditMap, edit=edit, width=800, theme=theme).result
        assert made[theme].dtype == torch.float32
        assert made[theme].shape[0] == 1 and made[theme].shape[2:] == (800, 3)
        assert made[theme].min() >= 0 and made[theme].max() <= 1
        assert torch.equal(made[theme][0, 0, 0], torch.tensor(THEMES[theme].paper) / 255)
    assert not torch.equal(made["light"], made["dark"])
    assert torch.equal(run(EditMap, edit=edit, width=800).result[0], made["light"])
    assert run(EditMap, edit=edit).result[0].shape[2] == 1024


@pytest.mark.parametrize("kind", KINDS)
def test_every_projection_of_a_family_has_its_place(kind: str) -> None:
    deep = {"transformer_depth": [1, 2], "transformer_depth_middle": 3, "transformer_depth_output": [2, 2, 1, 1]}
    found = HostProjections(unet(kind, **deep))
    others = [place(found.family, name) for name, role in found.roles.items() if role is Role.OTHER]
    assert all(where.role is Role.OTHER and where.label.startswith(("input", "middle", "output")) for where in others)
    pooled = [place(found.family, name).label for name, role in found.roles.items() if role is Role.POOLED]
    assert pooled == ["pooled vector"] * (kind in ("sdxl", "refiner"))
    names = [name for name, role in found.roles.items() if role not in (Role.OTHER, Role.POOLED)]
    places = [place(found.family, name) for name in names]
    assert len({(where.label, where.role) for where in places}) == len(names)
    kinds = [ROLES[re.search(r"(to_\w+|net)(\.\d)?\.weight$", name)[1]] for name in names]
    assert [where.role for where in places] == kinds
    assert len({where.layer for where in places}) == len({re.split(r"\.(?=attn2|ff)", name)[0] for name in names})
    labels = list(dict.fromkeys(where.label for where in places))
    assert labels == [
        "input 1.0", "input 3.0", "input 3.1", "middle 0", "middle 1", "middle 2",
        "output 0.0", "output 1.0", "output 2.0", "output 2.1", "output 3.0", "output 3.1",
    ]  # fmt: skip
    assert find_projections(KINDS[kind].model.__name__, found.roles)[0] == found.family


# --- in a server ---


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


@pytest.fixture
def graph(tiny_checkpoint: Path) -> Iterator[Graph]:
    yield {
        "model": node("CheckpointLoaderSimple", ckpt_name=tiny_checkpoint.name),
        "erase": node("ScaPreEraseConcepts", model=["model", 0], clip=["model", 1], concepts="red kite -> art\nbarge"),
        "map": node("ScaPreEditMap", edit=["erase", 1], width=704, theme="dark"),
        "picture": node("PreviewImage", images=["map", 0]),
    }


def test_a_report_is_not_counted_among_the_files_of_a_run(server: Server, graph: Graph) -> None:
    graph["erase"]["inputs"]["seed"] = 5  # solved here, and not in another test before
    entry = server.run(graph)
    assert "scapre_report" in entry["outputs"]["erase"]
    newest = max(server.get("/api/jobs")["jobs"], key=lambda job: job["create_time"])
    assert newest["outputs_count"] == 1
    assert newest["preview_output"]["nodeId"] == "picture"


def test_the_server_tells_the_report_and_draws_the_map(server: Server, graph: Graph) -> None:
    graph["save"] = node("ScaPreSaveEdit", edit=["erase", 1], filename_prefix="scapre/map", include_names=False)
    entry = server.run(graph)
    (text,) = entry["outputs"]["erase"]["scapre_report"]
    data = json.loads(text)
    assert [(row["name"], row["anchor"]) for row in data["concepts"]] == [("red kite", "art"), ("barge", "")]
    assert data["title"].startswith("Erased 2 concepts from SD1.x")
    repeated = server.run(graph)
    assert "erase" in cached_nodes(repeated)
    if hasattr(host_io.Schema, "has_intermediate_output"):  # a page that was reloaded has forgotten the report
        assert repeated["outputs"]["erase"]["scapre_report"] == [text]
    picture = Image.open(io.BytesIO(server.image(images(entry, "picture")[0])))
    assert picture.width == 704
    assert picture.convert("RGB").getpixel((0, 0)) == THEMES["dark"].paper
    (saved,) = entry["outputs"]["save"]["edits"]
    again: Graph = {
        "model": graph["model"],
        "load": node("ScaPreLoadEdit", file=f"{saved['filename']} [output]"),
        "merge": node("ScaPreMergeEdits", model=["model", 0], **{"edits.edit_1": ["load", 0]}),
        "map": node("ScaPreEditMap", edit=["merge", 1]),
        "picture": node("PreviewImage", images=["map", 0]),
    }
    outputs = server.run(again)["outputs"]
    for key in ("load", "merge"):
        told = json.loads(outputs[key]["scapre_report"][0])
        assert [row["name"] for row in told["concepts"]] == ["concept\xa01", "concept\xa02"]
        assert [row["remaining"] for row in told["concepts"]] == [row["remaining"] for row in data["concepts"]]
        assert told["blocks"] == data["blocks"]
        assert told["conflicts"]["cosines"] == data["conflicts"]["cosines"]
