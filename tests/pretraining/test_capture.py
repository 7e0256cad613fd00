"""A captured step: the same weights and queues as the step that it captures, and when it is captured again."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from i2md.encoders.settings import EncoderSettings
from i2md.objectives.settings import METHODS, ObjectiveSettings
from i2md.pretraining.model import I2MD
from i2md.pretraining.settings import PretrainSettings
from i2md.pretraining.step import WARM_UP, CapturedStep, GraphRecorder, train_step
from i2md.skeletons import get_layout

SETTINGS = PretrainSettings(
    batch_size=4,
    encoder=EncoderSettings(hidden_size=4, num_layers=2),
    objectives=ObjectiveSettings(
        embedding_dim=5, queue_size=8, num_neighbours=3, dna_num_neighbours=2, momentum=0.9, warmup_steps=6, heads="two"
    ),
)


def start(method="i2md", device="cpu"):
    torch.manual_seed(0)
    model = I2MD(replace(SETTINGS, method=method), get_layout("openni-15"), persons=1).to(device)
    return model, torch.optim.SGD(model.query.parameters(), lr=0.05, momentum=0.9, weight_decay=0.1)


def batch_of(step, size=4, device="cpu"):
    draws = torch.Generator().manual_seed(step)
    query_view, key_view = torch.randn(2, size, 6, 15, 3, 1, generator=draws).to(device)
    return query_view, key_view, torch.randint(0, 9, (size,), generator=draws).to(device)


def train_by(learning, model, optimizer, steps, batches=batch_of):
    """Steps whose losses, gradients and keys are by `learning` (None: as they are)."""
    figures = []
    for step in range(steps):
        model.steps = step
        figures.append(train_step(model, optimizer, *batches(step), learning))
    return figures


def plainly_trained(model, optimizer, steps, batches=batch_of):
    return train_by(None, model, optimizer, steps, batches)


def assert_same(model, figures, other, expected):
    for mine, theirs in zip(figures, expected, strict=True):
        assert mine.keys() == theirs.keys()
        for name, value in theirs.items():
            assert torch.equal(mine[name], value), name
    for name, value in other.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


class RunsAgain:
    """On a CPU, a stand-in for a graph that keeps its rules: recording does nothing, replaying fills the result."""

    def __init__(self, model, refuse=False):
        self.model, self.refuse = model, refuse
        self.ran = self.recorded = self.replayed = 0

    def run(self, work):
        self.ran += 1
        return work()

    def record(self, work):
        before = copy.deepcopy(self.model.state_dict())
        result = work()
        self.model.load_state_dict(before)
        if self.refuse:
            raise RuntimeError("operation not permitted when stream is capturing\nmore of it")
        self.recorded += 1

        _, losses, keys = result
        places = [losses, *(key for both in keys.values() for key in both)]

        def replay():
            self.replayed += 1
            _, losses, keys = work()
            for place, value in zip(places, [losses, *(key for both in keys.values() for key in both)], strict=True):
                place.copy_(value)

        for place in places:
            place.zero_()
        return result, replay


def test_replays_equal_plain_steps_before_and_after_distillation_begins():
    (model, optimizer), theirs = start(), start()
    recorder = RunsAgain(model)
    given = [batch_of(step) for step in range(14)]
    figures = train_by(CapturedStep(model, recorder), model, optimizer, 14, given.__getitem__)
    assert_same(model, figures, theirs[0], plainly_trained(*theirs, steps=14))
    # Six steps without distillation, eight with: after each beginning some steps run as they are.
    assert (recorder.recorded, recorder.ran, recorder.replayed) == (2, 2 * WARM_UP, 14 - 2 * WARM_UP)
    for step, batch in enumerate(given):
        assert all(torch.equal(x, drawn) for x, drawn in zip(batch, batch_of(step), strict=True))


def test_another_batch_size_is_captured_again():
    def batches(step):
        return batch_of(step, size=4 if step < 5 else 2)

    (model, optimizer), theirs = start("moco"), start("moco")
    recorder = RunsAgain(model)
    figures = train_by(CapturedStep(model, recorder), model, optimizer, 10, batches)
    assert_same(model, figures, theirs[0], plainly_trained(*theirs, 10, batches))
    assert recorder.recorded == 2


def test_a_step_that_cannot_be_captured_runs_without_a_graph_after_one_warning(capsys):
    (model, optimizer), theirs = start(), start()
    recorder = RunsAgain(model, refuse=True)
    figures = train_by(CapturedStep(model, recorder), model, optimizer, steps=14)
    assert_same(model, figures, theirs[0], plainly_trained(*theirs, steps=14))
    said = capsys.readouterr().err.strip().splitlines()
    assert said == ["i2md: the step runs without CUDA graphs, slower: operation not permitted when stream is capturing"]
    assert (recorder.replayed, recorder.ran) == (0, 14)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("method", [method for method in METHODS if method != "masked"])
def test_replays_on_a_gpu_equal_plain_steps(method, capsys):
    def batches(step):
        return batch_of(step, device="cuda")

    (model, optimizer), theirs = start(method, "cuda"), start(method, "cuda")
    captured = CapturedStep(model, GraphRecorder(torch.device("cuda")))
    figures = train_by(captured, model, optimizer, 14, batches)
    expected = plainly_trained(*theirs, 14, batches)
    assert captured.recording is not None and not capsys.readouterr().err
    for mine, other in zip(figures, expected, strict=True):
        for name, value in other.items():
            torch.testing.assert_close(mine[name], value, atol=1e-5, rtol=1e-4)
    for name, value in theirs[0].state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, atol=1e-5, rtol=1e-4)
