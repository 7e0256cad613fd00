"""Masked motion prediction, and runs that start from the encoders of another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

import i2md
from i2md.cli.main import main
from i2md.data.store import Clips, open_clips
from i2md.encoders.settings import EncoderSettings
from i2md.objectives.settings import ObjectiveSettings
from i2md.pretraining.log import read_log
from i2md.pretraining.masked import MaskedMotion, masked_frames, relative_error
from i2md.pretraining.models import build_model
from i2md.pretraining.pretrain import pretrain_run
from i2md.pretraining.settings import OptimizerSettings, PretrainSettings
from i2md.skeletons import get_layout
from i2md.views.settings import ViewSettings
from i2md.views.streams import stream

LAYOUT = get_layout("openni-15")
SETTINGS = PretrainSettings(
    method="masked",
    epochs=3,
    batch_size=8,
    diagnostics_every=0,
    views=ViewSettings(frames=8),
    encoder=EncoderSettings(hidden_size=4, num_layers=1),
    objectives=ObjectiveSettings(embedding_dim=4, queue_size=16, num_neighbours=4, dna_num_neighbours=2, mask_frames=2),
    optimizer=OptimizerSettings(milestones=(2, 4)),
)


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of masked motion prediction by the command line."""
    base = tmp_path_factory.getbasetemp()
    run = base / "masked-run"
    words = [*tiny.SETTINGS, "--method", "masked", "--objectives.mask_frames", "2"]
    assert main(["pretrain", str(tiny.clips(base)), str(run), *words]) == 0
    return run


@given(st.integers(1, 20), st.integers(1, 6), st.floats(0.05, 1))
def test_whole_stretches_are_hidden_and_as_many_as_stated(frames, length, fraction):
    stretches = -(-frames // length)
    hidden = masked_frames(torch.rand(3, stretches), frames, length, fraction)
    assert hidden.shape == (3, frames)
    for row in hidden.tolist():
        parts = [row[first : first + length] for first in range(0, frames, length)]
        assert all(len(set(part)) == 1 for part in parts)
        assert sum(part[0] for part in parts) == max(1, round(fraction * stretches))


def test_the_error_is_that_of_the_hidden_frames_in_units_of_their_motion():
    torch.manual_seed(0)
    target, predicted = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    hidden = torch.tensor([[True, False, True], [False, False, True]])
    values = [
        (p, t)
        for b in range(2)
        for f in range(3)
        if hidden[b, f]
        for p, t in zip(*map(list, (predicted[b, f], target[b, f])), strict=True)
    ]
    scale = (sum(t**2 for _, t in values) / len(values)) ** 0.5
    expected = sum((p - t / scale) ** 2 for p, t in values) / len(values)
    assert relative_error(predicted, target, hidden).item() == pytest.approx(expected.item(), rel=1e-5)
    assert relative_error(torch.zeros(2, 3, 4), target, hidden).item() == pytest.approx(1, rel=1e-5)
    assert relative_error(100 * torch.zeros(2, 3, 4), 9 * target, hidden).item() == pytest.approx(1, rel=1e-5)


def test_the_encoders_do_not_see_the_hidden_frames():
    tcn = EncoderSettings(name="tcn", options={"hidden_size": 4, "num_blocks": 1})
    model = MaskedMotion(
        replace(SETTINGS, encoder=tcn, objectives=replace(SETTINGS.objectives, projection="mlp")), LAYOUT
    )
    seen = {}
    for name, branch in model.query.items():
        branch.encoder.register_forward_pre_hook(lambda _, inputs, name=name: seen.setdefault(name, inputs[0]))
    views, hidden = torch.randn(2, 8, 15, 3, 1), torch.zeros(2, 8, dtype=torch.bool)
    hidden[:, 3:5] = True
    model(views, hidden, torch.arange(2))
    for name in SETTINGS.streams:
        expected = stream(views, name, LAYOUT).clone()
        expected[:, 3:5] = 0
        assert torch.equal(seen[name], expected)


def test_encoders_start_as_those_of_the_other_methods():
    models = []
    for method in ("cmd", "masked"):
        torch.manual_seed(0)
        models.append(build_model(replace(SETTINGS, method=method), LAYOUT))
    for name in SETTINGS.streams:
        mine, other = (model.query[name].encoder.state_dict() for model in models)
        assert all(torch.equal(mine[key], value) for key, value in other.items())


def test_it_learns_to_predict_motion():
    """Still clips of two kinds that move in the hidden frames as their first frame says."""
    torch.manual_seed(0)
    model = MaskedMotion(replace(SETTINGS, streams=("joint",)), LAYOUT)
    optimizer, errors = torch.optim.AdamW(model.query.parameters(), lr=0.02), []
    for _ in range(40):
        way = torch.randint(0, 2, (16, 1, 1, 1, 1)) * 2.0 - 1
        views = way * torch.linspace(0, 1, 8).view(1, 8, 1, 1, 1) + torch.zeros(16, 8, 15, 3, 1)
        hidden = masked_frames(torch.rand(16, 4), 8, 2, 0.25)
        losses, keys = model(views, hidden, torch.arange(16))
        errors.append(losses["masked_motion/joint"].item())
        assert not keys
        optimizer.zero_grad()
        losses["masked_motion/joint"].backward()
        optimizer.step()
    assert errors[0] == pytest.approx(1, abs=1e-4) and errors[-1] < 0.5


def test_the_run_is_a_run(masked: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.getbasetemp()
    assert {name for name in read_log(masked)[-1] if name.startswith("masked")} == {
        f"masked_motion/{name}" for name in SETTINGS.streams
    }
    shutil.copytree(masked, tmp_path / "run")
    words = ["evaluate", str(tmp_path / "run"), str(tiny.clips(base)), "--protocol", "knn", "--device", "cpu"]
    assert main([*words, "--baselines", "untrained"]) == 0
    features = i2md.load(masked, "cpu").embed(open_clips(tiny.clips(base)))
    assert all(np.isfinite(values).all() for values in features.values())


def test_a_run_starts_from_the_encoders_of_another(
    masked: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    words = [*tiny.SETTINGS, "--epochs", "1", "--optimizer.learning_rate", "1e-30", "--optimizer.weight_decay", "0"]
    clips = str(tiny.clips(tmp_path_factory.getbasetemp()))
    assert main(["pretrain", clips, str(tmp_path / "run"), *words, "--start_from", str(masked)]) == 0
    earlier, later = (load_file(run / "model.safetensors") for run in (masked, tmp_path / "run"))
    weights = [name for name in earlier if ".encoder." in name and "running" not in name and "num_batches" not in name]
    assert weights
    for name in weights:
        torch.testing.assert_close(later[name], earlier[name], atol=1e-20, rtol=0)
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["start"]["run"] == str(masked) and len(config["start"]["weights"]) == 64
    # The same command resumes, and a changed earlier run is another start.
    moved = tmp_path / "moved"
    shutil.copytree(masked, moved)
    assert main(["pretrain", clips, str(tmp_path / "run"), *words, "--start_from", str(moved)]) == 0
    shutil.copy(tmp_path / "run" / "model.safetensors", moved / "model.safetensors")
    assert main(["pretrain", clips, str(tmp_path / "run"), *words, "--start_from", str(moved)]) == 2


def test_a_start_that_does_not_fit_is_refused(
    masked: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, refused: Callable[..., str]
) -> None:
    base = tmp_path_factory.getbasetemp()
    words = ["pretrain", str(tiny.clips(base)), str(tmp_path / "run"), *tiny.SETTINGS, "--start_from"]
    unfinished, flat = base / "unfinished-run", base / "another-layout"
    shutil.copytree(masked, unfinished, dirs_exist_ok=True)
    (unfinished / "model.safetensors").unlink()
    shutil.copytree(masked, flat, dirs_exist_ok=True)
    config = yaml.safe_load((flat / "config.yaml").read_text())
    config["layout"]["joints"][0], config["persons"] = "somewhere", 2
    (flat / "config.yaml").write_text(yaml.safe_dump(config))
    assert "not a run" in refused(*words, str(base / "nothing"))
    assert "that run is not finished" in refused(*words, str(unfinished))
    assert "encoder.hidden_size 8 (here 4)" in refused(*words, str(masked), "--encoder.hidden_size", "4")
    assert "layout kinect-v1 (here kinect-v1); 2 persons a clip (here 1)" in refused(*words, str(flat))
    single = base / "single-stream"
    shutil.copytree(masked, single, dirs_exist_ok=True)
    config = yaml.safe_load((masked / "config.yaml").read_text())
    config["settings"]["streams"] = ["joint"]
    (single / "config.yaml").write_text(yaml.safe_dump(config))
    assert "no stream motion, bone, only joint" in refused(*words, str(single))


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "masked"},
        {"method": "i2md", "views": ViewSettings(frames=8, short_crops=2, short_frames=4)},
        {
            "method": "imd",
            "objectives": replace(SETTINGS.objectives, cluster_target="memory", extra={"decorrelation": 0.1}),
        },
    ],
    ids=["masked", "multi-crop", "memory"],
)
def test_a_run_that_goes_on_ends_as_one_without_a_break(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, changes
) -> None:
    clips: Clips = open_clips(tiny.clips(tmp_path_factory.getbasetemp()))
    settings = replace(SETTINGS, epochs=2, streams=("joint", "bone"), **changes)
    pretrain_run(clips, tmp_path / "long", settings, device="cpu")
    pretrain_run(clips, tmp_path / "run", replace(settings, epochs=1), device="cpu")
    pretrain_run(clips, tmp_path / "run", settings, device="cpu", longer=True)
    for name in ("model.safetensors", "training_state.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "long" / name).read_bytes()
    names = {name.split("/")[0] for name in json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])}
    assert names & {"masked_motion", "multi_crop", "decorrelation"}
