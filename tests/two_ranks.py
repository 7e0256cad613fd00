"""The work of each rank for tests/distributed/test_collectives.py: `two_ranks.py CLIPS RUN` writes RUN/RANK.pt."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Any

import tiny
import torch

from i2md.cli.main import main as cli
from i2md.data.packed import pack
from i2md.data.store import open_clips
from i2md.distributed import collectives
from i2md.distributed.batch_norm import SyncBatchNorm1d
from i2md.distributed.process_group import barrier, is_main_process, process_group, world_size
from i2md.encoders.gru.encoder import GRUEncoder
from i2md.encoders.settings import GRUSettings
from i2md.errors import InputError
from i2md.evaluation.diagnostics import diagnostics_monitor
from i2md.evaluation.features import crop_features
from i2md.evaluation.monitor import knn_monitor
from i2md.pretraining.pretrain import train
from i2md.pretraining.run import read_config
from i2md.runtime.exit_codes import is_reported_here

BATCH = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 100
WEIGHTS = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def exchange(rank: int) -> dict[str, Any]:
    """What each collective operation returns."""
    rows = torch.full((2, 3), float(rank + 1), requires_grad=True)
    gathered = collectives.all_gather_rows(rows)
    (gathered * torch.arange(12.0).view(4, 3) * (rank + 1)).sum().backward()
    # Buffers of four elements: tensors share them, and one is larger than a buffer.
    collectives.BUFFER_SIZE = 4
    sums = [torch.full((n,), float(rank + n)) for n in (1, 2, 3, 7)] + [torch.tensor(float(rank))]
    means = [x.clone() for x in sums]
    collectives.all_reduce_sum(sums)
    collectives.all_reduce_mean(means)
    return {
        "world size": world_size(),
        "is main": is_main_process(),
        "gathered": gathered.detach(),
        "gradient": rows.grad,
        "sums": sums,
        "means": means,
        "maximum": collectives.all_reduce_max(10 - rank),
        "broadcast": collectives.broadcast({"rank": rank}),
        "local rows": collectives.local_rows(torch.arange(6)),
        "local range": list(collectives.local_range(5)),
        "error on main": error_on_main(rank),
    }


def error_on_main(rank: int) -> str:
    """The error that a rank raises when the main process cannot write a file."""

    def write() -> None:
        assert rank == 0
        raise OSError(28, "No space left on device", "a file")

    try:
        collectives.run_on_main(write)
    except OSError as error:
        return str(error)
    return ""


def normalised() -> dict[str, torch.Tensor]:
    """A batch of all processes through SyncBatchNorm1d, and the gradients of a weighted sum."""
    norm = SyncBatchNorm1d(4).double()
    with torch.no_grad():
        norm.weight.copy_(torch.arange(1.0, 5.0))
        norm.bias.copy_(torch.arange(4.0))
    x = collectives.local_rows(BATCH).clone().requires_grad_()
    out = norm(x)
    (out * collectives.local_rows(WEIGHTS)).sum().backward()
    collectives.all_reduce_sum([norm.weight.grad, norm.bias.grad])
    gradients = {"weight.grad": norm.weight.grad, "bias.grad": norm.bias.grad}
    gradients["x.grad"] = collectives.all_gather_rows(x.grad)
    return {"out": collectives.all_gather_rows(out.detach()), **gradients, **norm.state_dict()}


def encoded(name: str) -> dict[str, torch.Tensor]:
    """Features of a batch of all processes by an encoder in training, its gradients and its statistics."""
    torch.manual_seed(0)
    encoder = tiny.encoder(name, "openni-15", 2).train()
    clips = torch.randn(6, 9, 15, 3, 2)
    features = encoder(collectives.local_rows(clips))
    towards = torch.randn(6, encoder.width)
    (features * collectives.local_rows(towards)).sum().backward()
    gradients = {f"{n}.grad": p.grad for n, p in encoder.named_parameters() if p.grad is not None}
    collectives.all_reduce_sum(list(gradients.values()))
    statistics = {n: value for n, value in encoder.state_dict().items() if "running" in n or n.endswith(".scale")}
    return {"features": collectives.all_gather_rows(features.detach()), **gradients, **statistics}


def trained(clips: Path, folder: Path) -> dict[str, torch.Tensor]:
    """The whole state of the model after training, queues included."""
    config = read_config(folder / "like")
    data = open_clips(clips)
    s = config.settings
    makers = ((s.knn_every, knn_monitor), (s.diagnostics_every, diagnostics_monitor))
    watches = [(every, watch) for every, make in makers if (watch := make(data, "xsub", torch.device("cpu")))]
    return dict(
        train(data.part("xsub", "train"), folder / "trained", config, torch.device("cpu"), watches).state_dict()
    )


def cropped(clips: Path) -> dict[str, torch.Tensor]:
    """Features of random crops, three batches split over the ranks."""
    data = pack(open_clips(clips))
    config_layout = open_clips(clips).dataset.layout
    torch.manual_seed(0)
    persons = data.max_persons
    encoder = GRUEncoder(config_layout, persons, GRUSettings(hidden_size=4, num_layers=1))
    return crop_features(
        {"joint": encoder}, config_layout, data, 8, persons, (0.5, 1.0), torch.Generator().manual_seed(0), batch_size=11
    )


def threads_of_gloo() -> int:
    """Number of threads of this process that belong to gloo, where /proc shows them."""
    return sum("gloo" in path.read_text() for path in Path("/proc/self/task").glob("*/comm"))


def run_command(*typed: object) -> tuple[int, str]:
    """Exit code of a command run by all ranks, and what it wrote to stderr."""
    with contextlib.redirect_stderr(io.StringIO()) as stderr, contextlib.redirect_stdout(io.StringIO()):
        code = cli([str(word) for word in typed])
    return code, stderr.getvalue()


def main(clips: Path, folder: Path) -> None:
    """One process group after another."""
    rank = int(os.environ["RANK"])
    results: dict[str, Any] = {}
    with process_group():
        results |= {"exchange": exchange(rank), "normalised": normalised()}
        results |= {"encoded": {name: encoded(name) for name in tiny.ENCODERS}}
        results |= {"trained": trained(clips, folder), "cropped": cropped(clips)}
    results["threads left"] = threads_of_gloo()
    results["world size left"] = world_size()
    try:
        with process_group():
            if rank == 1:
                raise InputError("only here")
            barrier()
    except Exception as error:
        results["lost rank"] = (type(error).__name__, str(error), is_reported_here(error))
    pretrain = ("pretrain", clips, folder / "refused", *tiny.SETTINGS)
    results["odd batch"] = run_command(*pretrain, "--batch_size", 9, "--objectives.queue_size", 36)
    results["differ"] = run_command(*pretrain, "--seed", rank)
    results["info"] = run_command("info", clips)
    run = folder / "trained"
    results["evaluate"] = run_command(
        *("evaluate", run, clips, "--baselines", "positions", "untrained"),
        *("--device", "cpu", "--json", folder / "two"),
    )
    results["embed"] = run_command("embed", run, clips, folder / "two.npz", "--device", "cpu")
    torch.save(results, folder / f"{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
