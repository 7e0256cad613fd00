"""Evaluation protocols. Each is a `Protocol` in a module of this package, or of another package's entry point.

A new protocol is one file: a settings dataclass, a generator function from `ProbeData` and these settings to outcomes,
and a `Protocol` that names them (docs/examples/protocol.py). Its package registers it in pyproject.toml, under the name
that `i2md evaluate --protocol` takes; a script may call `PROTOCOLS.register` in its place:

    [project.entry-points."i2md.protocols"]
    nearest-mean = "my_package.nearest_mean:PROTOCOL"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from i2md.evaluation.results import Outcome, Variant
from i2md.evaluation.settings import EvaluationSettings
from i2md.runtime.registry import Registry
from i2md.runtime.settings import checked_settings


@dataclass(frozen=True)
class Protocol:
    """A protocol: its name, the settings that decide its scores, and the function that computes them."""

    name: str
    """What `i2md evaluate --protocol` calls it."""
    settings: tuple[type, ...]
    """Dataclasses of settings: types of the sections of EvaluationSettings, or one of the protocol's own."""
    run: Callable[..., Iterator[Outcome]]
    """Called with a ProbeData and an instance of each of `settings`; yields each outcome as soon as it is computed."""
    variants: Callable[..., Sequence[Variant]] = lambda *settings: [Variant()]
    """Called with an instance of each of `settings`: the variants of the outcomes that `run` yields."""
    from_scratch: bool = False
    """Whether it trains randomly initialised encoders, whatever the run's were trained to."""
    scale_free: bool = False
    """Whether features multiplied by any number give the same scores, so that features of any kind can be compared."""
    over_time: bool = False
    """Whether it is given windows of whole recordings (i2md.evaluation.segment_data) in place of clips."""
    trains_encoders: bool = False
    """Whether it trains the encoders that it is given, which must have weights then."""

    def sections(self, settings: EvaluationSettings) -> dict[str, Any]:
        """The settings that decide this protocol's scores, by section.

        Raises:
            InputError: The settings given for a protocol of another package do not fit its dataclass.
        """
        own = {type(value): name for name, value in vars(settings).items()}
        found = {}
        for kind in self.settings:
            if kind in own:
                found[own[kind]] = getattr(settings, own[kind])
            else:
                found[self.name] = checked_settings(kind, settings.plugins.get(self.name, {}))
        return found

    def expected(self, settings: EvaluationSettings) -> set[Variant]:
        """The variants of this protocol's results with these settings."""
        variants = self.variants(*self.sections(settings).values())
        return {replace(variant, readout=settings.readout) for variant in variants}


PROTOCOLS: Registry[Protocol] = Registry(
    "protocol",
    "i2md.protocols",
    {
        "knn": "i2md.evaluation.protocols.knn:KNN",
        "retrieval": "i2md.evaluation.protocols.knn:RETRIEVAL",
        "cluster": "i2md.evaluation.protocols.cluster:CLUSTER",
        "ridge": "i2md.evaluation.protocols.ridge:RIDGE",
        "calibration": "i2md.evaluation.protocols.calibrated:CALIBRATION",
        "open-set": "i2md.evaluation.protocols.unknown_classes:OPEN_SET",
        "segment": "i2md.evaluation.protocols.segment:SEGMENT",
        "linear": "i2md.evaluation.protocols.linear:LINEAR",
        "linear-sweep": "i2md.evaluation.protocols.linear:LINEAR_SWEEP",
        "finetune": "i2md.evaluation.protocols.finetune:FINETUNE",
        "supervised": "i2md.evaluation.protocols.finetune:SUPERVISED",
        "semi": "i2md.evaluation.protocols.few_labels:SEMI",
        "label-efficiency": "i2md.evaluation.protocols.label_efficiency:LABEL_EFFICIENCY",
        "few-shot": "i2md.evaluation.protocols.few_labels:FEW_SHOT",
    },
)
"""All protocols by name; `PROTOCOLS[name]` raises an InputError that lists them where there is none of this name."""
