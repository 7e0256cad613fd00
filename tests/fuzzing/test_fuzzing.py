"""Mutated files of every reader and loader end in clips, a value or one InputError; `make fuzz` tries more of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzing.campaign import attack
from fuzzing.recordings import pose_targets
from fuzzing.targets import targets

MUTATIONS = 200
# Each mutation of these builds a model, trains or writes a page, which takes ten times as long.
SLOW = {"state of a run": 20, "log and results of a run": 40, "run": 40, "checkpoint of cmd": 20, "recipe": 40}
# These share most of what happens to their bytes with others.
SLOW |= dict.fromkeys(pose_targets(), 25)
NAMES = list(targets(Path()))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzzed")


@pytest.mark.parametrize("name", NAMES)
def test_mutated_files_end_in_a_value_or_one_input_error(name: str, base: Path) -> None:
    outcome = attack(targets(base)[name](), range(SLOW.get(name, MUTATIONS)), quick=True)
    assert outcome.findings == [], f'python -m fuzzing "{name}" --first {outcome.findings[0].number} --count 1'
    # Mutations that are all refused would test little.
    assert outcome.ends["read"]
