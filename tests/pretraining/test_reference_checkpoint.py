"""Reference checkpoints: every tensor finds its place, and a hostile or damaged file is refused unrun."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from i2md.errors import InputError
from i2md.pretraining.model import I2MD
from i2md.pretraining.reference_checkpoint import read_reference_checkpoint, reference_settings, rename_reference_state
from i2md.skeletons import get_layout
from i2md.views.streams import stream

STREAMS = ("joint", "motion", "bone")


@pytest.fixture(scope="module")
def checkpoint(golden) -> Path:
    return golden / "cmd_step.pth.tar"


@pytest.fixture(scope="module")
def model(checkpoint) -> I2MD:
    state = read_reference_checkpoint(checkpoint)
    model = I2MD(reference_settings(state), get_layout("kinect-v2"), persons=2)
    model.load_state_dict(rename_reference_state(state), strict=True)
    return model


def test_sizes_are_read_from_the_checkpoint(model):
    s = model.settings
    assert (s.method, s.batch_size, s.streams) == ("cmd", 32, STREAMS)
    assert (s.encoder.hidden_size, s.encoder.num_layers) == (24, 3)
    assert (s.objectives.embedding_dim, s.objectives.queue_size, s.objectives.num_neighbours) == (16, 96, 48)


def test_the_file_is_the_final_state_of_the_published_steps(golden, checkpoint):
    numbers = np.load(golden / "cmd_step.npz")
    state = read_reference_checkpoint(checkpoint)
    assert {f"final/{name}" for name in state} == {name for name in numbers.files if name.startswith("final/")}
    for name, value in state.items():
        np.testing.assert_array_equal(value.numpy(), numbers[f"final/{name}"], err_msg=name)


def test_renaming_keeps_every_number(model, checkpoint):
    """Renaming moves each number once: both sides hold the same multiset."""
    ours = {n: v for n, v in model.state_dict().items() if not n.endswith((".clips", ".filled"))}
    sides = [list(read_reference_checkpoint(checkpoint).values()), list(ours.values())]
    reference, renamed = (torch.cat([v.flatten().double() for v in side]).sort().values for side in sides)
    assert torch.equal(reference, renamed)


@pytest.mark.parametrize("name", STREAMS)
def test_both_branches_embed_as_the_reference_layers(model, checkpoint, name):
    """PyTorch's own GRU cell and linear layers on the reference names."""
    state = read_reference_checkpoint(checkpoint)
    x = stream(torch.randn(4, 6, 25, 3, 2, generator=torch.Generator().manual_seed(0)), name, model.layout)
    suffix = "" if name == "joint" else f"_{name}"
    for side, branch in (("encoder_q", model.query[name]), ("encoder_k", model.key[name])):
        own = {k.split(".", 1)[1]: v for k, v in state.items() if k.startswith(f"{side}{suffix}.")}
        norm = [own[f"input_norm.{n}"] for n in ("running_mean", "running_var", "weight", "bias")]
        frames = torch.nn.functional.batch_norm(x.flatten(2).flatten(0, 1), *norm).unflatten(0, (4, 6))
        states = {(layer, end): torch.zeros(4, 24) for layer in range(3) for end in ("", "_reverse")}
        for frame in frames.unbind(1):
            for layer, end in states:
                weights = [
                    own[f"encoder.gru.{n}_l{layer}{end}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                ]
                below = frame if layer == 0 else torch.cat([states[layer - 1, e] for e in ("", "_reverse")], dim=1)
                states[layer, end] = torch.gru_cell(below, states[layer, end], *weights)
        feature = torch.cat([states[2, ""], states[2, "_reverse"]], dim=1)
        hidden = torch.relu(feature @ own["fc.0.weight"].T + own["fc.0.bias"])
        embedding = torch.nn.functional.normalize(hidden @ own["fc.2.weight"].T + own["fc.2.bias"], dim=1)
        with torch.no_grad():
            torch.testing.assert_close(branch.eval()(x)[0], embedding, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", STREAMS)
def test_queues_are_transposed_and_full(model, checkpoint, name):
    theirs = read_reference_checkpoint(checkpoint)["queue" if name == "joint" else f"queue_{name}"]
    queue = model.queues[name]
    assert torch.equal(queue.keys, theirs.T)
    assert queue.full and (queue.clips == -1).all() and int(queue.pointer) == 24


def test_names_of_a_data_parallel_model(checkpoint, tmp_path):
    state = {f"module.{name}": value for name, value in read_reference_checkpoint(checkpoint).items()}
    torch.save({"epoch": 1, "state_dict": state}, tmp_path / "many.pth.tar")
    assert read_reference_checkpoint(tmp_path / "many.pth.tar").keys() == read_reference_checkpoint(checkpoint).keys()


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def plain_pickle(data, path):
    path.write_bytes(pickle.dumps(data))


@pytest.mark.parametrize(
    "save", [torch.save, plain_pickle, lambda d, p: torch.save(d, p, _use_new_zipfile_serialization=False)]
)
def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path, save):
    mark, path = tmp_path / "executed", tmp_path / "hostile.pth.tar"
    save({"state_dict": {"encoder_q.encoder.gru.weight_ih_l0": Hostile(f"touch {mark}")}}, path)
    with pytest.raises(InputError, match=r"hostile\.pth\.tar: not a PyTorch checkpoint"):
        read_reference_checkpoint(path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 torn", bytes(range(256)) * 40])
def test_an_invalid_file_is_an_input_error(tmp_path, content):
    path = tmp_path / "garbage.pth.tar"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"garbage\.pth\.tar: not a PyTorch checkpoint; give"):
        read_reference_checkpoint(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(checkpoint, tmp_path, share):
    whole, path = checkpoint.read_bytes(), tmp_path / "cut.pth.tar"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"cut\.pth\.tar: not a PyTorch checkpoint"):
        read_reference_checkpoint(path)


@pytest.mark.parametrize("data", [{"state_dict": {"fc.weight": torch.zeros(2)}}, {"fc.weight": torch.zeros(2)}])
def test_another_programs_checkpoint_is_refused(tmp_path, data):
    torch.save(data, tmp_path / "other.pth.tar")
    with pytest.raises(InputError, match=r"other\.pth\.tar: not a checkpoint of CMD"):
        read_reference_checkpoint(tmp_path / "other.pth.tar")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.pth\.tar: no such file"):
        read_reference_checkpoint(tmp_path / "nowhere.pth.tar")
