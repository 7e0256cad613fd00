"""A joint layout as a value: names, parents, mirror pairs and axes of the joints of a skeleton."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from i2md.errors import InputError

# A vertical is a direction: larger numbers are damage.
_MOST = 1e9


@dataclass(frozen=True)
class Layout:
    """The joints of a skeleton, passed in wherever joints matter.

    Indices are 0-based, in the order of the arrays. A layout that contradicts itself raises InputError.

    Example:
        >>> stick = Layout("stick", ("hip", "left", "right"), (0, 0, 0), (0, 2, 1), 0, (1, 2), (0, 1))
        >>> stick.bones
        ((0, 1), (0, 2))
    """

    name: str
    """Name of the layout."""
    joints: tuple[str, ...]
    """Name of each joint."""
    parents: tuple[int, ...]
    """Index of each joint's parent; the root is its own."""
    mirror: tuple[int, ...]
    """Index of each joint's counterpart on the other side of the body; its own on the midline."""
    centre: int
    """The joint that preparation moves to the origin."""
    across: tuple[int, int]
    """Two joints of which the second lies to the body's right of the first, such as the shoulders."""
    spine: tuple[int, int]
    """A lower and an upper joint of the trunk."""
    up: tuple[float, float, float] = (0.0, 1.0, 0.0)
    """The vertical in the sensor's coordinates: (0, 1, 0) for Kinect, (0, -1, 0) for image coordinates."""
    channels: int = 3
    """Coordinates of a joint in the clips that the layout is passed along with: 3, or 2 in the image."""
    parts: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Groups of joints with a name, such as the body and each hand; empty where all are of one body."""

    def __post_init__(self) -> None:
        for holds, message in self._conditions():
            if not holds:
                raise InputError(f"layout {self.name!r}: {message}")

    def _conditions(self) -> tuple[tuple[bool, str], ...]:
        size = len(self.joints)
        complete = len(self.parents) == len(self.mirror) == size > 0
        parts = [j for _, joints in self.parts for j in joints]
        indices = (*self.parents, *self.mirror, self.centre, *self.across, *self.spine, *parts)
        in_range = all(isinstance(j, int) and 0 <= j < size for j in indices)
        pairs = all(len(ends) == len(set(ends)) == 2 for ends in (self.across, self.spine))
        usable = complete and in_range
        roots = [j for j, parent in enumerate(self.parents) if j == parent]
        return (
            (len(set(self.joints)) == size, "two joints have the same name; give each its own"),
            (complete, f"parents and mirror must name one joint for each of the {size} joints"),
            (in_range, f"every index must be a whole number from 0 to {size - 1}"),
            (pairs, "across and spine must name two different joints each"),
            (len(roots) == 1, f"one joint, the root, must be its own parent; {len(roots)} are"),
            (usable and self._reaches_root(), "parents run in a circle; each joint must lead to the root"),
            (usable and self._mirrors_back(), "mirror must map each joint to its counterpart and back"),
            (self._has_vertical(), "up must be three numbers, not all zero"),
            (self.channels in (2, 3), f"channels must be 2 or 3, not {self.channels}"),
            (len(parts) == len(set(parts)), "a joint must belong to one of the parts only"),
        )

    def _has_vertical(self) -> bool:
        numbers = all(isinstance(u, int | float) and abs(u) < _MOST for u in self.up)
        return len(self.up) == 3 and numbers and any(self.up)

    def _reaches_root(self) -> bool:
        ancestors = list(self.parents)
        for _ in self.joints:
            ancestors = [self.parents[j] for j in ancestors]
        return len(set(ancestors)) == 1 and self.parents[ancestors[0]] == ancestors[0]

    def _mirrors_back(self) -> bool:
        return all(self.mirror[other] == j for j, other in enumerate(self.mirror))

    @property
    def root(self) -> int:
        """The joint that is its own parent."""
        return next(j for j, parent in enumerate(self.parents) if j == parent)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) of every joint but the root."""
        return tuple((p, j) for j, p in enumerate(self.parents) if p != j)

    def with_channels(self, channels: int) -> Layout:
        """The layout of clips of so many coordinates: every layout takes both.

        Args:
            channels: 3 in space; 2 in the image, whose y points down.

        Returns:
            The layout.

        Example:
            >>> stick = Layout("stick", ("hip", "left", "right"), (0, 0, 0), (0, 2, 1), 0, (1, 2), (0, 1))
            >>> stick.with_channels(2).up
            (0.0, -1.0, 0.0)
        """
        if channels == self.channels:
            return self
        return replace(self, channels=channels, up=(0.0, -1.0, 0.0) if channels == 2 else self.up)

    def to_dict(self) -> dict[str, Any]:
        """The layout as plain JSON data, which `from_dict` reads."""
        data = asdict(self)
        return data if self.parts else {key: value for key, value in data.items() if key != "parts"}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Layout:
        """The layout that `to_dict` wrote.

        Args:
            data: The fields by name, indices as they are.

        Returns:
            The layout.

        Raises:
            InputError: A field is missing or unknown, or the layout contradicts itself.
        """
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        try:
            if "parts" in fields:
                fields["parts"] = tuple((str(name), tuple(joints)) for name, joints in fields["parts"])
            return cls(**fields)
        except (TypeError, ValueError) as error:
            raise InputError(f"layout {data.get('name', '?')!r} is not what Layout.to_dict writes: {error}") from None
