"""What a run's folder holds, read for its report: whatever is damaged or missing is noted, and the rest is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_settings(path: Path, notes: list[str]) -> dict[str, Any]:
    """The nested settings of a config.yaml; none where it is no YAML."""
    import yaml

    if not path.is_file():
        return {}
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        notes.append("config.yaml is not YAML; its settings are left out.")
        return {}
    return settings if isinstance(settings, dict) else {}


def read_epochs(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    """One entry an epoch, ascending: a resumed run logs an epoch again, and the later line counts."""
    if not path.is_file():
        return []
    by_epoch: dict[int, dict[str, Any]] = {}
    torn = 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        entry = _json_object(line)
        if isinstance(entry.get("epoch"), int):
            by_epoch[entry["epoch"]] = entry
        elif line.strip():
            torn += 1
    if torn:
        notes.append(f"log.jsonl: {torn} unreadable line{'s' * (torn > 1)} left out.")
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]


def read_evaluations(folder: Path, notes: list[str]) -> list[dict[str, Any]]:
    """The results in a run's folder `evaluation`, by file name; each names its protocol."""
    evaluations = []
    for path in sorted(folder.glob("*.json")):
        result = _json_object(path.read_text(encoding="utf-8", errors="replace"))
        if isinstance(result.get("accuracy"), dict):
            evaluations.append({"protocol": path.stem, **result})
        else:
            notes.append(f"evaluation/{path.name} holds no accuracies; it is left out.")
    return evaluations


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
