"""Settings: contradictions are refused in words, unknown ones are named, and a run's file gives them back."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from i2md.encoders.settings import EncoderSettings
from i2md.errors import InputError
from i2md.objectives.settings import ObjectiveSettings
from i2md.pretraining.run import CONFIG, RunConfig, read_config, settings_from_dict
from i2md.pretraining.settings import OptimizerSettings, PretrainSettings
from i2md.skeletons import get_layout
from i2md.views.settings import ViewSettings

UNUSUAL = PretrainSettings(
    method="imd",
    epochs=3,
    batch_size=8,
    seed=11,
    split="xsub",
    streams=("bone", "joint"),
    precision="bf16",
    checkpoint_minutes=0.5,
    views=ViewSettings(frames=32, crop=(0.2, 0.9), min_crop_frames=8, shear=0.5, corrupt_fraction=0.25),
    encoder=EncoderSettings(hidden_size=16, num_layers=1),
    objectives=ObjectiveSettings(
        queue_size=64, num_neighbours=32, teacher_temperature=0.0, mask_self=True, warmup_steps=5
    ),
    optimizer=OptimizerSettings(name="adamw", learning_rate=1e-3, schedule="cosine", milestones=(), warmup_epochs=1.5),
)


def objectives(**changes):
    return {"objectives": replace(ObjectiveSettings(), **changes)}


def views(**changes):
    return {"views": replace(ViewSettings(), **changes)}


CONTRADICTIONS = [
    ({"streams": ()}, "choose among joint, motion, bone"),
    ({"streams": ("joint", "velocity")}, "velocity.*choose among joint, motion, bone"),
    ({"streams": ("joint", "joint")}, "each may be named once"),
    ({"streams": ("joint",)}, "method i2md needs at least two streams"),
    ({"streams": ("bone",), "method": "cmd"}, "method cmd needs at least two streams"),
    ({"epochs": 0}, "epochs 0"),
    ({"batch_size": 1}, "batch of 2"),
    ({"batch_size": 100}, r"objectives.queue_size 16384 must be a multiple of batch_size 100"),
    (objectives(num_neighbours=0), r"objectives.num_neighbours 0 must be between 1 and objectives.queue_size 16384"),
    (objectives(num_neighbours=16385), r"objectives.num_neighbours 16385"),
    (objectives(dna_num_neighbours=0), r"objectives.dna_num_neighbours 0"),
    (objectives(dna_num_neighbours=16384), r"objectives.dna_num_neighbours 16384"),
    (objectives(temperature=0.0), "temperatures must be above 0"),
    (objectives(student_temperature=-0.1), "temperatures must be above 0"),
    (objectives(dna_temperature=0.0), "temperatures must be above 0"),
    (objectives(teacher_temperature=-0.1), "temperatures must be above 0"),
    (objectives(momentum=1.5), r"objectives.momentum 1.5 must be between 0 and 1"),
    (views(crop=(0.0, 1.0)), r"views.crop \(0.0, 1.0\) must rise"),
    (views(crop=(0.9, 0.5)), r"views.crop \(0.9, 0.5\) must rise"),
    (views(crop=(0.5, 1.5)), r"views.crop \(0.5, 1.5\) must rise"),
    (views(frames=0), r"views.frames 0"),
    (views(corrupt_fraction=1.2), r"views.corrupt_fraction 1.2"),
    (views(rotation=200.0), r"views.rotation 200.0"),
    ({"encoder": EncoderSettings(hidden_size=0)}, "encoder: hidden_size and num_layers"),
    ({"encoder": EncoderSettings(num_layers=0)}, "encoder: hidden_size and num_layers"),
    ({"optimizer": OptimizerSettings(learning_rate=0.0)}, r"optimizer.learning_rate 0.0 must be above 0"),
]


@pytest.mark.parametrize(("changes", "message"), CONTRADICTIONS, ids=lambda v: v if isinstance(v, str) else "")
def test_contradicting_settings_are_an_input_error(changes, message):
    with pytest.raises(InputError, match=message) as refused:
        PretrainSettings(**changes)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("method", ["moco", "imd"])
def test_one_stream_suffices_without_cross_modal_distillation(method):
    assert PretrainSettings(method=method, streams=("joint",)).streams == ("joint",)


def test_the_defaults_are_the_published_ones():
    """docs/method.md sections 2 to 4 and 7."""
    s = PretrainSettings()
    assert (s.epochs, s.batch_size, s.streams) == (450, 64, ("joint", "motion", "bone"))
    assert (s.encoder.hidden_size, s.encoder.num_layers, s.views.frames, s.views.crop) == (1024, 3, 64, (0.1, 1.0))
    o, p = s.objectives, s.optimizer
    assert (o.embedding_dim, o.queue_size, o.num_neighbours, o.momentum) == (128, 16384, 8192, 0.999)
    assert (o.temperature, o.teacher_temperature, o.student_temperature) == (0.07, 0.05, 0.1)
    assert (p.name, p.learning_rate, p.weight_decay, p.milestones) == ("sgd", 0.01, 1e-4, (350,))


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"epoch": 3}, "epoch"),
        ({"objectives": {"neighbors": 3}}, "neighbors"),
        ({"optimizer": {"lr": 0.1}}, "lr"),
        ({"views": {"frame": 3}}, "frame"),
    ],
)
def test_an_unknown_setting_is_named(data, named):
    with pytest.raises(InputError, match=rf"\b{named}\b") as refused:
        settings_from_dict(data)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("data", "named"),
    [({"epochs": "many"}, "epochs"), ({"method": "simclr"}, "method"), ({"views": {"crop": 0.5}}, "crop")],
)
def test_a_setting_of_the_wrong_type_is_named(data, named):
    with pytest.raises(InputError, match=named):
        settings_from_dict(data)


def test_a_contradiction_in_a_file_gives_the_same_message():
    with pytest.raises(InputError, match=r"objectives.queue_size 100 must be a multiple of batch_size 64"):
        settings_from_dict({"objectives": {"queue_size": 100, "num_neighbours": 50}})


def test_scientific_notation_in_yaml_is_a_number():
    """YAML reads a bare 1e-4 as text."""
    assert settings_from_dict({"optimizer": {"weight_decay": "1e-4"}}).optimizer.weight_decay == 1e-4


@pytest.mark.parametrize("settings", [PretrainSettings(), UNUSUAL])
def test_settings_survive_plain_data(settings):
    assert settings_from_dict(asdict(settings)) == settings


@pytest.mark.parametrize("settings", [PretrainSettings(), UNUSUAL])
def test_run_config_survives_its_file(tmp_path, settings):
    config = RunConfig(settings, get_layout("mediapipe-33"), "facing", 2, {"name": "x", "count": 3}, {"i2md": "0.1"})
    (tmp_path / CONFIG).write_text(config.to_yaml(), encoding="utf-8")
    assert read_config(tmp_path) == config


def test_differences_name_only_settings_that_decide_the_weights():
    config = RunConfig(UNUSUAL, get_layout("coco-17"), "facing", 1, {"path": "a", "count": 3}, {"torch": "2.4"})
    changed = replace(
        config,
        settings=replace(UNUSUAL, seed=12, views=replace(UNUSUAL.views, shear=1.0)),
        clips={"path": "b", "count": 4},
        versions={"torch": "2.5"},
    )
    assert config.differences(config) == []
    assert config.differences(changed) == ["clips.count", "settings.seed", "settings.views.shear"]
