"""Pictures mirrored and turned by quarters.

A rendering is a square, so all of that is exact: rows and columns change places, or the order of either is
reversed. So it is for the lowest frequencies of a picture, where to reverse an order is to change the sign of
every second.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from photoclip.duplicates.looking import SecondCheck, Verdicts

Floats = NDArray[np.float32]
Positions = NDArray[np.intp]

_PROMISING = 0.5
"""Cosine of outlines from which on two pictures are looked at when one is turned.

The copies that are below show less than two thirds of the picture, or have a frame; other pictures are below
in five cases of six.
"""


class Turn(NamedTuple):
    """What is done to a square: rows and columns change places; then the order of the rows is reversed; then
    that of the columns."""

    transposed: bool
    upside_down: bool
    mirrored: bool

    @property
    def is_rotation(self) -> bool:
        """Whether a sheet of paper can be turned so, without looking through it."""
        return sum(self) % 2 == 0

    def of_pictures(self, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return squares, (m, s, s), turned."""
        if self.transposed:
            pictures = pictures.swapaxes(1, 2)
        return pictures[:, :: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1]

    def of_outlines(self, outlines: Floats) -> Floats:
        """Return what ``candidates.outlines_of`` says of pictures, (m, w * w - 1), when they are turned."""
        rows = np.pad(outlines, [(0, 0), (1, 0)])  # the mean was left out
        waves = round(rows.shape[1] ** 0.5)
        squares = rows.reshape(-1, waves, waves)
        if self.transposed:
            squares = squares.swapaxes(1, 2)
        signs = np.where(np.arange(waves) % 2, np.float32(-1), np.float32(1))
        squares = squares * (signs[:, None] if self.upside_down else 1) * (signs if self.mirrored else 1)
        return np.ascontiguousarray(squares.reshape(rows.shape)[:, 1:], np.float32)


def turns(*, mirrored: bool, turned: bool) -> tuple[Turn, ...]:
    """Return the ways in which a copy may lie, but for upright: mirrored, turned by quarters, or both."""
    every = [Turn(*way) for way in product((False, True), repeat=3)][1:]
    if mirrored and turned:
        return tuple(every)
    only = Turn(False, False, True)
    return tuple(way for way in every if (way.is_rotation and turned) or (way == only and mirrored))


class TurnedCheck(SecondCheck):
    """The second check of pictures of which one may be turned; ``outlines``, (n, 35), are theirs."""

    def __init__(self, renderings: Sequence[bytes], outlines: Floats, ways: Sequence[Turn]) -> None:
        super().__init__(renderings)
        self._outlines = outlines
        self._ways = ways

    def __call__(self, first: Positions, second: Positions) -> Verdicts:
        """Judge the pairs first[i], second[i], the second as it is and turned: the best counts."""
        agreement, detail = best = super().__call__(first, second)
        for way in self._ways:
            left = np.flatnonzero(~best.same & self._promising(way, first, second))
            found = self._turned(way, first[left], second[left])
            better = np.minimum(*found) > np.minimum(agreement[left], detail[left])
            agreement[left[better]], detail[left[better]] = (some[better] for some in found)
        return best

    def _promising(self, way: Turn, first: Positions, second: Positions) -> NDArray[np.bool_]:
        pictures, places = np.unique(second, return_inverse=True)
        turned = way.of_outlines(self._outlines[pictures])
        return np.asarray(np.einsum("ij,ij->i", self._outlines[first], turned[places]) >= _PROMISING)

    def _turned(self, way: Turn, first: Positions, second: Positions) -> Verdicts:
        (wholes, one), (turned, other) = (np.unique(some, return_inverse=True) for some in (first, second))
        pictures = np.concatenate((self._pictures[wholes], way.of_pictures(self._pictures[turned])))
        return SecondCheck.of(pictures)(one, len(wholes) + other)
