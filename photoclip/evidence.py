"""How much better something explains photos than neutral queries do; what ``search --relevant`` and ``tag``
decide by.

A similarity says little beside that of another query. What can be compared is how much better a query q
explains a photo x than neutral queries b do. With a scale s in the model's own units, the *evidence* is the
logarithm of a ratio of likelihoods:

    E(x) = s q·x - log mean over b of exp(s b·x)

The nearer b is to q, the less it counts, for "sea" is not against "seaside".
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def usual_similarity(blocks: Iterable[Floats]) -> float:
    """Return the mean similarity of two different rows, of unit length, in ``blocks``, each (n, d); some
    models hold any two texts for alike."""
    count, total = 0, np.zeros(1)
    for rows in blocks:
        count, total = count + len(rows), total + rows.sum(0, dtype=np.float64)
    # All products together, also those of a row with itself, are the square of the sum of all rows.
    return (float(total @ total) - count) / max(count * (count - 1), 1)


def likeness(neutral: Floats, some: Floats, others: Floats) -> Floats:
    """Return how much ``some``, (d,) or (s, d), are like ``others``, (o, d): (o,) or (s, o), from 0 to 1.

    0: as two of ``neutral``, (b, d), are on the average; 1: they are the same.
    """
    usual = usual_similarity([neutral])
    return np.asarray(np.clip((some @ others.T - usual) / max(1 - usual, 1e-6), 0, 1))


def strangeness(neutral: Floats, queries: Floats) -> Floats:
    """Return how much each of ``neutral``, (b, d), counts against ``queries``: (b,) for (d,), else (q, b).

    1: as different as neutral queries are from each other; 0: it says the same.
    """
    return np.asarray((1 - likeness(neutral, queries, neutral)) ** 2)


def evidence(own: Floats, others: Floats, weights: Floats, scale: float) -> Floats:
    """Return E of photos, (n,) for one query or (n, q) for several.

    ``own``: their similarities to it, or to each; ``others``: to the neutral queries, (n, b); ``weights``:
    how much these count, (b,) or, photo by photo, (n, b), for one query; (q, b) for several.
    """
    likelihoods = np.exp(scale * (others - 1))
    if own.ndim == 2:
        mean = (likelihoods @ weights.T) / np.maximum(weights.sum(axis=1), 1e-6)
    else:
        mean = (weights * likelihoods).sum(axis=1) / np.maximum(weights.sum(axis=-1), 1e-6)
    # Where there is nothing to compare with, everything is nearer than the farthest there can be.
    return np.asarray(scale * (own - 1) - np.log(np.maximum(mean, math.exp(-2 * scale))))
