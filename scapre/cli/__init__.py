"""The command line. A new command is a module here and a line in `COMMANDS`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Protocol

from .. import VERSION
from ..errors import ScaPreError
from . import erase, export, inspect, merge, verify
from .console import STOPPED, complain

FAILED = 2  # 1 is what `verify` answers for other weights


class Command(Protocol):
    """One command; its first line of help is its module's."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what it takes."""
        ...

    def run(self, options: argparse.Namespace) -> int:
        """Does it and returns the exit status; a user's mistake is a ScaPreError."""
        ...


COMMANDS: Mapping[str, Command] = {
    "erase": erase,
    "inspect": inspect,
    "merge": merge,
    "export": export,
    "verify": verify,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        0; 1 where `verify` found other weights; 2 after an error, told in one sentence; 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        return COMMANDS[options.command].run(options)
    except ScaPreError as error:
        complain(str(error))
    except OSError as error:
        complain(f"{error.filename or 'a file'}: {error.strerror or error}.")
    except KeyboardInterrupt:
        complain("stopped; nothing was written.")
        return STOPPED
    return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python PACK/scapre",
        description="Erase concepts from text-to-image, video and sound models. No input is changed.",
        epilog="PACK is the pack's folder, such as ComfyUI/custom_nodes/comfyui-scapre.",
    )
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        about = (command.__doc__ or "").strip()
        command.add_arguments(commands.add_parser(name, help=about.split("\n")[0], description=about))
    return parser
