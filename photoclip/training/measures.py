"""Figures of an image-text model from its unit vectors, each beside chance and a 95 % bootstrap interval.

All vectors are float32 arrays of unit rows. Where similarities tie, the place is the worst of the tie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Flags = NDArray[np.bool_]
RESAMPLES = 1000


@dataclass(frozen=True)
class Figure:
    """A mean over ``count`` things (photos, words or labels), in 0..1, and what guessing would reach."""

    name: str
    value: float
    low: float  # of the 95 % interval
    high: float
    chance: float
    count: int


def figure(name: str, parts: Floats, chance: float) -> Figure:
    """The mean of the parts with its percentile interval over resampled parts (Efron 1979)."""
    drawn = np.random.default_rng(0).integers(len(parts), size=(RESAMPLES, len(parts)))
    low, high = np.percentile(parts[drawn].mean(1), (2.5, 97.5))
    return Figure(name, float(parts.mean()), float(low), float(high), chance, len(parts))


def retrieval(images: Vectors, texts: Vectors, owner: NDArray[np.int64]) -> list[Figure]:
    """Recall at 1, 5 and 10 both ways; ``owner`` (texts,) is the photo that each text is a caption of.

    Text to image: the share of captions that have their photo among the first k; photos are resampled with
    all their captions. Image to text: the share of photos with one of their captions among the first k.
    """
    similarity = texts @ images.T  # (texts, photos)
    own = similarity[np.arange(len(texts)), owner]
    place = (similarity >= own[:, None]).sum(1) - 1
    captions = np.bincount(owner, minlength=len(images))
    best = np.full(len(images), -np.inf, np.float32)
    np.maximum.at(best, owner, own)
    foreign = np.arange(len(images))[None, :] != owner[:, None]
    back = ((similarity >= best[None, :]) & foreign).sum(0)
    figures = []
    for k in (1, 5, 10):
        hits = np.bincount(owner, weights=place < k, minlength=len(images)) / captions
        figures.append(figure(f"text to image R@{k}", hits, min(k / len(images), 1.0)))
    for k in (1, 5, 10):
        misses = np.ones(len(images))  # chance that k random texts are all foreign
        for i in range(k):
            misses *= np.clip((len(texts) - captions - i) / max(len(texts) - i, 1), 0.0, 1.0)
        figures.append(figure(f"image to text R@{k}", (back < k).astype(float), float(1 - misses.mean())))
    return figures


def precision(name: str, images: Vectors, queries: Vectors, right: Flags, first: int = 5) -> Figure:
    """Mean share of right photos among the first; ``right`` (queries, photos)."""
    best = np.argsort(-(queries @ images.T), axis=1, kind="stable")[:, :first]
    return figure(name, np.take_along_axis(right, best, 1).mean(1), float(right.mean()))


def accuracy(name: str, images: Vectors, labels: Vectors, right: NDArray[np.int64]) -> Figure:
    """Share of photos whose nearest label is their own (by number)."""
    hits = (images @ labels.T).argmax(1) == right
    return figure(name, hits.astype(float), 1 / len(labels))


def average_precision(name: str, images: Vectors, labels: Vectors, right: Flags) -> Figure:
    """Mean over the labels of the average precision of their ranking; ``right`` (labels, photos)."""
    order = np.argsort(-(labels @ images.T), axis=1, kind="stable")
    hits = np.take_along_axis(right, order, 1)
    places = np.arange(1, hits.shape[1] + 1)
    values = (hits * (hits.cumsum(1) / places)).sum(1) / hits.sum(1)
    return figure(name, values, float(np.mean([_random_precision(n, len(places)) for n in hits.sum(1)])))


def _random_precision(right: int, photos: int) -> float:
    """Expected average precision of a random order: up to a hit at place k, 1 + (k-1)(R-1)/(N-1) are hits."""
    harmonic = float((1 / np.arange(1, photos + 1)).sum())
    others = (right - 1) / max(photos - 1, 1)
    return (harmonic + others * (photos - harmonic)) / photos
