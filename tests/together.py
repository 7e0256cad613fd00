"""What one of several processes does in tests/test_ranks.py: `together.py CLIPS FOLDER` leaves FOLDER/RANK.pt."""

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
from i2md.distributed import collectives as ranks
from i2md.distributed import rendezvous as meeting
from i2md.distributed.batch_norm import InputNorm
from i2md.encoders.gru.encoder import GRUEncoder
from i2md.encoders.settings import GRUSettings
from i2md.errors import InputError
from i2md.evaluation.features import crop_features
from i2md.evaluation.monitor import knn_monitor
from i2md.pretraining.pretrain import train
from i2md.pretraining.run import read_config

BATCH = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 100
WEIGHTS = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def exchanged(rank: int) -> dict[str, Any]:
    """What each function of `ranks` gives."""
    rows = torch.full((2, 3), float(rank + 1), requires_grad=True)
    gathered = ranks.all_gather_rows(rows)
    (gathered * torch.arange(12.0).view(4, 3) * (rank + 1)).sum().backward()
    # Blocks of four numbers: tensors share them, and one is larger than any.
    ranks.BLOCK = 4
    sums = [torch.full((n,), float(rank + n)) for n in (1, 2, 3, 7)] + [torch.tensor(float(rank))]
    means = [x.clone() for x in sums]
    ranks.all_reduce_sum(sums)
    ranks.all_reduce_mean(means)
    return {
        "count": ranks.world_size(),
        "is first": ranks.is_main_process(),
        "gathered": gathered.detach(),
        "gradient": rows.grad,
        "sums": sums,
        "means": means,
        "most": ranks.all_reduce_max(10 - rank),
        "from first": ranks.broadcast({"rank": rank}),
        "own rows": ranks.local_rows(torch.arange(6)),
        "own share": list(ranks.local_range(5)),
        "refusal": refusal(rank),
    }


def refusal(rank: int) -> str:
    """What a process meets with when the first is refused something."""

    def write() -> None:
        assert rank == 0
        raise OSError(28, "No space left on device", "a file")

    try:
        ranks.run_on_main(write)
    except OSError as error:
        return str(error)
    return ""


def normalised() -> dict[str, torch.Tensor]:
    """A batch of all processes through InputNorm, and the gradients of a sum weighted anyhow."""
    norm = InputNorm(4).double()
    with torch.no_grad():
        norm.weight.copy_(torch.arange(1.0, 5.0))
        norm.bias.copy_(torch.arange(4.0))
    x = ranks.local_rows(BATCH).clone().requires_grad_()
    out = norm(x)
    (out * ranks.local_rows(WEIGHTS)).sum().backward()
    ranks.all_reduce_sum([norm.weight.grad, norm.bias.grad])
    gradients = {"weight.grad": norm.weight.grad, "bias.grad": norm.bias.grad, "x.grad": ranks.all_gather_rows(x.grad)}
    return {"out": ranks.all_gather_rows(out.detach()), **gradients, **norm.state_dict()}


def trained(clips: Path, folder: Path) -> dict[str, torch.Tensor]:
    """Everything a process knows of the model, queues included, once it is trained."""
    config = read_config(folder / "like")
    data = open_clips(clips)
    watch = knn_monitor(data, "xsub", torch.device("cpu"))
    return dict(train(data.part("xsub", "train"), folder / "trained", config, torch.device("cpu"), watch).state_dict())


def cropped(clips: Path) -> dict[str, torch.Tensor]:
    """Features of random crops, three batches shared out."""
    data = pack(open_clips(clips))
    config_layout = open_clips(clips).dataset.layout
    torch.manual_seed(0)
    persons = data.max_persons
    encoder = GRUEncoder(config_layout, persons, GRUSettings(hidden_size=4, num_layers=1))
    return crop_features(
        {"joint": encoder}, config_layout, data, 8, persons, (0.5, 1.0), torch.Generator().manual_seed(0), batch_size=11
    )


def threads_of_gloo() -> int:
    """How many of this process's threads are gloo's, where the system tells."""
    return sum("gloo" in path.read_text() for path in Path("/proc/self/task").glob("*/comm"))


def commanded(*typed: object) -> tuple[int, str]:
    """Exit status of a command of this job's, and what stood on stderr."""
    with contextlib.redirect_stderr(io.StringIO()) as stderr, contextlib.redirect_stdout(io.StringIO()):
        code = cli([str(word) for word in typed])
    return code, stderr.getvalue()


def main(clips: Path, folder: Path) -> None:
    """All of it, job after job."""
    rank = int(os.environ["RANK"])
    results: dict[str, Any] = {}
    with ranks.process_group():
        results |= {"exchanged": exchanged(rank), "normalised": normalised()}
        results |= {"trained": trained(clips, folder), "cropped": cropped(clips)}
    results["left"] = threads_of_gloo()
    results["alone"] = ranks.world_size()
    try:
        with ranks.process_group():
            if rank == 1:
                raise InputError("only here")
            ranks.barrier()
    except Exception as error:
        results["lost"] = (type(error).__name__, str(error), meeting.first_to_tell())
    pretrain = ("pretrain", clips, folder / "refused", *tiny.SETTINGS)
    results["odd batch"] = commanded(*pretrain, "--batch_size", 9, "--objectives.queue_size", 36)
    results["differ"] = commanded(*pretrain, "--seed", rank)
    results["info"] = commanded("info", clips)
    run = folder / "trained"
    results["evaluate"] = commanded("evaluate", run, clips, "--untrained", "--device", "cpu", "--json", folder / "two")
    results["embed"] = commanded("embed", run, clips, folder / "two.npz", "--device", "cpu")
    torch.save(results, folder / f"{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
