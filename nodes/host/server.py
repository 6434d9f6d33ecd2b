"""The host's server."""

from __future__ import annotations

import sys
from typing import Any


def prompt_server() -> Any | None:
    """The server that runs this pack; None where there is none, as in a script."""
    return getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
