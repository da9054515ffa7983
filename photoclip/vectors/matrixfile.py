"""How a matrix lies in its file.

The file is a header (see ``cachefiles``), the content ids (int64, ascending); for each row its checksum, that
of its code (uint32, see ``rowsums``), the scale and the slack of its code (float32, see ``codes``); the codes
(int8) and the rows (float32). Codes and rows begin at a multiple of 64 bytes, with zeros before them, and all
is little-endian. The first section is the ids, the second all from there to the codes. Both are checked when
the file is opened; a code or a row, through its checksum, before it is used for the first time. So no byte of
the file is used unchecked, and a search need not read what it does not look at.
"""

from __future__ import annotations

import contextlib
import os
import weakref
import zlib
from collections.abc import Iterable
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from photoclip.vectors.cachefiles import HEADER_SIZE, Section, Stamp
from photoclip.vectors.codes import Codes, Reader, code_width
from photoclip.vectors.rowsums import Sums, sums_of
from photoclip.vectors.similarities import has_unit_length

Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Blocks = Iterable[tuple[Int64, Float32]]

_ALIGNMENT = 64


class OutOfOrderError(ValueError):
    """A content id that is not above the one before it."""


class Places(NamedTuple):
    """Where the parts of a file begin, in bytes; ``small``: checksums, scales and slacks."""

    small: int
    codes: int
    rows: int
    end: int

    @classmethod
    def of(cls, stamp: Stamp) -> Places:
        """Return the places in the file of ``stamp``."""
        small = HEADER_SIZE + 8 * stamp.rows
        codes = _aligned(small + 4 * 4 * stamp.rows)
        rows = _aligned(codes + code_width(stamp.dimension) * stamp.rows)
        return cls(small, codes, rows, rows + 4 * stamp.dimension * stamp.rows)


def _aligned(place: int) -> int:
    return place + -place % _ALIGNMENT


class RowFile:
    """A matrix file that is open for reading; it is closed with the last reference to it."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self.descriptor)

    def read(self, count: int) -> bytes:
        """Return the first ``count`` bytes, or what there is."""
        return os.pread(self.descriptor, count, 0)

    def size(self) -> int:
        """Return how long the file is."""
        return os.fstat(self.descriptor).st_size

    def codes_reader(self, offset: int, width: int, sums: Sums) -> Reader:
        """Return what reads codes of ``width`` bytes, of those that begin at ``offset``, and checks them.

        What it returns is good until it is called again.
        """
        buffer = np.empty((0, width), np.int8)

        def read(part: slice) -> NDArray[np.int8] | None:
            nonlocal buffer
            expected = sums[part]
            if len(buffer) < len(expected):
                buffer = np.empty((len(expected), width), np.int8)
            codes = buffer[: len(expected)]
            try:
                size = os.preadv(self.descriptor, [codes.data], offset + width * part.start)
            except OSError:  # a drive that fails: for the caller it is damage like any other
                return None
            return codes if size == codes.nbytes and np.array_equal(sums_of(codes), expected) else None

        return read

    def rows(self, offset: int, dimension: int, positions: NDArray[np.intp]) -> Float32:
        """Return the rows at ``positions``, as (n, dimension), of those that begin at ``offset``.

        Where the file ends too early, or cannot be read, they are zeros.
        """
        rows = np.zeros((len(positions), dimension), "<f4")
        for row, position in zip(rows, positions.tolist(), strict=True):
            with contextlib.suppress(OSError):
                os.preadv(self.descriptor, [row.data], offset + 4 * dimension * position)
        return rows


def write_sections(file: BinaryIO, stamp: Stamp, blocks: Blocks) -> tuple[Section, Section]:
    """Write everything but the header at its place and return the sections."""
    places = Places.of(stamp)
    file.truncate(places.rows)
    small = np.zeros((places.codes - places.small) // 4, "<u4")
    sums, code_sums, scales, slacks = small[: 4 * stamp.rows].reshape(4, stamp.rows)
    ids_checksum = last = count = 0
    for ids, rows in blocks:
        ids, rows = np.ascontiguousarray(ids, "<i8"), np.ascontiguousarray(rows, "<f4")
        last = check_block(ids, rows, stamp.dimension, after=last)
        part = slice(count, count + len(ids))
        if part.stop > stamp.rows:
            count = part.stop
            break
        coded = Codes.of(rows)
        sums[part], code_sums[part] = sums_of(rows), sums_of(coded.codes)
        scales[part], slacks[part] = coded.scales.view("<u4"), coded.slacks.view("<u4")
        _write_at(file, HEADER_SIZE + 8 * count, ids)
        _write_at(file, places.codes + code_width(stamp.dimension) * count, coded.codes)
        _write_at(file, places.rows + 4 * stamp.dimension * count, rows)
        ids_checksum = zlib.crc32(_raw(ids), ids_checksum)
        count = part.stop
    if count != stamp.rows:
        raise ValueError(f"{stamp.rows} rows were announced, but {count} or more came")
    _write_at(file, places.small, small)
    return Section(8 * count, ids_checksum), section(small)


def _write_at(file: BinaryIO, offset: int, array: NDArray[Any]) -> None:
    file.seek(offset)
    file.write(_raw(array))


def check_block(ids: Int64, rows: Float32, dimension: int, after: int) -> int:
    """Return the last id of a block that may be stored; raise ValueError for one that may not."""
    if ids.ndim != 1 or rows.shape != (len(ids), dimension):
        raise ValueError(f"ids {ids.shape} and rows {rows.shape} do not fit a dimension of {dimension}")
    bad = np.flatnonzero(~has_unit_length(rows))
    if bad.size:
        raise ValueError(f"the row of content {ids[bad[0]]} is not of unit length")
    bad = np.flatnonzero(np.diff(ids, prepend=after) <= 0)
    if bad.size:
        raise OutOfOrderError(f"content {ids[bad[0]]} is out of order: ids ascend from 1")
    return int(ids[-1]) if ids.size else after


def section(array: Int64 | Sums) -> Section:
    """Return the size and the checksum of a contiguous array."""
    raw = _raw(array)
    return Section(raw.nbytes, zlib.crc32(raw))


def _raw(array: NDArray[Any]) -> memoryview:
    """Return the bytes of a contiguous array without copying them."""
    return array.reshape(-1).view(np.uint8).data
