"""The published figures and the tables: what is carried over is what was read, and every table is whole."""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from i2md.errors import InputError
from i2md.experiments.grid import settings_kind
from i2md.experiments.reproduce.claims import Cell
from i2md.experiments.reproduce.figures import Figures, make_blocks
from i2md.experiments.reproduce.published import NOT_TOLD, published_beside, published_figures
from i2md.experiments.reproduce.reproduce import KINDS
from i2md.experiments.reproduce.table import Table, load_table, table_names
from i2md.recipes import load_recipe

SHARED = Path(os.environ.get("I2MD_TEST_DATA", Path(__file__).resolve().parents[4] / "shared" / "data")).parent
COLUMNS = {
    "ntu60_xsub": ("ntu60", "xsub"),
    "ntu60_xview": ("ntu60", "xview"),
    "ntu120_xsub": ("ntu120", "xsub"),
    "ntu120_xset": ("ntu120", "xset"),
    "pku_mmd2_xsub": ("pku-mmd-2", "xsub"),
}
# Cell by cell, what a published figure is told by.
Row = tuple[str, ...]


@pytest.fixture(scope="module")
def tables() -> list[Table]:
    return [load_table(name) for name in table_names()]


def _read(name: str) -> list[dict[str, str]]:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"no published figures to compare with: {path} is absent")
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


def test_every_figure_is_carried_over_as_it_was_read_and_no_other() -> None:
    wide, long = _read("published_results.csv"), _read("published_semi_transfer.csv")
    read: list[Row] = []
    for row in wide:
        protocol = row["protocol"].replace("fine-tune", "finetune")
        told = (row["method"], row["streams"], protocol)
        read += [(*told, *place, "", row[column], row["source"]) for column, place in COLUMNS.items() if row[column]]
    for row in long:
        told = (row["method"], row["streams"], row["protocol"], row["data"], row["split"])
        read.append((*told, row["share_of_labels"], row["accuracy"], row["source"]))
    ours = [f for f in published_figures() if f.data not in ("utd-mhad", "nw-ucla")]
    carried = [(f.method, f.streams, f.protocol, f.data, f.split, f.share, f.accuracy, f.source) for f in ours]
    assert Counter(carried) == Counter(read)
    venues = {row["method"]: row["venue"] for row in wide}
    assert all(f.venue == venues.get(f.method, "") for f in ours)


def test_what_was_recalled_is_marked_and_nothing_else() -> None:
    assert all(figure.recalled == (figure.source == "recalled") for figure in published_figures())
    assert all(figure.source for figure in published_figures())


def test_the_small_sets_figures_are_those_of_the_results() -> None:
    results = (Path(__file__).resolve().parents[3] / "docs" / "results.md").read_text(encoding="utf-8")
    small = [figure for figure in published_figures() if figure.data in ("utd-mhad", "nw-ucla")]
    assert len(small) == 9
    assert all(figure.accuracy in results for figure in small)


def test_every_table_has_a_recipe_methods_and_claims_that_exist(tables: list[Table]) -> None:
    outcomes = {name for table in tables for name in table.outcomes}
    methods = {name for table in tables for name in table.methods}
    for table in tables:
        assert load_recipe(table.specification.recipe)
        assert table.seeds == (0, 1, 2)
        names = [name for settings in table.pretrained.values() for name in settings]
        assert all(settings_kind(name, KINDS) is KINDS[0] for name in names)
    cells = [cell for claim in tables[0].claims for c in claim.comparisons for cell in (*c.left, *c.right)]
    assert {cell.protocol for cell in cells} <= outcomes
    assert {cell.method for cell in cells} <= methods
    assert {cell.stream for cell in cells} == {"joint", "motion", "bone", "3-stream"}


def test_every_published_figure_stands_in_some_table(tables: list[Table]) -> None:
    shown = set()
    for table in tables:
        for where in table.specification.published.values():
            for outcome in (*table.outcomes, NOT_TOLD):
                shown.update(published_beside(where, outcome))
    assert shown == set(published_figures())


def test_a_dash_stands_for_the_methods_own_tables_beside_ntu_and_pku(tables: list[Table]) -> None:
    figures = Figures({Cell("i2md", "knn", "joint"): {0: 50.0}})
    for table in tables:
        blocks = [block for split in table.specification.splits for block in make_blocks(table, split, figures)]
        own = [row for block in blocks for row in block["published"] if row["name"].startswith("I2MD")]
        assert len(own) == (0 if table.specification.kind == "small" else len(blocks))
        assert all(row["accuracy"] is None and row["source"] == "not at hand" for row in own)


def test_a_share_of_labels_has_its_own_figures() -> None:
    where = {"data": "ntu60", "split": "xsub"}
    assert [figure.accuracy for figure in published_beside(where, "semi-0.1")] == ["75.4", "88.0"]
    assert [figure.accuracy for figure in published_beside(where, "finetune")] == ["93.0"]


def test_a_part_of_a_table_is_in_its_own_order() -> None:
    narrow = _narrowed(["i2md", "untrained", "moco"], ["finetune", "knn"])
    assert list(narrow.methods) == ["untrained", "moco", "i2md"]
    assert narrow.protocols == ("knn", "finetune")
    with pytest.raises(InputError, match="choose among untrained, supervised, moco"):
        _narrowed(["simclr"], None)
    with pytest.raises(InputError, match="add one of moco, cmd, imd, i2md"):
        _narrowed(["untrained"], None)


def test_whichever_split_is_asked_for_the_runs_are_those_of_the_table() -> None:
    table = load_table("nw-ucla")
    for splits in (["xview"], ["xview-clean"], ["xview-clean", "xview"]):
        narrow = table.narrowed(None, None, None, splits)
        assert set(narrow.specification.splits) == set(splits)
        assert narrow.pretrained_on == table.pretrained_on == "xview"
    with pytest.raises(InputError, match="choose among xview, xview-clean"):
        table.narrowed(None, None, None, ["xsub"])


def _narrowed(methods: list[str] | None, protocols: list[str] | None) -> Table:
    return load_table("ntu60-xsub").narrowed(None, methods, protocols, None)
