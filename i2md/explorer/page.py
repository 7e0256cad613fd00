"""The page of the explorer: what a person sees and does; every window that is open has one of its own."""

from __future__ import annotations

from getpass import getuser
from importlib.resources import files

import numpy as np
from jaxtyping import Int64
from nicegui import ui

from i2md.errors import InputError
from i2md.explorer.clip_panel import CLASS_KEYS, ClipPanel
from i2md.explorer.elements import Keys, Tag, button, text
from i2md.explorer.labels import BAD, SKIPPED
from i2md.explorer.map_panel import MapPanel
from i2md.explorer.similar_panel import SimilarPanel
from i2md.explorer.state import Explorer

# Keys of actions; other keys name classes.
_ACTIONS = ("ArrowRight", "Delete", "Backspace", "undo", "redo", " ", "/")
# Between two looks at what other windows and programs did.
_SECONDS = 0.25


def head() -> str:
    """Style and scripts of the page: those of all pages of this package, and its own style."""
    pages, own = files("i2md.pages") / "templates", files("i2md.explorer") / "explorer.css"
    style = "\n".join(each.read_text(encoding="utf-8") for each in (pages / "page.css", pages / "view.css", own))
    scripts = "\n".join((pages / f"{name}.js").read_text(encoding="utf-8") for name in ("page", "player", "points"))
    return (
        f'<style>{style}</style><div id="tip" aria-hidden="true" hidden></div>'
        f'<script type="application/json" id="data">{{}}</script><script>"use strict";\n{scripts}</script>'
    )


class Page:
    """One window.

    Args:
        explorer: The state that all windows share.

    Attributes:
        current: The clip that is shown.
        why: Why it is, where the explorer proposed it.
        chosen: The selected clips.
        like: Clips that similar ones are looked for to.
        unlike: Clips that they are not to be like.
    """

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        self.current, self.why = 0, ""
        self.chosen: Int64[np.ndarray, " chosen"] = np.zeros(0, np.int64)
        self.like: list[int] = []
        self.unlike: list[int] = []
        self._version, self._user, self._acted = -1, getuser(), False
        ui.add_body_html(head())
        with Tag("div", classes="explorer"):
            self._build_header()
            with Tag("div", classes="columns"):
                self.map = MapPanel(self)
                self.clip = ClipPanel(self)
            self.similar = SimilarPanel(self)
        self.keys = Keys()
        self.keys.give(keys=[*CLASS_KEYS, *_ACTIONS], on=True)
        self.keys.on("key", lambda event: self.press(str(event.args)))
        self.advance()
        ui.timer(_SECONDS, self._poll)

    def _build_header(self) -> None:
        clips, shown = self.explorer.collection.clips, len(self.explorer.names)
        total = self.explorer.collection.total
        count = text("count", clips=total) if total == shown else text("sampled", clips=shown, total=total)
        with Tag("header"):
            with Tag("div"):
                Tag("p", f"i2md explore \N{MIDDLE DOT} {clips.path}", "kicker")
                with Tag("h1", clips.dataset.name):
                    Tag("span", f" {count}")
            with Tag("div", classes="status"):
                self._progress = Tag("p", role="status")
                self._fitted = Tag("p")
                self._problem = Tag("p", classes="note")
                self._said = Tag("p", classes="note", role="alert")
                self.say("")
            with Tag("div", classes="steps"):
                self._undo = button(text("undo"), self.undo)
                self._redo = button(text("redo"), self.redo)

    def press(self, key: str) -> None:
        """Do what a key, or the button that says the same, stands for.

        Args:
            key: As the browser calls it, or undo or redo.
        """
        if key in ("undo", "redo"):
            self.undo() if key == "undo" else self.redo()
        elif key in ("ArrowRight", "Delete"):
            self.mark(remark=SKIPPED if key == "ArrowRight" else BAD)
        elif key == "Backspace":
            self.mark(stay=True)
        elif len(key) == 1 and key in CLASS_KEYS:
            place, classes = CLASS_KEYS.index(key), self.explorer.class_names
            if place < len(classes):
                self.mark(classes[place])

    def mark(self, label: str = "", remark: str = "", stay: bool = False) -> None:
        """Give the clip that is shown, or all that are selected, a label or a remark, and go to the next one.

        Args:
            label: The class.
            remark: Such as SKIPPED.
            stay: Do not go to the next one.
        """
        self._acted = True
        try:
            self.explorer.mark(self.chosen.tolist() or [self.current], label, remark, self._user)
        except (InputError, OSError) as error:
            self.say(str(error))
            return
        self.say("")
        if len(self.chosen):
            self.choose(np.zeros(0, np.int64))
        if stay:
            self.refresh()
        else:
            self.advance()

    def say(self, message: str) -> None:
        """Show why something was not done.

        Args:
            message: The reason; empty for none.
        """
        self._said.set_text(message)
        self._said.set_visibility(bool(message))

    def undo(self) -> None:
        """Take the last action back, and show its first clip."""
        self._stepped(self.explorer.undo())

    def redo(self) -> None:
        """Do the action again that was undone last."""
        self._stepped(self.explorer.redo())

    def open(self, clip: int, why: str = "") -> None:
        """Show a clip.

        Args:
            clip: Its position.
            why: Why it is proposed.
        """
        if 0 <= clip < len(self.explorer.names):
            self.current, self.like, self.unlike, self.why = clip, [clip], [], why
            self.refresh()

    def choose(self, clips: Int64[np.ndarray, " chosen"]) -> None:
        """Select clips.

        Args:
            clips: Their positions.
        """
        self.chosen = clips
        self.refresh()

    def advance(self) -> None:
        """Go to the next clip worth labelling."""
        names, marks = self.explorer.names, self.explorer.book.marks
        for each in self.explorer.learner.proposed:
            if names[each.clip] not in marks:
                self.open(each.clip, text(each.reason, size=each.size))
                return
        rest = (place for place, name in enumerate(names) if name not in marks)
        clip = next(rest, None)
        self.open(self.current if clip is None else clip, text("all_done" if clip is None else "any_next"))

    def refresh(self) -> None:
        """Show what is known now."""
        self._version = self.explorer.version
        self._show_status()
        self.map.show(self._version)
        self.clip.show()
        self.similar.show()

    def _show_status(self) -> None:
        explorer, book = self.explorer, self.explorer.book
        said = list(book.marks.values())
        remarks = [mark.remark for mark in said]
        counts = {"labelled": sum(bool(mark.label) for mark in said)}
        self._progress.set_text(
            text("progress", skipped=remarks.count(SKIPPED), bad=remarks.count(BAD), **counts)
            + " \N{MIDDLE DOT} "
            + text("saved", path=book.path)
        )
        learned, agrees = explorer.learner.learned, explorer.agreement()
        fitted = text("not_fitted")
        if learned.predictions is not None:
            fitted = text("fitted", labels=learned.labels, seconds=f"{learned.seconds:.2f}")
        if agrees is not None:
            fitted += " " + text("agreement", percent=f"{100 * agrees[0]:.1f}", count=agrees[1])
        self._fitted.set_text(fitted)
        self._problem.set_text(text("problem", problem=book.problem) if book.problem else "")
        self._problem.set_visibility(bool(book.problem))
        for each, name, count in ((self._undo, "undo", book.can_undo), (self._redo, "redo", book.can_redo)):
            each.set_text(f"{text(name)} ({count})")
            each.attribute("disabled", None if count else True)

    def _stepped(self, changed: list[int]) -> None:
        if changed:
            self.open(changed[0])
        else:
            self.refresh()

    def _poll(self) -> None:
        self.explorer.check()
        if self._version == self.explorer.version:
            return
        if self.why == text("any_next") and self.explorer.learner.proposed and not self._acted:
            # The page was opened before anything was proposed.
            self.advance()
        else:
            self.refresh()
