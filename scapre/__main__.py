"""`python PACK/scapre`, where PACK is the pack's folder, or `python -m scapre` inside of it."""

import os
import runpy
import sys
from pathlib import Path

if not __package__:
    # Python was given this folder and no package's name, as it must be where a ._pth file (in ComfyUI's portable
    # package) makes it ignore the current folder. It looks for modules here then, where some have the names of others.
    def _normal(place: str) -> Path:
        return Path(os.path.normpath(Path(place).absolute()))  # not resolved: a linked pack lies in ComfyUI

    folder = _normal(__file__).parent
    sys.path[:] = [str(folder.parent), *(entry for entry in sys.path if _normal(entry) != folder)]
    runpy.run_module("scapre", run_name="__main__", alter_sys=True)  # this file once more, and it ends the process

from .cli import main
from .cli.console import unwind_when_terminated

unwind_when_terminated()
sys.exit(main())
