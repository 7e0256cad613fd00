"""The clip that is shown, the keys and buttons that label it, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from i2md.explorer.elements import ClipPlayer, Shown, Tag, button, text

if TYPE_CHECKING:
    from i2md.explorer.page import Page

# Keys that name classes, in the order of the classes.
CLASS_KEYS = "1234567890abcdefghijklmnopqrstuvwxyz"
_TYPED = "(event) => { emit(event.target.value); event.target.value = ''; event.target.blur(); }"


class ClipPanel:
    """The right side of the page.

    Args:
        page: The window.
    """

    def __init__(self, page: Page) -> None:
        self.page, self._shown = page, Shown()
        with Tag("section", classes="clip-side", aria_label=text("clip")):
            self.player = ClipPlayer()
            self.player.classes("now-playing")
            self._name = Tag("p", classes="name-of-clip")
            Tag("h2", text("classes"))
            self._hint = Tag("p", classes="hint")
            self._classes = Tag("div", classes="choices classes")
            with Tag("div", classes="choices"):
                for name, sign, key in (("skip", "\N{RIGHTWARDS ARROW}", "ArrowRight"), ("bad", "Del", "Delete")):
                    with button("", self._presser(key)):
                        Tag("kbd", sign)
                        Tag("span", text(name))
                with button("", self._presser("Backspace")):
                    Tag("kbd", "\N{LEFTWARDS ARROW}")
                    Tag("span", text("none"))
            with Tag("label", text("new_class"), "other"):
                other = Tag("input", type="text", id="other-class", placeholder=text("new_class_hint"), maxlength="200")
                other.on("keydown.enter", self._other, js_handler=_TYPED)
            with Tag("label", classes="other"):
                Tag("input", type="checkbox", checked=True).on(
                    "change",
                    lambda event: page.keys.give(on=bool(event.args)),
                    js_handler="(event) => emit(event.target.checked)",
                )
                Tag("span", text("keys"))
            self._facts = Tag("dl", classes="facts-of-clip")

    def show(self) -> None:
        """Show what is known now."""
        page = self.page
        self.player.give(clips=[page.current])
        facts = page.explorer.describe(page.current)
        name = facts.pop("clip")
        predicted = page.explorer.predicted(page.current)
        told = [name, page.why, text("predicted", name=predicted) if predicted else ""]
        self._name.set_text(" \N{MIDDLE DOT} ".join(filter(None, told)))
        if self._shown.is_new("facts", facts):
            self._facts.clear()
            with self._facts:
                for term, value in facts.items():
                    Tag("dt", term)
                    Tag("dd", value)
        self._show_classes()
        count = len(page.chosen)
        self._hint.set_text(text("classes_selected", count=count) if count else text("classes_help"))

    def _show_classes(self) -> None:
        explorer = self.page.explorer
        classes = explorer.class_names
        mark = explorer.book.marks.get(explorer.names[self.page.current])
        given = mark.label if mark else ""
        predicted = explorer.predicted(self.page.current)
        if not self._shown.is_new("classes", [classes, given, predicted]):
            return
        self._classes.clear()
        with self._classes:
            for place, name in enumerate(classes):
                kind = "predicted" if name == predicted else ""
                with button("", self._labeller(name), kind, aria_pressed="true" if name == given else "false"):
                    if place < len(CLASS_KEYS):
                        Tag("kbd", CLASS_KEYS[place])
                    Tag("span", name)

    def _labeller(self, name: str) -> Callable[[], None]:
        return lambda: self.page.mark(name)

    def _presser(self, key: str) -> Callable[[], None]:
        return lambda: self.page.press(key)

    def _other(self, event: Any) -> None:
        if str(event.args).strip():
            self.page.mark(str(event.args).strip())
