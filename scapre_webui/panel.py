"""The panel under the pictures' settings, for Gradio 3 and 4."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from modules.ui_components import InputAccordion

from ..scapre.concepts.listed import Choice, listed_text
from ..scapre.errors import ScaPreError
from ..scapre.methods import USUAL, closed_forms
from ..scapre.report.markdown import escape
from . import infotext, places, texts
from .choices import FIRST_PRESET, MOST_STRENGTH, NO_FILE, PRESETS
from .review import html_of
from .state import STATE

_SMALL = {"size": "sm", "scale": 1, "min_width": 100}
_HINTS = {"reading": "with lines, commas or columns", "column": "with another column"}


@dataclass(frozen=True)
class Panel:
    """The components whose values are sent, in their order, and the one that shows the last report."""

    values: list[Any]
    report: Any

    @property
    def fields(self) -> list[tuple[Any, Callable[[Any], Any]]]:
        """What a pasted infotext sets."""
        names = ("enabled", *infotext.FIELDS)
        return [(component, _reads(name)) for name, component in zip(names, self.values, strict=True)]


def _reads(name: str) -> Callable[[Any], Any]:
    return lambda entries: infotext.read(entries, name)


def build(elem_id: Callable[[str], str]) -> Panel:
    """Builds it.

    Args:
        elem_id: Gives the identifier of a part.
    """
    with InputAccordion(False, label="ScaPre: erase concepts", elem_id=elem_id("enabled")) as enabled:
        gr.HTML(html.escape(texts.LEAD), elem_classes=["scapre-lead"])
        concepts = gr.Textbox(
            "",
            lines=5,
            max_lines=20,
            label="Concepts",
            placeholder=texts.EXAMPLE,
            info=texts.CONCEPTS,
            elem_id=elem_id("concepts"),
        )
        with gr.Row():
            source = gr.Dropdown(
                places.lists().sources(),
                value=None,
                label="List of names",
                elem_id=elem_id("list"),
                allow_custom_value=True,
                scale=4,
            )
            add = gr.Button("Add the list", elem_id=elem_id("add_list"), **_SMALL)
            tidy = gr.Button("Make it a name a line", elem_id=elem_id("tidy"), **_SMALL)
        review = gr.HTML("", elem_id=elem_id("review"))
        with gr.Row():
            anchor = gr.Textbox("", lines=1, label="Anchor", info=texts.ANCHOR, elem_id=elem_id("anchor"))
            preserve = gr.Textbox("", lines=2, label="Preserve", info=texts.PRESERVE, elem_id=elem_id("preserve"))
        with gr.Row():
            method = gr.Dropdown(list(closed_forms()), value=USUAL, label="Method", elem_id=elem_id("method"))
            strength = gr.Slider(
                0.0, MOST_STRENGTH, 1.0, step=0.05, label="Erase strength", elem_id=elem_id("strength")
            )
        with gr.Accordion("More settings of the erasure", open=False, elem_id=elem_id("more")):
            with gr.Row():
                preset = gr.Dropdown(list(PRESETS), value=FIRST_PRESET, label="Preset", elem_id=elem_id("preset"))
                seed = gr.Number(0, label="Seed of the method's noise", precision=0, elem_id=elem_id("seed"))
            settings = gr.Textbox(
                "",
                lines=2,
                label="Settings of the method",
                placeholder="erase_scale = 1.5",
                info=texts.SETTINGS,
                elem_id=elem_id("settings"),
            )
        with gr.Accordion("Edit files", open=False, elem_id=elem_id("files")):
            with gr.Row():
                file = gr.Dropdown(
                    [NO_FILE, *places.edit_files()], value=NO_FILE, label="Use an edit file", info=texts.FILE,
                    elem_id=elem_id("file"), allow_custom_value=True,
                )  # fmt: skip
                again = gr.Button("Refresh the lists", elem_id=elem_id("refresh"), **_SMALL)
            with gr.Row():
                name = gr.Textbox("", lines=1, label="Save the edit as", elem_id=elem_id("name"))
                save = gr.Button("Save edit", elem_id=elem_id("save"), **_SMALL)
            saved = gr.HTML("", elem_id=elem_id("saved"))
        with gr.Accordion("Report of the last run", open=False, elem_id=elem_id("report_box")):
            report = gr.Markdown(texts.NO_REPORT, elem_id=elem_id("report"), elem_classes=["scapre-report"])
        with gr.Accordion("Help", open=False, elem_id=elem_id("help")):
            gr.HTML(texts.help_page())
    values = [enabled, concepts, anchor, preserve, method, preset, strength, seed, file, settings]
    listed = [concepts, anchor, preserve]
    for part in listed:
        part.blur(fn=_review, inputs=listed, outputs=[review], show_progress=False)
    add.click(fn=_add, inputs=[source, concepts], outputs=[concepts, review], show_progress=False)
    tidy.click(fn=_tidy, inputs=[concepts], outputs=[concepts, review], show_progress=False)
    again.click(fn=_refresh, inputs=[], outputs=[source, file], show_progress=False)
    save.click(fn=_save, inputs=[name, *values[1:]], outputs=[saved, file])
    return Panel(values, report)


def last_report() -> str:
    """What the panel shows of the last generation."""
    outcome = STATE.session.outcome
    return f"**{texts.FAILED}** {escape(outcome.text)}" if outcome.failed else outcome.text or texts.NO_REPORT


def _review(concepts: str, anchor: str, preserve: str) -> str:
    try:
        return html_of(STATE.names, concepts, anchor, preserve)
    except ScaPreError as error:
        return texts.failure(error)


def _add(source: str | None, concepts: str) -> tuple[str, str]:
    """The list's names after those that are there."""
    try:
        lines, said = places.lists().read(source or "", Choice(hints=_HINTS))
    except ScaPreError as error:
        return concepts, texts.failure(error)
    joined = "\n".join([*filter(None, [concepts.rstrip()]), *lines])
    return joined, _review(joined, "", "") or texts.note(said)


def _tidy(concepts: str) -> tuple[str, str]:
    try:
        text, _ = listed_text(concepts, "concepts", Choice(hints=_HINTS))
    except ScaPreError as error:
        return concepts, texts.failure(error)
    return text, _review(text, "", "")


def _refresh() -> tuple[Any, Any]:
    return gr.update(choices=places.lists().sources()), gr.update(choices=[NO_FILE, *places.edit_files()])


def _save(name: str, *values: Any) -> tuple[str, Any]:
    """Solves, unless that is done, and writes."""
    try:
        done = STATE.erase([True, *values], name)
    except ScaPreError as error:
        return texts.failure(error), gr.update()
    return texts.note(f"{done.name}: {done.about}"), gr.update(choices=[NO_FILE, *places.edit_files()])
