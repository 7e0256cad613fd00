"""Two processes that work together: what they exchange, and that it equals one process by itself."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import job
import pytest
import tiny
import together
import torch
from safetensors.torch import load_file
from torch import nn

from i2md.cli.main import main
from i2md.distributed import collectives as ranks
from i2md.distributed import rendezvous as meeting
from i2md.distributed.batch_norm import InputNorm
from i2md.distributed.launch import Launch
from i2md.errors import InputError

SETTINGS = [*tiny.SETTINGS, "--optimizer.name", "sgd", "--optimizer.learning_rate", "0.1", "--epochs", "3"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.clips(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def folder(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    assert main(["pretrain", str(clips), str(folder / "like"), *SETTINGS]) == 0
    script = Path(together.__file__)
    codes, written = job.ends(job.start_torchrun(clips, folder, command=(str(script),)))
    assert codes == [0], written[0]
    return folder


@pytest.fixture(scope="module")
def both(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_a_process_by_itself_is_alone_and_its_tensors_are_left_as_they_are() -> None:
    x = torch.ones(3, 2)
    with ranks.process_group():
        assert ranks.world_size() == 1 and ranks.is_main_process()
        assert ranks.local_rows(x) is x and ranks.all_gather_rows(x) is x and ranks.broadcast(x) is x
        ranks.all_reduce_mean([x])
        ranks.all_reduce_sum([x])
        ranks.barrier()
    assert x.tolist() == [[1, 1]] * 3
    assert list(ranks.local_range(5)) == [0, 1, 2, 3, 4]
    assert ranks.all_reduce_max(-3) == -3
    with pytest.raises(OSError, match="full"):
        ranks.run_on_main(lambda: (_ for _ in ()).throw(OSError(28, "full")))


def test_what_they_exchange(both: list[dict[str, Any]]) -> None:
    factors = torch.arange(12.0).view(4, 3)
    for rank, got in enumerate(one["exchanged"] for one in both):
        assert got["count"] == 2
        assert got["is first"] is (rank == 0)
        assert got["gathered"].tolist() == [[1.0] * 3] * 2 + [[2.0] * 3] * 2
        # The first process weighs the gathered rows by 1, the second by 2.
        assert torch.equal(got["gradient"], (1 + 2) * factors[2 * rank : 2 * rank + 2])
        expected = [[2.0 * n + 1] * n for n in (1, 2, 3, 7)] + [1.0]
        assert [x.tolist() for x in got["sums"]] == expected
        assert [x.mul(2).tolist() for x in got["means"]] == expected
        assert got["most"] == 10
        assert got["from first"] == {"rank": 0}
        assert got["own rows"].tolist() == [[0, 1, 2], [3, 4, 5]][rank]
        assert got["own share"] == [[0, 1], [2, 3, 4]][rank]
        assert got["refusal"] == "[Errno 28] No space left on device: 'a file'"


def test_nothing_of_the_group_is_left_once_they_have_parted(both: list[dict[str, Any]]) -> None:
    # A thread that is still there when the interpreter ends may take the process down.
    assert [(one["alone"], one["left"]) for one in both] == [(1, 0), (1, 0)]


def test_input_norm_of_two_is_batch_norm_of_the_whole_batch(both: list[dict[str, Any]]) -> None:
    norm = nn.BatchNorm1d(4).double()
    with torch.no_grad():
        norm.weight.copy_(torch.arange(1.0, 5.0))
        norm.bias.copy_(torch.arange(4.0))
    x = together.BATCH.clone().requires_grad_()
    out = norm(x)
    (out * together.WEIGHTS).sum().backward()
    expected = {"out": out.detach(), "weight.grad": norm.weight.grad, "bias.grad": norm.bias.grad, "x.grad": x.grad}
    expected |= norm.state_dict()
    for one in both:
        assert one["normalised"].keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(one["normalised"][name], value, rtol=1e-9, atol=1e-9)


def test_input_norm_alone_is_batch_norm_bit_for_bit() -> None:
    torch.manual_seed(0)
    ours, theirs = InputNorm(4), nn.BatchNorm1d(4)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for mode in (True, False):
        x = torch.randn(6, 4, 5) * 3 + 7
        assert torch.equal(ours.train(mode)(x), theirs.train(mode)(x))
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())


def test_losses_and_weights_are_those_of_one_process_with_the_same_batch(folder: Path) -> None:
    one, two = (load_file(folder / run / "training_state.safetensors") for run in ("like", "trained"))
    assert one.keys() == two.keys()
    assert any(name.startswith("model.cluster_banks") for name in one)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-5, msg=name)
    logs = [
        [json.loads(line) for line in (folder / run / "log.jsonl").read_text().splitlines()]
        for run in ("like", "trained")
    ]
    timed = ("seconds", "clips_per_second")
    for mine, theirs in zip(*logs, strict=True):
        expected = {name: value for name, value in mine.items() if name not in timed}
        assert {n: v for n, v in theirs.items() if n not in timed} == pytest.approx(expected, abs=1e-5, rel=1e-5)
    assert any(name.startswith("imd/") for name in logs[0][-1])


def test_banks_and_all_else_of_the_model_are_equal_on_all_ranks(both: list[dict[str, Any]]) -> None:
    first, second = (one["trained"] for one in both)
    assert any(name.startswith("cluster_banks.bone.keys") for name in first)
    # But for the running statistics of nothing: even batch norm's are of the whole batch.
    assert [name for name, value in first.items() if not torch.equal(value, second[name])] == []
    assert int(first["queues.joint.filled"]) == 32


def test_features_of_shared_batches_are_those_of_one_process(clips: Path, both: list[dict[str, Any]]) -> None:
    alone = together.cropped(clips)["joint"]
    assert len(alone) == 32 and alone.abs().sum(dim=1).min() > 0
    for one in both:
        assert torch.equal(one["cropped"]["joint"], alone)


def test_a_process_that_fails_says_why_and_the_others_keep_silent(both: list[dict[str, Any]]) -> None:
    assert both[1]["lost"] == ("InputError", "only here", True)
    kind, said, may_tell = both[0]["lost"]
    assert (kind, may_tell) == ("RankLost", False)
    assert said.startswith("another process of this job has gone (")


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
def test_refused_by_all_it_is_said_once(both: list[dict[str, Any]], what: str, line: str) -> None:
    assert [one[what][0] for one in both] == [2, 2]
    assert sorted(one[what][1] for one in both) == ["", line]


def test_evaluate_and_embed_give_what_one_process_gives(clips: Path, folder: Path, both: list[dict[str, Any]]) -> None:
    assert [one[name][0] for one in both for name in ("evaluate", "embed")] == [0] * 4
    assert both[1]["evaluate"][1] == ""
    run = folder / "trained"
    written = {path.name: path.read_bytes() for path in (run / "evaluation").iterdir()}
    assert len(written) == 4
    words = ["--untrained", "--device", "cpu", "--json", str(folder / "one")]
    assert main(["evaluate", str(run), str(clips), *words]) == 0
    assert written == {path.name: path.read_bytes() for path in (run / "evaluation").iterdir()}
    assert (folder / "one").read_bytes() == (folder / "two").read_bytes()
    assert main(["embed", str(run), str(clips), str(folder / "one.npz"), "--device", "cpu"]) == 0
    assert (folder / "one.npz").read_bytes() == (folder / "two.npz").read_bytes()


@pytest.mark.parametrize("rank", [0, 1])
def test_processes_that_do_not_meet_are_refused(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "_may_tell", None)
    monkeypatch.setattr(meeting, "PATIENCE_AT_START", timedelta(seconds=1))
    with pytest.raises(InputError, match=rf"process {rank} of 2 did not meet the others") as refused:
        ranks._connect(Launch(rank, 2, rank, "localhost", job.free_port()))
    assert "\n" not in str(refused.value)
    # They cannot agree on who says so.
    assert meeting.first_to_tell()
