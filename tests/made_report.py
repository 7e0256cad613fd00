"""A made-up run, its clips, and the report of it as a browser parses it."""

from __future__ import annotations

import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from i2md.evaluation.report.clip_map import MappedClips
from i2md.evaluation.results import Result, Scores, write_result
from i2md.skeletons import Layout, get_layout

LAYOUT = get_layout("kinect-v1")
CLASSES = ("wave", "sit down", "throw")
MADE_DIAGNOSTICS: dict[str, Any] = {
    "diagnostics/alignment/joint": 0.3,
    "diagnostics/gradient_cosine/cmd/joint": 0.1,
    "left_out": {"ridge": "no labels"},
}


class Page(HTMLParser):
    """The page as a browser parses it: tags with attributes, the text of each script, the visible text."""

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


def made_result(**changes: Any) -> Result:
    result = Result(
        protocol="linear",
        method="i2md",
        dataset="made up",
        split="cross-subject",
        seed=7,
        streams={
            "joint": Scores(0.6124, 0.6333, confusion=[[4, 0, 0], [3, 0, 0], [2, 0, 0]]),
            "motion": Scores(0.5031, 0.5222, confusion=[[4, 0, 0], [3, 0, 0], [2, 0, 0]]),
            "bone": Scores(0.7049, 0.7111, confusion=[[4, 0, 0], [3, 0, 0], [2, 0, 0]]),
        },
        ensemble=Scores(0.8471, 0.8666, confusion=[[2, 2, 0], [0, 3, 0], [1, 0, 1]]),
        train_clips=431,
        test_clips=437,
        class_names=list(CLASSES),
    )
    return dataclasses.replace(result, **changes)


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
            **(MADE_DIAGNOSTICS if epoch == 5 else {}),
            **({"knn/joint": 0.1 * epoch, "knn/bone": 0.2 * epoch, "knn/ensemble": 0.12 * epoch} if epoch % 2 else {}),
        }
        for epoch in range(1, epochs + 1)
    ]


def made_run(folder: Path) -> Path:
    """A run's folder with settings, a log and one result."""
    (folder / "evaluation").mkdir(parents=True)
    written = {"method": "i2md", "seed": 7, "encoder": {"hidden": 256}, "versions": {"torch": "2.13.0"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(written))
    (folder / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in made_log()))
    write_result(folder / "evaluation", made_result())
    return folder
