"""From a command's signature and docstring to its parser, and from what was typed to its arguments."""

from __future__ import annotations

import inspect
import re
from argparse import ArgumentError
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import takewhile
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import docstring_parser
from jsonargparse import ActionYesNo, ArgumentParser, Namespace, set_parsing_settings

from i2md.errors import InputError, suggestion
from i2md.recipes import read_recipe, recipe_path

Command = Callable[..., Any]

# The recipe that is chosen for the clips at hand, and the commands that choose it where none is named.
AUTO = "auto"
_CHOOSING_RECIPES = ("pretrain",)

# The help of a setting is the text below the dataclass's attribute.
set_parsing_settings(docstring_parse_attribute_docstrings=True)

# Whatever may be a path is one on the command line.
_AS_TYPED = {"PathLike": str, "Clips": str}
# Optional parameters that are positional: i2md recipes copy NAME FILE.
_POSITIONAL = ("action", "name", "file")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)


def command_name(command: Command) -> str:
    """The name of a command as it is typed.

    >>> from i2md.commands import import_cmd
    >>> command_name(import_cmd)
    'import-cmd'
    """
    return command.__name__.replace("_", "-")


def command_parser(command: Command) -> ArgumentParser:
    """The parser of a command: a parameter is an argument, its default the default, its docstring the help.

    A parameter without a default is positional. The fields of a dataclass of settings are options themselves, dotted
    where they are nested; a field that the command has as a parameter (`seed` as `seeds`) is left to the latter.

    Args:
        command: A keyword-only function with a Google-style docstring.

    Returns:
        A parser that raises ArgumentError for what is wrong.
    """
    text = docstring_parser.parse(command.__doc__ or "", style=docstring_parser.DocstringStyle.GOOGLE)
    helps = {each.arg_name: " ".join((each.description or "").split()) for each in text.params}
    hints = _hints(command)
    positional = [n for n, p in inspect.signature(command).parameters.items() if p.default is p.empty]
    parser = ArgumentParser(
        prog=f"i2md {command_name(command)}",
        usage=" ".join(["%(prog)s", *map(str.upper, positional), "[OPTIONS]"]),
        description=text.description,
        exit_on_error=False,
        allow_abbrev=False,
    )
    for name, parameter in inspect.signature(command).parameters.items():
        settings = _settings_class(hints[name])
        if settings is None:
            _add_argument(parser, name, hints[name], parameter.default, helps[name])
        else:
            parser.add_class_arguments(settings, None, skip=_parameters_themselves(settings, hints))
    parser.add_argument("--json", type=str | None, default=None, help="File to write what is printed to, as JSON.")
    return parser


def parse(command: Command, words: Sequence[str]) -> tuple[dict[str, Any], str | None]:
    """The arguments of a command out of what was typed after its name.

    A recipe gives the defaults of the settings; options that are typed take precedence wherever they stand.

    Args:
        command: The command.
        words: What was typed after its name.

    Returns:
        The keyword arguments to call it with, and the file that --json names.

    Raises:
        InputError: An option is unknown, a value is not of its type, or an argument is missing.
    """
    parser = command_parser(command)
    words = _joined_lists(_known_options(command, parser, words), dict(_list_options(command)))
    parsed = _parsed(parser, words)
    recipe = parsed.get("recipe")
    if command.__name__ in _CHOOSING_RECIPES and recipe in (None, AUTO):
        parsed, recipe = _with_chosen_recipe(parser, words, parsed), AUTO
    elif recipe is not None:
        path = recipe_path(recipe)
        parser.set_defaults(_recipe_settings(parser, path))
        parsed = _parsed(parser, words, f"{path}: ")
    parsed = parser.instantiate(parsed)
    hints = _hints(command)
    arguments = {}
    for name, hint in hints.items():
        settings = _settings_class(hint)
        if settings is None:
            arguments[name] = parsed[name]
        else:
            left = {field.name for field in fields(settings)} - _parameters_themselves(settings, hints)
            arguments[name] = settings(**{field: parsed[field] for field in left})
    if recipe == AUTO:
        arguments["recipe"] = AUTO
    return arguments, parsed["json"]


def _with_chosen_recipe(parser: ArgumentParser, words: Sequence[str], parsed: Namespace) -> Namespace:
    """The arguments with the defaults of recipe auto, for the clips that they name."""
    from i2md.data.store import open_clips
    from i2md.recipes.auto import auto_recipe, chosen_batch

    # Options alone are of the recipe's encoder.
    own_encoder = any(word.startswith("--encoder.") and not word.startswith("--encoder.options.") for word in words)
    chosen = auto_recipe(open_clips(parsed["clips"]), parsed["split"], chosen_batch(parsed["batch_size"]), own_encoder)
    known = list(parser.get_defaults().keys())
    parser.set_defaults(dict(_known_settings(chosen, known, Path(AUTO))))
    return _parsed(parser, words, "recipe auto: ")


def _parsed(parser: ArgumentParser, words: Sequence[str], where: str = "") -> Namespace:
    try:
        return parser.parse_args(list(words))
    except ArgumentError as error:
        raise InputError(f"{where}{' '.join(str(error).split())}; see {parser.prog} --help") from None


def _hints(command: Command) -> dict[str, Any]:
    """The type of each parameter, as far as the command line is concerned."""
    names = {**inspect.unwrap(command).__globals__, **_AS_TYPED}
    return {name: eval(each.annotation, names) for name, each in inspect.signature(command).parameters.items()}


def _alternatives(hint: Any) -> dict[Any, tuple[Any, ...]]:
    """The members of a union but None, each with its own arguments."""
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return {get_origin(member) or member: get_args(member) for member in members if member is not type(None)}


def _settings_class(hint: Any) -> Any:
    return next((member for member in _alternatives(hint) if is_dataclass(member)), None)


def _parameters_themselves(settings: Any, hints: Mapping[str, Any]) -> set[str]:
    """The fields of the settings that the command has as a parameter of its own, `seed` also as `seeds`."""
    return {field.name for field in fields(settings) if {field.name, f"{field.name}s"} & hints.keys()}


def _add_argument(parser: ArgumentParser, name: str, hint: Any, default: Any, text: str) -> None:
    required = default is inspect.Parameter.empty
    positional = required or name in _POSITIONAL
    kinds = _alternatives(hint)
    how: dict[str, Any] = {} if required else {"default": default}
    if hint is bool:
        how["action"] = ActionYesNo if default else "store_true"
    elif Sequence in kinds:
        how |= {} if required or default is None else {"default": list(default)}
        how |= {"nargs": "+"} if kinds[Sequence] == (str,) else {"nargs": "+", "type": kinds[Sequence][0]}
        if how.get("default") == []:
            how["action"] = "extend"
    elif Mapping in kinds:
        how |= {"type": dict[str, Any], "default": {}}
    else:
        how |= {"type": hint, "nargs": "?"} if positional and not required else {"type": hint}
    if positional:
        how["metavar"] = name.upper()
    parser.add_argument(name if positional else f"--{name}", help=text.replace("%", "%%"), **how)


def _list_options(command: Command) -> Iterator[tuple[str, bool]]:
    """The option of every setting that is a tuple, and whether of numbers."""
    for name, hint in _all_settings(command):
        if get_origin(hint) is tuple:
            yield f"--{name}", get_args(hint)[0] in (int, float)


def _all_settings(command: Command) -> Iterator[tuple[str, Any]]:
    """Dotted name and type of every setting of a command."""
    for settings in filter(None, map(_settings_class, _hints(command).values())):
        yield from _setting_types(settings)


def _setting_types(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, hint in get_type_hints(settings).items():
        if is_dataclass(hint):
            yield from _setting_types(hint, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", hint


def _joined_lists(words: Sequence[str], options: Mapping[str, bool]) -> list[str]:
    """The words, the values after each of these options as one word, as the parser takes them.

    >>> _joined_lists(["run", "--knn.k", "1", "5", "clips", "--seed", "3"], {"--knn.k": True})
    ['run', '--knn.k', '[1,5]', 'clips', '--seed', '3']
    """
    joined: list[str] = []
    left: list[str] = []
    for word in words:
        option, sign, value = word.partition("=")
        left += [option, value] if sign and option in options else [word]
    while left:
        joined.append(left.pop(0))
        if joined[-1] in options and left and not left[0].startswith("["):
            belongs = _is_number if options[joined[-1]] else _is_value
            values = list(takewhile(belongs, left))
            joined += [f"[{','.join(values)}]"] if values else []
            del left[: len(values)]
    return joined


def _is_number(word: str) -> bool:
    """Whether a word is a number, or several with commas between them."""
    return all(_NUMBER.fullmatch(part) for part in word.split(","))


def _is_value(word: str) -> bool:
    return not word.startswith("--")


def _known_options(command: Command, parser: ArgumentParser, words: Sequence[str]) -> list[str]:
    """The words, options with underscores; InputError, with a suggestion, where there is no such option."""
    known = {*parser.get_defaults().keys(branches=True), "help"}
    typed = {**_hints(command), **dict(_all_settings(command))}
    # Options of a mapping have names of their own: --options.NAME VALUE.
    open_ended = tuple(f"--{name}." for name, hint in typed.items() if Mapping in _alternatives(hint))
    read = []
    for word in words:
        option, sign, value = word.partition("=")
        if option.startswith("--") and option != "--" and not option.startswith(open_ended):
            name = option[2:].replace("-", "_")
            if name.removesuffix("+") not in known and name.removeprefix("no_") not in known:
                hint = suggestion(option[2:], known, otherwise=f"see i2md {command_name(command)} --help")
                raise InputError(f"unknown option {option}: {hint.replace('did you mean ', 'did you mean --')}")
            word = f"--{name}{sign}{value}"
        read.append(word)
    return read


def _recipe_settings(parser: ArgumentParser, path: Path) -> dict[str, Any]:
    """The settings of a recipe by dotted name; InputError where one is unknown."""
    return dict(_known_settings(read_recipe(path), list(parser.get_defaults().keys()), path))


def _known_settings(
    data: Mapping[Any, Any], known: Sequence[str], path: Path, prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        name = f"{prefix}{key}"
        if name in known:
            yield name, value
        elif isinstance(value, dict) and any(each.startswith(f"{name}.") for each in known):
            yield from _known_settings(value, known, path, f"{name}.")
        else:
            raise InputError(f"{path}: unknown setting {name!r}: {suggestion(name, known)}")
