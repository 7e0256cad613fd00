"""docs/examples/augmentation.py, the file itself: registered, it changes views as it says, whoever shares a batch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from i2md.errors import InputError
from i2md.skeletons import get_layout
from i2md.views.augment import ViewDraws
from i2md.views.settings import AUGMENTATIONS, ViewSettings
from i2md.views.view import make_view

sys.path.insert(0, str(Path(__file__).parent))
from pretraining_examples import EXAMPLES, TINY, command, load_example, pretrain

LAYOUT = get_layout("openni-15")
PLAIN = ViewSettings(frames=8)
HIDDEN = replace(PLAIN, augmentations=("hide",), options={"hide": {"probability": 1.0}})


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AUGMENTATIONS, "_registered", {})
    AUGMENTATIONS.register("hide", load_example("augmentation").HideJoint)


def draws_of(settings: ViewSettings) -> ViewDraws:
    return ViewDraws.for_views(settings, LAYOUT, 12, 1, torch.Generator().manual_seed(0))


def test_one_joint_of_each_clip_is_hidden_and_the_rest_is_the_same_view(pack_arrays: Callable) -> None:
    clips = pack_arrays([np.random.default_rng(0).normal(size=(1, 20, 15, 3)) for _ in range(12)])
    plain, hidden = (make_view(clips, torch.arange(12), s, LAYOUT, 1, draws_of(s)) for s in (PLAIN, HIDDEN))
    changed = (plain != hidden).any(dim=(1, 3, 4))
    assert (changed.sum(dim=1) <= 1).all() and changed.any()
    assert ((hidden == 0).all(dim=(1, 3, 4)).sum(dim=1) >= 1).all()


def test_processes_that_share_a_batch_make_the_views_that_one_makes(pack_arrays: Callable) -> None:
    clips = pack_arrays([np.random.default_rng(0).normal(size=(1, 20, 15, 3)) for _ in range(12)])
    draws, indices = draws_of(HIDDEN), torch.arange(12)
    halves = [
        make_view(clips, indices[part], HIDDEN, LAYOUT, 1, draws.rows(part)) for part in (slice(0, 6), slice(6, 12))
    ]
    assert torch.equal(torch.cat(halves), make_view(clips, indices, HIDDEN, LAYOUT, 1, draws))


def test_a_run_by_the_python_api(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.getbasetemp()
    plain, hidden = (
        pretrain(base, tmp_path / name, method="moco", views=views) for name, views in (("p", PLAIN), ("h", HIDDEN))
    )
    assert plain.losses.keys() == hidden.losses.keys() and plain.losses != hidden.losses


def test_the_command_finds_it_through_the_entry_point(
    entry_point: Callable[..., None], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    entry_point("i2md.augmentations", "hide_joint", "augmentation:HideJoint", EXAMPLES)
    words = ("--views.augmentations", "[hide_joint]", "--views.options.hide_joint.probability", "0.9")
    assert command(tmp_path_factory.getbasetemp(), tmp_path / "run", *words) == 0
    views = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["settings"]["views"]
    assert views["augmentations"] == ["hide_joint"]
    assert float(views["options"]["hide_joint"]["probability"]) == 0.9


def test_wrong_names_and_settings_are_named() -> None:
    with pytest.raises(InputError, match=r"augmentation 'hid' is unknown \(did you mean hide\?\)"):
        replace(TINY, views=replace(PLAIN, augmentations=("hid",)))
    with pytest.raises(InputError, match=r"views\.options\.hide: settings of what is not chosen"):
        replace(TINY, views=replace(PLAIN, options={"hide": {}}))
    with pytest.raises(InputError, match=r"views\.options\.hide.p is unknown"):
        draws_of(replace(HIDDEN, options={"hide": {"p": 0.3}}))


def test_wrong_settings_leave_no_folder(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(InputError, match=r"views\.options\.hide: .*probability"):
        wrong = replace(HIDDEN, options={"hide": {"probability": "often"}})
        pretrain(tmp_path_factory.getbasetemp(), tmp_path / "run", views=wrong)
    assert not (tmp_path / "run").exists()
