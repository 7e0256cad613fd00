"""The module that is exported gives, in Python, what the package gives, and gradients flow through it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from made_runs import ENCODER_NAMES, damaged, made_classifier, made_run

import i2md
from i2md.errors import InputError
from i2md.inference.export.files import sample_clips
from i2md.inference.export.graph import FeatureGraph, PredictionGraph
from i2md.skeletons import layout_names


def embedded(model: i2md.Model, clips: list[np.ndarray], layout: str | None = None) -> list[np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(model.embed(clips, layout).values())


def damaged_batch(graph: FeatureGraph) -> tuple[torch.Tensor, list[np.ndarray]]:
    """A batch as the graph takes it, and the same clips as the package does."""
    joints = sample_clips(graph, frames=70)
    by_person = joints[:, None] if graph.persons == 1 else joints.transpose(0, 4, 1, 2, 3)
    clips = damaged(list(by_person))
    batch = np.stack(clips)
    return torch.as_tensor(batch[:, 0] if graph.persons == 1 else batch.transpose(0, 2, 3, 4, 1)), clips


@pytest.mark.parametrize(
    ("layout", "encoder", "persons", "preset"),
    [
        *((("kinect-v2", encoder, persons, "facing-rigid")) for encoder in ENCODER_NAMES for persons in (1, 2)),
        *((layout, "tcn", 1, "facing") for layout in layout_names() if layout != "coco-wholebody"),
        ("kinect-v1", "graph", 2, "ntu"),
        ("kinect-v1", "gru", 2, "none"),
    ],
)
def test_features_are_those_of_embed(layout: str, encoder: str, persons: int, preset: str, tmp_path: Path) -> None:
    model = i2md.load(made_run(tmp_path / "run", layout, encoder, persons, preset), "cpu")
    graph = FeatureGraph(model).eval()
    joints, clips = damaged_batch(graph)
    with torch.no_grad():
        *features, seen = graph(joints)
    assert seen.all()
    for found, expected in zip(features, embedded(model, clips), strict=True):
        assert np.abs(found.numpy() - expected).max() <= 1e-4 * np.abs(expected).max()


def test_clips_in_the_image(tmp_path: Path) -> None:
    model = i2md.load(made_run(tmp_path / "run", "coco-17", preset="centred-scaled", channels=2), "cpu")
    graph = FeatureGraph(model, layout="openpose-18").eval()
    joints, clips = damaged_batch(graph)
    with torch.no_grad():
        *features, _ = graph(joints)
    for found, expected in zip(features, embedded(model, clips, "openpose-18"), strict=True):
        assert np.abs(found.numpy() - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_clip_without_anybody_is_told_and_changes_no_other(tmp_path: Path) -> None:
    graph = FeatureGraph(i2md.load(made_run(tmp_path / "run"), "cpu")).eval()
    joints = torch.as_tensor(sample_clips(graph))
    with torch.no_grad():
        alone = graph(joints[:1])
        joints[1] = torch.nan
        found = graph(joints)
    assert found[-1].tolist() == [True, False] + [True] * 6
    torch.testing.assert_close(found[0][:1], alone[0])
    assert all(value.isfinite().all() for value in found)


@pytest.mark.parametrize("known", ["nearest", "energy", "probability"])
@pytest.mark.parametrize(("candidate", "persons"), [(("learned",), 1), (("learned", "positions"), 2)])
def test_predictions_are_those_of_the_classifier(
    candidate: tuple[str, ...], persons: int, known: str, tmp_path: Path
) -> None:
    run = made_run(tmp_path / "run", "kinect-v1", persons=persons)
    classifier = i2md.load_classifier(made_classifier(tmp_path / "model", run, candidate, known), "cpu")
    graph = PredictionGraph(classifier.model, classifier.parts).eval()
    joints, clips = damaged_batch(graph)
    with torch.no_grad():
        probabilities, label, rejected, score, seen = (value.numpy() for value in graph(joints))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = classifier.predict(clips)
    np.testing.assert_allclose(probabilities, [each.probabilities for each in expected], atol=1e-5)
    np.testing.assert_allclose(score, [each.known for each in expected], atol=1e-5)
    assert [classifier.class_names[each] for each in label] == [each.label for each in expected]
    assert rejected.tolist() == [each.rejected for each in expected]
    assert seen.all()


@pytest.mark.parametrize("encoder", ENCODER_NAMES)
def test_gradients_flow_from_features_to_joints(encoder: str, tmp_path: Path) -> None:
    """Compared with differences of the features themselves, in double precision."""
    graph = FeatureGraph(i2md.load(made_run(tmp_path / "run", encoder=encoder, preset="facing"), "cpu")).eval().double()
    joints = torch.as_tensor(sample_clips(graph, count=2, frames=20)).double().requires_grad_()
    weights = torch.linspace(-1, 1, graph(joints)[0].shape[1]).double()

    def value(x: torch.Tensor) -> torch.Tensor:
        return sum((feature.double() @ weights).sum() for feature in graph(x)[:-1])

    (gradient,) = torch.autograd.grad(value(joints), joints)
    direction = torch.as_tensor(np.random.default_rng(0).normal(size=joints.shape))
    # Small, since maxima have kinks.
    step = 1e-5
    with torch.no_grad():
        difference = (value(joints + step * direction) - value(joints - step * direction)) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(float(difference), rel=0.05)
    assert all(each.grad is None for each in graph.parameters())


def test_what_a_graph_cannot_express_is_refused(tmp_path: Path) -> None:
    model = i2md.load(made_run(tmp_path / "run", preset="denoised"), "cpu")
    with pytest.raises(InputError, match="--prepared"):
        FeatureGraph(model)
    FeatureGraph(model, is_prepared=True)
    with pytest.raises(InputError, match="leave out --layout or --prepared"):
        FeatureGraph(model, layout="kinect-v1", is_prepared=True)
