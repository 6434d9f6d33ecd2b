"""Find a Chromium for the browser tests, install one where that is possible, or say how to get one.

Standard library only: the set-up script runs this with whatever Python there is.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .steps import SetupError, run_step, say, succeeds

CHOSEN, REQUIRED = "SCAPRE_BROWSER", "SCAPRE_BROWSER_REQUIRED"
"""Environment variables: the program to use, and (1) that tests must not go without one."""
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "msedge")
MISSING = (
    "The browser tests need Chromium, Chrome or Edge, and none that starts was found: install one (on Debian "
    f"`apt-get install chromium`), or name its program in {CHOSEN}."
)
OPTIONS = ("--disable-gpu", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
"""For a machine without a GPU, a container with little shared memory, and a page that may ask our server alone."""
_WINDOWS = ("Google/Chrome/Application/chrome.exe", "Microsoft/Edge/Application/msedge.exe")
_MACOS = ("Google Chrome", "Chromium", "Microsoft Edge")
_DOWNLOADED = ("chrome-*/chrome", "chrome-*/chrome.exe", "chrome-*/*.app/Contents/MacOS/*")


def provide(playwright: Sequence[str], logs: Path) -> Path | None:
    """Find a browser, or install one; None when neither worked, which is said where the tests may go without one.

    Args:
        playwright: the command that runs Playwright's own command line.
        logs: the folder for the output of the installation.

    Raises:
        SetupError: the chosen program is none, or a browser is required and cannot be had.
    """
    found = find()
    if found is None and (chosen := os.environ.get(CHOSEN)):
        raise SetupError(f"{CHOSEN} is {chosen}, which is no program that starts")
    found = found or install(playwright, logs)
    if found is None:
        if is_required():
            raise SetupError(MISSING)
        say(MISSING)
    return found


def find() -> Path | None:
    """Return the likeliest browser that starts."""
    return next(filter(starts, candidates(os.environ, Path.home())), None)


def is_required() -> bool:
    """Tell whether tests must not go without a browser."""
    return os.environ.get(REQUIRED) == "1"


def starts(program: Path) -> bool:
    """Tell a browser from a place-holder for one, and from one that lacks libraries."""
    return os.name == "nt" or succeeds([program, "--version"])  # on Windows this would open a window


def candidates(environment: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Yield the programs that are there, likeliest first; the one that was chosen is the only one.

    Args:
        environment: the environment variables.
        home: the user's folder.
    """
    if chosen := environment.get(CHOSEN):
        yield from filter(Path.is_file, [Path(chosen).expanduser()])
        return
    yield from (Path(found) for name in NAMES if (found := shutil.which(name, path=environment.get("PATH", ""))))
    yield from filter(Path.is_file, _usual_places(environment))
    yield from _downloads(environment, home)


def _usual_places(environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield where Windows and macOS keep them, which is on no search path."""
    for variable in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"):
        if folder := environment.get(variable):
            yield from (Path(folder) / program for program in _WINDOWS)
    yield from (Path(f"/Applications/{name}.app/Contents/MacOS/{name}") for name in _MACOS)


def _downloads(environment: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Yield what Playwright has downloaded, newest first."""
    caches = (".cache", "Library/Caches", "AppData/Local")
    places = [home / cache / "ms-playwright" for cache in caches]
    if named := environment.get("PLAYWRIGHT_BROWSERS_PATH"):
        places.insert(0, Path(named))
    for place in places:
        for folder in sorted(place.glob("chromium-*"), key=lambda found: (len(found.name), found.name), reverse=True):
            yield from (file for pattern in _DOWNLOADED for file in folder.glob(pattern) if file.is_file())


def install(playwright: Sequence[str], logs: Path) -> Path | None:
    """Try the ways to install a browser until one starts; None when no way worked."""
    for steps in _ways(playwright):
        try:
            for step, command in steps.items():
                run_step(step, command, logs)
        except SetupError as error:
            say(str(error))
        else:
            if found := find():
                return found
    return None


def _ways(playwright: Sequence[str]) -> Iterator[dict[str, Sequence[str]]]:
    """Yield commands by what they do: the system's package where we may install it, then Playwright's download."""
    administrator = sys.platform == "linux" and os.geteuid() == 0
    if administrator and shutil.which("apt-get"):
        get = ("apt-get", "-qq", "-o", "Dpkg::Use-Pty=0")
        install = (*get, "install", "-y", "--no-install-recommends", "chromium")
        yield {"looking for the package chromium": (*get, "update"), "installing chromium (0.4 GB)": install}
    libraries = ("--with-deps",) if administrator else ()
    yield {"downloading Playwright's Chromium (0.2 GB)": (*playwright, "install", *libraries, "chromium")}
