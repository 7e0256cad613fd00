"""Pieces of a source given to a cluster: the same piece, and the same answer, as with processes of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

from i2md.data.executor import Awaited, Crew
from i2md.data.outcomes import Outcome
from i2md.data.readers.files import archives_kept_open
from i2md.data.worker import answer, outcomes_in
from i2md.distributed.ray_cluster import Cluster, joined, lacking
from i2md.errors import Stopped


class ClusterCrew:
    """The machines of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    @property
    def hands(self) -> int:
        """As many as it has cores."""
        return self._cluster.hands

    def give(self, piece: bytes) -> Awaited:
        """Have a pickled Piece worked at by whoever is free."""
        told = self._cluster.give(_answer_there, piece)

        def outcomes() -> tuple[list[Outcome], int]:
            found = told()
            try:
                return outcomes_in(found), len(found)
            except ImportError as error:
                raise Stopped(lacking(error)) from error

        return outcomes


@contextmanager
def crew_at(address: str | None) -> Iterator[Crew | None]:
    """The crew of the cluster at an address; nobody without one."""
    if address is None:
        yield None
        return
    with joined(address) as cluster:
        yield ClusterCrew(cluster)


def _answer_there(piece: bytes) -> bytes:
    _keep_archives_open()
    return answer(piece)


@cache
def _keep_archives_open() -> ExitStack:
    """From now until the process ends, which the cluster decides."""
    kept = ExitStack()
    kept.enter_context(archives_kept_open())
    return kept
