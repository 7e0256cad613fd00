"""The model: three training steps of the published program, warm-up, queues in step, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from i2md.encoders.settings import EncoderSettings
from i2md.objectives.contrast import contrast_logits
from i2md.objectives.settings import METHODS, ObjectiveSettings
from i2md.pretraining.model import I2MD, instance_level
from i2md.pretraining.reference_checkpoint import reference_settings, rename_reference_state
from i2md.pretraining.settings import PretrainSettings
from i2md.pretraining.step import train_step
from i2md.skeletons import get_layout
from i2md.views.settings import ViewSettings
from i2md.views.streams import stream
from i2md.views.view import draw_view

STREAMS = ("joint", "motion", "bone")

LAYOUT = get_layout("openni-15")
TINY = PretrainSettings(
    batch_size=4,
    encoder=EncoderSettings(hidden_size=4, num_layers=2),
    objectives=ObjectiveSettings(embedding_dim=5, queue_size=8, num_neighbours=3, dna_num_neighbours=2, momentum=0.9),
)


@pytest.fixture(scope="module")
def numbers(golden):
    return np.load(golden / "cmd_step.npz")


def arrays(numbers, prefix):
    return {k.removeprefix(prefix): torch.tensor(numbers[k]) for k in numbers.files if k.startswith(prefix)}


def views(numbers, step):
    """Query and key view in our order."""
    return (torch.tensor(numbers[f"step{step}/{n}"]).permute(0, 2, 3, 1, 4) for n in ("query", "key"))


def published(numbers):
    """The published model before its first step, and its optimizer."""
    state = arrays(numbers, "init/")
    settings = reference_settings(state)
    objectives = replace(settings.objectives, num_neighbours=40, momentum=0.9)
    model = I2MD(replace(settings, batch_size=8, objectives=objectives), get_layout("kinect-v2"), persons=2)
    model.load_state_dict(rename_reference_state(state))
    return model, torch.optim.SGD(model.query.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)


def logits(model, query_view, key_view, name):
    """What the program calls logits, of a model that has not moved its keys yet."""
    model.update_keys()
    x, y = (stream(view, name, model.layout) for view in (query_view, key_view))
    z, k = model.query[name](x)[0], model.key[name](y)[0]
    level = instance_level(z, k, model.queues[name], torch.arange(len(z)), model.settings.objectives)
    return contrast_logits((z * k).sum(dim=1), level.query_queue, 0.07)


def test_three_steps_of_the_reference_implementation(numbers):
    model, optimizer = published(numbers)
    for step in range(3):
        model.steps = step
        losses = train_step(model, optimizer, *views(numbers, step), torch.arange(8))
        for name in STREAMS:
            assert losses[f"contrast/{name}"].item() == pytest.approx(numbers[f"step{step}/loss_{name}"], abs=1e-5)
            queue = numbers[f"step{step}/queue{'' if name == 'joint' else '_' + name}"]
            np.testing.assert_allclose(model.queues[name].keys.T.numpy(), queue, atol=1e-5)
        across = sum(value.item() for kind, value in losses.items() if kind.startswith("cmd/"))
        assert across == pytest.approx(numbers[f"step{step}/loss_cmd"], abs=1e-5)
        assert sum(losses.values()).item() == pytest.approx(numbers[f"step{step}/loss"], abs=2e-5)
    state = model.state_dict()
    for name, value in rename_reference_state(arrays(numbers, "final/")).items():
        if not name.endswith((".filled", ".clips")):
            torch.testing.assert_close(state[name], value, atol=1e-5, rtol=0, msg=name)


def test_gradients_of_the_reference_implementation(numbers):
    model, _ = published(numbers)
    model.train().update_keys()
    losses, _ = model(*views(numbers, 0), torch.arange(8))
    sum(losses.values()).backward()
    reference = rename_reference_state(arrays(numbers, "step0/grad/"))
    ours = {f"query.{name}": p.grad for name, p in model.query.named_parameters()}
    assert ours.keys() == reference.keys()
    for name, gradient in reference.items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-5, rtol=1e-3, msg=name)
    assert all(p.grad is None for p in model.key.parameters())


@pytest.mark.parametrize("name", STREAMS)
def test_logits_of_the_reference_implementation(numbers, name):
    model, optimizer = published(numbers)
    for step in range(3):
        with torch.no_grad():
            looked_at = I2MD(model.settings, model.layout, model.persons)
            looked_at.load_state_dict(model.state_dict())
            found = logits(looked_at, *views(numbers, step), name)
        np.testing.assert_allclose(found.numpy(), numbers[f"step{step}/logits_{name}"], atol=1e-4)
        train_step(model, optimizer, *views(numbers, step), torch.arange(8))


def start(settings, rate=0.05):
    torch.manual_seed(0)
    model = I2MD(settings, LAYOUT, persons=1)
    return model, torch.optim.SGD(model.query.parameters(), lr=rate, momentum=0.9)


def random_step(model, optimizer, step, batch_size=4):
    model.steps = step
    draw = torch.Generator().manual_seed(step)
    query_view, key_view = torch.randn(2, batch_size, 6, 15, 3, 1, generator=draw)
    return train_step(model, optimizer, query_view, key_view, torch.randint(0, 9, (batch_size,), generator=draw))


def with_objectives(method, **changes):
    return replace(TINY, method=method, objectives=replace(TINY.objectives, **changes))


@pytest.mark.parametrize(("weightless", "plain"), [("i2md", "cmd"), ("imd", "moco")])
def test_with_zero_intra_modal_weights_it_equals_the_plain_method_bit_for_bit(weightless, plain):
    trained = []
    for settings in (with_objectives(weightless, w_dna=0.0, w_imd=0.0), with_objectives(plain)):
        model, optimizer = start(settings)
        for step in range(6):
            random_step(model, optimizer, step)
        trained.append(model.state_dict())
    shared = [name for name in trained[1] if not name.startswith("cluster_queues")]
    assert any(name.startswith("query.bone.encoder") for name in shared)
    for name in shared:
        assert torch.equal(trained[0][name], trained[1][name]), name


@pytest.mark.parametrize(
    ("method", "extra", "other"),
    [
        ("moco", {"cmd": 0.8}, "cmd"),
        ("moco", {"dna": 0.7, "imd": 0.6}, "imd"),
        ("cmd", {"dna": 0.7, "imd": 0.6}, "i2md"),
    ],
)
def test_method_equals_the_same_terms_given_as_a_list(method, extra, other):
    losses = []
    for settings in (
        with_objectives(method, extra=extra),
        with_objectives(other, w_cmd=extra.get("cmd", 1.0), w_dna=0.7, w_imd=0.6),
    ):
        model, optimizer = start(settings)
        losses.append([random_step(model, optimizer, step) for step in range(4)])
    for mine, theirs in zip(*losses, strict=True):
        assert mine.keys() == theirs.keys()
        for name in mine:
            torch.testing.assert_close(mine[name], theirs[name], msg=name)
    assert any(name.startswith(tuple(extra)) for name in losses[0][-1])


CONTRASTIVE = [method for method in METHODS if method != "masked"]


def test_all_methods_start_from_the_same_encoders_for_one_seed():
    states = [start(replace(TINY, method=method))[0].state_dict() for method in CONTRASTIVE]
    for state in states[1:]:
        for name, value in states[0].items():
            assert torch.equal(state[name], value), name


KINDS = {"moco": set(), "cmd": {"cmd"}, "imd": {"dna", "imd"}, "i2md": {"cmd", "dna", "imd"}}


@pytest.mark.parametrize("method", CONTRASTIVE)
@pytest.mark.parametrize(("warmup", "first"), [(None, 2), (0, 0), (3, 3)])
def test_aggregation_and_distillation_start_with_full_queues_or_at_warmup_steps(method, warmup, first):
    model, optimizer = start(with_objectives(method, warmup_steps=warmup))
    for step in range(5):
        kinds = {name.split("/")[0] for name in random_step(model, optimizer, step)}
        assert kinds == {"contrast"} | (KINDS[method] if step >= first else set()), step


def test_queue_positions_hold_the_same_clips_in_all_streams_and_levels():
    model, optimizer = start(TINY)
    seen = []
    for step in range(7):
        random_step(model, optimizer, step)
        draw = torch.Generator().manual_seed(step)
        torch.randn(2, 4, 6, 15, 3, 1, generator=draw)
        seen += torch.randint(0, 9, (4,), generator=draw).tolist()
        queues = [*model.queues.values(), *model.cluster_queues.values()]
        assert len(queues) == 6
        for queue in queues[1:]:
            assert torch.equal(queue.clips, queues[0].clips)
            assert torch.equal(queue.pointer, queues[0].pointer)
    pointer = int(queues[0].pointer)
    assert queues[0].clips.roll(-pointer).tolist() == seen[-8:]


def test_key_encoders_follow_by_momentum_with_their_own_batch_norm_statistics():
    model, optimizer = start(TINY)
    random_step(model, optimizer, 0)
    before = {n: p.clone() for n, p in model.key.named_parameters()}
    targets = {n: p.detach().clone() for n, p in model.query.named_parameters()}
    statistics = model.key["joint"].encoder.input_norm.running_mean.clone()
    model.update_keys()
    for name, key in model.key.named_parameters():
        torch.testing.assert_close(key, 0.9 * before[name] + 0.1 * targets[name])
    assert torch.equal(model.key["joint"].encoder.input_norm.running_mean, statistics)
    assert not torch.equal(statistics, model.query["joint"].encoder.input_norm.running_mean)


def test_bf16_changes_only_the_encoders_products():
    """Losses and queues stay float32, and near those of full precision."""
    losses = {}
    for precision in ("fp32", "bf16"):
        model, optimizer = start(replace(with_objectives("i2md", warmup_steps=0), precision=precision))
        losses[precision] = random_step(model, optimizer, 0)
        assert all(queue.keys.dtype == torch.float32 for queue in model.queues.values())
    for name, exact in losses["fp32"].items():
        rough = losses["bf16"][name]
        assert rough.dtype == torch.float32
        assert rough.item() == pytest.approx(exact.item(), rel=0.1, abs=0.05), name
    assert losses["fp32"]["contrast/joint"] != losses["bf16"]["contrast/joint"]


def test_the_loss_decreases(tmp_path):
    """Thirty steps of I2MD on synthetic recordings lower each stream's contrast and the whole."""
    from i2md.data.packed import pack
    from i2md.data.prepare import prepare

    clips = prepare("synthetic", Path(), tmp_path / "clips", actions=4, subjects=4, repeats=2)
    settings = replace(
        TINY,
        batch_size=16,
        encoder=EncoderSettings(hidden_size=16, num_layers=1),
        views=ViewSettings(frames=16, min_crop_frames=16, crop=(0.5, 1.0)),
        objectives=ObjectiveSettings(
            embedding_dim=16, queue_size=32, num_neighbours=16, dna_num_neighbours=2, momentum=0.9
        ),
    )
    torch.manual_seed(0)
    model, packed = I2MD(settings, clips.dataset.layout), pack(clips)
    optimizer = torch.optim.AdamW(model.query.parameters(), lr=3e-3)
    draws, totals = torch.Generator().manual_seed(0), []
    for step in range(30):
        indices = torch.randperm(len(packed), generator=draws)[:16]
        query_view, key_view = (draw_view(packed, indices, settings.views, model.layout, 1, draws) for _ in range(2))
        model.steps = step
        losses = train_step(model, optimizer, query_view, key_view, indices)
        totals.append({kind: sum(v.item() for n, v in losses.items() if kind in n) for kind in ("", "contrast")})
    # The queues are full of real keys from the third step on.
    for kind in ("", "contrast"):
        early, late = (np.mean([t[kind] for t in part]) for part in (totals[2:7], totals[-5:]))
        assert late < 0.9 * early, (kind, early, late)
