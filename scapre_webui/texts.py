"""What the panel says. Everything here is a whole phrase of the page, as the host's localisation wants it."""

from __future__ import annotations

import html

LEAD = "What is named here is gone from the pictures. No file is changed; switch it off, and the model is as before."
EXAMPLE = "Vincent van Gogh\nsnoopy -> dog\n# a comment"
CONCEPTS = "One name a line. name -> anchor gives what takes its place."
ANCHOR = "What takes the place of names without an arrow. Empty: chosen by the method."
PRESERVE = "Names that must stay as they are, one a line."
SETTINGS = "name = value, one a line; as the preset has it unless given."
FILE = "A file in models/scapre takes the place of the list. None: erase the list."
NO_REPORT = "Nothing has been erased yet."
FAILED = "Nothing was drawn."
HELP = (
    "Concepts are gone in every picture that is drawn while the panel is ticked: in a whole batch, in the second pass "
    "of Hires. fix, and after a switch to a refiner. A list is solved once.",
    "LoRAs, styles and prompts work as before. LoRAs of the prompt count as a part of the model.",
    "Where an edit cannot be applied, nothing is drawn, and the reason stands under the picture and in the report.",
    "Strength 1 is the edit as solved. Take more for what is stubborn, less to weaken a style.",
    "PNG info has all of this panel: send it back, and you get the same edit.",
    "Save edit writes a small file to models/scapre, which the nodes of this pack read in ComfyUI, too.",
    "auto finds by itself what must stay. The README describes the other methods.",
)
PHRASES = (LEAD, CONCEPTS, ANCHOR, PRESERVE, SETTINGS, FILE, NO_REPORT, FAILED, *HELP)
"""All that the localisations should have, beside labels."""


def help_page() -> str:
    """The help as HTML: each sentence is a whole text."""
    return f"<ul>{''.join(f'<li>{html.escape(sentence)}</li>' for sentence in HELP)}</ul>"


def failure(error: Exception) -> str:
    """An error as HTML."""
    return f'<div class="scapre-error">{html.escape(str(error))}</div>'


def note(text: str) -> str:
    """A remark as HTML."""
    return f'<div class="scapre-note">{html.escape(text)}</div>' if text else ""
