"""Numbers read by line and field, compared with splitting all of the text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.readers.text_numbers import first_numbers

numbers = st.floats(allow_nan=False).map(repr)
fields = numbers | st.sampled_from(["-0.123456789", "1e-7", "7", "-0"])


def split(text, lines, count, wanted):
    rows = [line.split(" ") for line in text.replace("\r\n", "\n").split("\n")]
    assert all(len(rows[at]) == count for at in lines)
    return [[float(field) for field in rows[at][:wanted]] for at in lines]


@settings(deadline=None)
@given(st.data(), st.integers(1, 5), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_first_numbers_equals_float_of_split(data, count, end, ends_in_newline):
    asked = data.draw(st.lists(st.booleans(), min_size=1, max_size=8).filter(any))
    rows = [data.draw(st.lists(fields, min_size=count, max_size=count)) for _ in asked]
    for row, chosen in zip(rows, asked, strict=True):
        # The rest of the text is ignored.
        if not chosen:
            row[:] = data.draw(st.lists(st.sampled_from(["x", "", "0.5", "\u00e9"]), max_size=7))
    text = end.join(" ".join(row) for row in rows) + end * ends_in_newline
    lines = np.flatnonzero(asked).tolist()
    wanted = data.draw(st.integers(1, count))
    found = first_numbers(text.encode(), lines, count, wanted)
    np.testing.assert_array_equal(found, split(text, lines, count, wanted))


@pytest.mark.parametrize(
    "line", ["1 2", "1 2 3 4", "", "1  2 3", " 1 2 3", "1 2 3 ", "1\t2 3", "1\x002 3", "1 x 3", "1 2\r3", "1 \u0663 3"]
)
def test_first_numbers_returns_none_for_another_format(line):
    text = f"0 0 0\n{line}\n5 6 7\n".encode()
    assert first_numbers(text, [0, 1, 2], fields=3, wanted=3) is None
    assert first_numbers(text, [0, 2], fields=3, wanted=3).tolist() == [[0, 0, 0], [5, 6, 7]]
