"""Combine edits: all their concepts are solved jointly, from the original weights."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.tensor_file import TensorFile
from ..edits.edit import Edit
from ..errors import ScaPreError
from ..files import read_edit, write_edit
from ..merge import merge_edits
from ..report.data import report_data
from ..report.markdown import render
from ..states.encoder import Encoder
from .arguments import (
    add_names,
    add_output,
    add_text_encoder,
    add_tokenizer,
    check_output,
    names_here,
    text_encoder_files,
)
from .console import ConsoleProgress, count_of, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what it takes."""
    parser.add_argument(
        "edits", type=Path, nargs="+", metavar="EDIT", help="edit files; settings and seed are those of the first"
    )
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="the model they were made from")
    parser.add_argument(
        "--remove", action="append", default=[], metavar="NAME", help="a concept to leave out; may be repeated"
    )
    add_output(parser)
    add_names(parser)
    add_tokenizer(parser)
    add_text_encoder(parser)


def run(options: argparse.Namespace) -> int:
    """Solves and writes."""
    check_output(options.out, [*options.edits, options.checkpoint, *options.text_encoder], options.overwrite)
    edits, progress = {str(path): read_edit(path) for path in options.edits}, ConsoleProgress()
    with Checkpoint(options.checkpoint) as checkpoint, text_encoder_files(options.text_encoder) as others:
        notes = names_here(edits.values(), options.tokenizer, checkpoint, others)
        encoder = _encoder(edits.values(), checkpoint, options.tokenizer, others)
        edit = merge_edits(edits, checkpoint, options.remove, notes=notes, encoder=encoder, progress=progress)
    write_edit(edit, options.out, names=not options.no_names, overwrite=options.overwrite)
    progress.finish()
    say(render(report_data(edit, f"Merged {len(edits)} edits: {count_of(edit)}")))
    say(f"\nEdit: {options.out}")
    return 0


def _encoder(
    edits: Iterable[Edit], checkpoint: Checkpoint, vocabulary: Path | None, others: Sequence[TensorFile]
) -> Encoder | None:
    """The text encoder, where an edit may need it."""
    if not any(edit.solver.sums or not edit.states.whole for edit in edits):
        return None
    try:
        return checkpoint.encoder(vocabulary, others)
    except ScaPreError:
        if vocabulary or others:
            raise
        return None  # what the edits keep may be enough; else the merge says what is missing
