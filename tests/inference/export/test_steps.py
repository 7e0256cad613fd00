"""Preparation in a graph gives what `prepare_positions` gives, clip by clip, whatever is missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_runs import damaged
from shipped_clips import made_clip

from i2md.data.conversion import map_positions, mapping_for
from i2md.data.presets import LeftOut, prepare_positions
from i2md.inference.export.missing import MapJoints
from i2md.inference.export.steps import PRESETS, prepared
from i2md.skeletons import get_layout

PERSONS = 2


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    """Twelve damaged clips of up to 120 frames, some of one or two frames, and two in which nobody is seen."""
    bodies = [made_clip("kinect-v2", label, subject) for label in range(3) for subject in (1, 2, 3, 4)]
    long = [np.concatenate([body, body[::-1] + np.array([0.5, 0, 0.2])]) for body in bodies]
    both = [np.stack([one, other + np.array([1, 0, 0])]) for one, other in zip(long, long[1:] + long[:1], strict=True)]
    found = damaged([clip[:, : 120 - 9 * number] for number, clip in enumerate(both)])
    nobody = [np.zeros_like(found[0]), np.full_like(found[0], np.nan)]
    return [*found, both[0][:, :1], both[1][:, :2], *nobody]


@pytest.mark.parametrize("persons", [1, PERSONS])
@pytest.mark.parametrize("target", ["kinect-v2", "kinect-v1", "body-16"])
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_prepared_clip_is_that_of_the_package(
    clips: list[np.ndarray], preset: str, target: str, persons: int
) -> None:
    given, wanted = get_layout("kinect-v2"), get_layout(target)
    mapping = None if given == wanted else mapping_for(given, wanted, preset)
    seen = 0
    for clip in clips:
        raw = clip[:persons].astype(np.float32)
        expected = prepare_positions(raw if mapping is None else map_positions(raw, mapping), wanted, preset)
        x = torch.as_tensor(raw)[None]
        finite = torch.isfinite(x).all(dim=-1)
        x = torch.where(finite[..., None], x, 0.0)
        x, finite = (x, finite) if mapping is None else MapJoints(mapping)(x, finite)
        found = prepared(x, finite, wanted, preset)
        if isinstance(expected, LeftOut):
            assert not found.count.any()
            continue
        seen += 1
        kept = found.x[0, :, found.begin[0] : found.begin[0] + found.length[0]].numpy()
        assert kept.shape[1] == expected.positions.shape[1]
        assert found.count[0] == len(expected.positions)
        np.testing.assert_allclose(kept[: len(expected.positions)], expected.positions, atol=2e-5)
        assert not kept[len(expected.positions) :].any()
    assert seen >= 10  # in some clips the first person is never seen
