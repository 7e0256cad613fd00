"""Search: the neighbours of kNN evaluation, conditions, weights of streams, and a store that follows its clips."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

import i2md
from i2md.cli.main import main
from i2md.data.where import clips_where
from i2md.evaluation.clustering import unit_vectors
from i2md.evaluation.neighbours import nearest_neighbours
from i2md.inference import search as searching
from i2md.inference import vector_index
from i2md.inference.feature_parts import FeatureStore
from i2md.inference.feature_store import _write_part, stored_features
from i2md.inference.search import ClipSearch
from i2md.inference.vector_index import VectorIndex


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    base = tmp_path_factory.getbasetemp()
    return tiny.run(base), tiny.clips(base)


@pytest.fixture(scope="module")
def search(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> ClipSearch:
    run, clips = folders
    return ClipSearch(stored_features(run, i2md.open_clips(clips), tmp_path_factory.mktemp("store") / "index", "cpu"))


def one(features: dict[str, np.ndarray], clip: int) -> dict[str, np.ndarray]:
    return {name: each[clip : clip + 1] for name, each in features.items()}


def test_neighbours_are_those_of_knn_evaluation(search: ClipSearch) -> None:
    features = search.stored.features()
    tensors = {name: torch.as_tensor(each) for name, each in features.items()}
    expected = nearest_neighbours(tensors, tensors, 10)["ensemble"].numpy()
    found = np.stack([search.nearest(one(features, clip), 10).clips for clip in range(32)])
    np.testing.assert_array_equal(found, expected)


def test_streams_count_by_their_weights(search: ClipSearch) -> None:
    weighted = ClipSearch(search.stored, {"joint": 3, "bone": 1})
    features = search.stored.features()
    unit = {name: each / np.linalg.norm(each, axis=1, keepdims=True) for name, each in features.items()}
    similarity = (3 * unit["joint"] @ unit["joint"][5] + unit["bone"] @ unit["bone"][5]) / 4
    found = weighted.nearest(one(features, 5), 32)
    np.testing.assert_allclose(found.similarity, np.sort(similarity)[::-1], atol=1e-5)
    assert found.clips[0] == 5


def test_only_allowed_clips_are_found_and_no_more_than_there_are(search: ClipSearch) -> None:
    allowed = np.zeros(32, bool)
    allowed[[3, 9]] = True
    found = search.nearest(one(search.stored.features(), 3), 10, allowed)
    assert found.clips.tolist() == [3, 9]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("subject != 3", lambda clip: clip["subject"] != 3),
        ("subject in (1, 2) and not label = 0 -- a remark", lambda clip: clip["subject"] in (1, 2) and clip["label"]),
        ("seconds > 2 or class like '%a%'", lambda clip: clip["seconds"] > 2 or "a" in clip["class"].lower()),
        ("1=0", lambda clip: False),
    ],
)
def test_conditions(folders: tuple[Path, Path], condition: str, holds: Callable[[dict], bool]) -> None:
    clips = i2md.open_clips(folders[1])
    names = clips.dataset.class_names
    rows = [
        {
            "subject": clips.columns["subject"][n],
            "label": clips.labels[n],
            "seconds": clips.columns["frames"][n] / clips.columns["fps"][n],
            "class": names[clips.labels[n]],
        }
        for n in range(len(clips))
    ]
    assert clips_where(clips, condition).tolist() == [n for n, row in enumerate(rows) if holds(row)]


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("subjct = 3", "no such column: subjct; did you mean subject"),
        ("subject ==", "write a condition such as"),
        ("1=1); drop table clips; --", "where"),
        ("(select count(*) from sqlite_master) > 0 and load_extension('x')", "where"),
        ("exists (with recursive n(i) as (select 1 union all select i from n) select * from n where i = 2)", "where"),
    ],
)
def test_invalid_conditions(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, condition: str, said: str
) -> None:
    monkeypatch.setattr("i2md.data.where._MOST_CHECKS", 5)
    with pytest.raises(i2md.InputError, match="where") as error:
        clips_where(i2md.open_clips(folders[1]), condition)
    assert said in str(error.value)


def test_a_store_follows_its_clips(folders: tuple[Path, Path], tmp_path: Path) -> None:
    run, clips = folders[0], i2md.open_clips(folders[1])
    store = tmp_path / "store"
    first = stored_features(run, clips.select(np.arange(20)), store, "cpu")
    assert (first.added, first.removed) == (20, 0)
    moved = stored_features(run, clips.select(np.arange(12, 32)[::-1].copy()), store, "cpu")
    assert (moved.added, moved.removed) == (12, 12)
    again = stored_features(run, clips, store, "cpu")
    assert (again.added, again.removed) == (0, 0)
    expected = i2md.load(run, "cpu").embed(clips)
    for name, features in again.features().items():
        np.testing.assert_allclose(features, expected[name], atol=1e-6)
    changed = i2md.Clips(clips.path, clips.dataset, np.array(clips.frames), clips.columns)
    changed.frames[int(clips.columns["start"][7])] += 0.1
    assert stored_features(run, changed, store, "cpu").added == 1


def test_a_store_is_computed_in_parts_and_resumes(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, clips = folders[0], i2md.open_clips(folders[1])
    for module in ("feature_files", "feature_store"):
        monkeypatch.setattr(f"i2md.inference.{module}.PART_SIZE", 8)
    whole = stored_features(run, clips, tmp_path / "store", "cpu").features()
    # As a process leaves it that was killed while it wrote the third part.
    (tmp_path / "store/clips-00000002.npy").unlink()
    (tmp_path / "store/last.npy").unlink()
    again = stored_features(run, clips, tmp_path / "store", "cpu")
    assert again.added == 8
    for name, features in again.features().items():
        np.testing.assert_array_equal(features, whole[name])
    few = stored_features(run, clips.select(np.arange(5, 12)), tmp_path / "store", "cpu")
    assert (few.added, few.removed, len(few.store)) == (0, 0, 7)
    for name, features in few.features().items():
        np.testing.assert_array_equal(features, whole[name][5:12])


def random_store(folder: Path, count: int) -> FeatureStore:
    """Features of clips in 20 groups."""
    folder.mkdir()
    draws = np.random.default_rng(0)
    centres = draws.standard_normal((20, 40))
    vectors = (centres[draws.integers(0, 20, count)] + 0.7 * draws.standard_normal((count, 40))).astype(np.float32)
    for first in range(0, count, 400):
        _write_part(folder, vectors[first : first + 400], np.arange(first, min(first + 400, count)).astype(np.uint64))
    return FeatureStore(folder, {"joint": 24, "bone": 16})


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("usearch", reason='pip install "i2md[search]"')
    monkeypatch.setattr(vector_index, "SEGMENT", 500)
    monkeypatch.setattr(vector_index, "_BLOCK", 300)


def recall(store: FeatureStore, index: VectorIndex, weights: tuple[float, float], rows: int) -> float:
    units = unit_vectors(store.rows(np.arange(rows)))
    scale = np.repeat(np.array(weights, np.float32), [24, 16])
    found = 0
    for row in range(0, rows, 37):
        nearest = np.argsort(-(units @ (scale * units[row])), kind="stable")[:10]
        found += len(set(nearest.tolist()) & set(index.candidates(scale * units[row], 50).tolist()))
    return found / (10 * len(range(0, rows, 37)))


@pytest.mark.usefixtures("small_segments")
def test_an_index_finds_nearly_all_neighbours_is_extended_and_resumes(tmp_path: Path) -> None:
    assert VectorIndex(random_store(tmp_path / "store", 1100)).update() == 1100
    index = tmp_path / "store/index"
    assert [path.name for path in sorted(index.glob("graph*"))] == [
        "graph-000000000-000500.usearch",
        "graph-000000500-000500.usearch",
        "graph-000001000-000100.usearch",
    ]
    kept = {path.name: path.stat().st_mtime_ns for path in index.glob("graph*500.usearch")}
    draws = np.random.default_rng(1)
    _write_part(tmp_path / "store", draws.standard_normal((200, 40)).astype(np.float32), np.arange(200, dtype="u8"))
    (index / "graph-000000500-000500.usearch").unlink()
    store = FeatureStore(tmp_path / "store", {"joint": 24, "bone": 16})
    extended = VectorIndex(store)
    assert extended.update() == 700
    assert not (index / "graph-000001000-000100.usearch").exists()
    untouched = index / "graph-000000000-000500.usearch"
    assert untouched.stat().st_mtime_ns == kept[untouched.name]
    for weights in ((1.0, 1.0), (1.5, 0.5), (2.0, 0.0)):
        assert recall(store, extended, weights, 1300) > 0.97
    assert extended.update() == 0


@pytest.mark.usefixtures("small_segments")
def test_searching_by_an_index_finds_what_comparing_all_finds(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = i2md.open_clips(folders[1])
    monkeypatch.setattr(searching, "EXACT", 5)
    stored = stored_features(folders[0], clips, tmp_path / "store", "cpu")
    by_index, compared = ClipSearch(stored), ClipSearch(stored, exact=True)
    assert by_index.index is not None
    allowed = clips.columns["subject"] != 2
    features = compared.stored.features()
    for clip in range(32):
        for mask in (None, allowed):
            found = by_index.nearest(one(features, clip), 10, mask)
            np.testing.assert_array_equal(found.clips, compared.nearest(one(features, clip), 10, mask).clips)


def test_without_usearch_large_collections_name_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2md.errors.find_spec", lambda name: None)
    with pytest.raises(i2md.InputError, match=r'usearch, needed for search.*100,000.*pip install "i2md\[search\]"'):
        VectorIndex(random_store(tmp_path / "store", 10))


def test_the_command_finds_clips_and_excerpts_of_recordings(
    folders: tuple[Path, Path], real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, clips = map(str, folders)
    name = str(i2md.open_clips(clips).columns["name"][4])
    typed = ["search", run, clips, "--index", str(tmp_path / "index"), "--device", "cpu", "--top", "5"]
    options = ["--where", "subject > 1", "--page", str(tmp_path / "page.html"), "--json", str(tmp_path / "found.json")]
    assert main([*typed, "--query", name, *options]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert name not in [row["name"] for row in found["neighbours"]]
    assert len(found["neighbours"]) == 5
    assert found["same_class"] == sum(row["class"] == found["class"] for row in found["neighbours"])
    assert f"{found['same_class']} of 5 have the class of the query" in capsys.readouterr().out
    page = (tmp_path / "page.html").read_text()
    assert "5 nearest clips" in page and found["neighbours"][4]["name"] in page
    recording = next((real_data / "utd-mhad").glob("*.mat"))
    assert main([*typed, "--query", f"{recording}@0.2-1.4", "--streams", "joint=1", "bone=0.5"]) == 0
    assert "joint 0.67, bone 0.33" in capsys.readouterr().out


def test_misuse_is_refused(folders: tuple[Path, Path], tmp_path: Path, refused: Callable[..., str]) -> None:
    typed = ["search", *map(str, folders)]
    assert "by --query" in refused(*typed)
    assert "nor a clip of this name" in refused(*typed, "--query", "nosuch")
    assert "top is 0" in refused(*typed, "--query", "nosuch", "--top", "0")
    assert "no clip meets" in refused(*typed, "--query", "nosuch", "--where", "subject = 99")
    name = str(i2md.open_clips(folders[1]).columns["name"][0])
    assert "no stream 'jont'; did you mean joint" in refused(*typed, "--query", name, "--streams", "jont=1")
    assert "holds something else" in refused(*typed, "--query", name, "--index", str(folders[0]))
