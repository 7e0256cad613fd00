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
from i2md.evaluation.settings import EvaluationSettings, FinetuneSettings, LinearSettings
from i2md.views.resize import random_crop

PROTOCOLS = ("knn", "retrieval", "linear", "finetune", "supervised", "semi", "few-shot")
WORDS = [
    *("--protocol", *PROTOCOLS, "--device", "cpu", "--knn.k", "1", "3", "--retrieval.recall", "1", "5"),
    *("--linear.epochs", "3", "--linear.milestones", "2", "--linear.crops", "2", "--linear.batch_size", "5"),
    *("--finetune.epochs", "2", "--finetune.batch_size", "8", "--finetune.learning_rate", "0.05"),
    *("--semi.label_fractions", "0.25", "0.5", "--semi.draws", "2", "--few_shot.labels", "1", "--few_shot.draws", "3"),
]
STREAMS = ["joint", "motion", "bone", "3-stream"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp()


@pytest.fixture(scope="module")
def evaluated(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]]]:
    run = tmp_path_factory.mktemp("protocols") / "run"
    shutil.copytree(tiny.run(base), run)
    assert main(["evaluate", str(run), str(tiny.clips(base)), *WORDS]) == 0
    written = [json.loads(path.read_text()) for path in sorted((run / "evaluation").iterdir())]
    return run, {result["protocol"]: result for result in written}


def test_every_protocol_is_written_with_all_that_it_depends_on(
    evaluated: tuple[Path, dict[str, dict[str, Any]]],
) -> None:
    results = evaluated[1]
    assert sorted(results) == sorted(
        ["knn", "knn-3", "retrieval", "linear", "finetune", "supervised", "semi-0.25", "semi-0.5", "few-shot-1"]
    )
    for name, result in results.items():
        assert list(result["accuracy"]) == STREAMS, name
        assert (result["dataset"], result["split"], result["seed"], result["recipe"]) == ("synthetic", "xsub", 0, None)
        assert result["pretrained_on"] == {"dataset": "synthetic", "split": "xsub"}
        assert result["versions"]["torch"] == torch.__version__
        assert result["settings"]["finetune"]["epochs"] == 2 and result["settings"]["semi"]["shares"] == [0.25, 0.5]
        assert result["method"] == ("untrained" if name == "supervised" else "i2md")
        tests = len(result["labels"]) * len(result.get("draws", [0]))
        for stream in STREAMS:
            confusion = np.array(result["confusion"][stream])
            assert confusion.sum() == tests
            assert result["accuracy"][stream] == pytest.approx(np.trace(confusion) / tests)
    assert list(results["retrieval"]["measures"]) == ["mAP", "recall@1", "recall@5"]
    for name in ("linear", "finetune", "supervised", "semi-0.5", "few-shot-1"):
        assert all(results[name]["best_test_epoch"][s] >= results[name]["accuracy"][s] for s in STREAMS)


def test_drawn_labels_are_written_out_and_their_mean_and_spread_are_the_result(
    evaluated: tuple[Path, dict[str, dict[str, Any]]], base: Path
) -> None:
    clips = i2md.open_clips(tiny.clips(base)).part("xsub", "train")
    label = dict(zip(clips.columns["name"].tolist(), clips.labels.tolist(), strict=True))
    for name, draws, few in (("semi-0.25", 2, 1), ("semi-0.5", 2, 2), ("few-shot-1", 3, 1)):
        result = evaluated[1][name]
        assert "predictions" not in result and len(result["draws"]) == draws
        for draw in result["draws"]:
            assert sorted(label[clip] for clip in draw["train_clips"]) == sorted([*range(4)] * few)
            right = np.array(draw["predictions"]["joint"]) == np.array(result["labels"])
            assert draw["accuracy"]["joint"] == pytest.approx(right.mean())
        values = [draw["accuracy"]["3-stream"] for draw in result["draws"]]
        assert result["accuracy"]["3-stream"] == pytest.approx(np.mean(values))
        assert result["spread"]["3-stream"] == pytest.approx(np.std(values, ddof=1))
        assert len({tuple(draw["train_clips"]) for draw in result["draws"]}) > 1


def test_neighbours_vote_as_scikit_learns(evaluated: tuple[Path, dict[str, dict[str, Any]]], base: Path) -> None:
    run, results = evaluated
    clips = i2md.open_clips(tiny.clips(base))
    train, test = clips.part("xsub", "train"), clips.part("xsub", "test")
    model = i2md.load(run, "cpu")
    known, asked = model.embed(train), model.embed(test)
    for name in ("joint", "motion", "bone"):
        for k, protocol in ((1, "knn"), (3, "knn-3")):
            judge = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(known[name], train.labels)
            nearest = train.labels[judge.kneighbors(asked[name], return_distance=False)]
            # Where votes tie scikit-learn takes the smallest class, we the nearest clip's.
            votes = np.sort(np.stack([(nearest == c).sum(axis=1) for c in range(4)]), axis=0)
            clear = votes[-1] > votes[-2]
            predicted = np.array(results[protocol]["predictions"][name])
            assert (predicted == judge.predict(asked[name]))[clear].all() and clear.any()


def test_the_table_and_the_report_show_them(
    evaluated: tuple[Path, dict[str, dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    from i2md.evaluation.table import accuracy_table

    run, results = evaluated
    table, page = accuracy_table(results.values()), (run / "report.html").read_text(encoding="utf-8")
    for row in ("semi-0.25, 2 draws", "retrieval, mAP", "finetune, best test epoch", "few-shot-1, 3 draws"):
        assert f"| {row} " in table
    for row in ("retrieval, mAP", "semi-0.25, standard deviation over the draws", "mean of 2 draws"):
        assert row in page


def _evaluate(run: Path, to: Path, clips: Any, protocol: str, **settings: Any) -> dict[str, Any]:
    if not to.exists():
        shutil.copytree(run, to)
    (result,) = i2md.evaluate(
        run=to, clips=clips, protocol=[protocol], device="cpu", settings=EvaluationSettings(**settings)
    )
    return result


def test_enough_crops_are_the_exact_protocol_and_fewer_come_in_turn(base: Path, tmp_path: Path) -> None:
    clips, run = i2md.open_clips(tiny.clips(base)), tiny.run(base)
    plain = LinearSettings(epochs=4, milestones=(3,), learning_rate=1.0)
    found = {
        name: _evaluate(run, tmp_path / "run", clips, "linear", linear=dataclasses.replace(plain, **change))
        for name, change in {"exact": {"exact": True}, "four": {"crops": 4}, "one": {"crops": 1}}.items()
    }
    assert found["exact"]["predictions"] == found["four"]["predictions"]
    assert found["exact"]["settings"]["linear"]["exact"] and not found["one"]["settings"]["linear"]["exact"]


def test_linear_is_a_linear_layer_trained_by_pytorch(base: Path, tmp_path: Path) -> None:
    """One crop that is the whole clip, one batch an epoch: nothing random is left but the start."""
    clips, run = i2md.open_clips(tiny.clips(base)), tiny.run(base)
    settings = LinearSettings(epochs=30, batch_size=16, milestones=(20,), crop=(1.0, 1.0), learning_rate=0.5)
    result = _evaluate(run, tmp_path / "run", clips, "linear", linear=settings)
    model = i2md.load(run, "cpu")
    train, test = clips.part("xsub", "train"), clips.part("xsub", "test")
    whole = _whole_clips(model, train)
    asked = model.embed(test)
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
        total += layer(torch.tensor(asked[name])).detach()
    agreement = (np.array(result["predictions"]["3-stream"]) == total.argmax(dim=1).numpy()).mean()
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


def test_supervised_is_fine_tuning_before_any_training(
    evaluated: tuple[Path, dict[str, dict[str, Any]]], base: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny.run(base), tmp_path / "run")
    words = [*WORDS, "--protocol", "finetune", "--untrained", "--json", str(tmp_path / "j.json")]
    assert main(["evaluate", str(tmp_path / "run"), str(tiny.clips(base)), *words]) == 0
    trained, untrained = json.loads((tmp_path / "j.json").read_text())["results"]
    assert untrained["predictions"] == evaluated[1]["supervised"]["predictions"]
    assert trained["predictions"] == evaluated[1]["finetune"]["predictions"]


def test_a_run_is_evaluated_on_other_clips_of_its_layout(base: Path, tmp_path: Path) -> None:
    clips = i2md.open_clips(tiny.clips(base))
    other = dataclasses.replace(clips.dataset, name="other", splits={"mine": clips.dataset.splits["xsub"]})
    moved = i2md.Clips(clips.path, other, clips.frames, clips.columns)
    result = _evaluate(tiny.run(base), tmp_path / "run", moved, "finetune", finetune=FinetuneSettings(epochs=1))
    assert (result["dataset"], result["split"]) == ("other", "mine")
    assert result["pretrained_on"] == {"dataset": "synthetic", "split": "xsub"}
    from i2md.evaluation.table import accuracy_table

    assert "| synthetic to other mine |" in accuracy_table([result])


def test_two_processes_find_what_one_does(
    evaluated: tuple[Path, dict[str, dict[str, Any]]], base: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny.run(base), tmp_path / "run")
    chosen = ("--protocol", "retrieval", "linear", "finetune", "semi")
    codes, written = job.ends(job.start("evaluate", tmp_path / "run", tiny.clips(base), *WORDS, *chosen))
    assert codes == [0, 0], written
    results = [json.loads(path.read_text()) for path in (tmp_path / "run" / "evaluation").iterdir()]
    assert len(results) == 5
    for result in results:
        alone = evaluated[1][result["protocol"]]
        assert result["accuracy"] == pytest.approx(alone["accuracy"]), result["protocol"]
        assert result.get("draws") == alone.get("draws")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--semi.label_fractions", "0"], "semi.label_fractions (0.0,) must be above 0"),
        (["--semi.share", "0.1"], "did you mean semi.label_fractions?"),
        (["--knn.k", "99"], "knn.k 99: there are 16 training clips"),
        (["--linear.epochs", "0"], "must be at least 1"),
        (["--few_shot.labels", "0"], "few_shot.labels (0,) must be numbers from 1 on"),
        (["--finetune.crop", "0.9", "0.5"], "finetune.crop (0.9, 0.5) must rise"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    words: list[str], said: str, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = ["evaluate", str(tiny.run(base)), str(tiny.clips(base)), "--device", "cpu", "--protocol", "knn"]
    assert main([*typed, *words]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("i2md:")]
    assert said in line
