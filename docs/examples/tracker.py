"""A tracker: the numbers of each epoch as a CSV file. `i2md pretrain CLIPS RUN --trackers '[tensorboard, csv]'`.

Registered in pyproject.toml of the package that holds this file:

    [project.entry-points."i2md.trackers"]
    csv = "tracker:CSVTracker"
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class CSVTracker:
    """Writes RUN/losses.csv; of the columns of its first line."""

    def __init__(self, run: Path, config: Mapping[str, Any], epochs_done: int) -> None:
        self.path = run / "losses.csv"
        rows = list(csv.reader(self.path.read_text().splitlines())) if self.path.is_file() else []
        kept = [row for row in rows[1:] if int(row[0]) <= epochs_done]
        self.columns = rows[0] if rows else []
        with self.path.open("w", newline="") as file:
            csv.writer(file).writerows([self.columns, *kept] if rows else [])

    def write(self, scalars: Mapping[str, float], epoch: int) -> None:
        """Append a line, and before the first one the names of the columns."""
        with self.path.open("a", newline="") as file:
            if not self.columns:
                self.columns = ["epoch", *scalars]
                csv.writer(file).writerow(self.columns)
            csv.writer(file).writerow([epoch, *(scalars.get(name, "") for name in self.columns[1:])])

    def close(self, finished: bool) -> None:
        """Nothing to do: every line is written."""
