"""Which photos were taken in one moment, and which are alike: levels to look through, not to act upon.

How much two photos are alike is a share of the way from the similarity that two photos of the library usually
have, 0, to 1. A similarity alone says little: models differ in what is usual, and so do libraries.

*Same moment*: taken by one clock no more than ``within`` seconds apart, somewhat alike, and they agree where
they overlap (``shifted``). *Similar*: very much alike, whenever they were taken. A group holds its level
between every two members, so a burst that lasts longer than ``within`` is cut into pieces; and groups of
*similar* are made of those of *same moment*.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from photoclip.duplicates.candidates import near_in_embedding
from photoclip.duplicates.clocks import Clocks
from photoclip.duplicates.groups import Pair, complete_link, lowest_similarity
from photoclip.duplicates.shifted import Shifted

Rows = NDArray[np.float32]
Places = NDArray[np.intp]
Couples = tuple[Places, Places]
Groups = list[list[int]]
Progress = Callable[[int, int], None]
Relation = Callable[[Places, Places], NDArray[np.bool_]]

WITHIN = 10.0
"""Seconds in which a moment has passed."""

SOMEWHAT_ALIKE = 0.4
"""How much two photos of one moment are alike, at least."""

OVERLAP = 0.45
"""How well two photos of one moment agree where they overlap, at least."""

ALIKE = 0.9
"""How much two photos are alike, at least, to be similar whenever they were taken."""

_NEXT = 8  # of the shots that come next, and of those that are nearest in the embedding: candidates
_MANY = 1024  # shots within one moment, of which all are looked at
_BLOCK = 256
_PAIRS = 8192


class Shots:
    """Photos that are to be grouped; a photo's number is its place.

    ``embeddings``: (n, d), of unit length; ``renderings``: of each, as they are stored; ``usual``: the
    similarity that two photos of the library usually have; ``denied``: pairs of places, (low, high), that
    never come into one group.
    """

    def __init__(
        self,
        embeddings: Rows,
        renderings: Sequence[bytes],
        clocks: Clocks,
        usual: float,
        denied: Collection[Pair] = (),
    ) -> None:
        self._embeddings = embeddings
        self._shifted = Shifted(renderings)
        self._clocks = clocks
        self._usual = usual
        self._denied = np.array([low * len(embeddings) + high for low, high in denied], np.intp)

    def line(self, share: float) -> float:
        """Return the similarity of two photos that are alike by ``share``."""
        return self._usual + share * (1 - self._usual)

    def moments(self, within: float = WITHIN, progress: Progress | None = None) -> Groups:
        """Return all places in groups of one moment; most photos have a moment of their own.

        What is nearest in time joins first, then what is most alike. ``progress`` counts photos with a date.
        """
        of_a_moment = self._of_a_moment(within)
        first, second = self._near_in_time(within, of_a_moment, progress)
        apart = np.abs(self._clocks.times[first] - self._clocks.times[second])
        order = np.lexsort((second, first, -np.round(self._cosines(first, second), 3), apart))
        alone = [[place] for place in range(len(self._embeddings))]
        return _joined(alone, (first[order], second[order]), of_a_moment)

    def similar(
        self,
        moments: Groups,
        within: float = WITHIN,
        least: float | None = None,
        progress: Progress | None = None,
    ) -> Groups:
        """Return the groups that ``moments`` has found, joined where every two photos are similar.

        ``least``: the lowest similarity of two similar photos, where ``ALIKE`` shall not say it; candidates
        have ``candidates.CANDIDATE_SIMILARITY`` anyway. ``progress`` counts groups.
        """
        line = self.line(ALIKE) if least is None else least
        of_a_moment = self._of_a_moment(within)

        def hold(first: Places, second: Places) -> NDArray[np.bool_]:
            held = self._alike(first, second, line)
            held[~held] = of_a_moment(first[~held], second[~held])
            return held

        firsts = np.array([members[0] for members in moments], np.intp)
        near = near_in_embedding(self._embeddings[firsts], progress=progress)
        order = np.lexsort((near.second, near.first, -np.round(near.cosine, 3)))
        one, other = near.first[order], near.second[order]
        alike = self._alike(firsts[one], firsts[other], line)
        return _joined(moments, (one[alike], other[alike]), hold)

    def lowest_similarity(self, places: Sequence[int]) -> float:
        """Return the lowest similarity of any two of some photos."""
        return lowest_similarity(self._embeddings[places])

    def _near_in_time(self, within: float, of_a_moment: Relation, progress: Progress | None) -> Couples:
        """Return pairs (low, high) of one moment, a few for each shot."""
        order, ends = self._clocks.in_order(within)
        found = [np.empty((2, 0), np.intp)]

        def keep(first: Places, second: Places) -> None:
            low, high = np.minimum(first, second), np.maximum(first, second)
            held = of_a_moment(low, high)
            found.append(np.stack((low[held], high[held])))

        for start in range(0, len(order), _BLOCK):
            shots = order[start : start + _BLOCK]
            last = min(int(ends[start : start + _BLOCK].max()), start + _BLOCK + _MANY)
            keep(*self._candidates(shots, order[start:last], within))
            if progress is not None:
                progress(start + len(shots), len(order))
        for crowd in _crowds(ends):
            places = order[crowd]
            near = near_in_embedding(self._embeddings[places])
            keep(places[near.first], places[near.second])
        first, second = np.concatenate(found, axis=1)
        return first, second

    def _candidates(self, shots: Places, coming: Places, within: float) -> Couples:
        """Return each of ``shots`` with those of its moment that come next, and with those that are most like
        it. ``coming`` begins with ``shots`` themselves."""
        cosines = self._embeddings[shots] @ self._embeddings[coming].T
        near = self._clocks.agree(shots[:, None], coming[None], within)
        near &= cosines >= self.line(SOMEWHAT_ALIKE)
        near &= np.arange(len(shots))[:, None] < np.arange(len(coming))
        cosines[~near] = -1
        kept = min(_NEXT, len(coming)) - 1
        floors = -np.partition(-cosines, kept, axis=1)[:, kept, None]
        first, second = np.nonzero(near & ((near.cumsum(1) <= _NEXT) | (cosines >= floors)))
        return shots[first], coming[second]

    def _of_a_moment(self, within: float) -> Relation:
        line = self.line(SOMEWHAT_ALIKE)

        def hold(first: Places, second: Places) -> NDArray[np.bool_]:
            held = self._clocks.agree(first, second, within)
            held[held] = self._alike(first[held], second[held], line)
            held[held] = self._shifted(first[held], second[held]) >= OVERLAP
            return held

        return hold

    def _alike(self, first: Places, second: Places, line: float) -> NDArray[np.bool_]:
        """Return which pairs have a similarity of ``line`` and more and were not denied."""
        pairs = np.minimum(first, second) * len(self._embeddings) + np.maximum(first, second)
        return np.asarray((self._cosines(first, second) >= line) & ~np.isin(pairs, self._denied))

    def _cosines(self, first: Places, second: Places) -> Rows:
        found = np.empty(len(first), np.float32)
        for start in range(0, len(first), _PAIRS):
            part = slice(start, start + _PAIRS)
            found[part] = np.einsum("ij,ij->i", self._embeddings[first[part]], self._embeddings[second[part]])
        return found


def _crowds(ends: Places) -> list[Places]:
    """Return the runs of shots of which some have too many others in their moment.

    ``ends``: of each shot in order, the number after the last one of its moment, (n,).
    """
    crowded = np.flatnonzero(ends - np.arange(len(ends)) > _MANY)
    apart = np.flatnonzero(crowded[1:] >= ends[crowded[:-1]]) + 1
    return [np.arange(run[0], ends[run[-1]]) for run in np.split(crowded, apart) if len(run)]


def _joined(groups: Groups, pairs: Couples, holds: Relation) -> Groups:
    """Return ``groups``, joined along ``pairs`` of their numbers, the first pairs first, where every two
    members across them hold. The first members of each pair do."""
    refused: set[Pair] = set()

    def hold(some: list[Pair]) -> bool:
        if not refused.isdisjoint(some):
            return False
        across = [two for one, other in some for two in product(groups[one], groups[other])]
        first, second = np.array(across, np.intp).T
        held = holds(first, second)
        numbers = np.repeat(
            np.arange(len(some)), [len(groups[one]) * len(groups[other]) for one, other in some]
        )
        refused.update(some[number] for number in np.unique(numbers[~held]).tolist())
        return bool(held.all())

    sure: dict[Pair, float] = {}
    for rank, pair in enumerate(zip(*(side.tolist() for side in pairs), strict=True)):
        if len(groups[pair[0]]) == len(groups[pair[1]]) == 1 or hold([pair]):
            sure.setdefault(pair, -rank)
    together = complete_link(sure, hold)
    found = [sorted(place for number in numbers for place in groups[number]) for numbers in together]
    left = set(range(len(groups))).difference(*together)
    return sorted(found + [groups[number] for number in left])
