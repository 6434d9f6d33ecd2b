"""What people and programs pass on: entries of pictures, plots, arguments, and files of edits, on the real host."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from pack.benchmarks.host.client import HostError
from pack.scapre.files import read_edit
from pack.scapre_webui import infotext
from pack.scapre_webui.choices import Choices
from pack.tests.webui.conftest import Web

PROMPT = "a red cross"
LIST = 'cross\n"star, big" -> "a \\"dot\\""\n# x: 1'
HARD = [True, LIST, 'a "dot"', 'moon, full: "half"\nsun ☀', "scapre", "objects-few", 0.85, 7, "None", "alpha_min = 0.5"]


def entries(web: Web, picture: bytes) -> dict[str, Any]:
    """What the host reads in a picture."""
    told = web.post("/sdapi/v1/png-info", {"image": "data:image/png;base64," + base64.b64encode(picture).decode()})
    return dict(told["parameters"])


def test_a_picture_remembers_everything_byte_for_byte(web: Web) -> None:
    drawn = web.draw(PROMPT, HARD)
    found = entries(web, drawn.files[0])
    wanted = Choices.of(HARD)
    for name in infotext.FIELDS:
        assert infotext.read(found, name) == getattr(wanted, name)
    assert infotext.read(found, "enabled") is True
    assert found[infotext.EDIT] == drawn.info["extra_generation_params"][infotext.EDIT]


def test_a_picture_without_an_edit_says_nothing_of_one(web: Web) -> None:
    found = entries(web, web.draw(PROMPT, [False, LIST]).files[0])
    assert not [key for key in found if key.startswith("ScaPre")]
    assert infotext.read(found, "enabled") is False
    assert infotext.read(found, "concepts") is None


def test_a_picture_of_an_edit_file_remembers_the_file_and_its_hash(web: Web) -> None:
    name = web.post("/scapre/erase", {"concepts": "cross", "name": "shared, 1"})["name"]
    found = entries(web, web.draw(PROMPT, [True, "moon", "", "", "auto", "usual", 1.5, 0, name]).files[0])
    assert infotext.read(found, "file") == name == "shared, 1.safetensors"
    assert infotext.read(found, "strength") == 1.5
    assert "moon" not in json.dumps(found)
    assert len(found[infotext.FILE_HASH]) == 12


def test_arguments_that_are_missing_are_as_the_panel_has_them(web: Web) -> None:
    short, whole = web.draw(PROMPT, [True, "cross"]), web.draw(PROMPT, [True, "cross", "", "", "auto", "usual", 1.0])
    assert short.pixels == whole.pixels
    info = next(
        entry for entry in web.get("/sdapi/v1/script-info") if entry["name"] == "scapre" and not entry["is_img2img"]
    )
    assert len(info["args"]) == len(HARD)


def test_erase_and_save(web: Web) -> None:
    told = web.post("/scapre/erase", {"concepts": "cross\nmoon", "method": "uce", "name": "folder/two"})
    assert told["name"] == "folder/two.safetensors"
    edit = read_edit(web.data / "models" / "scapre" / told["name"])
    assert [concept.text for concept in edit.concepts] == ["cross", "moon"]
    assert edit.digest == told["digest"]
    assert "Erased" in told["report"]
    assert told["name"] in web.get("/scapre/edits")["edits"]


@pytest.mark.parametrize(("body", "said"), [
    ({"concepts": "cross"}, "cannot be a file's name"),
    ({"concepts": "cross", "name": "../out"}, "cannot be a file's name"),
    ({"concepts": "cross", "name": "folder/two"}, "there is an edit"),
    ({"concepts": "", "name": "x"}, "the list is empty"),
    ({"concept": "cross", "name": "x"}, "'concept' is unknown"),
    ({"concepts": "cross", "name": "x\ud800"}, "half of one"),
    ({"concepts": "cross", "name": 3}, "is no text"),
    ({"concepts": "cross", "name": "x", "seed": 1.5}, "seed"),
])  # fmt: skip
def test_erase_and_save_says_what_is_wrong(web: Web, body: dict[str, Any], said: str) -> None:
    if body.get("name") == "folder/two" and "folder/two.safetensors" not in web.get("/scapre/edits")["edits"]:
        web.post("/scapre/erase", body)
    with pytest.raises(HostError) as caught:
        web.post("/scapre/erase", body)
    assert "answered 400" in str(caught.value)
    assert said in str(caught.value)


def plot(web: Web, kind: str, values: str, scapre: list[Any]) -> Any:
    """A row of pictures of the host's plot."""
    axes = web.get("/probe/axes")["axes"]
    x = [axes.index(kind), values, []]
    none = [0, "", []]
    rest = [False, True, False, False, False, False, False, 0, True]  # the last one: values are in the text
    return web.draw(PROMPT, scapre, script_name="x/y/z plot", script_args=[*x, *none, *none, *rest])


def test_a_plot_of_strengths_solves_once(web: Web) -> None:
    drawn = plot(web, "[ScaPre] Strength", "0, 0.5, 1", [True, "cross"])
    singles = [
        web.draw(PROMPT, [True, "cross", "", "", "auto", "usual", strength]).pixels[0] for strength in (0, 0.5, 1)
    ]
    assert [picture in drawn.pixels for picture in singles] == [True] * 3
    assert len(set(singles)) == 3


def test_a_plot_of_lists_and_of_on_and_off(web: Web) -> None:
    drawn = plot(web, "[ScaPre] Concepts (name; name)", "cross, cross; moon", [True, "star"])
    singles = [web.draw(PROMPT, [True, text]).pixels[0] for text in ("cross", "cross\nmoon")]
    assert [picture in drawn.pixels for picture in singles] == [True] * 2
    drawn = plot(web, "[ScaPre] On or off", "On, Off", [False, "cross"])
    singles = [web.draw(PROMPT, [on, "cross"]).pixels[0] for on in (True, False)]
    assert [picture in drawn.pixels for picture in singles] == [True] * 2


def test_a_plot_of_checkpoints(web: Web) -> None:
    drawn = plot(web, "Checkpoint name", "minicanvas.safetensors, twin.safetensors", [True, "cross"])
    assert web.draw(PROMPT, [True, "cross"]).pixels[0] in drawn.pixels
    assert web.draw(PROMPT).pixels[0] not in drawn.pixels


def test_a_saved_edit_does_not_depend_on_the_last_picture(web: Web) -> None:
    web.draw(PROMPT)
    wanted = web.post("/scapre/erase", {"concepts": "star", "method": "scapre", "name": "after a plain one"})["digest"]
    web.draw(f"{PROMPT} <lora:frames:1>", override_settings={"CLIP_stop_at_last_layers": 2})
    found = web.post("/scapre/erase", {"concepts": "star", "method": "scapre", "name": "after another"})["digest"]
    assert found == wanted
    assert not web.get("/sdapi/v1/progress")["textinfo"]


def test_cells_of_a_plot_say_what_they_are(web: Web) -> None:
    drawn = plot(web, "[ScaPre] On or off", "On, Off", [False, "cross"])
    told = [("ScaPre concepts" in text) for text in drawn.info["infotexts"][-2:]]
    assert told == [True, False]


def test_a_file_that_was_replaced_is_read_again(web: Web) -> None:
    import os
    import shutil

    folder = web.data / "models" / "scapre"
    for name in ("cross", "moon"):
        web.post("/scapre/erase", {"concepts": name, "method": "scapre", "preset": "objects-few", "name": f"of {name}"})
    held = folder / "held.safetensors"
    values = [True, "", "", "", "auto", "usual", 1, 0, held.name]
    pictures = []
    for name in ("cross", "moon"):
        shutil.copyfile(folder / f"of {name}.safetensors", held)
        os.utime(held, (1, 1))
        pictures.append(web.draw(PROMPT, values).pixels[0])
    assert pictures[0] != pictures[1]
