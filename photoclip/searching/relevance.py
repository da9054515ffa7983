"""Where relevance ends: which photos answer a query, and whether any does.

Similarities of one query say little beside those of another. What can be compared is how much better the
query explains a photo x than a neutral query b, one of a hundred everyday things, does. With L, what the
model was trained to multiply a cosine with before a softmax, the *evidence* is the logarithm of a ratio:

    E(x) = L/2 q·x - log mean over b of exp(L/2 b·x)

The nearer b is to q, the less it counts, for "sea" is not against "seaside". (L itself tells a caption from
all others; half of it does better at words: measured.) The best of many wrong photos comes further up the
more photos there are, by about half the logarithm of their number. So

    the library holds an answer  when  max E >= 0.53 log(photos)
    x is one                     when  E(x) >= 1.5  and  E(x) >= 0.45 max E

Neutral queries are of the kind of the query: words for texts, a sample of the library's own photos for an
example picture. How the numbers were chosen and what comes of them: ``docs/concepts/similarity.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from photoclip.background import THINGS
from photoclip.evidence import evidence, strangeness, usual_similarity

if TYPE_CHECKING:
    from photoclip.encoders import Float32
    from photoclip.library import OpenLibrary
    from photoclip.store import StoredModel
    from photoclip.vectors import Matrix

    Int64 = NDArray[np.int64]

_LEAST = 1.5
_SHARE_OF_BEST = 0.45
_RISE = 0.53  # of the best wrong photo's evidence, each time the library grows by the factor e
_SAME_PHOTO = 0.97  # of the way from the usual similarity to 1
_LOOKED_AT = 64  # the best photo is among the nearest, but need not be the first
_BLOCK = 1024


class Relevance:
    """How a query fares against neutral ones, photo by photo.

    ``holds_an_answer``: whether any photo of the library answers the query.
    """

    def __init__(
        self, matrices: Sequence[Matrix], query: Float32, neutral: Float32, logit_scale: float
    ) -> None:
        self._matrices = matrices
        self._query = query
        usual = usual_similarity([neutral])
        self._neutral = neutral
        self._weights = strangeness(neutral, query)
        self._same_photo = usual + _SAME_PHOTO * max(1 - usual, 1e-6)
        self._scale = logit_scale / 2
        best = max((self._best_in(matrix) for matrix in matrices if len(matrix)), default=-np.inf)
        opening = _RISE * np.log(max(sum(map(len, matrices)), 1))
        self.holds_an_answer = bool(best >= max(opening, _LEAST))
        self._least = max(_LEAST, _SHARE_OF_BEST * best) if self.holds_an_answer else max(opening, _LEAST)

    @classmethod
    def of(
        cls,
        library: OpenLibrary,
        model: StoredModel,
        query: Float32,
        words: Float32,
        pictures: float = 0.0,
    ) -> Relevance:
        """Return how ``query``, (d,), of unit length, fares in ``library``.

        ``words``: what ``neutral_words`` returns. ``pictures``: how much of the query comes from example
        pictures, from 0 to 1. Judged by the whole library: what a search leaves out does not change which
        photos answer it.
        """
        matrices = library.matrices(model)
        return cls(matrices, query, _neutral(matrices, words, pictures), model.card.logit_scale)

    def margins(self, ids: Sequence[int] | Int64) -> NDArray[np.float64]:
        """Return how much more similar to the query each content is than it would have to be, (len(ids),).

        In units of similarity; 0 and above: the photo answers the query. Not the same for equal similarities,
        for what else a photo shows counts. Raises KeyError for an id without an embedding.
        """
        ids = np.asarray(ids, np.int64)
        margins = np.empty(len(ids), np.float64)
        for start in range(0, len(ids), _BLOCK):
            part = slice(start, start + _BLOCK)
            margins[part] = (self._evidence(_rows_of(self._matrices, ids[part])) - self._least) / self._scale
        return margins

    def _best_in(self, matrix: Matrix) -> float:
        ids, _ = matrix.nearest(self._query, _LOOKED_AT)
        return float(self._evidence(matrix.rows_of(ids)).max())

    def _evidence(self, rows: Float32) -> NDArray[np.float64]:
        """Return E of photos, (n,), from their ``rows``, (n, d)."""
        own, others = rows @ self._query, (rows @ self._neutral.T).astype(np.float64)
        weights = np.where(others < self._same_photo, self._weights, 0)  # a photo is no stranger to itself
        return np.asarray(evidence(own, others, weights, self._scale), np.float64)


def neutral_words(library: OpenLibrary, model: StoredModel, device: str = "auto") -> Float32:
    """Return the embeddings of everyday things, (m, d).

    The first time they are encoded, and remembered: which is not possible in a snapshot of the catalogue.
    """
    return library.embed_texts(model, THINGS, device)


def _neutral(matrices: Sequence[Matrix], words: Float32, pictures: float) -> Float32:
    """Return neutral queries, (m, d), of which the share ``pictures`` comes from photos."""
    if pictures <= 0:
        return words
    photos = _sample(matrices)
    if pictures >= 1 or not len(photos):
        return photos
    mixed = (1 - pictures) * words + pictures * photos[np.arange(len(words)) % len(photos)]
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)


def _sample(matrices: Sequence[Matrix]) -> Float32:
    """Return as many photos as there are words, from all over the library, (m, d)."""
    return max(matrices, key=len).sample(len(THINGS))


def _rows_of(matrices: Sequence[Matrix], ids: Int64) -> Float32:
    """Return the rows of ``ids``, (len(ids), d), from whichever of ``matrices`` holds them."""
    rows = np.empty((len(ids), matrices[0].dimension), np.float32)
    missing = np.ones(len(ids), bool)
    for matrix in matrices:
        _, known = matrix.find(ids)
        here = known & missing
        if here.any():
            rows[here] = matrix.rows_of(ids[here])
        missing &= ~here
    if missing.any():
        raise KeyError(int(ids[missing][0]))
    return rows
