"""Socket types of this pack."""

from __future__ import annotations

from comfy_api.latest import io

EditType = io.Custom("SCAPRE_EDIT")
CATEGORY = "model/scapre"
STRENGTH = "How much of the edit is applied: 0 none, 1 as solved, up to 2 for stubborn concepts."
