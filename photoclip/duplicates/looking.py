"""The second check: whether two pictures are one, by their pixels.

All that is kept of a picture is 32 x 32 pixels of luminance, whatever its proportions. One picture is laid
over the other so that both agree best; then it is judged how well they do.

1. *Where.* 8 x 8 means of one picture against those of 196 windows of the other. What agrees nowhere by
   COARSE is another picture.
2. *Exactly where.* From that window on, six numbers (an affine map: shift, size, a small turn) together with
   brightness and contrast are improved by Gauss-Newton steps on the difference of both (Lucas and Kanade
   1981; Baker and Matthews 2004, "Lucas-Kanade 20 Years On").
3. *How well.* Agreement is the zero-mean normalised cross-correlation of both, which brightness and contrast
   do not change (Gonzalez and Woods, Digital Image Processing, "Matching by correlation"); detail is the same
   after a 3 x 3 mean is taken away. Agreement alone would make one picture of every two with the same sky
   above and the same ground below.

Either picture may be the part of the other, so both ways are tried. The edge of the part does not count:
there, the other one may have a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Positions = NDArray[np.intp]

SIDE = 32
"""Pixels along a side of a stored rendering."""

AGREEMENT = 0.93
"""From which agreement on two pictures may be one."""

DETAIL = 0.955
"""From which detail on two pictures may be one.

Of 150 photos copied in 22 ways, 19 copies of 20 of each kind reach it, but for those with a watermark (see
docs/concepts/duplicates.md). Two different photos, among 22,360 of few classes, reach 0.949, those of a
stereo pair 0.944.
"""

NEARLY = 0.9
"""Agreement and detail that two pictures of a group have at least, if a third one ties them together."""

COARSE = 0.8
"""Agreement of 8 x 8 means from which on two pictures are aligned exactly."""

_SHORTEST = 0.72  # side of a window, of the whole side
_STEP = 0.1  # between windows, of the whole side
_COARSE_SIDE = 8
_GRID = 16  # points along a side, where two aligned pictures are compared
_INSET = 0.92  # of the part: what is further out is its edge
_LEAST_CONTRAST = 2.0  # standard deviation, of 256 levels
_HOPELESS = 0.4  # of detail, in the best coarse window
_UNPROMISING = 0.7  # of detail, after a few steps
_SURE = 0.985  # of agreement and detail: no need to look on
_STEPS = (3, 4)
_LARGEST_STEP = 0.15
_LEAST_COMMON = 0.85  # of the points of the part, inside the other picture
_SIZES = 0.5, 1.15  # of the part's area in the other picture
_TURN = 0.12  # of an axis towards the other: 5 degrees and a picture half as wide again as it is high
_SHEAR = 0.03
_BATCH = 256


class Verdicts(NamedTuple):
    """What was found about pairs: agreement and detail, (m,); -1 where they were not looked at closely."""

    agreement: Floats
    detail: Floats

    @property
    def same(self) -> NDArray[np.bool_]:
        """Which pairs are the same picture."""
        return (self.agreement >= AGREEMENT) & (self.detail >= DETAIL)

    @property
    def nearly(self) -> NDArray[np.bool_]:
        """Which pairs may be two copies of a third picture."""
        return (self.agreement >= NEARLY) & (self.detail >= NEARLY)


class Judged(NamedTuple):
    """Pairs of places, ``first`` < ``second``, (m,), and what was found about them."""

    first: Positions
    second: Positions
    verdicts: Verdicts

    @classmethod
    def none(cls) -> Judged:
        """Return no pairs."""
        nothing = np.empty(0, np.float32)
        return cls(np.empty(0, np.intp), np.empty(0, np.intp), Verdicts(nothing, nothing))


def same_picture(first: bytes, second: bytes) -> bool:
    """Return whether one of two renderings (32 x 32 luminance) shows the other or a part of it."""
    check = SecondCheck([first, second])
    return bool(check(np.array([0]), np.array([1])).same[0])


class SecondCheck:
    """Compares pictures, given as their renderings, 1,024 bytes each; a picture's number is its place."""

    def __init__(self, renderings: Sequence[bytes]) -> None:
        self._pictures = np.frombuffer(b"".join(renderings), np.uint8).reshape(-1, SIDE, SIDE)

    @classmethod
    def of(cls, pictures: NDArray[np.uint8]) -> SecondCheck:
        """Compare ``pictures``, (n, 32, 32)."""
        check = SecondCheck(())
        check._pictures = pictures
        return check

    def __call__(self, first: Positions, second: Positions) -> Verdicts:
        """Judge the pairs first[i], second[i]. The order of two pictures does not matter."""
        return self._aligned(np.minimum(first, second), np.maximum(first, second))[0]

    def over(self, first: Positions, second: Positions, third: Positions) -> Verdicts:
        """Judge the pairs first[i], second[i] as both lie over third[i], which is the same picture as either.

        They may be moved or turned too far from each other to find one in the other.
        """
        maps = _product(self._maps(third, second), self._maps(first, third))
        one, other = self._shared(first, second, maps), self._shared(second, first, _inverse(maps))
        better = np.minimum(*one) > np.minimum(*other)
        return Verdicts(*(np.where(better, *both) for both in zip(one, other, strict=True)))

    def _shared(self, first: Positions, second: Positions, maps: Floats) -> tuple[Floats, Floats]:
        """Return agreement and detail of pairs when ``maps`` lay first[i] on second[i]."""
        parts, wholes = _softened(self._pictures[first]), _softened(self._pictures[second])
        targets = _sampled(_inner(parts), np.broadcast_to(_IDENTITY, maps.shape))[0][..., 0]
        return _agreements(_inner(wholes), targets, maps)

    def _maps(self, source: Positions, target: Positions) -> Floats:
        """Return the maps that lay source[i] on target[i], of pairs that are the same picture, (m, 6)."""
        maps = self._aligned(np.minimum(source, target), np.maximum(source, target))[1]
        return np.where((source > target)[:, None], maps, _inverse(maps))

    def _aligned(self, first: Positions, second: Positions) -> tuple[Verdicts, Floats]:
        """Judge pairs, first < second, and return the maps that lay second[i] on first[i], (m, 6)."""
        agreement, detail = (np.full(len(first), -1, np.float32) for _ in range(2))
        laid = np.tile(_IDENTITY, (len(first), 1))
        for whole, part in ((first, second), (second, first)):
            left = np.flatnonzero((detail < DETAIL) | (agreement < AGREEMENT))
            if not len(left):
                break
            hopeful, windows = self._coarse(whole[left], part[left])
            left = left[hopeful]
            for start in range(0, len(left), _BATCH):
                some = left[start : start + _BATCH]
                *found, maps = self._fine(whole[some], part[some], windows[start : start + _BATCH])
                better = np.minimum(*found) > np.minimum(agreement[some], detail[some])
                agreement[some[better]], detail[some[better]] = (one[better] for one in found)
                laid[some[better]] = (maps if whole is first else _inverse(maps))[better]
        return Verdicts(agreement, detail), laid

    def views(self, places: Positions) -> tuple[Floats, Floats]:
        """Return pictures as they are compared, but not moved: all of each, and its detail.

        Rows, (m, 256) both, have unit length. The products of two pictures' rows are the agreement and the
        detail of the one laid over the other.
        """
        soft = _softened(self._pictures[places])
        points = _sampled(_inner(soft), np.tile(_IDENTITY, (len(places), 1)))[0][..., 0]
        return _unit(points), _unit(_fine_part(points))

    def _coarse(self, whole: Positions, part: Positions) -> tuple[Positions, Floats]:
        """Return which pairs agree somewhere, and the maps of the parts to the best windows, (k, 6)."""
        best = np.zeros(len(whole), np.intp)
        agreement = np.zeros(len(whole), np.float32)
        targets = _targets(self._pictures, part)
        order = np.argsort(whole, kind="stable")
        for run in np.split(order, np.flatnonzero(np.diff(whole[order])) + 1):
            # Rounded, so that the size of a block does not decide between two windows that are as good.
            found = np.round(_in_windows(self._pictures[whole[run[0]]], targets[run]), 4)
            best[run] = found.argmax(0)
            agreement[run] = found.max(0)
        hopeful = np.flatnonzero(agreement >= COARSE)
        return hopeful, _MAPS[best[hopeful]]

    def _fine(self, whole: Positions, part: Positions, maps: Floats) -> tuple[Floats, Floats, Floats]:
        """Return agreement and detail of pairs after aligning them, and the maps of that."""
        maps = maps.copy()
        wholes, parts = _softened(self._pictures[whole]), _softened(self._pictures[part])
        targets = _sampled(_inner(parts), np.broadcast_to(_IDENTITY, maps.shape))[0][..., 0]
        agreement, detail = _agreements(_inner(wholes), targets, maps)
        for steps, least in zip(_STEPS, (_HOPELESS, _UNPROMISING), strict=True):
            left = np.flatnonzero((detail >= least) & (np.minimum(agreement, detail) < _SURE))
            slopes = _with_slopes(wholes[left])
            for _ in range(steps):
                maps[left] = _improved(slopes, targets[left], maps[left])
            agreement[left], detail[left] = _agreements(slopes[..., :1], targets[left], maps[left])
        impossible = ~_possible(maps)
        agreement[impossible] = detail[impossible] = -1
        return agreement, detail, maps


# -- where ------------------------------------------------------------------------------------------


def _intervals() -> NDArray[np.float64]:
    """Return windows along one side, (start, length), in shares of the side."""
    found = []
    for length in (1.0, 0.92, 0.85, 0.78, _SHORTEST):
        places = 1 + int(np.ceil((1 - length) / _STEP - 1e-9))
        found += [(start, length) for start in np.linspace(0, 1 - length, places)]
    return np.array(found)


def _means(windows: NDArray[np.float64]) -> Floats:
    """Return (w, 8, 32) weights that average the pixels under each eighth of each window."""
    edges = SIDE * (windows[:, :1] + windows[:, 1:] * np.arange(_COARSE_SIDE + 1) / _COARSE_SIDE)
    pixels = np.arange(SIDE)
    overlap = np.minimum(edges[:, 1:, None], pixels + 1) - np.maximum(edges[:, :-1, None], pixels)
    share = SIDE * windows[:, 1, None, None] / _COARSE_SIDE
    return np.asarray(np.clip(overlap, 0, None) / share, np.float32)


def _maps_of(intervals: NDArray[np.float64]) -> Floats:
    """Return the maps, (w * w, 6), from -1..1 in a part to -1..1 in the whole; see ``_sampled``."""
    count = len(intervals)
    length = intervals[:, 1]
    middle = 2 * intervals[:, 0] + length - 1
    maps = np.zeros((count, count, 6), np.float32)
    maps[..., 0], maps[..., 2] = length[:, None], middle[:, None]
    maps[..., 4], maps[..., 5] = length, middle
    return maps.reshape(-1, 6)


_INTERVALS = _intervals()
_MAPS = _maps_of(_INTERVALS)
_ALL_MEANS = _means(_INTERVALS).reshape(-1, SIDE)
_WHOLE_MEANS = _means(np.array([[0.0, 1.0]]))[0]
_ONES = np.ones((1, _COARSE_SIDE**2), np.float32)
_IDENTITY = np.array([1, 0, 0, 0, 1, 0], np.float32)


def _in_windows(picture: NDArray[np.uint8], targets: Floats) -> Floats:
    """Return the agreement of every window of a picture with every target, (196, t)."""
    count, numbers = len(_INTERVALS), _COARSE_SIDE**2
    pixels = picture.astype(np.float32)
    pixels -= pixels.mean()  # for the precision of the next lines
    means = (_ALL_MEANS @ pixels @ _ALL_MEANS.T).reshape(count, _COARSE_SIDE, count, _COARSE_SIDE)
    windows = means.swapaxes(1, 2).reshape(-1, numbers)
    # Targets have mean 0, so the windows' own means need not be taken away, only their share in the length.
    products = windows @ np.concatenate((targets, _ONES)).T
    shares = products[:, -1] ** 2 / numbers
    lengths = np.sqrt(np.maximum(np.einsum("wi,wi->w", windows, windows) - shares, 1.0))
    return np.asarray(products[:, :-1] / lengths[:, None], np.float32)


def _targets(pictures: NDArray[np.uint8], wanted: Positions) -> Floats:
    """Return the 8 x 8 means of whole pictures, (m, 64), with mean 0 and length 1; blank ones are nothing."""
    unique, places = np.unique(wanted, return_inverse=True)
    found = np.empty((len(unique), _COARSE_SIDE**2), np.float32)
    for start in range(0, len(unique), 4096):
        some = pictures[unique[start : start + 4096]].astype(np.float32)
        squares: Floats = _WHOLE_MEANS @ some @ _WHOLE_MEANS.T
        means = _unit(squares.reshape(len(some), -1))
        means[some.std((1, 2)) < _LEAST_CONTRAST] = 0
        found[start : start + 4096] = means
    return found[places]


def _unit(rows: Floats, counts: Floats | None = None) -> Floats:
    """Return rows with mean 0 and length 1. ``counts``: 1 for the numbers that count, 0 for others."""
    if counts is None:
        centred = rows - rows.mean(1, keepdims=True)
    else:
        mean = (rows * counts).sum(1, keepdims=True) / np.maximum(counts.sum(1, keepdims=True), 1)
        centred = (rows - mean) * counts
    lengths = np.sqrt(np.einsum("ij,ij->i", centred, centred))[:, None]
    return np.asarray(centred / np.maximum(lengths, 1e-3), np.float32)


# -- exactly where ----------------------------------------------------------------------------------

_ALONG = ((np.arange(_GRID) + 0.5) / _GRID * 2 - 1) * _INSET
_Y, _X = (axis.ravel().astype(np.float32) for axis in np.meshgrid(_ALONG, _ALONG, indexing="ij"))
_MOVES = np.stack([_Y, _X, np.ones_like(_Y)], axis=1) * (SIDE / 2)  # (points, 3), in pixels


def _softened(pictures: NDArray[np.uint8]) -> Floats:
    """Return pictures a little blurred, with one more pixel on all sides, (m, 34, 34)."""
    padded = np.pad(pictures.astype(np.float32), [(0, 0), (2, 2), (2, 2)], mode="edge")
    rows = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    return np.asarray((rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 4, np.float32)


def _inner(soft: Floats) -> Floats:
    """Return softened pictures as ``_sampled`` takes them, (m, 32, 32, 1)."""
    return soft[:, 1:-1, 1:-1, None]


def _with_slopes(soft: Floats) -> Floats:
    """Return softened pictures and their slopes down and across, (m, 32, 32, 3)."""
    down, across = soft[:, 2:, 1:-1] - soft[:, :-2, 1:-1], soft[:, 1:-1, 2:] - soft[:, 1:-1, :-2]
    return np.stack([soft[:, 1:-1, 1:-1], down / 2, across / 2], axis=-1)


def _sampled(pictures: Floats, maps: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return pictures (m, 32, 32, c) at the points of the grid, (m, 256, c), and whether those are inside.

    A map (a, b, c, d, e, f) takes the point (y, x), both from -1 to 1, to (ay + bx + c, dy + ex + f).
    """
    down = SIDE / 2 * (maps[:, :1] * _Y + maps[:, 1:2] * _X + maps[:, 2:3] + 1) - 0.5
    across = SIDE / 2 * (maps[:, 3:4] * _Y + maps[:, 4:5] * _X + maps[:, 5:6] + 1) - 0.5
    inside = (np.abs(down - (SIDE - 1) / 2) <= SIDE / 2) & (np.abs(across - (SIDE - 1) / 2) <= SIDE / 2)
    down, across = np.clip(down, 0, SIDE - 1.001), np.clip(across, 0, SIDE - 1.001)
    top, left = down.astype(np.int32), across.astype(np.int32)
    # float32 less int32 would be float64, and everything from here on three times as slow.
    below = np.subtract(down, top, dtype=np.float32)[..., None]
    beside = np.subtract(across, left, dtype=np.float32)[..., None]
    flat = pictures.reshape(-1, pictures.shape[-1])
    at = np.arange(len(pictures))[:, None] * SIDE**2 + top * SIDE + left
    upper = flat.take(at, 0) * (1 - beside) + flat.take(at + 1, 0) * beside
    lower = flat.take(at + SIDE, 0) * (1 - beside) + flat.take(at + SIDE + 1, 0) * beside
    return upper * (1 - below) + lower * below, inside


def _improved(wholes: Floats, targets: Floats, maps: Floats) -> Floats:
    """Return the maps after one step towards the least squares of whole - (brightness + contrast target)."""
    found, inside = _sampled(wholes, maps)
    ones = np.ones_like(targets)
    slopes = np.concatenate(
        [
            found[..., 1:2] * _MOVES,
            found[..., 2:3] * _MOVES,
            np.stack([-targets, -ones], axis=-1),
        ],
        axis=-1,
    )
    slopes *= inside[..., None]
    turned = slopes.swapaxes(1, 2)
    normal = (turned @ slopes).astype(np.float64)
    diagonal = np.einsum("mii->mi", normal)
    diagonal += 1e-3 * diagonal + 1e-2  # flat pictures have no best place
    wanted = (turned @ (found[..., 0] * inside)[..., None]).astype(np.float64)
    step = -np.linalg.solve(normal, wanted)[:, :6, 0]
    step /= np.maximum(1, np.abs(step).max(1, keepdims=True) / _LARGEST_STEP)
    return np.asarray(maps + step, np.float32)


def _product(then: Floats, first: Floats) -> Floats:
    """Return the maps that do what ``first`` does and then what ``then`` does."""
    after, before = then.reshape(-1, 2, 3), first.reshape(-1, 2, 3)
    found = after[..., :2] @ before
    found[..., 2] += after[..., 2]
    return np.asarray(found.reshape(-1, 6), np.float32)


def _inverse(maps: Floats) -> Floats:
    """Return the maps that undo ``maps``; of one that takes a picture to a line, some map."""
    a, b, c, d, e, f = maps.T
    area = a * e - b * d
    area[np.abs(area) < 1e-6] = 1
    found = np.stack([e, -b, b * f - c * e, -d, a, c * d - a * f])
    return np.asarray((found / area).T, np.float32)


# -- how well ---------------------------------------------------------------------------------------


def _agreements(wholes: Floats, targets: Floats, maps: Floats) -> tuple[Floats, Floats]:
    """Return agreement and detail of aligned pairs; -1 where they share too little."""
    sampled, inside = _sampled(wholes[..., :1], maps)
    found, counts = sampled[..., 0], inside.astype(np.float32)
    agreement = np.einsum("mp,mp->m", _unit(found, counts), _unit(targets, counts))
    detail = np.einsum("mp,mp->m", _unit(_fine_part(found), counts), _unit(_fine_part(targets), counts))
    apart = counts.mean(1) < _LEAST_COMMON
    agreement[apart] = detail[apart] = -1
    return agreement, detail


def _fine_part(points: Floats) -> Floats:
    """Return grids of points, (m, 256), less their 3 x 3 mean."""
    padded: Any = np.pad(points.reshape(-1, _GRID, _GRID), [(0, 0), (1, 1), (1, 1)], mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    mean = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9
    return np.asarray(points - mean.reshape(points.shape), np.float32)


def _possible(maps: Floats) -> NDArray[np.bool_]:
    """Return which maps are what an editor does: a part of some size, hardly turned and not slanted."""
    down, lean, _, tilt, across, _ = maps.T
    area = down * across - lean * tilt
    # A turn tilts both axes, in opposite directions; in a picture squashed to a square not by the same angle.
    slant = np.sign(lean) * np.sign(tilt) * np.sqrt(np.abs(lean * tilt))
    return np.asarray(
        np.isfinite(maps).all(1)
        & (area >= _SIZES[0])
        & (area <= _SIZES[1])
        & (np.maximum(np.abs(lean), np.abs(tilt)) <= _TURN)
        & (slant <= _SHEAR)
    )
