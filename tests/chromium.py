"""The browser of tests on real pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pack.benchmarks.host import browser as browsers


def launched() -> Iterator[Any]:
    """Chromium, for a fixture; the test is skipped where there is none, or fails where one is required."""
    program = browsers.find()
    if program is None:
        (pytest.fail if browsers.is_required() else pytest.skip)(browsers.MISSING)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # where other tests run beside these, an answer may take its time
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(browsers.OPTIONS))
        yield browser
        browser.close()
