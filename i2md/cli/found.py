"""What search, cluster and suggest print: clips in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def search(data: Mapping[str, Any]) -> str:
    """The neighbours of a query, the nearest first."""
    of = f" ({data['class']})" if data["class"] else ""
    shares = ", ".join(f"{name} {weight:.2g}" for name, weight in data["streams"].items())
    lines = [
        f"nearest to {data['query']}{of}, of {data['searched']} clips by {data['by']}; streams: {shares}",
        *table(data["neighbours"], ("similarity", "name", "class", "subject", "recording", "start", "end")),
    ]
    if data["same_class"] is not None:
        lines.append(f"{data['same_class']} of {len(data['neighbours'])} have the class of the query")
    lines.append(changes(data))
    return "\n".join([*lines, *([f"page: {data['page']}"] if "page" in data else [])])


def cluster(data: Mapping[str, Any]) -> str:
    """Clusters, the largest first, and how far they can be relied on."""
    how = "chosen by the silhouette coefficient" if data["tried"] else data["method"]
    lines = [f"{data['number']} clusters of {data['clips']} clips ({how})"]
    rows = [
        {
            "cluster": row["cluster"],
            "size": row["size"],
            "example": row["examples"][0],
            "most frequent classes": ", ".join(f"{name} {count}" for name, count in row["classes"].items()) or None,
        }
        for row in data["clusters"]
    ]
    lines += table(rows, ("cluster", "size", "example", "most frequent classes"))
    if data["in_none"]:
        lines.append(f"in no cluster: {data['in_none']} clips")
    near = sorted(data["tried"].items(), key=lambda item: -item[1])[:5]
    others = "; highest: " + ", ".join(f"{value:.3f} for {number}" for number, value in near) if near else ""
    lines.append(f"silhouette: {data['silhouette']:.3f}{others}")
    lines.append(
        f"stability (adjusted Rand index of {data['fits']} fits of 80 % of the clips): {data['stability']:.3f}"
    )
    if "NMI" in data:
        lines.append(f"agreement with {data['labelled']} labels: NMI {data['NMI']:.3f}, ARI {data['ARI']:.3f}")
    lines += [f"table: {data['table']}", f"page: {data['page']}"]
    if "animations" in data:
        lines.append(f"animations: {len(data['animations'])}, {data['animations'][0]} the first")
    return "\n".join(lines)


def suggest(data: Mapping[str, Any]) -> str:
    """Clips to label, the most useful first."""
    lines = [f"{data['labelled']} of {data['clips']} clips are labelled, with {data['classes']} classes; label next:"]
    lines += table(data["suggestions"], ("name", "why", "subject", "recording", "start", "end"))
    lines += [f"note: {note}" for note in data["notes"]]
    lines += [f"{what}: {data[what]}" for what in ("out", "page") if what in data]
    return "\n".join(lines)


def changes(data: Mapping[str, Any]) -> str:
    """How the store of features changed."""
    added = f"computed for {data['added']} clips" if data["added"] else "were there"
    removed = f", those of {data['removed']} former clips are left out" if data["removed"] else ""
    return f"features: {added}{removed} ({data['index']})"


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    """Rows as aligned text, with the columns that any of them has.

    >>> table([{"name": "a", "class": None}, {"name": "bc", "class": None}], ["name", "class"])
    ['  name', '  a', '  bc']
    """
    shown = [name for name in columns if any(row.get(name) is not None for row in rows)]
    cells = [shown, *([_cell(row.get(name)) for name in shown] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(shown))]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
