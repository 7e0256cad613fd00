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
# Other targets of the cluster level, with what each can be combined with.
TARGETS = [
    *(
        {"cluster_target": "memory", "memory_neighbours": by, "negatives": negatives}
        for by in ("stream", "all_streams")
        for negatives in ("all", "exclude_neighbours")
    ),
    {"cluster_target": "memory", "memory_momentum": 0.0, "dna_num_neighbours": 7},
    *(
        {"cluster_target": "distribution", "aggregate_key": key, "negatives": negatives, "cluster_queue": queue}
        for key, negatives, queue in (
            (False, "all", "features"),
            (True, "all", "aggregates"),
            (False, "exclude_neighbours", "features"),
        )
    ),
    {"cluster_target": "soft_positives"},
    {"cluster_target": "soft_positives", "dna_temperature": 1.0, "dna_num_neighbours": 5},
]


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

    def soft_contrast(self, query, key, queue):
        """Cross-entropy with 1/2 on the key, 1/2 on the nearest entries by a softmax without those below its mean."""
        places = self.nearest([dot(key, entry) for entry in queue], self.o.dna_num_neighbours)
        weights = softmax([dot(key, queue[j]) for j in places], self.o.dna_temperature)
        kept = {j: w for j, w in zip(places, weights, strict=True) if w >= 1 / len(places)}
        others = [j for j in range(len(queue)) if j not in self.own]
        q = softmax([dot(query, key), *(dot(query, queue[j]) for j in others)], self.o.temperature)
        targets = [0.5, *(kept.get(j, 0.0) / sum(kept.values()) / 2 for j in others)]
        return -sum(t * torch.log(b) for t, b in zip(targets, q, strict=True))

    def spread(self, v, queue):
        """The mean of the K nearest entries by CMD's own weights."""
        places = self.nearest([dot(v, entry) for entry in queue], self.o.num_neighbours)
        weights = softmax([dot(v, queue[j]) for j in places], self.o.teacher_temperature)
        drawn = sum(w * queue[j] for w, j in zip(weights, places, strict=True)) + (v if self.o.aggregate_key else 0)
        left_out = self.nearest([dot(v, entry) for entry in queue], self.o.dna_num_neighbours)
        return drawn / torch.sqrt(dot(drawn, drawn)), set(left_out if self.o.negatives != "all" else ())

    def cluster(self, u, v, queue):
        """The query, the aggregated key, and the entries that are no negatives for being aggregated."""
        places = self.nearest([dot(v, entry) for entry in queue], self.o.dna_num_neighbours)
        if self.o.aggregate == "both":
            u = self.aggregate(u, queue, places)
        return u, self.aggregate(v, queue, places), set(places if self.o.negatives != "all" else ())


def own_mean(memory, clip, key, o):
    """A clip's mean with its newest key."""
    mean = o.memory_momentum * memory.means[clip].double() + (1 - o.memory_momentum) * key
    return mean / torch.sqrt(dot(mean, mean))


def near_in_memory(model, name, clip, keys):
    """The nearest other clips that have a mean, by one stream or by all."""
    o = model.settings.objectives
    total = {}
    for of in model.settings.streams if o.memory_neighbours == "all_streams" else (name,):
        memory, own = model.memories[of], own_mean(model.memories[of], clip, keys[of], o)
        others = [c for c in range(len(memory.seen)) if memory.seen[c] and c != clip]
        values = torch.stack([dot(own, memory.means[c].double()) for c in others])
        if o.memory_neighbours == "all_streams":
            values = (values - values.mean()) / values.std(correction=0)
        for c, value in zip(others, values.tolist(), strict=True):
            total[c] = total.get(c, 0.0) + value
    return sorted(total, key=lambda c: -total[c])[: o.dna_num_neighbours]


def remembered_cluster(model, name, clip, key, near):
    """The mean of a clip's own and its neighbours' means, and the positions of all their entries."""
    memory, o = model.cluster_memories[name], model.settings.objectives
    drawn = own_mean(memory, clip, key, o) + sum(memory.means[c].double() for c in near)
    held = model.cluster_queues[name].clips.tolist()
    left_out = {j for j, other in enumerate(held) if other in {clip, *near}} if o.negatives != "all" else set()
    return drawn / torch.sqrt(dot(drawn, drawn)), left_out


def embeddings(branch, x):
    features = branch.encoder(x)
    z = F.normalize(branch.instance(features), dim=1).double()
    return z, z if branch.cluster is None else F.normalize(branch.cluster(features), dim=1).double()


def slow_losses(model, query_view, key_view, clips, crops=None):
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
    if crops is not None:
        short_embeddings = {n: embeddings(model.query[n], stream(crops, n, STICK))[0] for n in s.streams}
    for b, clip in enumerate(clips.tolist()):
        held = model.queues["joint"].clips.tolist()
        one = OneClip(o, {j for j, other in enumerate(held) if other == clip} if o.mask_self else set())
        queues = {name: list(model.queues[name].keys.double()) for name in s.streams}
        for name in s.streams:
            add(f"contrast/{name}", o.w_contrast * one.contrast(z[name][b], k[name][b], queues[name], set()))
            for view in range(s.views.short_crops):
                short = short_embeddings[name][view * len(clips) + b]
                loss = one.contrast(short, k[name][b], queues[name], set())
                add(f"multi_crop/{name}", o.w_multi_crop * loss / s.views.short_crops)
        if s.method in ("cmd", "i2md"):
            for a, c in permutations(s.streams, 2):
                add(f"cmd/{a}>{c}", o.w_cmd * one.distil(k[a][b], queues[a], z[c][b], queues[c]))
        if s.method in ("imd", "i2md"):
            for name in s.streams:
                queue = list(model.cluster_queues[name].keys.double())
                query, drawn, left_out = u[name][b], v[name][b], set()
                if o.cluster_target == "nearest":
                    query, drawn, left_out = one.cluster(query, drawn, queue)
                elif o.cluster_target == "distribution":
                    drawn, left_out = one.spread(drawn, queue)
                elif o.cluster_target == "memory":
                    near = near_in_memory(model, name, clip, {of: k[of][b] for of in s.streams})
                    drawn, left_out = remembered_cluster(model, name, clip, drawn, near)
                if o.cluster_target == "soft_positives":
                    add(f"dna/{name}", o.w_dna * one.soft_contrast(query, drawn, queue))
                else:
                    add(f"dna/{name}", o.w_dna * one.contrast(query, drawn, queue, left_out))
                down = one.distil(k[name][b], queues[name], query, queue)
                up = one.distil(drawn, queue, z[name][b], queues[name])
                add(f"imd/{name}", o.w_imd * (down + up))
                remembered[name].append(v[name][b] if o.cluster_queue == "features" else drawn)
    return losses, remembered


def model_and_batch(settings, persons=2):
    """A model whose queues hold random keys of few clips, own older keys among them."""
    torch.manual_seed(settings.batch_size)
    model = I2MD(settings, STICK, persons, clips=8).train()
    held = torch.tensor([0, 5, 1, 6, 0, 7, 2, 3])
    queues = [*model.queues.values(), *(model.cluster_queues.values() if settings.intra_modal else ())]
    for queue in queues:
        queue.enqueue(F.normalize(torch.randn(8, settings.objectives.embedding_dim), dim=1), held)
    if settings.memory:
        for memory in (*model.memories.values(), *model.cluster_memories.values()):
            for known in ([0, 2, 3, 5, 6, 7], [0, 5]):
                keys = F.normalize(torch.randn(len(known), settings.objectives.embedding_dim), dim=1)
                memory.update(keys, torch.tensor(known))
    for p in model.key.parameters():
        p.add_(0.1 * torch.randn_like(p))
    query_view, key_view = torch.randn(2, settings.batch_size, 6, 3, 3, persons)
    return model, query_view, key_view, torch.arange(settings.batch_size)


def check(settings, crops=None):
    model, query_view, key_view, clips = model_and_batch(settings)
    expected, remembered = slow_losses(model, query_view, key_view, clips, crops)
    sum(expected.values()).backward()
    gradients = {name: p.grad for name, p in model.query.named_parameters()}
    model.zero_grad(set_to_none=True)
    losses, keys = model(query_view, key_view, clips, crops)
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


TWO = replace(TINY, method="i2md", streams=("joint", "bone"))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: "-".join(map(str, target.values())))
def test_every_target_of_the_cluster_level_matches_plain_loops(target):
    check(replace(TWO, objectives=replace(TINY.objectives, mask_self="aggregate_key" not in target, **target)))


@pytest.mark.parametrize("target", ["nearest", "memory"])
def test_targets_of_features_without_a_projection_match_plain_loops(target):
    objectives = replace(TINY.objectives, cluster_target=target, projection="none", embedding_dim=8, w_contrast=0.4)
    check(replace(TWO, objectives=objectives))


@pytest.mark.parametrize("mask_self", [False, True])
def test_further_short_views_match_plain_loops(mask_self):
    objectives = replace(TINY.objectives, mask_self=mask_self, w_multi_crop=0.3)
    views = replace(TINY.views, short_crops=3, short_frames=4)
    crops = torch.randn(3 * 2, 4, 3, 3, 2, generator=torch.Generator().manual_seed(1))
    check(replace(TWO, method="cmd", objectives=objectives, views=views), crops)
