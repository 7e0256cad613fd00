"""Reports in a real browser: no serious finding of axe-core, on a desk and on a phone, by mouse, touch and keyboard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_browser import SIZES, require_accessible
from made_report import made_clips, made_result, made_run

from i2md.evaluation.comparison import RunComparison, RunRecord
from i2md.evaluation.report.clip_map import MappedClips
from i2md.evaluation.report.pages import write_comparison, write_report
from i2md.evaluation.results import Scores, write_result
from i2md.pretraining.log import read_log

pytestmark = pytest.mark.slow

THINGS = ("cup", "pen", "hat", "bag", "book", "ball")
MANY = tuple(f"take the {thing} with the {side} hand" for thing in THINGS for side in ("left", "right"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports by what they are of: few classes, many classes, clips without labels, several runs."""
    folder = tmp_path_factory.mktemp("pages")
    few = made_run(folder / "few")
    for baseline in ("untrained", "positions"):
        write_result(few / "evaluation", made_result(baseline=baseline))
    many = made_run(folder / "many")
    counts = (np.eye(12, dtype=int) * 5 + np.eye(12, k=1, dtype=int)).tolist()
    wide = {"protocol": "linear-sweep", "class_names": list(MANY), "ensemble": Scores(0.9, confusion=counts)}
    write_result(many / "evaluation", made_result(**wide))
    clips = made_clips(40)
    bare = MappedClips(clips.names, np.full(40, -1), None, (), clips.features, clips.skeletons, clips.layout)
    runs = [RunRecord(few, seed, "i2md", {}, read_log(few, []), [made_result(seed=seed)]) for seed in (0, 1)]
    return {
        "few": write_report(few, clips),
        "many": write_report(many, made_clips(72, MANY)),
        "unlabelled": write_report(made_run(folder / "bare"), bare),
        "comparison": write_comparison(RunComparison(runs, ["a note"]), folder / "comparison.html"),
    }


@pytest.fixture(scope="module")
def ready(pages: dict[str, Path]) -> dict[str, str]:
    return {name: "h1" if name == "comparison" else "#map circle" for name in pages}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("name", ["few", "many", "unlabelled", "comparison"])
def test_axe_finds_nothing_serious(show: Any, name: str, size: str, scheme: str) -> None:
    require_accessible(show(name, size, scheme))


def test_the_matrix_scrolls_in_its_box_and_keeps_its_names(show: Any) -> None:
    page = show("many", "phone")
    box = page.locator(".matrix")
    name, last = page.locator(".matrix tbody th").first, page.locator(".matrix tbody tr:first-child td").last
    before = name.bounding_box()["x"]
    assert last.bounding_box()["x"] > SIZES["phone"][0]
    box.evaluate("box => { box.scrollLeft = 10000 }")
    assert name.bounding_box()["x"] == before and last.bounding_box()["x"] < SIZES["phone"][0]
    titles = page.locator(".matrix tbody th").evaluate_all("all => all.map((th) => th.innerText)")
    assert len(set(titles)) == len(MANY)


def test_charts_and_matrix_answer_a_tap(show: Any) -> None:
    page = show("few", "phone")
    tip = page.locator("#tip")
    page.locator("#losses .plot").first.tap()
    assert tip.is_visible() and tip.inner_text().startswith("epoch ")
    page.locator(".matrix td.right").first.tap()
    assert "2 of 4 clips" in tip.inner_text()
    page.locator("h1").tap()
    assert not tip.is_visible()


def test_charts_and_matrix_answer_the_arrow_keys(show: Any) -> None:
    page = show("few")
    chart = page.locator("#losses .plot").first
    chart.focus()
    assert chart.get_attribute("aria-valuetext").startswith("epoch 5: all 2.5")
    page.keyboard.press("ArrowLeft")
    assert chart.get_attribute("aria-valuenow") == "4" and "epoch 4" in page.locator("#tip").inner_text()
    page.keyboard.press("Home")
    assert chart.get_attribute("aria-valuenow") == "1"
    page.locator(".matrix td[tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tip").inner_text().split("\n")[:2] == ["wave", "taken for sit down"]


def test_a_clip_is_played_by_keyboard(show: Any) -> None:
    page = show("few")
    clip = page.locator("#clip dd").first
    page.locator("#map circle[tabindex='0']").focus()
    first = clip.inner_text()
    page.keyboard.press("ArrowRight")
    moved = clip.inner_text()
    assert moved != first
    page.keyboard.press("Enter")
    assert page.locator("#map circle[aria-selected=true]").get_attribute("aria-label").startswith(f"clip {moved},")
    assert page.locator("#play").inner_text() == "Pause"
    page.wait_for_function("document.getElementById('position').value > 0")
    page.locator("#play").focus()
    page.keyboard.press("Space")
    assert page.locator("#play").inner_text() == "Play"


def test_focus_is_visible(show: Any) -> None:
    page = show("unlabelled")
    seen = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        kind = page.evaluate(
            """() => {
                const at = document.activeElement, style = getComputedStyle(at);
                const ring = getComputedStyle(document.querySelector(".ring"));
                return [at.tagName, style.outlineStyle !== "none" || parseFloat(ring.strokeWidth) > 3];
            }"""
        )
        assert kind[1] or kind[0] == "BODY", kind
        seen.add(kind[0])
    assert {"circle", "CANVAS", "BUTTON", "INPUT", "svg"} <= seen


@pytest.mark.parametrize(("name", "coloured", "members"), [("few", 3, 13), ("many", 2, 6)])
def test_one_class_at_a_time_is_highlighted(show: Any, name: str, coloured: int, members: int) -> None:
    page = show(name)

    def colours() -> list[str]:
        styles = page.locator("#map circle[role=option]").evaluate_all(
            "all => all.map((at) => at.getAttribute('style'))"
        )
        return [found[0] for style in styles if (found := re.findall(r"var\(--s\d\)", style))]

    # Of many classes only that of the clip that is shown, and the one that it was taken for.
    assert len(set(colours())) == coloured
    page.locator(".choices button").nth(1).click()
    assert len(colours()) == members and len(set(colours())) == 1
    page.locator(".choices button").nth(2).click()
    assert len(colours()) == 2 * members and len(set(colours())) == 2
    page.locator(".choices .clear").click()
    assert len(set(colours())) == coloured
