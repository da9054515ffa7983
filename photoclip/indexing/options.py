"""What a run of index is told, and whom it tells how far it is."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class IndexOptions(NamedTuple):
    """How to index. ``model`` None keeps the library's; ``jobs`` 0 takes one decoder a core;
    ``batch_size`` 0 is 32, or 8 a core where that is more; ``deep`` compares contents even where size and
    times are unchanged; ``prune`` hides photos that are gone even where more than a tenth of a root is."""

    model: str | None = None
    device: str = "auto"
    jobs: int = 0
    batch_size: int = 0
    excludes: tuple[str, ...] = ()
    follow_links: bool = False
    deep: bool = False
    prune: bool = False


class Watcher(Protocol):
    """Who wants to know how far indexing is."""

    def surveyed(self, files: int) -> None:
        """Hear, during the walk, how many files were met so far."""

    def started(self, total: int) -> None:
        """Hear how many files have to be read."""

    def stored(self, done: int) -> None:
        """Hear, after each commit, how many files are done and durable."""

    def note(self, text: str) -> None:
        """Hear a sentence for the user."""


class Silence:
    """A watcher that wants to know nothing."""

    def surveyed(self, files: int) -> None:
        """Ignore it."""

    def started(self, total: int) -> None:
        """Ignore it."""

    def stored(self, done: int) -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""
