"""Pages in real Chromium: fixtures that open them at the size of a desk or a phone, and what axe-core finds in them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SIZES = {"desk": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason='no browser tests: pip install -e ".[browser]"')
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no browser tests: Chromium is not installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=path, args=["--headless", "--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def show(browser: Any, pages: dict[str, Path], ready: dict[str, str]) -> Iterator[Any]:
    """Opens a page by its name, at a size, in a colour scheme, and waits for its element in `ready`.

    The test's module has the fixtures `pages` (files by name) and `ready` (selectors by name). Fails if a script did.
    """
    opened, errors = [], []

    def open_page(name: str, size: str = "desk", scheme: str = "light") -> Any:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=size == "phone"
        )
        opened.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(pages[name].as_uri())
        page.wait_for_selector(ready[name])
        return page

    yield open_page
    for context in opened:
        context.close()
    assert errors == []


def require_accessible(page: Any) -> None:
    """Nothing serious by axe-core, with everything that folds unfolded, and no page wider than the screen."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason='pip install -e ".[browser]"')
    for closed in page.query_selector_all("details:not([open])"):
        closed.evaluate("details => { details.open = true }")
    found = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
