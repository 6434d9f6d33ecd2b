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
HELP = """
* **Concepts** are gone in every picture that is drawn while the panel is open and ticked: in all of a batch, in the
  second pass of Hires. fix, and after a switch to a refiner. The same list is solved once.
* **LoRAs, styles and prompts** work as before. The edit counts LoRAs of the prompt as a part of the model.
* **Where it cannot be applied**, nothing is drawn, and the reason stands under the picture and here.
* **Strength** 1 is the edit as solved. More for what is stubborn, less to weaken a style.
* **PNG info** has all of this panel: paste it back to get the same edit.
* **Save edit** keeps the edit as a small file in `models/scapre`, which ComfyUI's nodes of this pack read, too.
* How to erase: `auto` finds by itself what must stay. The other methods are described in the README.
"""


def failure(error: Exception) -> str:
    """An error as HTML."""
    return f'<div class="scapre-error">{html.escape(str(error))}</div>'


def note(text: str) -> str:
    """A remark as HTML."""
    return f'<div class="scapre-note">{html.escape(text)}</div>' if text else ""
