"""The report: whole, self-contained, harmless and small, whatever the run holds or lacks."""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from i2md.errors import InputError
from i2md.evaluation.report.clip_map import MOST_CLIPS, map_clips, pack, project, viewing_axes
from i2md.evaluation.report.run_page import MappedClips, write_report
from i2md.skeletons import Layout, get_layout

LAYOUT = get_layout("kinect-v1")
CLASSES = ("wave", "sit down", "throw")
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=\"alert('2')\">&amp;\udc80"


class Page(HTMLParser):
    """The page as a browser sees it: tags with attributes, each script's text, the visible text."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        last = self.tags[-1][0] if self.tags else ""
        if self.cdata_elem == "script":
            self.scripts.append(data)
        elif last == "style" and self.cdata_elem == "style":
            self.styles.append(data)
        else:
            self.text += data

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.scripts[0])


def made_clips(count: int = 30, classes: tuple[str, ...] = CLASSES, layout: Layout = LAYOUT) -> MappedClips:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % len(classes)
    features = np.eye(len(classes), 12)[labels] * 6 + rng.normal(size=(count, 12))
    rest = rng.normal(size=(1, 1, len(layout.joints), 3))
    skeletons = [
        (rest + rng.normal(size=(1, int(frames), 1, 3)).cumsum(1) * 0.02).astype(np.float32)
        for frames in rng.integers(20, 90, count)
    ]
    names = [f"clip {i:04d}" for i in range(count)]
    return MappedClips(names, labels, np.roll(labels, 1), classes, features.astype(np.float32), skeletons, layout)


def made_result(classes: tuple[str, ...] = CLASSES) -> dict[str, Any]:
    labels = [0, 0, 0, 0, 1, 1, 1, 2, 2, -1]
    return {
        "protocol": "linear",
        "dataset": "made up",
        "split": "cross-subject",
        "train_clips": 431,
        "test_clips": 437,
        "accuracy": {"joint": 0.6124, "motion": 0.5031, "bone": 0.7049, "3-stream": 0.8471},
        "best_test_epoch": {"joint": 0.6333, "motion": 0.5222, "bone": 0.7111, "3-stream": 0.8666},
        "labels": labels,
        "predictions": {"joint": [0] * 10, "3-stream": [0, 1, 1, 0, 1, 1, 1, 0, 2, 0]},
        "class_names": list(classes),
    }


def made_log(epochs: int = 5) -> list[dict[str, Any]]:
    return [
        {
            **{
                "epoch": epoch,
                "step": 6 * epoch,
                "seconds": 30.0,
                "clips_per_second": 205.0,
                "loss": 12.5 / epoch,
            },
            **{
                "contrast/joint": 4.125 / epoch,
                "contrast/bone": 5.5 / epoch,
                "cmd/joint>motion": 0.25 * epoch,
            },
            **({"knn/joint": 0.1 * epoch, "knn/3-stream": 0.12 * epoch} if epoch % 2 else {}),
        }
        for epoch in range(1, epochs + 1)
    ]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "first run"
    (folder / "evaluation").mkdir(parents=True)
    written = {"method": "i2md", "seed": 7, "encoder": {"hidden": 256}, "versions": {"torch": "2.13.0"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(written))
    (folder / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in made_log()))
    (folder / "evaluation" / "linear.json").write_text(json.dumps(made_result()))
    return folder


def cells(page: Page) -> list[list[str]]:
    table = re.search(r'<table class="results">.*?</table>', page.source, re.S)
    assert table
    rows = re.findall(r"<tr.*?</tr>", table[0], re.S)
    return [[html.unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", row)] for row in rows[1:]]


def test_page_needs_nothing_but_itself(run: Path) -> None:
    page = Page(write_report(run, made_clips()))
    assert [tag for tag, attributes in page.tags if {"src", "href", "srcset", "action"} & attributes.keys()] == []
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "embed", "img", "base"}
    style = "".join(page.styles)
    assert "main" in style and "url(" not in style and "@import" not in style
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    assert policy is not None and policy.startswith("default-src 'none'")


def test_every_accuracy_is_printed_with_the_official_figure_below(run: Path) -> None:
    page = Page(write_report(run, made_clips()))
    assert cells(page) == [["61.2", "50.3", "70.5", "84.7"], ["63.3", "52.2", "71.1", "86.7"]]
    assert "best over test epochs" in page.text and "last epoch" in page.text
    assert "431 training, 437 test clips" in page.text


def test_a_stream_that_was_not_evaluated_is_a_dash_and_all_streams_stand_last(run: Path) -> None:
    only = {
        **made_result(),
        "protocol": "knn",
        "accuracy": {"joint": 0.5, "3-stream": 0.75},
        "best_test_epoch": None,
    }
    (run / "evaluation" / "knn.json").write_text(json.dumps(only))
    page = Page(write_report(run, made_clips()))
    assert cells(page)[0] == ["50.0", "\N{EN DASH}", "\N{EN DASH}", "75.0"]


def test_every_number_of_the_log_is_in_its_curve(run: Path) -> None:
    data = Page(write_report(run, made_clips())).data
    drawn = {
        (chart["group"] if line["name"] == "all" else f"{chart['group']}/{line['name']}", epoch): value
        for chart in data["losses"] + data["knn"]
        for line in chart["lines"]
        for epoch, value in zip(line["x"], line["y"], strict=True)
    }
    apart = {"epoch", "step", "seconds", "clips_per_second"}
    logged = {(key, e["epoch"]): e[key] for e in made_log() for key in e.keys() - apart}
    assert drawn.keys() == logged.keys()
    assert all(drawn[key] == pytest.approx(logged[key], rel=1e-5) for key in logged)
    assert {chart["group"] for chart in data["knn"]} == {"knn"}


def test_resumed_torn_and_diverged_log(run: Path) -> None:
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


def test_confusions_are_of_the_best_three_stream_result(run: Path) -> None:
    better_joint = {**made_result(), "protocol": "knn", "accuracy": {"joint": 0.99, "3-stream": 0.2}}
    (run / "evaluation" / "knn.json").write_text(json.dumps(better_joint))
    page = Page(write_report(run, made_clips()))
    confusion = page.data["confusion"]
    assert (confusion["protocol"], confusion["stream"]) == ("linear", "3-stream")
    assert confusion["counts"] == [[2, 2, 0], [0, 3, 0], [1, 0, 1]]
    assert [(bar["name"], bar["percent"]) for bar in confusion["bars"]] == [
        ("wave", "50.0"),
        ("throw", "50.0"),
        ("sit down", "100.0"),
    ]
    assert "most often taken for sit down (2)" in page.text


def test_names_from_files_stay_text(run: Path) -> None:
    classes = (HOSTILE, "sit down", "throw")
    (run / "evaluation" / "linear.json").write_text(json.dumps({**made_result(classes), "dataset": HOSTILE}))
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


def test_a_bare_folder_gives_a_report_that_says_what_is_missing(tmp_path: Path) -> None:
    page = Page(write_report(tmp_path, made_clips()))
    for said in (
        "has not been evaluated",
        "no readable log.jsonl",
        "No evaluation with known",
        "no readable config",
    ):
        assert said in page.text
    assert page.data["map"] is not None


def test_damaged_files_are_named(run: Path) -> None:
    (run / "config.yaml").write_text("a: [1,")
    (run / "evaluation" / "broken.json").write_text("{")
    (run / "evaluation" / "linear.json").write_text(json.dumps({**made_result(), "labels": [0, 1]}))
    page = Page(write_report(run, made_clips()))
    assert "config.yaml is not YAML" in page.text and "evaluation/broken.json holds no accuracies" in page.text
    assert "2 labels, 10 predictions" in page.text


def test_clips_without_labels_are_mapped_and_have_no_confusions(run: Path) -> None:
    made = made_clips()
    clips = MappedClips(made.names, np.full(30, -1), None, (), made.features, made.skeletons, made.layout)
    (run / "evaluation" / "linear.json").write_text(json.dumps({**made_result(), "labels": [-1] * 10}))
    page = Page(write_report(run, clips))
    assert page.data["confusion"] is None and "No evaluation with known classes" in page.text
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
    report.write_text("the old one")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError):
            write_report(run, made_clips())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert report.read_text() == "the old one"
    assert [path.name for path in run.glob("report*")] == ["report.html"]


def test_a_missing_run_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        write_report(tmp_path / "absent", made_clips())


def test_many_clips_of_two_people_stay_below_three_megabytes(run: Path) -> None:
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
    """What the page's script does, value by value."""
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
def test_packed_clips_come_out_as_they_went_in(clips: list[np.ndarray]) -> None:
    for before, after in zip(clips, unpack(pack(clips), [clip.shape for clip in clips]), strict=True):
        np.testing.assert_array_equal(before, after)


def test_an_absent_person_stays_all_zero_and_the_present_one_fills_the_view() -> None:
    clips = made_clips(4)
    clips.skeletons[0] = np.concatenate([clips.skeletons[0] + 3, 0 * clips.skeletons[0]])
    shown = map_clips(clips)
    assert isinstance(shown, dict)
    shapes = [(p, f, 20, 3) for p, f in zip(shown["persons"], shown["frames"], strict=True)]
    present, absent = unpack(shown["packed"], shapes)[0]
    assert not absent.any()
    assert np.linalg.norm(present, axis=-1).max() == pytest.approx(1000, abs=60)


def standing_body() -> np.ndarray:
    """One frame of a body that faces the viewer, its left to the screen's right; y up, z to the viewer."""
    body = np.zeros((1, 1, 20, 3), dtype=np.float32)
    for joint, name in enumerate(LAYOUT.joints):
        body[0, 0, joint, 0] = {"l": 0.2, "r": -0.2}.get(name[0] if " " in name else "", 0.0)
    body[0, 0, LAYOUT.spine[1], 1] = 1.0
    return body


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", list(itertools.product((-1, 1), repeat=3)))
def test_bodies_turned_any_way_are_shown_upright_and_from_the_front(
    order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    turn = np.eye(3)[list(order)] * np.array(signs)
    if np.linalg.det(turn) < 0:
        turn[2] *= -1
    view = viewing_axes([(standing_body() @ turn).astype(np.float32)], LAYOUT)
    np.testing.assert_array_equal(view, turn)
    np.testing.assert_allclose(standing_body() @ turn @ view.T, standing_body(), atol=1e-6)


def test_image_coordinates_are_turned_upright_and_never_mirrored() -> None:
    layout = get_layout("coco-17")
    flat = np.zeros((1, 1, 17, 2), dtype=np.float32)
    flat[..., layout.spine[1], 1] = -5
    np.testing.assert_array_equal(viewing_axes([flat], layout), [[1, 0], [0, -1], [0, 0]])


def test_the_map_is_repeatable_and_keeps_classes_together() -> None:
    clips = made_clips(60)
    wide = np.concatenate([clips.features] * 6, axis=1)
    points = project(wide)
    np.testing.assert_array_equal(points, project(wide))
    assert np.abs(points).max() == pytest.approx(1)
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1) + 9 * np.eye(60)
    assert (clips.labels[distances.argmin(1)] == clips.labels).mean() > 0.9


def test_real_people_stand_on_their_feet(real_data: Path) -> None:
    files = sorted((real_data / "nw-ucla" / "all_sqe").glob("a04_*_v01.json"))[:12]
    skeletons = [np.asarray(json.loads(f.read_text())["skeletons"], dtype=np.float32)[None] for f in files]
    view = viewing_axes(skeletons, LAYOUT)
    np.testing.assert_array_equal(view[1], [0, 1, 0])
    assert np.linalg.det(view) == pytest.approx(1)
