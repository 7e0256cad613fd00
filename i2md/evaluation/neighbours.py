"""Exact nearest neighbours by cosine similarity, and what is computed from them: kNN evaluation and retrieval metrics.

The search takes memory that does not grow with the number of pairs. Candidates come from float32 products, a block of
pairs at a time, and are ranked again in float64. A clip that is no candidate cannot be nearer than the candidates by
more than the float32 error; where that leaves a doubt, candidates are computed again by float64 products. So the
neighbours depend neither on the block size nor on the device nor on its library, and among equally similar training
clips (up to 64) the first one is the nearest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from i2md.evaluation.features import Features
from i2md.evaluation.results import ENSEMBLE

# Similarities of one block of pairs: 64 MB a stream.
TRAIN_BLOCK, TEST_BLOCK = 8192, 2048
# Test clips that are ranked again at a time.
FEW = 128
# Candidates beyond the k asked for: enough that the float32 error seldom reaches the last one.
SPARE = 7
# The same where candidates come from float64: enough to include all equally similar clips.
SPARE_EQUALS = 64
# Rounding errors are assumed to stay below this many times the expected length of their random walk.
WALK_LENGTHS = 8
# Lower limit of the lengths that similarities are divided by: zero features have similarity 0.
SHORTEST = 1e-24
# Similarities that retrieval holds at a time: 16 MB a stream, and several times that for their ranking.
PAIRS = 2**22


@torch.no_grad()
def nearest_neighbours(train: Features, test: Features, k: int = 1) -> dict[str, Int64[Tensor, "test k"]]:
    """Find each test clip's k most similar training clips.

    Args:
        train: Features (clips, width) of the training clips by stream.
        test: The same of the test clips.
        k: Number of neighbours, at most the number of training clips.

    Returns:
        Indices of training clips, nearest first, by stream and, of several streams, under `ENSEMBLE` by the average
        of the streams' cosine similarities.

    >>> nearest_neighbours({"joint": torch.eye(3)}, {"joint": torch.tensor([[0.1, 0.0, 0.9]])}, k=2)["joint"].tolist()
    [[2, 0]]
    """
    members: dict[str, tuple[str, ...]] = {name: (name,) for name in train}
    if len(train) > 1:
        members[ENSEMBLE] = tuple(train)
    count = min(k + SPARE, len(next(iter(train.values()))))
    candidates = _candidates(train, test, members, count)
    return {name: _nearest(train, test, streams, *candidates[name], k) for name, streams in members.items()}


def _candidates(
    train: Features, test: Features, members: Mapping[str, tuple[str, ...]], count: int
) -> dict[str, tuple[Float[Tensor, "test count"], Int64[Tensor, "test count"]]]:
    """The `count` most similar training clips by float32 products, and their similarities, most similar first."""
    some = next(iter(test.values()))
    found = {
        name: (some.new_full((len(some), count), -torch.inf), some.new_zeros((len(some), count), dtype=torch.long))
        for name in members
    }
    for part in _blocks(len(next(iter(train.values()))), TRAIN_BLOCK):
        units = {stream: F.normalize(features[part], dim=1) for stream, features in train.items()}
        for rows in _blocks(len(some), TEST_BLOCK):
            similarity = {stream: F.normalize(test[stream][rows], dim=1) @ units[stream].T for stream in train}
            for name, streams in members.items():
                values = similarity[name] if name in similarity else _mean([similarity[s] for s in streams])
                _keep_the_best(found[name], rows, values, part.start)
    return found


def _keep_the_best(found: tuple[Tensor, Tensor], rows: slice, similarity: Tensor, first: int) -> None:
    """Merge the most similar clips of a block, whose first training clip is `first`, with those of earlier blocks."""
    best, nearest = found
    count = best.shape[1]
    top = similarity.topk(min(count, similarity.shape[1]), dim=1)
    values = torch.cat([best[rows], top.values], dim=1)
    indices = torch.cat([nearest[rows], top.indices + first], dim=1)
    best[rows], order = values.topk(count, dim=1)
    nearest[rows] = indices.gather(1, order)


def _nearest(
    train: Features,
    test: Features,
    streams: tuple[str, ...],
    similarity: Float[Tensor, "test count"],
    candidates: Int64[Tensor, "test count"],
    k: int,
) -> Int64[Tensor, "test k"]:
    """The k nearest: among the float32 candidates where that is certain, else found by float64 products."""
    all_rows = torch.arange(len(candidates), device=candidates.device)
    ranked, exact = _ranked(train, test, streams, all_rows, candidates)
    nearest = ranked[:, :k]
    if candidates.shape[1] < len(train[streams[0]]):
        error = _error(similarity, exact, max(train[stream].shape[1] for stream in streams))
        unsure = torch.where(~(exact[:, k - 1] > similarity[:, -1].double() + error))[0]
        for rows in unsure.split(FEW):
            everything = _similarity_with_all(train, test, streams, rows)
            top = everything.topk(min(k + SPARE_EQUALS, everything.shape[1]), dim=1).indices
            nearest[rows] = _ranked(train, test, streams, rows, top)[0][:, :k]
    return nearest


def _ranked(
    train: Features,
    test: Features,
    streams: tuple[str, ...],
    rows: Int64[Tensor, " rows"],
    candidates: Int64[Tensor, "rows count"],
) -> tuple[Int64[Tensor, "rows count"], Float64[Tensor, "rows count"]]:
    """Candidates of some test clips, most similar first, equal ones in their order; and their similarities."""
    candidates = candidates.sort(dim=1).values
    exact = torch.cat(
        [
            _similarity(train, test, streams, some, few)
            for some, few in zip(rows.split(FEW), candidates.split(FEW), strict=True)
        ]
    )
    exact, order = exact.sort(dim=1, descending=True, stable=True)
    return candidates.gather(1, order), exact


def _error(found: Float[Tensor, "test count"], exact: Float64[Tensor, "test count"], terms: int) -> float:
    """An upper bound of the error of similarities that were computed by float32 products.

    A product and either norm are sums of `terms` numbers, whose rounding errors are a random walk: they stay below
    WALK_LENGTHS sqrt(terms) roundings except with a probability of 1e-10. The errors that the candidates show count
    too, because a GPU may be set to less exact products.

    Source: Higham and Mary, SIAM J. Sci. Comput. 41, 2019.
    """
    rounding = (2 * WALK_LENGTHS * terms**0.5 + 16) * 2.0**-24
    return max(rounding, 4 * float((found.double() - exact).abs().max()))


def _similarity(
    train: Features, test: Features, streams: tuple[str, ...], rows: Tensor, candidates: Int64[Tensor, "rows count"]
) -> Float64[Tensor, "rows count"]:
    """Similarities of each test clip and its candidates; equal training clips get the same bits."""
    found = []
    for stream in streams:
        queries, known = test[stream][rows].double()[:, None], train[stream][candidates].double()
        lengths = queries.norm(dim=2) * known.norm(dim=2)
        found.append((queries * known).sum(dim=2) / lengths.clamp_min(SHORTEST))
    return _mean(found)


def _similarity_with_all(
    train: Features, test: Features, streams: tuple[str, ...], rows: Int64[Tensor, " rows"]
) -> Float64[Tensor, "rows train"]:
    parts = _blocks(len(train[streams[0]]), TRAIN_BLOCK)
    units = {stream: _unit(test[stream][rows]) for stream in streams}
    return torch.cat(
        [_mean([units[stream] @ _unit(train[stream][part]).T for stream in streams]) for part in parts], dim=1
    )


def _unit(features: Float[Tensor, "*clips width"]) -> Float64[Tensor, "*clips width"]:
    return F.normalize(features.double(), dim=-1)


def _mean(values: list[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.stack(values).mean(dim=0)


def _blocks(count: int, size: int) -> Iterator[slice]:
    return (slice(first, min(first + size, count)) for first in range(0, count, size))


def vote(labels: Int64[Tensor, "test k"]) -> Int64[Tensor, " test"]:
    """The most frequent label among each clip's neighbours; of equally frequent ones that of the nearest neighbour.

    Args:
        labels: Labels of the k nearest training clips, nearest first.

    >>> vote(torch.tensor([[4, 2, 2], [4, 2, 1]])).tolist()
    [2, 4]
    """
    counts = (labels[:, :, None] == labels[:, None, :]).sum(dim=2)
    # The first largest count is the nearest neighbour's.
    return labels.gather(1, counts.argmax(dim=1, keepdim=True)).squeeze(1)


def knn_predictions(
    train: Features, test: Features, labels: Int64[Tensor, " train"], k: int = 1
) -> dict[str, Int64[Tensor, " test"]]:
    """Predict each test clip's label by the vote of its k most similar training clips.

    Args:
        train: Features (clips, width) of the training clips by stream.
        test: The same of the test clips.
        labels: Labels of the training clips.
        k: Number of neighbours that vote.

    Returns:
        Predicted labels by stream and, of several streams, under `ENSEMBLE` by their average similarity.

    Source: docs/method.md section 8 (k = 1, cosine; the published CMD program uses the joint stream alone).
    """
    return {name: vote(labels[indices]) for name, indices in nearest_neighbours(train, test, k).items()}


@torch.no_grad()
def retrieval_metrics(
    train: Features,
    test: Features,
    train_labels: Int64[Tensor, " train"],
    test_labels: Int64[Tensor, " test"],
    recall: Sequence[int],
) -> dict[str, dict[str, float]]:
    """Compute mean average precision and recall@k of retrieving training clips of a test clip's class.

    Args:
        train: Features (clips, width) of the training clips by stream.
        test: The same of the test clips.
        train_labels: Labels of the training clips.
        test_labels: Labels of the test clips.
        recall: Each k of recall@k: the fraction of test clips with a clip of their class among the k nearest.

    Returns:
        {"mAP": ..., "recall@5": ...}, each by stream and, of several streams, under `ENSEMBLE` by their average
        similarity. A test clip whose class no training clip has counts as 0.
    """
    unit = {stream: F.normalize(features, dim=1) for stream, features in train.items()}
    found: dict[str, list[Tensor]] = {}
    for rows in torch.arange(len(test_labels), device=test_labels.device).split(max(1, PAIRS // len(train_labels))):
        similarity = {stream: F.normalize(test[stream][rows], dim=1) @ unit[stream].T for stream in train}
        if len(similarity) > 1:
            similarity[ENSEMBLE] = torch.stack(list(similarity.values())).mean(dim=0)
        for name, values in similarity.items():
            order = values.argsort(dim=1, descending=True, stable=True)
            hits = train_labels[order] == test_labels[rows, None]
            found.setdefault(name, []).append(_metrics(hits, recall))
    means = {name: torch.cat(parts).mean(dim=0).tolist() for name, parts in found.items()}
    titles = ["mAP", *(f"recall@{k}" for k in recall)]
    return {title: {name: values[column] for name, values in means.items()} for column, title in enumerate(titles)}


def _metrics(hits: Bool[Tensor, "test train"], recall: Sequence[int]) -> Float[Tensor, "test metrics"]:
    """Average precision of each row, then whether it has a hit among the first k."""
    found = [average_precision(hits), *(hits[:, :k].any(dim=1).double() for k in recall)]
    return torch.stack(found, dim=1)


def average_precision(hits: Bool[Tensor, "test train"]) -> Float[Tensor, " test"]:
    """Mean over the hits of a ranking of the precision up to each hit; 0 for a ranking without hits.

    >>> average_precision(torch.tensor([[True, False, True], [False, False, False]])).tolist()
    [0.8333333333333333, 0.0]
    """
    ranks = torch.arange(1, hits.shape[1] + 1, device=hits.device)
    precision = hits.cumsum(dim=1) / ranks.double()
    return (precision * hits).sum(dim=1) / hits.sum(dim=1).clamp_min(1)
