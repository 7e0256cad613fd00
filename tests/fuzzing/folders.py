"""What the package itself writes or is configured by, at its smallest: clips, runs, settings, checkpoints."""

from __future__ import annotations

import io
import json
import os
import shutil
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import numpy as np
import tiny
import torch
from fuzzing.campaign import Target
from fuzzing.recordings import reader_targets

from i2md import commands
from i2md.cli.main import main
from i2md.data.info import info
from i2md.data.recording import Recording
from i2md.data.store import ClipsWriter, Dataset, open_clips
from i2md.errors import InputError
from i2md.experiments.reproduce.table import load_table, table_names
from i2md.inference.classifier import load_classifier
from i2md.inference.embed import embed_into
from i2md.inference.feature_files import FeatureFolder
from i2md.inference.feature_store import stored_features
from i2md.inference.model import Model
from i2md.inference.search import ClipSearch
from i2md.inference.stream import json_lines, prediction_lines
from i2md.pretraining.log import read_log
from i2md.pretraining.pretrain import pretrain_run
from i2md.pretraining.run import read_config
from i2md.recipes import load_recipe, recipe_path
from i2md.skeletons import get_layout
from i2md.skeletons.files import layout_path

_OF_A_MODEL = ("config.yaml", "model.safetensors")
_SMALL = {"epochs": 1, "batch_size": 4, "encoder.hidden_size": 4, "objectives.embedding_dim": 4, "views.frames": 4}
_SMALL |= {"objectives.queue_size": 8, "objectives.num_neighbours": 2, "objectives.warmup_steps": 0}


def folder_targets(base: Path) -> dict[str, Callable[[], Target]]:
    """A function that makes each target, by its name; what they need is made once, in the folder `base`."""
    targets = {
        "clips": lambda: Target("clips", _clips(base), _open_clips),
        "clips of long recordings": lambda: Target("clips of long recordings", _long(base), _open_clips),
        "clips that are being written": lambda: Target("clips that are being written", _unfinished(base), _finish),
        "run": lambda: Target("run", _run(base), _embed(base), None, _OF_A_MODEL),
        "state of a run": lambda: _state(base),
        "log and results of a run": lambda: _report(base),
        "recipe": lambda: Target("recipe", {"x.yaml": recipe_path("kinect-v1").read_bytes()}, _recipe),
        "layout": lambda: Target("layout", {"x.yaml": layout_path("kinect-v1").read_bytes()}, _layout),
        "table": lambda: _table(),
        "checkpoint of cmd": lambda: Target("checkpoint of cmd", {"x.pth.tar": _checkpoint()}, _import),
        "folder of features": lambda: _features(base),
        "features kept for search": lambda: _kept_features(base),
        "classifier": lambda: _classifier(base),
        "frames of a stream": lambda: _stream(base),
    }
    return targets


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "tensorboard" not in path.parts
    }


def _quietly(words: list[str]) -> None:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
        assert main(words) == 0, said.getvalue()


def _made(base: Path, name: str, words: Callable[[Path], list[str]]) -> Path:
    folder = base / f"fuzzed-{name}"
    if not folder.exists():
        _quietly(words(folder))
    return folder


def _synthetic(base: Path) -> Path:
    options = tiny.words({"options.actions": 2, "options.subjects": 2, "options.repeats": 3})
    return _made(base, "clips", lambda folder: ["prepare", "synthetic", "x", str(folder), *options])


def _clips(base: Path) -> dict[str, bytes]:
    return _files(_synthetic(base))


def _long(base: Path) -> dict[str, bytes]:
    """Clips with the whole recordings that they were cut from."""
    source = base / "fuzzed-recordings"
    (target,) = (target for target in reader_targets() if target.name == "utkinect-action3d")
    for name, data in target.files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    return _files(_made(base, "long", lambda folder: ["prepare", "utkinect-action3d", str(source), str(folder)]))


def _open_clips(folder: Path) -> list[str]:
    clips = open_clips(folder)
    found = info(clips)
    for split, parts in clips.dataset.splits.items():
        for part in parts:
            clips.part(split, part)
    if clips.untrimmed is not None:
        info(clips.untrimmed)
        clips.untrimmed.select(np.arange(len(clips.untrimmed)))
    return [*found["warnings"]]


def _writer(path: Path) -> ClipsWriter:
    return ClipsWriter(path, joints=20, channels=3, key="the same")


def _unfinished(base: Path) -> dict[str, bytes]:
    """What an interrupted `prepare` leaves."""
    folder = base / "fuzzed-unfinished"
    folder.mkdir(exist_ok=True)
    with suppress(KeyboardInterrupt), _writer(folder / "clips") as writer:
        for number in range(3):
            writer.add(Recording(f"clip-{number}", np.ones((1, 5, 20, 3), np.float32), fps=30.0))
            writer.checkpoint({"done": number})
        raise KeyboardInterrupt
    return _files(folder)


def _finish(folder: Path) -> None:
    files = _files(folder)
    try:
        with _writer(folder / "clips") as writer:
            notes = len(list(writer.notes()))
            writer.add(Recording("last", np.ones((1, 5, 20, 3), np.float32)))
            writer.finish(Dataset("x", get_layout("kinect-v1"), (), "m", "none"))
        assert len(open_clips(folder / "clips")) in (1, notes + 1)
    finally:
        for path in folder.iterdir():
            shutil.rmtree(path)
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)


def _run(base: Path) -> dict[str, bytes]:
    return _files(_run_folder(base))


def _run_folder(base: Path) -> Path:
    words = ["pretrain", str(_synthetic(base)), "RUN", *tiny.SETTINGS, *tiny.words(_SMALL)]

    def make(folder: Path) -> list[str]:
        return [str(folder) if word == "RUN" else word for word in words]

    existed = (base / "fuzzed-run").exists()
    run = _made(base, "run", make)
    if not existed:
        _quietly(["evaluate", str(run), str(_synthetic(base)), "--protocol", "knn", "--device", "cpu"])
    return run


def _embed(base: Path) -> Callable[[Path], None]:
    clip = np.random.default_rng(0).normal(size=(5, 20, 3)).astype(np.float32)

    def run(folder: Path) -> None:
        model = Model(folder, "cpu")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of the size of the body in the clip
                features = model.embed([clip])
        except InputError as error:
            # A changed layout does not fit the clip.
            assert "give the axes in the order" in str(error) or "preset" in str(error), error
            return
        assert all(np.shape(value)[0] == 1 for value in features.values())

    return run


def _state(base: Path) -> Target:
    run, clips = _run_folder(base), open_clips(_synthetic(base))
    settings = read_config(run).settings
    files = {name: data for name, data in _run(base).items() if name not in ("model.safetensors", "report.html")}

    def resume(folder: Path) -> None:
        try:
            pretrain_run(clips, folder, settings, device="cpu")
        finally:
            for name in os.listdir(folder):
                if name not in files and name != "evaluation":
                    path = folder / name
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    return Target("state of a run", files, resume, None, ("training_state.safetensors", "log.jsonl", "config.yaml"))


def _report(base: Path) -> Target:
    files = {name: data for name, data in _run(base).items() if not name.endswith((".safetensors", ".html"))}

    def report(folder: Path) -> Any:
        read_log(folder)
        return commands.report(runs=[folder], out=folder.parent / "comparison.html")["notes"]

    return Target("log and results of a run", files, report)


def _recipe(folder: Path) -> None:
    load_recipe(str(folder / "x.yaml"))
    words = ["pretrain", "no-clips", str(folder / "run"), "--recipe", str(folder / "x.yaml")]
    with redirect_stdout(io.StringIO()):
        code = main(words)
    assert code == 2, code


def _layout(folder: Path) -> None:
    get_layout(str(folder / "x.yaml"))


def _table() -> Target:
    import i2md.experiments.reproduce as package

    path = Path(package.__path__[0]) / "tables" / f"{table_names()[0]}.yaml"
    return Target("table", {"x.yaml": path.read_bytes()}, lambda folder: load_table(str(folder / "x.yaml")) and None)


_CUT = {24: 4, 48: 8, 72: 12, 16: 4, 96: 8}


def _checkpoint() -> bytes:
    """The reference checkpoint cut to a hidden size of 4 and a queue of 8."""
    golden = Path(__file__).parents[1] / "golden" / "cmd_step.pth.tar"
    state = torch.load(golden, weights_only=True)["state_dict"]
    small = {
        name: value[tuple(slice(_CUT.get(size, size)) for size in value.shape)].clone() for name, value in state.items()
    }
    stream = io.BytesIO()
    torch.save({"epoch": 1, "state_dict": small}, stream)
    return stream.getvalue()


def _import(folder: Path) -> None:
    try:
        commands.import_cmd(checkpoint=folder / "x.pth.tar", run=folder / "run")
    finally:
        shutil.rmtree(folder / "run", ignore_errors=True)


def _features(base: Path) -> Target:
    run, clips = _run_folder(base), open_clips(_synthetic(base))
    folder = base / "fuzzed-features"
    if not folder.exists():
        with redirect_stderr(io.StringIO()):
            embed_into(run, clips, folder, "cpu", None)
    key = json.loads((folder / "_embedding.json").read_bytes())["key"]

    def resume(path: Path) -> None:
        features = FeatureFolder(path, clips, key)
        assert features.missing() == []
        features.finish()

    return Target("folder of features", _files(folder), resume)


def _kept_features(base: Path) -> Target:
    run, clips = _run_folder(base), open_clips(_synthetic(base))
    folder = base / "fuzzed-kept"
    stored_features(run, clips, folder, "cpu")
    files = {name: data for name, data in _files(folder).items() if not name.startswith(".")}

    def search(path: Path) -> None:
        try:
            query = {name: value[:1] for name, value in stored_features(run, clips, path, "cpu").features().items()}
            found = ClipSearch(stored_features(run, clips, path, "cpu")).nearest(query, 3)
            assert len(found.clips) == 3
        finally:
            for name in set(_files(path)) - set(files):
                (path / name).unlink()

    return Target("features kept for search", files, search)


def _fitted(base: Path) -> Path:
    """A classifier of windows, with its hidden Markov model."""
    words = ["fit", str(_run_folder(base)), str(_windowed(base)), "MODEL", "--device", "cpu"]
    return _made(base, "fitted", lambda folder: [str(folder) if word == "MODEL" else word for word in words])


def _windowed(base: Path) -> Path:
    _long(base)
    words = ["prepare", "utkinect-action3d", str(base / "fuzzed-recordings"), "CLIPS", "--windows", "300ms"]
    return _made(base, "windowed", lambda folder: [str(folder) if word == "CLIPS" else word for word in words])


def _classifier(base: Path) -> Target:
    folder, recordings = _fitted(base), open_clips(_windowed(base)).recordings

    def predict(path: Path) -> None:
        loaded = load_classifier(path, "cpu")
        assert len(list(loaded.timelines(recordings))) == len(recordings)

    return Target("classifier", _files(folder), predict, None, ("model.json", "classifier.safetensors"))


def _stream(base: Path) -> Target:
    folder = _fitted(base)
    joints = np.random.default_rng(0).normal(size=(12, 20, 3)).round(3).tolist()
    lines = [json.dumps({"frame": n, "persons": {"a": each}}) for n, each in enumerate(joints)]

    def push(path: Path) -> None:
        with (path / "frames.jsonl").open(encoding="utf-8", errors="replace") as file:
            stream = load_classifier(folder, "cpu").stream(30.0)
            for _ in prediction_lines(stream, json_lines(file)):
                pass

    return Target("frames of a stream", {"frames.jsonl": "\n".join(lines).encode()}, push)
