"""How well two pictures agree where they overlap, one of them shifted: two shots out of one hand.

Both are 16 x 16 means of their renderings, less the mean of the 5 x 5 around each: what is left are edges, so
that two photos with the same sky above and the same ground below do not agree for that. They are laid over
each other in 121 ways, up to a third of a side apart in either direction. The best correlation of what lies
on top of each other is the answer. All shifts of a pair at once are one product of their Fourier transforms
(Gonzalez and Woods, Digital Image Processing, "The correlation theorem").

``looking`` is stricter: there, one picture has to show all of the other, and it has to be the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from photoclip.duplicates.looking import SIDE

Floats = NDArray[np.float32]
Places = NDArray[np.intp]

_SIDE = SIDE // 2
_REACH = 5  # of 16 means, to either side
_ROOM = 24  # for a picture and the largest shift, so that nothing comes in again from the other side
_BATCH = 512
_SHIFTS = np.arange(-_REACH, _REACH + 1)
_HALVES = np.repeat(np.eye(_SIDE, dtype=np.float32), 2, axis=1) / 2
"""(16, 32): the means of two rows each."""
_AROUND = np.stack(
    [
        np.eye(_SIDE, dtype=np.float32)[np.clip(np.arange(-2, 3) + row, 0, _SIDE - 1)].mean(0)
        for row in range(_SIDE)
    ]
)
"""(16, 16): the mean of each row and the two on either side of it; the first and the last go on beyond."""
_COMMON = ((np.arange(_SIDE) >= _SHIFTS[:, None]) & (np.arange(_SIDE) < _SIDE + _SHIFTS[:, None])).astype(
    np.float32
)
"""(11, 16): of a picture that is moved by a shift, the rows or columns that lie on the other picture."""


class Shifted:
    """Compares pictures, given as their renderings; a picture's number is its place."""

    def __init__(self, renderings: Sequence[bytes]) -> None:
        self._pictures = np.frombuffer(b"".join(renderings), np.uint8).reshape(-1, SIDE, SIDE)

    def __call__(self, first: Places, second: Places) -> Floats:
        """Return how well first[i] and second[i] agree in the best of their shifts, (m,), 1 at the most.

        What has no edges agrees with nothing: 0.
        """
        found = np.empty(len(first), np.float32)
        for start in range(0, len(first), _BATCH):
            part = slice(start, start + _BATCH)
            found[part] = self._best(first[part], second[part])
        return found

    def _best(self, first: Places, second: Places) -> Floats:
        places, numbers = np.unique(np.concatenate((first, second)), return_inverse=True)
        one, other = numbers.reshape(2, -1)
        edges = _edges(self._pictures[places])
        waves = np.fft.rfft2(edges, (_ROOM, _ROOM))
        products = np.fft.irfft2(waves[one] * waves[other].conj(), (_ROOM, _ROOM))
        strengths = _COMMON @ (edges * edges) @ _COMMON.T
        # Where the one is moved this way, the other is moved the opposite way.
        both = strengths[one] * strengths[other][:, ::-1, ::-1]
        agreement = products[:, _SHIFTS][:, :, _SHIFTS] / np.sqrt(np.maximum(both, 1))
        return np.asarray(agreement.reshape(len(first), -1).max(1, initial=0), np.float32)


def _edges(pictures: NDArray[np.uint8]) -> Floats:
    """Return 16 x 16 means of pictures, (m, 32, 32), less what is around each of them."""
    means = _HALVES @ pictures.astype(np.float32) @ _HALVES.T
    return np.asarray(means - _AROUND @ means @ _AROUND.T, np.float32)
