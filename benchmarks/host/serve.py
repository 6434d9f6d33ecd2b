"""Open ComfyUI's user interface with the pack in it, for a person, until Ctrl-C.

`python dev.py serve` sets everything up and runs this.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from .base import add_checkpoint, share_models
from .client import HostError
from .places import base_folder, comfy_root
from .server import Server, free_port, stop_on_terminate

USUAL_PORT = 8188


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    stop_on_terminate()
    parser = argparse.ArgumentParser(prog="dev.py serve", description="Open ComfyUI with the pack.")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="a model to have in the list")
    parser.add_argument("--port", type=int, help=f"({USUAL_PORT} when it is free)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    options = parser.parse_args(arguments)
    try:
        serve(options)
    except (HostError, OSError) as error:
        print(f"serve: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
    return 0


def serve(options: argparse.Namespace) -> None:
    """Run a server until it is interrupted, or ends by itself (which raises)."""
    from ..demo import minicanvas  # needs torch, which --help must not
    from ..minicanvas import workflow

    server = Server(comfy_root(), base_folder("serve"), port=options.port or usual_or_free_port())
    ours = add_checkpoint(server.base, minicanvas())
    template = workflow.fill(server.base / "custom_nodes", ours)
    if options.checkpoint:
        add_checkpoint(server.base, options.checkpoint)
    share_models(server.base, server.comfy)
    print("Starting ComfyUI ...", flush=True)
    with server:
        address = f"{server.url}/?template={template.stem}&source={workflow.PACK}"
        print(f"ComfyUI runs at {server.url} (its output: {server.log}). Ctrl-C stops it.", flush=True)
        print(f"A workflow that is ready to run: {address}", flush=True)
        if not options.no_browser and has_screen():
            webbrowser.open(server.url if options.checkpoint else address)
        while True:
            server.check_alive()
            time.sleep(0.5)


def usual_or_free_port() -> int:
    """Return ComfyUI's usual port, or another when that one is taken."""
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", USUAL_PORT)) == 0
    return free_port() if taken else USUAL_PORT


def has_screen() -> bool:
    """Tell whether opening a browser would show a person anything."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


if __name__ == "__main__":
    sys.exit(main())
