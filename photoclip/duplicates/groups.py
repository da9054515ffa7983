"""Groups without chains.

Pictures join a group by pairs that are the same picture, but only if every two of the group are so too, or
nearly: two crops of one photo are a little less alike than each is to the photo. A row of pictures that
change little by little falls apart.

To compare each with each would take half a million looks for a thousand copies, so copies that are all but
equal are bundled first: with an angle of alpha at the most between the first of a bundle and any other, any
two are at most 2 alpha apart, so nothing has to be compared within a bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Pair = tuple[int, int]
Rows = NDArray[np.float32]
Holds = Callable[[list[Pair]], bool]
"""Says whether all pairs (low, high) belong together."""

_FIRST_LOOK = 8


def kept_apart(members: Sequence[int], apart: Collection[Pair]) -> list[list[int]]:
    """Return ``members`` in as many parts as it takes for none to hold a pair of ``apart`` (low, high).

    Each joins the first part that has room for it.
    """
    parts: list[list[int]] = []
    for member in sorted(members):
        for part in parts:
            if not any((other, member) in apart for other in part):
                part.append(member)
                break
        else:
            parts.append([member])
    return parts


def complete_link(pairs: Mapping[Pair, float], holds: Holds | None = None) -> list[list[int]]:
    """Partition what ``pairs`` (low, high) → similarity connects into groups without chains.

    The strongest pairs join first; two groups join only if every two members across them belong
    together: they are in ``pairs``, or ``holds`` says so. Ties are broken by number, so the result does
    not depend on the order of ``pairs``.
    """
    group_of: dict[int, list[int]] = {}
    for pair in sorted(pairs, key=lambda pair: (-pairs[pair], pair)):
        first, second = (group_of.setdefault(member, [member]) for member in pair)
        if first is second:
            continue
        across = [(min(a, b), max(a, b)) for a in first for b in second]
        unknown = [two for two in across if two not in pairs]
        if not unknown or (holds is not None and _all_hold(unknown, holds)):
            first += second
            for member in second:
                group_of[member] = first
    unique = {id(group): sorted(group) for group in group_of.values() if len(group) > 1}
    return sorted(unique.values())


def _all_hold(pairs: list[Pair], holds: Holds) -> bool:
    """Return whether all hold; what does not is mostly seen among the first."""
    return holds(pairs[:_FIRST_LOOK]) and (len(pairs) <= _FIRST_LOOK or holds(pairs[_FIRST_LOOK:]))


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
