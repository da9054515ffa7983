"""Tags in XMP sidecars, where other programs read them, and how they are taken back.

A sidecar holds the tags of the photos it belongs to: where a RAW file and a JPEG have one together, those of
both. Of the labels of a list it holds exactly those that are tags now; what else is in it stays.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from photoclip.records import FileStamp, PhotoTags
from photoclip.sidecars import NotShared, Places, Sidecars, Style
from photoclip.store import KnownSidecar, ReadSidecar

if TYPE_CHECKING:
    from photoclip.library import OpenLibrary


class Shared(NamedTuple):
    """How many sidecars were ``written``, or removed, and which could not be, with the reason."""

    written: int
    refused: tuple[tuple[bytes, str], ...]


class _Wanted(NamedTuple):
    """What a sidecar shall hold: ``labels``, and whose it is."""

    path: bytes
    labels: frozenset[str]
    photos: tuple[bytes, ...]


def share(
    library: OpenLibrary, labels: Collection[str], photos: Iterable[PhotoTags], style: Style = "auto"
) -> Shared:
    """Write the tags of ``photos``, as far as they are of the list ``labels``, into their sidecars.

    A photo that is not there, or whose folder or sidecar cannot be written, is named in the result; the
    others go on. A sidecar that says already what it shall say is not touched, nor read.
    """
    refused: list[tuple[bytes, str]] = []
    listed = frozenset(labels)
    wanted = list(_wanted(library, listed, photos, style, refused))
    known = library.store.sidecars([one.path for one in wanted])
    work = [one for one in wanted if not _says_so(one, listed, known.get(one.path))]
    taking = sorted(listed)
    return _update(library, ((one, sorted(one.labels), taking) for one in work), bool(work), refused)


def unshare(
    library: OpenLibrary, labels: Collection[str] | None = None, among: Collection[bytes] | None = None
) -> Shared:
    """Take out of the sidecars what photoclip wrote into them: ``labels`` (None: all), from the sidecars of
    the photos ``among`` (None: from all that the library knows)."""
    taking = None if labels is None else sorted(labels)
    ours = [
        _Wanted(path, frozenset(), photos)
        for path, photos in library.store.shared_sidecars().items()
        if among is None or not set(photos).isdisjoint(among)
    ]
    return _update(library, ((one, [], taking) for one in ours), bool(ours), [])


def remove(
    library: OpenLibrary, labels: Collection[str] | None = None, among: Collection[bytes] | None = None
) -> tuple[int, Shared]:
    """Take back tags, of ``labels`` (None: all) on the photos ``among`` (None: all), from the catalogue and
    from sidecars; return how many tags there were, and what came of the sidecars."""
    contents = None if among is None else set(library.store.contents_at(among).values())
    with library.lock("tag"):
        removed = library.store.remove_tags(labels, contents)
    return removed, unshare(library, labels, among)


def _update(
    library: OpenLibrary,
    work: Iterable[tuple[_Wanted, Sequence[str], Sequence[str] | None]],
    is_some: bool,
    refused: list[tuple[bytes, str]],
) -> Shared:
    """Change sidecars, and remember them as they are now."""
    if not is_some:
        return Shared(0, tuple(refused))
    written = 0
    read: list[ReadSidecar] = []
    gone: list[bytes] = []
    with library.lock("tag"), Sidecars() as sidecars:
        for wanted, adding, taking in work:
            try:
                outcome = sidecars.update(wanted.path, adding, taking)
            except NotShared as error:
                refused.append((wanted.path, str(error)))
                continue
            written += outcome.changed
            if outcome.stamp is None or outcome.keywords is None:
                gone.append(wanted.path)
            else:
                keywords = outcome.keywords
                read.append(
                    ReadSidecar(wanted.path, outcome.stamp, wanted.photos, keywords.own, keywords.ours)
                )
        library.store.record_sidecars(read)
        library.store.drop_sidecars(gone)
    return Shared(written, tuple(refused))


def _wanted(
    library: OpenLibrary,
    labels: frozenset[str],
    photos: Iterable[PhotoTags],
    style: Style,
    refused: list[tuple[bytes, str]],
) -> Iterator[_Wanted]:
    """Yield what the sidecars of ``photos`` shall hold, for each that is there or has to be."""
    folders: defaultdict[bytes, dict[bytes, frozenset[str]]] = defaultdict(dict)
    for photo, tags in photos:
        folder, name = os.path.split(photo.path)
        folders[folder][name] = labels.intersection(tag.label for tag in tags)
    for folder, tagged in folders.items():
        try:
            names = frozenset(os.listdir(folder))
        except OSError as error:
            reason = "its folder is gone" if isinstance(error, FileNotFoundError) else error.strerror
            refused += [(os.path.join(folder, name), str(reason)) for name in tagged if tagged[name]]
            continue
        gone = tagged.keys() - names
        refused += [(os.path.join(folder, name), "it is gone") for name in sorted(gone) if tagged[name]]
        places = Places(folder, names)
        owners: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for name in sorted(tagged.keys() - gone):
            owners[places.of(name, style)].append(name)
        for path, photos_here in owners.items():
            mates = [name for name in places.mates(path) if name not in tagged]
            held = _tags_at(library, labels, [os.path.join(folder, name) for name in mates])
            wanted = frozenset().union(held, *(tagged[name] for name in photos_here))
            if wanted or os.path.basename(path) in names:
                whose = sorted(os.path.join(folder, name) for name in (*photos_here, *mates))
                yield _Wanted(path, wanted, tuple(whose))


def _tags_at(library: OpenLibrary, labels: frozenset[str], paths: Sequence[bytes]) -> frozenset[str]:
    """Return the stored tags, of ``labels``, of the photos at ``paths``."""
    contents = library.store.contents_at(paths) if paths else {}
    if not contents:
        return frozenset()
    stored = library.store.tags_of(list(contents.values()), library.model().id)
    return labels.intersection(tag.label for tags in stored.values() for tag in tags)


def _says_so(wanted: _Wanted, listed: frozenset[str], known: KnownSidecar | None) -> bool:
    """Return whether a sidecar is known to say of the labels ``listed`` what it shall say."""
    if known is None or _stamp(wanted.path) != known.stamp:
        return False
    own = {keyword.casefold() for keyword in known.own}
    missing = {label for label in wanted.labels if label.casefold() not in own}
    return missing == listed.intersection(known.ours)


def _stamp(path: bytes) -> FileStamp | None:
    try:
        return FileStamp.of(os.stat(path))
    except OSError:
        return None
