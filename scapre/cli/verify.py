"""Compare a checkpoint with the weights that an edit was solved from, and how its names are read here.

Exit status: 0 for the same weights, 1 for others of the same architecture, 2 after an error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..checkpoints.checkpoint import Checkpoint
from ..export.matrices import Matrices
from ..files import read_edit
from .arguments import add_text_encoder, add_tokenizer, names_here, text_encoder_files
from .console import ConsoleProgress, note, say

OTHER = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what it takes."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a .safetensors checkpoint")
    parser.add_argument("edit", type=Path, metavar="EDIT", help="an edit file")
    add_tokenizer(parser)
    add_text_encoder(parser)


def run(options: argparse.Namespace) -> int:
    """Compares."""
    edit, progress = read_edit(options.edit), ConsoleProgress()
    with Checkpoint(options.checkpoint) as checkpoint, text_encoder_files(options.text_encoder) as others:
        matrices = Matrices(edit, checkpoint, progress, "compare")
        for name in edit.matrices:  # reads and checks each
            matrices.read(name)
        apart = matrices.apart()
        notes = names_here([edit], options.tokenizer, checkpoint, others)
    progress.finish()
    for sentence in notes:
        note(f"Note: {sentence}.")
    if not apart:
        say("Same weights: the edit was solved from them.")
        return 0
    say(
        f"Other weights: they differ by {apart:.2%} (Frobenius norm, estimated). The edit can be applied, but what "
        "it changes was decided on its own weights; for the best result, erase again on this checkpoint."
    )
    return OTHER
