"""Recipes: every one loads, changes are merged, and unknown names are refused with the nearest."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2md.errors import InputError
from i2md.recipes import describe_recipe, load_recipe, recipe_names, recipe_path


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_has_a_description(name: str) -> None:
    assert load_recipe(name).epochs >= 1
    assert describe_recipe(name)
    assert recipe_path(name).read_text(encoding="utf-8").startswith("# i2md ")


def test_changes_are_merged_with_the_recipe() -> None:
    recipe = load_recipe("utd-mhad")
    changed = load_recipe("utd-mhad", method="cmd", objectives={"queue_size": 512})
    assert (changed.method, changed.objectives.queue_size) == ("cmd", 512)
    assert changed.objectives.num_neighbours == recipe.objectives.num_neighbours == 128
    assert changed.optimizer == recipe.optimizer


def test_a_recipe_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("epochs: 3\n", encoding="utf-8")
    assert load_recipe(str(path), seed=2).epochs == 3


@pytest.mark.parametrize(
    ("name", "hint"), [("utd_mhad", "did you mean utd-mhad? Known: "), ("zzz", "Known: kinect-base, kinect-v1")]
)
def test_unknown_recipes_are_refused_with_the_known_and_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(InputError) as refused:
        load_recipe(name)
    assert str(refused.value).startswith(f"unknown recipe {name!r}: ")
    assert hint in str(refused.value)
    assert all(known in str(refused.value) for known in recipe_names())


def test_an_unknown_setting_of_a_recipe_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("epoch: 3\n", encoding="utf-8")
    with pytest.raises(InputError, match="epoch"):
        load_recipe(str(path))
