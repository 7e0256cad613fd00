"""What a command prints: its result as plain data, and the data as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from i2md.cli import found
from i2md.cli.classifiers import fitted_text, predicted_text, streamed_text
from i2md.cli.next_steps import after_prepare, after_pretraining

if TYPE_CHECKING:
    from i2md.evaluation.results import Result


def as_data(command: str, result: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a command as JSON data: what --json writes and `as_text` prints.

    Args:
        command: Name of the command.
        result: What its function returned.
        arguments: What it was called with.
    """
    if command in ("prepare", "convert", "join"):
        from i2md.data.info import info

        path = str(result.path)
        data = {**info(result), "path": path, "look": f"i2md view {path}", "next": after_prepare(path, arguments)}
        return data | _inferred_layout(arguments)
    if command == "pretrain":
        return {**asdict(result), "run": str(result.run), "next": after_pretraining(result.run, arguments["clips"])}
    if command == "evaluate":
        return {"results": result, "report": str(Path(arguments["run"]) / "report.html")}
    if command == "import-cmd":
        encoder = result.settings.encoder
        return {"run": str(arguments["run"]), "hidden_size": encoder.hidden_size, "num_layers": encoder.num_layers}
    return dict(result)


def _inferred_layout(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What was inferred of the user's own layout file."""
    from i2md.commands.catalogue import describe_layout
    from i2md.skeletons import is_layout_file, layout_file

    name = arguments.get("layout") or arguments.get("to") or (arguments.get("options") or {}).get("layout")
    if name is None or not is_layout_file(name):
        return {}
    read = layout_file(name)
    shown = describe_layout(read.layout)
    return {"inferred": {key: shown[key] for key in read.inferred}}


def as_text(command: str, data: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    """What a command prints, given its data and what it was called with."""
    if command in ("prepare", "info", "convert", "join"):
        return _info(data, arguments.get("classes", False))
    return _TEXTS.get(command, _plain)(data)


def _info(data: Mapping[str, Any], classes: bool) -> str:
    from i2md.data.info import NO_LABEL

    hidden = ("path", "classes", "warnings", "report", "look", "next", "inferred")
    shown = {name: value for name, value in data.items() if name not in hidden}
    shown["persons"] = ", ".join(f"{persons} in {clips} clips" for persons, clips in data["persons"].items())
    shown["splits"] = data["splits"] or "none; i2md split draws one"
    if not any(data["duplicates"].values()):
        del shown["duplicates"]
    shown["size"] = f"{shown.pop('bytes') / 1e6:.1f} MB"
    lines = [f"{name + ':':13}{words(value)}" for name, value in shown.items()]
    not_read = {what: count for what, count in data["report"].get("not_read", {}).items() if count}
    lines.append(f"{'prepared:':13}{words(_changed(data['report'])) or _nothing_counted(data, bool(not_read))}")
    lines += [f"{'not read:':13}{count} {what}" for what, count in not_read.items()]
    labelled = {name: count for name, count in data["classes"].items() if name != NO_LABEL}
    without = data["classes"].get(NO_LABEL, 0)
    lines.append(f"{'classes:':13}{len(labelled)}" + (f", and {without} clips without a label" if without else ""))
    if "inferred" in data:
        lines.append(f"{'inferred:':13}{_axes(data['inferred'])} (of the layout, from the names of its joints)")
    if classes:
        lines += [f"  {count:6} {name}" for name, count in data["classes"].items()]
    lines += [f"warning: {text}" for text in data["warnings"]]
    if "next" in data:
        steps = {"written to": data["path"], "look at it": data["look"], "next": data["next"]}
        lines += [f"{name + ':':13}{text}" for name, text in steps.items()]
    return "\n".join(lines)


def _nothing_counted(data: Mapping[str, Any], not_read: bool) -> str:
    """What to say where nothing was counted: that nothing was changed only if the positions are those of the files."""
    options = data.get("options", {})
    done = [f"normalised ({data['preparation']})"] if data["preparation"] != "none" else []
    done += [word for option, word in (("smooth", "smoothed"), ("resample", "resampled")) if option in options]
    done += ["converted"] if data.get("converted") else []
    nothing = f"nothing was {'filled in' if done else 'changed'}{'' if not_read else ' or left out'}"
    return f"positions are {', '.join(done)}; {nothing}" if done else nothing


def _changed(report: Mapping[str, Any]) -> dict[str, int]:
    """What preparation changed and left out, counted."""
    return {name.replace("_", " "): count for name, count in report.items() if isinstance(count, int) and count}


def _split(data: Mapping[str, Any]) -> str:
    lines = [f"split {data['split']} of {data['clips']}: {words(data['parts'])} clips"]
    lines += [f"warning: {text}" for text in data["warnings"]]
    return "\n".join([*lines, f"use it by: --split {data['split']}"])


def _pretrained(data: Mapping[str, Any]) -> str:
    terms: dict[str, list[str]] = {}
    for name, value in data["losses"].items():
        term, _, stream = name.partition("/")
        terms.setdefault(term, []).append(f"{stream} {value:.3f}".strip())
    losses = [f"  {term:12}{', '.join(values)}" for term, values in terms.items()]
    begins: dict[int, list[str]] = {}
    for term, step in data["begins"].items():
        begins.setdefault(step, []).append(term)
    terms_begin = "; ".join(f"{', '.join(names)} from step {step}" for step, names in sorted(begins.items()))
    reasons: dict[str, list[str]] = {}
    for name, reason in data["left_out"].items():
        reasons.setdefault(reason, []).append(name)
    left_out = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())
    knn = ", ".join(f"{stream} {100 * value:.1f} %" for stream, value in data["knn"].items())
    return "\n".join(
        [
            f"pretrained on {data['clips']} clips (split {data['split']}), {data['epochs']} epochs in"
            f" {duration(data['seconds'])}",
            "last losses:",
            *losses,
            f"terms: {terms_begin}",
            *(f"warning: {text}" for text in data["warnings"]),
            *([f"monitored kNN accuracy: {knn}"] if knn else []),
            *([f"diagnostics left out: {left_out}"] if left_out else []),
            f"run:  {data['run']}",
            f"next: {data['next']}",
        ]
    )


def duration(seconds: float) -> str:
    """A time span as it is read.

    >>> duration(3.2), duration(75), duration(7260)
    ('3.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _evaluated(data: Mapping[str, Any]) -> str:
    from i2md.evaluation.table import accuracy_table

    clean = [result for result in data["results"] if result.corruption is None]
    tables = [accuracy_table(clean), *(_robustness(data["results"]) if len(clean) < len(data["results"]) else ())]
    return "\n\n".join([*tables, f"report: {data['report']}"])


def _robustness(results: Sequence[Result]) -> Iterator[str]:
    from i2md.evaluation.robustness import robustness_tables
    from i2md.evaluation.table import markdown

    for title, rows in robustness_tables(results):
        yield f"Corrupted test clips, {title}, ensemble:\n\n{markdown(rows)}"


def _compared(data: Mapping[str, Any]) -> str:
    from i2md.evaluation.table import accuracy_table

    if "clips" in data:
        return _reported_clips(data)
    differing = f"differing: {', '.join(data['differing']) or 'only the seed'}"
    notes = [f"note: {note}" for note in data["notes"]]
    results, labels = [each.result for each in data["results"]], [each.label for each in data["results"]]
    table = accuracy_table(results, labels) if results else "no results"
    robustness = [f"{text}\n" for text in _robustness(data["robustness"])]
    pictures = [f"picture: {path}" for path in data["pictures"]]
    return "\n".join([f"{table}\n", *robustness, differing, *notes, *pictures, f"report: {data['report']}"])


def _reported_clips(data: Mapping[str, Any]) -> str:
    shown = f", {data['shown']} of them shown" if data["shown"] < data["clips"] else ""
    lines = [f"clips:    {data['clips']} ({data['labelled']} with a label){shown}"]
    if data["clusters"]:
        sizes = ", ".join(map(str, data["clusters"].values()))
        lines.append(f"clusters: {len(data['clusters'])}, of {sizes} clips")
    if data["no_map"]:
        lines.append(f"no map:   {data['no_map']}")
    if not data["labelled"]:
        lines.append("labels:   none; for a table write them into labels.csv, prepare with a split, and evaluate")
    return "\n".join([*lines, f"report:   {data['report']}"])


def _viewed(data: Mapping[str, Any]) -> str:
    long = data["recordings"]
    timelines = f", {long} long recording{'s' * (long != 1)} with a timeline" if long else ""
    lines = [f"{data['shown']} of {data['clips']} clips shown{timelines}"]
    return "\n".join([*lines, *(f"{kind}: {data[kind]}" for kind in ("page", "gif", "mp4", "png") if kind in data)])


def _swept(data: Mapping[str, Any]) -> str:
    if "candidates" in data:
        from i2md.experiments.selection import markdown_selection

        return f"{markdown_selection(dict(data))}\n\nrecipe: {data['recipe']}"
    from i2md.experiments.sweep import markdown_results

    return f"{markdown_results(dict(data))}\n\nreport: {data['report']}"


def _reproduced(data: Mapping[str, Any]) -> str:
    from i2md.experiments.reproduce.pages import markdown_page

    return f"{markdown_page(dict(data))}\n\nreport: {data['report']}"


def _recipes(data: Mapping[str, Any]) -> str:
    if "text" in data:
        return data["text"].rstrip()
    if "file" in data:
        return f"{data['file']} holds recipe {data['recipe']}; use it by --recipe {data['file']}"
    lines = [f"{name:13} {text}" for name, text in data["recipes"].items()]
    return "\n".join([*lines, "", "without --recipe, pretrain chooses settings for the clips at hand (recipe auto)"])


def _layouts(data: Mapping[str, Any]) -> str:
    if "drawn" in data:
        return f"{data['file']} shows layout {data['layout']}"
    if "drawing" in data:
        numbered = [f"{j} {name}" for j, name in enumerate(data["joints"])]
        return "\n".join([data["drawing"], "", *wrap(", ".join(numbered), 100)])
    if "warnings" in data:
        found = [f"warning: {text}" for text in data["warnings"]] or ["nothing looks wrong"]
        return "\n".join([f"{data['layout']}: {data['joints']} joints", *found])
    if "file" in data:
        return f"{data['file']} holds layout {data['layout']}; use it by i2md prepare --layout {data['file']}"
    if "layouts" in data:
        lines = [f"{name:18} {text}" for name, text in data["layouts"].items()]
        hint = "for one of your own, edit a copy (i2md layouts copy NAME my.yaml) and prepare with --layout my.yaml"
        return "\n".join([*lines, "", hint])
    other = {**data["mirror"], **{right: left for left, right in data["mirror"].items()}}
    rows = [("", "joint", "parent", "counterpart")]
    for j, (name, parent) in enumerate(data["joints"].items()):
        rows.append((str(j), name, "-" if parent is None else parent, other.get(name, "-")))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    axes = {name: data[name] for name in ("centre", "across", "spine", "up")}
    inferred = f"inferred from the names: {', '.join(data['inferred'])}" if data["inferred"] else "nothing is inferred"
    return "\n".join([f"{data['layout']}: {len(data['joints'])} joints", *lines, "", _axes(axes), inferred])


def _axes(data: Mapping[str, Any]) -> str:
    """Axes and mirror pairs of a layout, in a line."""
    parts = []
    for name, value in data.items():
        if name == "mirror":
            parts.append(f"mirror {len(value)} pairs")
        elif name in ("across", "spine"):
            parts.append(f"{name} {' to '.join(value)}")
        elif name == "up":
            parts.append(f"up ({', '.join(f'{v:g}' for v in value)})")
        else:
            parts.append(f"{name} {value}")
    return "; ".join(parts)


def _plain(data: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}: {words(value)}" for name, value in data.items())


def words(value: Any) -> str:
    """A value as it is read, nested mappings in brackets."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k} ({words(v)})" if isinstance(v, Mapping) else f"{k} {words(v)}" for k, v in value.items())
    return str(value)


_TEXTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "split": _split,
    "pretrain": _pretrained,
    "evaluate": _evaluated,
    "fit": fitted_text,
    "predict": predicted_text,
    "stream": streamed_text,
    "report": _compared,
    "sweep": _swept,
    "view": _viewed,
    "reproduce": _reproduced,
    "recipes": _recipes,
    "layouts": _layouts,
    "search": found.search,
    "cluster": found.cluster,
    "suggest": found.suggest,
}
