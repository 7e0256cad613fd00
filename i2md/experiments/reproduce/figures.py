"""The figures of a table: accuracies read from the folders of its runs, and published accuracies to compare with."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from i2md.evaluation.results import UNTRAINED, Result, average_draws, read_results
from i2md.experiments.job import has_settings
from i2md.experiments.reproduce.claims import Block, Cell
from i2md.experiments.reproduce.table import SUPERVISED, Table

# The protocol of published figures whose source does not state it.
NOT_STATED = "not stated"


class Published(NamedTuple):
    """One published accuracy.

    Attributes:
        method: Name of the method.
        venue: Where it was published; may be empty.
        streams: Its streams or other input, as in "3-stream".
        protocol: Name of the protocol.
        dataset: Data set.
        split: Its split.
        label_percent: Percent of the training labels, for the semi-supervised protocol; else empty.
        accuracy: Top-1 accuracy in percent, as its source writes it.
        source: Where it was read.
        recalled: Whether it was quoted from memory and not checked against the paper.
    """

    method: str
    venue: str
    streams: str
    protocol: str
    dataset: str
    split: str
    label_percent: str
    accuracy: str
    source: str
    recalled: bool

    @property
    def name(self) -> str:
        """Method and venue."""
        return f"{self.method}, {self.venue}" if self.venue else self.method


@cache
def published_figures() -> tuple[Published, ...]:
    """Return all published accuracies that come with the package, in the order of published_results.csv."""
    text = (files(__package__) / "published_results.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(Published(**{**row, "recalled": row["recalled"] == "yes"}) for row in rows)  # type: ignore[arg-type]


def published_in(where: Mapping[str, str], block: Block) -> list[Published]:
    """Return the published accuracies that belong in a block of a table.

    >>> where = {"dataset": "ntu60", "split": "xview"}
    >>> [figure.accuracy for figure in published_in(where, Block("semi", 0.2))]
    ['84.3']

    Args:
        where: `dataset` and `split`, and protocols that the file calls otherwise, as in `finetune: supervised`.
        block: Protocol and label fraction.
    """
    if block.k is not None:
        return []
    wanted = (where["dataset"], where["split"], where.get(block.protocol, block.protocol))
    percent = None if block.label_fraction is None else round(100 * block.label_fraction, 6)
    return [
        figure
        for figure in published_figures()
        if (figure.dataset, figure.split, figure.protocol) == wanted
        and (percent is None or float(figure.label_percent) == percent)
    ]


@dataclass
class Figures:
    """Accuracies on one split.

    Attributes:
        cells: Accuracy in percent by cell and seed.
        train_clips: Number of training clips.
        test_clips: Number of test clips.
    """

    cells: dict[Cell, dict[int, float]] = field(default_factory=dict)
    train_clips: int = 0
    test_clips: int = 0

    @property
    def streams(self) -> list[str]:
        """All streams, the ensemble last."""
        return list(dict.fromkeys(cell.stream for cell in self.cells))

    def add(self, method: str, block: Block, seed: int, result: Result) -> None:
        """Add the accuracies of one result."""
        for stream, scores in result.scores.items():
            cell = Cell(method, block, stream)
            # The untrained encoders have the same results in the folders of all runs of a seed.
            self.cells.setdefault(cell, {}).setdefault(seed, 100 * scores.accuracy)
            if block.protocol == "linear" and scores.best_test_accuracy is not None:
                best = cell._replace(best_epoch=True)
                self.cells.setdefault(best, {}).setdefault(seed, 100 * scores.best_test_accuracy)


def read_figures(table: Table, runs: Mapping[Path, tuple[str, int]], dataset: str, split: str) -> Figures:
    """Read what the runs have reached by the table's protocols on one split of a data set.

    Accuracies are those of the last epoch; where labels were drawn several times, a seed has the mean of its draws.

    Args:
        table: The table.
        runs: Method and seed by the folder of the run.
        dataset: Name of the data set evaluated on.
        split: Its split.
    """
    figures, protocols = Figures(), {*table.protocols, "supervised"}
    for run, (run_method, seed) in runs.items():
        results = [
            result
            for result in read_results(run / "evaluation")
            if (result.dataset, result.split) == (dataset, split)
            and result.protocol in protocols
            and has_settings(result, table.evaluation)
        ]
        for result in average_draws(results):
            method, block = _position(run_method, result)
            if method in table.methods and block in table.blocks:
                figures.add(method, block, seed, result)
                figures.train_clips, figures.test_clips = result.train_clips, result.test_clips
    return figures


def _position(method: str, result: Result) -> tuple[str, Block]:
    """The row and the block of a result in the folder of a method's run."""
    if result.protocol == "supervised":
        return SUPERVISED, Block("finetune")
    return (UNTRAINED if result.baseline else method), Block.of_variant(result.protocol, result.variant)


def make_blocks(table: Table, split: str, figures: Figures) -> list[dict[str, Any]]:
    """Return the blocks of a table on one split as JSON data: title, our rows and the published ones of each."""
    where = table.specification.published.get(split)
    blocks = []
    for block in table.blocks:
        rows = [row for best_epoch in (False, True) for row in _rows(table, block, best_epoch, figures)]
        published = [_published_row(figure) for figure in published_in(where, block)] if where else []
        unavailable = [_unavailable_row(name) for name in table.unavailable]
        blocks.append(_block_data(split, block, _title(table, block), rows, [*published, *unavailable]))
    unstated = Block(NOT_STATED)
    others = [_published_row(figure) for figure in published_in(where, unstated)] if where else []
    if others:
        blocks.append(_block_data(split, unstated, "Published results whose protocol is not stated", [], others))
    return blocks


def _block_data(
    split: str, block: Block, title: str, rows: list[dict[str, Any]], published: list[dict[str, Any]]
) -> dict[str, Any]:
    return {"split": split, **block._asdict(), "title": title, "rows": rows, "published": published}


def _rows(table: Table, block: Block, best_epoch: bool, figures: Figures) -> list[dict[str, Any]]:
    rows = []
    for method in table.methods:
        accuracy = {}
        for stream in figures.streams:
            by_seed = figures.cells.get(Cell(method, block, stream, best_epoch))
            if by_seed:
                accuracy[stream] = _summary(by_seed)
        if accuracy:
            seeds = max(len(each["by_seed"]) for each in accuracy.values())
            name = _row_name(method, block) + ", best test epoch" * best_epoch
            row = {"method": method, "best_epoch": best_epoch, "name": name, "seeds": seeds, "accuracy": accuracy}
            rows.append(row)
    return rows


def _summary(by_seed: Mapping[int, float]) -> dict[str, Any]:
    values = list(by_seed.values())
    std = stdev(values) if len(values) > 1 else None
    return {"mean": fmean(values), "std": std, "by_seed": {str(seed): by_seed[seed] for seed in sorted(by_seed)}}


def _row_name(method: str, block: Block) -> str:
    if block.protocol == "finetune" and method == SUPERVISED:
        return "from scratch (supervised)"
    if block.protocol == "semi" and method == UNTRAINED:
        return "from scratch (untrained)"
    return method


def _title(table: Table, block: Block) -> str:
    linear, semi = table.evaluation.linear, table.evaluation.semi
    if block.label_fraction is not None:
        draws = f"{semi.draws} draw{'s' * (semi.draws > 1)} per seed"
        return f"Semi-supervised: fine-tuned on {100 * block.label_fraction:g} % of the labels, {draws}"
    titles = {
        "knn": "kNN evaluation" + (f", k = {block.k}" if block.k else ""),
        "ridge": "Ridge regression on frozen features",
        "linear": "Linear evaluation" + ("" if linear.exact else f", {linear.crops} crops per clip"),
        "finetune": "Fine-tuned on all labels",
    }
    return titles.get(block.protocol, block.protocol)


def _published_row(figure: Published) -> dict[str, Any]:
    fields = {"streams": figure.streams, "accuracy": figure.accuracy, "source": figure.source}
    return {"name": figure.name, **fields, "recalled": figure.recalled}


def _unavailable_row(name: str) -> dict[str, Any]:
    return {"name": name, "streams": None, "accuracy": None, "source": "not available", "recalled": False}
