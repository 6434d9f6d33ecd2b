"""Loaded by AUTOMATIC1111 and Forge as a script without a package; all it is stands in `scapre_webui/`.

The pack is imported under a name of its own, wherever it lies and whatever its folder is called: the host takes its
folder off the search path again, and folders of this pack have names that others have, too.
"""

import importlib
import sys
import types
from pathlib import Path

_NAME = "scapre_pack"
_ROOT = Path(__file__).absolute().parents[1]

if _NAME not in sys.modules:
    _pack = types.ModuleType(_NAME)
    _pack.__path__ = [str(_ROOT)]
    sys.modules[_NAME] = _pack

if list(sys.modules[_NAME].__path__) == [str(_ROOT)]:  # else a second copy is installed, and the first one works
    _extension = importlib.import_module(f"{_NAME}.scapre_webui.extension")
    _extension.register()

    class EraseConcepts(_extension.EraseConcepts):
        """The script itself; the host takes every class of its own kind that it finds here."""
