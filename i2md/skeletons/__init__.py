"""Joint layouts: names, parents, mirror pairs and axes of the joints of a skeleton."""

from i2md.skeletons.layout import Layout, get_layout, layout_names

__all__ = ["Layout", "get_layout", "layout_names"]
