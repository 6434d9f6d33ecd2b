"""Where an edit cannot be put on, nothing is drawn, and the reason is told: on the real host."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from pack.benchmarks.host.client import HostError
from pack.tests.webui.conftest import Web

PROMPT = "a red cross"


@pytest.fixture(scope="module")
def plain(web: Web) -> bytes:
    """The picture that nothing is erased from."""
    return web.draw(PROMPT).pixels[0]


@pytest.mark.parametrize(("values", "said"), [
    ([True, ""], "concepts: the list is empty"),
    ([True, "a -> b -> c"], "more than one arrow"),
    ([True, "cat", "", "cat"], "is also in concepts"),
    ([True, "x " * 90], "needs more than the 75 tokens"),
    ([True, "cross", "", "", "magic"], 'method: "magic" is unknown'),
    ([True, "cross", "", "", "auto", "objects-few"], "is none of the method auto"),
    ([True, "cross", "", "", "auto", "usual", 3], "strength: \"3\" is not a number from 0 to 2"),
    ([True, "cross", "", "", "auto", "usual", "much"], "strength"),
    ([True, "cross", "", "", "auto", "usual", 1, -4], "seed"),
    ([True, 5], "concepts: \"5\" is no text"),
    (["yes", "cross"], "enabled"),
    ([True, "cross", "", "", "auto", "usual", 1, 0, "gone.safetensors"], 'there is no edit "gone.safetensors"'),
    ([True, "cross", "", "", "auto", "usual", 1, 0, "../config.json"], "there is no edit"),
    ([True, "cross", "", "", "auto", "usual", 1, 0, "None", "reach"], "is no setting"),
    ([True, "cross", "", "", "auto", "usual", 1, 0, "None", "magic = 1"], "has no setting"),
    ([True, "cross", "", "", "auto", "usual", 1, 0, "None", "keep = much"], "is a number"),
])  # fmt: skip
def test_nothing_is_drawn_and_the_reason_is_told(web: Web, plain: bytes, values: list[Any], said: str) -> None:
    with pytest.raises(HostError) as caught:
        web.draw(PROMPT, values)
    text = str(caught.value).replace('\\"', '"')
    assert "answered 500" in text
    assert said in text
    report = web.get("/scapre/report")
    assert report["failed"]
    assert said in report["text"]
    assert web.draw(PROMPT).pixels[0] == plain


@pytest.mark.parametrize("route", ["txt2img", "img2img"])
def test_it_fails_in_both_tabs(web: Web, plain: bytes, route: str) -> None:
    import base64

    picture = base64.b64encode(web.draw(PROMPT).files[0]).decode()
    request = {"init_images": [picture], "denoising_strength": 0.8} if route == "img2img" else {}
    with pytest.raises(HostError, match="the list is empty"):
        web.draw(PROMPT, [True, "# nothing"], route=route, **request)
    assert web.draw(PROMPT).pixels[0] == plain


def test_an_edit_file_of_other_shapes_is_refused(web: Web, plain: bytes) -> None:
    from pack.scapre.files import write_edit
    from pack.tests.edit_files import tiny_edit

    write_edit(tiny_edit(), web.data / "models" / "scapre" / "other.safetensors")
    with pytest.raises(HostError, match=r"was made for SD[\w.]+ models with"):
        web.draw(PROMPT, [True, "", "", "", "auto", "usual", 1, 0, "other.safetensors"])
    assert web.draw(PROMPT).pixels[0] == plain


def test_a_damaged_edit_file_is_refused(web: Web) -> None:
    (web.data / "models" / "scapre" / "damaged.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(HostError, match="damaged"):
        web.draw(PROMPT, [True, "", "", "", "auto", "usual", 1, 0, "damaged.safetensors"])


def test_interrupt_while_it_solves(web: Web, plain: bytes) -> None:
    names = "\n".join(f"thing {number}" for number in range(400))
    answers: list[Any] = []

    def draw() -> None:
        try:
            answers.append(web.draw(PROMPT, [True, names]))
        except HostError as error:
            answers.append(error)

    thread = threading.Thread(target=draw)
    thread.start()
    time.sleep(2)
    web.post("/sdapi/v1/interrupt", {})
    thread.join(60)
    assert not thread.is_alive()
    assert not isinstance(answers[0], HostError)
    assert all("ScaPre" not in text for text in answers[0].info["infotexts"])
    assert web.draw(PROMPT).pixels[0] == plain
