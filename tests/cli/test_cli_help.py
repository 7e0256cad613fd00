"""Help, parsers, recipes and version: everything of the command line that touches no data."""

from __future__ import annotations

import inspect
import json
import resource
import subprocess
import sys
from argparse import SUPPRESS
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from refusal import one_line

import i2md
from i2md import commands
from i2md.cli.main import COMMANDS, main
from i2md.cli.parser import Command, command_parser, parse
from i2md.data.readers import reader_names
from i2md.evaluation.settings import EvaluationSettings
from i2md.pretraining.settings import PretrainSettings
from i2md.recipes import load_recipe, recipe_names

# Generous: on an idle machine it takes a tenth of a second.
HELP_CPU_SECONDS = 0.5


def function_of(name: str) -> Command:
    return getattr(commands, name.replace("-", "_"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_and_setting_has_help_text(name: str) -> None:
    without = []
    for action in command_parser(function_of(name))._actions:
        whole_group = action.dest in ("views", "encoder", "objectives", "optimizer", "linear", "finetune")
        text = (action.help or "").strip()
        if action.help != SUPPRESS and not whole_group and len(text.split()) < 2:
            without.append(action.dest)
    assert without == []


def settings_of(kind: type, prefix: str = "") -> set[str]:
    """Dotted names of all settings, by their instances: independent of the type hints that the parser reads."""
    names = set()
    for name, value in vars(kind()).items():
        nested = hasattr(value, "__dataclass_fields__")
        names |= settings_of(type(value), f"{prefix}{name}.") if nested else {f"{prefix}{name}"}
    return names


@pytest.mark.parametrize(
    ("name", "kind", "left_out"),
    [
        ("pretrain", PretrainSettings, set()),
        ("sweep", PretrainSettings, {"seed"}),
        ("evaluate", EvaluationSettings, set()),
    ],
)
def test_every_setting_is_an_option(name: str, kind: type, left_out: set[str]) -> None:
    options = {option for a in command_parser(function_of(name))._actions for option in a.option_strings}
    assert {f"--{setting}" for setting in settings_of(kind) - left_out} <= options
    assert not {f"--{setting}" for setting in left_out} & options


@pytest.mark.parametrize("name", COMMANDS)
def test_command_line_has_the_defaults_of_the_function(name: str) -> None:
    command = function_of(name)
    parameters = inspect.signature(command).parameters.values()
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters)
    required = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
    # Without a recipe, pretrain chooses one for the clips.
    recipe = ["--recipe", "ntu60"] if name == "pretrain" else []
    arguments, json_file = parse(command, [*(f"some-{each}" for each in required), *recipe])
    assert json_file is None
    assert set(arguments) == {parameter.name for parameter in parameters}
    for parameter in parameters:
        value = arguments[parameter.name]
        if parameter.name == "settings":
            assert value == (EvaluationSettings() if name == "evaluate" else PretrainSettings())
        elif recipe and parameter.name == "recipe":
            assert value == "ntu60" and parameter.default is None
        elif parameter.name in required:
            assert value in (f"some-{parameter.name}", [f"some-{parameter.name}"])
        else:
            # The default of a list is a tuple, and an empty one may be read as None or as a mapping.
            assert (tuple(value) if isinstance(value, list) else value or None) in (parameter.default or None, ())


@pytest.mark.parametrize("words", [["--help"], ["-h"], []])
def test_help_lists_every_command_in_one_line_each(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in COMMANDS:
        (line,) = [line for line in lines if line.startswith(f"  {name} ")]
        assert line.endswith(".") and len(line) <= 120


def test_help_takes_less_than_half_a_second_of_cpu() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "i2md", "--help"], check=True, capture_output=True, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < HELP_CPU_SECONDS


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_loads_neither_torch_nor_pyarrow(name: str) -> None:
    code = f"""
import sys
from i2md.cli.main import main
try:
    main([{name!r}, "--help"])
except SystemExit:
    print([module for module in ("torch", "pyarrow", "sklearn", "matplotlib") if module in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stdout.startswith(f"usage: i2md {name} ")
    assert "--json" in done.stdout


def test_help_of_prepare_names_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["prepare", "--help"])
    assert ended.value.code == 0
    shown = "".join(capsys.readouterr().out.split())
    assert [name for name in reader_names() if name not in shown] == []


@pytest.mark.parametrize(
    "command", [["-m", "i2md"], ["-c", "import sys; from i2md.cli.main import main; sys.exit(main())"]]
)
def test_version_is_that_of_the_installed_package(command: list[str]) -> None:
    done = subprocess.run([sys.executable, *command, "--version"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, f"i2md {version('i2md')}\n")
    assert i2md.__version__ == version("i2md")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--knn.k", "1", "5", "20"], (1, 5, 20)),
        (["--knn.k", "[1,5]"], (1, 5)),
        (["--knn.k", "1,5,20"], (1, 5, 20)),
        (["--knn.k=[7]"], (7,)),
        (["--knn.k=7,9"], (7, 9)),
        (["--knn.k", "3", "--semi.draws", "2"], (3,)),
    ],
)
def test_lists_of_numbers_are_read_as_typed(words: list[str], expected: tuple[int, ...]) -> None:
    for typed in ([*words, "run", "clips"], ["run", "clips", *words]):
        arguments, _ = parse(commands.evaluate, typed)
        assert arguments["settings"].knn.k == expected
        assert (arguments["run"], arguments["clips"]) == ("run", "clips")


def test_lists_of_names_are_read_as_typed() -> None:
    arguments, _ = parse(
        commands.pretrain, ["clips", "run", "--recipe=ntu60", "--streams", "joint", "bone", "--epochs", "3"]
    )
    assert arguments["settings"].streams == ("joint", "bone")
    assert arguments["settings"].epochs == 3
    arguments, _ = parse(commands.report, ["a", "b", "--out", "c.html"])
    assert (arguments["runs"], arguments["out"], arguments["clips"]) == (["a", "b"], "c.html", None)
    arguments, _ = parse(commands.sweep, ["c", "o", "--grid", "a=1", "b=2", "--grid", "c=3", "--seeds", "4", "5"])
    assert (arguments["grid"], arguments["seeds"]) == (["a=1", "b=2", "c=3"], [4, 5])


def test_options_are_read_with_hyphens_or_underscores() -> None:
    for option in ("--batch-size", "--batch_size"):
        assert parse(commands.pretrain, ["c", "r", "--recipe=ntu60", option, "32"])[0]["settings"].batch_size == 32
        assert parse(commands.pretrain, ["c", "r", "--recipe=ntu60", f"{option}=32"])[0]["settings"].batch_size == 32
    assert parse(commands.reproduce, ["t", "o", "--dry-run"])[0]["dry_run"] is True


def test_options_of_the_reader_are_collected() -> None:
    words = ["arrays", "a.npz", "clips", "--options.fps", "30", "--options.layout=coco-17", "--overwrite"]
    arguments, _ = parse(commands.prepare, words)
    assert arguments["options"] == {"fps": 30, "layout": "coco-17"}
    assert arguments["overwrite"] is True and arguments["strict"] is False


@pytest.mark.parametrize("order", [["--recipe", "R", "--epochs", "3"], ["--epochs", "3", "--recipe", "R"]])
def test_typed_settings_take_precedence_over_the_recipe(order: list[str]) -> None:
    words = ["utd-mhad" if word == "R" else word for word in order]
    arguments, _ = parse(commands.pretrain, ["clips", "run", *words])
    assert arguments["settings"] == load_recipe("utd-mhad", epochs=3)
    assert arguments["recipe"] == "utd-mhad"


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_read_alike_by_the_command_line_and_by_load_recipe(name: str) -> None:
    assert parse(commands.pretrain, ["clips", "run", "--recipe", name])[0]["settings"] == load_recipe(name)


def test_recipes_lists_shows_and_copies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "--json", str(tmp_path / "said.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("without --recipe") and not lines[-2]
    assert [line.split()[0] for line in lines[:-2]] == list(recipe_names())
    assert all(len(line.split()) > 3 for line in lines[:-2])
    assert list(json.loads((tmp_path / "said.json").read_text())["recipes"]) == list(recipe_names())
    assert main(["recipes", "show", "utd-mhad"]) == 0
    shown = capsys.readouterr().out
    copy = tmp_path / "mine.yaml"
    assert main(["recipes", "copy", "utd-mhad", str(copy)]) == 0
    assert copy.read_text() == shown
    assert yaml.safe_load(shown)["epochs"] == load_recipe("utd-mhad").epochs
    assert load_recipe(str(copy)) == load_recipe("utd-mhad")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["zzzz"], "unknown command 'zzzz': choose one of prepare, info"),
        (["pretrian", "a", "b"], "unknown command 'pretrian': did you mean pretrain?"),
        (["info", "clips", "--clases"], "unknown option --clases: did you mean --classes?"),
        (["recipes", "show", "nosuch"], "unknown recipe 'nosuch': Known: kinect-base, kinect-v1, msr-action3d"),
        (["recipes", "show"], "i2md recipes show needs NAME"),
        (["recipes", "copy", "ntu60"], "i2md recipes copy needs FILE"),
        (["recipes", "copy", "ntu60", "."], ".: already exists"),
        (["recipes", "remove"], "'list', 'show', 'copy'"),
    ],
)
def test_unknown_words_are_an_error_of_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert message in one_line(capsys.readouterr().err)
