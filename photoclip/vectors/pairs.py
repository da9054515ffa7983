"""All pairs of near rows: the raw material of duplicates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from photoclip.vectors.graph import Graph, Progress
from photoclip.vectors.matrix import Matrix
from photoclip.vectors.matrixfile import Float32
from photoclip.vectors.similarities import rounding_margin, similarities_of

Positions = NDArray[np.intp]
_Pairs = tuple[Positions, Positions]

EXACT_PAIRS_UP_TO = 200_000
"""Up to how many distinct rows all pairs are compared, even if there is a graph.

Measured with ``tests/benchmarks/neighbours.py`` at 100,000 rows and 0.95: 10 s of CPU for all pairs, 37 s
through the graph (and 66 s to build it). The one grows with the square of the rows, so the two meet near
380,000; half of that leaves room for rows that do not project as well as the synthetic ones.
"""

_BLOCK = 2048
_DIRECTIONS = 63  # with the length of what is left over, 64 numbers a row
_SAMPLE = 4096
_DENSE = 0.01  # above this share of hopeful pairs one more product is cheaper than looking at each


def neighbour_pairs(
    matrix: Matrix, graph: Graph | None, threshold: float, k: int, progress: Progress | None = None
) -> Iterator[tuple[int, int, float]]:
    """Yield (id_a, id_b, similarity) with id_a < id_b for every two rows at or above ``threshold``.

    Identical rows yield a star, not every pair: the first of them with each of the others, at 1.0; and
    only the first is paired with rows that differ. So 5,000 copies yield 4,999 pairs.

    Up to EXACT_PAIRS_UP_TO distinct rows, or without a graph, all pairs are found. Above, the pairs
    are those among each row's ``k`` nearest in the graph: no false one, and nearly every true one while
    a row has fewer than ``k`` such neighbours. ``progress`` counts rows.

    Raises DamagedMatrix when a row is not as it was written.
    """
    originals = matrix.originals()
    distinct = originals == np.arange(len(matrix))
    if threshold <= 1.0:
        for copy in np.flatnonzero(~distinct):
            yield int(matrix.ids[originals[copy]]), int(matrix.ids[copy]), 1.0
    positions = np.flatnonzero(distinct)
    if graph is None or len(positions) <= EXACT_PAIRS_UP_TO:
        hopeful = _exact_pairs(matrix, positions, threshold, progress)
    else:
        hopeful = _graph_pairs(matrix, graph, positions, threshold, k, progress)
    for left, right in hopeful:
        yield from _confirmed(matrix, left, right, threshold)


def _confirmed(
    matrix: Matrix, left: Positions, right: Positions, threshold: float
) -> Iterator[tuple[int, int, float]]:
    for start in range(0, len(left), _BLOCK):
        a, b = left[start : start + _BLOCK], right[start : start + _BLOCK]
        similarities = similarities_of(matrix.rows[a], matrix.rows[b])
        kept = similarities >= threshold
        values = np.clip(similarities[kept], -1.0, 1.0)
        yield from zip(
            matrix.ids[a[kept]].tolist(), matrix.ids[b[kept]].tolist(), values.tolist(), strict=True
        )


def _exact_pairs(
    matrix: Matrix, positions: Positions, threshold: float, progress: Progress | None
) -> Iterator[_Pairs]:
    """Yield a superset, mostly tight, of the pairs at or above ``threshold``, block by block.

    For an orthogonal projection P, x.y <= Px.Py + |x-Px||y-Py| (Cauchy-Schwarz): with the residual
    length as one more number, one product of 64 numbers a row bounds the one of all of them.
    """
    shadows = _shadows(matrix, positions)
    floor = threshold - rounding_margin(matrix.dimension)
    for top in range(0, len(positions), _BLOCK):
        upper = slice(top, top + _BLOCK)
        for start in range(top, len(positions), _BLOCK):
            lower = slice(start, start + _BLOCK)
            hopeful = shadows[upper] @ shadows[lower].T >= floor
            if np.count_nonzero(hopeful) > _DENSE * hopeful.size:
                hopeful = matrix.rows[positions[upper]] @ matrix.rows[positions[lower]].T >= floor
            if start == top:
                hopeful = np.triu(hopeful, 1)
            # On the flat view this is twenty times faster than np.nonzero on two axes.
            left, right = np.divmod(np.flatnonzero(hopeful), hopeful.shape[1])
            yield positions[top + left], positions[start + right]
        if progress is not None:
            progress(min(top + _BLOCK, len(positions)), len(positions))


def _shadows(matrix: Matrix, positions: Positions) -> Float32:
    """Return each row projected on the directions most rows lie in, and the length of what is left over."""
    sample = matrix.rows[positions[:: len(positions) // _SAMPLE + 1]].astype(np.float64)
    _, directions = np.linalg.eigh(sample.T @ sample)
    basis = directions[:, -_DIRECTIONS:].astype(np.float32)
    shadows = np.empty((len(positions), basis.shape[1] + 1), np.float32)
    for start in range(0, len(positions), _BLOCK):
        part = slice(start, start + _BLOCK)
        rows = matrix.rows[positions[part]]
        shadow = shadows[part, :-1] = rows @ basis
        left_over = np.einsum("ij,ij->i", rows, rows) - np.einsum("ij,ij->i", shadow, shadow)
        # The margin covers the rounding of the subtraction, which the square root would magnify.
        shadows[part, -1] = np.sqrt(np.maximum(left_over, 0.0) + rounding_margin(matrix.dimension))
    return shadows


def _graph_pairs(
    matrix: Matrix, graph: Graph, positions: Positions, threshold: float, k: int, progress: Progress | None
) -> Iterator[_Pairs]:
    """Yield, once each, the pairs of ``positions`` that the graph finds near."""
    floor = threshold - rounding_margin(matrix.dimension)
    found = [np.empty(0, np.int64)]
    for start in range(0, len(positions), _BLOCK):
        block = positions[start : start + _BLOCK]
        ids, similarities = graph.distinct_near(matrix.rows[block], k + 1)
        row, column = np.nonzero(similarities >= floor)
        right, known = matrix.find(ids[row, column])
        known &= np.isin(right, positions)
        left, right = block[row[known]], right[known]
        found.append(np.minimum(left, right) * len(matrix) + np.maximum(left, right))
        if progress is not None:
            progress(start + len(block), len(positions))
    left, right = np.divmod(np.unique(np.concatenate(found)), len(matrix))
    yield left[left != right], right[left != right]
