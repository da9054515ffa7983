"""The bytes of a photo: opened once, for reading only, and never waited for."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from photoclip.images.names import RUN
from photoclip.records import FileStamp, ProblemKind

BYTES_LIMIT = 2_000_000_000
"""A longer file is not read: no camera writes one, and sparse files can claim any length."""

_CHUNK = 1 << 20

_WORDS = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EIO: "the drive reports a read error",
    errno.ENAMETOOLONG: "its path is longer than the system allows",
    errno.ELOOP: "it is a link that leads nowhere",
    errno.EISDIR: "it is not a regular file",
    errno.ENXIO: "it is not a regular file",
    errno.ENOTCONN: "the drive is not connected",
    errno.ESTALE: "the drive is no longer there",
    errno.ETIMEDOUT: "the drive does not answer",
    errno.ENOMEM: "there was not enough memory to read it",
    errno.EMFILE: "too many files were open",
    errno.ENFILE: "too many files were open",
}

_PASSING = """EAGAIN EBUSY ECONNABORTED ECONNREFUSED ECONNRESET EDEADLK EHOSTDOWN EHOSTUNREACH EINTR EIO
    EMFILE ENETDOWN ENETRESET ENETUNREACH ENFILE ENODEV ENOLCK ENOLINK ENOMEDIUM ENOMEM ENOTCONN EREMOTEIO
    ESHUTDOWN ESTALE ETIMEDOUT ETXTBSY"""
_NEXT_RUN = {number for number, name in errno.errorcode.items() if name in _PASSING.split()}
"""What may be better next time without any change of the file: the drive, the network, the machine.
(EDEADLK is how macOS says that a file is still in its cloud.)"""


class UnreadablePhoto(Exception):
    """A file that gives no picture. ``reason`` is a sentence for the user, without full stop.

    ``kind`` is ``unsupported`` for an intact file that photoclip cannot read, else ``unreadable``;
    ``waits_for`` is as in ``Problem``.
    """

    def __init__(self, kind: ProblemKind, reason: str, waits_for: str = "") -> None:
        super().__init__(reason)
        self.kind: ProblemKind = kind
        self.reason = reason
        self.waits_for = waits_for


@contextmanager
def open_photo(path: bytes) -> Iterator[BinaryIO]:
    """Open a regular file for reading.

    Raises FileNotFoundError when there is none of this name (any more), UnreadablePhoto when it
    cannot be opened, is no regular file, is empty or longer than BYTES_LIMIT, or when reading it
    fails inside the ``with`` block.
    """
    descriptor = _descriptor(path)
    try:
        with os.fdopen(descriptor, "rb") as file:
            _check(os.fstat(descriptor))
            yield file
    except OSError as error:
        raise failed(error) from error


def _descriptor(path: bytes) -> int:
    try:
        # Without O_NONBLOCK a named pipe would keep the call waiting for a writer.
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        raise
    except (NotADirectoryError, ValueError) as error:  # ValueError: a NUL in the name
        raise FileNotFoundError(errno.ENOENT, "there is no such file", path) from error
    except OSError as error:
        raise failed(error) from error


def _check(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnreadablePhoto("unreadable", "it is not a regular file")
    if status.st_size == 0:
        raise UnreadablePhoto("unreadable", "the file is empty")
    if status.st_size > BYTES_LIMIT:
        raise UnreadablePhoto("unsupported", "the file is larger than 2 GB")


def stamp_of(file: BinaryIO) -> FileStamp:
    """Return what tells this open file from a changed one."""
    return FileStamp.of(os.fstat(file.fileno()))


def hash_of(file: BinaryIO) -> bytes:
    """Return the SHA-256 of the whole file (32 bytes) and leave the file at its beginning."""
    digest = hashlib.sha256()
    read = 0
    while block := file.read(_CHUNK):
        digest.update(block)
        read += len(block)
        if read > BYTES_LIMIT:  # it grows while it is read
            raise changed()
    file.seek(0)
    return digest.digest()


def changed() -> UnreadablePhoto:
    """Return the error for a file that is not the same at its end as at its beginning."""
    return UnreadablePhoto("unreadable", "it changed while it was read", RUN)


def failed(error: OSError) -> UnreadablePhoto:
    """Return the error for a file that the system could not read."""
    reason = _WORDS.get(error.errno or 0) or (error.strerror or "it cannot be read").lower()
    return UnreadablePhoto("unreadable", reason, RUN if error.errno in _NEXT_RUN else "")


def lacking(what: str, package: str) -> UnreadablePhoto:
    """Return the error for a kind of photo that is read only with a package that is not installed."""
    reason = f"{what} needs the package {package}: pip install {package}"
    return UnreadablePhoto("unsupported", reason, package)
