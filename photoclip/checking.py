"""Checking: does the library hold what it says, down to the last byte?

The catalogue is judged by SQLite and by the checksum of every embedding; the caches by their own
headers and checksums. A cache that is missing or out of date is no damage: it comes back by itself.
A deep check reads the photos too: a drive that fails changes files without touching size and times.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from photoclip.errors import ModelUnavailable
from photoclip.records import Problem, ScannedFile
from photoclip.scan import scan_file

if TYPE_CHECKING:
    from photoclip.library import OpenLibrary
    from photoclip.store import StoredModel


class Finding(NamedTuple):
    """One thing that is wrong, and the way out of it, in words; and whether it was just mended."""

    text: str
    remedy: str
    mended: bool = False


_REPAIR = "mend what can be mended: photoclip check --repair"
_FAILING = "a drive may be failing: restore these photos from a backup, or index them as they are with --deep"
_RESTORE = "restore the catalogue from a backup (photoclip backup makes them)"


def check(library: OpenLibrary, *, repair: bool = False, deep: bool = False) -> list[Finding]:
    """Return what is wrong with ``library``; with ``repair`` mend what can be mended on the way.

    A damaged embedding is dropped, and the next index makes it anew; a damaged cache is made anew
    from the catalogue; a damaged text tower from the model. ``deep`` compares the bytes of every photo
    with its hash. Raises LibraryLocked when repairing a library that somebody is writing to.
    """
    with library.lock("check --repair") if repair else contextlib.nullcontext():
        return list(_findings(library, repair, deep))


def _findings(library: OpenLibrary, repair: bool, deep: bool) -> Iterator[Finding]:
    for fault in library.store.faults():
        yield Finding(f"catalogue: {fault}", _RESTORE)
    for model in library.store.models():
        yield from _embeddings(library, model, repair)
        yield from _caches(library, model, repair)
        yield from _tower(library, model, repair)
    if deep:
        yield from _photos(library)


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
        yield Finding(
            f"the embedding of {name} under {model.card.spec} has changed by itself", _REPAIR, repair
        )


def _caches(library: OpenLibrary, model: StoredModel, repair: bool) -> Iterator[Finding]:
    for path, whole in library.vector_files(model):
        if not whole:
            if repair:
                os.unlink(path)
            yield Finding(f"the cache {path} is damaged", _REPAIR, repair)


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
        yield Finding(f"the text tower {path} is damaged", _REPAIR)
        return
    os.unlink(path)
    try:
        library.export_tower(model, registry.load(model.card.spec, "cpu"))
    except ModelUnavailable as error:
        yield Finding(f"the text tower of {model.card.spec} is gone: {error}", error.hint)
    else:
        yield Finding(f"the text tower {path} is damaged", _REPAIR, True)


def _photos(library: OpenLibrary) -> Iterator[Finding]:
    """Read again every photo whose size and times are as they were; those that changed are index's to see."""
    from photoclip import config
    from photoclip.images import DecodePool

    hashes: dict[bytes, bytes] = {}
    other: set[bytes] = set()

    def is_right(file: ScannedFile, content_hash: bytes) -> bool:
        if hashes[file.path] != content_hash:
            other.add(file.path)
        return hashes[file.path] == content_hash

    with DecodePool(config.cpu_count(), None, is_right) as pool:
        for file, outcome in pool.run(_unchanged(library, hashes)):
            del hashes[file.path]
            name = os.fsdecode(file.path)
            if file.path in other:
                text = f"{name} does not hold what was indexed, though its size and times are the same"
                yield Finding(text, _FAILING)
            elif isinstance(outcome, Problem):
                yield Finding(f"{name} cannot be read: {outcome.reason}", _FAILING)


def _unchanged(library: OpenLibrary, hashes: dict[bytes, bytes]) -> Iterator[ScannedFile]:
    """Yield the files that are as they were indexed, by size and time, and note their hashes."""
    for _, photo in library.store.photos():
        file = scan_file(photo.path)
        if file is not None and (file.stamp.size, file.stamp.mtime_ns) == (photo.size, photo.mtime_ns):
            hashes[photo.path] = photo.content_hash
            yield file
