"""The explorer in a real browser: map, player, labels by keyboard, kills, windows side by side, axe-core."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explorer.film import Film
from explorer.serving import Explore
from in_browser import SIZES, require_accessible

import i2md
from i2md.cli.main import main

pytestmark = pytest.mark.slow
pytest.importorskip("nicegui", reason='no explorer: pip install -e ".[explorer]"')

READY = "performance.getEntriesByName('first-paint-of-map').length"
STATUS = ".status p[role=status]"


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Explore]]:
    started: list[Explore] = []

    def start(*words: object, **how: Any) -> Explore:
        started.append(Explore(*words, log=tmp_path_factory.mktemp("log") / "log.txt", **how))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def window(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page at a size and in a colour scheme; fails if one of its scripts did, or asked another server."""
    contexts, errors = [], []

    def show(address: str, size: str = "desk", scheme: str = "light") -> Any:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=size == "phone"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if _is_error(message) else None)
        page.on("request", lambda asked: errors.append(asked.url) if not _is_here(asked.url) else None)
        page.goto(address)
        page.wait_for_function(READY)
        return page

    yield show
    for context in contexts:
        context.close()
    assert errors == []


def _is_error(message: Any) -> bool:
    # Tests end servers while their pages are open.
    return message.type == "error" and "ERR_CONNECTION_REFUSED" not in message.text


def _is_here(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))


@pytest.fixture(scope="module")
def utd(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run (kinect-base, the shipped encoder) and UTD-MHAD as clips, with their features."""
    folder = tmp_path_factory.mktemp("utd")
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert main(["prepare", "utd-mhad", str(real_data / "utd-mhad"), "clips"]) == 0
        assert main(["suggest", "kinect-base", "clips", "none.csv"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture(scope="module")
def small(run: Path, clips: Path, serve: Callable[..., Explore], tmp_path_factory: pytest.TempPathFactory) -> Explore:
    """An explorer of 32 tiny clips that no test labels."""
    folder = tmp_path_factory.mktemp("small")
    return serve(run, clips, "--labels", folder / "labels.csv", "--index", folder / "index")


def labels_of(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["name"]: row["label"] for row in csv.DictReader(file) if row["label"]}


def shown_clip(page: Any) -> str:
    return page.locator(".name-of-clip").inner_text().partition(" \u00b7 ")[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_axe_finds_nothing_serious(small: Explore, window: Any, size: str, scheme: str) -> None:
    page = window(small.address, size, scheme)
    page.wait_for_selector(".similar canvas")
    require_accessible(page)
    page.locator("#where").fill("subject = nosuch")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]:visible")
    require_accessible(page)


def test_hover_plays_click_shows_lasso_selects_and_conditions_filter(small: Explore, window: Any) -> None:
    page = window(small.address)
    canvas = page.locator(".points-canvas")
    box = canvas.bounding_box()
    places = page.evaluate("Array.from({length: 32}, (_, i) => window.clipMap.place(i))")
    first = shown_clip(page)
    x, y = next((x, y) for x, y in places if page.evaluate("([x, y]) => window.clipMap.nearest(x, y)", [x, y]) != 0)
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.wait_for_selector(".hover-clip:not([hidden])")
    shot = "document.querySelector('.hover-clip canvas').toDataURL()"
    frame = page.evaluate(shot)
    page.wait_for_function(f"(frame) => {shot} !== frame", arg=frame)
    name = page.locator(".hover-clip b").inner_text()
    page.mouse.down()
    page.mouse.up()
    page.wait_for_function("(name) => document.querySelector('.name-of-clip').textContent.startsWith(name)", arg=name)
    assert name != first
    page.get_by_role("button", name="Box").click()
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 3, box["y"] + box["height"] - 3, steps=5)
    page.mouse.up()
    page.get_by_text("32 clips selected").wait_for()
    page.get_by_role("button", name="Clear selection").click()
    page.locator("#where").fill("subject = 1")
    page.keyboard.press("Enter")
    page.get_by_text("8 of 32 shown").wait_for()
    page.wait_for_function("Array.from(window.clipMap.codes).filter((code) => code !== 0xfffe).length === 8")
    # A lasso around everything now holds what is shown.
    page.get_by_role("button", name="Lasso").click()
    corners = [(3, 3), (box["width"] - 3, 3), (box["width"] - 3, box["height"] - 3), (3, box["height"] - 3)]
    page.mouse.move(box["x"] + 3, box["y"] + 4)
    page.mouse.down()
    for across, down in corners:
        page.mouse.move(box["x"] + across, box["y"] + down, steps=4)
    page.mouse.up()
    page.get_by_text("8 clips selected").wait_for()


def test_a_map_of_another_colour_has_the_codes_of_that_column(small: Explore, window: Any, clips: Path) -> None:
    page = window(small.address)
    page.locator("#colour").select_option("subject")
    subjects = i2md.open_clips(clips).columns["subject"]
    expected = np.unique(subjects, return_inverse=True)[1].tolist()
    page.wait_for_function("(wanted) => String(window.clipMap.codes) === String(wanted)", arg=expected)


def test_hostile_names_are_text_and_the_selection_is_saved(
    run: Path, clips: Path, serve: Callable[..., Explore], window: Any, tmp_path: Path
) -> None:
    server = serve(run, clips, "--labels", tmp_path / "labels.csv", "--index", tmp_path / "index")
    page = window(server.address)
    hostile = "<img src=x onerror=document.title='owned'>${1+1}`{{1+1}}"
    page.keyboard.press("/")
    page.keyboard.type(hostile)
    page.keyboard.press("Enter")
    page.wait_for_function(f"document.querySelector('{STATUS}').textContent.startsWith('1 labelled')")
    assert list(labels_of(tmp_path / "labels.csv").values()) == [hostile]
    page.reload()
    page.wait_for_function(READY)
    page.locator("#colour").select_option("label")
    assert page.locator(".classes").get_by_text(hostile, exact=True).count() == 1
    page.locator(".legend-of-map").get_by_text(f"{hostile} 1", exact=True).click()
    page.get_by_text("1 clips selected").wait_for()
    assert page.locator("img").count() == 0 and page.title() != "owned"
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Table (CSV)").click()
    assert labels_of(Path(waiting.value.path())) == labels_of(tmp_path / "labels.csv")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Animation (GIF)").click()
    assert Path(waiting.value.path()).read_bytes()[:4] == b"GIF8"
    page.get_by_role("button", name="Clips folder").click()
    page.get_by_text("Written to").wait_for()
    assert len(i2md.open_clips(tmp_path / "selected-1")) == 1


def test_fifty_clips_are_labelled_by_keyboard_alone_and_nothing_is_lost(
    utd: Path, serve: Callable[..., Explore], window: Any, tmp_path: Path
) -> None:
    """The person knows the true classes. I2MD_PACE is the seconds for an action: 2 for that of a person.

    With I2MD_FILM=docs/images/explorer.gif (and I2MD_PICTURE=docs/images/explorer.png) it is filmed for the docs.
    """
    film = Film(os.environ.get("I2MD_FILM"), 1.2)
    pace, table = float(os.environ.get("I2MD_PACE", "0.3")), utd / "labels.csv"
    typed = ("kinect-base", "clips", "--labels", "labels.csv")
    opened = i2md.open_clips(utd / "clips")
    classes = opened.dataset.class_names
    truth = {str(n): classes[k] for n, k in zip(opened.columns["name"], opened.labels, strict=True)}
    keys = dict(zip(classes, "1234567890abcdefghijklmnopqrstuvwxyz", strict=False))
    server = serve(*typed, folder=utd)
    page = window(server.address)
    page.get_by_text("typical of").first.wait_for()
    started, accuracy, seen = time.monotonic(), [], []
    for number in range(1, 51):
        name = shown_clip(page)
        seen.append(name)
        page.keyboard.press(keys[truth[name]])
        page.wait_for_function(f"document.querySelector('{STATUS}').textContent.startsWith('{number} labelled')")
        # On the disk before the page says so.
        assert labels_of(table)[name] == truth[name]
        film.take(page)
        if number == 10:
            page.locator("#colour").select_option("prediction")
        page.wait_for_timeout(max(0.0, 1000 * (started + number * pace - time.monotonic())))
        if number % 10 == 0:
            page.get_by_text(f"Classifier of {number} labels").wait_for(timeout=20_000)
            told = page.get_by_text("are predicted as the class they came with").inner_text()
            accuracy.append(float(told.split(" % of")[0].split()[-1]))
    spent = time.monotonic() - started
    print(f"\n50 clips in {spent:.0f} s; accuracy on the others after 10, 20, ... labels: {accuracy}")
    film.write()
    if "I2MD_PICTURE" in os.environ:
        page.screenshot(path=os.environ["I2MD_PICTURE"])
    assert len(set(seen)) == 50
    assert pace > 2 or spent < 180
    assert accuracy[-1] > accuracy[0] + 20

    for number in range(10):
        page.keyboard.press("Control+z")
        page.wait_for_function(f"document.querySelector('{STATUS}').textContent.startsWith('{49 - number} labelled')")
    assert list(labels_of(table)) == seen[:40]
    page.keyboard.press("Control+Shift+z")
    page.wait_for_function(f"document.querySelector('{STATUS}').textContent.startsWith('41 labelled')")

    page.close()
    server.kill()
    again = serve(*typed, folder=utd)
    page, other = window(again.address), window(again.address)
    for each in (page, other):
        assert each.locator(STATUS).inner_text().startswith("41 labelled")
        assert each.get_by_role("button", name="Undo (41)").is_enabled()
    page.keyboard.press("Delete")
    other.wait_for_function(f"document.querySelector('{STATUS}').textContent.includes('1 bad recording')")
    # Another program changes the file.
    with table.open("a", encoding="utf-8") as file:
        file.write(f"{next(name for name in reversed(truth) if name not in seen)},{classes[0]},\n")
    other.wait_for_function(f"document.querySelector('{STATUS}').textContent.startsWith('42 labelled')")
    code, printed = again.interrupt()
    assert code == 0 and "Traceback" not in printed and "labelled: 42" in printed
    assert (
        main(["fit", str(utd / "kinect-base"), str(utd / "clips"), str(tmp_path / "model"), "--labels", str(table)])
        == 0
    )


@pytest.mark.parametrize("count", [100_000, 1_000_000])
def test_very_many_windows_open_and_move(
    clips: Path, serve: Callable[..., Explore], window: Any, tmp_path: Path, count: int
) -> None:
    """Prints the figures of docs/explorer.md; on a busy machine they say little, so that the bounds are wide."""
    server = serve(clips, count, tmp_path / "many", module="explorer.many")
    page = window(server.address)
    shown = min(count, 200_000)
    assert page.evaluate("window.clipMap.codes.length") == shown
    assert f"{shown} of {count} clips" in page.locator("h1").inner_text() or shown == count
    painted = page.evaluate("performance.getEntriesByName('first-paint-of-map')[0].startTime")
    page.wait_for_timeout(2000)
    box = page.locator(".points-canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.evaluate(
        """() => {
            let last = performance.now(); window.frames_ = [];
            const tick = (now) => { frames_.push(now - last); last = now; requestAnimationFrame(tick); };
            requestAnimationFrame(tick);
        }"""
    )
    page.mouse.down()
    for step in range(60):
        page.mouse.move(x + 3 * step, y + step)
        page.wait_for_timeout(10)
    page.mouse.up()
    frames = np.array(page.evaluate("window.frames_"))
    assert page.evaluate("window.clipMap.view.x") != 0
    page.get_by_role("button", name="Whole map").click()
    answers = []
    for clip in range(500, shown, shown // 8):
        across, down = page.evaluate("(clip) => window.clipMap.place(clip)", clip)
        page.evaluate("window.clipMapComponent.answered = null")
        page.mouse.move(box["x"] + across, box["y"] + down)
        page.wait_for_function("window.clipMapComponent.answered !== null")
        answers.append(page.evaluate("window.clipMapComponent.answered"))
    heap = page.evaluate("performance.memory.usedJSHeapSize / 1e6")
    print(
        f"\n{count} windows: first points after {painted / 1000:.2f} s; server {server.memory()} MB, page {heap:.0f} MB"
    )
    print(f"a frame while moving: {np.median(frames):.0f} ms, 95 % within {np.percentile(frames, 95):.0f} ms")
    print(f"a skeleton plays after {np.median(answers):.0f} ms, median of {len(answers)}")
    assert painted < 20_000 and np.median(frames) < 200 and np.median(answers) < 1000
