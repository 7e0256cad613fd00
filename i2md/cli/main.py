"""The command line: parse, call, print."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from i2md import commands
from i2md.errors import InputError, suggestion
from i2md.runtime.cluster_environment import cluster_environment
from i2md.runtime.exit_codes import exit_code
from i2md.runtime.io import check_target, write_text

# In the order of use; each is a function of i2md.commands, whose name has an underscore for a hyphen.
COMMANDS = (
    "prepare",
    "info",
    "view",
    "split",
    "windows",
    "convert",
    "join",
    "pretrain",
    "evaluate",
    "embed",
    "search",
    "cluster",
    "suggest",
    "explore",
    "fit",
    "predict",
    "stream",
    "export",
    "report",
    "sweep",
    "reproduce",
    "recipes",
    "layouts",
    "import-cmd",
)
# Commands that several processes, started by torchrun or Slurm, do together.
_DISTRIBUTED = ("pretrain", "evaluate", "embed")
# Commands that resume where they were interrupted.
_RESUMING = ("pretrain", "prepare", "convert", "join", "sweep", "reproduce", "search")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: What was typed after `i2md`; by default the arguments of this process.

    Returns:
        The exit code: 0 when done, else as `exit_code` says.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    return exit_code(lambda: _run(words), resumes=words[:1] in [[name] for name in _RESUMING])


def _run(words: Sequence[str]) -> int:
    environment = cluster_environment()
    name, *typed = words or ["--help"]
    if name in ("-h", "--help", "--version"):
        print(version() if name == "--version" else overview())
        return 0
    if name not in COMMANDS:
        raise InputError(f"unknown command {name!r}: {suggestion(name, COMMANDS)}")
    if environment.world_size > 1 and name not in _DISTRIBUTED:
        raise InputError(f"{name} runs in one process; start it without torchrun or srun")
    # The parser takes a tenth of a second to import, which `i2md --help` can do without.
    from i2md.cli.parser import parse
    from i2md.cli.printing import as_data, as_text

    command = getattr(commands, name.replace("-", "_"))
    chosen, json_file = parse(command, typed)
    if json_file:
        check_target(Path(json_file), file=True)
    result = command(**chosen)
    if environment.rank:
        return 0
    data = as_data(name, result, chosen)
    if json_file:
        write_text(Path(json_file), json.dumps(data, indent=1, default=lambda value: value.to_dict()) + "\n")
    print(as_text(name, data, chosen))
    if data.get("failed"):
        from i2md.experiments.runner import require_all
        from i2md.experiments.workers import Failure

        require_all({run: Failure(**failure) for run, failure in data["failed"].items()})
    return 0


def version() -> str:
    """The name and version of the package."""
    import i2md

    return f"i2md {i2md.__version__}"


def overview() -> str:
    """The help of `i2md` itself: a line a command, the first of its function's docstring."""
    lines = []
    for name in COMMANDS:
        text = inspect.getdoc(getattr(commands, name.replace("-", "_"))) or ""
        lines.append(f"  {name:11} {text.splitlines()[0]}")
    return "\n".join(
        [
            "usage: i2md COMMAND ... [--json FILE]",
            "",
            "Self-supervised representation learning for skeleton-based action recognition.",
            "",
            "commands:",
            *lines,
            "",
            "options:",
            "  -h, --help  Show this help; i2md COMMAND --help shows that of a command.",
            "  --version   Show the version.",
        ]
    )
