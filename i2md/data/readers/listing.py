"""What lies among the recordings and is not read: counted once, in one place, whatever the format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from i2md.data.readers.name_tables import shown
from i2md.errors import InputError

if TYPE_CHECKING:
    from i2md.data.readers.files import File


class Listing:
    """What lies where a reader looked for its files, and which of it the reader found."""

    def __init__(self) -> None:
        self.all: set[File] = set()
        self.found: set[File] = set()
        self.links: set[File] = set()

    def in_place(self) -> str:
        """What was found in place of the files wanted, as part of a message; empty if nothing was."""
        if not self.all:
            return ""
        first = min(self.all, key=lambda file: file.name)
        return f" among {len(self.all)} files such as {shown(first.base)}"

    def not_read(self) -> dict[str, int]:
        """Count what no reader asked for.

        Returns:
            Counts for `Source.left_out`, each with one name.
        """
        others = sorted(self.all - self.found, key=lambda file: file.name)
        links = sorted(self.links, key=lambda file: file.name)
        counts = {}
        if others:
            counts[f"files of other kinds, for example {shown(others[0].base)}"] = len(others)
        if links:
            counts[f"links to folders, which are not followed, for example {shown(links[0].base)}"] = len(links)
        return counts


_listing: ContextVar[Listing | None] = ContextVar("listing", default=None)


def listing_of() -> Listing | None:
    """The listing of the block `listed` that this runs in, if any."""
    return _listing.get()


@contextmanager
def listed() -> Iterator[Listing]:
    """Note, in the block, what `find_files` comes across."""
    listing = Listing()
    before = _listing.set(listing)
    try:
        yield listing
    finally:
        _listing.reset(before)


def cannot_list(error: OSError) -> None:
    """Refuse a folder that may not be listed, as `onerror` of os.walk, which would leave it out.

    Args:
        error: Why it cannot be listed.

    Raises:
        InputError: Always, unless there is no such folder.
    """
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return
    raise InputError(f"{error.filename}: cannot be listed ({error.strerror}); give yourself the right to read it")
