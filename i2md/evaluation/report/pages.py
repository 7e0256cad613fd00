"""The HTML reports of a run and of a comparison of runs: single files that need no server and no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from i2md.errors import InputError
from i2md.evaluation.clustering import MOST_CLUSTERS
from i2md.evaluation.comparison import RunComparison
from i2md.evaluation.report.clip_map import MappedClips, map_clips
from i2md.evaluation.report.confusion import best_confusion
from i2md.evaluation.report.curves import by_section, overlaid_charts, term_charts
from i2md.evaluation.report.result_rows import common_data, result_rows
from i2md.evaluation.report.robustness_figure import robustness_sections
from i2md.evaluation.results import Result, read_results
from i2md.evaluation.robustness import read_robustness
from i2md.evaluation.table import accuracy_rows, columns_of
from i2md.pages.render import write_page
from i2md.pretraining.log import read_log
from i2md.pretraining.run import CONFIG
from i2md.runtime.plain_data import NotPlainData, read_yaml
from i2md.runtime.settings import flatten

REPORT = "report.html"
_PACKAGE = "i2md.evaluation.report"


def write_report(
    run: Path,
    clips: MappedClips,
    out: Path | None = None,
    clip_map: dict[str, Any] | str | None = None,
    dataset: str | None = None,
) -> Path:
    """Write the report of a run. What the run lacks is named in the page.

    Args:
        run: The run's folder.
        clips: Test clips, which the report shows as a map.
        out: Path of the page; by default `report.html` in the run's folder.
        clip_map: What `map_clips` made of the clips, where that has been done.
        dataset: Name of the clips' data set; by default that of the run's first result.

    Returns:
        The report's path. It is written as a whole or not at all.

    Raises:
        InputError: There is no such folder.
    """
    if not run.is_dir():
        raise InputError(f"{run}: no such folder; give the folder of a run")
    notes: list[str] = []
    settings = _read_settings(run / CONFIG, notes)
    epochs = read_log(run, notes)
    results = read_results(run / "evaluation", notes)
    charts = by_section(term_charts(epochs))
    rows = result_rows(results)
    confusion = best_confusion(results)
    clip_map = map_clips(clips) if clip_map is None else clip_map
    return write_page(
        out or run / REPORT,
        _PACKAGE,
        "report.html.j2",
        title=_title(settings, results, run, dataset),
        facts=_facts(settings, epochs),
        notes=notes,
        settings=[(name, str(value)) for name, value in flatten(settings)],
        has_log=bool(epochs),
        left_out=next((entry["left_out"] for entry in reversed(epochs) if "left_out" in entry), {}),
        streams=columns_of(results),
        rows=rows,
        common=common_data(rows),
        confusion=confusion,
        robustness=robustness_sections(read_robustness(run, notes)),
        map_missing=clip_map if isinstance(clip_map, str) else "",
        unlabelled=not (clips.labels >= 0).any(),
        most_clusters=MOST_CLUSTERS,
        data={
            **charts,
            # The section's heading says it.
            "knn": [{**chart, "title": ""} for chart in charts["knn"]],
            "confusion": confusion,
            "map": None if isinstance(clip_map, str) else clip_map,
        },
    )


def write_comparison(
    comparison: RunComparison,
    out: Path,
    figures: Sequence[tuple[str, str]] = (),
    differences: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Path:
    """Write the report of a comparison of runs.

    Args:
        comparison: The runs.
        out: Path of the page. It is written as a whole or not at all.
        figures: Titles and drawings (SVG text) to show.
        differences: Lines about paired differences.
        notes: Further lines, above those of the comparison.

    Returns:
        The page's path.
    """
    charts = overlaid_charts({label: [run.epochs for run in runs] for label, runs in comparison.variants.items()})
    compared = comparison.results()
    return write_page(
        out,
        _PACKAGE,
        "comparison.html.j2",
        runs=comparison.runs,
        variants=comparison.variants,
        differing=comparison.differing,
        notes=[*notes, *comparison.notes],
        table=accuracy_rows([each.result for each in compared], [each.label for each in compared]),
        figures=figures,
        differences=differences,
        robustness=robustness_sections(comparison.robustness()),
        data={
            **by_section(charts),
            "confusion": None,
        },
    )


def _read_settings(path: Path, notes: list[str]) -> dict[str, Any]:
    """The nested settings of a config.yaml; none, and a note, where it is not YAML."""
    if not path.is_file():
        return {}
    try:
        settings = read_yaml(path)
    except NotPlainData:
        notes.append(f"{CONFIG} is not YAML; its settings are left out.")
        return {}
    return settings if isinstance(settings, dict) else {}


def _title(settings: Mapping[str, Any], results: Sequence[Result], run: Path, dataset: str | None) -> dict[str, Any]:
    first = results[0] if results else None
    return {
        "method": _setting(settings, "method"),
        "dataset": dataset or (first.dataset if first else _setting(settings, "dataset")),
        "split": first.split if first else _setting(settings, "split"),
        "run": run.resolve().name,
    }


def _facts(settings: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    facts = [(key, str(_setting(settings, key))) for key in ("seed", "recipe") if _setting(settings, key) is not None]
    if epochs:
        facts.append(("last epoch", str(epochs[-1]["epoch"])))
        minutes = sum(entry.get("seconds") or 0.0 for entry in epochs) / 60
        facts.append(("training time", f"{minutes / 60:.1f} h" if minutes >= 90 else f"{minutes:.1f} min"))
        rates = [entry["clips_per_second"] for entry in epochs if entry.get("clips_per_second")]
        if rates:
            facts.append(("speed", f"{median(rates):.0f} clips/s"))
    return facts


def _setting(settings: Mapping[str, Any], key: str) -> Any:
    """The first plain value of that name, at whatever depth of the settings."""
    if key in settings and not isinstance(settings[key], (dict, list)):
        return settings[key]
    nested = (_setting(value, key) for value in settings.values() if isinstance(value, dict))
    return next((value for value in nested if value is not None), None)
