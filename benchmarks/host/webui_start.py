"""Starts a web UI where PyTorch and torchvision are builds that do not fit each other, as a CPU build of one may not.

    PYTHON webui_start.py FOLDER [arguments of its launch.py]

Run with the interpreter of the web UI, in its folder; nothing else of this repository is imported.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="of the web UI")
    options, arguments = parser.parse_known_args()
    folder = options.folder
    sys.path[0] = folder  # in the place of this file's folder, which has names of its own
    sys.argv = [str(Path(folder) / "launch.py"), *arguments]
    provide_operators()
    runpy.run_path(sys.argv[0], run_name="__main__")


def provide_operators() -> None:
    """Where torchvision's own operators cannot be loaded, its Python part only asks that their names are known."""
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        KEPT.append(library)  # a library that is collected takes its operators away


KEPT: list[object] = []

if __name__ == "__main__":
    main()
