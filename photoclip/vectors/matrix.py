"""The matrix: every row of one model, in one file that is mapped into memory, and exact search over it.

The file is a header (see ``cachefiles``), the content ids (int64, ascending), a checksum for each group of
rows (uint32, see ``rowsums``), zeros up to a multiple of 64 bytes, and the rows (float32), all little-endian.
The first section is the ids, the second all from there to the rows. Both are checked when the file is
opened; the rows of a group, through their checksum, before they are used for the first time. So no byte of
the file is used unchecked, and a search need not read what it does not look at.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import mmap
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from photoclip.errors import PhotoclipError
from photoclip.vectors.cachefiles import (
    HEADER_SIZE,
    Section,
    Stamp,
    check_size,
    pack_header,
    replacing,
    unpack_header,
)
from photoclip.vectors.rowsums import GROUP, RunningSums, Sums, groups_of, sum_of_group
from photoclip.vectors.similarities import best, has_unit_length, rounding_margin, similarities_of

Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Blocks = Iterable[tuple[Int64, Float32]]

_MAGIC = b"PCMATRIX"
_ALIGNMENT = 64
_BLOCK = 8 * GROUP


class DamagedMatrix(PhotoclipError):
    """Rows of a matrix file are not the ones that were written, and there was nobody to ask for others."""


class _OutOfOrderError(ValueError):
    """A content id that is not above the one before it."""


def write_matrix(path: str, stamp: Stamp, blocks: Blocks) -> None:
    """Write a matrix file from blocks of (ids, rows), holding one block in memory at a time.

    ids: int64, (n,), above 0 and ascending over all blocks; rows: float32, (n, stamp.dimension), of unit
    length; ``stamp.count`` of them in all. The file appears whole or not at all.

    Raises ValueError, naming the id, for rows that are not finite or not of unit length and for ids out
    of order; CacheNotWritten when the system refuses.
    """
    with replacing(path) as temporary:
        with open(temporary, "r+b") as file:
            sections = _write_sections(file, stamp, blocks)
            file.seek(0)
            file.write(pack_header(_MAGIC, stamp, *sections))
        check_size(temporary, _file_size(stamp))


def extend_matrix(path: str, old_stamp: Stamp, new_stamp: Stamp, blocks: Blocks) -> bool:
    """Write the matrix at ``path`` anew with ``blocks`` after its own rows; return whether that was possible.

    It is not (and the file is left as it was) when the file is not exactly ``old_stamp`` with every row
    whole, or when the new ids are not above the old ones: then the caller writes all rows.

    Raises as ``write_matrix`` does.
    """
    old = Matrix.open(path, old_stamp)
    if old is None:
        return False
    try:
        write_matrix(path, new_stamp, itertools.chain(old.blocks(), blocks))
    except (_OutOfOrderError, DamagedMatrix):
        return False
    return True


def matrix_stamp(path: str, expected: Stamp) -> Stamp | None:
    """Return ``expected`` with the generation and the count of the file at ``path``.

    None when there is no such file, or it is of another library, model or dimension, or damaged.
    """
    try:
        with open(path, "rb") as file:
            header = unpack_header(file.read(HEADER_SIZE), _MAGIC, expected)
    except OSError:
        return None
    return header and header[0]


class Matrix:
    """Content ids and their rows. ``ids``: int64, (n,), ascending; ``rows``: float32, (n, d), unit length.

    Opened from a file, both are read-only views of the mapped file, and stay valid when it is replaced.
    Whatever hands out rows, or what was made of them, raises DamagedMatrix rather than use one that is not
    as it was written; but a matrix that was opened with ``otherwise`` goes on with the rows it gets there.
    Not safe to share between threads.

    A file that somebody else cuts short while it is mapped ends the process (SIGBUS); photoclip only ever
    replaces its files. To read them instead would copy every row for every scan: 25 ms instead of 14 for
    100,000 rows of 512 numbers.
    """

    def __init__(
        self,
        ids: Int64,
        rows: Float32,
        sums: Sums | None = None,
        otherwise: Callable[[], Matrix] | None = None,
    ) -> None:
        self.ids = ids
        self._rows = rows
        self._sums = sums  # None: every row is known to be right
        self._checked = np.zeros(groups_of(len(ids)), np.bool_)
        self._otherwise = otherwise

    @classmethod
    def of(cls, ids: Any, rows: Any) -> Matrix:
        """Return a matrix in memory, for when there is no file; raise ValueError as ``write_matrix`` does."""
        ids, rows = np.ascontiguousarray(ids, np.int64), np.ascontiguousarray(rows, np.float32)
        _check_block(ids, rows, rows.shape[1] if rows.ndim == 2 else 0, after=0)
        return cls(ids, rows)

    @classmethod
    def open(cls, path: str, stamp: Stamp, otherwise: Callable[[], Matrix] | None = None) -> Matrix | None:
        """Map the file at ``path`` into memory; None unless it is exactly what ``stamp`` describes.

        The rows themselves are checked as they are used. ``otherwise`` is called, once, if one of them is
        damaged, and returns a matrix that has a row for every id.
        """
        try:
            with open(path, "rb") as file:
                header = unpack_header(file.read(HEADER_SIZE), _MAGIC, stamp)
                size = os.fstat(file.fileno()).st_size
                if header is None or header[0] != stamp or size != _file_size(stamp):
                    return None
                body = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        except OSError:
            return None
        ids = np.frombuffer(body, "<i8", stamp.count, HEADER_SIZE)
        sums = np.frombuffer(body, "<u4", _sums_size(stamp.count) // 4, _sums_offset(stamp.count))
        if header[1:] != (_section(ids), _section(sums)):
            return None
        rows = np.frombuffer(body, "<f4", stamp.count * stamp.dimension, _rows_offset(stamp.count))
        return cls(ids, rows.reshape(stamp.count, stamp.dimension), sums, otherwise)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dimension(self) -> int:
        """The length of a row."""
        return int(self._rows.shape[1])

    @property
    def rows(self) -> Float32:
        """All rows, (n, d), each of them checked."""
        if self._sums is not None:
            for _ in self._groups():
                pass
        return self._rows

    def body_is_whole(self) -> bool:
        """Read every row and return whether all are the ones that were written."""
        with contextlib.suppress(DamagedMatrix):
            return self.rows is self._rows
        return False

    def blocks(self) -> Iterator[tuple[Int64, Float32]]:
        """Yield (ids, rows) a few megabytes at a time, as ``write_matrix`` takes them."""
        for start in range(0, len(self), _BLOCK):
            stop = min(start + _BLOCK, len(self))
            for group in range(start // GROUP, groups_of(stop)):
                self._check(group)
            yield self.ids[start:stop], self._rows[start:stop]

    def originals(self) -> NDArray[np.intp]:
        """Return for each row, (n,), the position of the first row that is byte for byte the same."""
        originals = np.arange(len(self))
        rows = self.rows
        heads = np.ascontiguousarray(rows[:, 0]).view(np.uint32)
        _, groups, sizes = np.unique(heads, return_inverse=True, return_counts=True)
        first: dict[bytes, int] = {}
        for position in np.flatnonzero(sizes[groups] > 1):
            digest = hashlib.blake2b(rows[position], digest_size=16).digest()
            originals[position] = first.setdefault(digest, int(position))
        return originals

    def nearest(self, query: Float32, k: int, *, among: Int64 | None = None) -> tuple[Int64, Float32]:
        """Return the ids and the similarities of the ``k`` rows nearest to ``query``, best first.

        query: (d,), unit length. ``among``: ascending ids to choose from (others than the matrix's are
        passed over). Exactly min(k, rows to choose from) come back, and exactly the right ones: a float32
        product narrows the field by a margin above its rounding error, float64 decides, and equal
        similarities are ordered by id.

        Raises ValueError for a query of another shape or not of unit length.
        """
        query = self.checked(np.asarray(query)[np.newaxis])[0]
        positions = None if among is None else self.positions_of(among)
        similarities = self._rough_similarities(query, positions)
        kept = best(similarities, k, rounding_margin(self.dimension))
        if positions is not None:
            kept = positions[kept]
        return self.ranked(query, kept, k)

    def ranked(self, query: Float32, positions: NDArray[np.intp], k: int) -> tuple[Int64, Float32]:
        """Return ids and similarities of the ``k`` best among the rows at ``positions``, best first."""
        similarities = np.empty(len(positions), np.float64)
        for start in range(0, len(positions), _BLOCK):
            part = slice(start, start + _BLOCK)
            similarities[part] = similarities_of(self._at(positions[part]), query[np.newaxis])
        ids = self.ids[positions]
        order = np.lexsort((ids, -similarities))[: max(k, 0)]
        return ids[order], np.clip(similarities[order], -1.0, 1.0).astype(np.float32)

    def row(self, content_id: int) -> Float32:
        """Return the row of ``content_id``, (d,). Raises KeyError when it has none."""
        row: Float32 = self.rows_of(np.array([content_id], np.int64))[0]
        return row

    def rows_of(self, ids: Int64) -> Float32:
        """Return a copy of the rows of ``ids``, (m, d), in their order. Raises KeyError for an unknown id."""
        positions, known = self.find(ids)
        if not known.all():
            raise KeyError(int(ids[~known][0]))
        return self._at(positions)

    def positions_of(self, ids: Int64) -> NDArray[np.intp]:
        """Return the ascending positions of those of ``ids`` that have a row, each once."""
        positions, known = self.find(ids)
        return np.unique(positions[known])

    def find(self, ids: Int64) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return the position of each of ``ids`` and whether it has a row (if not, ignore its position)."""
        positions = np.searchsorted(self.ids, ids)
        known = positions < len(self)
        known[known] = self.ids[positions[known]] == ids[known]
        return positions, known

    def checked(self, queries: Float32) -> Float32:
        """Return ``queries`` as they may be asked; raise ValueError unless (m, d) and of unit length."""
        queries = np.ascontiguousarray(queries, np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.dimension:
            raise ValueError(f"queries of shape {queries.shape} for rows of {self.dimension} numbers")
        if not has_unit_length(queries).all():
            raise ValueError("a query is not of unit length")
        return queries

    def _rough_similarities(self, query: Float32, positions: NDArray[np.intp] | None) -> Float32:
        rows = self._rows
        similarities = np.empty(len(self) if positions is None else len(positions), np.float32)
        if positions is not None:
            for start in range(0, len(positions), _BLOCK):
                part = slice(start, start + _BLOCK)
                similarities[part] = self._at(positions[part]) @ query
        elif self._sums is None:
            np.matmul(rows, query, out=similarities)
        else:
            for part in self._groups():
                if self._rows is not rows:
                    break
                # The rows of this part are still in the processor's cache from their check.
                np.matmul(rows[part], query, out=similarities[part])
        # Rows that took the place of damaged ones may be newer than those read before.
        return similarities if self._rows is rows else self._rough_similarities(query, positions)

    # -- trust in the rows ----------------------------------------------------------------------------

    def _at(self, positions: NDArray[np.intp]) -> Float32:
        """Return a copy of the rows at ``positions``, checked."""
        if self._sums is not None:
            for group in np.unique(positions // GROUP).tolist():
                self._check(group)
        return self._rows[positions]

    def _groups(self) -> Iterator[slice]:
        """Yield where each group of rows lies, checked. At the end all are, and none is looked at again."""
        for group in range(len(self._checked)):
            self._check(group)
            yield slice(group * GROUP, (group + 1) * GROUP)
        self._trust(self._rows)

    def _check(self, group: int) -> None:
        if self._sums is None or self._checked[group]:
            return
        rows = self._rows[group * GROUP : (group + 1) * GROUP]
        if sum_of_group(rows) == self._sums[group]:
            self._checked[group] = True
        else:
            self._trust(self._other_rows())

    def _trust(self, rows: Float32) -> None:
        self._rows, self._sums, self._otherwise = rows, None, None

    def _other_rows(self) -> Float32:
        """Return a row for each of the ids from elsewhere."""
        if self._otherwise is not None:
            other = self._otherwise()
            if np.array_equal(other.ids, self.ids):
                return other.rows
            with contextlib.suppress(KeyError):
                return other.rows_of(self.ids)
        raise DamagedMatrix("the vectors on disk are damaged", "make them again: photoclip check --repair")


def _write_sections(file: BinaryIO, stamp: Stamp, blocks: Blocks) -> tuple[Section, Section]:
    """Write ids, checksums and rows at their places and return the sections."""
    ids_end, rows_end = HEADER_SIZE, _rows_offset(stamp.count)
    file.truncate(rows_end)
    running = RunningSums(stamp.dimension)
    ids_checksum = last = count = 0
    for ids, rows in blocks:
        ids, rows = np.ascontiguousarray(ids, "<i8"), np.ascontiguousarray(rows, "<f4")
        last = _check_block(ids, rows, stamp.dimension, after=last)
        count += len(ids)
        if count > stamp.count:
            break
        ids_end += _write_at(file, ids_end, ids)
        rows_end += _write_at(file, rows_end, rows)
        ids_checksum = zlib.crc32(_raw(ids), ids_checksum)
        running.add(rows)
    if count != stamp.count:
        raise ValueError(f"{stamp.count} rows were announced, but {count} or more came")
    sums = np.zeros(_sums_size(count) // 4, "<u4")
    sums[: groups_of(count)] = running.finish()
    _write_at(file, ids_end, sums)
    return Section(8 * count, ids_checksum), _section(sums)


def _write_at(file: BinaryIO, offset: int, array: Int64 | Float32 | Sums) -> int:
    file.seek(offset)
    return file.write(_raw(array))


def _check_block(ids: Int64, rows: Float32, dimension: int, after: int) -> int:
    """Return the last id of a block that may be stored; raise ValueError for one that may not."""
    if ids.ndim != 1 or rows.shape != (len(ids), dimension):
        raise ValueError(f"ids {ids.shape} and rows {rows.shape} do not fit a dimension of {dimension}")
    bad = np.flatnonzero(~has_unit_length(rows))
    if bad.size:
        raise ValueError(f"the row of content {ids[bad[0]]} is not of unit length")
    bad = np.flatnonzero(np.diff(ids, prepend=after) <= 0)
    if bad.size:
        raise _OutOfOrderError(f"content {ids[bad[0]]} is out of order: ids ascend from 1")
    return int(ids[-1]) if ids.size else after


def _section(array: Int64 | Sums) -> Section:
    raw = _raw(array)
    return Section(raw.nbytes, zlib.crc32(raw))


def _raw(array: Int64 | Float32 | Sums) -> memoryview:
    """Return the bytes of a contiguous array without copying them."""
    return array.reshape(-1).view(np.uint8).data


def _sums_offset(count: int) -> int:
    return HEADER_SIZE + 8 * count


def _sums_size(count: int) -> int:
    """Return the bytes of the checksums and of the zeros after them."""
    size = 4 * groups_of(count)
    return size + -(_sums_offset(count) + size) % _ALIGNMENT


def _rows_offset(count: int) -> int:
    return _sums_offset(count) + _sums_size(count)


def _file_size(stamp: Stamp) -> int:
    return _rows_offset(stamp.count) + 4 * stamp.count * stamp.dimension
