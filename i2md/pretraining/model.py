"""The model of I2MD: per stream a query and a key branch with queues, and the objectives between them."""

from __future__ import annotations

import copy
from collections.abc import ItemsView, Sequence, ValuesView
from typing import Generic, TypeVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from i2md.encoders.base import Encoder
from i2md.encoders.registry import build_encoder
from i2md.errors import InputError
from i2md.objectives.clusters import cluster_level
from i2md.objectives.levels import BatchLevels, Crops, Level, build_term, instance_level
from i2md.objectives.memory import ClipMemory, NearClips, nearest_clips
from i2md.objectives.queue import KeyQueue
from i2md.objectives.settings import ObjectiveSettings
from i2md.pretraining.settings import PretrainSettings
from i2md.skeletons import Layout
from i2md.views.streams import stream

View = Float[Tensor, "batch frames joints channels persons"]
# Further views of a batch, of another length, one view of all clips after another.
ShortViews = Float[Tensor, "crops short_frames joints channels persons"]
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
    """An encoder and its projection heads: one embedding a level, of unit length.

    Args:
        encoder: From clips to features.
        objectives: Width of the embeddings, and the kind of the projection heads.
        precision: "bf16" runs the encoder under bfloat16 autocast.
    """

    def __init__(self, encoder: Encoder, objectives: ObjectiveSettings, precision: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.precision = precision
        self.instance = self.new_head(objectives)
        self.cluster: nn.Module | None = None

    def forward(self, x: View) -> tuple[Tensor, Tensor]:
        """Embeddings of a batch of clips at the instance and the cluster level."""
        return embed_parallel([self], [x])[0]

    def new_head(self, objectives: ObjectiveSettings) -> nn.Module:
        """A randomly initialised projection head on the encoder's features."""
        width, embedding_dim = self.encoder.width, objectives.embedding_dim
        if objectives.projection == "none":
            if width != embedding_dim:
                raise InputError(
                    f"objectives.embedding_dim {embedding_dim}: without a projection it must be the features' width,"
                    f" {width}; set encoder.feature_size to {embedding_dim}"
                )
            return nn.Identity()
        if objectives.projection == "linear":
            return nn.Linear(width, embedding_dim)
        hidden = self.encoder.head_width or width
        return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, embedding_dim))

    def heads(self, features: Float[Tensor, "batch features"]) -> tuple[Tensor, Tensor]:
        """Embeddings of the instance level and of the cluster level (the same, where it has no head of its own)."""
        instance = F.normalize(self.instance(features), dim=1)
        return instance, instance if self.cluster is None else F.normalize(self.cluster(features), dim=1)


def embed_parallel(branches: Sequence[Branch], clips: Sequence[View]) -> list[tuple[Tensor, Tensor]]:
    """Embeddings by several branches, each of its own stream, with encoders that run in parallel.

    Args:
        branches: Of one precision.
        clips: A batch for each.

    Returns:
        For each branch the embeddings of the instance and the cluster level, (batch, embedding_dim) each.
    """
    bf16 = branches[0].precision == "bf16"
    with torch.autocast(clips[0].device.type, torch.bfloat16, enabled=bf16):
        features = type(branches[0].encoder).forward_parallel([branch.encoder for branch in branches], clips)
    return [branch.heads(x.float()) for branch, x in zip(branches, features, strict=True)]


class I2MD(nn.Module):
    """Inter- and intra-modal mutual distillation over the streams of `settings`.

    moco, cmd, imd and i2md are the same model with other terms of the loss (`settings.terms`); for one seed they start
    from the same weights.

    Args:
        settings: Everything that decides the weights.
        layout: Joints of the clips.
        persons: Persons in a clip.
        clips: Number of training clips, which the memories of cluster target "memory" have to hold.

    Source: docs/method.md sections 3 to 6.
    """

    def __init__(self, settings: PretrainSettings, layout: Layout, persons: int = 1, clips: int = 0) -> None:
        super().__init__()
        self.settings = settings
        self.layout = layout
        self.persons = persons
        self.steps = 0
        o = settings.objectives
        self.terms = {name: build_term(name, o) for name in settings.terms}
        self.query: ByStream[Branch] = ByStream(
            {
                name: Branch(build_encoder(settings.encoder, layout, persons), o, settings.precision)
                for name in settings.streams
            }
        )
        self.queues: ByStream[KeyQueue] = ByStream(
            {name: KeyQueue(o.queue_size, o.embedding_dim) for name in settings.streams}
        )
        if settings.intra_modal:
            # After everything else, so that a seed gives every method the same encoders.
            for branch in self.query.values():
                branch.cluster = branch.new_head(o) if o.heads == "two" else None
            self.cluster_queues: ByStream[KeyQueue] = ByStream(
                {name: KeyQueue(o.queue_size, o.embedding_dim) for name in settings.streams}
            )
        if settings.memory:
            self.memories, self.cluster_memories = (
                ByStream[ClipMemory](
                    {name: ClipMemory(clips, o.embedding_dim, o.memory_momentum) for name in settings.streams}
                )
                for _ in ("instance", "cluster")
            )
        self.key: ByStream[Branch] = copy.deepcopy(self.query).requires_grad_(False)

    @torch.no_grad()
    def update_keys(self) -> None:
        """Move the key branches' weights towards the query's; batch-norm statistics stay each branch's own."""
        keys: list[Tensor] = list(self.key.parameters())
        queries: list[Tensor] = list(self.query.parameters())
        torch._foreach_lerp_(keys, queries, 1 - self.settings.objectives.momentum)

    def forward(
        self, query_view: View, key_view: View, clips: Int64[Tensor, " batch"], crops: ShortViews | None = None
    ) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]:
        """Compute the losses of a batch.

        Args:
            query_view: One view of each clip.
            key_view: The other.
            clips: Indices of the clips in the data set.
            crops: Further short views, one of all clips after another.

        Returns:
            Weighted losses by name ("contrast/joint", "cmd/motion>joint", ...), and by stream the keys of both levels
            that `enqueue` takes once gradients are computed.
        """
        return self._losses_and_keys(self.levels(query_view, key_view, clips, crops))

    def compare(
        self, queries: Embeddings, keys: Embeddings, clips: Int64[Tensor, " batch"]
    ) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]:
        """Compute what `forward` returns from the embeddings of both views, a pair of levels a stream."""
        return self._losses_and_keys(self._levels(queries, keys, clips))

    def _losses_and_keys(self, batch: BatchLevels) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]:
        keys = {name: self._keys(level, batch.cluster.get(name)) for name, level in batch.instance.items()}
        return self.losses(batch), keys

    def levels(
        self, query_view: View, key_view: View, clips: Int64[Tensor, " batch"], crops: ShortViews | None = None
    ) -> BatchLevels:
        """What the terms of the loss receive for a batch.

        Args:
            query_view: One view of each clip.
            key_view: The other.
            clips: Indices of the clips in the data set.
            crops: Further short views, one of all clips after another.
        """
        queries = self._embed(self.query, query_view)
        with torch.no_grad():
            keys = self._embed(self.key, key_view)
        return self._levels(queries, keys, clips, [] if crops is None else self._embed(self.query, crops))

    def _levels(
        self, queries: Embeddings, keys: Embeddings, clips: Int64[Tensor, " batch"], crops: Embeddings = ()
    ) -> BatchLevels:
        s, o = self.settings, self.settings.objectives
        near = self.near_clips({name: k for name, (k, _) in zip(s.streams, keys, strict=True)}, clips)
        instance: dict[str, Level] = {}
        cluster: dict[str, Level] = {}
        for name, (z, u), (k, v) in zip(s.streams, queries, keys, strict=True):
            instance[name] = instance_level(z, k, self.queues[name], clips, o)
            if s.intra_modal:
                memory = self.cluster_memories[name] if near else None
                cluster[name] = cluster_level(u, v, self.cluster_queues[name], clips, o, memory, near.get(name))
        # Not zipped strictly: there may be none.
        short = {
            name: Crops(z, self.queues[name].similarity(z)) for name, (z, _) in zip(s.streams, crops, strict=False)
        }
        return BatchLevels(o, tuple(self.terms), self.queues_ready, instance, cluster, short)

    def near_clips(self, keys: dict[str, Tensor], clips: Tensor) -> dict[str, NearClips]:
        """Neighbours in the memories by stream; none where there are no memories.

        Args:
            keys: (batch, width) of the instance level, by stream.
            clips: (batch,) indices of the clips in the data set.
        """
        if not self.settings.memory:
            return {}
        o = self.settings.objectives
        together = o.memory_neighbours == "all_streams"
        return nearest_clips(dict(self.memories.items()), keys, clips, o.dna_num_neighbours, together)

    def losses(self, batch: BatchLevels) -> dict[str, Tensor]:
        """The weighted losses of a batch, by name."""
        losses: dict[str, Tensor] = {}
        for name, weight in self.settings.terms.items():
            found = self.terms[name](batch)
            parts = {name: found} if isinstance(found, Tensor) else {f"{name}/{p}": x for p, x in found.items()}
            losses |= {part: weight * loss for part, loss in parts.items()}
        return losses

    @property
    def queues_ready(self) -> bool:
        """Whether aggregation and distillation have begun: after the warm-up, or once the queues hold real keys."""
        return self.steps >= self.settings.warmup_steps

    def _embed(self, branches: ByStream[Branch], view: View) -> list[tuple[Tensor, Tensor]]:
        streams = self.settings.streams
        return embed_parallel(
            [branches[name] for name in streams], [stream(view, name, self.layout) for name in streams]
        )

    def _keys(self, instance: Level, cluster: Level | None) -> tuple[Tensor, Tensor]:
        if cluster is None:
            return instance.key, instance.key
        return instance.key, cluster.key if self.settings.objectives.cluster_queue == "features" else cluster.target

    def enqueue(self, keys: dict[str, tuple[Tensor, Tensor]], clips: Int64[Tensor, " batch"]) -> None:
        """Put a batch's keys into all queues, the same clips at the same positions.

        Args:
            keys: By stream, the keys of the instance and the cluster level, (batch, width) each.
            clips: Indices of the clips in the data set.
        """
        for name, (instance, cluster) in keys.items():
            if self.settings.memory:
                self.memories[name].update(instance, clips)
                self.cluster_memories[name].update(cluster, clips)
            self.queues[name].enqueue(instance, clips)
            if self.settings.intra_modal:
                self.cluster_queues[name].enqueue(cluster, clips)
