"""The lock of a library: one writer at a time, and the operating system gives it back however that ends."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterator

from photoclip.errors import LibraryLocked, PhotoclipError

SEE_THE_DISK = "see if the disk is full or read-only, then try again"
MENDING = "mending the vectors"
"""What a search does for others; nobody is turned away for it."""

_MENDING_SECONDS = 30.0
_TRIES = 50


@contextlib.contextmanager
def locked(directory: str, doing: str) -> Iterator[None]:
    """Hold the lock of the library in ``directory``; the file says who does it and what for.

    Raises LibraryLocked, naming the holder, when somebody else does; PhotoclipError when the library cannot
    be written.
    """
    try:
        # NOFOLLOW: what a link points to is not ours to empty.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(os.path.join(directory, "lock"), flags, 0o600)
    except OSError as error:
        raise _unwritable(directory, error) from error
    try:
        _acquire(descriptor)
        before = os.fstat(descriptor)
        holder = f"process {os.getpid()}, {doing}, since {time.strftime('%H:%M')}\n"
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, holder.encode(), 0)
        except OSError as error:
            raise _unwritable(directory, error) from error
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # what was done is done
                os.ftruncate(descriptor, 0)
                # A run that changed nothing leaves nothing changed, for backups' sake.
                os.utime(descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))
    finally:
        os.close(descriptor)


def _unwritable(directory: str, error: OSError) -> PhotoclipError:
    return PhotoclipError(f"the library {directory} cannot be written: {error.strerror}", SEE_THE_DISK)


def _acquire(descriptor: int) -> None:
    import fcntl

    deadline = time.monotonic() + _MENDING_SECONDS
    for last in itertools.chain([False] * _TRIES, itertools.repeat(True)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
            passing = MENDING in holder and time.monotonic() < deadline
            if (holder or last) and not passing:
                raise LibraryLocked(
                    f"another photoclip is writing to this library: {holder or 'it does not say who it is'}",
                    "wait until it is done, or end it; searching works meanwhile",
                ) from error
        time.sleep(0.01)  # the holder is just beginning, and about to say who it is, or just ending
