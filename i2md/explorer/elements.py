"""The elements of the page that NiceGUI does not have: the map, the player, the keys, and plain HTML with a text."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import yaml
from jaxtyping import Int64
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

TEXTS: dict[str, str] = yaml.safe_load((files("i2md.explorer") / "texts.yaml").read_text(encoding="utf-8"))
_SLOTS = 8


def text(key: str, **values: object) -> str:
    """A text of texts.yaml.

    Args:
        key: Its name.
        **values: What stands in the braces.
    """
    return TEXTS[key].format(**values)


class Tag(TextElement):
    """An HTML element with a text, which is shown as it is, whatever it holds.

    Args:
        name: Such as button or h2.
        content: The text.
        classes: CSS classes.
        **attributes: HTML attributes; an underscore stands for a hyphen.
    """

    def __init__(self, name: str, content: str = "", classes: str = "", **attributes: Any) -> None:
        super().__init__(tag=name, text=content)
        self.classes(classes)
        for attribute, value in attributes.items():
            self.attribute(attribute.rstrip("_").replace("_", "-"), value)

    def attribute(self, name: str, value: Any) -> None:
        """Set an HTML attribute; None removes it."""
        if value is None:
            self.props.pop(name, None)
        elif self.props.get(name) != value:
            self.props[name] = value


class Shown:
    """What is shown already, so that it is made anew only where it differs."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def is_new(self, what: str, value: Any) -> bool:
        """Whether something differs from the last time.

        Args:
            what: Its name.
            value: What it is now.
        """
        if what in self._values and self._values[what] == value:
            return False
        self._values[what] = value
        return True


def button(content: str, action: Callable[[], Any], classes: str = "", **attributes: Any) -> Tag:
    """A button.

    Args:
        content: Its text.
        action: What a click does.
        classes: CSS classes.
        **attributes: HTML attributes.
    """
    made = Tag("button", content, classes, type="button", **attributes)
    made.on("click", action, args=[])
    return made


class _Component(Element):
    def give(self, **values: Any) -> None:
        """Set what the script of the component reads, where it is something else."""
        for name, value in values.items():
            if self.props.get(name) != value:
                self.props[name] = value


class ClipMap(_Component, component="components/clip_map.js"):
    """The map: emits hover, pick (positions of clips) and lasso (bits of them)."""


class ClipPlayer(_Component, component="components/clip_player.js"):
    """Clips that play side by side, in step."""

    def __init__(self, clips: Sequence[int] = (), opens: bool = False) -> None:
        super().__init__()
        names = ("play", "position", "back", "forward", "speed", "loop", "skeleton")
        self.give(clips=list(clips), notes=[], open=opens, texts={name: TEXTS[name] for name in names})


class Keys(_Component, component="components/keys.js"):
    """Keys that were pressed outside of fields."""


def colours(count: int) -> list[str]:
    """Colours of so many values, as CSS: those of all pages first, then others that are as far apart as may be.

    Args:
        count: Number of values.
    """
    hues = (round(137.508 * number + 40) % 360 for number in range(count))
    made = [f"light-dark(hsl({hue} 65% 36%), hsl({hue} 60% 70%))" for hue in hues]
    return [f"var(--s{number})" if number < _SLOTS else other for number, other in enumerate(made)]


def scale() -> list[str]:
    """256 colours from small to large numbers, as CSS."""
    return [f"color-mix(in oklab, var(--s1) {100 * step / 255:.1f}%, var(--s0))" for step in range(256)]


def to_bits(clips: Int64[np.ndarray, " chosen"], count: int) -> str:
    """Which of `count` clips are chosen, a bit each, as the map reads it.

    >>> from_bits(to_bits(np.array([1, 9]), 12), 12).tolist()
    [1, 9]
    """
    flags = np.zeros(count, bool)
    flags[clips] = True
    return base64.b64encode(np.packbits(flags, bitorder="little").tobytes()).decode("ascii")


def from_bits(content: str, count: int) -> Int64[np.ndarray, " chosen"]:
    """The clips that the map says are chosen.

    Args:
        content: From the map.
        count: Number of clips.

    Raises:
        ValueError: It is something else.
    """
    flags = np.frombuffer(base64.b64decode(content, validate=True), np.uint8)
    return np.flatnonzero(np.unpackbits(flags, bitorder="little")[:count])
