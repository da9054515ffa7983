"""The level *same picture*, in a library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from photoclip.duplicates.clocks import Clocks
from photoclip.duplicates.denying import denied_among
from photoclip.duplicates.groups import Pair, kept_apart, lowest_similarity
from photoclip.duplicates.pictures import Pictures
from photoclip.duplicates.remembered import place_of, read, write
from photoclip.duplicates.turning import turns
from photoclip.records import DuplicateGroup, Photo

if TYPE_CHECKING:
    from photoclip.library import OpenLibrary

Progress = Callable[[int, int], None]


def same_pictures(
    library: OpenLibrary,
    contents: dict[int, list[Photo]],
    progress: Progress | None,
    *,
    mirrored: bool = False,
    turned: bool = False,
) -> list[DuplicateGroup]:
    """Group contents that show the same picture, and take them out of ``contents``.

    What the user denied, and what a camera took seconds apart, is not, however alike it is.
    A copy may also be ``mirrored``, or ``turned`` by quarters, or both if both are said. What was compared is
    remembered for the next run, if ``contents`` are those of all photos and copies are upright.
    """
    model = library.model()
    matrix = library.matrix(model)
    embedded = [content_id for content_id in matrix.ids.tolist() if content_id in contents]
    # By path, because ids tell in which order the photos were indexed, which must not matter.
    embedded.sort(key=lambda content_id: min(photo.path for photo in contents[content_id]))
    stored = library.store.renderings(embedded)
    renderings = [stored[content_id] for content_id in embedded]
    embeddings = matrix.rows_of(np.array(embedded, np.int64))
    ways = turns(mirrored=mirrored, turned=turned)
    if not ways and sum(map(len, contents.values())) == library.store.counts()["photos"]:
        path = place_of(library.directory, model.id)
        pictures = Pictures(embeddings, renderings, read(path))
        grouped = pictures.groups(progress)
        write(path, pictures.compared())
    else:
        grouped = Pictures(embeddings, renderings, ways=ways).groups(progress)
    photos_of = [contents[content_id][0] for content_id in embedded]
    denied = denied_among(library, {photo.content_hash: place for place, photo in enumerate(photos_of)})
    clocks = Clocks.of([photo.facts for photo in photos_of])
    parts = [
        part
        for members in grouped
        for part in kept_apart(members, denied | _two_shots(clocks, members), embeddings[members])
    ]
    groups = []
    for members in filter(lambda part: len(part) > 1, parts):
        photos = tuple(photo for member in members for photo in contents.pop(embedded[member]))
        groups.append(DuplicateGroup("same picture", lowest_similarity(embeddings[members]), photos))
    return groups


def _two_shots(clocks: Clocks, members: Sequence[int]) -> set[Pair]:
    """Return the pairs of members that a camera took one after the other."""
    dated: dict[tuple[int, int], list[int]] = {}  # most copies have the date of their original
    for member in members:
        if clocks.times[member] >= 0:
            dated.setdefault((int(clocks.times[member]), int(clocks.cameras[member])), []).append(member)
    shots = list(dated.values())
    first, second = np.triu_indices(len(shots), 1)
    firsts = np.array([shot[0] for shot in shots], np.intp)
    differ = clocks.differ(firsts[first], firsts[second])
    return {
        (min(pair), max(pair))
        for one, other in zip(first[differ].tolist(), second[differ].tolist(), strict=True)
        for pair in product(shots[one], shots[other])
    }
