"""Time exact nearest neighbours at the size of NTU-60, against simpler implementations, interleaved in one process.

    python benchmarks/knn.py --threads 2 --scikit-learn

Features are random and of unit length. Prints seconds (median and range), how many times as long the others take
(the matrix of all similarities at once, by PyTorch's own choice of products; scikit-learn's brute force), for how many
test clips they name another neighbour, the fraction of the machine's product rate, and the peak memory of the
process after our search, features included.
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Callable

import torch
import torch.nn.functional as F
from sklearn.neighbors import NearestNeighbors
from timing import machine, product_rates, ratios, spread, time_interleaved
from torch import Tensor

from i2md.evaluation.features import Features
from i2md.evaluation.neighbours import nearest_neighbours
from i2md.runtime.device import choose_device, fast_cpu_matmul


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=40_091)
    parser.add_argument("--test", type=int, default=16_487)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scikit-learn", action="store_true", help="time its brute force, too")
    parser.add_argument("--product", type=int, default=2048, help="side of the product that the rate is measured by")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = choose_device(args.device)

    train, test = (random_features(args.streams, count, args.width, device) for count in (args.train, args.test))
    found = {"ours": neighbour_of_each(train, test)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    implementations = {
        "ours": lambda: neighbour_of_each(train, test),
        "all pairs at once": lambda: at_once(train, test),
    }
    if args.scikit_learn:
        implementations["scikit-learn"] = lambda: scikit_learn(train, test)
    spent = time_interleaved(
        {name: kept(found, name, function) for name, function in implementations.items()}, args.rounds
    )

    operations = 2 * args.train * args.test * args.width * args.streams
    rates = product_rates(device=device, shape=(args.product, args.product, args.product))
    best = max(rate for name, rate in rates.items() if name.startswith("float32"))
    report = {
        "machine": machine(device),
        "seconds": {name: spread(values) for name, values in spent.items()},
        "ours is so many times as fast": ratios(spent),
        "other neighbours than ours": {name: int((found[name] != found["ours"]).sum()) for name in implementations},
        "product rates, GFLOP/s": rates,
        "fraction of the float32 rate": spread(operations / seconds / best / 1e9 for seconds in spent["ours"]),
        "peak MB, features included": round(peak),
        "MB of features": round(sum(f.nbytes for part in (train, test) for f in part.values()) / 1e6),
    }
    print(json.dumps(report, indent=1))


def random_features(streams: int, count: int, width: int, device: torch.device) -> Features:
    """Random features of unit length, uniform on the sphere."""
    draws = torch.Generator(device).manual_seed(count)
    return {
        f"stream {number}": F.normalize(torch.randn(count, width, generator=draws, device=device), dim=1)
        for number in range(streams)
    }


def kept(found: dict[str, Tensor], name: str, function: Callable[[], Tensor]) -> Callable[[], None]:
    """A function that keeps its result under a name."""

    def turn() -> None:
        found[name] = function()

    return turn


def neighbour_of_each(train: Features, test: Features) -> Tensor:
    """By this program, the streams' average where they are several, as `i2md evaluate` does."""
    with fast_cpu_matmul():
        return list(nearest_neighbours(train, test).values())[-1][:, 0].cpu()


def at_once(train: Features, test: Features) -> Tensor:
    """The largest of all similarities."""
    return sum(test[name] @ train[name].T for name in train).argmax(dim=1).cpu()


def scikit_learn(train: Features, test: Features) -> Tensor:
    """Streams side by side: cosine similarity of several directions is the average of their similarities."""
    known, queries = (torch.cat(list(part.values()), dim=1).cpu().numpy() for part in (train, test))
    search = NearestNeighbors(n_neighbors=1, metric="cosine", algorithm="brute").fit(known)
    return torch.as_tensor(search.kneighbors(queries, return_distance=False)[:, 0])


if __name__ == "__main__":
    main()
