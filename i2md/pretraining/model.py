"""The model of I2MD: per stream a query and a key branch with queues, and the objectives between them."""

from __future__ import annotations

import copy
from collections.abc import ItemsView, Sequence, ValuesView
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from i2md.encoders.base import Encoder
from i2md.encoders.registry import build_encoder
from i2md.objectives.contrast import contrast, contrast_logits
from i2md.objectives.distillation import Teacher, distil, nearest, teach
from i2md.objectives.neighbours import aggregate, nearest_places, positions_mask
from i2md.objectives.queue import KeyQueue
from i2md.objectives.settings import ObjectiveSettings
from i2md.pretraining.settings import PretrainSettings
from i2md.skeletons import Layout
from i2md.views.streams import stream

View = Float[Tensor, "batch frames joints channels persons"]
# By stream, embeddings at the instance and at the cluster level.
Embeddings = Sequence[tuple[Tensor, Tensor]]


Kind = TypeVar("Kind", bound=nn.Module)


class ByStream(nn.ModuleDict, Generic[Kind]):
    """nn.ModuleDict by stream whose modules are all of one type."""

    def __getitem__(self, name: str) -> Kind:
        return cast(Kind, super().__getitem__(name))

    def values(self) -> ValuesView[Kind]:
        """The modules."""
        return cast("ValuesView[Kind]", super().values())

    def items(self) -> ItemsView[str, Kind]:
        """Names and modules."""
        return cast("ItemsView[str, Kind]", super().items())


class Branch(nn.Module):
    """An encoder and its projection heads: one embedding a level, of unit length."""

    def __init__(self, encoder: Encoder, embedding: int, precision: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.precision = precision
        self.instance = _projection(encoder.width, embedding)
        self.cluster: nn.Module | None = None

    def forward(self, x: Float[Tensor, "batch frames channels"]) -> tuple[Tensor, Tensor]:
        """Embeddings of a batch of sequences at the instance and the cluster level."""
        return embed_together([self], [x])[0]

    def heads(self, features: Float[Tensor, "batch features"]) -> tuple[Tensor, Tensor]:
        """Embeddings of the instance level and of the cluster level (the same, where it has no head of its own)."""
        instance = F.normalize(self.instance(features), dim=1)
        return instance, instance if self.cluster is None else F.normalize(self.cluster(features), dim=1)


def embed_together(
    branches: Sequence[Branch], sequences: Sequence[Float[Tensor, "batch frames channels"]]
) -> list[tuple[Tensor, Tensor]]:
    """Embeddings by several branches, each of its own stream, their encoders run side by side."""
    bf16 = branches[0].precision == "bf16"
    with torch.autocast(sequences[0].device.type, torch.bfloat16, enabled=bf16):
        features = type(branches[0].encoder).together([branch.encoder for branch in branches], sequences)
    return [branch.heads(x.float()) for branch, x in zip(branches, features, strict=True)]


def _projection(width: int, embedding: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, embedding))


@dataclass(frozen=True)
class Level:
    """A batch at one level of one stream: embeddings, and their similarities with the level's queue.

    `target` is the key as it teaches and is contrasted with: the key itself, or its aggregate.
    """

    query: Float[Tensor, "batch width"]
    key: Float[Tensor, "batch width"]
    target: Float[Tensor, "batch width"]
    query_queue: Float[Tensor, "batch queue"]
    target_queue: Float[Tensor, "batch queue"]
    not_negatives: Bool[Tensor, "batch queue"] | None


class I2MD(nn.Module):
    """Inter- and intra-modal mutual distillation over the streams of `settings`.

    moco, cmd, imd and i2md are the same model with parts of the objective left out; for one seed they start
    from the same weights. Source: docs/method.md sections 3 to 6.
    """

    def __init__(self, settings: PretrainSettings, layout: Layout, persons: int = 1) -> None:
        super().__init__()
        self.settings = settings
        self.layout = layout
        self.persons = persons
        self.steps = 0
        o = settings.objectives
        self.query: ByStream[Branch] = ByStream(
            {
                name: Branch(build_encoder(settings.encoder, layout, persons), o.embedding_dim, settings.precision)
                for name in settings.streams
            }
        )
        self.queues: ByStream[KeyQueue] = ByStream(
            {name: KeyQueue(o.queue_size, o.embedding_dim) for name in settings.streams}
        )
        if settings.intra_modal:
            # After everything else, so that a seed gives every method the same encoders.
            for branch in self.query.values():
                branch.cluster = _projection(branch.encoder.width, o.embedding_dim) if o.heads == "two" else None
            self.cluster_banks: ByStream[KeyQueue] = ByStream(
                {name: KeyQueue(o.queue_size, o.embedding_dim) for name in settings.streams}
            )
        self.key: ByStream[Branch] = copy.deepcopy(self.query).requires_grad_(False)

    @torch.no_grad()
    def update_keys(self) -> None:
        """Move the key branches' weights towards the query's; batch-norm statistics stay each branch's own."""
        keys: list[Tensor] = list(self.key.parameters())
        queries: list[Tensor] = list(self.query.parameters())
        torch._foreach_lerp_(keys, queries, 1 - self.settings.objectives.momentum)

    def forward(
        self, query_view: View, key_view: View, clips: Int64[Tensor, " batch"]
    ) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]:
        """Weighted losses by name, and the keys that `enqueue` puts into the queues once gradients are taken.

        `clips` are the clips' indices in the data set.
        """
        queries = self._embed(self.query, query_view)
        with torch.no_grad():
            keys = self._embed(self.key, key_view)
        return self.compare(queries, keys, clips)

    def compare(
        self, queries: Embeddings, keys: Embeddings, clips: Int64[Tensor, " batch"]
    ) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]:
        """What `forward` gives, from the embeddings of both views, a pair of levels a stream."""
        s, o = self.settings, self.settings.objectives
        instance: dict[str, Level] = {}
        cluster: dict[str, Level] = {}
        for name, (z, u), (k, v) in zip(s.streams, queries, keys, strict=True):
            instance[name] = instance_level(z, k, self.queues[name], clips, o)
            if s.intra_modal:
                cluster[name] = cluster_level(u, v, self.cluster_banks[name], clips, o)

        losses = {f"contrast/{name}": self._contrast(instance[name]) for name in s.streams}
        if self.queues_ready and s.method != "moco":
            losses |= {f"dna/{name}": o.w_dna * self._contrast(level) for name, level in cluster.items()}
            own = self.queues[s.streams[0]].holds(clips) if o.mask_self else None
            losses |= self._distilled(instance, cluster, own)
        return losses, {name: self._keys(instance[name], cluster.get(name)) for name in s.streams}

    def _distilled(
        self, instance: dict[str, Level], cluster: dict[str, Level], own: Bool[Tensor, "batch queue"] | None
    ) -> dict[str, Tensor]:
        """Losses of the distillation between streams and, within each, between its levels."""
        s, o = self.settings, self.settings.objectives
        keys = {name: self._teach(level, own) for name, level in instance.items()}
        clusters = {name: self._teach(level, own) for name, level in cluster.items()}
        losses: dict[str, Tensor] = {}
        for name in s.streams:
            across = {f"cmd/{other}>{name}": keys[other] for other in s.streams if s.cross_modal and other != name}
            within = [clusters[name]] if s.intra_modal else []
            taught = distil(instance[name].query_queue, [*across.values(), *within], o.student_temperature)
            losses |= {pair: o.w_cmd * loss for pair, loss in zip(across, taught, strict=False)}
            if s.intra_modal:
                (down,) = distil(cluster[name].query_queue, [keys[name]], o.student_temperature)
                losses[f"imd/{name}"] = o.w_imd * (down + taught[-1])
        return losses

    def _teach(self, level: Level, own: Bool[Tensor, "batch queue"] | None) -> Teacher:
        o = self.settings.objectives
        return teach(level.target_queue, nearest(level.target_queue, o.num_neighbours, own), o.teacher_temperature)

    def _embed(self, branches: ByStream[Branch], view: View) -> list[tuple[Tensor, Tensor]]:
        streams = self.settings.streams
        return embed_together(
            [branches[name] for name in streams], [stream(view, name, self.layout) for name in streams]
        )

    @property
    def queues_ready(self) -> bool:
        """Whether aggregation and distillation have begun: after the warm-up, or once the queues hold real keys."""
        o = self.settings.objectives
        return self.steps >= (o.queue_size // self.settings.batch_size if o.warmup_steps is None else o.warmup_steps)

    def _contrast(self, level: Level) -> Tensor:
        positive = (level.query * level.target).sum(dim=1)
        temperature = self.settings.objectives.temperature
        return contrast(contrast_logits(positive, level.query_queue, temperature, level.not_negatives))

    def _keys(self, instance: Level, cluster: Level | None) -> tuple[Tensor, Tensor]:
        if cluster is None:
            return instance.key, instance.key
        remembered = cluster.key if self.settings.objectives.cluster_queue == "features" else cluster.target
        return instance.key, remembered

    def enqueue(self, keys: dict[str, tuple[Tensor, Tensor]], clips: Int64[Tensor, " batch"]) -> None:
        """Put a batch's keys into all queues, the same clips at the same positions."""
        for name, (instance, cluster) in keys.items():
            self.queues[name].enqueue(instance, clips)
            if self.settings.intra_modal:
                self.cluster_banks[name].enqueue(cluster, clips)


def instance_level(query: Tensor, key: Tensor, queue: KeyQueue, clips: Tensor, o: ObjectiveSettings) -> Level:
    """The level at which clips are told apart. Source: docs/method.md section 3."""
    own = queue.holds(clips) if o.mask_self else None
    return Level(query, key, key, queue.similarity(query), queue.similarity(key), own)


def cluster_level(query: Tensor, key: Tensor, queue: KeyQueue, clips: Tensor, o: ObjectiveSettings) -> Level:
    """The level at which a clip belongs with its neighbours: the key is aggregated with them.

    Neighbours are chosen from the key's side. Source: docs/method.md section 5.
    """
    own = queue.holds(clips) if o.mask_self else None
    neighbours = nearest_places(queue.similarity(key), o.dna_num_neighbours, own)
    target = aggregate(key, queue.keys, neighbours, o.dna_temperature, own)
    if o.aggregate == "both":
        query = aggregate(query, queue.keys, neighbours, o.dna_temperature, own)
    not_negatives = own
    if o.negatives == "exclude_neighbours":
        aggregated = positions_mask(neighbours, len(queue.keys))
        not_negatives = aggregated if own is None else aggregated | own
    return Level(query, key, target, queue.similarity(query), queue.similarity(target), not_negatives)
