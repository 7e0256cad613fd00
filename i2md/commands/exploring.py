"""The command that serves the explorer: explore."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2md.encoders.settings import WeightlessReadout
from i2md.errors import require_extra

if TYPE_CHECKING:
    from i2md.data.store import Clips

PathLike = str | os.PathLike[str]


def explore(
    *,
    run: PathLike,
    clips: PathLike | Clips,
    labels: PathLike | None = None,
    model: PathLike | None = None,
    beside: PathLike | None = None,
    port: int | None = None,
    no_browser: bool = False,
    index: PathLike | None = None,
    device: str = "auto",
    readout: WeightlessReadout | None = None,
) -> dict[str, Any]:
    """Explore clips in the browser: a map of all of them, skeletons that play, labels by keyboard.

    A server on this machine alone, which needs no network, serves the page until Ctrl-C. While clips are labelled, a
    classifier is fitted to the labels so far, the map shows its predictions, and the clips worth labelling next are
    proposed. Every action is on the disk before the next, and can be undone.

    Args:
        run: Folder of the run, or the name of a shipped encoder: kinect-base.
        clips: Folder of clips, or its URL.
        labels: The labels, a .csv with the columns name and label that i2md fit --labels reads. It need not be there;
            by default labels.csv in the folder of features.
        model: Folder that i2md fit wrote: the map can be coloured by its classes and confidence.
        beside: Folder of another run: its map stands beside the first, with the same clips and the same selection.
        port: Port of the server; by default 8765, or another where that is taken.
        no_browser: Print the address only, and do not open it in the browser.
        index: Folder to keep features and map in; by default one in the run's folder.
        device: auto, cpu, cuda or cuda:N.
        readout: How features are read out of the encoders' states: last, mean, max or pyramid; by default as in
            pretraining.

    Returns:
        The file of `labels`, the numbers of `clips` and of those `labelled`, `skipped` and `bad`, when Ctrl-C has
        ended the server.

    Raises:
        InputError: Run, clips and labels do not fit one another, or another process has the labels open.
    """
    require_extra("nicegui", "explorer", "i2md explore")
    from i2md.data.store import Clips, open_clips
    from i2md.explorer.collection import model_columns, open_collection
    from i2md.explorer.labels import BAD, SKIPPED, LabelBook
    from i2md.explorer.server import serve
    from i2md.explorer.state import Explorer
    from i2md.pretraining.shipped import find_run, own_run

    opened = clips if isinstance(clips, Clips) else open_clips(clips)
    folder = own_run(run) if index is None else find_run(run)
    collection = open_collection(folder, opened, None if index is None else Path(index), device, readout)
    table = Path(labels) if labels is not None else collection.stored.store.folder / "labels.csv"

    def started(address: str) -> None:
        print(f"i2md: open {address}\ni2md: labels are kept in {table}; end by Ctrl-C", file=sys.stderr, flush=True)
        if not no_browser:
            import webbrowser

            webbrowser.open(address)

    added = None if model is None else model_columns(model, collection.clips, device)
    other = None if beside is None else open_collection(own_run(beside), opened, None, device, readout)
    book = LabelBook(table, [str(name) for name in opened.columns["name"]])
    serve(Explorer(collection, book, added, other), port, started)
    said = list(book.marks.values())
    return {
        "labels": str(table),
        "clips": len(opened),
        "labelled": sum(bool(mark.label) for mark in said),
        "skipped": sum(mark.remark == SKIPPED for mark in said),
        "bad": sum(mark.remark == BAD for mark in said),
    }
