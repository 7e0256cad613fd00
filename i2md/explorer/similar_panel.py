"""The clips most similar to the one that is shown, or to those that are selected, playing side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from i2md.explorer.elements import ClipPlayer, Shown, Tag, button, text

if TYPE_CHECKING:
    from i2md.explorer.page import Page

_MOST = 6


class SimilarPanel:
    """The lower part of the page.

    Args:
        page: The window.
    """

    def __init__(self, page: Page) -> None:
        self.page, self._shown = page, Shown()
        with Tag("section", classes="similar", aria_label=text("similar")):
            with Tag("div", classes="bar"):
                Tag("h2", text("similar"))
                self._like = button(text("similar_to_selected"), self._like_selected)
                self._unlike = button(text("similar_less"), self._unlike_current)
            self._about = Tag("p", classes="hint")
            self.neighbours = ClipPlayer(opens=True)
            self.neighbours.on("pick", lambda event: page.open(int(event.args)))

    def show(self) -> None:
        """Show what is known now."""
        page = self.page
        self._like.set_visibility(bool(len(page.chosen)))
        self._unlike.set_visibility(page.current not in page.like)
        if not self._shown.is_new("asked", (tuple(page.like), tuple(page.unlike))):
            return
        found = page.explorer.similar(page.like, page.unlike, _MOST)
        notes = [
            " \N{MIDDLE DOT} ".join(f"{name} {value:.2f}" for name, value in each.streams.items()) for each in found
        ]
        self.neighbours.give(clips=[each.clip for each in found], notes=notes)
        likes = text("similar_many", like=len(page.like), unlike=len(page.unlike))
        self._about.set_text(text("similar_help") if len(page.like) + len(page.unlike) == 1 else likes)

    def _like_selected(self) -> None:
        self.page.like, self.page.unlike = self.page.chosen.tolist(), []
        self.page.refresh()

    def _unlike_current(self) -> None:
        self.page.unlike = list(dict.fromkeys([*self.page.unlike, self.page.current]))
        self.page.refresh()
