"""The commands, options and Python blocks of README and docs: parsed by the real parser, or run.

A block after the line `<!-- run -->` is run, in the order of its page, on small synthetic data. Every other `i2md`
command, in blocks and in the text, is parsed, so that a renamed command or option fails.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from jsonargparse import ArgumentParser

from i2md import commands
from i2md.cli.main import COMMANDS, main
from i2md.cli.parser import Command, command_parser, parse

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
    if ROOT / "docs/results" not in path.parents
)
BLOCK = re.compile(r"^(?P<run><!-- run -->\n)?```(?P<language>\w+)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
ENTRY_POINT = re.compile(r'\[project\.entry-points\."([\w.]+)"\]\n\s+([\w-]+) = "([^"]+)"')
# What a command that is run gets in addition, to be done in a second.
SMALL = {
    "prepare": "--options.actions 3 --options.subjects 4 --options.repeats 2 --jobs 1",
    "pretrain": "--epochs 2 --batch_size 8 --views.frames 8 --encoder.options.hidden_size 8"
    " --objectives.queue_size 8 --objectives.num_neighbours 4 --objectives.embedding_dim 56",
    "evaluate": "--linear.epochs 2",
}
# What the blocks of a page leave behind, where it is not features.npz.
PRODUCTS = {
    "view.md": ("clips/mine/view.html", "clips.gif", "clips.png"),
    "search.md": ("waves.html",),
    "choose-labels.md": ("next.csv", "next.html"),
    "scikit-learn.md": ("runs/mine/model.safetensors",),
    "cluster.md": ("clusters/clusters.csv", "clusters/clusters.json", "clusters/clusters.html"),
    "predict.md": ("predictions.csv", "timeline.html"),
}
# Options in the text that belong to other programs.
FOREIGN = {
    *("--ntasks-per-node", "--gpus-per-node", "--signal", "--max_restarts", "--rdzv_endpoint"),
    *("--write_json", "--hand", "--face", "--outdir", "--pose_track"),
    *("--index-url", "--strict", "--logdir"),
    *("--threads", "--scikit-learn", "--precisions", "--exact"),
    *("--clips", "--recordings", "--phase", "--edition", "--zipped", "--actions"),
    *("--regular", "--irregularities.truncated"),
}


def name_of(page: Path) -> str:
    """A page as pytest shows it."""
    return page.relative_to(ROOT).as_posix()


def commands_in(text: str) -> Iterator[list[str]]:
    """The words after `i2md` of each command in a shell script, also of one started by torchrun or srun."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        starts = [i for i, word in enumerate(words) if word in ("i2md", "i2md.cli.main")]
        if starts and not {"|", "install", "clone"} & set(words):
            command = words[starts[0] + 1 :]
            yield command[: command.index(";;")] if ";;" in command else command


def commands_of(page: Path) -> list[list[str]]:
    """Every command of a page that can be parsed: those of its blocks, and whole ones in its text."""
    text = page.read_text(encoding="utf-8")
    found = [
        words for block in BLOCK.finditer(text) if block["language"] == "bash" for words in commands_in(block["body"])
    ]
    spans = re.findall(r"`(i2md [a-z-]+ [^`]+)`", BLOCK.sub("", text))
    found += [shlex.split(span)[1:] for span in spans if "..." not in span and "--help" not in span]
    return [words for words in found if not {"--help", "--version"} & set(words)]


def function_of(name: str) -> Command:
    """The function of a command."""
    return getattr(commands, name.replace("-", "_"))


@cache
def parsers() -> dict[str, ArgumentParser]:
    """The parser of each command."""
    return {name: command_parser(function_of(name)) for name in COMMANDS}


@cache
def options() -> set[str]:
    """Every option of every command, without settings of readers, which are `--options.NAME`."""
    return {option for parser in parsers().values() for action in parser._actions for option in action.option_strings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_command_is_accepted_by_the_parser(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry_point: Callable[..., None]
) -> None:
    """With the examples of docs/examples installed, as their heads say."""
    if page.name == "extend.md":
        for example in sorted((ROOT / "docs/examples").glob("*.py")):
            declared = ENTRY_POINT.search(example.read_text(encoding="utf-8"))
            assert declared, example
            entry_point(*declared.groups(), example.parent)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("epochs: 1\n")
    for words in commands_of(page):
        # Without a recipe, pretrain opens the clips to choose one.
        named = words[0] != "pretrain" or any(word.startswith("--recipe") for word in words)
        parse(function_of(words[0]), [*words[1:], *([] if named else ["--recipe", "ntu60"])])


def test_commands_are_found() -> None:
    """The test above would pass on pages in which it finds nothing."""
    found = [words[0] for page in PAGES for words in commands_of(page)]
    assert len(found) > 60
    assert set(found) == set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_option_in_the_text_exists(page: Path) -> None:
    known = options() | FOREIGN
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    named = {
        option for span in re.findall(r"`([^`\n]+)`", text) for option in re.findall(r"(?<!\S)--[a-z][\w.-]*\w", span)
    }
    # Settings of extensions, and placeholders.
    free = {option for option in named if ".options." in option or option.startswith("--options.") or "NAME" in option}
    assert not named - known - free


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_setting_in_the_text_exists(page: Path) -> None:
    groups = "views|encoder|objectives|optimizer|knn|retrieval|linear|finetune|semi|few_shot"
    text = page.read_text(encoding="utf-8")
    named = {f"--{name}" for name in re.findall(rf"(?<![\w.-])((?:{groups})\.[a-z]\w+)(?![\w(])", text)}
    assert not {name for name in named - options() if not name.endswith((".py", ".md"))}


@pytest.mark.parametrize("page", [page for page in PAGES if "<!-- run -->\n" in page.read_text("utf-8")], ids=name_of)
def test_blocks_marked_run_do_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if not block["run"]:
            continue
        if block["language"] == "python":
            exec(compile(block["body"], name_of(page), "exec"), names)
        for words in commands_in(block["body"]) if block["language"] == "bash" else ():
            assert main([*words, *SMALL.get(words[0], "").split()]) == 0, words
    for made in PRODUCTS.get(page.name, ("features.npz",)):
        assert (tmp_path / made).is_file()
