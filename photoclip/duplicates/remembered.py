"""What was compared, remembered for the next run, so that it compares new photos with old ones only.

    duplicates/ID.pairs     of the library's model ID

The file is a cache. It knows a picture by a digest of what is compared, its embedding and its rendering, and
of pairs it holds what follows from those alone: how near two pictures are, and what the second check found.
So nothing in it becomes wrong when the library changes; a picture that was changed is a new one. The file can
be deleted at any moment, and one that is damaged, or made by other rules, is passed over. Two processes may
write it at once: the last one's file stays, and each is whole.

Groups are made anew in every run. They are those of a run without memory wherever every pair is a candidate,
and may differ where a picture has more than ``candidates.NEIGHBOURS`` others that are near: where some of the
nearest are gone, those behind them are looked for only when half of them are; and new pictures are compared
in all directions of the embedding, where a run without memory looks in a few first. (And the last digit of a
cosine depends on what it is computed with, so that pairs on the edge can fall either way.)

The header, 72 bytes, little-endian:

    offset  bytes  meaning
         0      8  ``PCPAIRS`` and a zero
         8      8  version of the format and of the ways of comparing
        16     16  digest of the thresholds
        32     32  how many pictures, pairs near in outline, near in the embedding, looked at (8 bytes each)
        64      4  CRC-32 of all after the header
        68      4  CRC-32 of bytes 0 to 67

Then come the digests of the pictures (16 bytes each), for each whether it stood for itself in the embedding
(one byte), and the three lists of pairs, each column by column: the first and the second, by their places
among the pictures (int32), then the cosine, or agreement and detail (float32).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from photoclip.duplicates import candidates, looking
from photoclip.duplicates.candidates import NEIGHBOURS, Earlier, Pairs
from photoclip.duplicates.looking import Judged, Verdicts
from photoclip.errors import CacheNotWritten
from photoclip.vectors.cachefiles import replacing

Positions = NDArray[np.intp]

DIGEST = 16
"""Bytes of the digest of a picture."""

_MAGIC, _VERSION = b"PCPAIRS\0", 1
_RULES = hashlib.blake2b(
    repr(
        (
            candidates.NEIGHBOURS,
            candidates.CANDIDATE_SIMILARITY,
            candidates.CONTRADICTION,
            candidates.OUTLINE,
            looking.COARSE,
            looking.AGREEMENT,
            looking.DETAIL,
        )
    ).encode(),
    digest_size=16,
).digest()
_FIELDS = struct.Struct("<8sQ16sQQQQI")
_CHECKSUM = struct.Struct("<I")
_HEADER_SIZE = _FIELDS.size + _CHECKSUM.size
_WORN = NEIGHBOURS // 2


class Compared(NamedTuple):
    """What a run has compared. Pairs are places among ``digests``; ``kept``: (n,), which pictures were
    compared in the embedding, too, because they stood for themselves."""

    digests: list[bytes]
    kept: NDArray[np.bool_]
    outline: Pairs
    embedding: Pairs
    judged: Judged


class Past:
    """What of an earlier run holds among the pictures that there are now.

    ``places``: of each digest, the place of the picture that stands for it now; there are ``count`` pictures.
    """

    def __init__(self, compared: Compared | None, places: Mapping[bytes, int], count: int) -> None:
        nothing = Compared([], np.empty(0, bool), Pairs.none(), Pairs.none(), Judged.none())
        self._compared = compared or nothing
        self._count = count
        self._now = np.array([places.get(digest, -1) for digest in self._compared.digests], np.intp)

    def outline(self, among: Positions) -> Earlier:
        """Return which pairs are near in outline, of those ``among`` which all are compared."""
        return self._still(self._compared.outline, np.ones(len(self._now), bool), among)

    def embedding(self, among: Positions) -> Earlier:
        """Return which pairs are near in the embedding, of those ``among`` which all are compared."""
        return self._still(self._compared.embedding, self._compared.kept, among)

    def judged(self) -> Judged:
        """Return the pairs that were looked at."""
        first, second, verdicts = self._compared.judged
        first, second = self._now[first], self._now[second]
        left = (first >= 0) & (second >= 0)
        first, second = first[left], second[left]
        kept = Verdicts(*(some[left] for some in verdicts))
        return Judged(np.minimum(first, second), np.maximum(first, second), kept)

    def _still(self, pairs: Pairs, compared: NDArray[np.bool_], among: Positions) -> Earlier:
        """Return the pairs that are left, and who is new; so is who lost most of those near to it."""
        chosen = np.zeros(self._count + 1, bool)  # at -1, who is gone
        chosen[among] = True
        now = np.where(compared & chosen[self._now], self._now, -1)
        first, second = now[pairs.first], now[pairs.second]
        left = (first >= 0) & (second >= 0)
        had = np.bincount(np.concatenate(pairs[:2]), minlength=len(now))
        has = np.bincount(np.concatenate(pairs.where(left)[:2]), minlength=len(now))
        worn = (had >= NEIGHBOURS) & (had - has > _WORN)
        chosen[now[(now >= 0) & ~worn]] = False
        first, second = first[left], second[left]
        kept = Pairs(np.minimum(first, second), np.maximum(first, second), pairs.cosine[left])
        return Earlier(kept, np.flatnonzero(chosen))


def place_of(directory: str, model_id: int) -> str:
    """Return where a library keeps what was compared under a model."""
    return os.path.join(directory, "duplicates", f"{model_id}.pairs")


def read(path: str) -> Compared | None:
    """Return what the file at ``path`` remembers; None when there is none, or on any doubt."""
    try:
        with open(path, "rb") as file:
            header = file.read(_HEADER_SIZE)
            counts = _counts(header)
            if counts is None or os.fstat(file.fileno()).st_size != _HEADER_SIZE + _size(*counts):
                return None
            body = file.read()
    except OSError:
        return None
    if header != _header(counts, zlib.crc32(body)) or len(body) != _size(*counts):
        return None
    return _unpacked(body, *counts)


def write(path: str, compared: Compared) -> None:
    """Remember what was compared, where the disk allows it and the file does not say so already."""
    body = _packed(compared)
    counts = len(compared.digests), *(len(pairs.first) for pairs in compared[2:])
    content = _header(counts, zlib.crc32(body)) + body
    if not _holds(path, content):
        # On a disk that is full, or may only be read, all is compared again the next time.
        with (
            contextlib.suppress(CacheNotWritten),
            replacing(path) as temporary,
            open(temporary, "r+b") as file,
        ):
            file.write(content)


def _holds(path: str, content: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(content) + 1) == content
    except OSError:
        return False


def _header(counts: Sequence[int], checksum: int) -> bytes:
    fields = _FIELDS.pack(_MAGIC, _VERSION, _RULES, *counts, checksum)
    return fields + _CHECKSUM.pack(zlib.crc32(fields))


def _counts(header: bytes) -> tuple[int, int, int, int] | None:
    """Return how many pictures and pairs of each kind a file holds; None unless it is made by these rules."""
    if len(header) != _HEADER_SIZE:
        return None
    magic, version, rules, *counts, checksum = _FIELDS.unpack(header[: _FIELDS.size])
    if (magic, version, rules) != (_MAGIC, _VERSION, _RULES) or header != _header(counts, checksum):
        return None
    pictures, outline, embedding, judged = counts
    return pictures, outline, embedding, judged


def _size(pictures: int, outline: int, embedding: int, judged: int) -> int:
    return (DIGEST + 1) * pictures + 12 * (outline + embedding) + 16 * judged


def _packed(compared: Compared) -> bytes:
    columns = [np.frombuffer(b"".join(compared.digests), np.uint8), compared.kept]
    for first, second, *numbers in (
        compared.outline,
        compared.embedding,
        (*compared.judged[:2], *compared.judged.verdicts),
    ):
        columns += [first.astype("<i4"), second.astype("<i4"), *(some.astype("<f4") for some in numbers)]
    return b"".join(column.tobytes() for column in columns)


def _unpacked(body: bytes, pictures: int, outline: int, embedding: int, judged: int) -> Compared:
    ends = 0

    def column(kind: str, count: int) -> NDArray[Any]:
        nonlocal ends
        found = np.frombuffer(body, kind, count, ends)
        ends += found.nbytes
        return found

    def pairs(count: int, numbers: int) -> Iterator[NDArray[Any]]:
        for kind in ["<i4"] * 2 + ["<f4"] * numbers:
            yield column(kind, count)

    digests = column(f"V{DIGEST}", pictures).tolist()
    kept = column("?", pictures)
    near = Pairs(*pairs(outline, 1)), Pairs(*pairs(embedding, 1))
    first, second, *verdicts = pairs(judged, 2)
    return Compared(digests, kept, *near, Judged(first, second, Verdicts(*verdicts)))
