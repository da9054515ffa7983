"""Sidecars: the small files beside photos in which programs tell each other what is in them.

Each is at any moment the old one or the new one. The new one is made in the same folder, under a hidden name
of ours, forced to disk, and then takes the place of the one that was read, if that is still the same; where
there was none, it takes nobody's place. Killed in between, we leave a hidden file. That is locked while its
maker lives; the next one to write in this folder removes it.

A link is followed, and the file it leads to is replaced. Of a file with several names (hard links), as some
backups have it, the others keep the old bytes: written in place, the backup would change, and could be half.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from photoclip import xmp
from photoclip.records import FileStamp

Style = Literal["auto", "darktable", "adobe"]
"""How a new sidecar is named: ``photo.jpg.xmp``, ``photo.xmp``, or as the others in its folder."""

_HIDDEN = re.compile(rb"\.photoclip-[0-9a-f]{8}")
_ENDINGS = (b".xmp", b".XMP", b".Xmp")
_TRIES = 3
_THREADS = 16
_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
_REASONS = {
    errno.ENOENT: "it is gone",
    errno.ENOTDIR: "it is gone",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the drive is read-only",
    errno.ENOSPC: "there is no room left on the drive",
    errno.EDQUOT: "there is no room left on the drive",
    errno.ENAMETOOLONG: "its name would be longer than the drive allows",
    errno.ELOOP: "it is a link that leads nowhere",
    errno.EISDIR: "it is a folder",
    errno.ENXIO: "it is not a regular file",
}


class NotShared(Exception):
    """One sidecar cannot be read or written; others can. ``str(error)`` is the reason."""


class Outcome(NamedTuple):
    """A sidecar after an update: its stamp and its keywords, None when there is none (any more), and whether
    anything was written."""

    stamp: FileStamp | None
    keywords: xmp.Keywords | None
    changed: bool


class Places:
    """Where the photos of one folder have their sidecars. ``names`` are the files in it."""

    def __init__(self, folder: bytes, names: Iterable[bytes]) -> None:
        self._folder = folder
        self._names = frozenset(names)
        self._sidecars = {name[:-4]: name for name in sorted(self._names) if name[-4:].lower() == b".xmp"}
        self._with_stem: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for name in sorted(self._names.difference(self._sidecars.values())):
            self._with_stem[_split(name)[0]].append(name)
        self._usual: Style | None = None

    def of(self, photo: bytes, style: Style = "auto") -> bytes:
        """Return the path of the sidecar of ``photo`` (its name): the one it has, of its whole name before
        that of its stem, else the one it would get. Endings may be in any case."""
        stem, ending = _split(photo)
        twins = {stem + ending.lower(), stem + ending.upper()} - self._names
        for base in (photo, *sorted(twins), stem):
            if base in self._sidecars:
                return os.path.join(self._folder, self._sidecars[base])
        if style == "auto":
            self._usual = style = self._usual or self._most()
        return os.path.join(self._folder, (stem if style == "adobe" else photo) + b".xmp")

    def mates(self, path: bytes) -> list[bytes]:
        """Return the names of the files whose sidecar is at ``path`` because they have its stem."""
        base = os.path.basename(path)[:-4]
        if base in self._names:
            return []
        return [name for name in self._with_stem.get(base, ()) if self.of(name, "adobe") == path]

    def _most(self) -> Style:
        """Return how most sidecars in this folder are named."""
        whole = sum(base in self._names for base in self._sidecars)
        short = sum(base in self._with_stem and base not in self._names for base in self._sidecars)
        return "adobe" if short > whole else "darktable"


class Sidecars:
    """Changes sidecars. A context manager: at its end all that was written is on disk, names included.

    A sidecar that was there is forced to disk before it is replaced; new ones at the end, since ten thousand
    are written faster than forced to disk one by one. A power cut before the end can thus leave empty new
    ones, which count as none.
    """

    def __init__(self) -> None:
        self._new: list[bytes] = []
        self._folders: set[bytes] = set()

    def __enter__(self) -> Sidecars:
        return self

    def __exit__(self, *_: object) -> None:
        if len(self._new) > _THREADS:
            from concurrent.futures import ThreadPoolExecutor

            # File systems write down together what is asked for at once: ten thousand take a second, not 20.
            with ThreadPoolExecutor(_THREADS) as threads:
                list(threads.map(_force_to_disk, self._new))
        else:
            list(map(_force_to_disk, self._new))
        list(map(_force_to_disk, self._folders))
        self._new, self._folders = [], set()

    def update(self, path: bytes, adding: Iterable[str], taking: Iterable[str] | None = ()) -> Outcome:
        """Take the labels ``taking`` (None: all of ours), but for those of ``adding``, out of the sidecar at
        ``path``, and add ``adding``.

        Makes the sidecar if there is none, and removes it when it was ours and nothing is left in it. Where
        nothing has to change, nothing is written. Raises NotShared; the sidecar is then as it was.
        """
        adding, taking = list(adding), taking if taking is None else list(taking)
        with _reasons():
            for _ in range(_TRIES):
                outcome = self._update(path, adding, taking)
                if outcome is not None:
                    return outcome
        raise NotShared("somebody else keeps changing it")

    def _update(self, path: bytes, adding: list[str], taking: list[str] | None) -> Outcome | None:
        """Do it; return None when the sidecar was changed by somebody else meanwhile."""
        place = os.path.realpath(path)
        found = _read(place)
        if (found is None or not found[1]) and os.path.islink(path):
            raise NotShared(_REASONS[errno.ELOOP] if found is None else "it is a link to an empty file")
        status, before = found or (None, b"")
        after = _changed(before, adding, taking)
        if after is None and os.path.islink(path):
            after = xmp.EMPTY  # the link is the user's, and shall lead somewhere
        if (after or b"") == before:
            stamp = FileStamp.of(status) if status else None
            return Outcome(stamp, xmp.keywords(before) if before else None, changed=False)
        if status is not None:
            see_that_it_may_be_changed(place, status.st_mode)
        if after is None:
            assert status
            removed = _is_still(place, status)
            if removed:
                os.unlink(place)
                self._folders.add(os.path.dirname(place))
            return Outcome(None, None, changed=True) if removed else None
        return self._write(place, after, status)

    def _write(self, place: bytes, content: bytes, old: os.stat_result | None) -> Outcome | None:
        folder = os.path.dirname(place)
        if folder not in self._folders:
            self._folders.add(folder)
            _remove_leftovers(folder)
        made, descriptor = _new_file(folder)
        try:
            _pour(content, descriptor)
            if old is not None:
                _dress_as(place, old, descriptor)
                os.fsync(descriptor)
            if not (_put_nowhere_else(made, place) if old is None else _replace(made, place, old)):
                return None
            if old is None:
                self._new.append(place)
            return Outcome(FileStamp.of(os.fstat(descriptor)), xmp.keywords(content), changed=True)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(made)
            os.close(descriptor)


def read(path: bytes) -> tuple[FileStamp, xmp.Keywords]:
    """Return the stamp of a sidecar and the keywords in it. Raises NotShared. An empty file holds none."""
    with _reasons():
        found = _read(path)
        if found is None:
            raise NotShared(_REASONS[errno.ENOENT])
        status, packet = found
        return FileStamp.of(status), xmp.keywords(packet) if packet else xmp.Keywords((), ())


def see_that_it_may_be_changed(place: bytes, mode: int) -> None:
    """Raise NotShared for a sidecar that is read-only."""
    # A rename asks the folder only; but who made a file read-only meant the file.
    if not mode & 0o222 or not os.access(place, os.W_OK):
        raise NotShared("it is read-only")


# -- names ----------------------------------------------------------------------------------------


def _split(name: bytes) -> tuple[bytes, bytes]:
    stem, dot, ending = name.rpartition(b".")
    return (stem, dot + ending) if stem else (name, b"")


# -- files ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Within, what goes wrong with a file becomes NotShared."""
    try:
        yield
    except xmp.NotXmp as error:
        raise NotShared(str(error)) from error
    except ValueError as error:  # a NUL in the name
        raise NotShared("there can be no file of this name") from error
    except OSError as error:
        raise NotShared(_REASONS.get(error.errno or 0) or error.strerror or str(error)) from error


def _read(path: bytes) -> tuple[os.stat_result, bytes] | None:
    """Return a file's status and what is in it; None when there is none."""
    try:
        # NONBLOCK: it may be a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotShared("it is a folder" if stat.S_ISDIR(status.st_mode) else "it is not a regular file")
        return status, file.read(xmp.SIZE_LIMIT + 1)


def _changed(packet: bytes, adding: list[str], taking: list[str] | None) -> bytes | None:
    """Return what a sidecar becomes, of no bytes if there is none; None when there shall be none."""
    rest: bytes | None = packet
    if packet and taking != []:
        rest = xmp.without_labels(packet, taking, keeping=adding)
    after = xmp.with_labels(rest or None, adding) if adding else rest
    return after if rest or after != xmp.EMPTY else rest


def _new_file(folder: bytes) -> tuple[bytes, int]:
    """Make a file of ours and lock it; return its path and descriptor."""
    while True:
        made = os.path.join(folder, b".photoclip-" + os.urandom(4).hex().encode())
        descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with contextlib.suppress(OSError):  # some network drives cannot
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.exists(made):
            return made, descriptor
        os.close(descriptor)  # somebody took it for a leftover before it was locked


def _dress_as(place: bytes, old: os.stat_result, descriptor: int) -> None:
    """Give a file the owner, the mode and the attributes (access lists, tags) of ``old``, as far as the
    system allows."""
    with contextlib.suppress(OSError):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            for name in os.listxattr(place):
                os.setxattr(descriptor, name, os.getxattr(place, name))


def _pour(content: bytes, descriptor: int) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _force_to_disk(path: bytes) -> None:
    with contextlib.suppress(OSError):  # gone again, or a file system that cannot
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_still(place: bytes, status: os.stat_result) -> bool:
    try:
        return FileStamp.of(os.stat(place)) == FileStamp.of(status)
    except FileNotFoundError:
        return False


def _replace(made: bytes, place: bytes, old: os.stat_result) -> bool:
    """Put ``made`` in the place of the file that was read; say whether it was still that."""
    if not _is_still(place, old):
        return False
    os.rename(made, place)
    return True


def _put_nowhere_else(made: bytes, place: bytes) -> bool:
    """Give ``made`` its name; say whether that was free."""
    try:
        os.link(made, place)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if os.path.lexists(place):  # on such drives there is a moment between these two lines
            return False
        os.rename(made, place)
        return True
    os.unlink(made)
    return True


def _remove_leftovers(folder: bytes) -> None:
    """Remove what a photoclip that was killed has left in a folder."""
    for name in filter(_HIDDEN.fullmatch, os.listdir(folder)):
        with contextlib.suppress(OSError):  # a folder of the same kind, somebody else's, or already gone
            path = os.path.join(folder, name)
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(path)
            finally:
                os.close(descriptor)
