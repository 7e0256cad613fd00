"""The cluster level of a stream: what its query is contrasted with, in four readings of the paper's aggregation.

Source: docs/method.md section 5.
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from i2md.objectives.distillation import neighbour_mask, teach
from i2md.objectives.levels import Level
from i2md.objectives.memory import ClipMemory, NearClips
from i2md.objectives.neighbours import (
    aggregate,
    nearest_positions,
    positions_mask,
    soft_positives,
    weighted_aggregate,
)
from i2md.objectives.queue import KeyQueue
from i2md.objectives.settings import ObjectiveSettings


def cluster_level(
    query: Tensor,
    key: Tensor,
    queue: KeyQueue,
    clips: Tensor,
    o: ObjectiveSettings,
    memory: ClipMemory | None = None,
    near: NearClips | None = None,
) -> Level:
    """The cluster level: a clip and its neighbours are one class. `o.cluster_target` chooses how.

    Neighbours are chosen from the key's side.

    Args:
        query: (batch, width) embeddings.
        key: (batch, width) embeddings.
        queue: The level's queue.
        clips: (batch,) indices of the clips in the data set.
        o: Settings.
        memory: The level's memory of clips, for the target "memory".
        near: Neighbours of the clips in the instance level's memory, for the target "memory".
    """
    own = queue.holds(clips) if o.mask_self else None
    if o.cluster_target == "memory":
        assert memory is not None and near is not None
        target = memory.aggregate(key, clips, near)
        return _level(query, key, target, queue, own, near.held(clips, queue), o)
    similarity = queue.similarity(key)
    if o.cluster_target == "distribution":
        everyone = neighbour_mask(similarity, o.num_neighbours, own)
        weights = teach(similarity, everyone, o.teacher_temperature).p
        target = weighted_aggregate(weights, queue.keys, key, o.aggregate_key)
    neighbours = nearest_positions(similarity, o.dna_num_neighbours, own)
    if o.cluster_target == "soft_positives":
        soft = soft_positives(similarity, neighbours, o.dna_temperature, own)
        return _level(query, key, key, queue, own, None, o, soft)
    if o.cluster_target == "nearest":
        target = aggregate(key, queue.keys, neighbours, o.dna_temperature, own)
        if o.aggregate == "both":
            query = aggregate(query, queue.keys, neighbours, o.dna_temperature, own)
    return _level(query, key, target, queue, own, positions_mask(neighbours, len(queue.keys)), o)


def _level(
    query: Tensor,
    key: Tensor,
    target: Tensor,
    queue: KeyQueue,
    own: Bool[Tensor, "batch queue"] | None,
    neighbours: Bool[Tensor, "batch queue"] | None,
    o: ObjectiveSettings,
    soft: Float[Tensor, "batch queue"] | None = None,
) -> Level:
    """The level, without the neighbours among its negatives where the settings say so."""
    not_negatives = own
    if o.negatives == "exclude_neighbours" and neighbours is not None:
        not_negatives = neighbours if own is None else neighbours | own
    similarity = queue.similarity(query)
    return Level(query, key, target, similarity, queue.similarity(target), not_negatives, soft)
