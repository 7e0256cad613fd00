"""A Ray cluster gives the same clips and features as this machine alone, also where workers are lost."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pausing
import pyarrow.dataset
import pytest
import tiny
from origin import without_origin

import i2md
from i2md.cli.main import main
from i2md.data.executor import open_executor
from i2md.data.outcomes import PreparedClip
from i2md.data.pipeline import prepare_recordings
from i2md.data.prepare import prepare
from i2md.data.recording import Recording, Source
from i2md.distributed.ray_cluster import RayCluster, connect
from i2md.errors import InputError, WorkerLost
from i2md.skeletons import get_layout

pytest.importorskip("ray", reason="the extra ray is not installed: Ray may have no wheel for this Python")
# Ray 2.50 tells of what its later versions do, and leaves files and processes of its own to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Tip. In future versions of Ray:FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

DEADLOCK_SECONDS = 300.0
LAYOUT = get_layout("kinect-v1")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[RayCluster]:
    """One local cluster for all tests here; it ends with them, and all its processes."""
    with connect("local") as connected:
        yield connected


@dataclass(frozen=True)
class Pass:
    """`count` recordings; at number `at` it does what `fault` says, where a file `marker` is not there yet."""

    count: int
    at: int = -1
    fault: str = ""
    marker: str = ""
    first: int = 0

    def __len__(self) -> int:
        return self.count

    def part(self, start: int, stop: int) -> Pass:
        return replace(self, count=stop - start, first=self.first + start)

    def __call__(self) -> Iterator[Recording]:
        for index in range(self.first, self.first + self.count):
            if index == self.at and not (self.marker and os.path.exists(self.marker)):
                if self.marker:
                    Path(self.marker).touch()
                print("output of a reader")
                if self.fault == "dies":
                    os._exit(9)
                raise {"refuses": InputError("mine.txt: give another"), "bug": ZeroDivisionError("by zero")}[self.fault]
            positions = np.random.default_rng(index).normal(size=(1, 4, 20, 3)).astype(np.float32)
            yield Recording(f"r{index}", positions, source=f"{index}.txt")


def _outcomes(source: Source, address: str | None) -> list[Any]:
    with open_executor(address) as executor:
        outcomes = [o for _, found in prepare_recordings(source, "none", jobs=1, executor=executor) for o in found]
    return [(o.clip.name, o.clip.positions.tobytes()) if isinstance(o, PreparedClip) else o for o in outcomes]


def _source(count: int = 60, **how: Any) -> Source:
    return Source("odd", LAYOUT, ("a",), "m", "none", Pass(count, **how))


def _contents(folder: Path) -> dict[str, bytes]:
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return without_origin({name: path.read_bytes() for name, path in files.items()})


@pytest.fixture(scope="module")
def skeletons(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("skeletons")
    whole = [file.read_bytes() for file in sorted((golden / "ntu-rgbd").iterdir())]
    for number in range(240):
        name = f"S001C{number // 120 % 3 + 1:03}P001R001A{number % 120 + 1:03}.skeleton"
        (folder / name).write_bytes(whole[number % len(whole)] if number != 100 else b"3\n")
    return folder


@pytest.fixture(scope="module")
def undisturbed(skeletons: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed") / "clips"
    assert main(["prepare", "ntu-rgbd", str(skeletons), str(folder), "--jobs", "1"]) == 0
    return _contents(folder)


@pytest.mark.parametrize("urls", [pytest.param(False, marks=pytest.mark.slow), True])
def test_cluster_writes_the_same_bytes_as_one_machine(
    skeletons: Path, undisturbed: dict[str, bytes], tmp_path: Path, urls: bool
) -> None:
    source, clips = (f"file://{p}" if urls else str(p) for p in (skeletons, tmp_path / "clips"))
    assert (
        main(["prepare", "ntu-rgbd", source, clips, "--cluster", "local", "--json", str(tmp_path / "said.json")]) == 0
    )
    assert _contents(tmp_path / "clips") == undisturbed
    said = json.loads((tmp_path / "said.json").read_text())
    assert said["clips"] == 239 and said["report"]["left_out"] == 1
    assert "A101.skeleton" in (tmp_path / "clips" / "left_out.txt").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "said.json"]


def test_clips_prepared_on_a_cluster_are_written_to_remote_storage(
    undisturbed: dict[str, bytes], skeletons: Path
) -> None:
    from i2md.data.storage.remote import to_path

    prepare("ntu-rgbd", f"file://{skeletons}", "memory://on-a-cluster/clips", cluster="local")
    target = to_path("memory://on-a-cluster/clips")
    assert without_origin({name: (target / name).read_bytes() for name in undisturbed}) == undisturbed


def test_source_that_cannot_be_pickled_is_read_in_this_process() -> None:
    recordings = [Recording(f"r{n}", np.full((1, 2, 20, 3), n, np.float32)) for n in range(1, 6)]
    source = replace(_source(), read=lambda: iter(recordings))
    assert [name for name, _ in _outcomes(source, "local")] == [f"r{n}" for n in range(1, 6)]


def test_task_of_a_lost_worker_is_repeated(tmp_path: Path) -> None:
    outcomes = _outcomes(_source(at=33, fault="dies", marker=str(tmp_path / "died")), "local")
    assert (tmp_path / "died").exists()
    assert outcomes == _outcomes(_source(), None)


def test_task_that_always_loses_its_worker_ends_the_command_which_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2md.data.prepare.open_source", lambda *_, **__: _source(at=55, fault="dies"))
    monkeypatch.setattr("i2md.data.writer.CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr("i2md.distributed.ray_cluster._RETRIES", 1)
    with pytest.raises(WorkerLost, match=r"tried 2 times \(The worker died unexpectedly.*run the same command again"):
        prepare("odd", "x", tmp_path / "clips", cluster="local")
    assert [path.name for path in tmp_path.iterdir()] == [".clips.partial"]
    monkeypatch.setattr("i2md.data.prepare.open_source", lambda *_, **__: _source())
    clips = prepare("odd", "x", tmp_path / "clips", jobs=1)
    assert clips.columns["name"].tolist() == [f"r{n}" for n in range(60)]


@pytest.mark.parametrize(("fault", "error"), [("refuses", InputError), ("bug", ZeroDivisionError)])
def test_error_of_a_worker_is_raised_by_the_command(fault: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"(give another)|(by zero)"):
        _outcomes(_source(at=20, fault=fault), "local")


def _embedded(tmp_path: Path, run: object, clips: object, out: object) -> dict[str, np.ndarray]:
    assert main(["embed", str(run), str(clips), str(out), "--device", "auto", "--cluster", "local"]) == 0
    with np.load(tmp_path / "out.npz") as written:
        return dict(written)


@pytest.mark.parametrize("urls", [pytest.param(False, marks=pytest.mark.slow), True])
def test_cluster_gives_the_same_features_as_one_machine(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, urls: bool
) -> None:
    base = tmp_path_factory.getbasetemp()
    run, clips = tiny.run(base), tiny.clips(base)
    assert main(["embed", str(run), str(clips), str(tmp_path / "here.npz"), "--device", "cpu"]) == 0
    monkeypatch.setattr("i2md.inference.feature_files.PART_SIZE", 12)
    places = [f"file://{p}" if urls else p for p in (run, clips, tmp_path / "out.npz")]
    there = _embedded(tmp_path, *places)
    with np.load(tmp_path / "here.npz") as here:
        assert set(here.files) == set(there)
        np.testing.assert_array_equal(there["names"], here["names"])
        np.testing.assert_array_equal(there["labels"], here["labels"])
        for name in ("joint", "motion", "bone"):
            np.testing.assert_allclose(there[name], here[name], atol=1e-6)


@pytest.mark.parametrize(("address", "urls"), [(None, False), (None, True), ("local", False), ("local", True)])
def test_interrupted_feature_folder_is_completed(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    address: str | None,
    urls: bool,
) -> None:
    base = tmp_path_factory.getbasetemp()
    run, clips = tiny.run(base), tiny.clips(base)
    expected = i2md.load(run, "cpu").embed(i2md.open_clips(clips))
    monkeypatch.setattr("i2md.inference.feature_files.PART_SIZE", 12)
    folder = tmp_path / "features"
    out = f"file://{folder}" if urls else folder
    done = i2md.embed(run=run, clips=clips, out=out, device="cpu", cluster=address)
    assert done == {"out": str(out), "clips": 32, "features": {name: [32, 16] for name in expected}}
    names = [f"features-0000000{share}.parquet" for share in range(3)]
    assert sorted(path.name for path in folder.iterdir()) == ["_embedding.json", *names]
    _require_features(folder, expected)

    (folder / names[1]).unlink()
    kept = {name: (folder / name).stat().st_mtime_ns for name in (names[0], names[2])}
    assert i2md.embed(run=run, clips=clips, out=out, device="cpu", cluster=address) == done
    assert {name: (folder / name).stat().st_mtime_ns for name in kept} == kept
    _require_features(folder, expected)
    with pytest.raises(InputError, match="of another run or clips; name another"):
        i2md.embed(run=run, clips=i2md.open_clips(clips).part("xsub", "train"), out=out, device="cpu", cluster=address)


def _require_features(folder: Path, expected: dict[str, np.ndarray]) -> None:
    table = pyarrow.dataset.dataset(folder).to_table()
    for name, features in expected.items():
        np.testing.assert_allclose(np.stack(table[name].to_numpy()), features, atol=1e-6)
    assert json.loads((folder / "_embedding.json").read_text())["whole"] is True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cluster", "nosuch"], "--cluster nosuch is not known; give auto, local or ray://HOST:PORT"),
        (["--cluster", "local", "--jobs", "2"], "jobs 2 counts processes of this machine"),
    ],
)
def test_contradicting_options(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["prepare", "synthetic", "x", str(tmp_path / "clips"), *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("device", "said"), [("cuda:1", "with a cluster choose auto, cpu or cuda"), ("cuda", "the cluster has no GPU")]
)
def test_device_that_the_cluster_does_not_have(
    device: str, said: str, cluster: RayCluster, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if cluster.has_gpus:
        pytest.skip("this machine has a GPU")
    base = tmp_path_factory.getbasetemp()
    with pytest.raises(InputError, match=said):
        i2md.embed(run=tiny.run(base), clips=tiny.clips(base), out=tmp_path / "out.npz", device=device, cluster="local")


def test_ray_is_not_imported_without_a_cluster(tmp_path: Path) -> None:
    words = ["prepare", "synthetic", "x", str(tmp_path / "clips"), "--options.actions", "2", "--options.subjects", "2"]
    code = f"import sys; from i2md.cli.main import main; main({words})"
    code += "; print([n for n in ('ray', 'upath') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# The command with a checkpoint after every two files, paused before the eleventh.
PAUSED = (
    "import sys, pausing, i2md.data.pipeline as pipeline, i2md.data.writer as writer; pipeline._MAX_CHUNK = 2;"
    " writer.CHECKPOINT_SECONDS = -1.0; pausing.pause_at('i2md.data.prepare:_Filling._checkpoint', 11);"
    " from i2md.cli.main import main; sys.exit(main(sys.argv[1:]))"
)


def _descendants(of: int) -> list[int]:
    """Process ids of the running descendants of a process."""
    found, left = [], [of]
    while left:
        for children in Path(f"/proc/{left.pop()}").glob("task/*/children"):
            try:
                numbers = [int(number) for number in children.read_text().split()]
            except OSError:
                continue
            left += numbers
            found += numbers
    return found


def _open_processes(numbers: list[int]) -> dict[int, int]:
    """A descriptor for each process, readable once the process has ended, whatever its id is used for then."""
    opened = {}
    for number in numbers:
        with suppress(ProcessLookupError):
            opened[number] = os.pidfd_open(number)
    return opened


def _wait_for_end(descriptor: int) -> None:
    assert select.select([descriptor], [], [], DEADLOCK_SECONDS)[0], "a process of Ray is still running"
    os.close(descriptor)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux has descriptors of processes")
@pytest.mark.parametrize(
    ("number", "urls"), [pytest.param(signal.SIGKILL, True, marks=pytest.mark.slow), (signal.SIGTERM, False)]
)
def test_stopped_command_leaves_no_process_and_resumes_to_the_same_bytes(
    skeletons: Path, undisturbed: dict[str, bytes], tmp_path: Path, number: int, urls: bool
) -> None:
    source, target = (f"file://{p}" if urls else str(p) for p in (skeletons, tmp_path / "clips"))
    warnings = ["-W", "error", "-W", "ignore::ResourceWarning", "-W", "ignore::FutureWarning"]
    words = [sys.executable, *warnings, "-c", PAUSED, "prepare", "ntu-rgbd", source, target, "--cluster", "local"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment)
    pausing.wait_until_paused(process)
    started = _open_processes(_descendants(process.pid))
    process.send_signal(number)
    assert process.stdin
    process.stdin.close()
    process.stdin = None
    # Not `communicate`, which would wait for the processes of Ray that have inherited the pipes.
    process.wait(DEADLOCK_SECONDS)
    assert len(started) >= 3
    assert not (tmp_path / "clips" / "dataset.json").exists() and (tmp_path / ".clips.partial").is_dir()
    # After SIGKILL Ray's two agents search for the others for another minute, SIGTERM or not.
    agents = {n: descriptor for n, descriptor in started.items() if number == signal.SIGKILL and _is_agent(n)}
    for other in started.keys() - agents:
        _wait_for_end(started[other])
    for descriptor in agents.values():
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        _wait_for_end(descriptor)
    _, stderr = process.communicate(timeout=DEADLOCK_SECONDS)
    if number == signal.SIGTERM:
        assert process.returncode == 130
        assert stderr.splitlines()[-1] == "i2md: stopped; run the same command again to resume"
    assert main(["prepare", "ntu-rgbd", source, target, "--cluster", "local"]) == 0
    assert _contents(tmp_path / "clips") == undisturbed
    left = [file.relative_to(tmp_path).parts[0] for file in tmp_path.rglob("*") if file.is_file()]
    assert set(left) == {"clips"}


def _is_agent(process: int) -> bool:
    """Whether this is an agent of Ray, by its title or, before it has set that, by the script it runs."""
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"Agent" in words[0] or any(word.endswith((b"/agent.py", b"/agent/main.py")) for word in words[:4])
