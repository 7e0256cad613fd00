"""Modules by the name of their stream, all of one kind."""

from __future__ import annotations

from collections.abc import ItemsView, ValuesView
from typing import Generic, TypeVar, cast

from torch import nn

Kind = TypeVar("Kind", bound=nn.Module)


class ByStream(nn.ModuleDict, Generic[Kind]):
    """nn.ModuleDict that remembers, for the type checker and the reader, what kind of modules it holds."""

    def __getitem__(self, name: str) -> Kind:
        return cast(Kind, super().__getitem__(name))

    def values(self) -> ValuesView[Kind]:
        """The modules."""
        return cast("ValuesView[Kind]", super().values())

    def items(self) -> ItemsView[str, Kind]:
        """Names and modules."""
        return cast("ItemsView[str, Kind]", super().items())
