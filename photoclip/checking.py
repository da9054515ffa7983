"""Checking: does the library hold what it says, down to the last byte?

The catalogue is judged by SQLite and by the checksum of every embedding; the caches by their own
headers and checksums. A cache that is missing or out of date is no damage: it comes back by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from photoclip.errors import ModelUnavailable

if TYPE_CHECKING:
    from photoclip.library import OpenLibrary
    from photoclip.store import StoredModel


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, in words; whether ``--repair`` can mend it, and whether it just did."""

    text: str
    mendable: bool
    mended: bool = False


def check(library: OpenLibrary, *, repair: bool = False) -> list[Finding]:
    """Return what is wrong with ``library``; with ``repair`` mend what can be mended on the way.

    A damaged embedding is dropped, and the next index makes it anew; a damaged cache is made anew
    from the catalogue; a damaged text tower from the model. Raises LibraryLocked when repairing a
    library that somebody is writing to.
    """
    if not repair:
        return list(_findings(library, repair=False))
    with library.lock("check --repair"):
        return list(_findings(library, repair=True))


def _findings(library: OpenLibrary, *, repair: bool) -> Iterator[Finding]:
    for fault in library.store.faults():
        yield Finding(f"catalogue: {fault}", mendable=False)
    for model in library.store.models():
        yield from _embeddings(library, model, repair)
        yield from _caches(library, model, repair)
        yield from _tower(library, model, repair)


def _embeddings(library: OpenLibrary, model: StoredModel, repair: bool) -> Iterator[Finding]:
    damaged = library.store.damaged_embeddings(model.id, model.card.dimension)
    if not damaged:
        return
    names = [
        os.fsdecode(photo.path) for photos in library.store.photos_of(damaged).values() for photo in photos
    ]
    if repair:
        library.store.drop_embeddings(model.id, damaged)
    for name in names or [f"content {content_id}" for content_id in damaged]:
        yield Finding(f"the embedding of {name} under {model.card.spec} has changed by itself", True, repair)


def _caches(library: OpenLibrary, model: StoredModel, repair: bool) -> Iterator[Finding]:
    for path, whole in library.vector_files(model):
        if not whole:
            if repair:
                os.unlink(path)
            yield Finding(f"the cache {path} is damaged", True, repair)


def _tower(library: OpenLibrary, model: StoredModel, repair: bool) -> Iterator[Finding]:
    from photoclip.encoders import registry
    from photoclip.encoders.text import TextTower

    path = library.tower_path(model)
    if not os.path.exists(path):
        return
    try:
        TextTower.open(path)
    except ModelUnavailable:
        pass
    else:
        return
    if not repair:
        yield Finding(f"the text tower {path} is damaged", True)
        return
    os.unlink(path)
    try:
        library.export_tower(model, registry.load(model.card.spec, "cpu"))
    except ModelUnavailable as error:
        yield Finding(f"the text tower of {model.card.spec} is gone: {error}", False)
    else:
        yield Finding(f"the text tower {path} is damaged", True, True)
