"""Labels by hand: any order of actions, kills and foreign edits gives what a list of all states says."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.readers.files import File
from i2md.data.readers.labels_csv import read_labels_csv
from i2md.errors import InputError
from i2md.explorer.labels import BAD, SKIPPED, LabelBook, Mark

NAMES = ["a", "b/c", "d,e", 'f"g', "h.npy", "<i>"]
LABELS = ["wave", "<script>", "a,b", 'quo"ted', "\u00e9t\u00e9"]

marks = st.tuples(
    st.just("mark"),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True),
    st.one_of(
        st.tuples(st.sampled_from(["", *LABELS]), st.just("")), st.tuples(st.just(""), st.sampled_from([SKIPPED, BAD]))
    ),
)
foreign = st.tuples(st.just("foreign"), st.sampled_from(NAMES), st.sampled_from(["", *LABELS]))
steps = st.one_of(
    marks,
    foreign,
    *(st.tuples(st.just(kind)) for kind in ("undo", "redo", "restart", "kill", "kill before the table", "torn line")),
)


def table(path: Path) -> dict[str, Mark]:
    """The labels by the reader that `fit` uses, without lines that say nothing."""
    known, unread = read_labels_csv(path.parent, [File(path.parent, path.name)], NAMES)
    assert not unread
    said = {name: Mark(row.label, row.remark) for name, row in known.items()}
    return {name: mark for name, mark in said.items() if mark != Mark()}


def edit(path: Path, name: str, label: str) -> None:
    """What another program does: one line of the table is changed or added."""
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))}
    rows[name] = {"name": name, "label": label, "remark": ""}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["name", "label", "remark"])
        writer.writeheader()
        writer.writerows(rows.values())


class Slow:
    """Every state there was, in full."""

    def __init__(self) -> None:
        self.states: list[dict[str, Mark]] = [{}]
        self.at = 0

    def now(self) -> dict[str, Mark]:
        return self.states[self.at]

    def change(self, names: list[str], mark: Mark) -> None:
        new = {**self.now(), **dict.fromkeys(names, mark)}
        new = {name: each for name, each in new.items() if each != Mark()}
        if new != self.now():
            self.states[self.at + 1 :] = [new]
            self.at += 1


@settings(max_examples=60)
@given(st.lists(steps, max_size=14))
def test_labels_are_those_of_a_slow_model_whatever_happens(actions: list) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, slow = Path(folder) / "labels.csv", Slow()
        book = LabelBook(path, NAMES)
        for kind, *about in actions:
            if kind == "mark":
                names, (label, remark) = about
                slow.change(names, Mark(label, remark))
                book.mark(names, label, remark, "me")
            elif kind == "undo":
                slow.at = max(0, slow.at - 1)
                book.undo()
            elif kind == "redo":
                slow.at = min(len(slow.states) - 1, slow.at + 1)
                book.redo()
            elif kind == "foreign":
                if path.exists():
                    edit(path, *about)
                    slow.change([about[0]], Mark(about[1]))
                    book.check()
            else:
                before = path.read_bytes() if path.exists() else None
                if kind == "kill before the table":
                    slow.change(["a"], Mark("last"))
                    book.mark(["a"], "last")
                book.close()
                if kind == "kill before the table" and before is not None:
                    path.write_bytes(before)
                if kind == "torn line":
                    with path.with_name("labels.csv.journal").open("ab") as journal:
                        journal.write(b'deadbeef {"do": {"a"')
                book = LabelBook(path, NAMES)
            assert book.marks == slow.now()
            assert (book.can_undo, book.can_redo) == (slow.at, len(slow.states) - 1 - slow.at)
            assert (table(path) if path.exists() else {}) == slow.now()
        book.close()


def test_an_action_is_in_the_journal_before_the_call_returns(tmp_path: Path) -> None:
    book = LabelBook(tmp_path / "labels.csv", NAMES)
    for number in range(5):
        book.mark([NAMES[number]], f"class {number}")
        assert f"class {number}" in (tmp_path / "labels.csv.journal").read_text(encoding="utf-8").splitlines()[-1]
    book.close()


def test_lines_for_other_clips_their_order_and_other_known_columns_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("name;subject;label;split\nother;7;sit;train\nb/c;8;;val\n", encoding="utf-8")
    book = LabelBook(path, NAMES)
    book.mark(["a", "b/c"], "wave")
    book.close()
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines == ["name,label,remark,split,subject", "other,sit,,train,7", "b/c,wave,,val,8", "a,wave,,,"]


def test_a_second_program_cannot_open_the_same_labels(tmp_path: Path) -> None:
    book = LabelBook(tmp_path / "labels.csv", NAMES)
    with pytest.raises(InputError, match="another process"):
        LabelBook(tmp_path / "labels.csv", NAMES)
    book.close()
    LabelBook(tmp_path / "labels.csv", NAMES).close()


def test_a_table_that_cannot_be_read_any_more_is_left_alone_until_it_can(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    book = LabelBook(path, NAMES)
    book.mark(["a"], "wave")
    half = 'name,label\na,wave\nb/c,"un'
    path.write_text(half, encoding="utf-8")
    book.mark(["d,e"], "sit")
    assert "labels.csv" in book.problem and path.read_text(encoding="utf-8") == half
    path.write_text('name,label\na,wave\nb/c,"until now"\n', encoding="utf-8")
    book.check()
    assert not book.problem
    assert book.marks["b/c"].label == "until now"
    book.close()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,label,colour\na,wave,red\n", "would be lost"),
        ("word\nx\n", "its columns are word"),
        ("name,label\na,x\na,y\n", "second"),
    ],
)
def test_tables_that_would_lose_something_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        LabelBook(tmp_path / "labels.csv", NAMES)
    assert (tmp_path / "labels.csv").read_text(encoding="utf-8") == content


@pytest.mark.parametrize("label", ["x" * 201, "two\nlines", " blank ", "\x00"])
def test_labels_that_a_table_would_change_are_refused(tmp_path: Path, label: str) -> None:
    book = LabelBook(tmp_path / "labels.csv", NAMES)
    with pytest.raises(InputError, match="no label"):
        book.mark(["a"], label)
    assert book.marks == {}
    book.close()


@pytest.mark.parametrize("name", [" a", "./a", "a\\b", "a\nb"])
def test_names_that_a_table_would_change_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot hold the name"):
        LabelBook(tmp_path / "labels.csv", [name])
