"""What reproducing a table leaves beside its runs: table.md, table.tex, table.json, report.html."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from i2md.evaluation.comparison import compare_runs
from i2md.evaluation.report.pages import write_comparison
from i2md.experiments.reproduce.claims import claim_line, judge_claims
from i2md.experiments.reproduce.figures import make_blocks, read_figures
from i2md.experiments.reproduce.pages import latex_page, markdown_page
from i2md.experiments.reproduce.table import Table
from i2md.experiments.runner import Failure
from i2md.runtime.io import write_text


def gather(
    table: Table,
    out: Path,
    runs: Mapping[Path, tuple[str, int]],
    dataset: str,
    notes: Sequence[str],
    failed: Mapping[str, Failure],
    dry_run: bool,
) -> dict[str, Any]:
    """Put the finished runs' figures together, write them, and return what table.json holds.

    `runs` are method and seed by folder, `dataset` is what they were evaluated on, `failed` the reasons of the others.
    """
    blocks: list[dict[str, Any]] = []
    claims: list[dict[str, Any]] = []
    measured: list[str] = []
    streams: dict[str, None] = {}
    for split in table.specification.splits:
        figures = read_figures(table, runs, dataset, split)
        streams |= dict.fromkeys(figures.streams)
        blocks += make_blocks(table, split, figures)
        claims += [{"split": split, **judged} for judged in judge_claims(table.claims, figures.cells)]
        measured.append(f"{dataset} {split}: {figures.train_clips} training clips, {figures.test_clips} test clips")
    data = {
        "table": table.name,
        "title": table.specification.title,
        "dry_run": dry_run,
        "notes": [*notes, *measured],
        "streams": list(streams),
        "blocks": blocks,
        "claims": claims,
        "failed": {name: asdict(failure) for name, failure in failed.items()},
        "report": str(out / "report.html"),
    }
    write_text(out / "table.md", markdown_page(data) + "\n")
    write_text(out / "table.tex", latex_page(data))
    write_text(out / "table.json", json.dumps(data, indent=1) + "\n")
    said = [*notes, *measured, *(f"{name} failed: {each.reason}" for name, each in failed.items())]
    write_comparison(compare_runs(list(runs)), out / "report.html", (), list(map(claim_line, claims)), said)
    return data
