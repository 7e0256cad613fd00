"""The pages of search, cluster, suggest and predict in a real browser: axe-core, keyboard, on a desk and on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from in_browser import SIZES, require_accessible

from i2md.cli.main import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pages(
    run: Path, clips: Path, of_clips: Path, of_windows: Path, recordings: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    index = ["--index", str(folder / "index")]
    page = {name: folder / f"{name}.html" for name in ("search", "suggest", "predict", "timeline")}
    of_run = [str(run), str(clips)]
    for words in (
        ["search", *of_run, "--query", "a01_b01_r01", *index, "--page", str(page["search"])],
        ["cluster", *of_run, str(folder / "clusters"), *index],
        ["suggest", *of_run, str(folder / "labels.csv"), *index, "--page", str(page["suggest"])],
        ["predict", str(of_clips), str(clips), str(folder / "clips.csv"), "--page", str(page["predict"])],
        ["predict", str(of_windows), str(recordings), str(folder / "times.csv"), "--page", str(page["timeline"])],
    ):
        assert main(words) == 0
    return {**page, "cluster": folder / "clusters" / "clusters.html"}


@pytest.fixture(scope="module")
def ready(pages: dict[str, Path]) -> dict[str, str]:
    return dict.fromkeys(pages, ".timeline canvas, #cards button")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("name", ["search", "cluster", "suggest", "predict", "timeline"])
def test_axe_finds_nothing_serious(show: Any, name: str, size: str, scheme: str) -> None:
    page = show(name, size, scheme)
    require_accessible(page)
    button = page.locator("#cards button, .timeline button").first
    if button.count():
        button.click()
        require_accessible(page)


@pytest.mark.parametrize("name", ["search", "cluster", "suggest"])
def test_a_clip_is_opened_and_closed_by_keyboard(show: Any, name: str) -> None:
    page = show(name)
    page.locator(".cards button").last.focus()
    page.keyboard.press("Enter")
    assert page.locator("#large").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#large").is_visible()


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("name", ["search", "suggest"])
def test_pictures_of_a_row_are_level_however_long_their_captions_are(show: Any, name: str, size: str) -> None:
    page = show(name, size)
    rows: dict[int, set[int]] = {}
    items = page.locator(".cards").last.locator("li").all()
    items[0].locator(".about").first.evaluate("text => { text.textContent = 'many words '.repeat(30); }")
    for item in items:
        box, picture = item.bounding_box(), item.locator("canvas").first.bounding_box()
        rows.setdefault(round(box["y"]), set()).add(round(picture["y"]))
    assert all(len(tops) == 1 for tops in rows.values())
