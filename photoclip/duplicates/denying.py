"""What the user says is not the same picture."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from photoclip.duplicates.groups import Pair
from photoclip.errors import BadUsage

if TYPE_CHECKING:
    from photoclip.library import OpenLibrary


def denied_among(library: OpenLibrary, place: Mapping[bytes, int]) -> set[Pair]:
    """Return the pairs (low, high) of places of which the user has said that they are not the same picture.

    ``place``: of content hashes, those that are of interest; several may have one place.
    """
    found = ((place.get(first, -1), place.get(second, -1)) for first, second in library.store.denied())
    return {(min(pair), max(pair)) for pair in found if min(pair) >= 0}


def deny(library: OpenLibrary, paths: Sequence[bytes], *, revoke: bool = False) -> int:
    """Remember, for good, that no two of the photos at ``paths`` are the same picture; return how many pairs
    that were. With ``revoke`` it is forgotten. Within the lock.

    Raises BadUsage for a photo that is not in the library, and where all are copies of one file.
    """
    contents = library.store.contents_at(paths)
    for path in paths:
        if path not in contents:
            raise BadUsage(
                f"this photo is not in the library: {os.fsdecode(path)}",
                "photoclip list shows those that are",
            )
    photos = library.store.photos_of(sorted(set(contents.values())))
    return deny_contents(library, {some[0].content_hash for some in photos.values()}, revoke=revoke)


def deny_contents(library: OpenLibrary, hashes: Collection[bytes], *, revoke: bool = False) -> int:
    """Do as ``deny`` for files of these ``hashes``, wherever they lie now.

    Raises BadUsage where all are copies of one file.
    """
    different = sorted(set(hashes))
    if len(different) < 2:
        raise BadUsage("these are copies of one file, byte for byte", "name two different pictures")
    pairs = list(combinations(different, 2))
    library.store.deny(pairs, revoke=revoke)
    return len(pairs)
