"""What a loss term receives: the embeddings of a batch, by stream and level, and their similarities with the queues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from i2md.errors import InputError
from i2md.objectives.distillation import Teacher, distil, neighbour_mask, teach
from i2md.objectives.queue import KeyQueue
from i2md.objectives.settings import TERMS, ObjectiveSettings
from i2md.runtime.registry import checked_options


@dataclass(frozen=True)
class Level:
    """A batch at one level of one stream."""

    query: Float[Tensor, "batch width"]
    """Embeddings of the query view, of unit length."""
    key: Float[Tensor, "batch width"]
    """Embeddings of the key view by the momentum encoder, without a gradient."""
    target: Float[Tensor, "batch width"]
    """What the query is contrasted with and the teacher's side of distillation: the key, or its aggregate."""
    query_queue: Float[Tensor, "batch queue"]
    """Similarity of the query with each queue entry."""
    target_queue: Float[Tensor, "batch queue"]
    """Similarity of the target with each queue entry."""
    not_negatives: Bool[Tensor, "batch queue"] | None
    """True at entries that are left out of the negatives."""
    soft: Float[Tensor, "batch queue"] | None = None
    """Weights of entries that are positives too; None without."""


def instance_level(query: Tensor, key: Tensor, queue: KeyQueue, clips: Tensor, o: ObjectiveSettings) -> Level:
    """The instance level: every clip is a class of its own.

    Args:
        query: (batch, width) embeddings.
        key: (batch, width) embeddings.
        queue: The level's queue.
        clips: (batch,) indices of the clips in the data set.
        o: Settings.

    Source: docs/method.md section 3.
    """
    own = queue.holds(clips) if o.mask_self else None
    return Level(query, key, key, queue.similarity(query), queue.similarity(key), own)


@dataclass(frozen=True)
class Crops:
    """Further short views of a batch in one stream, one view of all clips after another, at the instance level."""

    query: Float[Tensor, "crops width"]
    """Embeddings of the views, of unit length."""
    query_queue: Float[Tensor, "crops queue"]
    """Similarity of each with each queue entry."""


@dataclass(frozen=True)
class BatchLevels:
    """A batch at all levels of all streams: the argument of every loss term."""

    settings: ObjectiveSettings
    """Temperatures, numbers of neighbours, weights."""
    terms: tuple[str, ...]
    """Names of all terms of this run's loss."""
    queues_ready: bool
    """False until the queues hold real keys, or the stated warm-up is over: terms that look at neighbours wait."""
    instance: Mapping[str, Level]
    """The instance level by stream, in the order of the run's streams."""
    cluster: Mapping[str, Level]
    """The cluster level by stream; empty for methods without one."""
    crops: Mapping[str, Crops] = field(default_factory=dict)
    """Further short views by stream; empty without `views.short_crops`."""

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams."""
        return tuple(self.instance)

    @cached_property
    def cross_modal(self) -> dict[tuple[str, str], Float[Tensor, ""]]:
        """KL divergence of each pair of streams (teacher, student)."""
        return self._divergences[0]

    @cached_property
    def intra_modal(self) -> dict[str, Float[Tensor, ""]]:
        """KL divergence between the levels of each stream, both ways summed."""
        return self._divergences[1]

    @cached_property
    def _divergences(self) -> tuple[dict[tuple[str, str], Tensor], dict[str, Tensor]]:
        """All of them at once: a student's exponentials are computed once for all its teachers."""
        temperature = self.settings.student_temperature
        keys = {name: self.teacher(level) for name, level in self.instance.items()}
        clusters = {name: self.teacher(level) for name, level in self.cluster.items() if "imd" in self.terms}
        cross: dict[tuple[str, str], Tensor] = {}
        intra: dict[str, Tensor] = {}
        for student, level in self.instance.items():
            pairs = [(other, student) for other in keys if "cmd" in self.terms and other != student]
            within = [clusters[student]] if student in clusters else []
            divergences = distil(level.query_queue, [*(keys[other] for other, _ in pairs), *within], temperature)
            cross |= dict(zip(pairs, divergences, strict=False))
            if within:
                (to_cluster,) = distil(self.cluster[student].query_queue, [keys[student]], temperature)
                intra[student] = to_cluster + divergences[-1]
        return cross, intra

    def teacher(self, level: Level) -> Teacher:
        """The distribution that a level teaches: over the entries nearest to its target."""
        o = self.settings
        # Positions correspond in all queues, so a clip's own older keys stand at the same ones in each.
        own = next(iter(self.instance.values())).not_negatives
        return teach(
            level.target_queue, neighbour_mask(level.target_queue, o.num_neighbours, own), o.teacher_temperature
        )


@runtime_checkable
class Term(Protocol):
    """A loss term: a function, or a frozen dataclass whose fields are its settings and that is called like one.

    `TERMS.register(name, term)` or an entry point of the group i2md.objectives makes it known; `objectives.extra`
    chooses it and gives its weight. Processes call it with their rows of the batch, and average its gradients.
    """

    def __call__(self, batch: BatchLevels) -> Mapping[str, Tensor] | Tensor:
        """The unweighted loss, or losses by stream (or by pair); an empty mapping while the term waits."""
        ...


def build_term(name: str, settings: ObjectiveSettings) -> Term:
    """The loss term of a name, with its settings.

    Args:
        name: A registered term.
        settings: `options` holds the term's own settings.

    Raises:
        InputError: The term is unknown, or its options do not fit.
    """
    term, options, where = TERMS[name], settings.options.get(name, {}), f"objectives.options.{name}"
    if isinstance(term, type):
        return checked_options(term, options, where)
    if options:
        raise InputError(f"{where}: loss term {name} has no settings")
    return term
