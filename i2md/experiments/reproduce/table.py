"""What a table is: its data, recipe, methods, protocols and claims, as tables/NAME.yaml and shared.yaml have it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from i2md.errors import InputError
from i2md.evaluation.protocols import PROTOCOLS
from i2md.evaluation.results import Variant
from i2md.evaluation.settings import EvaluationSettings
from i2md.experiments.grid import with_values
from i2md.experiments.reproduce.claims import Claim, Comparison
from i2md.recipes import recipe_path
from i2md.runtime.settings import checked_settings

UNTRAINED, SUPERVISED = "untrained", "supervised"


@dataclass(frozen=True)
class Specification:
    """What the YAML of a table says, `kind` and all that it brings aside."""

    title: str
    format: str
    """Of the recordings, as `i2md prepare` calls it."""
    recipe: str
    splits: tuple[str, ...]
    """Evaluated on."""
    kind: str
    pretrain: str | None = None
    """The split pretrained on; by default the first of `splits`."""
    target: str | None = None
    """Format of other recordings to evaluate on."""
    published: dict[str, dict[str, str]] = field(default_factory=dict)
    """By split, where its published figures are found."""
    evaluation: dict[str, Any] = field(default_factory=dict)
    """Settings of the protocols, by dotted name, besides those of its kind."""


@dataclass(frozen=True)
class Table:
    """A table, as published or as it was asked for. A method without settings needs no run of its own."""

    name: str
    specification: Specification
    seeds: tuple[int, ...]
    methods: Mapping[str, Mapping[str, Any] | None]
    protocols: tuple[str, ...]
    evaluation: EvaluationSettings
    claims: tuple[Claim, ...]
    reading: Mapping[str, Mapping[str, Any]]
    """Options of the readers, by format."""
    not_at_hand: tuple[str, ...] = ()
    """Methods with published tables that were not to be had: a dash, never a guess."""

    @property
    def pretrained_on(self) -> str:
        """The split whose training clips are pretrained on."""
        return self.specification.pretrain or self.specification.splits[0]

    @property
    def pretrained(self) -> dict[str, Mapping[str, Any]]:
        """The methods that have runs, with their settings."""
        return {name: settings for name, settings in self.methods.items() if settings is not None}

    @property
    def outcomes(self) -> list[str]:
        """What its protocols bring forth."""
        return list(
            dict.fromkeys(
                outcome_name(name, variant)
                for name in self.protocols
                for protocol in [PROTOCOLS[name]]
                for variant in protocol.variants(*protocol.sections(self.evaluation).values())
            )
        )

    def narrowed(
        self,
        seeds: Sequence[int] | None,
        methods: Sequence[str] | None,
        protocols: Sequence[str] | None,
        splits: Sequence[str] | None,
    ) -> Table:
        """The part of it that is asked for, None meaning all; InputError where that is no part of it.

        Whichever splits are asked for, the one pretrained on stays.
        """
        chosen = _among("method", methods, self.methods)
        spec = self.specification
        narrow = replace(
            self,
            specification=replace(spec, splits=_among("split", splits, spec.splits), pretrain=self.pretrained_on),
            seeds=self.seeds if seeds is None else tuple(dict.fromkeys(seeds)),
            methods={name: self.methods[name] for name in chosen},
            protocols=_among("protocol", protocols, self.protocols),
        )
        if not narrow.seeds:
            raise InputError("no seed to run with; give --seeds 0 1 2")
        if not narrow.pretrained:
            known = ", ".join(self.pretrained)
            raise InputError(f"{', '.join(chosen)}: evaluated beside a run of another method; add one of {known}")
        return narrow


def outcome_name(protocol: str, variant: Variant) -> str:
    """What the claims and published.py call the results of a protocol: its name, and what sets them apart within it.

    >>> outcome_name("semi", Variant(label_fraction=0.05, draw=1))
    'semi-0.05'
    """
    if variant.label_fraction is not None:
        return f"{protocol}-{variant.label_fraction:g}"
    if variant.labels_per_class is not None:
        return f"{protocol}-{variant.labels_per_class}"
    return protocol if variant.k in (None, 1) else f"{protocol}-{variant.k}"


def table_names() -> tuple[str, ...]:
    """The tables that come with the package."""
    names = (entry.name for entry in (files(__package__) / "tables").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def load_table(name: str) -> Table:
    """A table by its name, or one's own by its YAML file; InputError where it is neither."""
    if name in table_names():
        text = (files(__package__) / "tables" / f"{name}.yaml").read_text(encoding="utf-8")
    elif Path(name).is_file():
        text = Path(name).read_text(encoding="utf-8")
    else:
        near = difflib.get_close_matches(name, table_names(), n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        raise InputError(f"table {name!r} is not known: {hint}The tables are {', '.join(table_names())}")
    try:
        return _as_table(Path(name).stem, yaml.safe_load(text))
    except (yaml.YAMLError, TypeError, KeyError, InputError) as error:
        raise InputError(f"table {name}: {error}; see i2md/experiments/reproduce/tables") from None


def _as_table(name: str, data: Mapping[str, Any]) -> Table:
    specification = checked_settings(Specification, data)
    shared = yaml.safe_load((files(__package__) / "shared.yaml").read_text(encoding="utf-8"))
    kind = shared["kinds"][_among("kind", [specification.kind], shared["kinds"])[0]]
    recipe_path(specification.recipe)
    return Table(
        name=name,
        specification=specification,
        seeds=tuple(shared["seeds"]),
        methods={method: shared["methods"][method] for method in kind["methods"]},
        protocols=tuple(kind["protocols"]),
        evaluation=with_values(EvaluationSettings(), {**kind["evaluation"], **specification.evaluation}),
        claims=tuple(
            Claim(claim["says"], tuple(Comparison.parse(text) for text in claim["compare"]))
            for claim in shared["claims"]
        ),
        reading=shared["reading"],
        not_at_hand=tuple(kind["not_at_hand"]),
    )


def _among(what: str, asked: Sequence[str] | None, known: Mapping[str, Any] | Sequence[str]) -> tuple[str, ...]:
    """Those asked for, in the table's order."""
    if asked is None:
        return tuple(known)
    strange = [name for name in asked if name not in known]
    if strange or not asked:
        raise InputError(f"{what} {', '.join(strange)!r} is not one of the table's; choose among {', '.join(known)}")
    return tuple(name for name in known if name in asked)
