"""Conversion of coordinates whose unit, axes or joint order differ from the layout's, as the user describes them.

Readers whose format leaves these open have the options `units`, `axes` and `joints` and pass their Source through
`convert`. Descriptions are of the file: `axes="x,-z,y"` says that its three coordinates are the layout's x, minus its z
(a sensor's z is depth), and its y (upwards), in that order; so it describes a z-up file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32

from i2md.data.recording import Divisible, Recording, Source, Unreadable
from i2md.errors import InputError, suggestion
from i2md.skeletons import Layout

# Metres in one unit, as a quotient: exact in floating point where a factor such as 0.001 is not.
_PER_METRE = {"m": 1, "cm": 100, "mm": 1000}
_AXIS = re.compile(r"([+-]?)([xyz])")

_Read = Callable[[], Iterator[Recording | Unreadable]]


def convert(
    source: Source,
    units: str | None = None,
    axes: str | None = None,
    joints: str | Sequence[str] | None = None,
) -> Source:
    """Convert the recordings of a source to metres, to the axes of its layout and to its order of joints.

    Args:
        source: Recordings as their file holds them.
        units: Unit of the file's coordinates: m, cm or mm; None if unknown.
        axes: What the file's coordinates are, in their order, such as "x,-z,y"; None if they are the layout's.
        joints: Names of the layout's joints in the file's order, a list or separated by commas; None if it is the
            layout's.

    Returns:
        The source with the unit m, if `units` is given, and `converted`, which records the options.

    Raises:
        InputError: There is no such unit, axis or joint, or one is missing or given twice.

    >>> from i2md.data.readers import open_source
    >>> from pathlib import Path
    >>> made = open_source("synthetic", Path("unused"), actions=2, subjects=2, repeats=1)
    >>> convert(made, units="mm", axes="x,-z,y").converted
    {'units': 'mm', 'axes': 'x,-z,y'}
    """
    listed = joints.split(",") if isinstance(joints, str) else joints or ()
    names = [" ".join(name.replace("_", " ").split()) for name in listed] or None
    given = {"units": units, "axes": axes, "joints": ", ".join(names) if names else None}
    converted = {name: value for name, value in given.items() if value}
    if not converted:
        return source
    conversion = _Conversion(
        _divisor(units, source.layout),
        _file_axes(axes, source.layout),
        _file_joints(names, source.layout),
    )

    def wrapped(read: _Read) -> _Read:
        return _DivisiblePass(read, conversion) if isinstance(read, Divisible) else _Pass(read, conversion)

    all_bodies = source.read_all_bodies
    return replace(
        source,
        units="m" if units else source.units,
        read=wrapped(source.read),
        read_all_bodies=None if all_bodies is None else wrapped(all_bodies),
        untrimmed=None if source.untrimmed is None else convert(source.untrimmed, units, axes, names),
        converted={**source.converted, **converted},
    )


@dataclass(frozen=True)
class _Conversion:
    """For each axis and joint of the layout its index in the file; signs by axis of the layout."""

    divisor: int
    axes: tuple[tuple[int, int], ...] | None
    joints: tuple[int, ...] | None

    def apply(
        self, positions: Float32[np.ndarray, "persons frames joints channels"]
    ) -> Float32[np.ndarray, "persons frames joints channels"]:
        if self.joints is not None:
            positions = positions[:, :, list(self.joints)]
        if self.axes is not None:
            positions = np.stack([sign * positions[..., index] for index, sign in self.axes], axis=-1)
            # Zeros mark what is missing, and a clip's bytes should not depend on a sign of zero.
            positions = positions + np.float32(0)
        if self.divisor != 1:
            positions = (positions.astype(np.float64) / self.divisor).astype(np.float32)
        return np.ascontiguousarray(positions)


@dataclass(frozen=True)
class _Pass:
    """A pass over converted recordings."""

    read: _Read
    conversion: _Conversion

    def __call__(self) -> Iterator[Recording | Unreadable]:
        for each in self.read():
            if isinstance(each, Recording):
                each = replace(each, positions=self.conversion.apply(each.positions))
            yield each


@dataclass(frozen=True)
class _DivisiblePass(_Pass):
    def __len__(self) -> int:
        assert isinstance(self.read, Divisible)
        return len(self.read)

    def part(self, start: int, stop: int) -> _Pass:
        assert isinstance(self.read, Divisible)
        return _Pass(self.read.part(start, stop), self.conversion)


def _divisor(units: str | None, layout: Layout) -> int:
    if units is None:
        return 1
    if units not in _PER_METRE:
        raise InputError(f"units {units!r} are not known; choose one of {', '.join(_PER_METRE)}")
    if layout.channels != 3:
        raise InputError(f"units {units!r}: the positions are 2-D, in the image; leave out --units")
    return _PER_METRE[units]


def _file_axes(axes: str | None, layout: Layout) -> tuple[tuple[int, int], ...] | None:
    if axes is None:
        return None
    own = "xyz"[: layout.channels]
    found = [_AXIS.fullmatch(word.strip().lower()) for word in axes.split(",")]
    signs = {match[2]: (index, -1 if match[1] == "-" else 1) for index, match in enumerate(found) if match}
    if len(found) != len(own) or set(signs) != set(own):
        example = "x,-z,y" if layout.channels == 3 else "x,-y"
        raise InputError(
            f"axes {axes[:80]!r} must name {', '.join(own)} once each, with or without a minus, in the order of the"
            f' file\'s coordinates; for example --axes "{example}"'
        )
    return tuple(signs[axis] for axis in own)


def _file_joints(names: Sequence[str] | None, layout: Layout) -> tuple[int, ...] | None:
    if names is None:
        return None
    for name in names:
        if name not in layout.joints:
            raise InputError(
                f"joints: layout {layout.name} has no joint {name[:80]!r}; {suggestion(name, layout.joints)}"
            )
    missing = [joint for joint in layout.joints if joint not in names]
    twice = [name for name in names if names.count(name) > 1]
    if missing or twice:
        fault = f"{missing[0]!r} is missing" if missing else f"{twice[0]!r} is given twice"
        raise InputError(
            f"joints: {fault}; name each of the {len(layout.joints)} joints of layout {layout.name} once, in the file's"
            f" order (i2md layouts {layout.name} lists them)"
        )
    return tuple(names.index(joint) for joint in layout.joints)
