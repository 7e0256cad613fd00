"""Calibration: scores whose right temperature is known, and the error by a loop over bins."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from i2md.evaluation.calibration import calibration_error, fit_temperature, held_out_calibration


def drawn(temperature: float, clips: int = 20000) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores, and labels drawn from softmax(scores / temperature)."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(clips, 5, generator=generator)
    return scores, torch.multinomial((scores / temperature).softmax(dim=1), 1, generator=generator)[:, 0]


@pytest.mark.parametrize("temperature", [0.2, 1.0, 3.0])
def test_the_temperature_that_labels_were_drawn_by_is_found(temperature: float) -> None:
    scores, labels = drawn(temperature)
    assert fit_temperature(scores, labels) == pytest.approx(temperature, rel=0.05)


def test_error_is_that_of_a_loop_over_bins() -> None:
    probabilities = torch.rand(500, 4, generator=torch.Generator().manual_seed(1)).softmax(dim=1)
    labels = torch.arange(500) % 4
    confidence, predicted = probabilities.double().max(dim=1)
    error = 0.0
    for low in np.arange(10) / 10:
        inside = (confidence >= low) & (confidence < low + 0.1)
        if inside.any():
            gap = confidence[inside].mean() - (predicted == labels)[inside].double().mean()
            error += float(inside.double().mean() * gap.abs())
    assert calibration_error(probabilities, labels, bins=10) == pytest.approx(error, abs=1e-9)


def test_scaling_repairs_scores_of_a_wrong_scale() -> None:
    scores, labels = drawn(0.2, clips=4000)
    folds = [torch.arange(4000) % 2 == part for part in range(2)]
    before, after = held_out_calibration(scores, labels, folds)
    assert before > 0.2
    assert after < 0.03
