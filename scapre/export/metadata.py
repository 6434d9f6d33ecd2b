"""What an exported file says of itself: the fields that LoRA tools read, and the edit's own."""

from __future__ import annotations

import json
from dataclasses import asdict

from .. import VERSION
from ..edits.edit import Edit
from ..methods import FIRST
from .names import Labels


def own_fields(edit: Edit, names: bool) -> dict[str, str]:
    """The edit's fields; the same edit gives the same text.

    Args:
        edit: What the file was made from.
        names: Whether to tell the concepts.
    """
    fields = {
        "scapre.version": VERSION,
        "scapre.family": edit.family,
        "scapre.fingerprint": edit.fingerprint,
        **({} if edit.method == FIRST else {"scapre.method": edit.method}),
        "scapre.settings": json.dumps(asdict(edit.settings)),
        "scapre.seed": str(edit.seed),
    }
    if names:
        fields["scapre.concepts"] = json.dumps([[c.text, c.anchor] for c in edit.concepts], ensure_ascii=False)
    return fields


def lora_fields(edit: Edit, labels: Labels, rank: int, names: bool) -> dict[str, str]:
    """Fields of a LoRA file: kohya's `ss_`, Stability's `modelspec.`, and the edit's.

    Args:
        edit: What the file was made from.
        labels: Of the model's family.
        rank: Of all its matrices; 0 for full differences.
        names: Whether to tell the concepts.
    """
    count = len(edit.concepts)
    return {
        "format": "pt",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank),
        "ss_network_alpha": str(rank),
        "ss_base_model_version": labels.base,
        "ss_v2": str(labels.base == "sd_v2"),
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": labels.architecture,
        "modelspec.implementation": labels.implementation,
        "modelspec.title": f"ScaPre erasure of {count} concept{'' if count == 1 else 's'}",
        **own_fields(edit, names),
    }
