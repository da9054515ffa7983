"""The matrix: every row of one model, in one file (see ``matrixfile``) that is mapped into memory, and exact
search over it."""

from __future__ import annotations

import contextlib
import functools
import itertools
import mmap
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photoclip.errors import PhotoclipError
from photoclip.vectors.cachefiles import (
    HEADER_SIZE,
    MATRIX,
    Stamp,
    check_size,
    pack_header,
    replacing,
    unpack_header,
)
from photoclip.vectors.codes import Codes, Reader, code_width
from photoclip.vectors.matrixfile import (
    Blocks,
    Float32,
    Int64,
    OutOfOrderError,
    Places,
    RowFile,
    check_block,
    section,
    write_sections,
)
from photoclip.vectors.rowsums import Sums, sums_of
from photoclip.vectors.similarities import best, has_unit_length, rounding_margin, similarities_of

_BLOCK = 1024
_FEW = 2000  # rows that are read one by one sooner than all codes


class DamagedMatrix(PhotoclipError):
    """Rows of a matrix file are not the ones that were written, and there was nobody to ask for others."""


def write_matrix(path: str, stamp: Stamp, blocks: Blocks) -> None:
    """Write a matrix file from blocks of (ids, rows), holding one block in memory at a time.

    ids: int64, (n,), above 0 and ascending over all blocks; rows: float32, (n, stamp.dimension), of unit
    length; ``stamp.rows`` of them in all. The file appears whole or not at all.

    Raises ValueError, naming the id, for rows that are not finite or not of unit length and for ids out
    of order; CacheNotWritten when the system refuses.
    """
    with replacing(path) as temporary:
        with open(temporary, "r+b") as file:
            sections = write_sections(file, stamp, blocks)
            file.seek(0)
            file.write(pack_header(MATRIX, stamp, *sections))
        check_size(temporary, Places.of(stamp).end)


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
    except (OutOfOrderError, DamagedMatrix):
        return False
    return True


class Matrix:
    """Content ids and their rows. ``ids``: int64, (n,), ascending; ``rows``: float32, (n, d), unit length.

    Opened from a file, both are read-only views of the mapped file, and stay valid when it is replaced.
    Whatever hands out rows, or what was made of them, raises DamagedMatrix rather than use one that is not
    as it was written; but a matrix that was opened with ``otherwise`` goes on with the rows it gets there.
    Not safe to share between threads.

    Few rows are read from the file, many are looked at where they are mapped: to map one is to map dozens of
    its neighbours, which for a search through codes came to as much memory as all rows take. A file that
    somebody else cuts short while it is mapped can end the process (SIGBUS); photoclip only replaces files.
    """

    def __init__(
        self,
        ids: Int64,
        rows: Float32,
        sums: Sums | None = None,
        codes: Codes | None = None,
        code_sums: Sums | None = None,
        read_codes: Reader | None = None,
        read: Callable[[NDArray[np.intp]], Float32] | None = None,
        otherwise: Callable[[], Matrix] | None = None,
    ) -> None:
        self.ids = ids
        self._rows = rows
        self._sums = sums  # None: every row is known to be right
        self._codes = codes
        self._code_sums = code_sums
        self._read_codes = read_codes  # None: every code is known to be right where it is mapped
        self._read = read or rows.__getitem__
        self._otherwise = otherwise

    @classmethod
    def of(cls, ids: Any, rows: Any) -> Matrix:
        """Return a matrix in memory, for when there is no file; raise ValueError as ``write_matrix`` does."""
        ids, rows = np.ascontiguousarray(ids, np.int64), np.ascontiguousarray(rows, np.float32)
        check_block(ids, rows, rows.shape[1] if rows.ndim == 2 else 0, after=0)
        return cls(ids, rows)

    @classmethod
    def open(cls, path: str, stamp: Stamp, otherwise: Callable[[], Matrix] | None = None) -> Matrix | None:
        """Map the file at ``path`` into memory; None unless it is exactly what ``stamp`` describes.

        The rows themselves are checked as they are used. ``otherwise`` is called, once, if one of them is
        damaged, and returns a matrix that has a row for every id.
        """
        try:
            file = RowFile(path)
            header = unpack_header(file.read(HEADER_SIZE), MATRIX, stamp)
            if header is None or header[0] != stamp or file.size() != Places.of(stamp).end:
                return None
            body = mmap.mmap(file.descriptor, 0, access=mmap.ACCESS_READ)
        except OSError:
            return None
        count, places = stamp.rows, Places.of(stamp)
        ids = np.frombuffer(body, "<i8", count, HEADER_SIZE)
        small = np.frombuffer(body, "<u4", (places.codes - places.small) // 4, places.small)
        if header[1:] != (section(ids), section(small)):
            return None
        sums, code_sums, scales, slacks = small[: 4 * count].reshape(4, count)
        width = code_width(stamp.dimension)
        codes = np.frombuffer(body, np.int8, count * width, places.codes).reshape(count, width)
        rows = np.frombuffer(body, "<f4", count * stamp.dimension, places.rows)
        coded = Codes(codes, scales.view("<f4"), slacks.view("<f4"))
        read_codes = file.codes_reader(places.codes, width, code_sums)
        read = functools.partial(file.rows, places.rows, stamp.dimension)
        shape = (count, stamp.dimension)
        return cls(ids, rows.reshape(shape), sums, coded, code_sums, read_codes, read, otherwise)

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
            for _ in self.blocks():
                pass
        return self._rows

    def body_is_whole(self) -> bool:
        """Read every row and code and return whether all are the ones that were written."""
        rows, codes, sums = self._rows, self._codes, self._code_sums
        if codes is not None and sums is not None and not np.array_equal(sums_of(codes.codes), sums):
            return False
        with contextlib.suppress(DamagedMatrix):
            return self.rows is rows
        return False

    def blocks(self) -> Iterator[tuple[Int64, Float32]]:
        """Yield (ids, rows) a few megabytes at a time, as ``write_matrix`` takes them."""
        for start in range(0, len(self), _BLOCK):
            part = slice(start, start + _BLOCK)
            if self._sums is not None and not np.array_equal(sums_of(self._rows[part]), self._sums[part]):
                self._trust(self._other_rows())
            yield self.ids[part], self._rows[part]
        self._trust(self._rows)

    def originals(self) -> NDArray[np.intp]:
        """Return for each row, (n,), the position of the first row that is byte for byte the same."""
        import hashlib  # late: it loads OpenSSL

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
        passed over). Exactly min(k, rows to choose from) come back, and exactly the right ones: codes narrow
        the field to what can be among them, a float32 product by a margin above its rounding error, float64
        decides, and equal similarities are ordered by id.

        Raises ValueError for a query of another shape or not of unit length.
        """
        query = self.checked(np.asarray(query)[np.newaxis])[0]
        rows = self._rows
        positions = None if among is None else self.positions_of(among)
        if positions is None or len(positions) > _FEW:
            positions = self._hopeful(query, k, positions)
        similarities = self._rough_similarities(query, positions)
        kept = best(similarities, k, rounding_margin(self.dimension))
        if positions is not None:
            kept = positions[kept]
        answer = self.ranked(query, kept, k)
        # Rows that took the place of damaged ones may be newer than those read before.
        return answer if self._rows is rows else self.nearest(query, k, among=among)

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

    def sample(self, count: int) -> Float32:
        """Return a copy of rows from all over the matrix, at even distances: (min(count, n), d)."""
        places = np.linspace(0, len(self) - 1, min(count, len(self)))
        return self.rows_of(self.ids[places.astype(np.intp)])

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

    def _hopeful(self, query: Float32, k: int, among: NDArray[np.intp] | None) -> NDArray[np.intp] | None:
        """Return the positions of rows that may be among the ``k`` nearest, or ``among`` (None: all)."""
        if self._codes is None:
            return among
        positions = self._codes.hopeful(query, k, self._read_codes, among)
        if positions is None:
            self._trust(self._other_rows())
            return among
        self._read_codes = None
        return positions

    def _rough_similarities(self, query: Float32, positions: NDArray[np.intp] | None) -> Float32:
        if positions is None:
            return self.rows @ query
        similarities = np.empty(len(positions), np.float32)
        for start in range(0, len(positions), _BLOCK):
            part = slice(start, start + _BLOCK)
            similarities[part] = self._at(positions[part]) @ query
        return similarities

    # -- trust in the rows ----------------------------------------------------------------------------

    def _at(self, positions: NDArray[np.intp]) -> Float32:
        """Return a copy of the rows at ``positions``, checked."""
        if self._sums is not None:
            rows = self._read(positions)
            if np.array_equal(sums_of(rows), self._sums[positions]):
                return rows
            self._trust(self._other_rows())
        return self._rows[positions]

    def _trust(self, rows: Float32) -> None:
        if rows is not self._rows:
            self._codes = None
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
