"""From a library to its groups of duplicates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from photoclip.duplicates.same import same_pictures
from photoclip.keeping import Rule, best_first
from photoclip.records import DuplicateGroup, Level, Photo

if TYPE_CHECKING:
    from photoclip.library import OpenLibrary

Progress = Callable[[int, int], None]


def find_duplicates(
    library: OpenLibrary,
    *,
    level: Level = "same picture",
    among: frozenset[bytes] | None = None,
    rules: Sequence[Rule] = (),
    references: Sequence[bytes] = (),
    progress: Progress | None = None,
) -> list[DuplicateGroup]:
    """Return the groups of duplicates at ``level`` or better, in the order of their first photo's path.

    Every photo is in one group at the most, the best photo first, as ``keeping.best_first`` has it.
    ``progress`` counts what is left to do in steps of its own.
    """
    contents: dict[int, list[Photo]] = {}
    for content_id, photo in library.store.photos():
        if among is None or photo.path in among:
            contents.setdefault(content_id, []).append(photo)
    groups: list[DuplicateGroup] = []
    if level == "same picture":
        groups = same_pictures(library, contents, progress)
    for photos in contents.values():
        if len(photos) > 1:
            groups.append(DuplicateGroup("identical", 1.0, tuple(photos)))
    ranked = [group._replace(photos=best_first(group.photos, rules, references)) for group in groups]
    return sorted(ranked, key=lambda group: group.photos[0].path)
