"""What the pages of the explorer fetch: the places of the clips, the codes of their colours, and skeletons."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, HTTPException, Path, Query
from fastapi.responses import Response

from i2md.errors import InputError
from i2md.explorer.state import MOST_PACKED, Explorer

# Codes of clips whose value is unknown, and of those that are not shown; points.js has the same.
UNKNOWN, HIDDEN = 0xFFFF, 0xFFFE
_BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}


def make_app(explorer: Explorer) -> FastAPI:
    """The application that answers what the pages fetch; NiceGUI's is added to it.

    Args:
        explorer: The state that all pages share.
    """
    app = FastAPI(title="i2md explore", docs_url=None, redoc_url=None, openapi_url=None)

    def binary(values: np.ndarray, kind: str) -> Response:
        # What changes has its own address.
        headers = {"Cache-Control": "no-store"}
        return Response(values.astype(kind).tobytes(), media_type="application/octet-stream", headers=headers)

    none: dict[int | str, dict[str, Any]] = {404: {"description": "There is no other run"}}

    @app.get("/data/points", response_class=Response, responses={200: _BYTES, **none})
    def points(beside: bool = False) -> Response:
        """Two float32 for each clip: its place on the map, or on that of the run beside it."""
        shown = explorer.beside if beside else explorer.collection
        if shown is None:
            raise HTTPException(404, "there is no run beside this one")
        return binary(shown.points, "<f4")

    why = "There is no such column, or the condition is not valid"
    refused: dict[int | str, dict[str, Any]] = {400: {"description": why}}

    @app.get("/data/codes", response_class=Response, responses={200: _BYTES, **refused})
    def codes(
        by: Annotated[str, Query(max_length=200)] = "",
        where: Annotated[str, Query(max_length=1000)] = "",
        version: Annotated[int, Query(ge=0, le=1 << 53)] = 0,
    ) -> Response:
        """A uint16 for each clip: the number of its value in a column, which decides its colour."""
        column = explorer.columns().get(by)
        if by and column is None:
            raise HTTPException(400, "there is no such column")
        found = np.full(len(explorer.names), UNKNOWN)
        if column is not None:
            found = np.where(column.codes >= 0, np.minimum(column.codes, HIDDEN - 1), UNKNOWN)
        try:
            return binary(np.where(explorer.shown(where), found, HIDDEN), "<u2")
        except InputError as error:
            raise HTTPException(400, str(error)) from None

    missing: dict[int | str, dict[str, Any]] = {404: {"description": "There is no such clip"}}

    @app.get("/data/clips/{chosen}", responses=missing)
    def clips(
        chosen: Annotated[str, Path(pattern=r"^[0-9]{1,9}(,[0-9]{1,9})*$", max_length=10 * MOST_PACKED)],
    ) -> dict[str, Any]:
        """The skeletons of some clips, for the player."""
        wanted = [int(each) for each in chosen.split(",")]
        if max(wanted) >= len(explorer.names):
            raise HTTPException(404, "there is no such clip")
        return explorer.figures(wanted)

    return app
