"""The routes behind the concept editor: in a real server, and what they refuse."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from pack.benchmarks.host.base import PACK_ROOT
from pack.benchmarks.host.client import HostError
from pack.benchmarks.host.server import Server
from pack.nodes.host.measure import NameMeasure
from pack.nodes.host.vocabularies import T5, UMT5
from pack.nodes.page.routes import add_routes, register_routes
from pack.scapre.concepts import alike as found_alike
from pack.scapre.concepts.name_check import NameCheck
from pack.scapre.errors import ScaPreError
from pack.tests.host import encoders, models

WINDOW = 75
Client = TestClient[web.Request, web.Application]


@pytest.fixture(scope="module")
def names() -> NameCheck:
    return NameCheck(NameMeasure())


def row(names: NameCheck, line: str, **texts: str) -> dict[str, Any]:
    """What is known about a list of one line."""
    (found,) = names.check(line, texts.get("anchor", ""), texts.get("preserve", ""))["rows"]
    return found


def kinds(found: dict[str, Any]) -> list[str]:
    return [note["kind"] for note in found["notes"]]


# How names are read


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("Vincent van Gogh", ["vincent", "van", "gogh"]),
        ("Caravaggio", ["carav", "aggio"]),
        ("Ukiyo-e", ["uki", "yo", "-", "e"]),
        ("1990s", ["1", "9", "9", "0", "s"]),
        ("Édouard", ["é", "dou", "ard"]),
        ('"#1 hit"', ["#", "1", "hit"]),
        ('"(cat:1.3)"', ["(", "cat", ":", "1", ".", "3", ")"]),
        ("(cat:1.3)", ["cat"]),
    ],
)
def test_a_name_is_cut_as_the_text_encoder_does(names: NameCheck, name: str, pieces: list[str]) -> None:
    found = row(names, name)
    assert (found["tokens"], found["pieces"]) == (len(pieces), pieces)
    assert [kind for kind in kinds(found) if kind != "alias"] == (["cleaned"] if name.startswith("(") else [])


@pytest.mark.parametrize("name", ["embedding:cat", "<|endoftext|>", "a\\(b\\)", "Zdzisław Beksiński", "葛飾北斎 😀"])
def test_tokens_are_counted_as_the_node_counts_them(names: NameCheck, clip: Any, name: str) -> None:
    assert row(names, f'"{name}"')["tokens"] == len(models.ClipEncoder(clip).tokens(name))


@pytest.mark.parametrize(
    ("name", "other"),
    [("vincent_van_gogh", "vincent van gogh"), ("Tom &amp; Jerry", "Tom & Jerry"), ("R\u2019lyeh", "R'lyeh"),
     ("\uff2d\uff4f\uff4e\uff45\uff54", "Monet")],
)  # fmt: skip
def test_a_spelling_with_other_tokens_is_shown_beside_the_plain_one(names: NameCheck, name: str, other: str) -> None:
    found = row(names, name)
    plain = [note["plain"] for note in found["notes"] if note["kind"] == "spelling"]
    alike = row(names, name)["pieces"] == row(names, other)["pieces"]
    assert plain == ([] if alike else [other])
    assert name != "vincent_van_gogh" or plain
    assert not [note for note in row(names, other)["notes"] if note["kind"] == "spelling"]


def test_a_list_of_another_shape_is_told(names: NameCheck) -> None:
    assert names.check("cat\ndog", "", "")["shape"] is None
    shape = names.check("star, Arlo Vane, house", "", "")["shape"]
    assert (shape["kind"], shape["rows"]) == ("commas", 3)


@pytest.mark.parametrize("count", [WINDOW, WINDOW + 1, 3 * WINDOW])
def test_what_does_not_fit_is_marked_where_the_node_refuses_it(names: NameCheck, clip: Any, count: int) -> None:
    name = " ".join(["a"] * count)
    found = row(names, name)
    assert found["tokens"] == count
    if count <= WINDOW:
        assert len(models.ClipEncoder(clip).tokens(name)) == count
        assert found["notes"] == []
    else:
        with pytest.raises(ScaPreError, match=f"more than the {WINDOW} tokens"):
            len(models.ClipEncoder(clip).tokens(name))
        assert found["notes"] == [{"kind": "long", "tokens": count, "window": WINDOW}]


def test_an_anchor_that_does_not_fit_is_marked_too(names: NameCheck) -> None:
    long = " ".join(["dog"] * 80)
    assert row(names, f"zebra -> {long}")["notes"] == [{"kind": "long", "tokens": 80, "window": WINDOW}]
    assert kinds(row(names, "zebra", anchor=long)) == ["long"]


def test_words_that_the_encoder_answers_alike_are_offered_until_they_are_there(names: NameCheck) -> None:
    def offered(text: str, preserve: str = "") -> list[list[str]]:
        rows = names.check(text, "", preserve)["rows"]
        return [note["names"] for one in rows for note in one["notes"] if note["kind"] == "alias"]

    assert offered("cat\nzebra") == [["cats", "catday", "kitty", "feline"]]
    assert offered("Nude\nnudes") == [["naked"]] * 2 or offered("Nude\nnudes")[0] == ["naked"]
    assert offered("cat\ncats\ncatday\nkitty\nfeline")[0] == ["gato", "kitten", "kot", "caturday"]
    assert offered("cat\ncat") == [["cats", "catday", "kitty", "feline"]]  # a repeat has none
    assert offered("cat", "cat") == [] and offered("# cat\n") == []


def test_what_a_run_has_found_alike_is_offered_before_what_was_measured_elsewhere(names: NameCheck) -> None:
    def offered(name: str) -> list[list[str]]:
        return [note["names"] for note in row(names, name)["notes"] if note["kind"] == "alias"]

    found_alike.remember({"Cat ": ("moggy", "cats"), "Zebra": ("quagga",)})
    try:
        assert offered("cat") == [["moggy", "cats", "catday", "kitty"]] and offered("zebra") == [["quagga"]]
        found_alike.remember({f"name {number}": ("x",) for number in range(3000)})
        assert offered("zebra") == [] and offered("name 2999") == [["x"]]
    finally:
        found_alike._found.clear()


FAMOUS = """
Vincent van Gogh, Pablo Picasso, Rembrandt, Caravaggio, Claude Monet, Paul Cezanne, Salvador Dali, Wassily
Kandinsky, Greg Rutkowski, Artgerm, Hieronymus Bosch, Sandro Botticelli, Katsushika Hokusai, H. R. Giger, Jean-
Michel Basquiat, Frida Kahlo, Gustav Klimt, Egon Schiele, Alphonse Mucha, Yayoi Kusama, Studio Ghibli, Hayao
Miyazaki, Piet Mondrian, Edvard Munch, M. C. Escher, Giuseppe Arcimboldo, Ivan Aivazovsky, Albrecht Dürer, Henri
de Toulouse-Lautrec, Friedensreich Hundertwasser, Édouard Manet, William-Adolphe Bouguereau, Krenz Cushart,
Yoshitaka Amano, R2-D2, nudity, bokeh
"""


@pytest.mark.parametrize("name", " ".join(FAMOUS.split()).split(", "))
def test_names_that_the_encoder_knows_are_not_odd(names: NameCheck, name: str) -> None:
    assert row(names, name)["notes"] == []


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        ("Csontváry Kosztka", [["c", "son", "tv", "á", "ry"], ["ko", "sz", "t", "ka"]]),
        ("xqzzyk", [["x", "q", "zzy", "k"]]),
        ("葛飾北斎", [["\ufffd"] * 11]),
        ("Beksiński", [["bek", "si", "\ufffd", "\ufffd", "ski"]]),
    ],
)
def test_names_in_bits_are_odd(names: NameCheck, name: str, odd: list[list[str]]) -> None:
    assert [list(note["pieces"]) for note in row(names, name)["notes"]] == odd


def test_notes_of_the_list_and_of_the_name_come_together(names: NameCheck) -> None:
    found = names.check("cat\nxqzzyk\nXQZZYK\na -> b -> c", "", "cat")
    assert found["error"] is None
    assert [(one["line"], kinds(one)) for one in found["rows"]] == [
        (1, ["preserved"]),
        (2, ["odd"]),
        (3, ["duplicate", "odd"]),
        (4, ["error"]),
    ]
    assert "tokens" not in found["rows"][3]
    json.dumps(found)


# How T5 and its relatives read names


@pytest.fixture(scope="module")
def t5() -> NameCheck:
    return NameCheck(NameMeasure(T5))


@pytest.fixture(scope="module")
def umt5() -> NameCheck:
    data = encoders.vocabulary()
    return NameCheck(NameMeasure(UMT5, data))


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("Vincent van Gogh", ["Vincent", "van", "Go", "g", "h"]),
        ("Caravaggio", ["Car", "ava", "ggi", "o"]),
        ("bokeh", ["\u2581", "bok", "e", "h"]),
        ("1990s", ["1990", "s"]),
    ],
)
def test_t5_cuts_a_name_in_its_own_way(t5: NameCheck, name: str, pieces: list[str]) -> None:
    assert row(t5, name) == {"line": 1, "tokens": len(pieces), "pieces": pieces, "notes": []}


@pytest.mark.parametrize("name", ["</s>", "<unk>", "embedding:cat", "red cat", "Zdzisław Beksiński", "葛飾北斎 😀"])
@pytest.mark.parametrize("encoder", ["t5", "umt5"])
def test_tokens_of_t5_are_counted_as_the_node_counts_them(
    encoder: str, name: str, request: pytest.FixtureRequest
) -> None:
    clip = encoders.pixart_t5xxl() if encoder == "t5" else encoders.umt5()
    counted = row(request.getfixturevalue(encoder), f'"{name}"')["tokens"]
    assert counted == len(models.ClipEncoder(clip).tokens(name)) > 0


def test_what_is_in_no_vocabulary_is_told(t5: NameCheck, umt5: NameCheck) -> None:
    assert [note["pieces"] for note in row(t5, "葛飾北斎")["notes"]] == [("\u2581", "\ufffd")]
    assert [note["pieces"] for note in row(t5, "Antoni Gaudí")["notes"]] == [("Gau", "d", "\ufffd")]
    assert kinds(row(umt5, "red cat")) == [] and kinds(row(umt5, "red 葛")) == ["odd"]


@pytest.mark.parametrize("count", [WINDOW, WINDOW + 1])
def test_what_is_too_long_for_the_engine_is_marked_with_t5_too(t5: NameCheck, count: int) -> None:
    found = row(t5, " ".join(["dog"] * count))
    long = [{"kind": "long", "tokens": count, "window": WINDOW}]
    assert (found["tokens"], found["notes"]) == (count, long if count > WINDOW else [])


def test_what_clip_answers_alike_is_offered_for_clip_alone(names: NameCheck, t5: NameCheck) -> None:
    assert (kinds(row(names, "cat")), kinds(row(t5, "cat"))) == (["alias"], [])


# What the routes take


def talk(act: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
    """Runs a conversation with the routes alone."""

    async def main() -> None:
        routes, app = web.RouteTableDef(), web.Application(client_max_size=2**25)
        add_routes(routes)
        app.add_routes(routes)
        async with TestClient(TestServer(app)) as client:
            await act(client)

    asyncio.run(main())


@pytest.mark.parametrize("path", ["/scapre/check", "/scapre/readings"])
@pytest.mark.parametrize(
    "body",
    [b"", b"cat", b"[]", b'"cat"', b"null", b'{"concepts": 1, "text": 1}', b'{"anchor": null, "text": null}', b"\xff",
     b'{"concepts": "\\ud800", "text": "\\ud800"}', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_request_is_refused(path: str, body: bytes) -> None:
    async def act(client: Client) -> None:
        answer = await client.post(path, data=body)
        assert answer.status == 400
        assert (await client.post(path, json={})).status == 200

    talk(act)


@pytest.mark.parametrize("path", ["/scapre/check", "/scapre/readings"])
def test_a_request_that_is_too_large_is_refused(path: str) -> None:
    async def stream() -> Any:
        yield b'{"text": "cat"}'

    async def act(client: Client) -> None:
        assert (await client.post(path, json={"text": "x" * 2**24, "concepts": ""})).status == 413
        assert (await client.post(path, data=stream())).status == 413  # does not say how large it is

    talk(act)


def test_a_long_check_leaves_the_server_free() -> None:
    """Another route answers while a large list is read."""
    concepts = "\n".join(f"some name {number} of a{number * 7}x -> art" for number in range(4000))

    async def act(client: Client) -> None:
        check = asyncio.create_task(client.post("/scapre/check", json={"concepts": concepts}))
        answered = 0
        while not check.done():
            assert (await client.get("/scapre/lists")).status == 200
            answered += 1
        assert len((await (await check).json())["rows"]) == 4000
        assert answered > 1

    talk(act)


def test_a_file_is_decoded_and_read_by_the_one_reader() -> None:
    async def act(client: Client) -> None:
        url = "/scapre/readings/file"
        for code in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le"):
            answer = await client.post(url, data="name,anchor\nZoë,art".encode(code))
            assert (await answer.json())["columns"] == ["Zoë -> art"]
        refused = await client.post(url, params={"name": "a.csv"}, data="Zoë".encode("cp1252"))
        assert refused.status == 400 and '"a.csv" is not UTF-8 text' in (await refused.json())["error"]
        chosen = await client.post(url, params={"column": "2"}, data=b"a,b\nc,d")
        assert (await chosen.json())["columns"] == ["b", "d"]
        wrong = await client.post("/scapre/readings", json={"text": "a,b", "column": "5"})
        assert wrong.status == 400 and "column" in (await wrong.json())["error"]

    talk(act)


def test_a_list_that_does_not_exist_is_refused_in_words() -> None:
    async def act(client: Client) -> None:
        for source in ("../secret.txt", "gone.txt", ""):
            answer = await client.get("/scapre/lists/names", params={"source": source})
            assert answer.status == 400
            assert (await answer.json())["error"].startswith("source: ")

    talk(act)


def test_without_a_server_there_are_no_routes_and_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "server", raising=False)
    register_routes()


def test_a_real_server_has_the_routes(server: Server) -> None:
    file = server.base / "input" / "routes own.txt"
    file.write_text("# mine\nred cat\n\nblue dog -> cat\n")
    try:
        sources = [entry["source"] for entry in server.get("/scapre/lists")["lists"]]
        assert "routes own.txt" in sources and "bundled: painters" in sources
        found = server.get("/scapre/lists/names?source=routes%20own.txt")
    finally:
        file.unlink()
    assert (found["best"], found["lines"]) == ("lines", ["# mine", "red cat", "blue dog -> cat"])
    checked = server.post("/scapre/check", {"concepts": "red cat\n\nred  CAT", "preserve": "owl"})
    assert checked["error"] is None
    assert [(one["line"], one["tokens"], kinds(one)) for one in checked["rows"]] == [(1, 2, []), (3, 2, ["duplicate"])]
    read = server.post("/api/scapre/readings", {"text": "name,anchor\ncat,dog"})
    assert (read["best"], read["columns"]) == ("columns", ["cat -> dog"])
    with pytest.raises(HostError, match="400"):
        server.get("/scapre/lists/names?source=gone.txt")


def test_another_site_cannot_ask(server: Server) -> None:
    """The host's own check of the origin covers these routes."""

    async def main() -> int:
        headers = {"Origin": "http://example.org", "Sec-Fetch-Site": "cross-site"}
        async with (
            ClientSession() as session,
            session.post(f"{server.url}/scapre/check", json={"concepts": "cat"}, headers=headers) as answer,
        ):
            return answer.status

    assert asyncio.run(main()) == 403


def test_the_page_gets_its_files_and_asks_for_them_each_time() -> None:
    async def act(client: Client) -> None:
        web_folder = PACK_ROOT / "web"
        kinds = {".mjs": "text/javascript", ".css": "text/css"}
        files = [file for file in sorted(web_folder.rglob("*")) if file.suffix in kinds]
        assert len(files) > 20
        for file in files:
            answer = await client.get(f"/scapre/web/{file.relative_to(web_folder).as_posix()}")
            assert (answer.status, answer.content_type) == (200, kinds[file.suffix])
            assert answer.headers["Cache-Control"] == "no-cache" and answer.headers["ETag"]
            assert await answer.read() == file.read_bytes()
        for path in (
            "",
            "scapre.js",
            "docs/ScaPreEditMap.md",
            "gone.mjs",
            "%2e%2e/pyproject.toml",
            "..%2f..%2fx.mjs",
            "%00.mjs",
        ):
            assert (await client.get(f"/scapre/web/{path}")).status == 404, path

    talk(act)
