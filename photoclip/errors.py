"""Every error a user can meet: its sentence, its hint and its exit code.

    PhotoclipError            1  any other known error
    ├── CacheNotWritten       1  a file of vectors could not be written; the catalogue is untouched
    ├── BadUsage              2  wrong arguments, or a list file that cannot be used
    ├── NoLibrary             3  there is no library here yet
    ├── NewerLibrary          4  the library was made by a newer photoclip
    ├── ModelUnavailable      5  the model or its weights are not on this machine
    ├── UnreadableQuery       6  a query picture cannot be read
    ├── UnreadableFiles       7  index finished, with unreadable files (only with --strict)
    ├── LibraryLocked         8  another photoclip is writing to this library
    ├── NothingMatched        9  nothing matched (only with --fail-empty)
    └── LibraryDamaged       10  the catalogue is not readable as one

An interrupt (Ctrl-C) ends with 130. A room translates foreign exceptions into
these once, where they arise, with the cause chained.
"""

from __future__ import annotations


class PhotoclipError(Exception):
    """A known error. ``str(error)`` is its sentence, ``hint`` the way out of it.

    ``exit_code`` is what the command line ends with.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class CacheNotWritten(PhotoclipError):
    """A cache file (vectors, graph) could not be written; the old file and the catalogue are as before."""


class BadUsage(PhotoclipError):
    """The arguments, or a file of labels or paths given with them, cannot be used."""

    exit_code = 2


class NoLibrary(PhotoclipError):
    """There is no library at this place yet."""

    exit_code = 3


class NewerLibrary(PhotoclipError):
    """The library was made by a newer version of photoclip."""

    exit_code = 4


class ModelUnavailable(PhotoclipError):
    """The model is unknown, or its weights are not on this machine or cannot be loaded."""

    exit_code = 5


class UnreadableQuery(PhotoclipError):
    """A picture given as a query, or as an example of a label, cannot be read."""

    exit_code = 6


class UnreadableFiles(PhotoclipError):
    """Indexing finished, but some files could not be read (only with --strict)."""

    exit_code = 7


class LibraryLocked(PhotoclipError):
    """Another photoclip is writing to this library."""

    exit_code = 8


class NothingMatched(PhotoclipError):
    """Nothing matched (only with --fail-empty)."""

    exit_code = 9


class LibraryDamaged(PhotoclipError):
    """The catalogue cannot be read as one; nothing was changed."""

    exit_code = 10


INTERRUPTED = 130
"""Exit code after Ctrl-C."""
