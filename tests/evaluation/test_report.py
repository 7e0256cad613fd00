"""The report of a run: complete, self-contained, escaped and small, whatever the run holds or lacks."""

from __future__ import annotations

import base64
import dataclasses
import html
import itertools
import json
import re
import zlib
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_report import LAYOUT, Page, made_clips, made_log, made_result, made_run

from i2md.errors import InputError
from i2md.evaluation.report.clip_map import MOST_CLIPS, MappedClips, map_clips, project
from i2md.evaluation.report.pages import write_report
from i2md.evaluation.results import Scores, write_result
from i2md.pages.skeletons import pack, viewing_axes
from i2md.skeletons import get_layout

TEMPLATES = [Path(str(files(package))) / "templates" for package in ("i2md.evaluation.report", "i2md.pages")]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=\"alert('2')\">&amp;\udc80"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return made_run(tmp_path / "first run")


def cells(page: Page) -> list[list[str]]:
    table = re.search(r'<table class="results">.*?</table>', page.source, re.S)
    assert table
    rows = re.findall(r"<tr.*?</tr>", table[0], re.S)
    return [[html.unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", row)] for row in rows[1:]]


def test_the_page_loads_nothing_from_elsewhere(run: Path) -> None:
    page = Page(write_report(run, made_clips()))
    assert [tag for tag, attributes in page.tags if {"src", "href", "srcset", "action"} & attributes.keys()] == []
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "embed", "img", "base"}
    style = "".join(page.styles)
    assert "main" in style and "url(" not in style and "@import" not in style
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    assert policy is not None and policy.startswith("default-src 'none'")


def test_every_accuracy_is_shown_with_the_best_test_epoch_below(run: Path) -> None:
    page = Page(write_report(run, made_clips()))
    assert cells(page) == [["61.2", "50.3", "70.5", "84.7"], ["63.3", "52.2", "71.1", "86.7"]]
    assert "linear, best test epoch" in page.text and "after the last epoch" in page.text
    assert "All rows: made up cross-subject, 431 training and 437 test clips." in page.text


def test_a_stream_without_a_value_is_a_dash_and_the_ensemble_is_the_last_column(run: Path) -> None:
    two = {"joint": Scores(0.5, confusion=[[1]]), "motion": Scores(0.25, confusion=[[1]])}
    only = made_result(protocol="knn", k=5, streams=two, ensemble=Scores(0.75, confusion=[[1]]))
    write_result(run / "evaluation", only)
    page = Page(write_report(run, made_clips()))
    assert re.findall(r'<th scope="col">(?!protocol)(.*?)</th>', page.source) == [
        "joint",
        "motion",
        "bone",
        "2-stream",
        "3-stream",
    ]
    dash = "\N{EN DASH}"
    assert cells(page)[0] == ["50.0", "25.0", dash, "75.0", dash]
    assert "knn, k = 5" in page.text


def test_draws_of_the_labels_are_one_row_with_their_standard_deviation(run: Path) -> None:
    for draw, accuracy in enumerate((0.5, 0.6)):
        streams = {"joint": Scores(accuracy, metrics={"top-5": 0.9}, confusion=[[1]])}
        drawn = made_result(protocol="semi", label_fraction=0.05, draw=draw, streams=streams, ensemble=None)
        write_result(run / "evaluation", drawn)
    page = Page(write_report(run, made_clips()))
    assert [row[0] for row in cells(page)][2:] == ["55.0", "90.0", "7.1"]
    assert "semi, 5 % of the labels, mean of 2 draws" in page.text
    assert "semi, 5 % of the labels, standard deviation over the draws" in page.text


def test_baselines_are_not_in_the_confusion_matrix(run: Path) -> None:
    better = Scores(0.99, confusion=[[9, 0, 0], [0, 9, 0], [0, 0, 9]])
    write_result(run / "evaluation", made_result(baseline="untrained", ensemble=better))
    page = Page(write_report(run, made_clips()))
    assert page.data["confusion"]["counts"] == made_result().overall.confusion


def test_every_value_of_the_log_is_in_its_curve(run: Path) -> None:
    data = Page(write_report(run, made_clips())).data
    drawn = {
        (chart["group"] if line["name"] == "all" else f"{chart['group']}/{line['name']}", epoch): value
        for chart in data["losses"] + data["knn"] + data["diagnostics"]
        for line in chart["lines"]
        for epoch, value in zip(line["x"], line["y"], strict=True)
    }
    apart = {"epoch", "step", "seconds", "clips_per_second", "left_out"}
    titles = {"knn/ensemble": "knn/2-stream"}
    logged = {(titles.get(key, key), e["epoch"]): e[key] for e in made_log() for key in e.keys() - apart}
    assert drawn.keys() == logged.keys()
    assert all(drawn[key] == pytest.approx(logged[key], rel=1e-5) for key in logged)
    assert {chart["group"] for chart in data["knn"]} == {"knn"}
    assert [line["name"] for chart in data["knn"] for line in chart["lines"]] == ["joint", "bone", "2-stream"]


def test_diagnostics_are_charts_with_a_sentence_each_and_those_left_out_are_named(run: Path) -> None:
    page = Page(write_report(run, made_clips()))
    charts = {chart["group"]: chart for chart in page.data["diagnostics"]}
    assert list(charts) == ["diagnostics/alignment", "diagnostics/gradient_cosine"]
    assert all(chart["about"].endswith(".") and chart["title"] for chart in charts.values())
    assert [line["name"] for line in charts["diagnostics/gradient_cosine"]["lines"]] == ["cmd/joint"]
    assert "Not measured: ridge (no labels)." in page.text


def test_repeated_epochs_unreadable_lines_and_nan_in_the_log(run: Path) -> None:
    lines = [
        '{"epoch": 1, "loss": 3.0}',
        '{"epoch": 2, "loss": 9.0}',
        '{"epoch": 2, "loss": NaN}',
        '{"epoch": 3, "lo',
    ]
    (run / "log.jsonl").write_text("\n".join(lines))
    page = Page(write_report(run, made_clips()))
    assert page.data["losses"][0]["lines"] == [{"name": "all", "x": [1, 2], "y": [3.0, None]}]
    assert "1 unreadable line left out" in page.text


def test_the_confusion_matrix_is_of_the_best_ensemble(run: Path) -> None:
    better_joint = {"joint": Scores(0.99, confusion=[[9, 0, 0], [0, 9, 0], [0, 0, 9]])}
    worse = dataclasses.replace(made_result().overall, accuracy=0.2, confusion=[[0, 9, 0], [9, 0, 0], [9, 0, 0]])
    write_result(run / "evaluation", made_result(protocol="knn", streams=better_joint, ensemble=worse))
    page = Page(write_report(run, made_clips()))
    confusion = page.data["confusion"]
    assert confusion["title"] == "linear, 3-stream"
    assert confusion["counts"] == [[2, 2, 0], [0, 3, 0], [1, 0, 1]]
    assert [(bar["name"], bar["percent"]) for bar in confusion["bars"]] == [
        ("wave", "50.0"),
        ("throw", "50.0"),
        ("sit down", "100.0"),
    ]
    assert "most often confused with sit down (2)" in page.text


def test_names_from_files_are_escaped(run: Path) -> None:
    classes = (HOSTILE, "sit down", "throw")
    hostile = made_result(class_names=list(classes), dataset=HOSTILE, split=HOSTILE)
    (run / "evaluation" / "a.json").write_text(json.dumps(hostile.to_dict()))
    (run / "evaluation" / f"<b>{HOSTILE[:8].replace('/', '')}.json").write_text("{")
    (run / "config.yaml").write_text(yaml.safe_dump({"method": HOSTILE[:-1], HOSTILE[:-1]: HOSTILE[:-1]}))
    clips = made_clips(classes=classes)
    clips.names[0] = HOSTILE
    page = Page(write_report(run, clips))
    harmless = Page(write_report(run, made_clips()))
    assert [tag for tag, _ in page.tags].count("script") == 2 == [tag for tag, _ in harmless.tags].count("script")
    assert "img" not in {tag for tag, _ in page.tags}
    assert page.data["map"]["names"][0] == HOSTILE == page.data["map"]["classes"][0]
    assert page.data["confusion"]["classes"][0] == HOSTILE
    assert HOSTILE[:-1] in page.text


def test_the_report_of_an_empty_folder_names_what_is_missing(tmp_path: Path) -> None:
    page = Page(write_report(tmp_path, made_clips()))
    for said in (
        "has not been evaluated",
        "no readable log.jsonl",
        "No result of the pretrained encoder",
        "no readable config",
    ):
        assert said in page.text
    assert page.data["map"] is not None


def test_damaged_files_are_named(run: Path) -> None:
    (run / "config.yaml").write_text("a: [1,")
    (run / "evaluation" / "broken.json").write_text("{")
    wrong = dataclasses.replace(made_result().overall, predictions=[0, 1])
    write_result(run / "evaluation", made_result(labels=[0], ensemble=wrong))
    page = Page(write_report(run, made_clips()))
    assert "config.yaml is not YAML" in page.text and "evaluation/broken.json is left out: not JSON." in page.text
    assert "1 labels, but 2 predictions of ensemble" in page.text


def test_clips_without_labels_are_in_the_map(run: Path) -> None:
    made = made_clips()
    clips = MappedClips(made.names, np.full(30, -1), None, (), made.features, made.skeletons, made.layout)
    page = Page(write_report(run, clips))
    assert set(page.data["map"]["labels"]) == {-1} and page.data["map"]["predictions"] is None


@pytest.mark.parametrize(
    ("change", "said"), [(np.nan, "not finite"), (0.0, "collapsed")], ids=["diverged", "collapsed"]
)
def test_features_that_cannot_be_mapped_are_explained(change: float, said: str) -> None:
    clips = made_clips()
    clips.features[:] = change
    assert said in str(map_clips(clips))


def test_too_few_clips_are_explained() -> None:
    assert "at least 4" in str(map_clips(made_clips(3)))
    assert isinstance(map_clips(made_clips(4)), dict)


def test_a_failed_write_leaves_the_old_report(run: Path) -> None:
    resource = pytest.importorskip("resource")
    report = run / "report.html"
    report.write_text("an earlier report")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError):
            write_report(run, made_clips())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert report.read_text() == "an earlier report"
    assert [path.name for path in run.glob("report*")] == ["report.html"]


def test_a_missing_run_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        write_report(tmp_path / "absent", made_clips())


def test_a_page_of_many_clips_of_two_persons_is_below_three_megabytes(run: Path) -> None:
    rng = np.random.default_rng(1)
    layout = get_layout("kinect-v2")
    poses = [rng.normal(size=(2, 60, 25, 3)).cumsum(1).astype(np.float32) for _ in range(20)]
    count = MOST_CLIPS + 200
    features = rng.normal(size=(count, 8)).astype(np.float32)
    names = [f"S001C001P001R001A{i:03d}" for i in range(count)]
    skeletons = [poses[i % 20] * (1 + i) for i in range(count)]
    clips = MappedClips(names, rng.integers(0, 60, count), None, (), features, skeletons, layout)
    report = write_report(run, clips)
    shown = Page(report).data["map"]
    assert report.stat().st_size < 3_000_000
    assert shown["total"] == count and len(shown["names"]) == MOST_CLIPS
    assert (shown["names"][0], shown["names"][-1]) == (names[0], names[-1])


def unpack(packed: str, shapes: list[tuple[int, int, int, int]]) -> list[np.ndarray]:
    """What the page's script does, one value at a time."""
    raw = zlib.decompress(base64.b64decode(packed))
    count, at, clips = len(raw) // 2, 0, []
    for persons, frames, joints, axes in shapes:
        clip = np.zeros((persons, frames, joints * axes), dtype=np.int64)
        for person, frame, value in itertools.product(range(persons), range(frames), range(joints * axes)):
            step = int.from_bytes(bytes((raw[at], raw[count + at])), "little", signed=True)
            clip[person, frame, value] = step + (clip[person, frame - 1, value] if frame else 0)
            at += 1
        clips.append(clip.reshape(persons, frames, joints, axes))
    assert at == count
    return clips


_clip = st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 4), st.just(3)).flatmap(
    lambda shape: arrays(np.int16, shape, elements=st.integers(-1000, 1000))
)


@settings(max_examples=40, deadline=None)
@given(st.lists(_clip, min_size=1, max_size=4))
def test_packed_clips_unpack_to_the_same_values(clips: list[np.ndarray]) -> None:
    for before, after in zip(clips, unpack(pack(clips), [clip.shape for clip in clips]), strict=True):
        np.testing.assert_array_equal(before, after)


def test_an_absent_person_is_all_zero_and_the_present_one_fills_the_view() -> None:
    clips = made_clips(4)
    clips.skeletons[0] = np.concatenate([clips.skeletons[0] + 3, 0 * clips.skeletons[0]])
    shown = map_clips(clips)
    assert isinstance(shown, dict)
    shapes = [(p, f, 20, 3) for p, f in zip(shown["persons"], shown["frames"], strict=True)]
    present, absent = unpack(shown["packed"], shapes)[0]
    assert not absent.any()
    assert np.linalg.norm(present, axis=-1).max() == pytest.approx(1000, abs=60)


def standing_body() -> np.ndarray:
    """One frame of a body that faces the viewer, its left side on the viewer's right; y is up, z to the viewer."""
    body = np.zeros((1, 1, 20, 3), dtype=np.float32)
    for joint, name in enumerate(LAYOUT.joints):
        body[0, 0, joint, 0] = {"l": 0.2, "r": -0.2}.get(name[0] if " " in name else "", 0.0)
    body[0, 0, LAYOUT.spine[1], 1] = 1.0
    return body


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", list(itertools.product((-1, 1), repeat=3)))
def test_rotated_bodies_are_shown_upright_and_from_the_front(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    turn = np.eye(3)[list(order)] * np.array(signs)
    if np.linalg.det(turn) < 0:
        turn[2] *= -1
    view = viewing_axes([(standing_body() @ turn).astype(np.float32)], LAYOUT)
    np.testing.assert_array_equal(view, turn)
    np.testing.assert_allclose(standing_body() @ turn @ view.T, standing_body(), atol=1e-6)


def test_image_coordinates_are_shown_upright_and_not_mirrored() -> None:
    layout = get_layout("coco-17").with_channels(2)
    flat = np.zeros((1, 1, 17, 2), dtype=np.float32)
    flat[..., layout.spine[1], 1] = -5
    np.testing.assert_array_equal(viewing_axes([flat], layout), [[1, 0], [0, -1], [0, 0]])


def test_the_map_is_deterministic_and_keeps_classes_together() -> None:
    clips = made_clips(60)
    wide = np.concatenate([clips.features] * 6, axis=1)
    points = project(wide)
    np.testing.assert_array_equal(points, project(wide))
    assert np.abs(points).max() == pytest.approx(1)
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1) + 9 * np.eye(60)
    assert (clips.labels[distances.argmin(1)] == clips.labels).mean() > 0.9


def test_real_bodies_are_shown_upright(real_data: Path) -> None:
    files = sorted((real_data / "nw-ucla" / "all_sqe").glob("a04_*_v01.json"))[:12]
    skeletons = [np.asarray(json.loads(f.read_text())["skeletons"], dtype=np.float32)[None] for f in files]
    view = viewing_axes(skeletons, LAYOUT)
    np.testing.assert_array_equal(view[1], [0, 1, 0])
    assert np.linalg.det(view) == pytest.approx(1)


def test_the_maps_script_reads_fields_that_the_data_has(run: Path) -> None:
    data = Page(write_report(run, made_clips())).data
    scripts = (TEMPLATES[0] / "map.js").read_text("utf-8") + (TEMPLATES[1] / "player.js").read_text("utf-8")
    read = set(re.findall(r"\bmap\.(\w+)", scripts))
    assert read and read <= data["map"].keys()
