"""Robustness: the scores of encoders and baselines on corrupted test clips; training clips and labels stay as they are.

Results lie in the run's folder `robustness`, a file for each data set and split: clean results and those of every kind,
level and draw, without what results hold for each clip.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

from i2md.data.packed import pack_arrays
from i2md.data.store import Clips
from i2md.distributed import collectives
from i2md.distributed.process_group import is_main_process
from i2md.errors import InputError
from i2md.evaluation.corruption import CORRUPTIONS, choose_corruptions, context_of, corrupt_clips, levels_of
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.protocols import Protocol
from i2md.evaluation.results import Result, average_draws, read_results
from i2md.evaluation.settings import CorruptionSettings, EvaluationSettings
from i2md.evaluation.table import protocol_title
from i2md.runtime.io import write_text
from i2md.runtime.progress import progress
from i2md.skeletons import Layout

FOLDER = "robustness"

# Features and fitted classifiers by the name of the baseline; the run's own by None.
Evaluated = Mapping[str | None, tuple[ProbeData, Sequence[Protocol]]]
# Scores data by a protocol, as results of a baseline or, without its name, of the run.
Score = Callable[[ProbeData, Protocol, str | None, EvaluationSettings], Iterable[Result]]


@dataclass(frozen=True)
class Condition:
    """A corruption of all test clips."""

    kind: str
    level: float
    draw: int | None
    """None for a corruption without random numbers."""


def conditions(kinds: Sequence[str], settings: CorruptionSettings) -> list[Condition]:
    """Every kind at each of its levels, as often as it is drawn.

    Args:
        kinds: Names of corruptions.
        settings: Levels and draws.
    """
    return [
        Condition(kind, level, draw)
        for kind in kinds
        for level in levels_of(settings, kind)
        for draw in (range(settings.draws) if CORRUPTIONS[kind].random else (None,))
    ]


def check_corruptions(names: Sequence[str], protocols: Sequence[Protocol], layout: Layout) -> None:
    """Check that clips can be corrupted in these ways, and evaluated then.

    Args:
        names: Corruptions, or "all"; there may be none.
        protocols: Those that clean clips are evaluated by. Corrupted ones are evaluated by those of them that are fair
            to any features.
        layout: Of the clips.

    Raises:
        InputError: A corruption is unknown or does not suit the layout, or there is no such protocol.
    """
    choose_corruptions(names, layout)
    if names and not any(protocol.scale_free for protocol in protocols):
        raise InputError("--corrupt evaluates by knn, retrieval and ridge; add --protocol knn ridge")


def evaluate_corrupted(
    run: Path,
    test: Clips,
    names: Sequence[str],
    settings: EvaluationSettings,
    evaluated: Evaluated,
    score: Score,
    clean: Sequence[Result],
) -> list[Result]:
    """Score encoders and baselines on corrupted test clips, and write all results of the data set and split.

    Args:
        run: The run's folder.
        test: The test clips.
        names: Corruptions, or "all".
        settings: Levels and draws, and the protocols' settings; classifiers are fitted to all labels.
        evaluated: What is scored, and the protocols of which those that are fair to any features score it.
        score: Scores data by a protocol.
        clean: Results on the test clips as they are.

    Returns:
        The results, without what they hold for each clip.
    """
    kinds, notes = choose_corruptions(names, test.dataset.layout)
    collectives.run_on_main(lambda: print(*notes, sep="\n", end="\n" * bool(notes), file=sys.stderr))
    settings = replace(settings, ridge=replace(settings.ridge, label_fractions=(), labels=()))
    context, wanted = context_of(test), conditions(kinds, settings.corruption)
    kept = [result.summary() for result in clean if _comparable(result)]
    results: list[Result] = []
    for number, each in enumerate(progress(wanted, "corrupt", "condition", show=is_main_process() and bool(kept))):
        arrays = corrupt_clips(test, each.kind, each.level, settings.corruption.seed, each.draw or 0, context)
        for baseline, (data, protocols) in evaluated.items():
            corrupted = data.with_test(pack_arrays(arrays, data.device))
            for result in (r for p in protocols if p.scale_free for r in score(corrupted, p, baseline, settings)):
                if result.draw is not None:  # clusters are drawn themselves
                    continue
                what = {"corruption": each.kind, "level": each.level, "draw": each.draw}
                results.append(replace(result.summary(), **what))  # type: ignore[arg-type]
        if kept and [other.kind for other in wanted[number + 1 : number + 2]] != [each.kind]:
            collectives.run_on_main(partial(_write, run, [*kept, *results]))
    return results


def _comparable(result: Result) -> bool:
    return result.draw is None and result.label_fraction is None and result.labels_per_class is None


def _write(run: Path, results: Sequence[Result]) -> None:
    """Write results; those of earlier evaluations stay, but of an encoder, protocol and kind that is there again.

    Confusion matrices are left out: hundreds of conditions would make megabytes of them.
    """
    what = lambda result: (result.evaluated, replace(result.variant, level=None, draw=None), result.protocol)  # noqa: E731
    data = [(result.dataset, result.split) for result in results]
    again = {what(result) for result in results}
    before = [each for each in read_robustness(run) if (each.dataset, each.split) in data and what(each) not in again]
    path = run / FOLDER / f"{results[0].dataset}-{results[0].split}.json"
    write_text(path, json.dumps([without_confusion(each).to_dict() for each in [*before, *results]]) + "\n")


def without_confusion(result: Result) -> Result:
    """The result without its confusion matrices."""
    streams = {name: replace(scores, confusion=[]) for name, scores in result.streams.items()}
    ensemble = replace(result.ensemble, confusion=[]) if result.ensemble else None
    return replace(result, streams=streams, ensemble=ensemble)


def read_robustness(run: Path, notes: list[str] | None = None) -> list[Result]:
    """The results that `evaluate_corrupted` wrote, of all data sets and splits.

    Args:
        run: The run's folder.
        notes: A sentence about each file that cannot be read is appended here.
    """
    return read_results(run / FOLDER, notes)


@dataclass(frozen=True)
class Curve:
    """Accuracies of one encoder or baseline by one protocol under one kind of corruption."""

    protocol: str
    """Title of the protocol."""
    kind: str
    evaluated: str
    """The run's method, or the baseline."""
    accuracies: Mapping[float, Sequence[float]]
    """In percent by level, clean clips at the neutral one: one for each seed, of a single seed for each draw."""

    def cell(self, level: float) -> str:
        """Mean and deviation at a level, as a table shows them."""
        values = self.accuracies.get(level, ())
        if not values:
            return "-"
        return f"{fmean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def curves(results: Sequence[Result]) -> list[Curve]:
    """Accuracies of the ensembles (of a single stream its own) by level.

    Args:
        results: Clean and corrupted results of one data set and split, of one or several seeds.

    Returns:
        A curve for each protocol, kind and encoder, in order of appearance; kinds in the order of tables.
    """
    kept = [result for result in results if _comparable(replace(result, draw=None))]
    if len({result.seed for result in kept}) > 1:
        kept = average_draws(kept)
    clean: dict[tuple[str, str], list[float]] = {}
    found: dict[tuple[str, str, str], dict[float, list[float]]] = {}
    for result in kept:
        title = protocol_title(replace(result, corruption=None, level=None))
        accuracy = 100 * result.overall.accuracy
        if result.corruption is None or result.level is None:
            clean.setdefault((title, result.evaluated), []).append(accuracy)
        else:
            by_level = found.setdefault((title, result.corruption, result.evaluated), {})
            by_level.setdefault(result.level, []).append(accuracy)
    kinds = list(CORRUPTIONS)
    ordered = sorted(found, key=lambda key: ([t for t, _ in clean].index(key[0]), kinds.index(key[1])))
    return [
        Curve(*key, dict(sorted({CORRUPTIONS[key[1]].neutral: clean[key[0], key[2]], **found[key]}.items())))
        for key in ordered
    ]


def robustness_tables(results: Sequence[Result]) -> Iterator[tuple[str, list[list[str]]]]:
    """A table for each protocol: a row for each kind and level, a column for each encoder and baseline.

    Args:
        results: As `curves` takes them.

    Yields:
        Title of the protocol, and rows of cells, the heading first, clean clips second.
    """
    found = curves(results)
    for title in dict.fromkeys(curve.protocol for curve in found):
        of_protocol = [curve for curve in found if curve.protocol == title]
        columns = list(dict.fromkeys(curve.evaluated for curve in of_protocol))
        rows = [["test clips", *columns]]
        by_kind: dict[str, dict[str, Curve]] = {}
        for curve in of_protocol:
            by_kind.setdefault(curve.kind, {})[curve.evaluated] = curve
        for kind, by_column in by_kind.items():
            neutral = CORRUPTIONS[kind].neutral
            if len(rows) == 1:
                rows.append(["clean", *(by_column[column].cell(neutral) for column in columns)])
            levels = dict.fromkeys(level for curve in by_column.values() for level in curve.accuracies)
            for level in sorted(levels):
                if level != neutral:
                    cells = [by_column[column].cell(level) if column in by_column else "-" for column in columns]
                    rows.append([CORRUPTIONS[kind].name_level(level), *cells])
        yield title, rows
