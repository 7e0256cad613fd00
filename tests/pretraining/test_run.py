"""config.yaml of a run: what is damaged or hostile in it ends in one InputError of under 500 characters."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from i2md.errors import InputError
from i2md.pretraining.run import read_config

LAUGHS = "\n".join(["a0: &a0 [x, x, x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12))])


def _changed(*path: str, value: Any) -> Callable[[str], str]:
    def change(text: str) -> str:
        data = yaml.safe_load(text)
        inner = data
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value
        return yaml.safe_dump(data)

    return change


@pytest.mark.parametrize(
    "change",
    [
        _changed("settings", "encoder", "hidden_size", value=10**9),
        _changed("settings", "encoder", "num_layers", value=10**9),
        _changed("settings", "views", "frames", value=10**9),
        _changed("persons", value=10**9),
        _changed("persons", value="two"),
        _changed("persons", value="x" * 10_000),
        _changed("clips", value=["a"]),
        _changed("preparation", value={"a": 1}),
        _changed("layout", value=3),
        _changed("layout", "name", value="x" * 10_000),
        _changed("layout", "parents", value=[10**9] * 20),
        _changed("settings", value="x" * 10_000),
        lambda text: LAUGHS + "\n" + text,
        lambda text: f"settings: {LAUGHS.splitlines()[-1]}",
        lambda text: "[" * 20_000,
        lambda text: "- " * 5_000,
        lambda text: f"persons: {'9' * 6000}\n",
        lambda text: "\x00\x01",
        lambda text: "",
        lambda text: "3",
    ],
)
def test_damaged_configuration(change: Callable[[str], str], run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(run / "config.yaml", folder)
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(change(text), encoding="utf-8")
    with pytest.raises(InputError) as raised:
        read_config(folder)
    assert len(str(raised.value).replace(str(tmp_path), "")) < 500
    assert "\n" not in str(raised.value)


def test_an_undamaged_configuration_is_read(run: Path) -> None:
    assert read_config(run).persons >= 1
