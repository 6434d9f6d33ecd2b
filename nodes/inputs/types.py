"""What the nodes share: their category, the socket of an edit, and inputs that several of them have."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

EditType = io.Custom("SCAPRE_EDIT")
CATEGORY = "model/scapre"


def strength_input(more: str = "") -> io.Input:
    """The input `strength`, with more said in its tooltip."""
    return io.Float.Input(
        "strength",
        default=1.0,
        min=0.0,
        max=2.0,
        step=0.05,
        round=0.001,
        optional=True,
        tooltip=f"How much of the edit is applied: 0 none, 1 as solved, up to 2 for stubborn concepts.{more}",
    )


def device_input() -> io.Input:
    """The input `device`."""
    return io.Combo.Input(
        "device",
        options=["auto", "cpu"],
        default="auto",
        optional=True,
        advanced=True,
        tooltip="Where to solve. auto: the GPU, or the CPU where its memory or float64 is missing.",
    )


def concepts_input(tooltip: str) -> io.Input:
    """The input `concepts`."""
    return io.String.Input(
        "concepts",
        multiline=True,
        default="",
        placeholder="one per line, such as\nVincent van Gogh\ncat -> dog",
        dynamic_prompts=False,
        tooltip=tooltip,
    )


def preserve_input(tooltip: str) -> io.Input:
    """The input `preserve`."""
    return io.String.Input(
        "preserve",
        multiline=True,
        default="",
        placeholder="names that must stay, one per line (optional)",
        dynamic_prompts=False,
        optional=True,
        tooltip=tooltip,
    )


def seed_input(tooltip: str, **more: Any) -> io.Input:
    """The input `seed`."""
    return io.Int.Input(
        "seed", default=0, min=0, max=2**63 - 1, optional=True, control_after_generate=False, tooltip=tooltip, **more
    )
