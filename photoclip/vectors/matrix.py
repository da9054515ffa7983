"""The matrix: every row of one model, in one file that is mapped into memory, and exact search over it.

The file is a header (see ``cachefiles``), the content ids (int64, ascending), zeros up to a multiple of
64 bytes, and the rows (float32), all little-endian. The first section is the ids, the second the rows.
"""

from __future__ import annotations

import hashlib
import itertools
import mmap
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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

Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Blocks = Iterable[tuple[Int64, Float32]]

_MAGIC = b"PCMATRIX"
_ALIGNMENT = 64
_BLOCK = 1024
_NORM_TOLERANCE = 1e-3


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

    It is not (and the file is left as it was) when the file is not exactly ``old_stamp`` with a whole
    body, or when the new ids are not above the old ones: then the caller writes all rows.

    Raises as ``write_matrix`` does.
    """
    old = Matrix.open(path, old_stamp)
    if old is None or not old.body_is_whole():
        return False
    try:
        write_matrix(path, new_stamp, itertools.chain(old.blocks(), blocks))
    except _OutOfOrderError:
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


@dataclass(frozen=True, eq=False)
class Matrix:
    """Content ids and their rows. ``ids``: int64, (n,), ascending; ``rows``: float32, (n, d), unit length.

    Opened from a file, both are read-only views of the mapped file, and stay valid when it is replaced.
    """

    ids: Int64
    rows: Float32
    _sections: tuple[Section, Section] | None = None

    @classmethod
    def of(cls, ids: Any, rows: Any) -> Matrix:
        """Return a matrix in memory, for when there is no file; raise ValueError as ``write_matrix`` does."""
        ids, rows = np.ascontiguousarray(ids, np.int64), np.ascontiguousarray(rows, np.float32)
        _check_block(ids, rows, rows.shape[1] if rows.ndim == 2 else 0, after=0)
        return cls(ids, rows)

    @classmethod
    def open(cls, path: str, stamp: Stamp) -> Matrix | None:
        """Map the file at ``path`` into memory; None unless it is exactly what ``stamp`` describes.

        Only the header and the length are checked: ``body_is_whole`` checks the rest.
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
        rows = np.frombuffer(body, "<f4", stamp.count * stamp.dimension, _rows_offset(stamp.count))
        return cls(ids, rows.reshape(stamp.count, stamp.dimension), header[1:])

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dimension(self) -> int:
        """The length of a row."""
        return int(self.rows.shape[1])

    def body_is_whole(self) -> bool:
        """Read every byte of ids and rows and return whether they are the ones that were written."""
        return self._sections is None or self._sections == (_section(self.ids), _section(self.rows))

    def blocks(self) -> Iterator[tuple[Int64, Float32]]:
        """Yield (ids, rows) a few megabytes at a time, as ``write_matrix`` takes them."""
        for start in range(0, len(self), _BLOCK):
            yield self.ids[start : start + _BLOCK], self.rows[start : start + _BLOCK]

    def require_whole(self) -> None:
        """Raise PhotoclipError unless ``body_is_whole``: for work that keeps what it made of every row."""
        if not self.body_is_whole():
            raise PhotoclipError(
                "the vectors on disk are damaged", "make them again: photoclip check --repair"
            )

    def originals(self) -> NDArray[np.intp]:
        """Return for each row, (n,), the position of the first row that is byte for byte the same."""
        originals = np.arange(len(self))
        heads = np.ascontiguousarray(self.rows[:, 0]).view(np.uint32)
        _, groups, sizes = np.unique(heads, return_inverse=True, return_counts=True)
        first: dict[bytes, int] = {}
        for position in np.flatnonzero(sizes[groups] > 1):
            digest = hashlib.blake2b(self.rows[position], digest_size=16).digest()
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
        kept = _best(similarities, k, rounding_margin(self.dimension))
        if positions is not None:
            kept = positions[kept]
        return self.ranked(query, kept, k)

    def ranked(self, query: Float32, positions: NDArray[np.intp], k: int) -> tuple[Int64, Float32]:
        """Return ids and similarities of the ``k`` best among the rows at ``positions``, best first."""
        similarities = np.empty(len(positions), np.float64)
        for start in range(0, len(positions), _BLOCK):
            part = slice(start, start + _BLOCK)
            similarities[part] = similarities_of(self.rows[positions[part]], query[np.newaxis])
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
        return self.rows[positions]

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
        if not _has_unit_length(queries).all():
            raise ValueError("a query is not of unit length")
        return queries

    def _rough_similarities(self, query: Float32, positions: NDArray[np.intp] | None) -> Float32:
        # A damaged page can hold NaN or infinity: such rows rank last, they do not hide the others.
        similarities = np.empty(len(self) if positions is None else len(positions), np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            if positions is None:
                np.matmul(self.rows, query, out=similarities)
            else:
                for start in range(0, len(positions), _BLOCK):
                    part = slice(start, start + _BLOCK)
                    similarities[part] = self.rows[positions[part]] @ query
        np.nan_to_num(similarities, copy=False, nan=-1.0)
        return similarities


def _best(similarities: Float32, k: int, margin: float) -> NDArray[np.intp]:
    """Return the positions of every similarity within ``margin`` of the ``k``-th best."""
    if k <= 0:
        return np.empty(0, np.intp)
    if k >= len(similarities):
        return np.arange(len(similarities))
    edge = np.partition(similarities, len(similarities) - k)[len(similarities) - k]
    return np.flatnonzero(similarities >= edge - margin)


def rounding_margin(dimension: int) -> float:
    """Return a bound on the difference of two float32 products of unit vectors from rounding alone.

    Each is off by at most d·u/(1-d·u), u = 2^-24 (Higham, Accuracy and Stability of Numerical
    Algorithms, 2nd ed., equation 3.5).
    """
    return 2.1 * dimension * 2.0**-24


def similarities_of(left: Float32, right: Float32) -> NDArray[np.float64]:
    """Return the product of each pair of rows in float64: their cosine, as they are of unit length."""
    with np.errstate(invalid="ignore", over="ignore"):
        products = np.multiply(left, right, dtype=np.float64).sum(axis=1)
    np.nan_to_num(products, copy=False, nan=-1.0)
    return np.asarray(products)


def _write_sections(file: BinaryIO, stamp: Stamp, blocks: Blocks) -> tuple[Section, Section]:
    """Write ids and rows at their places and return their sizes and checksums."""
    ids_end, rows_end = HEADER_SIZE, _rows_offset(stamp.count)
    file.truncate(rows_end)
    ids_checksum = rows_checksum = last = count = 0
    for ids, rows in blocks:
        ids, rows = np.ascontiguousarray(ids, "<i8"), np.ascontiguousarray(rows, "<f4")
        last = _check_block(ids, rows, stamp.dimension, after=last)
        count += len(ids)
        if count > stamp.count:
            break
        ids_end += _write_at(file, ids_end, ids)
        rows_end += _write_at(file, rows_end, rows)
        ids_checksum = zlib.crc32(_raw(ids), ids_checksum)
        rows_checksum = zlib.crc32(_raw(rows), rows_checksum)
    if count != stamp.count:
        raise ValueError(f"{stamp.count} rows were announced, but {count} or more came")
    return Section(8 * count, ids_checksum), Section(4 * count * stamp.dimension, rows_checksum)


def _write_at(file: BinaryIO, offset: int, array: Int64 | Float32) -> int:
    file.seek(offset)
    return file.write(_raw(array))


def _check_block(ids: Int64, rows: Float32, dimension: int, after: int) -> int:
    """Return the last id of a block that may be stored; raise ValueError for one that may not."""
    if ids.ndim != 1 or rows.shape != (len(ids), dimension):
        raise ValueError(f"ids {ids.shape} and rows {rows.shape} do not fit a dimension of {dimension}")
    bad = np.flatnonzero(~_has_unit_length(rows))
    if bad.size:
        raise ValueError(f"the row of content {ids[bad[0]]} is not of unit length")
    bad = np.flatnonzero(np.diff(ids, prepend=after) <= 0)
    if bad.size:
        raise _OutOfOrderError(f"content {ids[bad[0]]} is out of order: ids ascend from 1")
    return int(ids[-1]) if ids.size else after


def _has_unit_length(rows: Float32) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        return np.asarray(np.abs(lengths - 1.0) <= _NORM_TOLERANCE)


def _section(array: Int64 | Float32) -> Section:
    raw = _raw(array)
    return Section(raw.nbytes, zlib.crc32(raw))


def _raw(array: Int64 | Float32) -> memoryview:
    """Return the bytes of a contiguous array without copying them."""
    return array.reshape(-1).view(np.uint8).data


def _rows_offset(count: int) -> int:
    ids_end = HEADER_SIZE + 8 * count
    return ids_end + -ids_end % _ALIGNMENT


def _file_size(stamp: Stamp) -> int:
    return _rows_offset(stamp.count) + 4 * stamp.count * stamp.dimension
