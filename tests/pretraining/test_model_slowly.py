"""The whole loss of I2MD once more, as docs/method.md sections 3 to 6 tell it: a clip and a queue entry at a time."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import pytest
import torch
import torch.nn.functional as F

from i2md.encoders.settings import EncoderSettings
from i2md.objectives.settings import ObjectiveSettings
from i2md.pretraining.model import I2MD
from i2md.pretraining.settings import PretrainSettings
from i2md.skeletons import Layout
from i2md.views.streams import stream

STICK = Layout("stick", ("hip", "left", "right"), (0, 0, 1), (0, 2, 1), 0, (1, 2), (0, 1))
TINY = PretrainSettings(
    batch_size=2,
    encoder=EncoderSettings(hidden_size=4, num_layers=2),
    objectives=ObjectiveSettings(
        embedding_dim=5,
        queue_size=8,
        num_neighbours=3,
        dna_num_neighbours=2,
        warmup_steps=0,
        w_cmd=0.9,
        w_dna=0.7,
        w_imd=0.6,
    ),
)
READINGS = {
    "aggregate": ("key", "both"),
    "negatives": ("all", "exclude_neighbours"),
    "cluster_queue": ("features", "aggregates"),
    "heads": ("two", "shared"),
    "mask_self": (False, True),
}


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def softmax(values, temperature):
    powers = [torch.exp(v / temperature) for v in values]
    return [p / sum(powers) for p in powers]


class OneClip:
    """What one clip contributes, with its embeddings and the queues as lists of rows; `own` are its older keys."""

    def __init__(self, o: ObjectiveSettings, own: set[int]) -> None:
        self.o, self.own = o, own

    def nearest(self, similarities, count):
        allowed = [j for j in range(len(similarities)) if j not in self.own]
        return sorted(allowed, key=lambda j: -similarities[j].item())[:count]

    def contrast(self, query, target, queue, left_out):
        negatives = [dot(query, queue[j]) for j in range(len(queue)) if j not in left_out | self.own]
        return -torch.log(softmax([dot(query, target), *negatives], self.o.temperature)[0])

    def distil(self, teacher_key, teacher_bank, student_query, student_bank):
        taught = [dot(teacher_key, entry).detach() for entry in teacher_bank]
        places = self.nearest(taught, self.o.num_neighbours)
        p = softmax([taught[j] for j in places], self.o.teacher_temperature)
        q = softmax([dot(student_query, student_bank[j]) for j in places], self.o.student_temperature)
        return sum(a * torch.log(a / b) for a, b in zip(p, q, strict=True))

    def aggregate(self, f, queue, places):
        weights = softmax([dot(f, queue[j]) for j in places], self.o.dna_temperature)
        drawn = f + sum(w * queue[j] for w, j in zip(weights, places, strict=True))
        return drawn / torch.sqrt(dot(drawn, drawn))

    def cluster(self, u, v, queue):
        """The query, the aggregated key, and the entries that are no negatives for being aggregated."""
        places = self.nearest([dot(v, entry) for entry in queue], self.o.dna_num_neighbours)
        if self.o.aggregate == "both":
            u = self.aggregate(u, queue, places)
        return u, self.aggregate(v, queue, places), set(places if self.o.negatives != "all" else ())


def embeddings(branch, x):
    features = branch.encoder(x)
    z = F.normalize(branch.instance(features), dim=1).double()
    return z, z if branch.cluster is None else F.normalize(branch.cluster(features), dim=1).double()


def slow_losses(model, query_view, key_view, clips):
    """Losses by name, and the cluster keys that the queues are to remember."""
    s, o = model.settings, model.settings.objectives
    losses, remembered = {}, {name: [] for name in s.streams}

    def add(name, value):
        losses[name] = losses.get(name, 0.0) + value / len(clips)

    z, u, k, v = {}, {}, {}, {}
    for name in s.streams:
        z[name], u[name] = embeddings(model.query[name], stream(query_view, name, STICK))
        with torch.no_grad():
            k[name], v[name] = embeddings(model.key[name], stream(key_view, name, STICK))
    for b, clip in enumerate(clips.tolist()):
        held = model.queues["joint"].clips.tolist()
        one = OneClip(o, {j for j, other in enumerate(held) if other == clip} if o.mask_self else set())
        queues = {name: list(model.queues[name].keys.double()) for name in s.streams}
        for name in s.streams:
            add(f"contrast/{name}", one.contrast(z[name][b], k[name][b], queues[name], set()))
        if s.method in ("cmd", "i2md"):
            for a, c in permutations(s.streams, 2):
                add(f"cmd/{a}>{c}", o.w_cmd * one.distil(k[a][b], queues[a], z[c][b], queues[c]))
        if s.method in ("imd", "i2md"):
            for name in s.streams:
                queue = list(model.cluster_queues[name].keys.double())
                query, drawn, left_out = one.cluster(u[name][b], v[name][b], queue)
                add(f"dna/{name}", o.w_dna * one.contrast(query, drawn, queue, left_out))
                down = one.distil(k[name][b], queues[name], query, queue)
                up = one.distil(drawn, queue, z[name][b], queues[name])
                add(f"imd/{name}", o.w_imd * (down + up))
                remembered[name].append(v[name][b] if o.cluster_queue == "features" else drawn)
    return losses, remembered


def model_and_batch(settings, persons=2):
    """A model whose queues hold random keys of few clips, own older keys among them."""
    torch.manual_seed(settings.batch_size)
    model = I2MD(settings, STICK, persons).train()
    held = torch.tensor([0, 5, 1, 6, 0, 7, 2, 3])
    queues = [*model.queues.values(), *(model.cluster_queues.values() if settings.intra_modal else ())]
    for queue in queues:
        queue.enqueue(F.normalize(torch.randn(8, 5), dim=1), held)
    for p in model.key.parameters():
        p.add_(0.1 * torch.randn_like(p))
    query_view, key_view = torch.randn(2, settings.batch_size, 6, 3, 3, persons)
    return model, query_view, key_view, torch.arange(settings.batch_size)


def check(settings):
    model, query_view, key_view, clips = model_and_batch(settings)
    expected, remembered = slow_losses(model, query_view, key_view, clips)
    sum(expected.values()).backward()
    gradients = {name: p.grad for name, p in model.query.named_parameters()}
    model.zero_grad(set_to_none=True)
    losses, keys = model(query_view, key_view, clips)
    sum(losses.values()).backward()

    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value.item(), abs=1e-5), name
    for name, p in model.query.named_parameters():
        torch.testing.assert_close(p.grad, gradients[name], atol=1e-4, rtol=1e-3, msg=name)
    for name, rows in remembered.items():
        if rows:
            torch.testing.assert_close(keys[name][1].double(), torch.stack(rows), atol=1e-5, rtol=0)


@pytest.mark.parametrize("reading", list(product(*READINGS.values())), ids=lambda r: "-".join(map(str, r)))
def test_every_variant_of_i2md_matches_plain_loops(reading):
    changes = dict(zip(READINGS, reading, strict=True))
    check(replace(TINY, method="i2md", objectives=replace(TINY.objectives, **changes)))


@pytest.mark.parametrize("mask_self", [False, True])
@pytest.mark.parametrize("batch_size", [2, 4])
@pytest.mark.parametrize("method", ["moco", "cmd", "imd", "i2md"])
def test_every_method_matches_plain_loops_at_two_batch_sizes(method, batch_size, mask_self):
    objectives = replace(TINY.objectives, mask_self=mask_self)
    check(replace(TINY, method=method, batch_size=batch_size, objectives=objectives))


def test_two_streams_and_one_match_plain_loops():
    check(replace(TINY, method="i2md", streams=("bone", "joint")))
    check(replace(TINY, method="imd", streams=("joint",)))
