"""Two ranks: what they exchange, and that their results equal those of one process."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import job
import pytest
import tiny
import torch
import two_ranks
from safetensors.torch import load_file
from torch import nn

from i2md.cli.main import main
from i2md.distributed import collectives
from i2md.distributed.batch_norm import SyncBatchNorm1d
from i2md.distributed.process_group import barrier, is_main_process, process_group, world_size
from i2md.errors import InputError
from i2md.runtime.exit_codes import is_reported_here

SETTINGS = [*tiny.SETTINGS, "--optimizer.name", "sgd", "--optimizer.learning_rate", "0.1", "--epochs", "3"]
SETTINGS += ["--diagnostics_every", "3"]


@pytest.fixture(scope="module")
def folder(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two-ranks")
    assert main(["pretrain", str(clips), str(folder / "like"), *SETTINGS]) == 0
    codes, written = job.finish(job.start_torchrun(two_ranks.__file__, clips, folder))
    assert codes == [0], written[0]
    return folder


@pytest.fixture(scope="module")
def both(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_one_process_leaves_tensors_unchanged() -> None:
    x = torch.ones(3, 2)
    with process_group():
        assert world_size() == 1 and is_main_process()
        assert collectives.local_rows(x) is x and collectives.all_gather_rows(x) is x and collectives.broadcast(x) is x
        collectives.all_reduce_mean([x])
        collectives.all_reduce_sum([x])
        barrier()
    assert x.tolist() == [[1, 1]] * 3
    assert list(collectives.local_range(5)) == [0, 1, 2, 3, 4]
    assert collectives.all_reduce_max(-3) == -3
    with pytest.raises(OSError, match="full"):
        collectives.run_on_main(lambda: (_ for _ in ()).throw(OSError(28, "full")))


def test_collective_operations(both: list[dict[str, Any]]) -> None:
    factors = torch.arange(12.0).view(4, 3)
    for rank, got in enumerate(one["exchange"] for one in both):
        assert got["world size"] == 2
        assert got["is main"] is (rank == 0)
        assert got["gathered"].tolist() == [[1.0] * 3] * 2 + [[2.0] * 3] * 2
        # Rank 0 weights the gathered rows by 1, rank 1 by 2.
        assert torch.equal(got["gradient"], (1 + 2) * factors[2 * rank : 2 * rank + 2])
        expected = [[2.0 * n + 1] * n for n in (1, 2, 3, 7)] + [1.0]
        assert [x.tolist() for x in got["sums"]] == expected
        assert [x.mul(2).tolist() for x in got["means"]] == expected
        assert got["maximum"] == 10
        assert got["broadcast"] == {"rank": 0}
        assert got["local rows"].tolist() == [[0, 1, 2], [3, 4, 5]][rank]
        assert got["local range"] == [[0, 1], [2, 3, 4]][rank]
        assert got["error on main"] == "[Errno 28] No space left on device: 'a file'"


def test_nothing_is_left_of_a_destroyed_process_group(both: list[dict[str, Any]]) -> None:
    # A thread that is still running when the interpreter ends may crash the process.
    assert [(one["world size left"], one["threads left"]) for one in both] == [(1, 0), (1, 0)]


def test_input_norm_on_two_ranks_is_batch_norm_of_the_whole_batch(both: list[dict[str, Any]]) -> None:
    norm = nn.BatchNorm1d(4).double()
    with torch.no_grad():
        norm.weight.copy_(torch.arange(1.0, 5.0))
        norm.bias.copy_(torch.arange(4.0))
    x = two_ranks.BATCH.clone().requires_grad_()
    out = norm(x)
    (out * two_ranks.WEIGHTS).sum().backward()
    expected = {"out": out.detach(), "weight.grad": norm.weight.grad, "bias.grad": norm.bias.grad, "x.grad": x.grad}
    expected |= norm.state_dict()
    for one in both:
        assert one["normalised"].keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(one["normalised"][name], value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", tiny.ENCODERS)
def test_features_and_gradients_of_encoders_in_training_are_those_of_one_process(
    both: list[dict[str, Any]], name: str
) -> None:
    expected = two_ranks.encoded(name)
    assert any("running_mean" in each or each.endswith(".scale") for each in expected)
    for one in both:
        found = one["encoded"][name]
        assert found.keys() == expected.keys()
        for each, value in expected.items():
            torch.testing.assert_close(found[each], value, rtol=1e-3, atol=1e-4, msg=each)


def test_input_norm_in_one_process_equals_batch_norm_exactly() -> None:
    torch.manual_seed(0)
    ours, theirs = SyncBatchNorm1d(4), nn.BatchNorm1d(4)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for mode in (True, False):
        x = torch.randn(6, 4, 5) * 3 + 7
        assert torch.equal(ours.train(mode)(x), theirs.train(mode)(x))
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())


def test_losses_and_weights_are_those_of_one_process_with_the_same_batch(folder: Path) -> None:
    one, two = (load_file(folder / run / "training_state.safetensors") for run in ("like", "trained"))
    assert one.keys() == two.keys()
    assert any(name.startswith("model.cluster_queues") for name in one)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-5, msg=name)
    logs = [
        [json.loads(line) for line in (folder / run / "log.jsonl").read_text().splitlines()]
        for run in ("like", "trained")
    ]
    timed = ("seconds", "clips_per_second")
    for mine, theirs in zip(*logs, strict=True):
        assert mine.pop("begins", None) == theirs.pop("begins", None)
        assert mine.pop("left_out", None) == theirs.pop("left_out", None)
        expected = {name: value for name, value in mine.items() if name not in timed}
        assert {n: v for n, v in theirs.items() if n not in timed} == pytest.approx(expected, abs=1e-5, rel=1e-5)
    assert any(name.startswith("imd/") for name in logs[0][-1])


def test_model_and_queues_are_equal_on_all_ranks(both: list[dict[str, Any]]) -> None:
    first, second = (one["trained"] for one in both)
    assert any(name.startswith("cluster_queues.bone.keys") for name in first)
    assert [name for name, value in first.items() if not torch.equal(value, second[name])] == []
    assert int(first["queues.joint.filled"]) == 32


def test_features_equal_those_of_one_process(clips: Path, both: list[dict[str, Any]]) -> None:
    alone = two_ranks.cropped(clips)["joint"]
    assert len(alone) == 32 and alone.abs().sum(dim=1).min() > 0
    for one in both:
        assert torch.equal(one["cropped"]["joint"], alone)


def test_only_the_failing_rank_reports_its_error(both: list[dict[str, Any]]) -> None:
    assert both[1]["lost rank"] == ("InputError", "only here", True)
    kind, message, reported = both[0]["lost rank"]
    assert (kind, reported) == ("RankLost", False)
    assert message.startswith("another process of this job has ended (")


@pytest.mark.parametrize(
    ("what", "line"),
    [
        (
            "odd batch",
            "i2md: batch_size 9 is for all processes together and must be a multiple of their number, 2;"
            " change --batch_size or start another number of them\n",
        ),
        ("differ", "i2md: the processes of this job differ in seed; start all of them with the same command\n"),
        ("info", "i2md: info runs in one process; start it without torchrun or srun\n"),
    ],
)
def test_an_error_on_all_ranks_is_reported_once(both: list[dict[str, Any]], what: str, line: str) -> None:
    assert [one[what][0] for one in both] == [2, 2]
    assert sorted(one[what][1] for one in both) == ["", line]


def test_evaluate_and_embed_write_the_bytes_of_one_process(
    clips: Path, folder: Path, both: list[dict[str, Any]]
) -> None:
    assert [one[name][0] for one in both for name in ("evaluate", "embed")] == [0] * 4
    assert both[1]["evaluate"][1] == ""
    run = folder / "trained"
    written = {path.name: path.read_bytes() for path in (run / "evaluation").iterdir()}
    assert len(written) == 8
    words = ["--baselines", "positions", "untrained", "--device", "cpu", "--json", str(folder / "one")]
    assert main(["evaluate", str(run), str(clips), *words]) == 0
    assert written == {path.name: path.read_bytes() for path in (run / "evaluation").iterdir()}
    assert (folder / "one").read_bytes() == (folder / "two").read_bytes()
    assert main(["embed", str(run), str(clips), str(folder / "one.npz"), "--device", "cpu"]) == 0
    assert (folder / "one.npz").read_bytes() == (folder / "two.npz").read_bytes()


@pytest.mark.parametrize("rank", [0, 1])
def test_processes_that_cannot_reach_each_other_are_an_input_error(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in job.torchrun_environment(rank, 2, job.free_port()).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("i2md.distributed.process_group.RENDEZVOUS_TIMEOUT", timedelta(seconds=1))
    message = rf"rank {rank} of 2 could not reach the other processes"
    with pytest.raises(InputError, match=message) as raised, process_group():
        pass
    assert "\n" not in str(raised.value)
    # They cannot agree on which of them reports it.
    assert is_reported_here(raised.value)
