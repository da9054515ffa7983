"""Which labels fit which photos.

A label is compared with neutral words, one of a hundred everyday things, by the evidence E0 of
``photoclip.evidence``, with half the model's scale. That leaves a photo free to fit no label, but not to tell
a kitchen from a bedroom: both are better than neutral. So labels compete too. Which of them are alternatives
and which may be true together, the library tells: E0 of alternatives rises and falls together over its
photos, that of "dog" and "snow" does not. With c from 0 to 1, how closely two labels do so,

    E_j(x) = E0_j(x) - log(1 + 0.08 sum over k of c_jk exp E0_k(x))

A label has to reach a line of its own, by the rule of ``search --relevant`` made softer: 1.75, and 0.45 of
what its best photos reach. The best of many wrong photos would come up to o = 0.45 log(photos) + 0.3; a label
whose best photo stays below has a line as much higher, but not above o. How sure a tag is, follows from how
far above the line it is. How the numbers were chosen and what comes of them: ``docs/concepts/tagging.md``.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from photoclip.evidence import evidence, likeness, strangeness

if TYPE_CHECKING:
    from photoclip.encoders import Float32
    from photoclip.vectors import Matrix

Int64 = NDArray[np.int64]

LEAST = 1.75
"""The least evidence of a tag at the usual threshold."""
_SHARE_OF_BEST = 0.45
_RISE, _RISE_FROM = 0.45, 0.3
_BEST, _BEST_SHARE = 8, 0.02  # a label's best photos: so many, but no more than this share of all
_RIVALRY = 0.08
_ALIKE = 0.4  # correlation from which on two labels are alternatives
SAMPLE = 4096
"""How many photos tell what is usual in a library."""
_STEEPNESS = 1.6  # fitted: of tags that are p sure, the share p is right
DIGITS = 6  # of a number that is compared with another: what two sums differ by does not count
_BLOCK = 1024  # photos at once

CERTAIN = 0.3
"""The least probability of a tag, unless the user says another: that of a label just at its line."""


class Sides(NamedTuple):
    """What labels are, and what they are compared with.

    ``rows``: of the labels, (l, d), the last ``others`` of which compete but are never tags. ``columns``: the
    labels of each kind, by text alone or by example pictures too; ``neutral``: the neutral queries of this
    kind, (b, d). All of unit length. ``kin``: whether one of two labels is a level of the other, (l, l):
    "Animals" of "Animals/Dog".
    """

    rows: Float32
    columns: tuple[Int64 | slice, ...]
    neutral: tuple[Float32, ...]
    kin: NDArray[np.bool_]
    others: int = 0


class Calibration(NamedTuple):
    """What a library of ``photos`` contents tells about labels: the ``line`` of each, and how much any two
    are alternatives, (l, l), others included."""

    line: Float32
    rivalry: Float32
    photos: int

    def packed(self) -> bytes:
        """Return it as bytes: NumPy's npz."""
        file = io.BytesIO()
        np.savez_compressed(file, line=self.line, rivalry=self.rivalry, photos=self.photos)
        return file.getvalue()

    @classmethod
    def unpacked(cls, content: bytes) -> Calibration:
        """Return what ``packed`` was called on. Raises ValueError for other, or damaged, bytes."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return cls(arrays["line"], arrays["rivalry"], int(arrays["photos"]))
        except (OSError, LookupError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError("this is no calibration") from error


class Found(NamedTuple):
    """Pairs of a photo and a label, (p,) each, photo by photo: the content's id, the place of the label in
    its list, their similarity, and the evidence E."""

    ids: Int64
    labels: Int64
    similarities: Float32
    evidence: Float32

    @classmethod
    def joined(cls, parts: Sequence[Found]) -> Found:
        """Return the pairs of all ``parts``."""
        if not parts:
            empty = np.empty(0, np.int64)
            return cls(empty, empty, np.empty(0, np.float32), np.empty(0, np.float32))
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def among(self, ids: Int64) -> Found:
        """Return the pairs of the contents ``ids``."""
        kept = np.isin(self.ids, ids)
        return Found(self.ids[kept], self.labels[kept], self.similarities[kept], self.evidence[kept])


class Judge:
    """Weighs labels against photos. ``scale``: what the model was trained to multiply a cosine with."""

    def __init__(self, sides: Sides, scale: float) -> None:
        self._sides = sides
        self._scale = scale / 2
        self._labels = len(sides.rows) - sides.others
        self._weights = tuple(
            strangeness(neutral, sides.rows[columns])
            for columns, neutral in zip(sides.columns, sides.neutral, strict=True)
        )

    def calibrate(self, matrix: Matrix) -> tuple[Calibration, Found]:
        """Return what a library, of one photo at least, tells about the labels, and all pairs that may be
        tags."""
        rivalry = self._rivalry(matrix)
        found = self.find(blocks_of(matrix, matrix.ids), rivalry, LEAST)
        return Calibration(self._lines(found, len(matrix)), rivalry, len(matrix)), found

    def find(
        self,
        blocks: Iterable[tuple[Int64, Float32]],
        rivalry: Float32,
        least: NDArray[np.float64] | float,
        always: Sequence[Int64] = (),
    ) -> Found:
        """Return the pairs with E >= ``least``, of each label, (l,), or of all; and of each photo the most
        similar label of each set of labels in ``always``."""
        parts = []
        for ids, rows in blocks:
            similarities, own = self._own(rows)
            mass = np.exp(own)
            weighed = own - np.log1p(_RIVALRY * (mass @ rivalry.T))
            taken = weighed[:, : self._labels] >= least
            for labels in always:
                best = similarities[:, labels].round(DIGITS).argmax(axis=1)
                taken[np.arange(len(rows)), labels[best]] = True
            photo, label = np.nonzero(taken)
            parts.append(Found(ids[photo], label, similarities[photo, label], weighed[photo, label]))
        return Found.joined(parts)

    def strongest_rivals(self, row: Float32, rivalry: Float32) -> Int64:
        """Return, for the photo with the embedding ``row``, (d,), the label that weighs most against each
        label, (l,); -1 where there is none."""
        _, own = self._own(row[None])
        against = np.exp(own) * rivalry
        rivals = np.where(against.max(axis=1) > 0, against.argmax(axis=1), -1)
        return np.asarray(rivals[: self._labels])

    def _own(self, rows: Float32) -> tuple[Float32, Float32]:
        """Return similarities and E0 of photos, (n, l) each."""
        similarities = rows @ self._sides.rows.T
        sides = zip(self._sides.columns, self._sides.neutral, self._weights, strict=True)
        own = np.empty_like(similarities)
        for columns, neutral, weights in sides:
            own[:, columns] = evidence(similarities[:, columns], rows @ neutral.T, weights, self._scale)
        return similarities, own

    def _rivalry(self, matrix: Matrix) -> Float32:
        """Return how much each label counts against each other, (l, l), from 0 to 1.

        Labels that say nearly the same are no alternatives, nor is a label to its own level: both may stand.
        """
        _, own = self._own(matrix.sample(SAMPLE))
        own -= own.mean(axis=0)
        own /= np.maximum(np.sqrt((own**2).sum(axis=0)), 1e-6)
        together = np.clip((own.T @ own - _ALIKE) / (1 - _ALIKE), 0, 1) ** 2
        rivalry = together * (1 - likeness(self._sides.neutral[0], self._sides.rows, self._sides.rows))
        return np.where(self._sides.kin, 0, rivalry).astype(np.float32)

    def _lines(self, found: Found, photos: int) -> Float32:
        """Return the evidence that each label has to reach, (l,), from all pairs with LEAST and more."""
        few = max(1, min(_BEST, int(np.ceil(_BEST_SHARE * photos))))
        opening = max(_RISE * np.log(max(photos, 1)) + _RISE_FROM, LEAST)
        lines = np.full(self._labels, opening, np.float32)
        order = np.lexsort((-found.evidence, found.labels))
        labels, starts = np.unique(found.labels[order], return_index=True)
        for label, start in zip(labels, starts, strict=True):
            best = found.evidence[order[start : start + few]]
            best = best[found.labels[order[start : start + few]] == label]
            usual = np.full(few, LEAST, np.float32)  # what is not there is below
            usual[: len(best)] = best
            line = max(LEAST, _SHARE_OF_BEST * float(usual.mean()))
            lines[label] = max(line, min(opening, line + opening - float(best[0])))
        return lines


def probabilities(found: Found, line: Float32) -> Float32:
    """Return how probable it is that each label fits its photo, (p,)."""
    above = found.evidence - line[found.labels]
    return np.asarray(1 / (1 + np.exp(-(_STEEPNESS * above + _log_odds(CERTAIN)))), np.float32)


def least_evidence(probability: float) -> float:
    """Return the least evidence with which a label may be as probable as that."""
    return LEAST + (_log_odds(probability) - _log_odds(CERTAIN)) / _STEEPNESS


def _log_odds(probability: float) -> float:
    if not 0 < probability < 1:
        return -np.inf if probability <= 0 else np.inf
    return float(np.log(probability / (1 - probability)))


def blocks_of(matrix: Matrix, ids: Int64) -> Iterator[tuple[Int64, Float32]]:
    """Yield the rows of ``ids`` with them, block by block. They are read, not mapped: a map of all of them
    would count as memory of this process."""
    for start in range(0, len(ids), _BLOCK):
        part = ids[start : start + _BLOCK]
        yield part, matrix.rows_of(part)
