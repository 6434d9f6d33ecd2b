"""Erase concepts from a checkpoint: solve an edit, and write it or what it exports to."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..checkpoints.checkpoint import Checkpoint
from ..concepts.concepts import name_notes, parse_concepts, parse_preserve
from ..encode import encode_request
from ..families import note
from ..files import write_edit
from ..report.data import report_data
from ..report.markdown import render
from ..request import Request
from ..solve import solve_edit
from ..states.further import CHOICES, chosen
from ..states.prompts import TEMPLATES
from .arguments import (
    add_export,
    add_format,
    add_names,
    add_output,
    add_reading,
    add_settings,
    add_text_encoder,
    add_tokenizer,
    check_output,
    export_options,
    given_method,
    given_settings,
    read_list,
    seed,
    text_encoder_files,
)
from .console import ConsoleProgress, count_of, say
from .export import write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what it takes."""
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="a .safetensors checkpoint, or a diffusion model alone"
    )
    parser.add_argument(
        "--concepts",
        type=Path,
        required=True,
        metavar="FILE",
        help="one name per line, or: name -> anchor; or a table or list in another common form",
    )
    add_reading(parser)
    add_output(parser)
    parser.add_argument(
        "--anchor", default="", metavar="TEXT", help="takes the place of names without an arrow (by method)"
    )
    parser.add_argument("--preserve", type=Path, metavar="FILE", help="names that must stay, one per line")
    parser.add_argument("--seed", type=seed, default=0, help="of the method's small noise (0)")
    parser.add_argument("--templates", choices=TEMPLATES, default="none", help="wordings to erase names in (none)")
    parser.add_argument(
        "--pooled",
        choices=CHOICES,
        default="auto",
        help="also erase from the pooled vector that SDXL and its relatives read beside the words (auto: where "
        "it stands among the words or the text enters in few places, as in Stable Cascade or Flux)",
    )
    add_tokenizer(parser)
    add_text_encoder(parser)
    add_format(parser, "--export", help="write this instead of an edit file. lora: small, for every program. "
               "diff: exact. checkpoint: the whole model")  # fmt: skip
    add_names(parser)
    add_export(parser)
    add_settings(parser)


def run(options: argparse.Namespace) -> int:
    """Solves and writes."""
    inputs = [options.checkpoint, options.concepts, options.preserve, *options.text_encoder]
    check_output(options.out, inputs, options.overwrite)
    request, exported, progress = request_of(options), export_options(options), ConsoleProgress()
    with Checkpoint(options.checkpoint) as checkpoint, text_encoder_files(options.text_encoder) as others:
        further, remarks = chosen(options.pooled, checkpoint)
        request = replace(
            request, further=further, notes=(*request.notes, *filter(None, [note(checkpoint.family)]), *remarks)
        )
        states, seconds = encode_request(checkpoint.encoder(options.tokenizer, others), request, progress)
        edit = solve_edit(states, checkpoint, request, progress=progress, encode_seconds=seconds)
        if options.export:
            said = write(options.export, edit, checkpoint, options.out, exported, progress)
        else:
            write_edit(edit, options.out, names=exported.names, overwrite=options.overwrite)
            said = f"Edit: {options.out}"
    progress.finish()
    say(render(report_data(edit, count_of(edit), [f"Preset {given_settings(options)[0]}, {edit.described}"])))
    say(f"\n{said}")
    return 0


def request_of(options: argparse.Namespace) -> Request:
    """What the options ask for.

    Raises:
        ScaPreError: If they cannot be meant.
        OSError: If a list cannot be read.
    """
    parsed = parse_concepts(read_list(options.concepts, "concepts", options), options.anchor)
    names = read_list(options.preserve, "preserve", options) if options.preserve else ""
    _, settings = given_settings(options)
    preserve = parse_preserve(names, parsed.concepts)
    notes = name_notes(names, "preserve")
    templates = tuple(TEMPLATES[options.templates])
    return Request(parsed, preserve, settings, options.seed, templates, notes, given_method(options))
