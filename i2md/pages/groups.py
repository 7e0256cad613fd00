"""A page of clips in groups: what was searched for and its neighbours, clusters, clips to label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from i2md.data.store import Clips
from i2md.pages.gallery import ViewedClip, gallery
from i2md.pages.render import write_page
from i2md.skeletons import Layout


@dataclass(frozen=True)
class Group:
    """Clips under one heading."""

    title: str
    clips: list[ViewedClip]
    notes: list[str]
    """What is said of each clip; empty for nothing."""
    about: str = ""


@dataclass(frozen=True)
class Grouped:
    """What a page of groups shows."""

    command: str
    title: str
    subtitle: str
    path: str
    lead: str
    layout: Layout
    class_names: tuple[str, ...]
    groups: list[Group]
    facts: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def clips(self) -> list[ViewedClip]:
        """The clips of all groups."""
        return [clip for group in self.groups for clip in group.clips]


def viewed_clips(clips: Clips, chosen: Sequence[int]) -> list[ViewedClip]:
    """Some clips as a page shows them.

    Args:
        clips: Opened clips.
        chosen: Their positions.
    """
    columns = clips.columns
    return [
        ViewedClip(
            name=str(columns["name"][clip]),
            prepared=clips.read(clip),
            label=int(clips.labels[clip]),
            fps=float(columns["fps"][clip]),
        )
        for clip in chosen
    ]


def write_groups(shown: Grouped, out: Path) -> Path:
    """Write the page.

    Args:
        shown: What it shows.
        out: The file. It is written as a whole or not at all.

    Returns:
        Its path.
    """
    data = gallery(shown.clips, shown.layout, shown.class_names)
    places = [(number, note) for number, group in enumerate(shown.groups) for note in group.notes]
    for card, (number, note) in zip(data["cards"], places, strict=True):
        card.update(group=number, note=note)
    return write_page(out, "i2md.pages", "groups.html.j2", shown=shown, data={"gallery": data})
