"""Recordings and clips in remote storage: the same bytes as on a local disk, wherever a write is interrupted."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faulty_reader import faulty_source
from origin import without_origin

import i2md.data.storage.remote
from i2md.data.info import info
from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.recording import Recording, Unreadable
from i2md.data.storage.remote import filesystem, fs_path, is_remote, to_path, write_bytes
from i2md.data.store import open_clips
from i2md.data.writer import ClipsWriter
from i2md.errors import InputError, Stopped
from i2md.synthetic.pku_mmd import write_pku

pytest.importorskip("upath", reason="URLs need the extra ray")


def on_disk(folder: Path) -> dict[str, bytes]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return without_origin({name: path.read_bytes() for name, path in files.items()})


def stored(url: str) -> dict[str, bytes]:
    """All there is below a URL, hidden or not."""
    below = to_path(url)
    files = filesystem(below)
    found = {path[len(fs_path(below)) + 1 :]: files.cat_file(path) for path in files.find(fs_path(below))}
    return without_origin(found)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A place of its own in a store that keeps all in memory, where folders are parts of names."""
    yield f"memory:/{tmp_path}"
    files = filesystem(to_path("memory://x"))
    if files.exists(str(tmp_path)):
        files.rm(str(tmp_path), recursive=True)


@pytest.fixture(scope="module")
def skeletons(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty files in two folders; one can't be read."""
    folder = tmp_path_factory.mktemp("skeletons")
    whole = [file.read_bytes() for file in sorted((golden / "ntu-rgbd").iterdir())]
    for number in range(60):
        file = folder / "ab"[number % 2] / f"S001C001P001R001A{number + 1:03}.skeleton"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(whole[number % len(whole)] if number != 30 else b"3\n")
    return folder


@pytest.fixture(scope="module")
def expected(skeletons: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("expected") / "clips"
    prepare("ntu-rgbd", skeletons, folder, jobs=1)
    return on_disk(folder)


def _copy(folder: Path, url: str) -> None:
    for name, content in on_disk(folder).items():
        write_bytes(to_path(f"{url}/{name}"), content)


def test_from_remote_to_remote_the_bytes_are_those_of_a_local_disk(
    skeletons: Path, expected: dict[str, bytes], url: str
) -> None:
    _copy(skeletons, f"{url}/source")
    prepare("ntu-rgbd", f"{url}/source", f"{url}/clips", jobs=1)
    assert stored(f"{url}/clips") == expected
    assert {name.split("/")[0] for name in stored(url)} == {"source", "clips"}


@pytest.mark.parametrize("jobs", [1, 2])
def test_workers_read_remote_files(skeletons: Path, expected: dict[str, bytes], tmp_path: Path, jobs: int) -> None:
    prepare("ntu-rgbd", f"file://{skeletons}", f"file://{tmp_path}/new/clips", jobs=jobs)
    assert on_disk(tmp_path / "new" / "clips") == expected
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["clips"]


@pytest.mark.parametrize("source", ["folder", "folder/all.zip"])
def test_a_remote_zip_is_read_in_place(
    skeletons: Path, expected: dict[str, bytes], url: str, tmp_path: Path, source: str
) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name, content in on_disk(skeletons).items():
            archive.writestr(name, content)
    write_bytes(to_path(f"{url}/folder/all.zip"), (tmp_path / "all.zip").read_bytes())
    prepare("ntu-rgbd", f"{url}/{source}", f"{url}/clips", jobs=1)
    assert stored(f"{url}/clips") == expected


def test_untrimmed_recordings_are_written_with_their_clips(tmp_path: Path, url: str) -> None:
    write_pku(tmp_path / "pku", recordings=3, actions=2)
    prepare("pku-mmd", tmp_path / "pku", tmp_path / "clips", jobs=1)
    _copy(tmp_path / "pku", f"{url}/pku")
    clips = prepare("pku-mmd", f"{url}/pku", f"{url}/clips", jobs=1)
    assert stored(f"{url}/clips") == on_disk(tmp_path / "clips")
    whole = clips.untrimmed
    assert whole is not None and whole.intervals is not None
    assert info(clips)["untrimmed"] == info(open_clips(tmp_path / "clips"))["untrimmed"]


def test_arrays_of_a_file_each_may_be_remote(tmp_path: Path, url: str) -> None:
    draws = np.random.default_rng(0)
    for name in ("jump/a", "jump/b", "sit/c"):
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "mine" / f"{name}.npy", draws.normal(size=(9, 25, 3)))
    prepare("arrays", tmp_path / "mine", tmp_path / "clips")
    _copy(tmp_path / "mine", f"{url}/mine")
    prepare("arrays", f"{url}/mine", f"{url}/clips")
    assert stored(f"{url}/clips") == on_disk(tmp_path / "clips")
    with pytest.raises(InputError, match="one array of all clips is read from a local disk; copy it"):
        prepare("arrays", f"{url}/mine/jump/a.npy", f"{url}/other")


def test_remote_clips_equal_local_clips(skeletons: Path, tmp_path: Path) -> None:
    here = prepare("ntu-rgbd", skeletons, tmp_path / "clips", jobs=1, precision="float16")
    there = open_clips(f"file://{tmp_path}/clips")
    assert info(there) == info(here)
    for index in (0, 40, 7):
        np.testing.assert_array_equal(there[index], here[index])
    some = pickle.dumps(there.span(5, 9))
    assert len(some) < 20_000
    for index, clip in enumerate(pickle.loads(some).in_memory()):
        np.testing.assert_array_equal(clip, here[5 + index])


class _Refusing:
    """A remote storage that refuses all writes after so many."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
        self.left = after
        files = type(filesystem(to_path("memory://x")))
        pipe, put = files.pipe_file, files.put_file
        monkeypatch.setattr(files, "pipe_file", lambda *a, **k: self._count() or pipe(*a, **k))
        monkeypatch.setattr(files, "put_file", lambda *a, **k: self._count() or put(*a, **k))

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise TimeoutError("no answer")


def test_stopped_at_any_write_it_resumes_and_gives_the_same_bytes(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2md.data.prepare.open_source", lambda *_, **__: faulty_source(13, at=5, fault="unreadable"))
    monkeypatch.setattr("i2md.data.writer.CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr("i2md.data.pipeline._MAX_CHUNK", 2)
    prepare("odd", tmp_path / "x", tmp_path / "clips", jobs=1)
    expected, writes = on_disk(tmp_path / "clips"), 0
    assert "intervals.parquet" in expected
    finished = False
    while not finished:
        with monkeypatch.context() as weak:
            _Refusing(weak, after=writes)
            try:
                prepare("odd", tmp_path / "x", f"{url}/c{writes}", jobs=1)
                finished = True
            except Stopped as error:
                assert "the remote storage failed (no answer)" in str(error)
                with pytest.raises(InputError, match=r"dataset.json is missing"):
                    open_clips(f"{url}/c{writes}")
        if not finished:
            done = sum("rows/" in name for name in stored(f"{url}/.c{writes}.partial"))
            with monkeypatch.context() as counted:
                # What is there is not read again.
                asked: list[int] = []
                work = i2md.data.prepare.prepare_recordings
                counted.setattr(
                    "i2md.data.prepare.prepare_recordings",
                    lambda source, preset, start, jobs, executor, asked=asked, work=work: (
                        asked.append(start) or work(source, preset, start, jobs, executor)
                    ),
                )
                prepare("odd", tmp_path / "x", f"{url}/c{writes}", jobs=1)
            assert asked[0] > 0 or done < 2
        assert stored(f"{url}/c{writes}") == expected
        assert not stored(f"{url}/.c{writes}.partial")
        writes += 1
    assert writes > 10


def test_an_incomplete_line_of_the_journal_counts_as_never_written(url: str, tmp_path: Path) -> None:
    clips = [Recording(f"r{n}", np.full((1, 3, 20, 3), n, np.float32)) for n in range(4)]

    def write(target: Path, stop_after: int | None) -> None:
        with ClipsWriter(target, 20, 3, key="k") as writer:
            for clip in clips[len(writer) :]:
                writer.add(clip)
                writer.checkpoint({"done": len(writer)})
                if len(writer) == stop_after:
                    raise KeyboardInterrupt
            writer.finish(odd_dataset())

    write(tmp_path / "clips", None)
    for damage in ("journal/000000000000002.json", "rows/000000000000720", None):
        target = to_path(f"{url}/{damage}")
        with pytest.raises(KeyboardInterrupt):
            write(target, 3)
        if damage is not None:
            broken = target.parent / f".{target.name}.partial" / damage
            assert broken.exists()
            write_bytes(broken, broken.read_bytes()[:-5])
        write(target, None)
        assert stored(str(target)) == on_disk(tmp_path / "clips")


def odd_dataset() -> Any:
    from i2md.data.dataset import Dataset

    source = faulty_source(1)
    return Dataset(source.name, source.layout, source.class_names, source.units, "none", {}, {})


def test_a_remote_error_is_not_an_unreadable_recording(
    skeletons: Path, expected: dict[str, bytes], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _copy(skeletons, f"{url}/source")
    files = type(filesystem(to_path("memory://x")))
    cat = files.cat_file

    def refuse(self: Any, path: str, *args: Any, **how: Any) -> bytes:
        if path.endswith("A040.skeleton"):
            raise PermissionError("access denied")
        return cat(self, path, *args, **how)

    with monkeypatch.context() as refusing:
        refusing.setattr(files, "cat_file", refuse)
        with pytest.raises(Stopped, match=r"A040.skeleton: the remote storage failed \(access denied\)"):
            prepare("ntu-rgbd", f"{url}/source", f"{url}/clips", jobs=1)
    prepare("ntu-rgbd", f"{url}/source", f"{url}/clips", jobs=1)
    assert stored(f"{url}/clips") == expected


def test_the_fingerprint_changes_with_the_remote_files(skeletons: Path, url: str) -> None:
    from i2md.data.fingerprint import fingerprint

    _copy(skeletons, f"{url}/source")
    source, clips = to_path(f"{url}/source"), to_path(f"{url}/source/clips")
    before = fingerprint(source, clips)
    write_bytes(clips / "frames.npy", b"ours")
    write_bytes(source / ".hidden" / "x", b"nobody's")
    assert fingerprint(source, clips) == before
    write_bytes(source / "a" / "S001C001P001R001A001.skeleton", b"2\n")
    assert fingerprint(source, clips) != before


def test_strict_leaves_nothing_in_remote_storage(skeletons: Path, url: str) -> None:
    with pytest.raises(InputError, match=r"A031\.skeleton: .*leave out --strict"):
        prepare("ntu-rgbd", skeletons, f"{url}/clips", strict=True, jobs=1)
    assert stored(url) == {}


def test_existing_remote_files_stay(url: str, tmp_path: Path) -> None:
    prepare("synthetic", "x", f"{url}/clips", actions=2, subjects=2, repeats=1)
    before = stored(url)
    for target, how, said in (
        ("clips", {}, "already exists; give another URL"),
        ("clips", {"overwrite": True}, "remote clips can't be replaced in one step; give another URL"),
        ("mine", {}, "already exists; give another URL"),
    ):
        write_bytes(to_path(f"{url}/mine/notes.txt"), b"mine")
        with pytest.raises(InputError, match=said):
            prepare("synthetic", "x", f"{url}/{target}", actions=2, subjects=2, repeats=1, **how)
    assert stored(url) == before | {"mine/notes.txt": b"mine"}


@pytest.mark.parametrize(
    ("source", "format", "said"),
    [
        ("nosuch://a/b", "ntu-rgbd", "nosuch://a/b: .*give a path, or a URL that fsspec knows"),
        ("memory://nothing/there", "ntu-rgbd", "no such file or folder"),
        ("memory://nothing/x.pkl", "pyskl", "format 'pyskl' is read from a local disk; copy it to one first"),
    ],
)
def test_invalid_urls_are_refused(source: str, format: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        prepare(format, source, tmp_path / "clips")


def test_without_the_extra_an_error_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("i2md.errors.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'upath, needed for s3://a/b, is not .* pip install "i2md\[ray\]"'):
        prepare("ntu-rgbd", "s3://a/b", tmp_path / "clips")
    with pytest.raises(InputError, match=r'ray, needed for --cluster local, is not .* pip install "i2md\[ray\]"'):
        prepare("synthetic", "x", tmp_path / "clips", cluster="local")


def test_local_paths_and_urls_are_distinguished(tmp_path: Path) -> None:
    assert to_path(tmp_path) == tmp_path and not is_remote(tmp_path)
    assert to_path("a:b/c") == Path("a:b/c")
    assert is_remote(to_path("memory://a/b"))
    assert to_path(to_path("memory://a/b")) == to_path("memory://a/b")


def test_a_remote_file_is_not_fetched_beyond_the_size_limit(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    np.save(stream, np.ones((5000, 25, 3), np.float32))
    write_bytes(to_path(f"{url}/source/a.npy"), stream.getvalue())
    monkeypatch.setenv("I2MD_MAX_FILE_MB", "1")
    (found,) = open_source("arrays", to_path(f"{url}/source")).read()
    assert isinstance(found, Unreadable) and "more than the limit of 1; set I2MD_MAX_FILE_MB" in found.reason
