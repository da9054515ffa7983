"""Rows to search through, and the answers that are right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from photoclip.vectors import Matrix, Stamp, write_matrix


def unit(rows: Any) -> NDArray[np.float32]:
    """Return ``rows`` scaled to length 1."""
    rows = np.asarray(rows, np.float32)
    scaled: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return scaled


def clustered(count: int, dimension: int = 32, copies: float = 0.0, seed: int = 1) -> NDArray[np.float32]:
    """Rows around a few dozen centres, the last ``copies`` of them identical to earlier ones."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(40, dimension))
    rows = unit(centres[random.integers(0, 40, count)] + 0.6 * random.normal(size=(count, dimension)))
    first_copy = round(count * (1 - copies))
    rows[first_copy:] = rows[random.integers(0, max(first_copy, 1), count - first_copy)]
    return rows


def matrix_of(rows: NDArray[np.float32]) -> Matrix:
    """Return a matrix in memory, with every third number for an id."""
    return Matrix.of(1 + 3 * np.arange(len(rows)), rows)


def stamp_for(matrix: Matrix, generation: int = 1) -> Stamp:
    """Return the stamp of ``matrix`` as a cache file."""
    return Stamp("a1b2", "ViT-B-32:laion2b_s34b_b79k", "c3d4", matrix.dimension, generation, len(matrix))


def oracle(matrix: Matrix, query: NDArray[np.float32], k: int, among: Any = None) -> list[int]:
    """The ids of the k nearest rows, one row at a time and in float64."""
    allowed = set(matrix.ids.tolist()) if among is None else set(among)
    ranked = sorted(
        (-float(np.dot(row.astype(float), query.astype(float))), content_id)
        for content_id, row in zip(matrix.ids.tolist(), matrix.rows, strict=True)
        if content_id in allowed
    )
    return [content_id for _, content_id in ranked[:k]]


def saved(path: str, matrix: Matrix, generation: int = 1) -> Stamp:
    """Write ``matrix`` to ``path`` and return its stamp."""
    stamp = stamp_for(matrix, generation)
    write_matrix(path, stamp, matrix.blocks())
    return stamp
