"""What the catalogue's rows are upstairs, and back."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from photoclip.records import (
    DecodedPhoto,
    FileStamp,
    ModelCard,
    Photo,
    PhotoFacts,
    Preprocessing,
    ProblemKind,
    ScannedFile,
)


class StoredModel(NamedTuple):
    """A model as the catalogue knows it."""

    id: int
    card: ModelCard


class KnownFile(NamedTuple):
    """What the catalogue remembers of a file: as a photo, or as a problem (that may wait for something)."""

    path: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    missing: bool = False
    embedded: bool = False
    is_problem: bool = False
    waits_for: str = ""

    @property
    def stamp(self) -> FileStamp:
        """What told the file from a changed one."""
        return FileStamp(*self[1:5])


class FoundFile(NamedTuple):
    """A file to be recorded as a photo.

    ``decoded`` and ``vector`` (little-endian float32) are None when the catalogue already holds
    them; ``moved_from`` is the path under which this photo was known before.
    """

    file: ScannedFile
    content_hash: bytes
    decoded: DecodedPhoto | None = None
    vector: bytes | None = None
    moved_from: bytes | None = None


class KnownSidecar(NamedTuple):
    """What the catalogue remembers of a sidecar: the user's ``own`` keywords, and ``ours``, which photoclip
    wrote into it."""

    stamp: FileStamp
    own: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()


class ReadSidecar(NamedTuple):
    """A sidecar to be recorded, with the paths of the ``photos`` it belongs to."""

    path: bytes
    stamp: FileStamp
    photos: Sequence[bytes]
    own: Sequence[str] = ()
    ours: Sequence[str] = ()


FACTS = "c.width, c.height, c.format, c.taken_at, c.camera, c.lens, c.latitude, c.longitude, c.orientation"
PHOTO = (
    f"SELECT p.content_id, p.path, c.hash, p.size, p.mtime_ns, p.missing_since IS NOT NULL, {FACTS}"
    " FROM photos p JOIN contents c ON c.id = p.content_id"
)
"""Selects what ``photo_of`` reads."""


def folded(word: str) -> str:
    """Return what spellings of one word have in common that differ in case, or in how accents are encoded."""
    from unicodedata import normalize  # late: most searches name no tag

    return normalize("NFC", word).casefold()


def folder_of(path: bytes) -> bytes:
    """Return the folder a path lies in."""
    return os.path.dirname(path)


def at_or_below(path: bytes) -> tuple[bytes, bytes, bytes]:
    """Return ``path`` and the two paths between which everything below it lies (the second left out)."""
    below = path.rstrip(b"/") + b"/"
    return path, below, below[:-1] + b"0"  # "0" is the byte after "/"


def preprocessing_of(text: str) -> Preprocessing:
    """Return what a model's ``preprocessing`` column says."""
    values = json.loads(text)
    return Preprocessing(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})


def photo_of(row: Sequence[Any]) -> Photo:
    """Return the photo in a row of ``PHOTO``."""
    _, path, content_hash, size, mtime_ns, missing, *facts = row
    return Photo(path, content_hash, size, mtime_ns, PhotoFacts(*facts), bool(missing))


def kind_of(text: str) -> ProblemKind:
    """Return the kind of a problem."""
    return "unsupported" if text == "unsupported" else "unreadable"
