"""Write a synthetic folder in a publisher's format: `python -m i2md.synthetic ntu-rgbd FOLDER --clips 5000`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from i2md.errors import InputError
from i2md.synthetic.ntu_rgbd import NtuIrregularities, write_ntu
from i2md.synthetic.pku_mmd import PkuIrregularities, write_pku

_FORMATS: dict[str, tuple[Callable[..., Any], Any]] = {
    "ntu-rgbd": (write_ntu, NtuIrregularities),
    "pku-mmd": (write_pku, PkuIrregularities),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command-line arguments; by default those of the process.

    Returns:
        The exit code: 0, or 2 for an invalid argument.
    """
    description = "Write synthetic recordings in a publisher's format."
    parser = ArgumentParser(prog="python -m i2md.synthetic", description=description)
    formats = parser.add_subcommands(dest="format")
    for name, (writer, rates) in _FORMATS.items():
        one = ArgumentParser(description=(writer.__doc__ or "").partition("\n")[0])
        one.add_function_arguments(writer, as_positional=True, skip={"irregularities", "progress"})
        one.add_argument("--regular", action="store_true", help="write no irregular files")
        one.add_class_arguments(rates, "irregularities", help="fractions of irregular files")
        formats.add_subcommand(name, one)
    chosen = parser.parse_args(None if arguments is None else list(arguments))
    values = chosen[chosen.format].as_dict()
    regular, fractions, folder = values.pop("regular"), values.pop("irregularities"), Path(str(values.pop("folder")))
    writer, rates = _FORMATS[chosen.format]
    try:
        irregularities = rates.none() if regular else rates(**fractions)
        done = writer(folder, irregularities=irregularities, progress=True, **values)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{folder}: {done.summary()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
