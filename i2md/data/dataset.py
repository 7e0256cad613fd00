"""The description of a folder of clips: the columns of clips.parquet and intervals.parquet, and dataset.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from i2md.data.splits import Split
from i2md.data.windows import Windows
from i2md.errors import InputError, shortened
from i2md.runtime.plain_data import parse_json
from i2md.skeletons import Layout

FORMAT_VERSION = 1
COLUMNS = pa.schema(
    [
        ("name", pa.string()),
        ("start", pa.int64()),
        ("frames", pa.int64()),
        ("persons", pa.int64()),
        ("label", pa.int64()),
        ("subject", pa.int64()),
        ("camera", pa.int64()),
        ("setup", pa.int64()),
        ("trial", pa.int64()),
        ("fps", pa.float64()),
        ("source", pa.string()),
    ]
)
# The labelled intervals of untrimmed recordings; `clip` is a row of the index.
INTERVALS = pa.schema([("clip", pa.int64()), ("start", pa.int64()), ("end", pa.int64()), ("label", pa.int64())])
# The dtypes that frames.npy may have.
PRECISIONS = {"float32": "<f4", "float16": "<f2"}


@dataclass(frozen=True)
class Dataset:
    """The content of dataset.json, which describes all clips together.

    Attributes:
        name: Name of the data set.
        layout: Joints of every frame.
        class_names: Names of the labels 0, 1, ...
        units: Unit of the coordinates, "m" or "unknown" for example.
        preparation: The preset that was applied.
        splits: Named splits, each with its parts.
        report: Counts of what preparation changed or left out, and the files that were left out.
        windows: Into which windows the recordings are divided when they are opened; None if they are not.
    """

    name: str
    layout: Layout
    class_names: tuple[str, ...]
    units: str
    preparation: str
    splits: Mapping[str, Split] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    windows: Windows | None = None

    def to_json(self) -> str:
        """The text of dataset.json."""
        data = asdict(self)
        if self.windows is None:
            del data["windows"]
        return json.dumps({"format_version": FORMAT_VERSION, **data}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: Path) -> Dataset:
        """Read what `to_json` wrote; InputError if it is something else. `where` names the file in errors."""
        try:
            data = parse_json(text)
            version = data.pop("format_version")
            if version != FORMAT_VERSION:
                raise ValueError(f"format {shortened(version)}, this program reads {FORMAT_VERSION}")
            data["layout"] = Layout.from_dict(data["layout"])
            data["class_names"] = tuple(data["class_names"])
            if data.get("windows") is not None:
                data["windows"] = Windows(**data["windows"])
            dataset = cls(**data)
            _check_description(dataset)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InputError) as error:
            reason = shortened(error)
            raise InputError(f"{where}: not a dataset description ({reason}); prepare the clips again") from None
        return dataset


def _check_description(dataset: Dataset) -> None:
    """Check the types of what dataset.json holds, beyond the layout.

    Raises:
        ValueError: A value has another type than `Dataset` states; the message names it.
    """
    for name in ("name", "units", "preparation"):
        if not isinstance(getattr(dataset, name), str):
            raise ValueError(f"{name} is not a text")
    if not all(isinstance(name, str) for name in dataset.class_names):
        raise ValueError("class_names are not texts")
    if not _is_table(dataset.report) or not _is_report(dataset.report):
        raise ValueError("report must hold counts and lists of texts")
    if not _is_table(dataset.splits) or not all(_is_split(split) for split in dataset.splits.values()):
        raise ValueError("splits must name, for each part, columns of the index and lists of values")


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_report(report: Mapping[str, Any]) -> bool:
    counts = [report.get(name, {}) for name in ("not_read", "left_out_reasons")]
    texts = [report.get(name, []) for name in ("left_out_files", "warnings")]
    return (
        all(_is_table(count) and all(type(value) is int for value in count.values()) for count in counts)
        and all(isinstance(text, list | tuple) and all(isinstance(line, str) for line in text) for text in texts)
        and type(report.get("left_out", 0)) is int
        and (not report.get("left_out") or bool(report.get("left_out_files")))
    )


def _is_split(split: Any) -> bool:
    return _is_table(split) and all(
        _is_table(part)
        and all(
            column in COLUMNS.names
            and isinstance(values, list | tuple)
            and all(isinstance(value, str | int | float) for value in values)
            for column, values in part.items()
        )
        for part in split.values()
    )
