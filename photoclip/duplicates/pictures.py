"""Which pictures are the same picture, from their embeddings and renderings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from photoclip.duplicates.candidates import (
    CONTRADICTION,
    Pairs,
    near_in_embedding,
    near_in_outline,
    outlines_of,
)
from photoclip.duplicates.groups import Pair, bundles, complete_link, components
from photoclip.duplicates.looking import SecondCheck, Verdicts

Progress = Callable[[int, int], None]
Rows = NDArray[np.float32]
Places = NDArray[np.intp]
Couples = tuple[Places, Places]

BUNDLED = 0.99
"""Cosine of two pictures, as they are, from which on they are all but equal: 8 degrees. Two that are so near
to a third are 16 degrees apart at the most, 0.96, which is as much as the second check asks for."""

_CHECKED_AT_ONCE = 100_000


class Judged(NamedTuple):
    """Pairs of places, ``first`` < ``second``, (m,), and what was found about them."""

    first: Places
    second: Places
    verdicts: Verdicts


class Pictures:
    """Pictures to be compared: ``embeddings``, (n, d) of unit length, and of each its rendering.

    A picture's number is its place; among pictures that are all but equal, the first stands for the others.
    """

    def __init__(self, embeddings: Rows, renderings: Sequence[bytes]) -> None:
        self._embeddings = embeddings
        self._renderings = renderings
        self._check = SecondCheck(renderings)

    def groups(self, progress: Progress | None = None) -> list[list[int]]:
        """Return the groups of the same picture, without chains.

        ``progress`` counts pictures, three times each: near in outline, near in the embedding, looked at.
        """
        bundled = self._twins()
        near = self._outlined_alike(np.array(sorted(bundled), np.intp), _third(progress, 0))
        for first, members in self._all_but_equal(near).items():
            bundled[first] = [twin for member in members for twin in bundled.pop(member)]
        kept = np.array(sorted(bundled), np.intp)
        pairs = _union(_of_firsts(near, bundled), self._embedded_alike(kept, _third(progress, 1)))
        confirmed = _confirmed(self._looked_at(pairs, _third(progress, 2)))
        groups = complete_link(confirmed, self._hold)
        alone = bundled.keys() - {first for group in groups for first in group}
        groups += [[first] for first in sorted(alone)]
        everyone = [sorted(member for first in group for member in bundled[first]) for group in groups]
        return [members for members in everyone if len(members) > 1]

    def judged(self, places: Places) -> Judged:
        """Find the candidates among some pictures, and look at each."""
        return self._looked_at(_union(self._outlined_alike(places), self._embedded_alike(places)))

    def _outlined_alike(self, places: Places, progress: Progress | None = None) -> Pairs:
        outlines = outlines_of([self._renderings[place] for place in places])
        near = near_in_outline(outlines, self._embeddings[places], progress)
        return Pairs(places[near.first], places[near.second], near.cosine)

    def _embedded_alike(self, places: Places, progress: Progress | None = None) -> Pairs:
        near = near_in_embedding(self._embeddings[places], progress)
        return Pairs(places[near.first], places[near.second], near.cosine)

    def _looked_at(self, pairs: Couples, progress: Progress | None = None) -> Judged:
        first, second = pairs
        parts = [self._check(first[:0], second[:0])]
        for start in range(0, len(first), _CHECKED_AT_ONCE):
            part = slice(start, start + _CHECKED_AT_ONCE)
            parts.append(self._check(first[part], second[part]))
            if progress is not None:
                progress(min(start + _CHECKED_AT_ONCE, len(first)), len(first))
        return Judged(first, second, Verdicts(*(np.concatenate(one) for one in zip(*parts, strict=True))))

    def _hold(self, pairs: list[Pair]) -> bool:
        both = np.array(pairs, np.intp).reshape(-1, 2)
        return bool(self._check(both[:, 0], both[:, 1]).nearly.all())

    def _all_but_equal(self, near: Pairs) -> dict[int, list[int]]:
        """Return the first of each → all pictures that are all but equal to it, of those that may be."""
        close = near.cosine >= BUNDLED
        found: dict[int, list[int]] = {}
        for part in components(zip(near.first[close].tolist(), near.second[close].tolist(), strict=True)):
            whole, detail = self._check.views(np.array(part, np.intp))
            embeddings = self._embeddings[part]
            found |= bundles(part, ((whole, BUNDLED), (detail, BUNDLED), (embeddings, CONTRADICTION)))
        return found

    def _twins(self) -> dict[int, list[int]]:
        """Return the first of each → all pictures with the same embedding and rendering: the same pixels with
        other metadata."""
        first_with: dict[bytes, list[int]] = {}
        for place, rendering in enumerate(self._renderings):
            digest = hashlib.blake2b(self._embeddings[place].tobytes() + rendering, digest_size=16).digest()
            first_with.setdefault(digest, []).append(place)
        return {places[0]: places for places in first_with.values()}


def _third(progress: Progress | None, which: int) -> Progress | None:
    """Return what counts one of three parts of the work, ``which`` of them being done."""
    if progress is None:
        return None
    return lambda done, total: progress(which * total + done, 3 * total)


def _of_firsts(pairs: Pairs, bundled: dict[int, list[int]]) -> Couples:
    """Return the pairs between bundles, as pairs of their first pictures."""
    first_of = np.zeros(1 + max((max(members) for members in bundled.values()), default=0), np.intp)
    for first, members in bundled.items():
        first_of[members] = first
    one, other = first_of[pairs.first], first_of[pairs.second]
    apart = one != other
    return np.minimum(one, other)[apart], np.maximum(one, other)[apart]


def _union(*pairs: Couples | Pairs) -> Couples:
    """Return each pair once, in order."""
    first, second = (np.concatenate([some[side] for some in pairs]) for side in (0, 1))
    count = int(second.max(initial=0)) + 1
    first, second = np.divmod(np.unique(first * count + second), count)
    return first, second


def _confirmed(found: Judged) -> dict[Pair, float]:
    """Return the pairs that are the same picture, and how sure that is."""
    same = found.verdicts.same
    sure = np.round(np.minimum(found.verdicts.agreement, found.verdicts.detail)[same], 3)
    pairs = zip(found.first[same].tolist(), found.second[same].tolist(), strict=True)
    return dict(zip(pairs, sure.tolist(), strict=True))
