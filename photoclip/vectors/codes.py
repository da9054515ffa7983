"""Codes: a byte for each number of a row, so that a search reads a quarter of what the rows take.

A row x is a code c of whole numbers from -127 to 127, a scale s, and what is left of it, of length e at most
(its *slack*): |x - s c| <= e. A query q becomes t, d and f in the same way. By the Cauchy-Schwarz inequality

    |q·x - s t (c·d)|  <=  |q| e + |s c| f  <=  e + (1 + e) f

as q and x are of unit length. So from the codes alone follows which rows can be among the nearest at all: a
few hundred of 100,000. The rows themselves decide among those: the answer is that of a search of all rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Reader = Callable[[slice], NDArray[np.int8] | None]
"""Reads some codes from where they are kept; None when they are not as they were written."""

_TOP = 127
_WORD = 4
_BLOCK = 1024  # rows: half a megabyte, which the processor's cache holds from the check to the product
_ROUNDING = 1e-5  # above what float32 loses in the bound itself
_SLACKNESS = 1.01  # lengths are 1 only nearly


class Codes(NamedTuple):
    """``codes``: int8, (n, code_width(d)), zeros at the end; ``scales`` and ``slacks``: float32, (n,)."""

    codes: NDArray[np.int8]
    scales: Float32
    slacks: Float32

    @classmethod
    def of(cls, rows: Float32) -> Codes:
        """Return the codes of ``rows``, (n, d)."""
        scales = (np.abs(rows).max(axis=1, initial=0) / _TOP).astype("<f4")
        codes = np.zeros((len(rows), code_width(rows.shape[1])), np.int8)
        codes[:, : rows.shape[1]] = np.rint(rows / np.where(scales, scales, 1)[:, np.newaxis])
        rest = rows - codes[:, : rows.shape[1]] * scales[:, np.newaxis]
        return cls(codes, scales, np.linalg.norm(rest, axis=1).astype("<f4"))

    def hopeful(
        self, query: Float32, k: int, read: Reader | None, among: NDArray[np.intp] | None = None
    ) -> NDArray[np.intp] | None:
        """Return the positions of all rows that may be among the ``k`` nearest to ``query``, (d,), ascending;
        with ``among``, ascending positions, of those alone.

        With ``read``, the codes come from there: None if some of them are damaged.
        """
        asked = Codes.of(query[np.newaxis])
        products = np.empty(len(self.codes), np.float32)
        for start in range(0, len(products), _BLOCK):
            part = slice(start, start + _BLOCK)
            codes = self.codes[part] if read is None else read(part)
            if codes is None:
                return None
            products[part] = _products(asked.codes, codes)
        products *= self.scales * asked.scales
        margins = (self.slacks * (1 + asked.slacks) + asked.slacks) * _SLACKNESS + _ROUNDING
        positions = np.arange(len(products)) if among is None else among
        if not 0 < k < len(positions):
            return positions[: len(positions) if k > 0 else 0]
        if among is not None:
            products, margins = products[among], margins[among]
        lowest = products - margins
        edge = np.partition(lowest, len(lowest) - k)[len(lowest) - k]
        hopeful: NDArray[np.intp] = positions[products + margins >= edge]
        return hopeful


def code_width(dimension: int) -> int:
    """Return how many bytes the code of a row of ``dimension`` numbers takes."""
    return dimension + -dimension % _WORD


def _products(query: NDArray[np.int8], codes: NDArray[np.int8]) -> NDArray[Any]:
    import simsimd  # late: importing it costs a process that does not search

    # numpy multiplies bytes one by one; this uses what the processor has for it.
    products: NDArray[Any] = np.asarray(simsimd.cdist(query, codes, "dot"))[0]
    return products
