"""HTTP routes for the pack's part of the page: its files, lists of names, and what to know about names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from aiohttp import web

from ...scapre.concepts.readings import Readings, readings
from ...scapre.concepts.text import MOST_BYTES, decode, named
from ...scapre.errors import ScaPreError
from ..host.lists import lists
from ..host.name_checks import NameChecks
from ..host.server import prompt_server

_MOST_BODY = 2 * MOST_BYTES  # JSON writes a line end with two letters
_WEB = Path(__file__).parents[2] / "web"
_PAGE_TYPES = {".mjs": "text/javascript", ".css": "text/css"}


def register_routes() -> None:
    """Adds the routes to the host's server, where there is one."""
    server = prompt_server()
    if server is not None:
        add_routes(server.routes)


def add_routes(routes: web.RouteTableDef) -> None:
    """Adds the routes to a table. What takes long runs in a thread, one check at a time."""
    names, turn = NameChecks(), asyncio.Lock()
    files = {file.relative_to(_WEB).as_posix(): file for file in _WEB.rglob("*") if file.suffix in _PAGE_TYPES}

    @routes.get("/scapre/web/{path:.+}")
    async def page_file(request: web.Request) -> web.FileResponse:
        file = files.get(request.match_info["path"])
        if file is None:
            raise web.HTTPNotFound
        # The host lets browsers keep such files unasked, so half of an updated pack would be an old one.
        headers = {"Cache-Control": "no-cache", "Content-Type": _PAGE_TYPES[file.suffix]}
        return web.FileResponse(file, headers=headers)

    @routes.get("/scapre/lists")
    async def show_lists(_: web.Request) -> web.Response:
        return web.json_response({"lists": [{"source": source} for source in await asyncio.to_thread(lists().sources)]})

    @routes.get("/scapre/lists/names")
    async def show_names(request: web.Request) -> web.Response:
        def found() -> Readings:
            return readings(lists().text(request.query.get("source", "")), request.query.get("column", ""))

        return await _answer(turn, found)

    @routes.post("/scapre/check")
    async def check(request: web.Request) -> web.Response:
        encoder, *texts = (await _texts(request, "encoder", "concepts", "anchor", "preserve")).values()
        async with turn:
            return web.json_response(await asyncio.to_thread(lambda: names.of(encoder).check(*texts)))

    @routes.post("/scapre/readings")
    async def read(request: web.Request) -> web.Response:
        texts = await _texts(request, "text", "column")
        return await _answer(turn, lambda: readings(**texts))

    @routes.post("/scapre/readings/file")
    async def read_file(request: web.Request) -> web.Response:
        _check_size(request)
        data, query = await request.read(), request.query
        where = named("file", query.get("name", ""))
        return await _answer(turn, lambda: readings(decode(data, where), query.get("column", "")))


async def _answer(turn: asyncio.Lock, read: Callable[[], Readings]) -> web.Response:
    """What a list says in every way it can be read, or why it cannot be."""
    async with turn:
        try:
            found = await asyncio.to_thread(read)
        except ScaPreError as error:
            return _refusal(str(error))
    return web.json_response({**asdict(found), "said": found.said})


def _refusal(why: str) -> web.Response:
    return web.json_response({"error": why}, status=400)


def _check_size(request: web.Request) -> None:
    size = request.content_length
    if size is None or size > _MOST_BODY:
        raise web.HTTPRequestEntityTooLarge(_MOST_BODY, size or 0)


async def _texts(request: web.Request, *names: str) -> Mapping[str, str]:
    """The texts of a request, empty where it has none.

    Raises:
        HTTPRequestEntityTooLarge: If it is larger than any list, or does not say how large it is.
        HTTPBadRequest: If it is no JSON object, or one of them is no text, or has characters that are none.
    """
    _check_size(request)
    try:
        body = await request.json()
        texts = {name: body.get(name, "") for name in names}
        for text in texts.values():
            text.encode()  # JSON can carry halves of characters, which no tokeniser reads
    except (ValueError, RecursionError, AttributeError):
        raise web.HTTPBadRequest(text=f"no JSON object with the texts {', '.join(names)}") from None
    return texts
