"""How a file arrives in a folder: whole or not at all, and never in the place of another.

It is made in a hidden folder of ours inside that folder, forced to disk, and then gets its name in a step
that fails when the name is in use: a hard link, or where the file system has none, a rename that must not
replace. When we are killed, what is left over lies in the hidden folder. That is locked while its maker
lives; the next one to bring something there removes it. (Where folders cannot be locked, on some network
drives, it stays.)

``shutil.copy2`` was weighed: it replaces what is there, forces nothing to disk, and does not say which of the
two sides an error comes from.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import sys
from collections.abc import Iterator
from typing import Literal

from photoclip.errors import BadUsage, PhotoclipError

How = Literal["copy", "hard", "symbolic", "reflink"]
"""A copy; a second name for the same file; a link that leads to its path; a copy that shares its blocks until
one of the two is changed."""

_NAMES = {
    "hard": "hard link",
    "symbolic": "symbolic link",
    "reflink": "copy that shares its blocks (reflink)",
}
_NO_SUCH_LINKS = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL}
_NO_SUCH_LINKS |= {errno.ENOSYS, errno.ENOTSUP}
_FILES_OWN = {errno.ENAMETOOLONG, errno.EFBIG, errno.EINVAL, errno.EILSEQ, errno.EMLINK}
_TRY_A_RENAME = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}

_HIDDEN = re.compile(rb"\.photoclip-[0-9a-f]{8}")
_MADE = re.compile(rb"[0-9]+x?")
_CHUNK = 1 << 20
_FICLONE = getattr(fcntl, "FICLONE", 0x40049409)  # fcntl has it from Python 3.12 on
_NO_REPLACE, _EXCLUSIVE, _HERE = 1, 4, -100  # renameat2's and renamex_np's flags; AT_FDCWD

_REASONS = {
    errno.ENOENT: "it is gone",
    errno.ENOTDIR: "it is gone",
    errno.EACCES: "permission denied",
    errno.EXDEV: "they are on different drives",
    errno.EFBIG: "it is larger than the drive allows a file to be",
    errno.EINVAL: "the drive allows no such name",
    errno.EILSEQ: "the drive allows no such name",
}


class NotTaken(Exception):
    """One file cannot be brought, for a reason of its own; others can. ``str(error)`` is the reason."""


class Arrival:
    """Brings files into ``directory``, an absolute path; makes it with its parents if need be.

    Raises BadUsage when it cannot be a folder, PhotoclipError when it cannot be written to. A context
    manager: at its end the hidden folder is gone, and the names are on disk.
    """

    def __init__(self, directory: bytes) -> None:
        self.directory = directory
        self._count = 0
        self._hidden = b""
        self._lock_of_hidden = -1
        try:
            os.makedirs(directory, exist_ok=True)
            for name in filter(_HIDDEN.fullmatch, existing(directory)):
                _remove_if_left_over(os.path.join(directory, name))
            self._folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileExistsError, NotADirectoryError) as error:
            raise _no_folder(directory) from error
        except OSError as error:
            raise _unwritable(directory, error) from error

    def __enter__(self) -> Arrival:
        return self

    def __exit__(self, *_: object) -> None:
        if self._hidden:
            _remove(self._hidden)
            os.close(self._lock_of_hidden)
            with contextlib.suppress(OSError):  # a file system that cannot: each file is on disk as it is
                os.fsync(self._folder)
        os.close(self._folder)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Within, no other photoclip gives names in this folder (where folders can be locked)."""
        with contextlib.suppress(OSError):
            fcntl.flock(self._folder, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                fcntl.flock(self._folder, fcntl.LOCK_UN)

    def make(self, source: bytes, how: How) -> bytes:
        """Make a copy of ``source`` or a link to it, without its name yet; return where it waits for that.

        Raises NotTaken when the source cannot be read or changes meanwhile, PhotoclipError when no such
        link is possible here or the folder cannot be written to.
        """
        if not self._hidden:
            with self._writing():
                self._hidden, self._lock_of_hidden = _new_hidden_folder(self.directory)
        self._count += 1
        made = os.path.join(self._hidden, b"%d" % self._count)
        with self._writing():
            if how in ("copy", "reflink"):
                self._copy(source, made, how)
            else:
                self._link(source, made, how)
        return made

    def appear(self, made: bytes, name: bytes) -> bytes:
        """Give the file that waits at ``made`` its name in the folder, and return its path.

        Raises FileExistsError when the name is in use, NotTaken when the drive allows no such name.
        """
        target = os.path.join(self.directory, name)
        with self._writing():
            move(made, target)
        return target

    def take_back(self, target: bytes, made: bytes) -> None:
        """Undo ``appear``."""
        with self._writing():
            move(target, made)

    def _copy(self, source: bytes, made: bytes, how: How) -> None:
        with _opened(source) as reading:
            before = os.fstat(reading)
            # Pictures are no programs; the system takes away what the umask says, as with any new file.
            mode = before.st_mode & 0o666 | 0o600
            writing = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            try:
                if how == "reflink":
                    self._share_blocks(reading, writing, source)
                else:
                    _pour(reading, writing)
                _see_that_nothing_changed(reading, before)
                with contextlib.suppress(PermissionError):  # some network drives keep times for themselves
                    os.utime(writing, ns=(before.st_atime_ns, before.st_mtime_ns))
                os.fsync(writing)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(made)  # the rest goes on, and may need the room
                raise
            finally:
                os.close(writing)

    def _share_blocks(self, reading: int, writing: int, source: bytes) -> None:
        try:
            if sys.platform != "linux":
                raise OSError(errno.ENOSYS, "photoclip can make these on Linux only")
            fcntl.ioctl(writing, _FICLONE, reading)
        except OSError as error:
            raise self._impossible(source, "reflink", error) from error

    def _link(self, source: bytes, made: bytes, how: How) -> None:
        try:
            if how == "hard":
                os.link(os.path.realpath(source), made)
            else:
                os.symlink(os.path.abspath(source), made)
        except OSError as error:
            if error.errno == errno.ENOENT and not os.path.exists(source):
                raise NotTaken(reason_of(error)) from error
            raise self._impossible(source, how, error) from error

    def _impossible(self, source: bytes, how: How, error: OSError) -> Exception:
        if error.errno not in _NO_SUCH_LINKS:
            return error
        reason = "they are on different drives" if error.errno == errno.EXDEV else error.strerror
        here, there = os.fsdecode(self.directory), os.fsdecode(source)
        return PhotoclipError(
            f"no {_NAMES[how]} of {there} can be made in {here}: {reason}", "copy the photos instead"
        )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Within, an error of the system says: a name in use, this file cannot be taken, or none can."""
        try:
            yield
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno in _FILES_OWN:
                raise NotTaken(reason_of(error)) from error
            raise _unwritable(self.directory, error) from error


def reason_of(error: OSError) -> str:
    """Return why the system refused something, in words."""
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)


def existing(directory: bytes) -> list[bytes]:
    """Return the names in ``directory``; none when it does not exist yet. Raises as ``Arrival`` does."""
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        if os.path.lexists(directory):
            raise _no_folder(directory) from None
        return []
    except NotADirectoryError as error:
        raise _no_folder(directory) from error
    except ValueError as error:  # a NUL
        raise BadUsage(f"{os.fsdecode(directory)!r} cannot be the name of a folder") from error
    except OSError as error:
        raise PhotoclipError(
            f"the folder {os.fsdecode(directory)} cannot be listed: {reason_of(error)}"
        ) from error


def _no_folder(directory: bytes) -> BadUsage:
    return BadUsage(
        f"{os.fsdecode(directory)} is not a folder, and cannot become one",
        "name a folder, or one that does not exist yet",
    )


def _unwritable(directory: bytes, error: OSError) -> PhotoclipError:
    folder = os.fsdecode(directory)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PhotoclipError(
            f"there is no room left in {folder}", "make some, then run it again: nothing is taken twice"
        )
    reason = "it is not there" if error.errno == errno.ENOENT else reason_of(error)
    return PhotoclipError(f"nothing can be written to {folder}: {reason}", "name another folder")


@contextlib.contextmanager
def _opened(source: bytes) -> Iterator[int]:
    try:
        # NONBLOCK: what was a photo may have become a pipe.
        reading = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NotTaken(reason_of(error)) from error
    try:
        if not stat.S_ISREG(os.fstat(reading).st_mode):
            raise NotTaken("it is not a file")
        yield reading
    finally:
        os.close(reading)


def _pour(reading: int, writing: int) -> None:
    while chunk := _read(reading):
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(writing, rest) :]


def _read(reading: int) -> bytes:
    try:
        return os.read(reading, _CHUNK)
    except OSError as error:
        raise NotTaken(reason_of(error)) from error


def _see_that_nothing_changed(reading: int, before: os.stat_result) -> None:
    now = os.fstat(reading)
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise NotTaken("it changed while it was copied")


def move(made: bytes, target: bytes) -> None:
    """Move a file or link within a file system; raises FileExistsError rather than replace anything.

    Killed meanwhile, it may leave the file with both names. Raises OSError.
    """
    if os.path.islink(made):
        os.symlink(os.readlink(made), target)
        os.unlink(made)
        return
    try:
        os.link(made, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _TRY_A_RENAME:
            raise
        _rename_exclusively(made, target)
    else:
        os.unlink(made)


def _rename_exclusively(made: bytes, target: bytes) -> None:
    """Do it with the call that file systems without hard links have (FAT, exFAT)."""
    try:
        _system_rename(made, target)
    except OSError as error:
        if error.errno == errno.EINVAL:  # is it the name, or can this file system not do it at all?
            try:
                _system_rename(made, made + b"x")
            except OSError:
                raise OSError(errno.ENOSYS, "its drive has no way to add a file safely") from error
            os.unlink(made + b"x")
        raise


def _system_rename(made: bytes, target: bytes) -> None:
    import ctypes

    system = ctypes.CDLL(None, use_errno=True)
    try:
        if sys.platform == "darwin":
            failed = system.renamex_np(made, target, _EXCLUSIVE)
        else:
            failed = system.renameat2(_HERE, made, _HERE, target, _NO_REPLACE)
    except AttributeError:
        raise OSError(errno.ENOSYS, "this system has no way to add a file safely") from None
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def _new_hidden_folder(directory: bytes) -> tuple[bytes, int]:
    """Make a folder of our own and lock it; return its path and the lock."""
    while True:
        folder = os.path.join(directory, b".photoclip-" + os.urandom(4).hex().encode())
        os.mkdir(folder, 0o700)
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_SH)  # shared: network drives refuse more to a reader
            if os.path.isdir(folder):
                return folder, lock
            os.close(lock)
        # Somebody took it for a leftover between two of these lines.


def _remove_if_left_over(folder: bytes) -> None:
    with contextlib.suppress(OSError):  # of somebody else's, or already gone
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(folder)
        finally:
            os.close(lock)


def _remove(folder: bytes) -> None:
    with contextlib.suppress(OSError):  # a drive that went away; the next one removes it
        for name in filter(_MADE.fullmatch, os.listdir(folder)):
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)
