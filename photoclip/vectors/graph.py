"""The HNSW graph: nearly exact neighbours without looking at every row. The only room of hnswlib.

hnswlib 0.8 does not report a failed write, loads damaged files without complaint and then crashes or
answers wrongly, and loses neighbours among many identical rows. So it never sees a byte that has not been
checked, its file is only replaced by one that was read back, identical rows go into the graph once, and
every answer is ranked again with exact similarities from the matrix, or found there if the graph falls short.

A graph is two files: the graph as hnswlib writes it, and beside it ``.stamp``: a header (see
``cachefiles``) and pairs of content ids (int64): each row that was left out because it is identical to
another, as (the one in the graph, the one left out). The first section is the pairs, the second the graph.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photoclip.errors import PhotoclipError
from photoclip.vectors.cachefiles import (
    GRAPH,
    HNSW_FROM,
    Section,
    Stamp,
    check_size,
    pack_header,
    replacing,
    sealed_graph,
    section_of,
)
from photoclip.vectors.matrix import Matrix
from photoclip.vectors.matrixfile import Float32, Int64

Progress = Callable[[int, int], None]
"""Called with (done, total) as work goes on."""

_QUERIES_TO_PAY = 50

_LINKS = 16
_EF_CONSTRUCTION = 200
_EF = 128  # recall@50 of 0.998 on 100,000 rows; 64 gives 0.989 and saves a quarter of a millisecond
_SEED = 2_718_281
_BLOCK = 1000
_GONE_ALLOWED = 0.2


def prefer_graph(count: int, queries: int) -> bool:
    """Return whether a graph on disk answers ``queries`` questions over ``count`` rows sooner than a scan.

    Loading a graph reads and checks all of it; the matrix is mapped and read as the scan goes. So the
    load has to be earned back, query by query. Measured with ``tests/benchmarks/neighbours.py`` (512
    numbers a row, one thread, two quiet cores), milliseconds:

           rows   graph load   graph query   scan query   queries until the load has paid
         20,000         42.3          0.46         0.81   113
         50,000        103.0          0.57         1.77    81
        100,000        201.5          0.55         5.81    36

    A process that asks once is therefore always better off with the scan (at 100,000 rows 133 ms against
    336 ms from start to end), and a small library saves too little ever to notice. Building the graph,
    0.4 to 0.6 ms a row, is not counted: it pays for itself only after thousands of queries.
    """
    return count >= HNSW_FROM and queries >= _QUERIES_TO_PAY


def build_graph(matrix: Matrix, progress: Progress | None = None) -> Graph:
    """Return a graph over all rows of ``matrix``. The same matrix always gives the same graph."""
    graph = Graph(_empty_index(matrix.dimension), matrix, np.empty((0, 2), np.int64))
    graph.extend(matrix, progress)
    return graph


class Graph:
    """An HNSW graph over a matrix. Not safe to share between threads."""

    def __init__(self, index: Any, matrix: Matrix, copies: Int64) -> None:
        self._index = index
        self._matrix = matrix
        self._copies = copies  # (original, copy), ordered by original

    @classmethod
    def open(cls, path: str, stamp: Stamp, matrix: Matrix) -> Graph | None:
        """Load the graph at ``path``; None unless it is whole and exactly what ``stamp`` describes.

        ``matrix`` is where the exact similarities come from. To bring an older graph up to date, open it
        with the stamp it was saved under and the new matrix, and ``extend`` it.
        """
        try:
            sealed = sealed_graph(path, stamp)
            if sealed is None or sealed[0] != stamp:
                return None
            _, copies, body = sealed
            with open(path, "rb") as file:
                if os.fstat(file.fileno()).st_size != body.size or section_of(file) != body:
                    return None
                file.seek(0)
                # The descriptor's own name: what is loaded is what was checked, even if the file is replaced.
                index = _load_index(f"/dev/fd/{file.fileno()}", stamp.dimension, stamp.rows)
        except (OSError, RuntimeError):
            return None
        return cls(index, matrix, np.frombuffer(copies, "<i8").reshape(-1, 2))

    def extend(self, matrix: Matrix, progress: Progress | None = None) -> None:
        """Take ``matrix`` for the graph's own and add the rows that are not yet in.

        Rows that are gone from the matrix stay in the graph but not in its answers; when they are more
        than a fifth, the graph is built anew. The row of a content id must not have changed.

        Raises DamagedMatrix rather than take in a row that is not as it was written.
        """
        nodes = np.array(self._index.get_ids_list(), np.int64)
        if np.isin(nodes, matrix.ids).sum() < (1 - _GONE_ALLOWED) * len(nodes):
            self._index, nodes = _empty_index(matrix.dimension), nodes[:0]
        originals = matrix.originals()
        left_out = originals != np.arange(len(matrix))
        self._add(matrix, np.flatnonzero(~left_out & ~np.isin(matrix.ids, nodes)), progress)
        copies = np.stack((matrix.ids[originals[left_out]], matrix.ids[left_out]), axis=1)
        self._copies = copies[np.argsort(copies[:, 0], kind="stable")]
        self._matrix = matrix

    def save(self, path: str, stamp: Stamp) -> None:
        """Write the graph to ``path`` and ``path.stamp``; both are old or both are new, or neither is used.

        The new file is measured against what hnswlib meant to write, read back and asked a question
        before it takes the old one's place. Raises CacheNotWritten when any of that fails.
        """
        with replacing(f"{path}.stamp") as temporary_stamp, replacing(path) as temporary:
            self._index.save_index(os.fsencode(temporary))
            check_size(temporary, self._index.index_file_size())
            self._probe(temporary)
            with open(temporary, "rb") as file:
                body = section_of(file)
            copies = np.ascontiguousarray(self._copies, "<i8").tobytes()
            first = Section(len(copies), zlib.crc32(copies))
            with open(temporary_stamp, "wb") as file:
                file.write(pack_header(GRAPH, stamp, first, body) + copies)

    def nearest(self, rows: Float32, k: int) -> tuple[Int64, Float32]:
        """Return ids and similarities, each (m, min(k, n)), of the rows nearest to each of ``rows``, (m, d).

        Best first, equal similarities ordered by id. The similarities are exact; which rows are found is
        nearly so, and never fewer than there are. Raises ValueError for rows of another dimension or not of
        unit length.
        """
        rows = self._matrix.checked(rows)
        k = max(0, min(k, len(self._matrix)))
        ids, similarities = np.empty((len(rows), k), np.int64), np.empty((len(rows), k), np.float32)
        for place, (row, candidates) in enumerate(zip(rows, self.distinct_near(rows, k)[0], strict=True)):
            positions = self._matrix.positions_of(self._with_copies(candidates))
            if len(positions) >= k:
                found = self._matrix.ranked(row, positions, k)
            else:
                found = self._matrix.nearest(row, k)
            ids[place], similarities[place] = found
        return ids, similarities

    def distinct_near(self, rows: Float32, k: int) -> tuple[Int64, Float32]:
        """Return ids and rough similarities, each (m, about k), in no order, without identical copies.

        They may hold ids that are gone from the matrix, and more than ``k`` to make up for those. Where
        hnswlib cannot find enough, an exact scan does.
        """
        nodes = self._index.get_current_count()
        gone = max(0, nodes + len(self._copies) - len(self._matrix))
        wanted = min(k + min(gone, k), nodes)
        self._index.set_ef(max(_EF, 2 * wanted))
        try:
            labels, distances = self._index.knn_query(np.ascontiguousarray(rows, np.float32), k=wanted)
        except RuntimeError:  # "Cannot return the results in a contiguous 2D array"
            ids, similarities = zip(*(self._matrix.nearest(row, wanted) for row in rows), strict=True)
            return np.stack(ids), np.stack(similarities)
        return labels.astype(np.int64), 1.0 - distances

    def _with_copies(self, originals: Int64) -> Int64:
        if not len(self._copies):
            return originals
        starts = np.searchsorted(self._copies[:, 0], originals, "left")
        ends = np.searchsorted(self._copies[:, 0], originals, "right")
        copies = [self._copies[start:end, 1] for start, end in zip(starts, ends, strict=True)]
        return np.concatenate((originals, *copies))

    def _add(self, matrix: Matrix, positions: NDArray[np.intp], progress: Progress | None) -> None:
        try:
            self._index.resize_index(self._index.get_current_count() + len(positions) or 1)
        except RuntimeError as error:
            raise PhotoclipError("the graph does not fit into memory") from error
        for start in range(0, len(positions), _BLOCK):
            block = positions[start : start + _BLOCK]
            self._index.add_items(matrix.rows[block], matrix.ids[block], num_threads=1)
            if progress is not None:
                progress(start + len(block), len(positions))

    def _probe(self, path: str) -> None:
        """Raise OSError unless the file answers one question as the graph in memory does."""
        count = self._index.get_current_count()
        try:
            index = _load_index(path, self._matrix.dimension, count)
            same = index.get_current_count() == count
            if count:
                self._index.set_ef(_EF)
                question = self._matrix.rows[:1]
                same = same and self._index.knn_query(question, k=1) == index.knn_query(question, k=1)
        except RuntimeError as error:
            raise OSError("the graph could not be read back") from error
        if not same:
            raise OSError("the graph reads back differently")


def _empty_index(dimension: int) -> Any:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=dimension)
    index.init_index(max_elements=1, M=_LINKS, ef_construction=_EF_CONSTRUCTION, random_seed=_SEED)
    return index


def _load_index(path: str, dimension: int, count: int) -> Any:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=dimension)
    # Without room for every node hnswlib may believe a smaller number in the file and write past it.
    index.load_index(os.fsencode(path), max_elements=max(count, 1))
    index.set_ef(_EF)
    return index
