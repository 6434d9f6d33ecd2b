"""CLIP in files of its own, beside a diffusion model alone, and what a file that is given for an encoder is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import Tensor

from ..errors import ScaPreError, shorten
from ..families.marks import find_class, part_of_a_model
from .encoder import CheckpointEncoder
from .float8 import read_weight
from .language_models import language_models
from .t5_file import T5File, t5_prefix
from .tensor_file import TensorFile
from .tokenizer import Tokenizer
from .towers import Tower

_HEAD = 64  # width of an attention head in every CLIP
_NAMES = {12: "CLIP-L", 16: "OpenCLIP-H", 20: "CLIP-G"}
_UNET = "input_blocks.0.0.weight"


def clip_from_files(
    files: Sequence[TensorFile], towers: Sequence[Tower], family: str, tokenizer: Tokenizer, width: int = 0
) -> CheckpointEncoder:
    """The text encoder of a family that reads CLIP.

    Args:
        files: One for each tower, in any order.
        towers: Of the family.
        family: Its title.
        tokenizer: Cuts texts.
        width: What states are filled up to; see `CheckpointEncoder`.

    Raises:
        ScaPreError: If a tower is missing, or a file is another encoder.
    """
    found = [_alone(files, tower, towers, family) for tower in towers]
    used = [place for place, _ in found]
    if spare := [file for place, file in enumerate(files) if place not in used]:
        raise _another(spare, towers, family)

    def read(name: str) -> Tensor:
        place, _, inside = name.partition(":")
        return read_weight(files[int(place)], inside)

    # Files have the same names: here each tells its file.
    names = [f"{place}:{name}" for place, file in enumerate(files) for name in file.entries]
    return CheckpointEncoder(names, read, tokenizer, [tower for _, tower in found], width)


def clip_name(tower: Tower) -> str:
    """What people call a tower."""
    return _NAMES.get(tower.heads, "CLIP")


def what_encoder(file: TensorFile) -> str:
    """What a file is, for a message."""
    shapes = {name: entry.shape for name, entry in file.entries.items()}
    if (prefix := t5_prefix(file)) is not None:
        return T5File(file, prefix).title
    if models := language_models(file):
        return f"a language model, {models[0].build.title}, of width {models[0].width:,}"
    if any(name.endswith(_UNET) for name in shapes):
        return "a Stable Diffusion model"
    if known := find_class(shapes):
        return f"a model of the class {known.name}"
    if heads := [_heads(file, prefix, open_clip=open_clip) for prefix, open_clip in _layouts(file)]:
        return _NAMES.get(heads[0], "a CLIP")
    told = part_of_a_model(shapes)
    return told.split(". ")[0] if told else "no text encoder that is known"


def _alone(files: Sequence[TensorFile], tower: Tower, towers: Sequence[Tower], family: str) -> tuple[int, Tower]:
    """The place of the file that holds a tower, and the tower as that file has it."""
    for place, file in enumerate(files):
        for prefix, open_clip in _layouts(file):
            if _heads(file, prefix, open_clip=open_clip) == tower.heads:
                return place, replace(tower, prefixes=(f"{place}:{prefix}",), open_clip=open_clip)
    raise _another(files, towers, family)


def _another(files: Sequence[TensorFile], towers: Sequence[Tower], family: str) -> ScaPreError:
    wanted = " and ".join(map(clip_name, towers))
    given = ", ".join(f"{shorten(file.path.name)} is {what_encoder(file)}" for file in files)
    return ScaPreError(f"{files[0].field}: {given}, and {family} models read {wanted}. Give the file of each.")


def _layouts(file: TensorFile) -> Iterator[tuple[str, bool]]:
    """Prefixes under which a file has CLIP, and whether it has open_clip's names there."""
    for prefix in ("text_model.", ""):
        if f"{prefix}embeddings.token_embedding.weight" in file.entries:
            yield prefix, False
    if "token_embedding.weight" in file.entries:
        yield "", True


def _heads(file: TensorFile, prefix: str, *, open_clip: bool) -> int:
    name = f"{prefix}{'' if open_clip else 'embeddings.'}token_embedding.weight"
    return (file.entries[name].shape or (0,))[-1] // _HEAD
