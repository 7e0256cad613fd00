"""Published accuracies and tables: the CSV file has what was read, and every table is complete."""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from i2md.errors import InputError
from i2md.experiments.grid import settings_kind
from i2md.experiments.reproduce.claims import Block, Cell
from i2md.experiments.reproduce.figures import NOT_STATED, Figures, make_blocks, published_figures, published_in
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
# The columns of a published accuracy.
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


def test_csv_file_has_exactly_the_accuracies_that_were_read() -> None:
    wide, long = _read("published_results.csv"), _read("published_semi_transfer.csv")
    read: list[Row] = []
    for row in wide:
        protocol = row["protocol"].replace("fine-tune", "finetune")
        fields = (row["method"], row["streams"], protocol)
        read += [(*fields, *data, "", row[column], row["source"]) for column, data in COLUMNS.items() if row[column]]
    for row in long:
        fields = (row["method"], row["streams"], row["protocol"], row["data"], row["split"])
        read.append((*fields, row["share_of_labels"], row["accuracy"], row["source"]))
    ours = [f for f in published_figures() if f.dataset not in ("utd-mhad", "nw-ucla")]
    names = ("method", "streams", "protocol", "dataset", "split", "label_percent", "accuracy", "source")
    assert Counter(tuple(getattr(figure, name) for name in names) for figure in ours) == Counter(read)
    venues = {row["method"]: row["venue"] for row in wide}
    assert all(f.venue == venues.get(f.method, "") for f in ours)


def test_recalled_accuracies_are_marked() -> None:
    assert all(figure.recalled == (figure.source == "recalled") for figure in published_figures())
    assert all(figure.source for figure in published_figures())


def test_accuracies_of_small_data_sets_are_in_the_results() -> None:
    results = (Path(__file__).resolve().parents[3] / "docs" / "results" / "records.md").read_text(encoding="utf-8")
    small = [figure for figure in published_figures() if figure.dataset in ("utd-mhad", "nw-ucla")]
    assert len(small) == 9
    assert all(figure.accuracy in results for figure in small)


def test_recipes_methods_and_claims_of_every_table_exist(tables: list[Table]) -> None:
    blocks = {block for table in tables for block in table.blocks}
    methods = {name for table in tables for name in table.methods}
    for table in tables:
        assert load_recipe(table.specification.recipe)
        assert table.seeds == (0, 1, 2)
        names = [name for settings in table.pretrained.values() for name in settings]
        assert all(settings_kind(name, KINDS) is KINDS[0] for name in names)
    cells = [cell for claim in tables[0].claims for h in claim.hypotheses for cell in (*h.left, *h.right)]
    assert {cell.block for cell in cells} <= blocks
    assert {cell.method for cell in cells} <= methods
    assert {cell.stream for cell in cells} == {"joint", "motion", "bone", "ensemble"}


def test_every_published_accuracy_is_in_a_table(tables: list[Table]) -> None:
    shown = set()
    for table in tables:
        for where in table.specification.published.values():
            for block in (*table.blocks, Block(NOT_STATED)):
                shown.update(published_in(where, block))
    assert shown == set(published_figures())


def test_unavailable_tables_of_the_method_are_shown_without_accuracies(tables: list[Table]) -> None:
    figures = Figures({Cell("i2md", Block("knn"), "joint"): {0: 50.0}})
    for table in tables:
        blocks = [block for split in table.specification.splits for block in make_blocks(table, split, figures)]
        own = [row for block in blocks for row in block["published"] if row["name"].startswith("I2MD")]
        assert len(own) == (0 if table.specification.kind == "small" else len(blocks))
        assert all(row["accuracy"] is None and row["source"] == "not available" for row in own)


def test_a_label_fraction_has_its_own_published_accuracies() -> None:
    where = {"dataset": "ntu60", "split": "xsub"}
    assert [figure.accuracy for figure in published_in(where, Block("semi", 0.1))] == ["75.4", "88.0"]
    assert [figure.accuracy for figure in published_in(where, Block("finetune"))] == ["93.0"]


def test_part_of_a_table_keeps_its_order() -> None:
    narrow = _narrowed(["i2md", "untrained", "moco"], ["finetune", "knn"])
    assert list(narrow.methods) == ["untrained", "moco", "i2md"]
    assert narrow.protocols == ("knn", "finetune")
    with pytest.raises(InputError, match="choose among untrained, supervised, moco"):
        _narrowed(["simclr"], None)
    with pytest.raises(InputError, match="add one of moco, cmd, imd, i2md"):
        _narrowed(["untrained"], None)


def test_part_of_the_splits_keeps_the_split_to_pretrain_on() -> None:
    table = load_table("nw-ucla")
    for splits in (["xview"], ["xview-clean"], ["xview-clean", "xview"]):
        narrow = table.narrowed(None, None, None, splits)
        assert set(narrow.specification.splits) == set(splits)
        assert narrow.pretrained_on == table.pretrained_on == "xview"
    with pytest.raises(InputError, match="choose among xview, xview-clean"):
        table.narrowed(None, None, None, ["xsub"])


def _narrowed(methods: list[str] | None, protocols: list[str] | None) -> Table:
    return load_table("ntu60-xsub").narrowed(None, methods, protocols, None)
