"""Names of classes in a report: always apart, within their length wherever that is possible."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.evaluation.report.class_names import full_names, shortened_names

_text = st.text(st.sampled_from("ab \N{HORIZONTAL ELLIPSIS}"), max_size=14)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(_text, st.sampled_from(["a (class 1)", "class 2"])), max_size=6), st.integers(0, 8))
def test_no_two_classes_have_one_name(names: list[str], count: int) -> None:
    full = full_names(names, count)
    assert len(set(full)) == len(full) == count
    # Only a name that occurs twice, or is that of another class's number, is not kept.
    kept = [name for name in names[:count] if name.strip() and names.count(name) == 1 and "class" not in name]
    assert set(kept) <= set(full)


@settings(max_examples=40, deadline=None)
@given(st.sets(_text, max_size=8), st.integers(5, 10))
def test_no_two_shortened_names_are_alike(names: set[str], length: int) -> None:
    whole = sorted(names)
    short = shortened_names(whole, length)
    assert len(set(short)) == len(whole)
    assert all(cut == name for cut, name in zip(short, whole, strict=True) if len(name) <= length)


def test_names_that_differ_at_one_place_are_cut_elsewhere() -> None:
    start, end = "put something inside a pocket", "take something out of a pocket"
    for names in ([f"{start} {side}" for side in "AB"], [f"{side} {end}" for side in "AB"], [start, end]):
        short = shortened_names(names, 12)
        assert len(set(short)) == 2 and max(map(len, short)) <= 12
    inside = [f"{'x' * 20}{side}{'x' * 20}" for side in "AB"]
    assert shortened_names(inside, 12) == inside


def edit_distance(a: str, b: str) -> int:
    """Letters to insert, remove or replace to turn one text into the other."""
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        above, row = row, [i]
        for j, other in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (letter != other)))
    return row[-1]


def test_two_classes_do_not_differ_by_a_bracket_or_a_letter_alone() -> None:
    names = ["right hand draw circle (clockwise)", "right hand draw circle (counter clockwise)"]
    for length in range(20, 34):
        a, b = ("".join(filter(str.isalnum, name)) for name in shortened_names(names, length))
        assert edit_distance(a, b) >= 3, length


def test_names_of_ntu_stay_apart_at_every_length() -> None:
    names = [
        "wear a shoe",
        "take off a shoe",
        "put on glasses",
        "take off glasses",
        "put on a hat/cap",
        "take off a hat/cap",
    ]
    for length in range(5, 20):
        assert len(set(shortened_names(names, length))) == len(names)
