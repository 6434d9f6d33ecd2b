"""What the nodes share: their category, the socket of an edit, and inputs that several of them have."""

from __future__ import annotations

from typing import Any

import comfy.samplers
from comfy_api.latest import io

EditType = io.Custom("SCAPRE_EDIT")
CATEGORY = "model/scapre"
SCHEDULER = "normal"


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


def size_input(about: str) -> io.Input:
    """The input `size`, of pictures that models are asked at."""
    return io.Int.Input(
        "size", default=0, min=0, max=4096, step=8, optional=True, advanced=True,
        tooltip=f"{about} 0: what the model's family draws at.",
    )  # fmt: skip


def scheduler_input() -> io.Input:
    """The input `scheduler`."""
    return io.Combo.Input(
        "scheduler",
        options=comfy.samplers.KSampler.SCHEDULERS,
        default=SCHEDULER,
        optional=True,
        advanced=True,
        tooltip="How the noise is taken away over the steps, as in KSampler.",
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


def names_input(name: str, placeholder: str, tooltip: str, *, optional: bool = False) -> io.Input:
    """An input for a list of names, one per line."""
    return io.String.Input(
        name,
        multiline=True,
        default="",
        placeholder=placeholder,
        dynamic_prompts=False,
        optional=optional,
        tooltip=tooltip,
    )


def concepts_input(tooltip: str) -> io.Input:
    """The input `concepts`."""
    return names_input("concepts", "one per line, such as\nVincent van Gogh\ncat -> dog", tooltip)


def preserve_input(tooltip: str) -> io.Input:
    """The input `preserve`."""
    return names_input("preserve", "names that must stay, one per line (optional)", tooltip, optional=True)


def erased_outputs(model: str, report: str) -> list[io.Output]:
    """The outputs of a node that erases, with the tooltips of two."""
    return [
        io.Model.Output(display_name="model", tooltip=model),
        EditType.Output(display_name="edit", tooltip="The edit alone, for Apply Edit, Save Edit and Merge Edits."),
        io.String.Output(display_name="report", tooltip=f"{report}, as Markdown. Connect it to Preview as Text."),
    ]


def seed_input(tooltip: str, **more: Any) -> io.Input:
    """The input `seed`."""
    return io.Int.Input(
        "seed", default=0, min=0, max=2**63 - 1, optional=True, control_after_generate=False, tooltip=tooltip, **more
    )
