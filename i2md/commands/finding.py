"""Commands that find: search."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2md.encoders.settings import WeightlessReadout
from i2md.errors import InputError

if TYPE_CHECKING:
    from i2md.data.store import Clips

PathLike = str | os.PathLike[str]


def search(
    *,
    run: PathLike,
    clips: PathLike | Clips,
    query: str | None = None,
    top: int = 10,
    where: str | None = None,
    streams: Sequence[str] | None = None,
    index: PathLike | None = None,
    page: PathLike | None = None,
    device: str = "auto",
    readout: WeightlessReadout | None = None,
) -> dict[str, Any]:
    """Find the clips most similar to a clip, to a recording or to an excerpt of one.

    By cosine similarity of features, which are kept on disk and computed only where clips are new. Up to 100,000 clips
    all are compared; more need the extra `search`.

    Args:
        run: Folder of the run.
        clips: Folder of clips, or its URL.
        query: Name of a clip; or a recording of any format that prepare recognises, or FILE@START-END with seconds.
        top: How many clips to find.
        where: Which clips to search, a condition as in SQL, such as "subject != 3 and class = 'wave'".
        streams: Streams that count, and their weights, such as joint=1 bone=0.5; by default all the same.
        index: Folder to keep the features in; by default one in the run's folder.
        page: HTML page to write, on which query and neighbours play.
        device: auto, cpu, cuda or cuda:N.
        readout: How features are read out of the encoders' states: last, mean, max or pyramid; by default as in
            pretraining.

    Returns:
        The `neighbours`, each with `name`, `class`, `similarity` and, of windows, its `recording`, `start` and `end`
        in seconds; how many have the `same_class` as the query; the number of clips `searched`, of clips whose
        features were `added` and of those `removed`; and the paths of the `index` and of the `page`.

    Raises:
        InputError: There is no such clip or file, no clip meets the condition, or run and clips do not fit.
    """
    from i2md.data.store import Clips, open_clips
    from i2md.inference.find_clips import find_clips, neighbours_page
    from i2md.pages.groups import write_groups
    from i2md.runtime.io import check_target

    if query is None:
        raise InputError("search: name a clip or a file of a recording by --query")
    if page is not None:
        check_target(Path(page), file=True)
    opened = clips if isinstance(clips, Clips) else open_clips(clips)
    folder = None if index is None else Path(index)
    data, found, asked = find_clips(
        Path(run), opened, query, top, where, folder, stream_weights(streams), device, readout
    )
    if page is None:
        return data
    return {**data, "page": str(write_groups(neighbours_page(data, found, asked, opened), Path(page)))}


def stream_weights(given: Sequence[str] | None) -> Mapping[str, float] | None:
    """Read weights of streams as they are typed: joint, or joint=0.5.

    Args:
        given: Names, with their weights.

    Raises:
        InputError: A weight is no number.

    >>> stream_weights(["joint", "bone=0.5"])
    {'joint': 1.0, 'bone': 0.5}
    """
    if given is None:
        return None
    weights = {}
    for text in given:
        name, _, weight = text.partition("=")
        try:
            weights[name] = float(weight or 1)
        except ValueError:
            raise InputError(f"streams: {text[:40]!r} has no number for a weight; write as in joint=0.5") from None
    return weights
