"""Copies of edited matrices beside the model in a checkpoint: averages (EMA), second models, ControlNets, LoRAs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..checkpoints.checkpoint import FLOATS, Checkpoint
from ..errors import shorten
from ..families import Role, adapter, by_weight, place
from .names import by_blocks, by_path

# Dots and underscores are left out by some who write such names, and changed into each other by others.
_SEPARATORS = str.maketrans("", "", "._")
_CROSS_ATTENTION = re.compile(r"attn2(processor)?to(k|v|kv|qkv)(?!ip)", re.IGNORECASE)
_CROSS_REST = re.compile(r"attn2(processor)?to(q|qkv|out0)(?!ip)", re.IGNORECASE)
_FEED_FORWARD = re.compile(r"ffnet2(?!\d)", re.IGNORECASE)
_ALIKE: Mapping[Role, re.Pattern[str] | None] = {
    Role.KEY: _CROSS_ATTENTION, Role.VALUE: _CROSS_ATTENTION, Role.QUERY: _CROSS_REST, Role.ANSWER: _CROSS_REST,
    Role.FEED_FORWARD: _FEED_FORWARD, Role.OTHER: None, Role.INPUT: None, Role.POOLED: None,
    Role.LAYER: None,
}  # fmt: skip
"""How layers of each role are called anywhere; None where their names say too little."""
_LORA = "lora_unet_"
_BUNDLED = "bundle_emb."  # textual inversions that A1111 reads from a checkpoint


@dataclass(frozen=True)
class Copies:
    """What a checkpoint holds beside the matrices of its model.

    Attributes:
        edited: Name of the projection that a tensor is a copy of, by the tensor's name: same place, same shape.
        left: Tensors that belong to layers like those that are edited, and cannot be edited.
        embeddings: Textual inversions.
    """

    edited: Mapping[str, str]
    left: tuple[str, ...]
    embeddings: tuple[str, ...]

    def notes(self, unedited: Iterable[str] = ()) -> tuple[str, ...]:
        """What the user should know of them.

        Args:
            unedited: Copies that could not be edited in the end.
        """
        broken = set(unedited)
        edited, left = [name for name in self.edited if name not in broken], [*self.left, *sorted(broken)]
        said = []
        if edited:
            said.append(f"{_counted(edited, 'copy', 'copies')} of these matrices in the file were edited too.")
        if left:
            said.append(
                f"{_counted(left, 'tensor', 'tensors')} in the file may still know what was erased and could not be "
                "edited. Do not pass the file on with them, or take them out."
            )
        if self.embeddings:
            said.append(
                f"{_counted(self.embeddings, 'tensor', 'tensors')} of embeddings in the file were kept. One that "
                "stands for what was erased can bring it back."
            )
        return tuple(said)


def _counted(names: Sequence[str], one: str, more: str) -> str:
    return f"{len(names)} {one if len(names) == 1 else more} (such as {shorten(names[0], 120)})"


def find_copies(checkpoint: Checkpoint, edited: Collection[str]) -> Copies:
    """Looks for copies under any prefix, with dots or without, in the model's own names, diffusers' and LoRAs'.

    Args:
        checkpoint: The file.
        edited: Names of the weights that are edited.
    """
    weights = by_weight(checkpoint.roles)
    entries, own = checkpoint.file.entries, {checkpoint.stored_name(name): name for name in weights}
    shapes = {name: entries[stored].shape for stored, name in own.items()}
    patterns = {_ALIKE[checkpoint.roles[part.name]] for name in edited for part in weights[name]}
    known = [pattern for pattern in (*patterns, _in_blocks(checkpoint.family, edited)) if pattern]
    places = _places(tuple(own.values()))

    def alike(bare: str) -> bool:
        return any(pattern.search(bare) for pattern in known)

    network = adapter(checkpoint.family)  # the model's own, with attentions that are not edited
    inside = checkpoint.stored_name(network) + "." if network else None
    copies, left = {}, []
    for name in sorted(entries.keys() - own.keys()):
        if inside and name.startswith(inside):
            continue
        bare = name.translate(_SEPARATORS)
        found = _ending(bare, places) if None in patterns or alike(bare) else None
        if found and found not in edited:
            continue  # the model's own is not edited either
        if found and entries[name].shape == shapes[found] and entries[name].dtype in FLOATS:
            copies[name] = found
        elif alike(bare) and not name.endswith("bias"):
            left.append(name)
    return Copies(copies, tuple(left), tuple(sorted(name for name in entries if name.startswith(_BUNDLED))))


def _in_blocks(family: str, edited: Iterable[str]) -> re.Pattern[str] | None:
    """How edited layers are called inside the blocks of a transformer; None where a family's layers are no such."""
    blocks = ((name, place(family, name).layer + ".") for name in edited)
    layers = {name.removeprefix(block).removesuffix(".weight") for name, block in blocks if name.startswith(block)}
    layers.discard("weight")  # of a matrix that is in no block
    if not layers:
        return None
    bare = "|".join(re.escape(layer.translate(_SEPARATORS)) for layer in sorted(layers))
    return re.compile(rf"\d({bare})(?=weight|lora|diff|$)", re.IGNORECASE)


def _places(names: tuple[str, ...]) -> dict[str, str]:
    """Projections by the end of a copy's name, without dots and underscores."""
    return {
        f"{path.removeprefix(_LORA)}.weight".translate(_SEPARATORS): name
        for naming in (by_path, by_blocks)
        for name, path in naming(names).items()
    }


def _ending(bare: str, places: Mapping[str, str]) -> str | None:
    """The projection that a name ends with, after whatever prefix."""
    return next((places[bare[at:]] for at in range(len(bare)) if bare[at:] in places), None)
