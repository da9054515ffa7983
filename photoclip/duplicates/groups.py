"""Groups without chains.

Pictures join a group by pairs that are the same picture, but only if every two of the group are so too, or
nearly: two crops of one photo are a little less alike than each is to the photo. If neither shows the other,
they may be laid over each other as they lie over the photo. A row of pictures that change little by little
falls apart.

To compare each with each would take half a million looks for a thousand copies, so copies that are all but
equal are bundled first: with an angle of alpha at the most between the first of a bundle and any other, any
two are at most 2 alpha apart, so nothing has to be compared within a bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Pair = tuple[int, int]
Rows = NDArray[np.float32]
Holds = Callable[[list[Pair]], bool]
"""Says whether all pairs (low, high) belong together."""
HoldsWith = Callable[[list[Pair], list[int]], bool]
"""Says so of pairs that do not hold by themselves; with them in the group would be the members given."""

_FIRST_LOOK = 8


def kept_apart(members: Sequence[int], apart: Collection[Pair], rows: Rows) -> list[list[int]]:
    """Return ``members`` in parts of which none holds a pair of ``apart`` (low, high).

    Those in a pair of ``apart`` are brought together, the most alike first, as far as they may be; each other
    one is with the one of them that it is most alike. ``rows``: embeddings of the members, of unit length.
    """
    row_of = dict(zip(members, rows, strict=True))
    among = sorted({one for pair in apart if row_of.keys() >= set(pair) for one in pair})
    if not among:
        return [list(members)]
    free = {
        pair: round(float(row_of[pair[0]] @ row_of[pair[1]]), 6)
        for pair in combinations(among, 2)
        if pair not in apart
    }
    parts = complete_link(free)
    parts += [[one] for one in among if not any(one in part for part in parts)]
    part_of = {one: part for part in parts for one in part}
    settled = np.stack([row_of[one] for one in among])
    for other in sorted(row_of.keys() - part_of.keys()):
        part_of[among[int(np.argmax(np.round(settled @ row_of[other], 6)))]].append(other)
    return [sorted(part) for part in parts]


def complete_link(
    pairs: Mapping[Pair, float], holds: Holds | None = None, holds_with: HoldsWith | None = None
) -> list[list[int]]:
    """Partition what ``pairs`` (low, high) → similarity connects into groups without chains.

    The strongest pairs join first; two groups join only if every two members across them belong
    together: they are in ``pairs``, or ``holds`` or ``holds_with`` says so. Ties are broken by number, so
    the result does not depend on the order of ``pairs``.
    """
    group_of: dict[int, list[int]] = {}
    refused: set[tuple[int, int, int, int]] = set()
    for pair in sorted(pairs, key=lambda pair: (-pairs[pair], pair)):
        first, second = sorted(group_of.setdefault(member, [member]) for member in pair)
        if first is second:
            continue
        asked = first[0], len(first), second[0], len(second)  # a group grows at its end
        if asked in refused:
            continue
        across = [(min(a, b), max(a, b)) for a in first for b in second]
        unknown = [two for two in across if two not in pairs]
        if not unknown or (holds is not None and _all_hold(unknown, first + second, holds, holds_with)):
            first += second
            for member in second:
                group_of[member] = first
        else:
            refused.add(asked)
    unique = {id(group): sorted(group) for group in group_of.values() if len(group) > 1}
    return sorted(unique.values())


def _all_hold(pairs: list[Pair], members: list[int], holds: Holds, holds_with: HoldsWith | None) -> bool:
    """Return whether all hold; what does not is mostly seen among the first."""
    return all(
        holds(some) or (holds_with is not None and holds_with(some, members))
        for some in (pairs[:_FIRST_LOOK], pairs[_FIRST_LOOK:])
        if some
    )


def tie(pair: Pair, members: Iterable[int], pairs: Mapping[Pair, float]) -> int | None:
    """Return which of ``members`` is in ``pairs`` with both of ``pair``, the surest; None if none is."""
    best, found = 0.0, None
    for member in sorted(members):
        weaker = min(pairs.get((min(one, member), max(one, member)), 0.0) for one in pair)
        if weaker > best:
            best, found = weaker, member
    return found


def lowest_similarity(rows: Rows) -> float:
    """Return the lowest cosine of any two ``rows``, (n, d), of unit length; 1.0 where all but equal."""
    lowest = min(float((rows @ row).min()) for row in rows)
    return 1.0 if lowest > 1 - 1e-6 else lowest


def components(pairs: Iterable[Pair]) -> list[list[int]]:
    """Return what ``pairs`` connect, directly or over others, each and all sorted."""
    parent: dict[int, int] = {}

    def root(one: int) -> int:
        parent.setdefault(one, one)
        while parent[one] != one:
            parent[one] = one = parent[parent[one]]
        return one

    for first, second in pairs:
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    found: dict[int, list[int]] = {}
    for one in sorted(parent):
        found.setdefault(root(one), []).append(one)
    return list(found.values())


def bundles(members: list[int], views: Iterable[tuple[Rows, float]]) -> dict[int, list[int]]:
    """Return the first of each bundle → all of it. ``members`` are in order.

    ``views``: of each member a row of unit length, (n, d), and the cosine that each in a bundle must have
    with the first of it, in every view.
    """
    views = list(views)
    free = np.ones(len(members), bool)
    found: dict[int, list[int]] = {}
    for place, first in enumerate(members):
        if free[place]:
            near = free & np.all([rows @ rows[place] >= least for rows, least in views], axis=0)
            near[place] = True
            free &= ~near
            found[first] = [members[other] for other in np.flatnonzero(near).tolist()]
    return found
