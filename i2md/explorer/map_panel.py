"""The map with its tools: what colours it, which clips it shows, and which are selected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np
from jaxtyping import Int64
from nicegui import run, ui

from i2md.errors import InputError
from i2md.explorer import export
from i2md.explorer.collection import COMPARED, Collection, Column
from i2md.explorer.elements import ClipMap, Shown, Tag, button, colours, from_bits, scale, text, to_bits

if TYPE_CHECKING:
    from i2md.explorer.page import Page

# More values than this are neither listed nor written on the map.
_MOST_VALUES = 60
_NONE = np.zeros(0, np.int64)
# Where a field was used by the mouse, keys are for the clip again.
_CHOSEN = "({target}) => { emit(target.value); if (!target.matches(':focus-visible')) target.blur(); }"
_TYPED = "({target}) => { emit(target.value); target.blur(); }"
_EXPORTS = {
    "export_csv": (export.table, "clips.csv"),
    "export_gif": (export.animation, "clips.gif"),
    "export_page": (export.page, "clips.html"),
}


class MapPanel:
    """The left side of the page.

    Args:
        page: The window.
    """

    def __init__(self, page: Page) -> None:
        self.page, self._shown = page, Shown()
        self.by = "class" if "class" in page.explorer.columns() else "cluster"
        self.where = ""
        count = len(page.explorer.names)
        with Tag("section", classes="map-side", aria_label=text("whole")):
            self._build_choices()
            self._build_tools()
            with Tag("div", classes="maps"):
                self.maps = [self._build_map("data/points", page.explorer.collection)]
                if page.explorer.beside is not None:
                    self.maps.append(self._build_map("data/points?beside=true", page.explorer.beside))
            Tag("p", text("placed") if count <= COMPARED else text("placed_some", compared=COMPARED), "hint")
            self._legend = Tag("div", classes="choices legend-of-map", role="group", aria_label=text("legend"))
        self._set_mode("pan")

    def _build_map(self, points: str, collection: Collection) -> ClipMap:
        count = len(self.page.explorer.names)
        with Tag("figure"):
            if self.page.explorer.beside is not None:
                Tag("figcaption", str(collection.run))
            made = ClipMap()
        label = text("map", count=count)
        made.give(points=points, label=label, current=-1, follow=True, chosen="", mode="pan")
        made.on("pick", lambda event: self.page.open(int(event.args)))
        made.on("lasso", lambda event: self.page.choose(from_bits(str(event.args), count)))
        return made

    def _build_choices(self) -> None:
        with Tag("div", classes="bar"):
            with Tag("label", text("colour")):
                self._colour = Tag("select", id="colour")
                self._colour.on("change", self._set_colour, js_handler=_CHOSEN)
            with Tag("label", text("where")):
                condition = Tag("input", type="text", id="where", placeholder=text("where_hint"), maxlength="1000")
                condition.on("change", self._set_where, js_handler=_TYPED)
            self._hidden = Tag("span", role="status")

    def _build_tools(self) -> None:
        with Tag("div", classes="bar tools", role="group", aria_label=text("tools")):
            self._modes = {mode: button(text(mode), self._mode_setter(mode)) for mode in ("pan", "lasso", "box")}
            button("+", lambda: self._move("zoom", 1.5), aria_label=text("zoom_in"))
            button("\N{MINUS SIGN}", lambda: self._move("zoom", 1 / 1.5), aria_label=text("zoom_out"))
            button(text("fit"), lambda: self._move("fit"))
            self._selected = Tag("span", role="status")
            self._clear = button(text("clear"), lambda: self.page.choose(_NONE))
        with Tag("div", classes="bar tools", role="group", aria_label=text("export")) as self._exports:
            Tag("span", text("export"))
            for name, (made, file) in _EXPORTS.items():
                button(text(name), self._exporter(made, file))
            button(text("export_clips"), self._export_clips)
            self._written = Tag("span", role="status")

    def show(self, version: int) -> None:
        """Show what is known now.

        Args:
            version: Of the labels and predictions.
        """
        columns, page = self.page.explorer.columns(), self.page
        if self.by not in columns:
            self.by = "label"
        column = columns[self.by]
        named = bool(column.values)
        palette = colours(len(column.values)) if named else scale()
        listed = column.values if len(column.values) <= _MOST_VALUES else []
        query = urlencode({"by": self.by, "where": self.where, "version": version})
        bits = to_bits(page.chosen, len(page.explorer.names)) if len(page.chosen) else ""
        source = f"data/codes?{query}"
        for each in self.maps:
            each.give(palette=palette, names=listed, source=source, current=page.current, chosen=bits)
        self._selected.set_text(text("selected", count=len(page.chosen)) if len(page.chosen) else "")
        self._clear.set_visibility(bool(len(page.chosen)))
        self._exports.set_visibility(bool(len(page.chosen)))
        if self._shown.is_new("options", [*columns, self.by]):
            self._colour.clear()
            with self._colour:
                for name in columns:
                    Tag("option", name, value=name, selected=True if name == self.by else None)
        self._show_legend(column, listed, palette)

    def _show_legend(self, column: Column, listed: list[str], palette: list[str]) -> None:
        counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.values)).tolist()
        if not self._shown.is_new("legend", [self.by, listed, counts, column.limits]):
            return
        self._legend.clear()
        with self._legend:
            for code, name in enumerate(listed):
                with button("", self._chooser(code)):
                    ui.element("span").classes("swatch").style(f"background:{palette[code]}")
                    Tag("span", f"{name} {counts[code]}")
            if not column.values:
                Tag("span", f"{column.limits[0]:.3g}")
                ui.element("span").classes("ramp")
                Tag("span", f"{column.limits[1]:.3g}")

    def _chooser(self, code: int) -> Callable[[], None]:
        """Selects the clips of a value that are shown."""

        def choose() -> None:
            explorer = self.page.explorer
            of_code: Int64[np.ndarray, " clips"] = explorer.columns()[self.by].codes
            self.page.choose(np.flatnonzero((of_code == code) & explorer.shown(self.where)))

        return choose

    def _exporter(self, made: Callable[..., bytes], file: str) -> Callable[[], Awaitable[None]]:
        """Hands a file of the selected clips to the browser."""

        async def save() -> None:
            content = await run.io_bound(made, self.page.explorer, self.page.chosen.tolist())
            if content is not None:  # as it is where the server ends meanwhile
                ui.download.content(content, file)

        return save

    async def _export_clips(self) -> None:
        try:
            path = await run.io_bound(export.clips_folder, self.page.explorer, self.page.chosen.tolist())
        except (InputError, OSError) as error:
            self.page.say(str(error))
            return
        self._written.set_text(text("export_done", path=path))

    def _mode_setter(self, mode: str) -> Callable[[], None]:
        return lambda: self._set_mode(mode)

    def _move(self, how: str, *by: float) -> None:
        for each in self.maps:
            each.run_method(how, *by)

    def _set_mode(self, mode: str) -> None:
        for shown in self.maps:
            shown.give(mode=mode)
        for name, each in self._modes.items():
            each.attribute("aria-pressed", "true" if name == mode else "false")

    def _set_colour(self, event: Any) -> None:
        if str(event.args) in self.page.explorer.columns():
            self.by = str(event.args)
            self.page.refresh()

    def _set_where(self, event: Any) -> None:
        condition = str(event.args)[:1000].strip()
        try:
            shown = self.page.explorer.shown(condition)
        except InputError as error:
            self.page.say(str(error))
            return
        self.page.say("")
        self.where = condition
        self._hidden.set_text(text("shown", count=int(shown.sum()), total=len(shown)) if condition else "")
        self.page.refresh()
