"""Similarities of unit vectors: a rough product to narrow the field, an exact one to decide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

_NORM_TOLERANCE = 1e-3


def best(similarities: Float32, k: int, margin: float) -> NDArray[np.intp]:
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
    return np.asarray(np.multiply(left, right, dtype=np.float64).sum(axis=1))


def has_unit_length(rows: Float32) -> NDArray[np.bool_]:
    """Return for each row whether it is finite and of unit length, but for rounding."""
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        return np.asarray(np.abs(lengths - 1.0) <= _NORM_TOLERANCE)
