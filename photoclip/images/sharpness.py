"""Which of several photos of one picture is the sharpest.

What a blur does to an edge shows when the picture is blurred once more: a steep edge loses half of its slope,
a soft one next to nothing. The measure is the slope of edges over their slope after a second, known blur
(S. Zhuo, T. Sim: Defocus map estimation from a single image, Pattern Recognition 44 (2011), 1852-1858): about
2 where all is sharp, 1 where nothing is. The steepest edges count most, so neither noise nor the blocks of
JPEG have much of a say; contrast cancels out. It is taken in four directions, for a camera that moves blurs
edges in one. Of 36 parts of the picture the one in the middle counts, so that writing does not; nor does the
outermost twelfth, where a frame may be.

Two photos are compared at the size of the smaller one, and at 1,024 pixels at most.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import log

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photoclip import config
from photoclip.images.pixels import within
from photoclip.images.thumbnails import part_of, square
from photoclip.images.workers import DecodePool
from photoclip.records import DecodedPhoto, FileStamp, Photo, ScannedFile

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]
Measured = dict[int, float]
"""Longer side in pixels → ``sharpness`` of a picture at that size."""

SIDE = 1024
"""The longer side, in pixels, at which photos are compared at most."""

STEP = 0.03
"""How much less one photo's ``sharpness`` has to be than another's to count as less sharp: a third of what a
blur of 0.7 pixels does. JPEG of quality 30, or a change of contrast, do less."""

_FINE, _COARSE = 1, 5  # times that a picture is blurred by (1 2 1) / 4, which has a variance of a half
_PARTS = 6  # each way
_FRAME = 12
_FLAT = 5.0  # slopes to the sixth power, a pixel: what noise of 10 levels leaves; without edges all is 1
_ALIKE = 1.05  # sizes so near to each other count as one


def losses(
    groups: Iterable[Sequence[Photo]], *, jobs: int = 0, progress: Progress | None = None
) -> dict[bytes, int]:
    """Return path → by how many steps the photo is less sharp than another of its group; 0: it is the
    sharpest, or nearly.

    ``groups`` are photos of one picture, each in one group. What is not there any more, changed or cannot be
    read is left out. Copies of one file are read once, and a group of only such copies not at all. ``jobs``:
    how many workers there may be (0: as many as cores); ``progress`` counts pictures. Raises PhotoclipError
    when no worker can be started.
    """
    groups = list(groups)
    places: dict[bytes, list[Photo]] = defaultdict(list)
    sizes: dict[bytes, Collection[int]] = {}
    found: dict[bytes, int] = {}
    several = [group for group in groups if len({photo.content_hash for photo in group}) > 1]
    for group in several:
        common = _common_sizes(map(_side, group))
        for photo in group:
            places[photo.content_hash].append(photo)
            own = common[_side(photo)]
            sizes[photo.content_hash] = sorted({size for size in common.values() if size <= own})
    measured = _measured(places, sizes, jobs, progress)
    for group in groups:
        if len({photo.content_hash for photo in group}) > 1:
            contents = {photo.content_hash for photo in group} & measured.keys()
            steps = _steps([measured[content] for content in contents])
            of = dict(zip(contents, steps, strict=True))
            found |= {photo.path: of[photo.content_hash] for photo in group if photo.content_hash in of}
        else:
            found |= dict.fromkeys((photo.path for photo in group), 0)
    return found


def sharpness(luminance: Floats) -> float:
    """Return how sharp a picture is, (h, w) of any range: the logarithm of the measure, 0 to about 0.8."""
    fine = _blurred(np.pad(luminance, _COARSE + 1, mode="edge"), _FINE)
    coarse = _blurred(fine, _COARSE - _FINE)
    rest = _COARSE - _FINE
    slopes = zip(_slopes(fine[rest:-rest, rest:-rest]), _slopes(coarse), strict=True)
    return log(max(0.5, float(np.mean([_middle(one, other) for one, other in slopes]))))


def _common_sizes(sides: Iterable[int]) -> dict[int, int]:
    """Return each side → the size that stands for it: not larger, and nearly the same."""
    found: dict[int, int] = {}
    size = 0
    for side in sorted(set(sides)):
        if side > size * _ALIKE:
            size = side
        found[side] = size
    return found


def _side(photo: Photo) -> int:
    return min(SIDE, max(photo.facts.width, photo.facts.height))


def _measured(
    places: Mapping[bytes, Sequence[Photo]],
    sizes: Mapping[bytes, Collection[int]],
    jobs: int,
    progress: Progress | None,
) -> dict[bytes, Measured]:
    """Return content → its measures at its ``sizes``; of a content that cannot be read in one of its
    ``places``, the next is tried."""
    found: dict[bytes, Measured] = {}
    waiting = {content: sorted(photos) for content, photos in places.items()}
    with DecodePool(jobs or config.cpu_count(), square(SIDE)) as pool:
        while waiting:
            asked = [photos.pop(0) for photos in waiting.values()]
            for photo, (_, outcome) in zip(asked, pool.run(map(_file, asked)), strict=True):
                content = photo.content_hash
                if isinstance(outcome, DecodedPhoto) and outcome.content_hash == content:
                    found[content] = _measures(outcome, sizes[content])
                if content in found or not waiting[content]:
                    del waiting[content]
                    if progress is not None:
                        progress(len(places) - len(waiting), len(places))
    return found


def _file(photo: Photo) -> ScannedFile:
    """Return the file of a photo as it was indexed; a worker refuses what has another size or time."""
    return ScannedFile(photo.path, FileStamp(photo.size, photo.mtime_ns, 0, 0))


def _measures(decoded: DecodedPhoto, sizes: Iterable[int]) -> Measured:
    padded = Image.frombuffer("RGB", (SIDE, SIDE), decoded.pixels)
    whole = padded.crop(part_of(padded, decoded)).convert("L")
    found: Measured = {}
    for size in sizes:
        picture = whole if size == SIDE else whole.resize(within(whole.size, size), Image.Resampling.BICUBIC)
        found[size] = sharpness(np.asarray(picture, np.float32))
    return found


def _steps(measured: Sequence[Measured]) -> list[int]:
    """Return by how many steps each of a group is less sharp than any other, at the size of the smaller."""
    best: Measured = defaultdict(float)  # at a size, of those that are as large or larger
    own: Measured = defaultdict(float)  # at a size, of those that have it
    for one in measured:
        for size, value in one.items():
            best[size] = max(best[size], value)
        own[max(one)] = max(own[max(one)], one[max(one)])
    return [
        int(max(best[max(one)] - one[max(one)], *(own[size] - one[size] for size in one)) / STEP)
        for one in measured
    ]


def _blurred(picture: Floats, times: int) -> Floats:
    """Return a picture blurred by (1 2 1) / 4, both ways, without the border of one pixel each time."""
    for _ in range(times):
        picture = (picture[:-2] + 2 * picture[1:-1] + picture[2:]) * np.float32(0.25)
        picture = (picture[:, :-2] + 2 * picture[:, 1:-1] + picture[:, 2:]) * np.float32(0.25)
    return picture


def _slopes(picture: Floats) -> tuple[Floats, ...]:
    """Return the slopes of a picture across, down and along both diagonals, without its border and frame."""
    across = (picture[1:-1, 2:] - picture[1:-1, :-2]) * np.float32(0.5)
    down = (picture[2:, 1:-1] - picture[:-2, 1:-1]) * np.float32(0.5)
    high, wide = (side // _FRAME for side in across.shape)
    across, down = (one[high : len(one) - high, wide : one.shape[1] - wide] for one in (across, down))
    diagonal = np.float32(0.5**0.5)
    return across, down, (across + down) * diagonal, (across - down) * diagonal


def _middle(fine: Floats, coarse: Floats) -> float:
    """Return the ratio of slopes in the middle one of all parts; parts with more edges count for more."""
    square = coarse * coarse
    weight = square * square
    alone = _sums(square * weight)
    flat = _FLAT * coarse.size / len(alone)
    ratio = (_sums(fine * coarse * weight) + flat) / (alone + flat)
    heed = np.log1p(alone / flat)
    order = np.argsort(ratio)
    heard = np.cumsum(heed[order])
    return float(ratio[order][np.searchsorted(heard, heard[-1] / 2)])


def _sums(values: Floats) -> NDArray[np.float64]:
    """Return the sum of each part of a picture."""
    high, wide = (np.linspace(0, side, min(side, _PARTS) + 1).astype(int)[:-1] for side in values.shape)
    return np.add.reduceat(np.add.reduceat(values, high, 0, np.float64), wide, 1).ravel()
