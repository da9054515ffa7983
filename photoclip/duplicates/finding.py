"""From a library to its groups of duplicates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from photoclip.duplicates.clocks import Clocks
from photoclip.duplicates.denying import denied_among
from photoclip.duplicates.moments import WITHIN, Groups, Shots
from photoclip.duplicates.same import same_pictures
from photoclip.duplicates.units import in_units
from photoclip.errors import BadUsage
from photoclip.evidence import usual_similarity
from photoclip.keeping import Rule
from photoclip.records import DuplicateGroup, Level, Photo

if TYPE_CHECKING:
    from photoclip.library import OpenLibrary

Progress = Callable[[int, int], None]


def find_duplicates(
    library: OpenLibrary,
    *,
    level: Level = "same picture",
    within: float | None = None,
    least: float | None = None,
    mirrored: bool = False,
    turned: bool = False,
    among: frozenset[bytes] | None = None,
    rules: Sequence[Rule] = (),
    references: Sequence[bytes] = (),
    progress: Progress | None = None,
) -> list[DuplicateGroup]:
    """Return the groups of duplicates at ``level`` or better, in the order of their first photo's path.

    Every photo is in one group at the most, the best photo first, as ``keeping.ranking`` has it. A group
    says the weakest level that any two of its photos need, and what is together at one level is so at every
    weaker one. ``progress`` counts what is left to do in steps of its own.

    A copy may also be ``mirrored``, or ``turned`` by quarters, or both if both are said.

    ``within``: the seconds in which a moment has passed (None: ``moments.WITHIN``); ``least``: the lowest
    similarity of two similar photos (None: ``moments.ALIKE`` says it).

    Raises BadUsage for a number of seconds that is none.
    """
    within = WITHIN if within is None else within
    if not (within >= 0 and math.isfinite(within)):
        raise BadUsage(f"a moment cannot last {within:g} seconds", "name a number of seconds, 0 or more")
    contents: dict[int, list[Photo]] = {}
    everyone: list[Photo] = []
    for content_id, photo in library.store.photos():
        everyone.append(photo)
        if among is None or photo.path in among:
            contents.setdefault(content_id, []).append(photo)
    ids = {photos[0].content_hash: content_id for content_id, photos in contents.items()}
    groups: list[DuplicateGroup] = []
    if level != "identical":
        groups = same_pictures(library, contents, progress, mirrored=mirrored, turned=turned)
    groups += [DuplicateGroup("identical", 1.0, tuple(photos)) for photos in contents.values()]
    if level in ("same moment", "similar"):
        groups = _joined(library, groups, ids, level, within, least, progress)
    groups = [group for group in groups if len(group.photos) > 1]
    losses: dict[bytes, int] = {}
    if any(rule.key == "sharpness" for rule in rules):
        from photoclip.images import sharpness  # late: it reads photos

        losses = sharpness.losses([group.photos for group in groups], progress=progress)
    return in_units(groups, everyone, rules, references, losses)


def _joined(
    library: OpenLibrary,
    pictures: Sequence[DuplicateGroup],
    ids: Mapping[bytes, int],
    level: Level,
    within: float,
    least: float | None,
    progress: Progress | None,
) -> list[DuplicateGroup]:
    """Join pictures, each with all of its copies, at a weaker level. ``ids``: the content of each hash.

    What has no embedding yet stays as it is.
    """
    matrix = library.matrix(library.model())
    standing = [_standing_for(picture) for picture in pictures]
    contents = np.array([ids[photo.content_hash] for photo in standing], np.int64)
    _, embedded = matrix.find(contents)
    # By path, because ids tell in which order the photos were indexed, which must not matter.
    order = sorted(np.flatnonzero(embedded).tolist(), key=lambda place: standing[place].path)
    left_alone = [pictures[place] for place in np.flatnonzero(~embedded).tolist()]
    pictures = [pictures[place] for place in order]
    place = {photo.content_hash: number for number, one in enumerate(pictures) for photo in one.photos}
    stored = library.store.renderings(contents[order].tolist())
    shots = Shots(
        matrix.rows_of(contents[order]),
        [stored[content_id] for content_id in contents[order].tolist()],
        Clocks.of([standing[place].facts for place in order]),
        usual_similarity(rows for _, rows in matrix.blocks()),
        denied_among(library, place),
    )
    moments = shots.moments(within, progress)
    found = moments if level == "same moment" else shots.similar(moments, within, least, progress)
    return left_alone + _named(pictures, shots, moments, found)


def _named(
    pictures: Sequence[DuplicateGroup], shots: Shots, moments: Groups, found: Groups
) -> list[DuplicateGroup]:
    """Return the groups that were found, with their levels."""
    of_a_moment = set(map(tuple, moments))
    named = []
    for members in found:
        if len(members) == 1:
            named.append(pictures[members[0]])
            continue
        level: Level = "same moment" if tuple(members) in of_a_moment else "similar"
        lowest = min(pictures[member].similarity for member in members)
        photos = tuple(photo for member in members for photo in pictures[member].photos)
        named.append(DuplicateGroup(level, min(lowest, shots.lowest_similarity(members)), photos))
    return named


def _standing_for(picture: DuplicateGroup) -> Photo:
    """Return the first photo that knows when it was taken, or the first."""
    return min(picture.photos, key=lambda photo: (photo.facts.taken_at is None, photo.path))
