"""`i2md view`: what the page says and holds, of clips and of recordings, labelled or not, few or many, 2-D or 3-D."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from made_clips import FLAT, LAYOUT, moving, view, write_clips
from refusal import Refused

from i2md.cli.main import main
from i2md.data.recording import Interval
from i2md.data.store import open_clips
from i2md.pages.choice import choose_clips


def write_arrays(folder: Path) -> Path:
    """Six arrays with NaN, one of which cannot be read."""
    folder.mkdir()
    for number in range(6):
        body = moving(f"{number}", 30 + number).positions[0]
        body[5:8, 3] = np.nan
        np.save(folder / f"{number}.npy", body)
    (folder / "broken.npy").write_bytes(b"no array")
    return folder


def test_a_page_shows_recorded_beside_prepared_and_what_was_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recordings, clips = write_arrays(tmp_path / "arrays"), tmp_path / "clips"
    assert main(["prepare", "arrays", str(recordings), str(clips), "--layout", "kinect-v1"]) == 0
    assert f"look at it:  i2md view {clips}" in capsys.readouterr().out
    page = view(clips)
    assert capsys.readouterr().out.splitlines()[-1] == f"page: {clips / 'view.html'}"
    cards = page.data["gallery"]["cards"]
    assert [card["name"] for card in cards] == [str(number) for number in range(6)]
    assert [(card["prepared"], card["raw"]) for card in cards] == [(i, 6 + i) for i in range(6)]
    assert {(card["filled"], card["missing"]) for card in cards} == {(3, 0)}
    assert "All 6 clips. Left as recorded, right as prepared." in " ".join(page.text.split())
    assert "left out: " in page.text and "broken.npy" in page.text
    assert "joint positions without a value, interpolated in time" in page.text
    # Without the recordings the page says so, and shows the prepared clips alone.
    shutil.rmtree(recordings)
    page = view(clips)
    assert {card["raw"] for card in page.data["gallery"]["cards"]} == {-1}
    assert "The recordings cannot be read again" in page.text


def test_a_centre_that_is_never_recorded_is_not_drawn(tmp_path: Path) -> None:
    """Its zeros, which in a prepared clip may be the origin, are neither seen nor interpolated."""
    (tmp_path / "in").mkdir()
    for number, lost in ((0, slice(None)), (1, slice(4, 7))):
        body = moving(f"{number}", 30 + number).positions[0]
        body[lost, LAYOUT.centre] = np.nan
        np.save(tmp_path / "in" / f"{number}.npy", body)
    words = ["prepare", "arrays", str(tmp_path / "in"), str(tmp_path / "c"), "--layout", "kinect-v1"]
    assert main([*words, "--preset", "centred-scaled"]) == 0
    never, short = view(tmp_path / "c").data["gallery"]["cards"]
    assert (never["filled"], never["missing"], never["joints"]) == (0, 30, ["spine (30)"])
    assert (short["filled"], short["missing"]) == (3, 0)


def test_recordings_are_shown_without_writing_clips(tmp_path: Path) -> None:
    recordings, out = write_arrays(tmp_path / "arrays"), tmp_path / "page.html"
    page = view(recordings, "--format", "arrays", "--layout", "kinect-v1", "--out", out, "--most", 4)
    assert 3 <= len(page.data["gallery"]["cards"]) <= 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arrays", "page.html"]


def test_the_page_loads_nothing_and_escapes_names(tmp_path: Path) -> None:
    hostile = "</script><img src=x>"
    clips = write_clips(tmp_path / "c", [moving(hostile, label=2), moving("b")], name=hostile)
    page = view(clips)
    assert [tag for tag, attributes in page.tags if {"src", "href", "action"} & attributes.keys()] == []
    assert {card["class"] for card in page.data["gallery"]["cards"]} == {"<wave>", ""}
    assert next(a["content"] for tag, a in page.tags if "http-equiv" in a).startswith("default-src 'none'")


def test_2_d_clips_of_several_persons_are_flat_and_long_ones_get_a_timeline(tmp_path: Path) -> None:
    long = moving("day", 900, 2, FLAT, fps=30.0, intervals=(Interval(30, 60, 1), Interval(300, 450, 2)))
    clips = write_clips(tmp_path / "c", [moving("short", 20, 2, FLAT), long], layout=FLAT)
    data = view(clips).data
    assert data["gallery"]["figures"]["flat"] and data["gallery"]["figures"]["persons"] == [2, 2]
    (recording,) = data["timelines"]["recordings"]
    assert recording["intervals"] == [[1.0, 2.0, 1], [10.0, 15.0, 2]] and recording["seconds"] == 30
    day = next(card for card in data["gallery"]["cards"] if card["name"] == "day")
    assert day["begin"] == 11 and day["seconds"] == 30


def test_of_many_clips_each_class_is_shown_and_the_page_stays_small(tmp_path: Path) -> None:
    recordings = [moving(f"{i}", 10, label=-1 if i % 4 == 3 else i % 4, fps=30.0) for i in range(600)]
    recordings[377].positions[0, :, 5:9] = 0
    clips = write_clips(tmp_path / "c", recordings)
    page = view(clips, "--most", 16)
    labels = [card["class"] for card in page.data["gallery"]["cards"]]
    counts = [labels.count(name) for name in ("sit", "stand", "<wave>", "")]
    assert sum(counts) == 16 and min(counts) >= 3
    assert "16 of 600 clips, about as many of each class" in page.text
    assert (clips / "view.html").stat().st_size < 400_000


def test_clips_with_missing_joints_are_among_those_shown(tmp_path: Path) -> None:
    recordings = [moving(f"{i}", 10, fps=30.0) for i in range(250)]
    recordings[77].positions[0, :, 5:9] = 0
    chosen, how = choose_clips(open_clips(write_clips(tmp_path / "c", recordings)), 8)
    assert len(chosen) == 8 and 77 in chosen and how.endswith("1 of them those with the most missing joints")


def test_clips_are_chosen_by_name(refused: Refused, tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "c", [moving(name) for name in ("walk-1", "walk-2", "run-1")])
    page = view(clips, "--clips", "walk-*", "--out", tmp_path / "p.html")
    assert [card["name"] for card in page.data["gallery"]["cards"]] == ["walk-1", "walk-2"]
    assert "did you mean run-1" in refused("view", clips, "--clips", "run-2")
    assert "these are clips" in refused("view", clips, "--preset", "none")
    assert "prepare the recordings first" in refused("view", tmp_path, "--format", "arrays", "--clips", "a")


def test_images_for_a_slide(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    clips = write_clips(tmp_path / "c", [moving(f"{i} $x_1$", 8, fps=15.0) for i in range(3)])
    files = {kind: tmp_path / f"s.{kind}" for kind in ("gif", "png")}
    view(clips, *(word for kind, path in files.items() for word in (f"--{kind}", path)))
    with image.open(files["gif"]) as gif, image.open(files["png"]) as png:
        # Frames that are equal are merged.
        assert 5 < gif.n_frames <= 8 and gif.size == png.size == (630, 240)
        assert len(png.convert("RGB").getcolors(1 << 20)) > 50


def test_an_mp4_without_ffmpeg_is_refused(refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = write_clips(tmp_path / "c", [moving("a", 8, fps=15.0)])
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setenv("PATH", "")
    line = refused("view", clips, "--mp4", tmp_path / "s.mp4")
    assert "pip install 'i2md[video]'" in line


def test_an_mp4_is_a_video(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg", reason='no MP4: pip install -e ".[video]"')
    clips = write_clips(tmp_path / "c", [moving("a", 8, fps=15.0)])
    view(clips, "--mp4", tmp_path / "s.mp4")
    assert (tmp_path / "s.mp4").read_bytes()[4:8] == b"ftyp"


def test_json_names_the_page(tmp_path: Path) -> None:
    said, clips = tmp_path / "said.json", write_clips(tmp_path / "c", [moving("a"), moving("b")])
    view(clips, "--out", tmp_path / "p.html", "--json", said)
    data = json.loads(said.read_text())
    assert (data["page"], data["clips"], data["shown"]) == (str(tmp_path / "p.html"), 2, 2)
