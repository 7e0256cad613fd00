"""Linear probes: PyTorch's SGD step for step, each rate as if alone, and that they learn."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from i2md.evaluation.linear_probe import LinearProbes, probe_logits, train_probes
from i2md.evaluation.settings import LinearSettings

RATES = (0.003, 0.1, 1.0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def reference_of(probes: LinearProbes, index: int, rate: float):
    """nn.Linear from the same start, with its SGD."""
    width, classes = probes.weight.shape[1:]
    layer = torch.nn.Linear(width, classes)
    with torch.no_grad():
        layer.weight.copy_(probes.weight[index].T)
        layer.bias.copy_(probes.bias[index, 0])
    return layer, torch.optim.SGD(layer.parameters(), lr=rate, momentum=0.9)


def test_each_rate_steps_like_sgd_of_pytorch():
    torch.manual_seed(0)
    probes = LinearProbes(7, 4, RATES, seeded())
    references = [reference_of(probes, index, rate) for index, rate in enumerate(RATES)]
    for step in range(12):
        factor = 1.0 if step < 8 else 0.1
        features, labels = torch.randn(9, 7) * 3, torch.randint(0, 4, (9,))
        probes.step(features, labels, factor)
        for index, (layer, optimizer) in enumerate(references):
            optimizer.param_groups[0]["lr"] = RATES[index] * factor
            optimizer.zero_grad()
            F.cross_entropy(layer(features), labels).backward()
            optimizer.step()
            torch.testing.assert_close(probes.weight[index], layer.weight.T, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(probes.bias[index, 0], layer.bias, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(probes.logits(features)[index], layer(features), atol=1e-4, rtol=1e-5)


def separable(seed: int, clips: int = 60):
    """Three classes around corners far apart, and labels."""
    labels = torch.arange(clips) % 3
    centres = 3 * torch.eye(3, 10)
    return centres[labels] + 0.5 * torch.randn(clips, 10, generator=seeded(seed)), labels


def test_milestones_are_those_of_multi_step_lr():
    """One batch is the whole data, so its order does not matter."""
    features, labels = separable(0)
    settings = LinearSettings(epochs=7, batch_size=60, milestones=(2, 5))
    probes = train_probes(lambda _: {"joint": features}, labels, 3, RATES, settings, seeded(4))["joint"]
    start = LinearProbes(10, 3, RATES, seeded(4))
    for index, rate in enumerate(RATES):
        layer, optimizer = reference_of(start, index, rate)
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[2, 5], gamma=0.1)
        for _ in range(7):
            optimizer.zero_grad()
            F.cross_entropy(layer(features), labels).backward()
            optimizer.step()
            schedule.step()
        torch.testing.assert_close(probes.weight[index], layer.weight.T, atol=1e-5, rtol=1e-4)


def test_probes_trained_at_once_equal_probes_trained_alone():
    features, labels = separable(1)
    settings = LinearSettings(epochs=5, batch_size=16, milestones=(3,))
    draw = lambda _: {"joint": features}  # noqa: E731
    together = train_probes(draw, labels, 3, RATES, settings, seeded(2))["joint"]
    for index, rate in enumerate(RATES):
        alone = train_probes(draw, labels, 3, (rate,), settings, seeded(2))["joint"]
        torch.testing.assert_close(together.weight[index], alone.weight[0])
        torch.testing.assert_close(together.bias[index], alone.bias[0])


def test_every_clip_is_used_in_every_epoch():
    """A clip's feature is a row of the layer's weights: a row that an epoch left alone was not seen."""
    epochs, weights = [], [LinearProbes(10, 10, (0.1,), seeded()).weight.clone()]

    def epoch_features(epoch):
        epochs.append(epoch)
        return {"joint": torch.eye(10)}

    settings = LinearSettings(epochs=3, batch_size=4)
    labels = torch.arange(10)
    train_probes(
        epoch_features, labels, 10, (0.1,), settings, seeded(), lambda _, p: weights.append(p["joint"].weight.clone())
    )
    assert epochs == [0, 1, 2] and len(weights) == 4
    first = (weights[1] != weights[0])[0].any(dim=1)
    assert first.all()
    # Each clip pulls its own class up in its own row.
    assert (weights[3] > weights[0])[0].diagonal().all()


def test_it_learns_separable_classes_on_each_stream_and_their_average():
    (joint, labels), (bone, _) = separable(0), separable(1)
    settings = LinearSettings(epochs=30, batch_size=16, milestones=(20,))
    probes = train_probes(lambda _: {"joint": joint, "bone": bone}, labels, 3, (0.1,), settings, seeded())
    (test_joint, truth), (test_bone, _) = separable(2, 150), separable(3, 150)
    logits = probe_logits(probes, {"joint": test_joint, "bone": test_bone})
    predictions = {name: value.argmax(dim=2) for name, value in logits.items()}
    assert list(predictions) == ["joint", "bone", "ensemble"]
    for name, predicted in predictions.items():
        assert (predicted[0] == truth).float().mean() > 0.97, name


def test_the_average_is_of_logits():
    probes = {name: LinearProbes(2, 3, (0.1,), seeded()) for name in ("joint", "motion", "bone")}
    scores = {"joint": [9.0, 8.0, 0.0], "motion": [0.0, 8.0, 9.0], "bone": [0.0, 8.0, 9.0]}
    for name, row in scores.items():
        probes[name].weight.zero_()
        probes[name].bias[:] = torch.tensor(row)
    found = probe_logits(probes, dict.fromkeys(probes, torch.zeros(1, 2)))
    assert {name: value.argmax().item() for name, value in found.items()} == {
        "joint": 0,
        "motion": 2,
        "bone": 2,
        "ensemble": 1,
    }
