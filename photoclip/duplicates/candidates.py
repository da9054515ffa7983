"""Which pairs of pictures are worth a second look.

A picture's candidates are the few others that are nearest to it, in the embedding and in outline, so
their number grows with the library and not with its square, however many photos of one place it holds. The
embedding knows a picture by what it shows, also with a frame or cropped; the outline knows it when it is
very small or grey, where the model sees something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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

    @classmethod
    def none(cls) -> Pairs:
        """Return no pairs."""
        return cls(*_NONE)

    @classmethod
    def joined(cls, parts: Sequence[Pairs]) -> Pairs:
        """Return the pairs of all parts."""
        return cls(*(np.concatenate([part[side] for part in parts]) for side in range(3)))

    def where(self, wanted: Any) -> Pairs:
        """Return the pairs at some places, or those for which it is true."""
        return Pairs(*(some[wanted] for some in self))


class Earlier(NamedTuple):
    """What is known from an earlier run: the pairs it found, and which places it has not compared."""

    pairs: Pairs
    new: Positions


Ranked = tuple[Positions, Positions, Floats]
"""Of each row some others, and their products: (m,) each."""

_NONE: Ranked = (np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0, np.float32))
_WAVES = 6
_FADE = 0.1  # of waves, for each that is higher
_DIRECTIONS = 40  # of embeddings, in which neighbours are looked for first
_MORE = 3  # times as many neighbours there, because those directions are not all of it
_BLOCK = 512
_PRODUCTS = 8_000_000
_WIDTH = 1024
_PAIRS = 8192
_SAMPLE = 2048
_RANKED_AT_ONCE = 2_000_000
_ROUNDING = np.float32(1e-7)  # of products, which depends on what else is computed with them


def near_in_outline(
    outlines: Floats, embeddings: Floats, progress: Progress | None = None, earlier: Earlier | None = None
) -> Pairs:
    """Return the pairs of places (first < second, in order) of pictures that are near in outline, and each
    pair's cosine; ``embeddings``, (n, d) of unit length, must not speak against it. Where something is known
    from ``earlier``, only what is new is compared with all."""
    if earlier is None:
        pairs = _pairs_among_nearest(outlines, NEIGHBOURS, progress, OUTLINE)
        found = Pairs(*pairs, np.einsum("ij,ij->i", outlines[pairs[0]], outlines[pairs[1]]))
    else:
        found = _near_new(outlines, earlier, OUTLINE, progress)
    near = found.cosine >= OUTLINE
    near[near] = _cosines(embeddings, found.first[near], found.second[near]) >= CONTRADICTION
    return _nearest_of_either(found.where(near), earlier, len(outlines))


def near_in_embedding(
    embeddings: Floats, progress: Progress | None = None, earlier: Earlier | None = None
) -> Pairs:
    """Return the pairs of places (first < second, in order) of pictures that are near in the embedding,
    (n, d) of unit length, and each pair's cosine; ``earlier`` as in ``near_in_outline``."""
    if earlier is None:
        pairs = _pairs_among_nearest(_shortened(embeddings), _MORE * NEIGHBOURS, progress)
        found = Pairs(*pairs, _cosines(embeddings, *pairs))
    else:
        found = _near_new(embeddings, earlier, CANDIDATE_SIMILARITY, progress)
    return _nearest_of_either(found.where(found.cosine >= CANDIDATE_SIMILARITY), earlier, len(embeddings))


def near_when_turned(
    outlines: Floats, embeddings: Floats, turned: Floats, progress: Progress | None = None
) -> Pairs:
    """Return what ``near_in_outline`` does, of pictures of which one is turned: ``turned``, (n, 35), are the
    outlines of all when they are. No picture is paired with itself."""
    first, second = _pairs_among_nearest(outlines, NEIGHBOURS, progress, OUTLINE, turned)
    either = [
        np.einsum("ij,ij->i", *rows)
        for rows in ((turned[first], outlines[second]), (outlines[first], turned[second]))
    ]
    found = Pairs(first, second, np.maximum(*either))
    near = found.cosine >= OUTLINE
    near[near] = _cosines(embeddings, first[near], second[near]) >= CONTRADICTION
    return found.where(near)


def _nearest_of_either(found: Pairs, earlier: Earlier | None, count: int) -> Pairs:
    """Return the pairs of which one is among the nearest of the other, of those found now and earlier."""
    if earlier is not None:
        both = Pairs.joined([earlier.pairs, found])
        _, places = np.unique(both.first * count + both.second, return_index=True)
        found = both.where(places)
    return found.where(_ranks(found).min(0) < NEIGHBOURS)


def _near_new(vectors: Floats, earlier: Earlier, least: float, progress: Progress | None) -> Pairs:
    """Return every two, with a cosine of ``least`` and more, of which one is new and among the nearest of the
    other, by all that is known of that. Some may be there twice."""
    floors = np.full(len(vectors), least, np.float32)
    last = _ranks(earlier.pairs) == NEIGHBOURS - 1
    for side, places in enumerate(earlier.pairs[:2]):
        floors[places[last[side]]] = earlier.pairs.cosine[last[side]]
    floors[earlier.new] = np.inf  # found in their own rows
    found = [Pairs.none()]
    at_once = max(1, _PRODUCTS // max(1, len(vectors)))
    for start in range(0, len(earlier.new), at_once):
        places = earlier.new[start : start + at_once]
        products = vectors[places] @ vectors.T
        products[np.arange(len(places)), places] = -1
        k = max(0, len(vectors) - NEIGHBOURS)
        own = np.maximum(np.partition(products, k, axis=1)[:, k, None], least)
        row, other = np.nonzero(products >= np.minimum(own, floors))
        one = places[row]
        found.append(Pairs(np.minimum(one, other), np.maximum(one, other), products[row, other]))
        if progress is not None:
            progress(start + len(places), len(earlier.new))
    return Pairs.joined(found)


def _pairs_among_nearest(
    vectors: Floats, k: int, progress: Progress | None, least: float = -1.0, queries: Floats | None = None
) -> tuple[Positions, Positions]:
    """Return every two of which one is among the ``k`` nearest of the other, or of the query in its place,
    and has a product of ``least`` and more with it.

    Ranked are only those above a floor, of which there are about three times ``k``; to rank all would take
    ten times as long. Without ``queries``, each row is compared only with those that have a higher floor:
    of what reaches that, nothing is missed.
    """
    count, both_ways = len(vectors), queries is None
    floors = np.maximum(_floors(vectors if queries is None else queries, vectors, k), least)
    order = np.argsort(floors, kind="stable") if both_ways else np.arange(count)
    vectors, floors = vectors[order], floors[order]
    queries = vectors if queries is None else queries
    best = [_NONE]
    for start in range(0, count, _BLOCK):
        part = slice(start, start + _BLOCK)
        one, other, value = _above(queries[part], vectors, floors[part], start, both_ways)
        best.append((one, other, value))
        if both_ways:
            back = value >= floors[other]
            best.append((other[back], one[back], value[back]))
        if sum(len(some[0]) for some in best[1:]) > _RANKED_AT_ONCE:
            best = [_best(best, k)]
        if progress is not None:
            stop = min(start + _BLOCK, count)
            progress(stop * (2 * count - stop) // count if both_ways else stop, count)
    one, other, _ = _best(best, k)
    one, other = order[one], order[other]
    first, second = np.divmod(
        np.unique(np.minimum(one, other) * count + np.maximum(one, other)), max(count, 1)
    )
    return first, second


def _cosines(rows: Floats, first: Positions, second: Positions) -> Floats:
    found = np.empty(len(first), np.float32)
    for start in range(0, len(first), _PAIRS):
        part = slice(start, start + _PAIRS)
        found[part] = np.einsum("ij,ij->i", rows[first[part]], rows[second[part]])
    return found


def _ranks(pairs: Pairs) -> Positions:
    """Return, for the first and for the second of each pair, how many pairs of it are nearer, (2, m)."""
    places = np.concatenate(pairs[:2])
    order = np.lexsort((-np.tile(pairs.cosine, 2), places))
    ranks = np.empty(len(places), np.intp)
    ranks[order] = _counted(places[order])
    return ranks.reshape(2, -1)


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


def _floors(queries: Floats, vectors: Floats, k: int) -> Floats:
    """Return from which product on, by a sample, each query has about three times ``k`` of the vectors; in
    small libraries it has exactly ``k`` others. A query that the sample misleads has fewer."""
    count = len(vectors)
    step = count // _SAMPLE + 1
    sample = vectors[::step]
    rank = max(2, -(-3 * k * len(sample) // max(count, 1)))
    rank = min(k + 1 if step == 1 else rank, len(sample))
    floors = np.empty(count, np.float32)
    for start in range(0, count, _BLOCK):
        part = slice(start, start + _BLOCK)
        floors[part] = -np.partition(-(queries[part] @ sample.T), rank - 1, axis=1)[:, rank - 1]
    return floors - _ROUNDING


def _above(block: Floats, vectors: Floats, floors: Floats, start: int, later: bool) -> Ranked:
    """Return which rows of ``block``, numbered from ``start`` on, have a product of their floor and more with
    which others, and the product; with ``later``, only with those of higher numbers."""
    found = [_NONE]
    for top in range(start if later else 0, len(vectors), _WIDTH):
        products = block @ vectors[top : top + _WIDTH].T
        places = np.flatnonzero(products >= floors[:, None])
        row, column = np.divmod(places, products.shape[1])
        row, column = row + start, column + top
        other = row < column if later else row != column
        found.append((row[other], column[other], products.ravel()[places[other]]))
    return _joined(found)


def _best(found: list[Ranked], k: int) -> Ranked:
    """Return of each row the ``k`` others with the highest products, in no order."""
    row, other, value = _joined(found)
    # One number to sort by is much faster than two; no product is above 2.
    order = np.argsort((row << 32) + ((2.0 - value.astype(np.float64)) * 2**30).astype(np.int64))
    order = order[_counted(row[order]) < k]
    return row[order], other[order], value[order]


def _joined(found: list[Ranked]) -> Ranked:
    row, other, value = (np.concatenate(some) for some in zip(*found, strict=True))
    return row, other, value
