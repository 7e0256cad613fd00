"""Extensions are found by name, wherever they come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2md.errors import InputError
from i2md.runtime.registry import Registry


@pytest.fixture
def registry() -> Registry[object]:
    return Registry("codec", "i2md.test_codecs", {"dumps": "json:dumps", "loads": "json:loads"})


def test_built_in_extensions_are_imported_on_first_use(registry: Registry[object]) -> None:
    import json

    assert registry["dumps"] is json.dumps
    assert list(registry) == ["dumps", "loads"]
    assert "nothing" not in registry


def test_a_registered_name_is_found_and_a_built_in_one_is_not_replaced(registry: Registry[object]) -> None:
    @registry.decorator("mine")
    def mine() -> None: ...

    assert registry["mine"] is mine
    assert list(registry) == ["dumps", "loads", "mine"]
    with pytest.raises(InputError, match="codec 'dumps' is built in"):
        registry.register("dumps", mine)


def test_an_unknown_name_lists_the_known_ones_and_the_nearest(registry: Registry[object]) -> None:
    with pytest.raises(InputError, match=r"'load' is unknown \(did you mean loads\?\); choose among dumps, loads"):
        registry["load"]
    with pytest.raises(InputError, match="codec 'zebra' is unknown; choose among dumps, loads"):
        registry.check("zebra")


def test_entry_points_of_installed_packages(
    registry: Registry[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[i2md.test_codecs]\nrot13 = their_codec:rot13\nbad = no_such_module:x\n")
    (tmp_path / "their_codec.py").write_text("def rot13(): return 'rot13'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert list(registry) == ["dumps", "loads", "bad", "rot13"]
    assert registry["rot13"]() == "rot13"  # type: ignore[operator]
    with pytest.raises(InputError, match="'bad' \\(no_such_module:x\\) can't be imported: ModuleNotFoundError"):
        registry["bad"]
