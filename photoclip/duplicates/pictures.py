"""Which pictures are the same picture, from their embeddings and renderings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from photoclip.duplicates.candidates import (
    CONTRADICTION,
    Earlier,
    Pairs,
    near_in_embedding,
    near_in_outline,
    near_when_turned,
    outlines_of,
)
from photoclip.duplicates.groups import Pair, bundles, complete_link, components, tie
from photoclip.duplicates.looking import Judged, SecondCheck, Verdicts
from photoclip.duplicates.remembered import DIGEST, Compared, Past
from photoclip.duplicates.turning import Turn, TurnedCheck

Progress = Callable[[int, int], None]
Rows = NDArray[np.float32]
Places = NDArray[np.intp]
Couples = tuple[Places, Places]

BUNDLED = 0.99
"""Cosine of two pictures, as they are, from which on they are all but equal: 8 degrees. Two that are so near
to a third are 16 degrees apart at the most, 0.96, which is as much as the second check asks for."""

_CHECKED_AT_ONCE = 100_000
_OVER_AT_ONCE = 1024
_VIEWED_AT_ONCE = 4096
_MUCH = 0.1  # of all pictures; if more are new, all are compared: that is as fast


class Pictures:
    """Pictures to be compared: ``embeddings``, (n, d) of unit length, and of each its rendering.

    A picture's number is its place; among pictures that are all but equal, the first stands for the others.
    What ``past`` says was compared before is not compared again. A copy may lie in one of ``ways``; what was
    compared so is not for ``past``.
    """

    def __init__(
        self,
        embeddings: Rows,
        renderings: Sequence[bytes],
        past: Compared | None = None,
        ways: Sequence[Turn] = (),
    ) -> None:
        self._embeddings = embeddings
        self._renderings = renderings
        self._ways = ways
        self._twins = _twins(embeddings, renderings)
        firsts = {digest: places[0] for digest, places in self._twins.items()}
        self._past = Past(past, firsts, len(renderings))
        check = TurnedCheck(renderings, outlines_of(renderings), ways) if ways else SecondCheck(renderings)
        self._looks = _Looks(check, len(renderings), self._past.judged())
        self._near = self._alike = Pairs.none()
        self._kept = np.empty(0, np.intp)

    def groups(self, progress: Progress | None = None) -> list[list[int]]:
        """Return the groups of the same picture, without chains.

        ``progress`` counts pictures, three times each: near in outline, near in the embedding, looked at; and
        once for each way in which a copy may lie.
        """
        parts = 3 + len(self._ways)
        bundled = {places[0]: places for places in self._twins.values()}
        firsts = np.array(sorted(bundled), np.intp)
        self._near = self._outlined_alike(firsts, self._past.outline(firsts), _part(progress, 0, parts))
        for first, members in self._all_but_equal(self._near).items():
            bundled[first] = [twin for member in members for twin in bundled.pop(member)]
        self._kept = np.array(sorted(bundled), np.intp)
        earlier = self._past.embedding(self._kept)
        self._alike = self._embedded_alike(self._kept, earlier, _part(progress, 1, parts))
        turned = [self._turned_alike(way, _part(progress, 2 + k, parts)) for k, way in enumerate(self._ways)]
        pairs = _union(_of_firsts(self._near, bundled), self._alike, *turned)
        confirmed = _confirmed(self._looks.at(pairs, _part(progress, parts - 1, parts)))
        groups = complete_link(confirmed, self._looks.hold, partial(self._looks.hold_with, confirmed))
        alone = bundled.keys() - {first for group in groups for first in group}
        groups += [[first] for first in sorted(alone)]
        everyone = [sorted(member for first in group for member in bundled[first]) for group in groups]
        return [members for members in everyone if len(members) > 1]

    def compared(self) -> Compared:
        """Return what ``groups`` has compared, for the next run."""
        number = np.zeros(len(self._renderings), np.intp)
        number[[places[0] for places in self._twins.values()]] = np.arange(len(self._twins))
        kept = np.zeros(len(self._twins), bool)
        kept[number[self._kept]] = True
        first, second, verdicts = self._looks.judged()
        outline, embedding = (
            Pairs(number[some.first], number[some.second], some.cosine) for some in (self._near, self._alike)
        )
        judged = Judged(number[first], number[second], verdicts)
        return Compared(list(self._twins), kept, outline, embedding, judged)

    def judged(self, places: Places) -> Judged:
        """Find the candidates among some pictures, and look at each."""
        return self._looks.at(_union(self._outlined_alike(places), self._embedded_alike(places)))

    def _outlined_alike(
        self, places: Places, earlier: Earlier | None = None, progress: Progress | None = None
    ) -> Pairs:
        if earlier is not None and not len(earlier.new):
            return earlier.pairs
        outlines = self._outlines(places)
        near = near_in_outline(outlines, self._embeddings[places], progress, _within(places, earlier))
        return Pairs(places[near.first], places[near.second], near.cosine)

    def _outlines(self, places: Places) -> Rows:
        return outlines_of([self._renderings[place] for place in places.tolist()])

    def _embedded_alike(
        self, places: Places, earlier: Earlier | None = None, progress: Progress | None = None
    ) -> Pairs:
        if earlier is not None and not len(earlier.new):
            return earlier.pairs
        near = near_in_embedding(self._embeddings[places], progress, _within(places, earlier))
        return Pairs(places[near.first], places[near.second], near.cosine)

    def _turned_alike(self, way: Turn, progress: Progress | None) -> Pairs:
        outlines = self._outlines(self._kept)
        turned = way.of_outlines(outlines)
        near = near_when_turned(outlines, self._embeddings[self._kept], turned, progress)
        return Pairs(self._kept[near.first], self._kept[near.second], near.cosine)

    def _all_but_equal(self, near: Pairs) -> dict[int, list[int]]:
        """Return the first of each → all pictures that are all but equal to it, of those that may be."""
        close = near.cosine >= BUNDLED
        found: dict[int, list[int]] = {}
        parts = components(zip(near.first[close].tolist(), near.second[close].tolist(), strict=True))
        for some in _in_batches(parts):
            views = self._looks.check.views(np.array([place for part in some for place in part], np.intp))
            start = 0
            for part in some:
                whole, detail = (rows[start : start + len(part)] for rows in views)
                start += len(part)
                embeddings = self._embeddings[part]
                found |= bundles(part, ((whole, BUNDLED), (detail, BUNDLED), (embeddings, CONTRADICTION)))
        return found


class _Looks:
    """Looks at pairs (low, high) of ``count`` pictures. ``known``: what was found earlier."""

    def __init__(self, check: SecondCheck, count: int, known: Judged) -> None:
        self.check = check
        self._count = max(count, 1)
        keys = known.first * self._count + known.second
        order = np.argsort(keys)
        self._keys = keys[order]
        self._known = Verdicts(*(some[order] for some in known.verdicts))
        self._asked: list[Judged] = []
        self._nearly: dict[Pair, bool] = {}
        self._over: dict[tuple[int, int, int], bool] = {}

    def at(self, pairs: Couples, progress: Progress | None = None) -> Judged:
        """Look at pairs, except at those that are known."""
        first, second = pairs
        places = np.searchsorted(self._keys, keys := first * self._count + second)
        places[places == len(self._keys)] = 0
        is_known = self._keys[places] == keys if len(self._keys) else np.zeros(len(keys), bool)
        verdicts = Verdicts(*(np.full(len(keys), -1, np.float32) for _ in Verdicts._fields))
        for found, known in zip(verdicts, self._known, strict=True):
            found[is_known] = known[places[is_known]]
        new = np.flatnonzero(~is_known)
        for start in range(0, len(new), _CHECKED_AT_ONCE):
            part = new[start : start + _CHECKED_AT_ONCE]
            for found, seen in zip(verdicts, self.check(first[part], second[part]), strict=True):
                found[part] = seen
            if progress is not None:
                progress(start + len(part), len(new))
        judged = Judged(first, second, verdicts)
        self._asked.append(judged)
        return judged

    def hold(self, pairs: list[Pair]) -> bool:
        """Return whether all pairs are nearly the same picture."""
        new = [pair for pair in pairs if pair not in self._nearly]
        if new:
            first, second = np.array(new, np.intp).T
            self._nearly |= zip(new, self.at((first, second)).verdicts.nearly.tolist(), strict=True)
        return all(self._nearly[pair] for pair in pairs)

    def hold_with(self, confirmed: Mapping[Pair, float], pairs: list[Pair], members: list[int]) -> bool:
        """Return whether all pairs that do not hold are nearly the same picture as they lie over one of
        ``members`` that is ``confirmed`` to be the same as both."""
        ties = []
        for pair in pairs:
            if not self._nearly[pair]:
                third = tie(pair, members, confirmed)
                if third is None:
                    return False
                ties.append((*pair, third))
        new = [three for three in ties if three not in self._over]
        for start in range(0, len(new), _OVER_AT_ONCE):
            some = new[start : start + _OVER_AT_ONCE]
            self._over |= zip(some, self.check.over(*np.array(some, np.intp).T).nearly.tolist(), strict=True)
        return all(self._over[three] for three in ties)

    def judged(self) -> Judged:
        """Return what was asked about, each pair once."""
        first, second = (np.concatenate([some[side] for some in self._asked]) for side in (0, 1))
        verdicts = zip(*(some.verdicts for some in self._asked), strict=True)
        _, places = np.unique(first * self._count + second, return_index=True)
        found = Verdicts(*(np.concatenate(some)[places] for some in verdicts))
        return Judged(first[places], second[places], found)


def _twins(embeddings: Rows, renderings: Sequence[bytes]) -> dict[bytes, list[int]]:
    """Return a digest of embedding and rendering → all pictures that have these: the same pixels with other
    metadata."""
    found: dict[bytes, list[int]] = {}
    for place, rendering in enumerate(renderings):
        digest = hashlib.blake2b(embeddings[place].tobytes() + rendering, digest_size=DIGEST).digest()
        found.setdefault(digest, []).append(place)
    return found


def _in_batches(parts: list[list[int]]) -> Iterator[list[list[int]]]:
    """Yield parts, some at a time: as many as it takes for a few thousand members."""
    ends = np.cumsum([len(part) for part in parts]) // _VIEWED_AT_ONCE
    for _, some in groupby(zip(ends.tolist(), parts, strict=True), key=lambda one: one[0]):
        yield [part for _, part in some]


def _within(places: Places, earlier: Earlier | None) -> Earlier | None:
    """Return what is known with each place by its number among ``places``; nothing where too much is new."""
    if earlier is None or len(earlier.new) > _MUCH * len(places):
        return None
    first, second, new = (np.searchsorted(places, some) for some in (*earlier.pairs[:2], earlier.new))
    return Earlier(Pairs(first, second, earlier.pairs.cosine), new)


def _part(progress: Progress | None, which: int, parts: int) -> Progress | None:
    """Return what counts one of some parts of the work, ``which`` of them being done."""
    if progress is None:
        return None
    return lambda done, total: progress(which * total + done, parts * total)


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
