"""docs/examples/stream.py, the file itself: registered, the stream is pretrained on, distilled and evaluated."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch

import i2md
from i2md.errors import InputError
from i2md.skeletons import get_layout
from i2md.views.settings import STREAMS
from i2md.views.streams import stream

sys.path.insert(0, str(Path(__file__).parent))
from pretraining_examples import EXAMPLES, TINY, command, last_losses, load_example, pretrain


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(STREAMS, "_registered", {})
    STREAMS.register("relative", load_example("stream").relative)


def test_it_does_not_depend_on_where_the_body_is(registered: None) -> None:
    x, layout = torch.randn(2, 6, 15, 3, 1), get_layout("openni-15")
    there = stream(x + torch.randn(2, 6, 1, 3, 1), "relative", layout)
    torch.testing.assert_close(there, stream(x, "relative", layout))
    torch.testing.assert_close(stream(there, "bone", layout), stream(x, "bone", layout))


def test_a_run_by_the_python_api(registered: None, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    base, streams = tmp_path_factory.getbasetemp(), ("joint", "relative")
    done = pretrain(base, tmp_path / "run", streams=streams)
    assert {"contrast/relative", "cmd/joint>relative"} <= set(done.losses)
    assert set(i2md.load(tmp_path / "run", "cpu").embed(i2md.open_clips(tiny.clips(base)))) >= set(streams)


def test_the_command_finds_it_through_the_entry_point(
    entry_point: Callable[..., None], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    entry_point("i2md.streams", "centred", "stream:relative", EXAMPLES)
    assert command(tmp_path_factory.getbasetemp(), tmp_path / "run", "--streams", "[joint, centred]") == 0
    assert {"contrast/centred", "cmd/centred>joint"} <= last_losses(tmp_path / "run")


def test_an_unknown_stream_and_one_of_another_shape_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"stream 'jiont' is unknown \(did you mean joint\?\); choose among joint"):
        replace(TINY, streams=("jiont", "bone"))
    monkeypatch.setattr(STREAMS, "_registered", {})
    STREAMS.register("first-frame", lambda x, layout: x[:, :1])
    with pytest.raises(InputError, match="stream 'first-frame': its shape"):
        stream(torch.randn(2, 6, 15, 3, 1), "first-frame", get_layout("openni-15"))
