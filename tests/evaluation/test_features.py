"""Features of clips: in evaluation mode, of the centre crop, whatever the batch, leaving the encoders as they were."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from i2md.encoders.gru.encoder import GRUEncoder
from i2md.encoders.settings import GRUSettings
from i2md.evaluation.features import clip_features, crop_features, with_ensemble
from i2md.skeletons import get_layout
from i2md.views.resize import crop_resize
from i2md.views.streams import stream

STREAMS = ("joint", "motion", "bone")

LAYOUT = get_layout("openni-15")


@pytest.fixture(scope="module")
def clips(pack_arrays):
    rng = np.random.default_rng(0)
    return pack_arrays([rng.normal(size=(1 + i % 2, t, 15, 3)) for i, t in enumerate([90, 3, 41, 1, 64, 200, 17])])


@pytest.fixture
def encoders():
    torch.manual_seed(0)
    built = {name: GRUEncoder(LAYOUT, 2, GRUSettings(hidden_size=4, num_layers=2)) for name in STREAMS}
    for encoder in built.values():
        encoder.input_norm.running_mean.normal_()
    return built


def test_each_clip_alone_by_the_middle_of_its_frames(clips, encoders):
    features = clip_features(encoders, LAYOUT, clips, frames=16, persons=2, batch_size=3)
    for i in range(len(clips)):
        total = int(clips.frames[i])
        begin = int(0.05 * total / 2)
        one = [torch.tensor([v]) for v in (i, begin, total - 2 * begin)]
        x = crop_resize(clips, *one, 16, 2)
        for name, encoder in encoders.items():
            with torch.no_grad():
                alone = encoder.eval()(stream(x, name, LAYOUT))
            torch.testing.assert_close(features[name][i : i + 1], alone, atol=1e-5, rtol=0)


def test_the_batch_does_not_matter(clips, encoders):
    whole, single = (clip_features(encoders, LAYOUT, clips, 16, 2, batch) for batch in (256, 1))
    for name in STREAMS:
        torch.testing.assert_close(whole[name], single[name], atol=1e-5, rtol=0)


def test_saved_encoders_load_unchanged(clips, encoders):
    encoders["joint"].train()
    encoders["bone"].eval()
    before = {n: {k: v.clone() for k, v in e.state_dict().items()} for n, e in encoders.items()}
    features = clip_features(encoders, LAYOUT, clips, 16, 2)
    assert encoders["joint"].training and not encoders["bone"].training
    for name, encoder in encoders.items():
        assert not features[name].requires_grad
        for key, value in encoder.state_dict().items():
            assert torch.equal(value, before[name][key]), (name, key)


def test_crops_are_drawn_anew_and_the_same_from_the_same_seed(clips, encoders):
    def draw(seed, fraction=(0.5, 1.0)):
        generator = torch.Generator().manual_seed(seed)
        return crop_features(encoders, LAYOUT, clips, 16, 2, fraction, generator)["joint"]

    assert torch.equal(draw(0), draw(0))
    differ = (draw(0) != draw(1)).any(dim=1)
    # Clips not longer than a view are taken whole; the others are cropped.
    assert differ.tolist() == [int(t) > 17 for t in clips.frames]
    assert torch.equal(draw(0, (1.0, 1.0)), draw(1, (1.0, 1.0)))


def test_the_ensemble_is_the_average_of_several_streams():
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    both = with_ensemble({"joint": one, "bone": other})
    assert list(both) == ["joint", "bone", "ensemble"] and torch.equal(both["ensemble"], (one + other) / 2)
    assert list(with_ensemble({"joint": one})) == ["joint"]
