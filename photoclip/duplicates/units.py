"""RAW and JPEG of one shot count as one.

A *unit* is a photo, or the photos that a camera wrote of one shot (``photoclip.partners``). Its photos are no
duplicates of each other. A group holds each unit once, by its best photo, and the rules weigh units as
a whole, with those of their photos that are in no group too. So they are in the same order in each group they
are in, and nothing that stays in one goes in another.

That the RAW files of two shots are one picture, and that their JPEGs are, is said once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import get_args

from photoclip.images.names import is_raw
from photoclip.keeping import Rule, ranking
from photoclip.partners import shots, split_name
from photoclip.records import DuplicateGroup, Level, Photo

Unit = tuple[Photo, ...]
Rank = Callable[[Unit], tuple[object, ...]]

_WEAKER: dict[Level, int] = {level: place for place, level in enumerate(get_args(Level))}


def in_units(
    groups: Iterable[DuplicateGroup],
    photos: Iterable[Photo],
    rules: Sequence[Rule] = (),
    references: Sequence[bytes] = (),
    losses: Mapping[bytes, int] | None = None,
) -> list[DuplicateGroup]:
    """Return ``groups`` with each unit once, the best first, in the order of their first photo's path.

    ``photos`` are all of the library, also those that are in no group. ``rules``, ``references`` and
    ``losses`` are those of ``keeping.ranking``. A group of one unit is left out, and of groups with the same
    units there is one, at the weakest of their levels and the lowest of their similarities.
    """
    groups = list(groups)
    units = _units(groups, photos)
    alike: dict[frozenset[Unit], list[DuplicateGroup]] = {}
    for group in groups:
        alike.setdefault(frozenset(units[photo.path] for photo in group.photos), []).append(group)
    rank = ranking(rules, references, losses)
    found = [
        _as_one(some, sorted(whole, key=rank), units, rank) for whole, some in alike.items() if len(whole) > 1
    ]
    return sorted(found, key=lambda group: group.photos[0].path)


def _units(groups: Sequence[DuplicateGroup], photos: Iterable[Photo]) -> dict[bytes, Unit]:
    """Return path → unit of all photos in ``groups``."""
    grouped = {photo.path: photo for group in groups for photo in group.photos}
    stems = {_stem(path) for path in grouped}
    beside = {photo.path: photo for photo in photos if _stem(photo.path) in stems} | grouped
    found = shots(beside, is_raw)
    return {path: tuple(beside[mate] for mate in found.get(path, (path,))) for path in grouped}


def _stem(path: bytes) -> bytes:
    """Return a path without the ending of its name."""
    folder, name = os.path.split(path)
    return os.path.join(folder, split_name(name)[0])


def _as_one(
    groups: Sequence[DuplicateGroup], ordered: Sequence[Unit], units: Mapping[bytes, Unit], rank: Rank
) -> DuplicateGroup:
    """Return groups with the same units, the best first, as one."""
    parts: dict[Unit, list[Photo]] = {unit: [] for unit in ordered}
    for photo in {photo.path: photo for group in groups for photo in group.photos}.values():
        parts[units[photo.path]].append(photo)
    best = min(parts[ordered[0]], key=lambda photo: rank((photo,)))
    shown = [_like_first(parts[unit], best, rank) for unit in ordered]
    level = max((group.level for group in groups), key=_WEAKER.__getitem__)
    similarity = min(group.similarity for group in groups)
    along = tuple(tuple(some[1:]) for some in shown) if any(len(some) > 1 for some in shown) else ()
    return DuplicateGroup(level, similarity, tuple(some[0] for some in shown), along)


def _like_first(photos: Iterable[Photo], best: Photo, rank: Rank) -> list[Photo]:
    """Return the photos of a unit, first the one to be seen beside ``best``: of the same content or else of
    the same kind, so that like is compared with like."""

    def key(photo: Photo) -> tuple[object, ...]:
        other_kind = is_raw(photo.path) != is_raw(best.path)
        return photo.content_hash != best.content_hash, other_kind, rank((photo,))

    return sorted(photos, key=key)
