"""The level *same picture*, in a library."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from photoclip.duplicates.groups import kept_apart
from photoclip.duplicates.pictures import Pictures
from photoclip.records import DuplicateGroup, Photo

if TYPE_CHECKING:
    from photoclip.library import OpenLibrary

Progress = Callable[[int, int], None]


def same_pictures(
    library: OpenLibrary, contents: dict[int, list[Photo]], progress: Progress | None
) -> list[DuplicateGroup]:
    """Group contents that show the same picture, and take them out of ``contents``."""
    matrix = library.matrix(library.model())
    embedded = [content_id for content_id in matrix.ids.tolist() if content_id in contents]
    # By path, because ids tell in which order the photos were indexed, which must not matter.
    embedded.sort(key=lambda content_id: min(photo.path for photo in contents[content_id]))
    stored = library.store.renderings(embedded)
    embeddings = matrix.rows_of(np.array(embedded, np.int64))
    grouped = Pictures(embeddings, [stored[content_id] for content_id in embedded]).groups(progress)
    place = {contents[content_id][0].content_hash: number for number, content_id in enumerate(embedded)}
    denied = {
        (min(pair), max(pair))
        for pair in (
            (place.get(first, -1), place.get(second, -1)) for first, second in library.store.denied()
        )
    }
    parts = [part for members in grouped for part in kept_apart(members, denied)]
    groups = []
    for members in filter(lambda part: len(part) > 1, parts):
        photos = tuple(photo for member in members for photo in contents.pop(embedded[member]))
        rows = embeddings[members]
        groups.append(DuplicateGroup("same picture", _lowest_cosine(rows), photos))
    return groups


def _lowest_cosine(rows: NDArray[np.float32]) -> float:
    lowest = min(float((rows @ row).min()) for row in rows)
    return 1.0 if lowest > 1 - 1e-6 else lowest
