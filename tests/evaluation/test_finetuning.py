"""Streams fine-tuned at once equal streams fine-tuned one after another."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from i2md.encoders.gru.encoder import GRUEncoder
from i2md.encoders.settings import GRUSettings
from i2md.evaluation.finetuning import Classifiers, Finetuning
from i2md.evaluation.linear_probe import train_classifier
from i2md.evaluation.settings import FinetuneSettings
from i2md.skeletons import get_layout
from i2md.views.streams import stream

LAYOUT = get_layout("openni-15")
CLIPS, CLASSES = 10, 3


@pytest.fixture
def encoders():
    torch.manual_seed(0)
    return {name: GRUEncoder(LAYOUT, 1, GRUSettings(hidden_size=4, num_layers=2)).eval() for name in ("joint", "bone")}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_streams_trained_together_equal_streams_trained_alone(encoders):
    """One stream after the other, module after module, PyTorch's schedule: the batches in the loop's own order."""
    views, labels = torch.randn(CLIPS, 6, 15, 3, 1, generator=seeded(1)), torch.arange(CLIPS) % CLASSES
    settings = FinetuneSettings(epochs=5, batch_size=4, learning_rate=0.2, milestones=(2, 4))
    before = {name: copy.deepcopy(encoder.state_dict()) for name, encoder in encoders.items()}
    together = Classifiers(encoders, LAYOUT, CLASSES, settings, seeded())
    heads = {name: copy.deepcopy(head) for name, head in together.heads.items()}
    seen: list[torch.Tensor] = []

    def draw(clips):
        seen.append(clips)
        return views[clips]

    chosen = torch.arange(CLIPS)
    train_classifier(Finetuning(together, chosen, labels, draw), CLIPS, settings, seeded(2))

    assert [len(batch) for batch in seen] == [4, 4, 2] * 5
    for epoch in range(5):
        assert torch.cat(seen[3 * epoch : 3 * epoch + 3]).sort().values.tolist() == list(range(CLIPS))
    for name, encoder in encoders.items():
        alone, head = copy.deepcopy(encoder).train(), heads[name]
        optimizer = torch.optim.SGD([*alone.parameters(), *head.parameters()], lr=0.2, momentum=0.9)
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[2, 4], gamma=0.1)
        for number, batch in enumerate(seen):
            optimizer.zero_grad()
            F.cross_entropy(head(alone(stream(views[batch], name, LAYOUT))), labels[batch]).backward()
            optimizer.step()
            if number % 3 == 2:
                schedule.step()
        for key, value in together.encoders[name].state_dict().items():
            torch.testing.assert_close(value, alone.state_dict()[key], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(together.heads[name].weight, head.weight, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(together.heads[name].bias, head.bias, atol=1e-5, rtol=1e-4)
        # What was pretrained is left as it was.
        assert all(torch.equal(value, before[name][key]) for key, value in encoder.state_dict().items())
        assert not torch.equal(alone.layers[0].weight_hh, encoder.layers[0].weight_hh)


def test_only_the_labelled_clips_are_used(encoders):
    drawn: list[int] = []

    def draw(clips):
        drawn.extend(clips.tolist())
        return torch.randn(len(clips), 6, 15, 3, 1)

    chosen = torch.tensor([3, 8, 9])
    settings = FinetuneSettings(epochs=2, batch_size=2)
    learner = Finetuning(Classifiers(encoders, LAYOUT, 4, settings, seeded()), chosen, torch.tensor([0, 1, 3]), draw)
    train_classifier(learner, len(chosen), settings, seeded())
    assert sorted(drawn) == [3, 3, 8, 8, 9, 9]


def test_scores_are_of_the_evaluation_crop_in_evaluation_mode(encoders, pack_arrays):
    clips = pack_arrays([torch.randn(1, frames, 15, 3).numpy() for frames in (30, 9)])
    classifiers = Classifiers(encoders, LAYOUT, CLASSES, FinetuneSettings(), seeded())
    classifiers.step(torch.randn(4, 6, 15, 3, 1), torch.tensor([0, 1, 2, 0]), 1.0)
    both, again = (classifiers.logits(clips, 6, 1) for _ in range(2))
    assert list(both) == ["joint", "bone", "ensemble"]
    torch.testing.assert_close(both["ensemble"], (both["joint"] + both["bone"]) / 2)
    assert all(torch.equal(both[name], again[name]) and not both[name].requires_grad for name in both)


def test_bfloat16_updates_are_close_to_float32_updates(encoders):
    views, labels = torch.randn(4, 6, 15, 3, 1, generator=seeded(1)), torch.tensor([0, 1, 2, 0])
    moved = {}
    for precision in ("fp32", "bf16"):
        settings = FinetuneSettings(learning_rate=0.1, precision=precision)
        classifiers = Classifiers(encoders, LAYOUT, CLASSES, settings, seeded())
        classifiers.step(views, labels, 1.0)
        after = classifiers.encoders["joint"].state_dict()
        assert all(value.dtype != torch.bfloat16 for value in after.values())
        moved[precision] = after["layers.1.weight_hh"] - encoders["joint"].state_dict()["layers.1.weight_hh"]
    assert not torch.equal(moved["fp32"], moved["bf16"])
    torch.testing.assert_close(moved["bf16"], moved["fp32"], rtol=0, atol=0.05 * moved["fp32"].abs().max().item())
