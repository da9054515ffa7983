"""A real browser for the tests of pages: the Chromium of this machine, driven by playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDE = {"width": 1400, "height": 900}
PHONE = {"width": 390, "height": 844}


def installed() -> str | None:
    """Return the path of a Chromium of this machine, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Sight(NamedTuple):
    """A page, and what it did that a good page does not do."""

    page: Any
    complaints: list[str]
    requests: list[str]

    def calm(self, *schemes: str) -> None:
        """Assert that the page complained of nothing, opened no dialog and asked for these schemes only."""
        assert self.complaints == []
        assert [one for one in self.requests if not one.startswith(schemes)] == []


class Chromium:
    """An open browser; every ``visit`` is somebody new, who remembers nothing, and ends the one before."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._visitor: Any = None

    def visit(self, address: str, **manner: Any) -> Sight:
        """Open a page (``viewport``, ``color_scheme``, … as playwright knows them) and watch what it does."""
        if self._visitor is not None:
            self._visitor.close()
        self._visitor = self._browser.new_context(**{"viewport": WIDE, **manner})
        page = self._visitor.new_page()
        page.set_default_timeout(5000)
        sight = Sight(page, [], [])
        page.on("console", lambda said: sight.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: sight.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (sight.complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: sight.requests.append(request.url))
        page.goto(address)
        return sight


@pytest.fixture(scope="module")  # while it lives, playwright's event loop is this thread's
def chromium() -> Iterator[Chromium]:
    """The Chromium of this machine; a test that needs it is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = installed()
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=arguments)
        yield Chromium(browser)
        browser.close()
