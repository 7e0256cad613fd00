"""Published accuracies, carried over as data with where each was read: published_results.csv."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

NOT_TOLD = "not told"


class Published(NamedTuple):
    """One figure: top-1 in percent, as its source writes it; `recalled` ones were not checked against the paper."""

    method: str
    venue: str
    streams: str
    protocol: str
    data: str
    split: str
    share: str
    accuracy: str
    source: str
    recalled: bool

    @property
    def name(self) -> str:
        """Method and venue."""
        return f"{self.method}, {self.venue}" if self.venue else self.method


@cache
def published_figures() -> tuple[Published, ...]:
    """All of them."""
    text = (files(__package__) / "published_results.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(Published(**{**row, "recalled": row["recalled"] == "yes"}) for row in rows)  # type: ignore[arg-type]


def published_beside(where: Mapping[str, str], outcome: str) -> list[Published]:
    """The figures that belong beside an outcome such as `linear` or `semi-0.05`, in the order of the file.

    `where` names `data` and `split`, and protocols that are called otherwise here, such as `finetune: supervised`.

    >>> [figure.accuracy for figure in published_beside({"data": "ntu60", "split": "xview"}, "semi-0.2")]
    ['84.3']
    """
    protocol, _, share = outcome.partition("-") if outcome.startswith("semi-") else (outcome, "", "")
    wanted = (where["data"], where["split"], where.get(protocol, protocol))
    return [
        figure
        for figure in published_figures()
        if (figure.data, figure.split, figure.protocol) == wanted
        and (not share or float(figure.share) == round(100 * float(share), 6))
    ]
