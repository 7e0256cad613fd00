"""Commands that find: search, cluster and suggest."""

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
        run: Folder of the run, or the name of a shipped encoder: kinect-base.
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
    from i2md.pretraining.shipped import find_run, own_run
    from i2md.runtime.io import check_target

    if query is None:
        raise InputError("search: name a clip or a file of a recording by --query")
    if page is not None:
        check_target(Path(page), file=True)
    opened = clips if isinstance(clips, Clips) else open_clips(clips)
    folder = None if index is None else Path(index)
    folder_of_run = own_run(run) if index is None else find_run(run)
    data, found, asked = find_clips(
        folder_of_run, opened, query, top, where, folder, stream_weights(streams), device, readout
    )
    if page is None:
        return data
    return {**data, "page": str(write_groups(neighbours_page(data, found, asked, opened), Path(page)))}


def cluster(
    *,
    run: PathLike,
    clips: PathLike | Clips,
    out: PathLike,
    k: int | None = None,
    method: str = "kmeans",
    least: int | None = None,
    seeds: int = 5,
    examples: int = 5,
    gif: bool = False,
    index: PathLike | None = None,
    device: str = "auto",
    readout: WeightlessReadout | None = None,
) -> dict[str, Any]:
    """Divide clips into clusters by their features: a table, figures, and a page of playing examples.

    Args:
        run: Folder of the run, or the name of a shipped encoder: kinect-base.
        clips: Folder of clips, labelled or not, or its URL.
        out: Folder to write clusters.csv, clusters.json and clusters.html into.
        k: Number of clusters of k-means; by default the one with the highest silhouette coefficient, at most twice the
            square root of the number of clips, and 200.
        method: kmeans, or hdbscan, which leaves clips that are like few others in no cluster.
        least: Number of clips of the smallest cluster of hdbscan; by default 5, or a 200th of the clips if more.
        seeds: Number of fits, each of other clips with another seed, that are compared for the stability.
        examples: Clips shown of each cluster, those nearest to its centre.
        gif: Write an animation of each cluster's examples, too.
        index: Folder to keep the features in; by default one in the run's folder.
        device: auto, cpu, cuda or cuda:N.
        readout: How features are read out of the encoders' states: last, mean, max or pyramid; by default as in
            pretraining.

    Returns:
        The `number` of clusters and the `silhouette` coefficient of each number `tried`; the `stability`, the mean
        adjusted Rand index of the fits; the agreement with labels (`NMI`, `ARI`), where there are any; the `clusters`,
        each with its `size`, `examples` and most frequent `classes`; and the paths of `table` and `page`.

    Raises:
        InputError: Run and clips do not fit, or there are too few clips for so many clusters.
    """
    from i2md.data.store import Clips, open_clips
    from i2md.inference.cluster import find_clusters, write_clusters
    from i2md.inference.feature_store import stored_features
    from i2md.pretraining.shipped import find_run, own_run
    from i2md.runtime.io import check_target

    check_target(Path(out))
    opened = clips if isinstance(clips, Clips) else open_clips(clips)
    stored = stored_features(
        own_run(run) if index is None else find_run(run),
        opened,
        None if index is None else Path(index),
        device,
        readout,
    )
    found, data = find_clusters(opened, stored.features(), k, method, least, seeds, examples)
    return {**data, **write_clusters(opened, found, data, Path(out), gif)}


def suggest(
    *,
    run: PathLike,
    clips: PathLike | Clips,
    labels: PathLike,
    count: int = 10,
    out: PathLike | None = None,
    page: PathLike | None = None,
    seed: int = 0,
    index: PathLike | None = None,
    device: str = "auto",
    readout: WeightlessReadout | None = None,
) -> dict[str, Any]:
    """Suggest the clips that are worth labelling next.

    First typical clips of clusters without a label; from 5 labels a class on clips of different kinds that a classifier
    is unsure of.

    Args:
        run: Folder of the run, or the name of a shipped encoder: kinect-base.
        clips: Folder of clips, or its URL. Labels of their own are not looked at.
        labels: The labels so far: a .csv with the columns name and label. It need not be there.
        count: How many clips to suggest.
        out: File to write, a .csv with the columns name and label, the labels to be filled in.
        page: HTML page to write, on which the clips play.
        seed: Of the clusters.
        index: Folder to keep the features in; by default one in the run's folder.
        device: auto, cpu, cuda or cuda:N.
        readout: How features are read out of the encoders' states: last, mean, max or pyramid; by default as in
            pretraining.

    Returns:
        The `suggestions`, the most useful first, each with `name`, `reason` (coverage or uncertainty) and `why`; the
        numbers of `clips`, of those `labelled` and of `classes`; `notes` on the labels; and the paths that were
        written.

    Raises:
        InputError: Run, clips and labels do not fit one another, or all clips are labelled.
    """
    from i2md.data.store import Clips, open_clips
    from i2md.inference.feature_store import stored_features
    from i2md.inference.suggest import labelled_so_far, suggestions_page, write_table
    from i2md.inference.suggest import suggest as suggest_next
    from i2md.pages.groups import write_groups
    from i2md.pretraining.shipped import find_run, own_run
    from i2md.runtime.io import check_target

    for path in (out, page):
        if path is not None:
            check_target(Path(path), file=True)
    opened = clips if isinstance(clips, Clips) else open_clips(clips)
    labelled, notes = labelled_so_far(opened, Path(labels))
    folder = own_run(run) if index is None else find_run(run)
    stored = stored_features(folder, opened, None if index is None else Path(index), device, readout)
    found, data = suggest_next(labelled, stored.features(), count, seed)
    written = {}
    if out is not None:
        write_table(data, Path(out))
        written["out"] = str(out)
    if page is not None:
        written["page"] = str(write_groups(suggestions_page(data, found, labelled), Path(page)))
    return {**data, "notes": notes, **written}


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
