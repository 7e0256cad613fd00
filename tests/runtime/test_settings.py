"""Saved settings are read without jsonargparse, and as jsonargparse reads them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from i2md.errors import InputError
from i2md.pretraining.settings import PretrainSettings
from i2md.recipes import load_recipe
from i2md.runtime.settings import _built, _parser, checked_settings

RECIPES = ("ntu60", "utd-mhad", "synthetic", "kinect-base")


@pytest.mark.parametrize("recipe", RECIPES)
def test_both_ways_give_equal_settings(recipe: str) -> None:
    settings = load_recipe(recipe)
    settings = replace(
        settings, views=replace(settings.views, augmentations=("noise",), options={"noise": {"amount": 0.5}})
    )
    data = json.loads(json.dumps(asdict(settings)))
    parser = _parser(PretrainSettings)
    by_jsonargparse = parser.instantiate(parser.parse_object({"settings": data})).settings
    assert _built(PretrainSettings, data) == by_jsonargparse == settings


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"epoch": 3}, "epoch"),
        ({"epochs": "many"}, "epochs"),
        ({"epochs": None}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"precision": "fp8"}, "precision"),
        ({"views": {"crop": [0.5]}}, "crop"),
        ({"optimizer": {"learning_rate": "fast"}}, "learning_rate"),
        ({"streams": ["joint", 3]}, "streams"),
    ],
)
def test_what_is_wrong_is_named_as_before(change: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        checked_settings(PretrainSettings, change)


def test_whole_numbers_become_floats() -> None:
    found = checked_settings(PretrainSettings, {"views": {"crop": [1, 1]}, "optimizer": {"learning_rate": 1}})
    assert [type(value) for value in (*found.views.crop, found.optimizer.learning_rate)] == [float] * 3
