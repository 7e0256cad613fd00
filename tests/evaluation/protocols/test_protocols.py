"""Every protocol through the command line at a tiny size: what is written, and what it agrees with."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import job
import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from sklearn.neighbors import KNeighborsClassifier

import i2md
from i2md.cli.main import main
from i2md.evaluation.results import Result, read_results
from i2md.evaluation.settings import EvaluationSettings, FinetuneSettings, LinearSettings
from i2md.evaluation.table import accuracy_table, protocol_title
from i2md.views.resize import random_crop

PROTOCOLS = ("knn", "retrieval", "linear", "finetune", "supervised", "semi", "few-shot")
WORDS = [
    *("--protocol", *PROTOCOLS, "--device", "cpu", "--knn.k", "1", "3", "--retrieval.recall", "1", "5"),
    *("--linear.epochs", "3", "--linear.milestones", "2", "--linear.crops", "2", "--linear.batch_size", "5"),
    *("--finetune.epochs", "2", "--finetune.batch_size", "8", "--finetune.learning_rate", "0.05"),
    *("--semi.label_fractions", "0.25", "0.5", "--semi.draws", "2", "--few_shot.labels", "1", "--few_shot.draws", "3"),
]
STREAMS = ["joint", "motion", "bone", "ensemble"]


# Results by title of the protocol, one for each draw of the labels.
Evaluated = dict[str, list[Result]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp()


@pytest.fixture(scope="module")
def evaluated(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evaluated]:
    run = tmp_path_factory.mktemp("protocols") / "run"
    shutil.copytree(tiny.run(base), run)
    assert main(["evaluate", str(run), str(tiny.clips(base)), "--baselines", "none", *WORDS]) == 0
    found: Evaluated = {}
    for result in read_results(run / "evaluation"):
        found.setdefault(protocol_title(result), []).append(result)
    return run, found


def test_every_protocol_is_written_with_everything_it_depends_on(evaluated: tuple[Path, Evaluated]) -> None:
    found = evaluated[1]
    assert {title: len(results) for title, results in found.items()} == {
        **dict.fromkeys(["knn", "knn, k = 3", "retrieval", "linear", "finetune", "supervised"], 1),
        **dict.fromkeys(["semi, 25 % of the labels", "semi, 50 % of the labels"], 2),
        "few-shot, 1 label a class": 3,
    }
    for title, result in ((title, result) for title, results in found.items() for result in results):
        assert list(result.scores) == STREAMS, title
        assert (result.dataset, result.split, result.seed, result.recipe) == ("synthetic", "xsub", 0, "ntu60")
        assert (result.pretraining_dataset, result.pretraining_split) == ("synthetic", "xsub")
        assert result.versions["torch"].split("+")[0] == torch.__version__.split("+")[0]
        assert result.method == "i2md" and result.baseline == ("untrained" if title == "supervised" else None)
        assert result.epochs == (0 if title == "supervised" else 2)
        for scores in result.scores.values():
            confusion = np.array(scores.confusion)
            assert confusion.sum() == len(result.labels)
            assert scores.accuracy == pytest.approx(np.trace(confusion) / len(result.labels))
    settings = {results[0].protocol: results[0].settings for results in found.values()}
    assert {name: list(sections) for name, sections in settings.items()} == {
        **{name: [name] for name in ("knn", "retrieval", "linear", "finetune")},
        **{"supervised": ["finetune"], "semi": ["semi", "finetune"], "few-shot": ["few_shot", "linear"]},
    }
    assert settings["semi"]["finetune"]["epochs"] == 2
    assert settings["semi"]["semi"]["label_fractions"] == [0.25, 0.5]
    assert list(found["retrieval"][0].overall.metrics) == ["mAP", "recall@1", "recall@5"]
    for title in ("linear", "finetune", "supervised", "semi, 50 % of the labels", "few-shot, 1 label a class"):
        assert all(s.best_test_accuracy >= s.accuracy for s in found[title][0].scores.values())


def test_the_labelled_clips_of_each_draw_are_written(evaluated: tuple[Path, Evaluated], base: Path) -> None:
    clips = i2md.open_clips(tiny.clips(base)).part("xsub", "train")
    label = dict(zip(clips.columns["name"].tolist(), clips.labels.tolist(), strict=True))
    per_class = {"semi, 25 % of the labels": 1, "semi, 50 % of the labels": 2, "few-shot, 1 label a class": 1}
    for title, count in per_class.items():
        results = evaluated[1][title]
        assert [result.draw for result in results] == list(range(len(results)))
        for result in results:
            assert sorted(label[clip] for clip in result.labelled_clips) == sorted([*range(4)] * count)
            right = np.array(result.streams["joint"].predictions) == np.array(result.labels)
            assert result.streams["joint"].accuracy == pytest.approx(right.mean())
        assert len({tuple(result.labelled_clips) for result in results}) > 1


def test_knn_predicts_what_scikit_learn_predicts(evaluated: tuple[Path, Evaluated], base: Path) -> None:
    run, results = evaluated
    clips = i2md.open_clips(tiny.clips(base))
    train, test = clips.part("xsub", "train"), clips.part("xsub", "test")
    model = i2md.load(run, "cpu")
    known, queries = model.embed(train), model.embed(test)
    for name in ("joint", "motion", "bone"):
        for k, title in ((1, "knn"), (3, "knn, k = 3")):
            reference = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(known[name], train.labels)
            nearest = train.labels[reference.kneighbors(queries[name], return_distance=False)]
            # Where votes tie scikit-learn takes the smallest class, we the nearest clip's.
            votes = np.sort(np.stack([(nearest == c).sum(axis=1) for c in range(4)]), axis=0)
            clear = votes[-1] > votes[-2]
            predicted = np.array(results[title][0].streams[name].predictions)
            assert (predicted == reference.predict(queries[name]))[clear].all() and clear.any()


def test_the_table_and_the_report_show_them(
    evaluated: tuple[Path, Evaluated], capsys: pytest.CaptureFixture[str]
) -> None:
    run, found = evaluated
    table = accuracy_table([result for results in found.values() for result in results])
    page = (run / "report.html").read_text(encoding="utf-8")
    drawn = ("semi, 25 % of the labels, 2 draws, 4 labels", "few-shot, 1 label a class, 3 draws")
    for row in ("retrieval, mAP", "finetune, best test epoch", *drawn):
        assert f"| {row} " in table
    for row in ("retrieval, mAP", "semi, 25 % of the labels, standard deviation over the draws", "mean of 2 draws"):
        assert row in page


def _evaluate(run: Path, to: Path, clips: Any, protocol: str, **settings: Any) -> Result:
    if not to.exists():
        shutil.copytree(run, to)
    (result,) = i2md.evaluate(
        run=to, clips=clips, protocol=[protocol], device="cpu", settings=EvaluationSettings(**settings)
    )
    return result


def test_with_a_crop_for_each_epoch_the_protocol_is_the_exact_one(base: Path, tmp_path: Path) -> None:
    clips, run = i2md.open_clips(tiny.clips(base)), tiny.run(base)
    plain = LinearSettings(epochs=4, milestones=(3,), learning_rate=1.0)
    found = {
        name: _evaluate(run, tmp_path / "run", clips, "linear", linear=dataclasses.replace(plain, **change))
        for name, change in {"exact": {"exact": True}, "four": {"crops": 4}, "one": {"crops": 1}}.items()
    }
    assert found["exact"].scores == found["four"].scores
    assert found["exact"].settings["linear"]["exact"] and not found["one"].settings["linear"]["exact"]


def test_linear_equals_a_linear_layer_trained_by_pytorch(base: Path, tmp_path: Path) -> None:
    """One crop that is the whole clip, one batch an epoch: nothing random is left but the start."""
    clips, run = i2md.open_clips(tiny.clips(base)), tiny.run(base)
    settings = LinearSettings(epochs=30, batch_size=16, milestones=(20,), crop=(1.0, 1.0), learning_rate=0.5)
    result = _evaluate(run, tmp_path / "run", clips, "linear", linear=settings)
    model = i2md.load(run, "cpu")
    train, test = clips.part("xsub", "train"), clips.part("xsub", "test")
    whole = _whole_clips(model, train)
    queries = model.embed(test)
    total = torch.zeros(len(test), 4)
    for name in STREAMS[:3]:
        layer = torch.nn.Linear(whole[name].shape[1], 4)
        torch.nn.init.zeros_(layer.weight)  # ours starts within 0.01 of it, and the loss is convex
        torch.nn.init.zeros_(layer.bias)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.5, momentum=0.9)
        for epoch in range(30):
            optimizer.param_groups[0]["lr"] = 0.5 if epoch < 20 else 0.05
            optimizer.zero_grad()
            F.cross_entropy(layer(whole[name]), torch.tensor(train.labels)).backward()
            optimizer.step()
        total += layer(torch.tensor(queries[name])).detach()
    agreement = (np.array(result.overall.predictions) == total.argmax(dim=1).numpy()).mean()
    assert agreement >= 15 / 16


def _whole_clips(model: Any, clips: Any) -> dict[str, torch.Tensor]:
    from i2md.data.packed import pack
    from i2md.evaluation.features import extract
    from i2md.views.resize import crop_resize

    packed = pack(clips)
    begin, length = random_crop(packed, torch.arange(len(packed)), (1.0, 1.0), 1, torch.zeros(2, len(packed)))
    return extract(
        model.encoders,
        clips.dataset.layout,
        len(packed),
        lambda indices: crop_resize(packed, indices, begin[indices], length[indices], 8, clips.max_persons),
    )


def test_supervised_is_fine_tuning_of_randomly_initialised_encoders(
    evaluated: tuple[Path, Evaluated], base: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny.run(base), tmp_path / "run")
    words = [*WORDS, "--protocol", "finetune", "--baselines", "untrained", "--json", str(tmp_path / "j.json")]
    assert main(["evaluate", str(tmp_path / "run"), str(tiny.clips(base)), *words]) == 0
    results = [Result.from_dict(data) for data in json.loads((tmp_path / "j.json").read_text())["results"]]
    trained, untrained = results
    assert untrained.scores == evaluated[1]["supervised"][0].scores
    assert trained == evaluated[1]["finetune"][0]


def test_a_run_is_evaluated_on_other_clips_of_its_layout(base: Path, tmp_path: Path) -> None:
    clips = i2md.open_clips(tiny.clips(base))
    other = dataclasses.replace(clips.dataset, name="other", splits={"mine": clips.dataset.splits["xsub"]})
    moved = i2md.Clips(clips.path, other, clips.frames, clips.columns)
    result = _evaluate(tiny.run(base), tmp_path / "run", moved, "finetune", finetune=FinetuneSettings(epochs=1))
    assert (result.dataset, result.split) == ("other", "mine")
    assert (result.pretraining_dataset, result.pretraining_split) == ("synthetic", "xsub")
    assert "| synthetic to other mine |" in accuracy_table([result])


@pytest.mark.slow
def test_two_processes_compute_the_results_of_one(
    evaluated: tuple[Path, Evaluated], base: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny.run(base), tmp_path / "run")
    chosen = ("--protocol", "retrieval", "linear", "finetune", "semi")
    codes, written = job.finish(job.start("evaluate", tmp_path / "run", tiny.clips(base), *WORDS, *chosen))
    assert codes == [0, 0], written
    results = read_results(tmp_path / "run" / "evaluation")
    assert len(results) == 3 + 2 * 2
    for result in results:
        alone = evaluated[1][protocol_title(result)][result.draw or 0]
        assert result.labelled_clips == alone.labelled_clips
        for name, scores in result.scores.items():
            assert scores.accuracy == pytest.approx(alone.scores[name].accuracy), protocol_title(result)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--semi.label_fractions", "0"], "semi.label_fractions (0.0,) must be above 0"),
        (["--semi.label_fraction", "0.1"], "semi.label_fractions?"),
        (["--knn.k", "99"], "knn.k 99: there are 16 labelled training clips"),
        (["--linear.epochs", "0"], "must be at least 1"),
        (["--few_shot.labels", "0"], "few_shot.labels (0,) must be numbers of at least 1"),
        (["--finetune.crop", "0.9", "0.5"], "finetune.crop (0.9, 0.5) must be two increasing fractions"),
    ],
)
def test_invalid_settings_are_one_line(
    words: list[str], said: str, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = ["evaluate", str(tiny.run(base)), str(tiny.clips(base)), "--device", "cpu", "--protocol", "knn"]
    capsys.readouterr()
    assert main([*typed, *words]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("i2md:")]
    assert said in line
