"""From labels to a classifier: what is written, what is measured, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import i2md
from i2md.cli.main import main
from i2md.evaluation.held_out import grouped_folds
from i2md.inference.candidates import candidate_names, fit_logistic
from i2md.inference.classifier_files import load_parts


def fit(run: Path, clips: Path, out: Path, *words: object) -> dict:
    said = out.with_suffix(".json")
    assert main(["fit", str(run), str(clips), str(out), *map(str, words), "--json", str(said)]) == 0
    return json.loads(said.read_text())


def write_csv(path: Path, *rows: tuple) -> Path:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_the_folder_holds_no_pickle_and_is_a_run(run: Path, clips: Path, tmp_path: Path) -> None:
    fit(run, clips, tmp_path / "model")
    files = {path.name for path in (tmp_path / "model").iterdir()}
    assert files == {"model.json", "classifier.safetensors", "config.yaml", "model.safetensors"}
    opened = i2md.open_clips(clips)
    for name, features in i2md.load(tmp_path / "model", "cpu").embed(opened).items():
        np.testing.assert_array_equal(features, i2md.load(run, "cpu").embed(opened)[name])


def test_figures_are_of_folds_without_the_subject(run: Path, clips: Path, tmp_path: Path) -> None:
    """The accuracy again, by scikit-learn's ridge and a loop over subjects."""
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline

    from i2md.evaluation.settings import RidgeSettings

    said = fit(run, clips, tmp_path / "model", "--candidates", "learned")
    opened = i2md.open_clips(clips)
    features, labels, subjects = i2md.load(run, "cpu").embed(opened), opened.labels, opened.columns["subject"]
    right = 0
    for subject in np.unique(subjects):
        kept, scores = subjects != subject, np.zeros(((subjects == subject).sum(), 4))
        for x in features.values():
            ridge = make_pipeline(StandardScaler(), RidgeClassifierCV(RidgeSettings().penalties))
            scores += ridge.fit(x[kept].astype(np.float64), labels[kept]).decision_function(x[~kept].astype(np.float64))
        right += (scores.argmax(axis=1) == labels[~kept]).sum()
    assert said["accuracy"] == pytest.approx(right / len(labels))
    assert said["folds"] == len(np.unique(subjects))
    assert said["held_out_together"] == "subject"
    assert np.sum(said["confusion"]) == len(labels)
    assert np.trace(said["confusion"]) == right
    low, high = said["interval"]
    assert low < said["accuracy"] < high or said["accuracy"] == 1.0


def test_labels_from_a_file_with_subjects(run: Path, clips: Path, tmp_path: Path) -> None:
    names = i2md.open_clips(clips).columns["name"][:10]
    rows = [(name, "up" if place % 2 else "down", place // 2) for place, name in enumerate(names)]
    labels = write_csv(tmp_path / "few.csv", ("name", "label", "subject"), *rows, ("nobody", "up", 1))
    said = fit(run, clips, tmp_path / "model", "--labels", labels)
    assert said["classes"] == ["down", "up"]
    assert (said["clips"], said["unlabelled"], said["folds"]) == (10, 22, 5)
    assert said["notes"] == ["1 lines of few.csv name no clip, such as nobody"]
    assert said["auroc_of_left_out_classes"] == {}


def test_intervals_label_windows_and_the_background(run: Path, clips: Path, tmp_path: Path) -> None:
    opened = i2md.open_clips(clips)
    rows = [
        (name, 0, frames // 2, f"class {label}")
        for name, frames, label in zip(*(opened.columns[c] for c in ("name", "frames", "label")), strict=True)
    ]
    labels = write_csv(tmp_path / "intervals.csv", ("recording", "start_frame", "end_frame", "label"), *rows)
    said = fit(run, clips, tmp_path / "model", "--labels", labels, "--windows", "0.5s", "--stride", "0.2s")
    assert said["classes"] == ["class 0", "class 1", "class 2", "class 3", "background"]
    assert said["windows"] == "0.5 s every 0.2 s"
    assert 0 <= said["smoothing"]["frame_accuracy"] <= 1
    assert set(said["smoothing"]["f1"]) == {"0.1", "0.25", "0.5"}


def test_clips_of_another_layout_are_said_to_be_converted_once_and_confusion_is_drawn(
    run: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    assert main(["convert", str(clips), str(other), "--to", "body-16"]) == 0
    capsys.readouterr()
    said = fit(run, other, tmp_path / "model", "--split", "xsub", "--confusion", tmp_path / "confusion.svg")
    assert capsys.readouterr().err.count("warning: ") == 1
    drawn = (tmp_path / "confusion.svg").read_text()
    named = [*said["classes"], f"{100 * said['accuracy']:.1f} % right in cross-validation over subjects"]
    assert all(f">{text}</text>" in drawn for text in named)
    # A row's name with its clips, and a number in every cell that is not 0.
    assert all(
        f">{name} ({sum(row)})</text>" in drawn for name, row in zip(said["classes"], said["confusion"], strict=True)
    )
    counts = [count for row in said["confusion"] for count in row if count]
    assert all(drawn.count(f">{count}</text>") == counts.count(count) for count in counts)


def test_a_split_is_tested_on_its_other_part(run: Path, clips: Path, tmp_path: Path) -> None:
    said = fit(run, clips, tmp_path / "model", "--split", "xsub")
    assert said["clips"] == said["held_out"]["clips"] == 16
    assert set(said["held_out"]) >= {"accuracy", "interval", "calibration_error", "rejected"}


def test_every_kind_of_classifier_survives_the_disk(run: Path, clips: Path, tmp_path: Path) -> None:
    pytest.importorskip("aeon")
    from i2md.data.packed import pack
    from i2md.inference.candidates import scores_of, summed
    from i2md.inference.classifier_files import write_classifier
    from i2md.inference.fit import fit_parts
    from i2md.inference.training_set import clip_set

    model = i2md.load(run, "cpu")
    opened = i2md.open_clips(clips)
    fitted = fit_parts(model, clip_set(model, opened), ["minirocket"], 0.1)
    write_classifier(tmp_path / "model", model, fitted, overwrite=False)
    again = load_parts(tmp_path / "model", i2md.load(tmp_path / "model", "cpu"))
    packed = pack(opened)
    one, other = (summed(scores_of(p.classifiers, p.features(packed)), p.info.candidate) for p in (fitted, again))
    assert torch.equal(one, other)
    assert again.info == fitted.info or again.info.report != fitted.info.report


def test_candidates_are_classifiers_and_sums_of_one_scale() -> None:
    assert candidate_names(["positions", "logistic", "learned", "minirocket"]) == [
        *(("learned",), ("logistic",), ("positions",), ("minirocket",)),
        *(("learned", "positions"), ("learned", "minirocket"), ("positions", "minirocket")),
        ("learned", "positions", "minirocket"),
    ]


@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression_in_the_space_of_the_clips_is_that_of_all_features(classes: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(30) % classes
    parts = {name: rng.normal(size=(30, 20)) + labels[:, None] for name in ("joint", "bone")}
    features = {name: torch.as_tensor(value, dtype=torch.float32) for name, value in parts.items()}
    fitted = fit_logistic(features, torch.as_tensor(labels), np.arange(30) // 3, classes)
    strength = 1 / fitted["joint"].penalty
    x = StandardScaler().fit_transform(np.concatenate(list(parts.values()), axis=1))
    expected = LogisticRegression(C=strength, max_iter=5000, tol=1e-8).fit(x, labels).predict_proba(x)
    scores = torch.stack([each.scores(features[name]) for name, each in fitted.items()]).mean(dim=0)
    np.testing.assert_allclose(scores.softmax(dim=1).numpy(), expected, atol=2e-3)


@pytest.mark.parametrize("groups", [3, 10, 40])
def test_folds_divide_clips_by_whole_groups(groups: int) -> None:
    of = np.arange(80) % groups
    folds = grouped_folds(np.arange(80) % 4, of, 5)
    assert len(folds) == min(groups, 5)
    np.testing.assert_array_equal(torch.stack(folds).sum(dim=0).numpy(), 1)
    for fold in folds:
        assert not set(of[fold.numpy()]) & set(of[~fold.numpy()])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--candidates", "forest"], "candidate 'forest' is not known; choose of learned, logistic"),
        (["--labels", "none.csv"], "there is no such file of labels"),
        (["--false_alarms", "1"], "false_alarms 1 must be at least 0 and below 1"),
        (["--windows", "1s"], "these clips have none"),
        (["--stride", "1s"], "stride belongs to windows"),
        (["--split", "nosuch"], "no split 'nosuch'"),
        (["--confusion", "matrix.doc"], "pictures are written as .png or .svg"),
    ],
)
def test_refused(run: Path, clips: Path, tmp_path: Path, refused: Callable, words: list[str], said: str) -> None:
    assert said in refused("fit", run, clips, tmp_path / "model", *words)


def test_labels_of_no_clip_or_of_one_class_are_refused(
    run: Path, clips: Path, tmp_path: Path, refused: Callable
) -> None:
    name = i2md.open_clips(clips).columns["name"][0]
    one = write_csv(tmp_path / "one.csv", ("name", "label"), (name, "up"))
    other = write_csv(tmp_path / "other.csv", ("name", "label"), ("nobody", "up"))
    assert "has only class 'up'; label clips of two classes" in refused("fit", run, clips, "m", "--labels", one)
    assert "labels none of the 32 clips, it names nobody" in refused("fit", run, clips, "m", "--labels", other)


def test_what_is_there_is_not_replaced_unasked(run: Path, clips: Path, tmp_path: Path, refused: Callable) -> None:
    model = tmp_path / "model"
    fit(run, clips, model)
    before = (model / "model.json").read_bytes()
    assert "holds a classifier; replace it by --overwrite" in refused("fit", run, clips, model)
    assert fit(run, clips, model, "--overwrite", "--false_alarms", "0.2")["false_alarms"] == 0.2
    assert (model / "model.json").read_bytes() != before
    assert "holds something else" in refused("fit", run, clips, shutil.copytree(clips, tmp_path / "c"), "--overwrite")
