"""The figures of a table out of its runs' folders, and its blocks: ours with mean and spread, then the published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from i2md.evaluation.results import Result, average_draws, read_results
from i2md.evaluation.table import stream_titles
from i2md.experiments.job import has_settings
from i2md.experiments.reproduce.claims import Cell
from i2md.experiments.reproduce.published import NOT_TOLD, Published, published_beside
from i2md.experiments.reproduce.table import SUPERVISED, UNTRAINED, Table, outcome_name

BEST = ", best test epoch"


@dataclass
class Figures:
    """Accuracies in percent on one split: by cell and seed; and how many clips they were measured with."""

    cells: dict[Cell, dict[int, float]] = field(default_factory=dict)
    train_clips: int = 0
    test_clips: int = 0

    @property
    def streams(self) -> list[str]:
        """All streams, the ensemble last."""
        return list(dict.fromkeys(cell.stream for cell in self.cells))

    def take(self, method: str, protocol: str, seed: int, accuracy: Mapping[str, float]) -> None:
        """Keep one result."""
        for stream, value in accuracy.items():
            # Beside whichever run the untrained encoders were evaluated, they are the same.
            self.cells.setdefault(Cell(method, protocol, stream), {}).setdefault(seed, 100 * value)


def read_figures(table: Table, runs: Mapping[Path, tuple[str, int]], dataset: str, split: str) -> Figures:
    """What the runs, told by method and seed, have reached in the table's protocols on one split of a data set.

    Accuracies are those of the last epoch; where labels were drawn several times, a seed's is the mean of its draws.
    """
    figures = Figures()
    for run, (method, seed) in runs.items():
        here = [
            result
            for result in read_results(run / "evaluation")
            if (result.dataset, result.split) == (dataset, split)
            and result.protocol in {*table.protocols, "supervised"}
            and has_settings(result, table.evaluation)
        ]
        for result in average_draws(here):
            name, protocol = _place(method, result)
            if name not in table.methods or protocol not in table.outcomes:
                continue
            titles = stream_titles(result)
            scores = {titles[stream]: scores for stream, scores in result.scores.items()}
            figures.take(name, protocol, seed, {stream: each.accuracy for stream, each in scores.items()})
            if protocol == "linear":
                best = {stream: each.best_test_accuracy or 0.0 for stream, each in scores.items()}
                figures.take(name, protocol + BEST, seed, best)
            figures.train_clips, figures.test_clips = result.train_clips, result.test_clips
    return figures


def _place(method: str, result: Result) -> tuple[str, str]:
    """The row and the block that a result of a method's run belongs to."""
    if result.protocol == "supervised":
        return SUPERVISED, "finetune"
    return (UNTRAINED if result.baseline else method), outcome_name(result.protocol, result.variant)


def make_blocks(table: Table, split: str, figures: Figures) -> list[dict[str, Any]]:
    """A block an outcome of the protocols, as JSON data."""
    where = table.specification.published.get(split)
    blocks = []
    for outcome in table.outcomes:
        rows = [row for best in ("", BEST) for row in _rows(table, outcome + best, figures)]
        beside = [_published_row(figure) for figure in published_beside(where, outcome)] if where else []
        missing = [_not_at_hand(name) for name in table.not_at_hand]
        blocks.append(_block(split, outcome, _title(table, outcome), rows, [*beside, *missing]))
    untold = [_published_row(figure) for figure in published_beside(where, NOT_TOLD)] if where else []
    if untold:
        blocks.append(_block(split, NOT_TOLD, "Published without labels, protocol not told", [], untold))
    return blocks


def _block(
    split: str, protocol: str, title: str, rows: list[dict[str, Any]], published: list[dict[str, Any]]
) -> dict[str, Any]:
    return {"split": split, "protocol": protocol, "title": title, "rows": rows, "published": published}


def _rows(table: Table, protocol: str, figures: Figures) -> list[dict[str, Any]]:
    rows = []
    for method in table.methods:
        by_stream = {s: figures.cells[c] for s in figures.streams if (c := Cell(method, protocol, s)) in figures.cells}
        if by_stream:
            accuracy = {stream: _summary(values) for stream, values in by_stream.items()}
            seeds = max(len(values) for values in by_stream.values())
            rows.append({"method": method, "name": _row_name(method, protocol), "seeds": seeds, "accuracy": accuracy})
    return rows


def _summary(by_seed: Mapping[int, float]) -> dict[str, Any]:
    values = list(by_seed.values())
    spread = stdev(values) if len(values) > 1 else None
    return {"mean": fmean(values), "spread": spread, "by_seed": {str(seed): by_seed[seed] for seed in sorted(by_seed)}}


def _row_name(method: str, protocol: str) -> str:
    if protocol == "finetune" and method == SUPERVISED:
        return "from scratch (supervised)"
    if protocol.startswith("semi-") and method == UNTRAINED:
        return "from scratch (untrained)"
    return method + (BEST if protocol.endswith(BEST) else "")


def _title(table: Table, outcome: str) -> str:
    settings = table.evaluation
    if outcome.startswith("semi-"):
        share, draws = 100 * float(outcome.removeprefix("semi-")), settings.semi.draws
        return f"Fine-tuned on {share:g} % of the labels, {draws} draw{'s' * (draws > 1)} a seed"
    linear = "Linear" if settings.linear.exact else f"Linear, {settings.linear.crops} crops a clip"
    return {"knn": "Nearest neighbour", "linear": linear, "finetune": "Fine-tuned on all labels"}.get(outcome, outcome)


def _published_row(figure: Published) -> dict[str, Any]:
    told = {"streams": figure.streams, "accuracy": figure.accuracy, "source": figure.source}
    return {"name": figure.name, **told, "recalled": figure.recalled}


def _not_at_hand(name: str) -> dict[str, Any]:
    return {"name": name, "streams": None, "accuracy": None, "source": "not at hand", "recalled": False}
