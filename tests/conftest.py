"""Where the tests find what they measure against."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# Every shape that an annotation states is checked, from before anything of i2md is imported.
# The numeric tower lets a whole number pass where a float is asked for, as every type checker does.
install_import_hook("i2md", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def golden() -> Path:
    """Reference numbers of the published program."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings; skips, saying so, where it is absent."""
    folder = Path(os.environ.get("I2MD_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real recordings: {folder} is absent (set I2MD_TEST_DATA)")
    return folder
