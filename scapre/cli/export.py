"""Export an edit as a LoRA, as full differences, or as a whole checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..checkpoints.checkpoint import Checkpoint
from ..edits.edit import Edit
from ..export import FORMATS, Options
from ..files import read_edit
from ..progress import Progress
from .arguments import add_export, add_format, add_names, add_output, check_output, export_options
from .console import ConsoleProgress, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what it takes."""
    parser.add_argument("edit", type=Path, metavar="EDIT", help="an edit file")
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="the model it is evaluated on")
    add_format(parser, "--format", required=True)
    add_output(parser)
    add_names(parser)
    add_export(parser)


def run(options: argparse.Namespace) -> int:
    """Reads, evaluates and writes."""
    check_output(options.out, [options.edit, options.checkpoint], options.overwrite)
    progress, exported = ConsoleProgress(), export_options(options)
    with Checkpoint(options.checkpoint) as checkpoint:
        said = write(options.format, read_edit(options.edit), checkpoint, options.out, exported, progress)
    progress.finish()
    say(said)
    return 0


def write(form: str, edit: Edit, checkpoint: Checkpoint, out: Path, options: Options, progress: Progress) -> str:
    """Writes an edit in one of `FORMATS`; returns what the user should know.

    Raises:
        ScaPreError: If the edit does not fit the checkpoint, or the file cannot be written.
        FileExistsError: If there is a file that may not be replaced.
    """
    return FORMATS[form](edit, checkpoint, out, options, progress).render(str(out))
