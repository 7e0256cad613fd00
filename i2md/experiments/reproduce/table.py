"""The specification of a table: data, recipe, methods, protocols and claims, from tables/NAME.yaml and shared.yaml."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from i2md.errors import InputError, shortened
from i2md.evaluation.protocols import PROTOCOLS
from i2md.evaluation.settings import EvaluationSettings
from i2md.experiments.grid import with_values
from i2md.experiments.reproduce.claims import Block, Claim, Hypothesis
from i2md.recipes import recipe_path
from i2md.runtime.plain_data import NotPlainData, read_yaml
from i2md.runtime.settings import checked_settings

SUPERVISED = "supervised"


@dataclass(frozen=True)
class Specification:
    """The YAML file of a table, without what its kind adds from shared.yaml."""

    title: str
    """Title of the table."""
    format: str
    """Format of the recordings, a name that `i2md prepare` knows."""
    recipe: str
    """Recipe of pretraining."""
    splits: tuple[str, ...]
    """Splits to evaluate on."""
    kind: str
    """Kind of the table in shared.yaml: methods, protocols and settings of the evaluation."""
    pretrain: str | None = None
    """Split to pretrain on; by default the first of `splits`."""
    target: str | None = None
    """Format of the recordings to transfer to."""
    published: dict[str, dict[str, str]] = field(default_factory=dict)
    """By split, where its published accuracies are found in published_results.csv."""
    evaluation: dict[str, Any] = field(default_factory=dict)
    """Settings of the evaluation by dotted name, in addition to those of the kind."""


@dataclass(frozen=True)
class Table:
    """A table, or the part of one that was asked for.

    Attributes:
        name: Name of the table.
        specification: Its YAML file.
        seeds: Seeds of every method.
        methods: Changes of the recipe by method; None for a method that needs no pretraining.
        protocols: Names of the protocols.
        evaluation: Settings of the evaluation.
        claims: Claims to test.
        reader_options: Options of the readers by format.
        unavailable: Methods whose published tables were not available; they are shown without figures.
    """

    name: str
    specification: Specification
    seeds: tuple[int, ...]
    methods: Mapping[str, Mapping[str, Any] | None]
    protocols: tuple[str, ...]
    evaluation: EvaluationSettings
    claims: tuple[Claim, ...]
    reader_options: Mapping[str, Mapping[str, Any]]
    unavailable: tuple[str, ...] = ()

    @property
    def pretrained_on(self) -> str:
        """The split to pretrain on."""
        return self.specification.pretrain or self.specification.splits[0]

    @property
    def pretrained(self) -> dict[str, Mapping[str, Any]]:
        """The methods that are pretrained, with their changes of the recipe."""
        return {name: settings for name, settings in self.methods.items() if settings is not None}

    @property
    def blocks(self) -> list[Block]:
        """The blocks, in the order of the protocols and of their settings."""
        blocks = []
        for name in self.protocols:
            protocol = PROTOCOLS[name]
            variants = protocol.variants(*protocol.sections(self.evaluation).values())
            blocks += [Block.of_variant(name, variant) for variant in variants]
        return list(dict.fromkeys(blocks))

    def narrowed(
        self,
        seeds: Sequence[int] | None,
        methods: Sequence[str] | None,
        protocols: Sequence[str] | None,
        splits: Sequence[str] | None,
    ) -> Table:
        """Return a part of the table; whichever splits it has, the split to pretrain on is the same.

        Args:
            seeds: Seeds; None for those of the table.
            methods: Names of methods; None for all, as below.
            protocols: Names of protocols.
            splits: Splits to evaluate on.

        Raises:
            InputError: The table has no such part, or none of the methods is pretrained.
        """
        chosen = _choose("method", methods, self.methods)
        spec = self.specification
        narrow = replace(
            self,
            specification=replace(spec, splits=_choose("split", splits, spec.splits), pretrain=self.pretrained_on),
            seeds=self.seeds if seeds is None else tuple(dict.fromkeys(seeds)),
            methods={name: self.methods[name] for name in chosen},
            protocols=_choose("protocol", protocols, self.protocols),
        )
        if not narrow.seeds:
            raise InputError("no seed given; give --seeds 0 1 2")
        if not narrow.pretrained:
            known = ", ".join(self.pretrained)
            raise InputError(f"{', '.join(chosen)}: evaluated in the run of another method; add one of {known}")
        return narrow


def table_names() -> tuple[str, ...]:
    """Return the names of the tables that come with the package."""
    names = (entry.name for entry in (files(__package__) / "tables").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def load_table(name: str) -> Table:
    """Load a table.

    Args:
        name: Name of a table of the package, or path of a YAML file.

    Raises:
        InputError: There is no such table, or its file is invalid.
    """
    if name in table_names():
        path = Path(str(files(__package__) / "tables" / f"{name}.yaml"))
    elif Path(name).is_file():
        path = Path(name)
    else:
        near = difflib.get_close_matches(name, table_names(), n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        raise InputError(f"unknown table {name!r}: {hint}The tables are {', '.join(table_names())}")
    try:
        return _as_table(path.stem, read_yaml(path))
    except (NotPlainData, TypeError, ValueError, KeyError, InputError) as error:
        raise InputError(f"table {name}: {shortened(error)}; see i2md/experiments/reproduce/tables") from None


def _as_table(name: str, data: Mapping[str, Any]) -> Table:
    specification = checked_settings(Specification, data)
    shared = yaml.safe_load((files(__package__) / "shared.yaml").read_text(encoding="utf-8"))
    kind = shared["kinds"][_choose("kind", [specification.kind], shared["kinds"])[0]]
    recipe_path(specification.recipe)
    return Table(
        name=name,
        specification=specification,
        seeds=tuple(shared["seeds"]),
        methods={method: shared["methods"][method] for method in kind["methods"]},
        protocols=tuple(kind["protocols"]),
        evaluation=with_values(EvaluationSettings(), {**kind["evaluation"], **specification.evaluation}),
        claims=tuple(
            Claim(claim["claim"], tuple(Hypothesis.parse(text) for text in claim["hypotheses"]))
            for claim in shared["claims"]
        ),
        reader_options=shared["reader_options"],
        unavailable=tuple(kind["unavailable"]),
    )


def _choose(what: str, asked: Sequence[str] | None, known: Mapping[str, Any] | Sequence[str]) -> tuple[str, ...]:
    """The names asked for, in the table's order."""
    if asked is None:
        return tuple(known)
    unknown = [name for name in asked if name not in known]
    if unknown or not asked:
        raise InputError(f"the table has no {what} {', '.join(unknown)!r}; choose among {', '.join(known)}")
    return tuple(name for name in known if name in asked)
