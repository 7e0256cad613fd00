"""The command line: parse, call, print."""

from __future__ import annotations

import difflib
import json
import re
import sys
from argparse import ArgumentError as UsageError
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_origin

from jsonargparse import ActionConfigFile, ArgumentParser, Namespace  # type: ignore[attr-defined]

from i2md.cli import data as cli_clips
from i2md.cli import experiments as cli_many
from i2md.cli.number_lists import with_number_lists
from i2md.distributed.launch import find_launch
from i2md.errors import InputError
from i2md.evaluation.settings import EvaluationSettings
from i2md.pretraining.settings import PretrainSettings
from i2md.runtime.exit_codes import exit_status

# What the processes of a job do together.
_SHARED = ("pretrain", "evaluate", "embed")


class Command(NamedTuple):
    """One command: its arguments, what it calls, and how its result reads."""

    help: str
    arguments: Callable[[ArgumentParser], None]
    call: Callable[[Namespace], Any]
    show: Callable[[Any], str]
    check: Callable[[Any], None] = lambda data: None
    """Raises InputError where what was done and shown is not all that was asked for."""


def _pretrain_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("clips", help="folder of clips")
    parser.add_argument("run", help="folder of the run; one that was stopped goes on")
    parser.add_argument("--recipe", action=ActionConfigFile, help="settings: a recipe's name or a YAML file")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_class_arguments(PretrainSettings, None)


def _pretrain(args: Namespace) -> Any:
    from i2md.commands import pretrain

    names = PretrainSettings.__dataclass_fields__
    settings = PretrainSettings(**{name: getattr(args, name) for name in names})
    recipe = Path(str(args.recipe[-1])).stem if args.recipe else None
    done = pretrain(args.clips, args.run, settings, args.device, recipe)
    return {"run": str(done.run), "clips": done.clips, "split": done.split, "epochs": done.epochs}


def _evaluate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", help="folder of a run")
    parser.add_argument("clips", help="folder of clips")
    parser.add_argument(
        "--protocol",
        nargs="+",
        default=["knn", "linear"],
        help="knn, retrieval, linear, linear-sweep, finetune, supervised, semi, few-shot (default: knn linear)",
    )
    parser.add_argument("--split", type=str | None, default=None, help="named split; by default the run's")
    parser.add_argument("--untrained", action="store_true", help="put the same encoders before training beside it")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_class_arguments(EvaluationSettings, None)


def _evaluate(args: Namespace) -> Any:
    from i2md.commands import evaluate

    settings = EvaluationSettings(**{name: getattr(args, name) for name in EvaluationSettings.__dataclass_fields__})
    results = evaluate(args.run, args.clips, args.protocol, args.split, args.untrained, args.device, settings)
    return {"results": results, "report": str(Path(args.run) / "report.html")}


def _show_results(data: dict[str, Any]) -> str:
    from i2md.evaluation.table import accuracy_table

    return f"{accuracy_table(data['results'])}\n\nreport: {data['report']}"


def _embed_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", help="folder of a run")
    parser.add_argument("clips", help="folder of clips")
    parser.add_argument("out", help=".npz file to write, or a folder of Parquet files for any number of clips")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    cli_clips.cluster_argument(parser)


def _embed(args: Namespace) -> Any:
    from i2md.commands import embed

    return {"out": args.out, **embed(args.run, args.clips, args.out, args.device, args.cluster)}


def _import_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="official CMD checkpoint (.pth.tar)")
    parser.add_argument("run", help="folder to write")


def _import_cmd(args: Namespace) -> Any:
    from i2md.commands import import_cmd

    config = import_cmd(args.checkpoint, args.run)
    return {"run": args.run, "units": config.settings.encoder.hidden_size, "layers": config.settings.encoder.num_layers}


def _show_plain(data: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {cli_clips.words(value)}" for name, value in data.items())


COMMANDS = {
    "prepare": Command(*cli_clips.PREPARE),
    "info": Command(*cli_clips.INFO),
    "join": Command(*cli_clips.JOIN),
    "pretrain": Command("Learn representations from unlabelled clips.", _pretrain_arguments, _pretrain, _show_plain),
    "evaluate": Command("Evaluate a run by the field's protocols.", _evaluate_arguments, _evaluate, _show_results),
    "report": Command(*cli_many.REPORT),
    "sweep": Command(*cli_many.SWEEP),
    "reproduce": Command(*cli_many.REPRODUCE),
    "embed": Command("Write the features of clips.", _embed_arguments, _embed, _show_plain),
    "import-cmd": Command("Turn an official CMD checkpoint into a run.", _import_arguments, _import_cmd, _show_plain),
}


def build_parser() -> ArgumentParser:
    """The parser of all commands."""
    parser = ArgumentParser(prog="i2md", description=__doc__, exit_on_error=False, allow_abbrev=False)
    parser.description = "Representations of 3D human action from unlabelled skeleton sequences."
    commands = parser.add_subcommands()
    for name, command in COMMANDS.items():
        inner = ArgumentParser(exit_on_error=False, description=command.help, allow_abbrev=False)
        command.arguments(inner)
        inner.add_argument("--json", type=str | None, default=None, help="write what is printed here, as data")
        commands.add_subcommand(name, inner, help=command.help)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command: 0 when done, else as `exit_status` says."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return exit_status(lambda: _run(words), goes_on=words[:1] in (["pretrain"], ["prepare"], ["sweep"], ["reproduce"]))


def _run(words: list[str]) -> int:
    launch = find_launch()
    if not words:
        words = ["--help"]
    parser, words = build_parser(), _with_recipe_path(words)
    words = with_number_lists(words, _options_of_tuples(parser, words))
    try:
        parsed = parser.instantiate(parser.parse_args(words))
    except UsageError as error:
        raise InputError(_usage(str(error), parser, words)) from None
    command, args = COMMANDS[parsed.subcommand], parsed[parsed.subcommand]
    if launch.count > 1 and parsed.subcommand not in _SHARED:
        raise InputError(f"{parsed.subcommand} runs in one process; start it without torchrun or srun")
    data = command.call(args)
    if launch.rank:
        return 0
    if args.json:
        from i2md.runtime.io import write_text

        write_text(Path(args.json), json.dumps(data, indent=1) + "\n")
    print(command.show(data))
    command.check(data)
    return 0


def _with_recipe_path(words: list[str]) -> list[str]:
    """The words, a recipe's name replaced by its file."""
    words = [part for word in words for part in (word.split("=", 1) if word.startswith("--recipe=") else [word])]
    if "--recipe" not in words[:-1]:
        return words
    from i2md.recipes import recipe_path

    at = words.index("--recipe") + 1
    return [*words[:at], str(recipe_path(words[at])), *words[at + 1 :]]


def _usage(message: str, parser: ArgumentParser, words: list[str]) -> str:
    """One line out of the parser's complaint, naming the nearest setting where one is unknown."""
    message = " ".join(message.split())
    unknown = re.search(r"(?:unrecognized arguments: -*|not accept option ')([\w.]+)", message)
    if unknown:
        known = [option.lstrip("-") for option in _options(parser, words)]
        near = difflib.get_close_matches(unknown[1], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"see i2md {words[0]} --help"
        message = f"unknown setting {unknown[1]!r}: {hint}"
    # What is wrong and was not typed stands in the recipe.
    in_recipe = "config" in message or (unknown and not any(unknown[1] in word for word in words))
    return f"{words[words.index('--recipe') + 1]}: {message}" if in_recipe and "--recipe" in words else message


def _options(parser: ArgumentParser, words: list[str]) -> list[str]:
    return [option for action in _actions(parser, words) for option in action.option_strings]


def _options_of_tuples(parser: ArgumentParser, words: list[str]) -> set[str]:
    tuples = [action for action in _actions(parser, words) if get_origin(getattr(action, "_typehint", None)) is tuple]
    return {option for action in tuples for option in action.option_strings}


def _actions(parser: ArgumentParser, words: list[str]) -> list[Any]:
    inner = parser._subcommands_action.choices.get(words[0])  # type: ignore[union-attr]
    return inner._actions if inner else []
