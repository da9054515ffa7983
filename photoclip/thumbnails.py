"""Thumbnails: small pictures of photos, for people to look at.

    thumbnails/ab/HASH.jpg   the content HASH (SHA-256 in hex, of which ab are the first two digits):
                             a JPEG picture, then its CRC-32 (4 bytes, big-endian)

They are a cache in the library: each can be deleted at any moment, and one that is damaged is made again.
They are as many as the contents that were looked at; with a content, ``forget`` drops its thumbnail.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from photoclip import config
from photoclip.images import DecodePool
from photoclip.records import DecodedPhoto, Photo, ScannedFile
from photoclip.scan import scan_file

if TYPE_CHECKING:
    from photoclip.images.messages import Outcome
    from photoclip.library import OpenLibrary

SIDE = 320
"""The longer side of a thumbnail at most, in pixels."""

_FOLDER = "thumbnails"
_GROUP = 256  # photos that are looked up at once: at most some megabytes of thumbnails
_JPEG = b"\xff\xd8"
_CHECKSUM = 4  # bytes
_OURS = re.compile(r"([0-9a-f]{64})\.jpg(\.[0-9a-f]{8}\.tmp)?")


class Thumbnails:
    """Makes thumbnails, as a context manager that ends its decode workers on leaving.

    They are kept in the library at ``directory`` (None: nowhere). ``side`` is their longer side at most, in
    pixels; a library keeps those of the usual ``SIDE`` only. ``jobs`` is how many workers there may be
    (0: as many as cores).
    """

    def __init__(self, directory: str | None, side: int = SIDE, jobs: int = 0) -> None:
        from photoclip.images.thumbnails import square

        assert directory is None or side == SIDE
        self._folder = None if directory is None else os.path.join(directory, _FOLDER)
        self._side = side
        self._pool = DecodePool(jobs or config.cpu_count(), square(side))

    def __enter__(self) -> Thumbnails:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers at once."""
        self._pool.close()

    def each(self, photos: Iterable[Photo]) -> Iterator[tuple[Photo, bytes | None]]:
        """Yield every photo with its thumbnail, in order; reads ``photos`` some ahead of what it yields.

        A thumbnail is JPEG, upright; None when none is kept and the file is gone, has changed or cannot be
        read. Raises PhotoclipError when no worker can be started.
        """
        rest = iter(photos)
        while group := tuple(itertools.islice(rest, _GROUP)):
            yield from self._group(group)

    def of(self, photo: Photo) -> bytes | None:
        """Return the thumbnail of one photo, as ``each`` does. May be called from several threads."""
        return next(self.each((photo,)))[1]

    def _group(self, photos: tuple[Photo, ...]) -> Iterator[tuple[Photo, bytes | None]]:
        kept = [self._kept(photo.content_hash) for photo in photos]
        files = [_unchanged(photo) if old is None else None for photo, old in zip(photos, kept, strict=True)]
        made = self._pool.run(file for file in files if file is not None)
        for photo, old, file in zip(photos, kept, files, strict=True):
            yield photo, old if file is None else self._made(photo, next(made)[1])

    def _made(self, photo: Photo, outcome: Outcome) -> bytes | None:
        if not isinstance(outcome, DecodedPhoto) or outcome.content_hash != photo.content_hash:
            return None
        from photoclip.images.thumbnails import thumbnail

        picture = thumbnail(outcome, self._side)
        self._keep(photo.content_hash, picture)
        return picture

    def _kept(self, content_hash: bytes) -> bytes | None:
        """Return a thumbnail that is kept, and whole."""
        if self._folder is None:
            return None
        try:
            with open(_place(self._folder, content_hash), "rb") as file:
                stored = file.read()
        except OSError:
            return None
        picture, checksum = stored[:-_CHECKSUM], stored[-_CHECKSUM:]
        whole = picture.startswith(_JPEG) and checksum == _checksum(picture)
        return picture if whole else None

    def _keep(self, content_hash: bytes, picture: bytes) -> None:
        if self._folder is None:
            return
        place = _place(self._folder, content_hash)
        # On a disk that is full, or may only be read, it is made again the next time.
        with contextlib.suppress(OSError):
            for folder in (self._folder, os.path.dirname(place)):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, 0o700)
            _write(place, picture + _checksum(picture))


def sweep(library: OpenLibrary) -> None:
    """Remove the thumbnails of contents that the catalogue does not hold (writers only)."""
    for folder, _, names in os.walk(os.path.join(library.directory, _FOLDER)):
        ours = {name: match for name in names if (match := _OURS.fullmatch(name))}
        hashes = {name: bytes.fromhex(match[1]) for name, match in ours.items()}
        held = library.store.held(list(hashes.values()))
        for name, match in ours.items():
            if match[2] or hashes[name] not in held:
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(folder, name))


def _place(folder: str, content_hash: bytes) -> str:
    name = content_hash.hex()
    return os.path.join(folder, name[:2], f"{name}.jpg")


def _checksum(picture: bytes) -> bytes:
    return zlib.crc32(picture).to_bytes(_CHECKSUM, "big")


def _write(place: str, content: bytes) -> None:
    """Make or replace a file (mode 0600) at once. Nothing waits for the disk: the checksum shows what came of
    it after a power cut."""
    temporary = f"{place}.{os.urandom(4).hex()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.rename(temporary, place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _unchanged(photo: Photo) -> ScannedFile | None:
    """Return the file of a photo as it is, if by size and time it is what was indexed."""
    file = scan_file(photo.path)
    if file is None or (file.stamp.size, file.stamp.mtime_ns) != (photo.size, photo.mtime_ns):
        return None
    return file
