"""What a file was: to know it again, and to make another one like it.

Nothing here opens a user's file for writing. What is written is new, under a hidden name of ours.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from photoclip.arrival import move, reason_of

_CHUNK = 1 << 20
_REASONS = {
    errno.ELOOP: "it is a link",
    errno.ENOSPC: "there is no room left",
    errno.EDQUOT: "there is no room left",
}


class Unfit(Exception):
    """A file is not as it has to be. ``str(error)`` is the reason."""


class Stamp(NamedTuple):
    """A regular file at one moment. ``sha256`` is that of its bytes."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    mode: int
    owner: int
    group: int
    sha256: bytes

    @property
    def identity(self) -> tuple[int, int]:
        """What two names of one file share."""
        return self.device, self.inode


NO_FILE = Stamp(0, 0, 0, 0, 0, 0, 0, b"")
"""What stands for a file that is not there yet."""


def stamp_of(path: bytes) -> Stamp:
    """Read the file at ``path`` and return what it is.

    Raises Unfit for what is not a regular file, cannot be read, or changes meanwhile.
    """
    return _stamped(path)


def content_of(path: bytes, limit: int) -> tuple[Stamp, bytes]:
    """Return what a file is, and its bytes. Raises Unfit, as ``stamp_of``, and for more than ``limit``."""
    chunks: list[bytes] = []

    def gather(chunk: bytes) -> None:
        chunks.append(chunk)
        if sum(map(len, chunks)) > limit:
            raise Unfit(f"it is larger than {limit >> 20} MB")

    return _stamped(path, gather), b"".join(chunks)


def _stamped(path: bytes, listen: Callable[[bytes], None] | None = None) -> Stamp:
    with opened(path) as file:
        before = os.fstat(file)
        sha256 = hashlib.sha256()
        while chunk := _read(file):
            sha256.update(chunk)
            if listen:
                listen(chunk)
        now = os.fstat(file)
    if _times(before) != _times(now):
        raise Unfit("it is being changed")
    numbers = (before.st_dev, before.st_ino, before.st_size, before.st_mtime_ns)
    return Stamp(*numbers, stat.S_IMODE(before.st_mode), before.st_uid, before.st_gid, sha256.digest())


def is_still(path: bytes, stamp: Stamp) -> bool:
    """Say, without reading it, whether the file at ``path`` is the one that was stamped a moment ago."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    is_same = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns) == stamp[:4]
    return is_same and stat.S_ISREG(status.st_mode)


def holds(path: bytes, stamp: Stamp) -> bool:
    """Say whether the file at ``path`` holds the bytes that were stamped, however long ago.

    It is read unless its inode, size and time say so. (The numbers of drives change from day to day.)
    """
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size != stamp.size:
            return False
        if (status.st_ino, status.st_mtime_ns) == (stamp.inode, stamp.mtime_ns):
            return True
        return stamp_of(path).sha256 == stamp.sha256
    except (OSError, Unfit):
        return False


def are_one(path: bytes, other: bytes) -> bool:
    """Say whether two paths lead to one file, or one link."""
    try:
        return os.path.samestat(os.lstat(path), os.lstat(other))
    except OSError:
        return False


def attributes_of(path: bytes) -> dict[str, bytes]:
    """Return the extended attributes of a file; none where the system has none or does not say."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return {
                name: os.getxattr(path, name, follow_symlinks=False)
                for name in os.listxattr(path, follow_symlinks=False)
            }
    return {}


def copy(source: bytes, made: bytes, stamp: Stamp, attributes: Mapping[str, bytes]) -> None:
    """Make the new file ``made`` with the bytes of ``source`` and all that ``stamp`` says, forced to disk.

    Raises Unfit when ``source`` does not hold these bytes, OSError when it cannot be written; then nothing
    of it is left.
    """
    with opened(source) as reading, new_file(made) as writing:
        sha256 = hashlib.sha256()
        while chunk := _read(reading):
            sha256.update(chunk)
            pour(chunk, writing)
        if sha256.digest() != stamp.sha256:
            raise Unfit("its bytes are others now")
        dress(writing, stamp, attributes)
        os.fsync(writing)


def pour(content: bytes, descriptor: int) -> None:
    """Write all of it. Raises OSError."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def dress(descriptor: int, stamp: Stamp, attributes: Mapping[str, bytes], *, also_time: bool = True) -> None:
    """Give a file owner, attributes, mode and time of another, as far as the system allows."""
    status = os.fstat(descriptor)
    if (status.st_uid, status.st_gid) != (stamp.owner, stamp.group):
        with contextlib.suppress(OSError):
            os.fchown(descriptor, stamp.owner, stamp.group)
    for name, value in attributes.items():
        with contextlib.suppress(OSError):
            os.setxattr(descriptor, name, value)
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, stamp.mode)
    if also_time:
        with contextlib.suppress(OSError):  # some network drives keep times for themselves
            os.utime(descriptor, ns=(stamp.mtime_ns, stamp.mtime_ns))


@contextlib.contextmanager
def opened(path: bytes) -> Iterator[int]:
    """Open a regular file, and no link to one, for reading. Raises Unfit."""
    try:
        # NONBLOCK: what was a photo may have become a pipe.
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Unfit(why(error)) from error
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise Unfit("it is not a file")
        yield file
    finally:
        os.close(file)


@contextlib.contextmanager
def new_file(path: bytes, mode: int = 0o600) -> Iterator[int]:
    """Open a new file of ours for writing; when that fails within, it is removed. Of ``mode`` the system
    takes away what the user wants nobody to be allowed."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        yield file
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    finally:
        os.close(file)


def shift(source: bytes, target: bytes) -> None:
    """Move a file within a file system, in nobody's place, or not at all. Raises OSError."""
    try:
        move(source, target)
    except FileExistsError:
        raise
    except OSError:
        if are_one(source, target):  # it got the new name and could not lose the old one
            os.unlink(target)
        raise


def remove(path: bytes) -> None:
    """Remove a file, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def force_to_disk(folder: bytes) -> None:
    """Force the names in a folder to disk, where the file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def mtime_of(folder: bytes) -> int:
    """Return when a folder was last changed; 0 when it is not there."""
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


def real(path: bytes) -> bytes:
    """Return a path whose folder has no links in it; the last part is left as it is."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)


def why(error: OSError) -> str:
    """Return why the system refused something, in words."""
    return _REASONS.get(error.errno or 0) or reason_of(error)


def _times(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(file: int) -> bytes:
    try:
        return os.read(file, _CHUNK)
    except OSError as error:
        raise Unfit(why(error)) from error
