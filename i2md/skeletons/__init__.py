"""Joint layouts: names, parents, mirror pairs and axes of the joints of a skeleton."""

from i2md.skeletons.files import (
    get_layout,
    is_layout_file,
    layout_file,
    layout_names,
    layout_path,
    make_layout,
    read_layout,
)
from i2md.skeletons.layout import Layout
from i2md.skeletons.mapping import JointMapping, Weights, map_joints

__all__ = [
    "JointMapping",
    "Layout",
    "Weights",
    "get_layout",
    "is_layout_file",
    "layout_file",
    "layout_names",
    "layout_path",
    "make_layout",
    "map_joints",
    "read_layout",
]
