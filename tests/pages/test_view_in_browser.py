"""The page of `i2md view` in a real browser: axe-core, keyboard, touch, on a desk and on a phone, light and dark."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from in_browser import SIZES, require_accessible
from made_clips import FLAT, moving, view, write_clips

from i2md.data.recording import Interval

pytestmark = pytest.mark.slow

CLASSES = ("sit", "stand", "<wave>", "a class of movements")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of labelled 3-D clips with missing joints, of a long 2-D recording with intervals, and of one bare clip."""
    folder = tmp_path_factory.mktemp("pages")
    labelled = [moving(f"clip {i:02}", 20 + i, label=i % 3, fps=30.0) for i in range(20)]
    labelled[4].positions[0, 3:9, 5:8] = 0
    long = moving("day", 1200, 2, FLAT, fps=30.0, intervals=(Interval(30, 90, 1), Interval(300, 600, 2)))
    made = {
        "labelled": write_clips(folder / "labelled", labelled),
        "long": write_clips(folder / "long", [long], layout=FLAT),
        "bare": write_clips(folder / "bare", [moving("alone", 1)]),
        "folders": write_clips(
            folder / "folders", [moving("train/a class of movements/0123456789", 9, label=3)], class_names=CLASSES
        ),
    }
    for clips in made.values():
        view(clips)
    return {name: clips / "view.html" for name, clips in made.items()}


@pytest.fixture(scope="module")
def ready(pages: dict[str, Path]) -> dict[str, str]:
    return dict.fromkeys(pages, "#cards button")


def drawn(page: Any, selector: str) -> bool:
    """Whether anything is painted on a canvas."""
    return page.evaluate(
        """(selector) => {
            const canvas = document.querySelector(selector), pen = canvas.getContext("2d");
            return canvas.width > 0 && pen.getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value);
        }""",
        selector,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("name", ["labelled", "long", "bare"])
def test_axe_finds_nothing_serious(show: Any, name: str, size: str, scheme: str) -> None:
    page = show(name, size, scheme)
    require_accessible(page)
    page.locator("#cards button").first.click()
    require_accessible(page)


def test_skeletons_play_in_the_grid_and_stop(show: Any) -> None:
    page = show("labelled")
    page.wait_for_function("document.querySelector('#cards canvas').width > 0")
    page.wait_for_timeout(200)
    assert drawn(page, "#cards canvas")
    shot = "document.querySelector('#cards canvas').toDataURL()"
    first = page.evaluate(shot)
    page.wait_for_function(f"(first) => {shot} !== first", arg=first)
    page.locator("#play-all").click()
    assert page.locator("#play-all").inner_text() == "Play"
    page.wait_for_timeout(100)
    still = page.evaluate(shot)
    page.wait_for_timeout(300)
    assert page.evaluate(shot) == still


def test_a_clip_is_opened_stepped_and_closed_by_keyboard(show: Any) -> None:
    page = show("labelled")
    page.locator("#cards button").nth(2).focus()
    page.keyboard.press("Enter")
    assert page.locator("#large").is_visible()
    assert page.locator("#large-name").inner_text() == page.locator("#cards b + span").nth(2).inner_text()
    page.locator("#play").focus()
    page.keyboard.press("Space")
    assert page.locator("#play").inner_text() == "Play"
    page.locator("#position").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(100)
    assert drawn(page, "#large-prepared")
    page.keyboard.press("Escape")
    assert not page.locator("#large").is_visible()
    assert page.evaluate("document.activeElement.closest('#cards') !== null")


def test_missing_joints_are_counted_and_explained(show: Any) -> None:
    page = show("labelled", "phone")
    assert page.locator("#of-missing").is_visible() and not page.locator("#of-filled").is_visible()
    lacking = page.locator("#cards .lacking")
    assert lacking.count() == 1
    lacking.tap()
    assert "18 joint positions: " in page.locator("#large-facts").inner_text()


@pytest.mark.parametrize("size", list(SIZES))
def test_pictures_of_a_row_are_level_however_long_their_captions_are(show: Any, size: str) -> None:
    page = show("labelled", size)
    rows: dict[int, set[int]] = {}
    for item in page.locator("#cards li").all():
        box, picture = item.bounding_box(), item.locator("canvas").first.bounding_box()
        rows.setdefault(round(box["y"]), set()).add(round(picture["y"]))
    heights = page.locator("#cards .about").evaluate_all("texts => texts.map((each) => each.offsetHeight)")
    assert max(heights) > min(heights)
    assert all(len(tops) == 1 for tops in rows.values())


def test_a_long_name_breaks_after_a_slash_and_close_stays_whole(show: Any) -> None:
    page = show("folders", "phone")
    assert page.locator("#cards b + span").first.inner_text() == "train/0123456789"
    page.locator("#cards button").first.tap()
    assert page.locator("#large-name").inner_html() == "train/<wbr>a class of movements/<wbr>0123456789"
    assert page.locator("#close").bounding_box()["height"] < 40


def test_one_class_is_shown_alone(show: Any) -> None:
    page = show("labelled")
    page.locator("#class").select_option("stand")
    assert page.locator("#cards li:visible").count() == 7
    assert page.locator("#count").inner_text() == "7 of 20 shown"


@pytest.mark.parametrize("size", list(SIZES))
def test_a_timeline_answers_taps_keys_and_the_list(show: Any, size: str) -> None:
    page = show("long", size)
    at = page.locator(".timeline .at")
    assert at.inner_text() == "0:00.0 of 0:40.0"
    interval = page.locator(".timeline .interval").nth(1)
    interval.tap() if size == "phone" else interval.click()
    assert at.inner_text().startswith("0:15.0") and at.inner_text().endswith("<wave>")
    page.wait_for_timeout(100)
    assert drawn(page, ".timeline canvas")
    slider = page.locator(".timeline input")
    slider.focus()
    page.keyboard.press("Home")
    from playwright.sync_api import expect

    # A function that the page evaluates would be refused by its content security policy.
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"0:00\.0"))
    page.locator(".timeline summary").click()
    page.locator(".timeline td button").first.click()
    assert at.inner_text() == "0:01.0 of 0:40.0 \u00b7 stand"
