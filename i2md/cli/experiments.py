"""The command line's commands on many runs: report, sweep and reproduce."""

from __future__ import annotations

from typing import Any

from jsonargparse import ActionConfigFile, ArgumentParser, Namespace  # type: ignore[attr-defined]

from i2md.errors import InputError
from i2md.pretraining.settings import PretrainSettings


def report_arguments(parser: ArgumentParser) -> None:
    """The arguments of `report`."""
    parser.add_argument("runs", nargs="+", help="folders of runs; those that differ in their seed alone are one line")
    parser.add_argument("--out", default="comparison.html", help="page to write (default: comparison.html)")


def report(args: Namespace) -> Any:
    """Call `report`."""
    from i2md import commands

    return commands.report(args.runs, args.out)


def show_report(data: dict[str, Any]) -> str:
    """The table, what differs and where the page is."""
    from i2md.evaluation.table import accuracy_table

    differing = f"differing: {', '.join(data['differing']) or 'the seed alone'}"
    notes = [f"note: {note}" for note in data["notes"]]
    table = accuracy_table(data["results"], by="settings") if data["results"] else "no results"
    return "\n".join([f"{table}\n", differing, *notes, f"report: {data['report']}"])


def sweep_arguments(parser: ArgumentParser) -> None:
    """The arguments of `sweep`."""
    parser.add_argument("clips", help="folder of clips")
    parser.add_argument("out", help="folder of the runs and what comes of them; one that was stopped goes on")
    parser.add_argument("--recipe", action=ActionConfigFile, help="settings: a recipe's name or a YAML file")
    parser.add_argument(
        "--grid",
        nargs="+",
        action="extend",
        default=[],
        help="settings and their values, as method=cmd,i2md batch_size=16,32",
    )
    parser.add_argument(
        "--vary",
        nargs="+",
        action="extend",
        default=[],
        help="instead of a grid: one change at a time, each compared with none: batch_size=16,32 optimizer.name=adamw",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds (default: 0 1 2)")
    parser.add_argument(
        "--protocol", nargs="+", default=["knn", "linear"], help="knn, linear, linear-sweep (default: knn linear)"
    )
    parser.add_argument("--split", nargs="+", default=[], help="splits: the first is pretrained on, all are evaluated")
    parser.add_argument("--untrained", action="store_true", help="put the same encoders before training beside them")
    parser.add_argument("--against", nargs="+", default=[], help="compare by seed with these settings, as method=cmd")
    parser.add_argument(
        "--jobs", type=int | None, default=None, help="runs at once; by default one a core, or one a GPU"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_class_arguments(PretrainSettings, None, skip={"seed", "split"})


def sweep(args: Namespace) -> Any:
    """Call `sweep`."""
    from i2md.experiments import sweep as sweeping
    from i2md.experiments.grid import parse_grid

    names = PretrainSettings.__dataclass_fields__.keys() - {"seed", "split"}
    against = {}
    for name, values in parse_grid(args.against).items():
        if len(values) > 1:
            raise InputError(f"--against {name}: give one value, that of the baseline")
        against[name] = values[0]
    return sweeping.sweep(
        args.clips,
        args.out,
        parse_grid(args.grid),
        args.seeds,
        PretrainSettings(**{name: getattr(args, name) for name in names}),
        args.protocol,
        args.split,
        args.untrained,
        against,
        args.jobs,
        args.device,
        parse_grid(args.vary),
    )


def show_sweep(data: dict[str, Any]) -> str:
    """The table, the differences, what failed and where the page is."""
    from i2md.experiments.sweep import markdown_results

    return f"{markdown_results(data)}\n\nreport: {data['report']}"


def reproduce_arguments(parser: ArgumentParser) -> None:
    """The arguments of `reproduce`."""
    parser.add_argument(
        "table",
        help="utd-mhad, msr-action3d, nw-ucla, ntu60-xsub, ntu60-xview, ntu120-xsub, ntu120-xset, pku-mmd2,"
        " transfer-ntu60-pku-mmd2, transfer-ntu120-pku-mmd2, or a YAML file",
    )
    parser.add_argument("out", help="folder of the runs and the table; one that was stopped goes on")
    parser.add_argument("--clips", type=str | None, default=None, help="folder of clips (default: OUT/clips)")
    parser.add_argument("--source", type=str | None, default=None, help="recordings to make the clips of")
    parser.add_argument("--target", type=str | None, default=None, help="clips to transfer to (default: OUT/target)")
    parser.add_argument("--target-source", type=str | None, default=None, help="recordings to make those of")
    parser.add_argument("--runs", type=str | None, default=None, help="folder of runs shared with another table's OUT")
    parser.add_argument("--seeds", type=int, nargs="+", default=None, help="seeds (default: 0 1 2)")
    parser.add_argument("--methods", nargs="+", default=None, help="some of the table's methods")
    parser.add_argument("--protocol", nargs="+", default=None, help="some of the table's protocols")
    parser.add_argument("--split", nargs="+", default=None, help="some of the table's splits")
    parser.add_argument("--epochs", type=int | None, default=None, help="pretrain for so many; told in the table")
    parser.add_argument("--precision", type=str | None, default=None, help="fp32, tf32 or bf16; told in the table")
    parser.add_argument(
        "--change",
        nargs="+",
        action="extend",
        default=[],
        help="other settings, as batch_size=32 semi.draws=1; told alike",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="the full recipe for an epoch on generated recordings, in OUT/dry-run"
    )
    parser.add_argument(
        "--jobs", type=int | None, default=None, help="runs at once; by default one a core, or one a GPU"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")


def reproduce(args: Namespace) -> Any:
    """Call `reproduce`."""
    from i2md.experiments.grid import parse_grid
    from i2md.experiments.reproduce import reproduce as reproducing

    own = {"epochs": args.epochs, "precision": args.precision}
    words = [*args.change, *(f"{name}={value}" for name, value in own.items() if value is not None)]
    changes = parse_grid(words, reproducing.KINDS)
    for name, values in changes.items():
        if len(values) > 1:
            raise InputError(f"--change {name}: give one value, a list in brackets")
    return reproducing.reproduce(
        args.table,
        args.out,
        args.clips,
        args.source,
        args.target,
        args.target_source,
        args.runs,
        args.seeds,
        args.methods,
        args.protocol,
        args.split,
        {name: value for name, (value,) in changes.items()},
        args.jobs,
        args.device,
        args.dry_run,
    )


def show_reproduced(data: dict[str, Any]) -> str:
    """The table, the claims, what failed and where the page is."""
    from i2md.experiments.reproduce.pages import markdown_page

    return f"{markdown_page(data)}\n\nreport: {data['report']}"


def require_all_done(data: dict[str, Any]) -> None:
    """Raise an error where some runs failed."""
    from i2md.experiments.runner import Failure, require_all

    require_all({name: Failure(**failure) for name, failure in data["failed"].items()})


# A command each: its help, its arguments, what it calls, how the result reads, and what checks it.
REPORT = ("Put runs beside one another in one page.", report_arguments, report, show_report)
SWEEP = (
    "Pretrain and evaluate over settings and seeds: a grid, or one change at a time.",
    sweep_arguments,
    sweep,
    show_sweep,
    require_all_done,
)
REPRODUCE = (
    "Make a published table: prepare, pretrain, evaluate, and print it beside the published figures.",
    reproduce_arguments,
    reproduce,
    show_reproduced,
    require_all_done,
)
