"""Exact nearest neighbours by cosine similarity, in memory that does not grow with the number of pairs.

Candidates come from float32 products, a block of pairs at a time, and are ranked anew in float64. A clip that is no
candidate can't have been nearer by more than float32 errs; where that is not enough to be sure, candidates come from
float64 products. So neither the blocks nor the device nor its library decides who is nearest, and of equals (of up to
64) it is the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from i2md.evaluation.features import Features, ensemble_name

# Similarities of one block of pairs: 64 MB a stream.
TRAIN_BLOCK, TEST_BLOCK = 8192, 2048
# Test clips that are ranked anew at a time.
FEW = 128
# Candidates beyond the k asked for: so many that float32's error seldom reaches down to the last.
SPARE = 7
# The same where float64 chooses them: to have all that are equal.
SPARE_EQUALS = 64

# Of the random walk of rounding errors: so many times its expected length are allowed for.
STEPS = 8
# Features of length 0 are similar to nothing.
SHORTEST = 1e-24


@torch.no_grad()
def nearest(train: Features, test: Features, k: int = 1) -> dict[str, Int64[Tensor, "test k"]]:
    """Each test clip's k most similar training clips, nearest first, by each stream and by the streams' average.

    >>> nearest({"joint": torch.eye(3)}, {"joint": torch.tensor([[0.1, 0.0, 0.9]])}, k=2)["joint"].tolist()
    [[2, 0]]
    """
    judges: dict[str, tuple[str, ...]] = {name: (name,) for name in train}
    if len(train) > 1:
        judges[ensemble_name(train)] = tuple(train)
    count = min(k + SPARE, len(next(iter(train.values()))))
    candidates = _candidates(train, test, judges, count)
    return {name: _nearest(train, test, streams, *candidates[name], k) for name, streams in judges.items()}


def _candidates(
    train: Features, test: Features, judges: Mapping[str, tuple[str, ...]], count: int
) -> dict[str, tuple[Float[Tensor, "test count"], Int64[Tensor, "test count"]]]:
    """The `count` most similar training clips by float32 products, and their similarities, most similar first."""
    some = next(iter(test.values()))
    found = {
        name: (some.new_full((len(some), count), -torch.inf), some.new_zeros((len(some), count), dtype=torch.long))
        for name in judges
    }
    for part in _blocks(len(next(iter(train.values()))), TRAIN_BLOCK):
        units = {stream: F.normalize(features[part], dim=1) for stream, features in train.items()}
        for rows in _blocks(len(some), TEST_BLOCK):
            similarity = {stream: F.normalize(test[stream][rows], dim=1) @ units[stream].T for stream in train}
            for name, streams in judges.items():
                values = similarity[name] if name in similarity else _mean([similarity[s] for s in streams])
                _keep_the_best(found[name], rows, values, part.start)
    return found


def _keep_the_best(found: tuple[Tensor, Tensor], rows: slice, similarity: Tensor, first: int) -> None:
    """Merge a block's most similar, `first` being its first training clip, with those of the blocks before."""
    best, places = found
    count = best.shape[1]
    top = similarity.topk(min(count, similarity.shape[1]), dim=1)
    values = torch.cat([best[rows], top.values], dim=1)
    indices = torch.cat([places[rows], top.indices + first], dim=1)
    best[rows], order = values.topk(count, dim=1)
    places[rows] = indices.gather(1, order)


def _nearest(
    train: Features,
    test: Features,
    streams: tuple[str, ...],
    similarity: Float[Tensor, "test count"],
    candidates: Int64[Tensor, "test count"],
    k: int,
) -> Int64[Tensor, "test k"]:
    """The k nearest, from candidates by float32 where that is certain."""
    everyone = torch.arange(len(candidates), device=candidates.device)
    ranked, exact = _ranked(train, test, streams, everyone, candidates)
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
    """The candidates of some test clips, most similar first, of equals the first; and their similarities."""
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
    """More than a similarity by float32 products errs.

    It and either norm are sums of `terms` numbers, and rounding errors walk at random: they stay below
    STEPS sqrt(terms) roundings but for one chance in 10^10 (Higham and Mary, SIAM J. Sci. Comput. 41, 2019). What the
    candidates' did err by counts too, because a GPU may have been told to take less exact products.
    """
    rounding = (2 * STEPS * terms**0.5 + 16) * 2.0**-24
    return max(rounding, 4 * float((found.double() - exact).abs().max()))


def _similarity(
    train: Features, test: Features, streams: tuple[str, ...], rows: Tensor, candidates: Int64[Tensor, "rows count"]
) -> Float64[Tensor, "rows count"]:
    """Of each test clip with its candidates; equal training clips are equally similar to the last bit."""
    found = []
    for stream in streams:
        asked, learnt = test[stream][rows].double()[:, None], train[stream][candidates].double()
        lengths = asked.norm(dim=2) * learnt.norm(dim=2)
        found.append((asked * learnt).sum(dim=2) / lengths.clamp_min(SHORTEST))
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
