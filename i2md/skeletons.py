"""Joint layouts: what each joint of a skeleton is called, what it hangs from, and which way the body faces."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from i2md.errors import InputError


@dataclass(frozen=True)
class Layout:
    """A skeleton's joints as a value: passed in wherever joints matter, never assumed.

    Indices are 0-based. `parents[j]` is the joint that j hangs from; the root is its own parent.
    `mirror[j]` is j's counterpart on the other side (j itself on the midline).
    `centre` is the joint that preparation moves to the origin; `across` points from one side of the
    body to the other (see each entry) and `spine` from the lower to the upper trunk.
    `up` is the vertical of the sensor's space: (0, 1, 0) for Kinect, (0, -1, 0) for image coordinates.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    mirror: tuple[int, ...]
    centre: int
    across: tuple[int, int]
    spine: tuple[int, int]
    up: tuple[float, float, float] = (0.0, 1.0, 0.0)
    channels: int = 3

    @property
    def root(self) -> int:
        """The joint that is its own parent."""
        return next(j for j, parent in enumerate(self.parents) if j == parent)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) of every joint but the root: what a drawing connects."""
        return tuple((p, j) for j, p in enumerate(self.parents) if p != j)

    def to_dict(self) -> dict[str, Any]:
        """The layout as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Layout:
        """The layout that `to_dict` wrote."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})


_LAYOUTS: dict[str, Layout] = {}


def get_layout(name: str) -> Layout:
    """The catalogue's layout of that name.

    >>> get_layout("kinect-v2").joints[20]
    'neck'
    """
    if name not in _LAYOUTS:
        raise InputError(f"layout {name!r} is not known; choose one of {', '.join(layout_names())}")
    return _LAYOUTS[name]


def layout_names() -> tuple[str, ...]:
    """The names in the catalogue."""
    return tuple(sorted(_LAYOUTS))
