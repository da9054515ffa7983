"""A file that the user names, written anew: at any moment it is the old one or the new one, never half."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import TextIO

_BUFFER = 1 << 20


@contextlib.contextmanager
def replacing(path: bytes) -> Iterator[TextIO]:
    """Yield a file for UTF-8 text, without translation of line ends, that becomes ``path`` at the end.

    It is made beside it under a hidden name, forced to disk, and has the mode of the file it replaces; on an
    error that stays as it was. A link is followed. Raises OSError, also for a file that is read-only.
    """
    place = os.path.realpath(path)
    folder = os.path.dirname(place)
    temporary = os.path.join(folder, b".photoclip-" + os.urandom(4).hex().encode() + b".tmp")
    mode = _mode_of(place)
    try:
        with open(temporary, "x", _BUFFER, encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mode_of(place: bytes) -> int | None:
    """Return the mode of a file that may be written to; None when there is none."""
    try:
        # A rename asks the folder only; but who made a file read-only meant the file.
        with open(place, "r+b") as file:
            return stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except FileNotFoundError:
        return None
