"""One rule for the order of axes in arrays and pickles: an array in another order is refused, never misread.

Persons are few and frames are many, and joints and channels are as many as the layout has. The message names the
order that is wanted and, where only one other order fits the sizes, the transposition that gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

from i2md.data.readers.files import BadFile
from i2md.skeletons import Layout, get_layout, layout_names

MAX_PERSONS = 20
"""More persons in a clip mean that another axis is where the persons should be."""


def check_axes(shape: Sequence[int], axes: Sequence[str], layout: Layout | None = None) -> None:
    """Check that the sizes of an array fit the order of axes that its format has.

    Args:
        shape: Sizes of the array.
        axes: The order wanted: names among clips, persons, frames, joints and channels.
        layout: Layout of the joints; without it only persons and frames are checked.

    Raises:
        BadFile: If an axis is missing, joints or channels do not fit the layout, or there are more persons than frames
            or than MAX_PERSONS.

    Example:
        >>> check_axes((2, 300, 25, 3), ("persons", "frames", "joints", "channels"))
        >>> check_axes((300, 2, 25, 3), ("persons", "frames", "joints", "channels"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        i2md.data.readers.files.BadFile: 300 people in 2 frames; give the axes in the order ...
    """
    wanted = f"give the axes in the order ({', '.join(axes)})"
    if len(shape) != len(axes):
        raise BadFile(f"shape {_text(shape)} has {len(shape)} axes, not {len(axes)}; {wanted}")
    size = dict(zip(axes, shape, strict=True))
    wanted += _transposition(shape, axes, layout)
    if layout is not None and (size["joints"], size["channels"]) != (len(layout.joints), layout.channels):
        raise BadFile(
            f"{size['joints']} joints of {size['channels']} coordinates, but layout {layout.name} has "
            f"{len(layout.joints)} of {layout.channels}; {fitting_layouts(size['joints'], size['channels'])}, "
            f"or {wanted}"
        )
    persons, frames = size.get("persons", 1), size["frames"]
    # Two persons in a single frame are possible, three are more likely an axis of channels or frames.
    if persons > MAX_PERSONS or (frames and persons > max(frames, 2)):
        raise BadFile(f"{persons} people in {frames} frames; {wanted}")


def with_channels_of(shape: Sequence[int], axes: Sequence[str], layout: Layout) -> Layout:
    """Find whether positions are 2-D or 3-D, which their array decides and not the layout.

    Args:
        shape: Sizes of the array.
        axes: The order wanted.
        layout: Layout of the joints.

    Returns:
        The layout with as many channels as the array has.

    Raises:
        BadFile: If the array fits `check_axes` with neither, or could be of three persons in the image as well as of
            two in space with its axes in another order.

    Example:
        >>> axes = ("frames", "joints", "channels")
        >>> [with_channels_of((300, 17, size), axes, get_layout("coco-17")).channels for size in (2, 3)]
        [2, 3]
    """
    in_image, in_space = layout.with_channels(2), layout.with_channels(3)
    if tuple(shape[-1:]) == (2,):
        try:
            check_axes(shape, axes, in_image)
        except BadFile:
            # Two persons may stand last, where 3-D positions have another order.
            if 3 not in shape:
                raise
        else:
            if "persons" in axes and shape[axes.index("persons")] == 3:
                raise BadFile(
                    "3 people of 2 coordinates (then add a fourth of zeros), or 2 people of 3; give the axes in the"
                    f" order ({', '.join(axes)}){_transposition(shape, axes, in_space)}"
                )
            return in_image
    check_axes(shape, axes, in_space if 3 in shape or 2 not in shape else in_image)
    return in_space


def fitting_layouts(joints: int, channels: int) -> str:
    """Describe which layouts have so many joints and channels, as part of a message.

    Args:
        joints: Number of joints.
        channels: Coordinates of a joint.

    Returns:
        Their names, or how to add a layout if there is none.

    Example:
        >>> fitting_layouts(33, 2)
        'layouts that fit: mediapipe-33 (--layout)'
        >>> fitting_layouts(13, 2)
        'no layout that comes with i2md fits: edit a copy (i2md layouts copy coco-17 my.yaml), give --layout my.yaml'
    """
    fitting = [name for name in layout_names() if len(get_layout(name).joints) == joints]
    if fitting and channels in (2, 3):
        return f"layouts that fit: {', '.join(fitting)} (--layout)"
    return "no layout that comes with i2md fits: edit a copy (i2md layouts copy coco-17 my.yaml), give --layout my.yaml"


def _transposition(shape: Sequence[int], axes: Sequence[str], layout: Layout | None) -> str:
    """The transposition to the order wanted, if exactly one fits the sizes."""
    fixed = 1 if axes[0] == "clips" else 0
    at = {name: index for index, name in enumerate(axes)}
    fits = []
    for order in permutations(range(fixed, len(axes))):
        order = (*range(fixed), *order)
        sizes = [shape[source] for source in order]
        joints, channels = sizes[at["joints"]], sizes[at["channels"]]
        persons = sizes[at["persons"]] if "persons" in at else 1
        known = (joints, channels) == ((len(layout.joints), layout.channels) if layout else tuple(shape[-2:]))
        # An axis of 2 or 3 may hold channels, persons or few frames: such a guess would be wrong too often.
        if known and persons <= min(MAX_PERSONS, sizes[at["frames"]]) and (persons != 3 or channels == 3):
            fits.append(order)
    return f": np.transpose(array, {fits[0]})" if len(fits) == 1 and fits[0] != tuple(range(len(axes))) else ""


def _text(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape[:8]))}{', ...' if len(shape) > 8 else ''})"
