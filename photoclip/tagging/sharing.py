"""Tags in XMP sidecars, where other programs read them, and how they are taken back.

A sidecar holds the tags of the photos it belongs to: where a RAW file and a JPEG have one together, those of
both. Of the labels of a list it holds exactly those that are tags now; what else is in it stays.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from photoclip.records import FileStamp, PhotoTags
from photoclip.sidecars import NotShared, Places, Sidecars, Style
from photoclip.store import KnownSidecar, ReadSidecar
from photoclip.xmp import key

if TYPE_CHECKING:
    from photoclip.library import OpenLibrary


_AT_ONCE = 1000  # sidecars that a run which is killed may have to be told of by the next

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


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
    library: OpenLibrary,
    labels: Collection[str],
    photos: Iterable[PhotoTags],
    style: Style = "auto",
    progress: Progress | None = None,
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
    if not work:
        return Shared(0, tuple(refused))
    with library.lock("tag"):
        return _update(library, work, sorted(listed), refused, progress)


def remove(
    library: OpenLibrary,
    labels: Collection[str] | None = None,
    among: Collection[bytes] | None = None,
    progress: Progress | None = None,
) -> tuple[int, Shared]:
    """Take back tags, of ``labels`` (None: all) on the photos ``among`` (None: all), from the catalogue and
    from sidecars; return how many tags there were, and what came of the sidecars.

    A tag is of a picture, so copies of these photos lose theirs too. In a sidecar that belongs to another
    photo as well, what is a tag of that stays.
    """
    contents = None if among is None else set(library.store.contents_at(among).values())
    photos = [
        PhotoTags(photo, ())
        for content_id, photo in library.store.photos()
        if contents is None or content_id in contents
    ]
    losing = None if among is None else {*among, *(photo.photo.path for photo in photos)}
    with library.lock("tag"):
        removed = library.store.remove_tags(labels, contents)
        work = {
            path: _Wanted(path, _kept(library, path, owners, losing), owners)
            for path, owners in library.store.shared_sidecars().items()
            if losing is None or not losing.isdisjoint(owners)
        }
        work |= {one.path: one for one in _unseen(library, photos) if one.path not in work}
        taking = None if labels is None else sorted(labels)
        return removed, _update(library, list(work.values()), taking, [], progress)


def _update(
    library: OpenLibrary,
    work: Sequence[_Wanted],
    taking: Sequence[str] | None,
    refused: list[tuple[bytes, str]],
    progress: Progress | None,
) -> Shared:
    """Give sidecars the labels they shall hold, of those ``taking`` (None: of all of ours) no others, and
    remember them as they are then. Within the lock."""
    written = 0
    seen: list[ReadSidecar] = []
    gone: list[bytes] = []

    def remember() -> None:
        library.store.record_sidecars(seen)
        library.store.drop_sidecars(gone)
        seen.clear()
        gone.clear()

    with Sidecars() as sidecars:
        try:
            for done, wanted in enumerate(work, start=1):
                try:
                    outcome = sidecars.update(wanted.path, sorted(wanted.labels), taking)
                except NotShared as error:
                    refused.append((wanted.path, str(error)))
                    continue
                written += outcome.changed
                if outcome.stamp is None or outcome.keywords is None:
                    gone.append(wanted.path)
                else:
                    seen.append(ReadSidecar(wanted.path, outcome.stamp, wanted.photos, *outcome.keywords))
                if len(seen) + len(gone) >= _AT_ONCE:
                    remember()
                if progress is not None:
                    progress(done, len(work))
        finally:  # interrupted too: what was written can then be taken back
            remember()
    return Shared(written, tuple(refused))


def _unseen(library: OpenLibrary, photos: Sequence[PhotoTags]) -> list[_Wanted]:
    """Return the sidecars beside ``photos`` that are not as the catalogue knows them: a run that was killed
    may have written them, and what is ours in them they say themselves."""
    there = list(_wanted(library, frozenset(), photos, "auto", []))
    known = library.store.sidecars([one.path for one in there])
    return [one for one in there if one.path not in known or known[one.path].stamp != _stamp(one.path)]


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
            held = _tags_at(library, [os.path.join(folder, name) for name in mates])
            wanted = frozenset().union(labels & held, *(tagged[name] for name in photos_here))
            if wanted or os.path.basename(path) in names:
                whose = sorted(os.path.join(folder, name) for name in (*photos_here, *mates))
                yield _Wanted(path, wanted, tuple(whose))


def _kept(
    library: OpenLibrary, path: bytes, photos: Sequence[bytes], among: Collection[bytes] | None
) -> frozenset[str]:
    """Return the labels that stay in the sidecar at ``path`` when the photos ``among`` lose theirs."""
    others = [] if among is None else [photo for photo in photos if photo not in among]
    tags = _tags_at(library, others)
    if not tags:
        return tags
    ours = set(map(key, library.store.sidecars([path])[path].ours))
    return frozenset(tag for tag in tags if key(tag) in ours)


def _tags_at(library: OpenLibrary, paths: Sequence[bytes]) -> frozenset[str]:
    """Return the stored tags of the photos at ``paths``."""
    contents = library.store.contents_at(paths) if paths else {}
    if not contents:
        return frozenset()
    stored = library.store.tags_of(list(contents.values()), library.model().id)
    return frozenset(tag.label for tags in stored.values() for tag in tags)


def _says_so(wanted: _Wanted, listed: frozenset[str], known: KnownSidecar | None) -> bool:
    """Return whether a sidecar is known to say of the labels ``listed`` what it shall say."""
    if known is None or _stamp(wanted.path) != known.stamp:
        return False
    own, ours = {keyword.casefold() for keyword in known.own}, listed.intersection(known.ours)
    missing = {label for label in wanted.labels if label.casefold() not in own}
    return missing <= ours <= wanted.labels


def _stamp(path: bytes) -> FileStamp | None:
    try:
        return FileStamp.of(os.stat(path))
    except OSError:
        return None
