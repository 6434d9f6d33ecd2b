"""Routes for programs, beside those of the host's API: erase and save, the edits that are there, the last report."""

from __future__ import annotations

import secrets
from dataclasses import asdict, fields
from typing import Any

from fastapi import Body, Depends, FastAPI, HTTPException
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from modules import shared

from ..scapre.errors import ScaPreError
from . import places
from .choices import Choices, checked_text
from .state import STATE

_NAMES = tuple(field.name for field in fields(Choices))


def add_routes(app: FastAPI) -> None:
    """Adds the routes, where the host was started with its API; they ask for the same password."""
    if not getattr(shared.cmd_opts, "api", False) and not getattr(shared.cmd_opts, "nowebui", False):
        return
    asked = [Depends(_check_password)] if shared.cmd_opts.api_auth else []

    @app.post("/scapre/erase", dependencies=asked)
    def erase(body: dict[str, Any] = Body(...)) -> Any:  # noqa: B008 - as the library wants it
        try:
            unknown = set(body) - {*_NAMES, "name"}
            if unknown:
                raise ScaPreError(f"body: {min(map(ascii, unknown))} is unknown. Known: name, {', '.join(_NAMES)}.")
            given = [body.get(name) for name in _NAMES]
            given[0] = True  # what is asked for here is on
            return asdict(STATE.erase(given, checked_text("name", body.get("name", ""))))
        except ScaPreError as error:
            return JSONResponse({"error": str(error)}, status_code=400)

    @app.get("/scapre/edits", dependencies=asked)
    def edits() -> Any:
        return {"edits": places.edit_files()}

    @app.get("/scapre/report", dependencies=asked)
    def report() -> Any:
        return asdict(STATE.session.outcome)


def _check_password(credentials: HTTPBasicCredentials = Depends(HTTPBasic())) -> None:  # noqa: B008
    for pair in shared.cmd_opts.api_auth.split(","):
        user, _, password = pair.partition(":")
        same = (secrets.compare_digest(given.encode(), known.encode())
                for given, known in ((credentials.username, user), (credentials.password, password)))  # fmt: skip
        if all(list(same)):
            return
    raise HTTPException(401, "Incorrect username or password", {"WWW-Authenticate": "Basic"})
