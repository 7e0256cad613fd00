"""What a page needs for everyone to read and use it, as far as its source and its style sheet show it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from made_report import Page, made_clips, made_run

from i2md.evaluation.report.clip_map import MappedClips
from i2md.evaluation.report.pages import write_report

TEMPLATES = [Path(str(files(package))) / "templates" for package in ("i2md.evaluation.report", "i2md.pages")]
STYLE = (TEMPLATES[1] / "page.css").read_text(encoding="utf-8")
SURFACES = ("page", "card")
# Streams, classes and clusters: lines, points and the names beside them.
SLOTS = tuple(f"s{slot}" for slot in range(8))
TEXT = ("ink", "soft", "error", *SLOTS)
DRAWN = ("accent", "edge", "point", "left", "right", "missing", *SLOTS)


def colours(scheme: str) -> dict[str, np.ndarray]:
    """The style sheet's colours in a scheme as sRGB from 0 to 1."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.S)
    assert len(blocks) == 2
    found = {}
    for block in blocks[: 1 if scheme == "light" else 2]:
        for name, digits in re.findall(r"--([\w-]+): #([0-9a-f]{6});", block):
            found[name] = np.array([int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)])
    return found


def luminance(colour: np.ndarray) -> float:
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(first: np.ndarray, second: np.ndarray) -> float:
    """Contrast ratio of WCAG 2, from 1 to 21."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_and_white_is_21_and_of_the_textbook_grey_4_5() -> None:
    assert contrast(np.zeros(3), np.ones(3)) == pytest.approx(21)
    assert contrast(np.full(3, 0x76 / 255), np.ones(3)) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_a_contrast_of_4_5_and_drawings_of_3(scheme: str) -> None:
    shown = colours(scheme)
    surfaces = [*SURFACES, "chosen"]
    low = {
        (name, surface): round(ratio, 2)
        for names, least, on in ((TEXT, 4.5, SURFACES), (("ink", "soft"), 4.5, surfaces), (DRAWN, 3.0, SURFACES))
        for name, surface in itertools.product(names, on)
        if (ratio := contrast(shown[name], shown[surface])) < least
    }
    assert low == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("cell", ["right-cell", "wrong-cell"])
def test_the_figures_of_the_matrix_can_be_read_on_every_shade(scheme: str, cell: str) -> None:
    shown = colours(scheme)
    for share in np.linspace(0, 1, 51):
        assert contrast(shown["ink"], share * shown[cell] + (1 - share) * shown["page"]) >= 4.5


def test_every_colour_of_text_is_a_checked_one() -> None:
    rules = STYLE[STYLE.index("* { box-sizing") :]
    assert set(re.findall(r"[\s;{]color: ([^;}]+)", rules)) <= {f"var(--{name})" for name in TEXT}
    assert set(re.findall(r"text[^{]*\{[^}]*fill: ([^;}]+)", rules)) <= {f"var(--{name})" for name in TEXT}
    assert re.findall(r"#[0-9a-f]{3,8}\b", rules) == ["#ffffff"], "a figure of matplotlib stands on white"
    scripts = "".join(path.read_text(encoding="utf-8") for folder in TEMPLATES for path in folder.glob("*.js"))
    # No colour is written out: the points of a map compose theirs of what the style says.
    assert not re.search(r"#[0-9a-f]{6}|hsl\(|rgb\((?!\$)", scripts)
    assert set(re.findall(r"var\(--([\w$]+)", scripts)) <= {"point", "ink", "card", "rule", "s$"}


def lab(colour: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of an sRGB colour: distances are about equally visible."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.array(to_xyz) @ linear / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def without_green_cones(colour: np.ndarray) -> np.ndarray:
    """An sRGB colour as deuteranopes see it (Machado, Oliveira and Fernandes 2009)."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    seen = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    linear = np.clip(np.array(seen) @ linear, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("seen", "least"), [(lambda colour: colour, 25), (without_green_cones, 10)])
def test_the_six_colours_of_classes_can_be_told_apart(
    scheme: str, seen: Callable[[np.ndarray], np.ndarray], least: float
) -> None:
    shown = {name: lab(seen(colour)) for name, colour in colours(scheme).items() if name in SLOTS[:6]}
    distances = {(a, b): np.linalg.norm(shown[a] - shown[b]) for a, b in itertools.combinations(shown, 2)}
    assert min(distances.values()) > least, min(distances, key=distances.__getitem__)


@pytest.fixture(scope="module", params=["labelled", "unlabelled"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Page:
    clips = made_clips()
    if request.param == "unlabelled":
        clips = MappedClips(clips.names, np.full(30, -1), None, (), clips.features, clips.skeletons, clips.layout)
    return Page(write_report(made_run(tmp_path_factory.mktemp("report") / "run"), clips))


def test_headings_do_not_skip_a_level(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert ("html", {"lang": "en"}) in page.tags and [tag for tag, _ in page.tags].count("main") == 1


def test_what_scrolls_can_be_reached_by_keyboard_and_has_a_name(page: Page) -> None:
    scrolling = [attributes for _, attributes in page.tags if "scroll" in (attributes.get("class") or "").split()]
    assert scrolling
    for attributes in scrolling:
        assert attributes["tabindex"] == "0" and attributes["role"] == "region" and attributes["aria-label"]


def test_controls_have_names_and_headings_of_tables_a_scope(page: Page) -> None:
    for tag, attributes in page.tags:
        if tag in ("canvas", "input", "aside"):
            assert attributes["aria-label"]
        if tag == "th":
            assert attributes["scope"] in ("col", "row", "rowgroup")
        if tag == "button":
            assert attributes["type"] == "button"
    labels = re.findall(r"<button[^>]*>(.*?)</button>", page.source, re.S)
    assert labels and all(label.strip() for label in labels)


def test_scripts_look_for_elements_that_the_page_has(page: Page) -> None:
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    sought = set(re.findall(r'getElementById\("(\w+)"\)', page.scripts[1]))
    optional = {"confusion", "knn", "losses"}
    assert sought - ids <= optional


def test_clusters_and_what_to_do_for_a_table_are_said_without_labels(page: Page) -> None:
    clusters = (page.data["map"] or {})["clusters"]
    assert (clusters is not None) == ("None of these clips has a label" in page.text) == ("labels.csv" in page.text)
    buttons = [attributes for tag, attributes in page.tags if tag == "button" and "data-clip" in attributes]
    assert len(buttons) == (sum(map(len, clusters["examples"])) if clusters else 0)
