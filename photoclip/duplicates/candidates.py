"""Which pairs of pictures are worth a second look.

A picture's candidates are the few others that are nearest to it, in the embedding and in outline, so
their number grows with the library and not with its square, however many photos of one place it holds. The
embedding knows a picture by what it shows, also with a frame or cropped; the outline knows it when it is
very small or grey, where the model sees something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from photoclip.duplicates.looking import SIDE

Floats = NDArray[np.float32]
Positions = NDArray[np.intp]
Progress = Callable[[int, int], None]

NEIGHBOURS = 8
"""How many of the nearest others are candidates, in the embedding and in outline each."""

CANDIDATE_SIMILARITY = 0.5
"""Cosine from which a neighbour in the embedding is a candidate."""

CONTRADICTION = 0.3
"""Cosine below which two contents are not the same picture, however alike their outlines are."""

OUTLINE = 0.9
"""Cosine of outlines from which a neighbour is a candidate."""


class Pairs(NamedTuple):
    """Pairs of places, ``first`` < ``second``, and their cosines, each (m,)."""

    first: Positions
    second: Positions
    cosine: Floats


_WAVES = 6
_FADE = 0.1  # of waves, for each that is higher
_DIRECTIONS = 40  # of embeddings, in which neighbours are looked for first
_MORE = 3  # times as many neighbours there, because those directions are not all of it
_BLOCK = 512
_WIDTH = 1024
_PAIRS = 8192
_SAMPLE = 2048


def near_in_outline(outlines: Floats, embeddings: Floats, progress: Progress | None = None) -> Pairs:
    """Return the pairs of places (first < second, in order) of pictures that are near in outline, and each
    pair's cosine; ``embeddings``, (n, d) of unit length, must not speak against it."""
    first, second = _pairs_among_nearest(outlines, NEIGHBOURS, progress)
    similarity = np.einsum("ij,ij->i", outlines[first], outlines[second])
    near = (similarity >= OUTLINE) & (_cosines(embeddings, first, second) >= CONTRADICTION)
    return Pairs(first[near], second[near], similarity[near])


def near_in_embedding(embeddings: Floats, progress: Progress | None = None) -> Pairs:
    """Return the pairs of places (first < second, in order) of pictures that are near in the embedding,
    (n, d) of unit length, and each pair's cosine."""
    first, second = _pairs_among_nearest(_shortened(embeddings), _MORE * NEIGHBOURS, progress)
    similarity = _cosines(embeddings, first, second)
    ranks = _ranks(np.concatenate((first, second)), np.tile(similarity, 2)).reshape(2, -1)
    near = (similarity >= CANDIDATE_SIMILARITY) & (ranks.min(0) < NEIGHBOURS)
    return Pairs(first[near], second[near], similarity[near])


def _pairs_among_nearest(vectors: Floats, k: int, progress: Progress | None) -> tuple[Positions, Positions]:
    """Return every two of which one is among the ``k`` nearest of the other."""
    count = len(vectors)
    found = [np.empty(0, np.int64)]
    for places, others in _nearest(vectors, k):
        rows, others = np.repeat(places, others.shape[1]), others.ravel()
        rows, others = rows[others >= 0], others[others >= 0]
        found.append(np.minimum(rows, others) * count + np.maximum(rows, others))
        if progress is not None:
            progress(int(places[-1]) + 1, count)
    first, second = np.divmod(np.unique(np.concatenate(found)), max(count, 1))
    return first, second


def _cosines(rows: Floats, first: Positions, second: Positions) -> Floats:
    found = np.empty(len(first), np.float32)
    for start in range(0, len(first), _PAIRS):
        part = slice(start, start + _PAIRS)
        found[part] = np.einsum("ij,ij->i", rows[first[part]], rows[second[part]])
    return found


def _ranks(places: Positions, similarity: Floats) -> Positions:
    """Return of each pair how many pairs of the same place are nearer."""
    order = np.lexsort((-similarity, places))
    ranks = np.empty(len(places), np.intp)
    ranks[order] = _counted(places[order])
    return ranks


def _counted(runs: Positions) -> Positions:
    """Return of each number its place in its run; equal numbers are side by side."""
    return np.asarray(np.arange(len(runs)) - np.searchsorted(runs, runs), np.intp)


def outlines_of(renderings: Sequence[bytes]) -> Floats:
    """Return the lowest frequencies of pictures, (n, 35), of unit length: the discrete cosine transform of
    what is left of a picture when it fades out towards its edges. Blank pictures are zero."""
    frequency, place = np.arange(_WAVES)[:, None], np.arange(SIDE)[None]
    waves = np.cos(np.pi * frequency * (2 * place + 1) / (2 * SIDE)).astype(np.float32)
    window = np.sin(np.pi * (np.arange(SIDE) + 0.5) / SIDE).astype(np.float32)
    fade = np.exp(-_FADE * np.add.outer(np.arange(_WAVES), np.arange(_WAVES))).astype(np.float32)
    found = np.empty((len(renderings), _WAVES**2 - 1), np.float32)
    for start in range(0, len(renderings), _BLOCK):
        part = slice(start, start + _BLOCK)
        pixels = (
            np.frombuffer(b"".join(renderings[part]), np.uint8).reshape(-1, SIDE, SIDE).astype(np.float32)
        )
        pixels -= pixels.mean((1, 2), keepdims=True)
        strengths = (waves @ (pixels * window[:, None] * window) @ waves.T) * fade
        rows = strengths.reshape(len(pixels), -1)[:, 1:]
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        found[part] = np.where(lengths > 1, rows / np.maximum(lengths, 1), 0)
    return found


def _shortened(embeddings: Floats) -> Floats:
    """Return embeddings less their mean, in the directions in which they differ most."""
    if not len(embeddings):
        return embeddings
    step = len(embeddings) // (2 * _SAMPLE) + 1
    mean = embeddings[::step].mean(0)
    sample = (embeddings[::step] - mean).astype(np.float64)
    _, directions = np.linalg.eigh(sample.T @ sample)
    basis = directions[:, -_DIRECTIONS:].astype(np.float32)
    short = np.empty((len(embeddings), basis.shape[1]), np.float32)
    for start in range(0, len(embeddings), _BLOCK):
        part = slice(start, start + _BLOCK)
        short[part] = (embeddings[part] - mean) @ basis
    return np.asarray(short / np.maximum(np.linalg.norm(short, axis=1, keepdims=True), 1e-6), np.float32)


def _nearest(vectors: Floats, k: int) -> Iterator[tuple[Positions, Positions]]:
    """Yield places (b,) and their nearest others, (b, k), in no order, -1 where there are fewer.

    A sample says from which product on a row has about three times ``k`` others; only those are ranked,
    which is ten times faster than to rank all. A row that the sample misleads has fewer than ``k``.
    """
    count = len(vectors)
    step = count // _SAMPLE + 1
    sample = vectors[::step]
    rank = max(2, -(-3 * k * len(sample) // max(count, 1)))
    rank = min(k + 1 if step == 1 else rank, len(sample))
    for start in range(0, count, _BLOCK):
        block = vectors[start : start + _BLOCK]
        floor = -np.partition(-(block @ sample.T), rank - 1, axis=1)[:, rank - 1]
        left, right, value = _above(block, vectors, floor, start)
        order = np.lexsort((-value, left))
        left, right = left[order], right[order]
        place = _counted(left)
        near = np.full((len(block), k), -1, np.intp)
        few = place < k
        near[left[few], place[few]] = right[few]
        yield start + np.arange(len(block)), near


def _above(block: Floats, vectors: Floats, floor: Floats, start: int) -> tuple[Positions, Positions, Floats]:
    """Return which rows of ``block`` have a product of ``floor`` and more with which others, and it."""
    left, right, value = [], [], []
    for top in range(0, len(vectors), _WIDTH):
        products = block @ vectors[top : top + _WIDTH].T
        found = np.flatnonzero(products >= floor[:, None])
        row, column = np.divmod(found, products.shape[1])
        other = row + start != column + top
        left.append(row[other])
        right.append(column[other] + top)
        value.append(products.ravel()[found[other]])
    return np.concatenate(left), np.concatenate(right), np.concatenate(value)
