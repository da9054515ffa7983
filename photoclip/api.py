"""The one door to a library, for Python programs as for the command line.

from photoclip import Library

with Library.open_or_create("~/photos.library") as library:
    library.index(["/home/me/Pictures"])
    for hit in library.search("a beach at sunset"):
        print(hit.similarity, hit.photo.path)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from photoclip import config
from photoclip.library import OpenLibrary

if TYPE_CHECKING:
    from types import TracebackType

    from photoclip.checking import Finding
    from photoclip.filters import PhotoFilter
    from photoclip.indexing import IndexOptions, IndexReport, Watcher
    from photoclip.records import DuplicateGroup, Level, Photo, PhotoTags, Problem, SearchHit, TagSuggestion
    from photoclip.searching import Order
    from photoclip.tagging import LabelList

PathLike = str | bytes | os.PathLike[str]


class Library:
    """An open library. Every method raises a ``PhotoclipError`` when it cannot do what it says."""

    def __init__(self, library: OpenLibrary) -> None:
        self.inner = library

    @classmethod
    def open(cls, directory: PathLike | None = None) -> Library:
        """Open the library in ``directory`` (None: the default one)."""
        return cls(OpenLibrary.open(_directory(directory)))

    @classmethod
    def open_or_create(cls, directory: PathLike | None = None) -> Library:
        """Open the library in ``directory`` (None: the default one), or make one there."""
        return cls(OpenLibrary.open_or_create(_directory(directory)))

    def __enter__(self) -> Library:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the library."""
        self.inner.close()

    def index(
        self,
        roots: Iterable[PathLike],
        options: IndexOptions | None = None,
        watcher: Watcher | None = None,
        listed: Iterable[PathLike] = (),
    ) -> IndexReport:
        """Bring the library up to date with the photos below ``roots`` and ``listed``.

        A path in ``listed`` that does not exist is a warning, in ``roots`` an error.
        """
        from photoclip.indexing import IndexOptions, Silence, index

        paths = [os.fsencode(root) for root in roots]
        files = [os.fsencode(path) for path in listed]
        return index(self.inner, paths, options or IndexOptions(), watcher or Silence(), files)

    def search(
        self,
        *texts: str,
        plus: Sequence[str] = (),
        minus: Sequence[str] = (),
        like: Sequence[PathLike] = (),
        where: PhotoFilter | None = None,
        limit: int = 20,
        minimum: float | None = None,
        among: Iterable[PathLike] | None = None,
        relevant: bool = False,
        judged: bool = False,
        explained: bool = False,
        order: Order | None = None,
        reverse: bool = False,
        device: str = "auto",
    ) -> list[SearchHit]:
        """Return the photos that fit the texts and example pictures best, by falling similarity.

        A text of ``plus`` and ``minus``, or a picture of ``like``, may begin with a weight: ``0.5:at night``.
        ``where`` says what photos must be besides; without anything to look for, all that pass come, by path.
        With ``relevant`` only photos that answer the query come, with ``judged`` each hit says whether it
        does, with ``explained`` what each part contributed. ``order`` and ``reverse`` order the best hits.
        """
        from photoclip.searching import Part, Query, search

        parts = [Part(text) for text in texts]
        parts += [Part.text(text) for text in plus]
        parts += [Part.text(text, -1) for text in minus]
        parts += [Part.picture(path) for path in like]
        query = Query(
            tuple(parts),
            where,
            limit,
            minimum,
            _absolute(among),
            relevant,
            judged,
            explained,
            order,
            reverse,
            device,
        )
        return search(self.inner, query)

    def tag(
        self,
        labels: LabelList | Sequence[str],
        *,
        among: Iterable[PathLike] | None = None,
        keep: bool = True,
        minimum: float | None = None,
        device: str = "auto",
    ) -> Iterator[PhotoTags]:
        """Decide which labels fit which photos, keep the decisions, and yield every photo with its tags."""
        from photoclip.tagging import CERTAIN, LabelList, read_labels, tag

        if not isinstance(labels, LabelList):
            labels = read_labels("\n".join(labels), "the list of labels")
        least = CERTAIN if minimum is None else minimum
        return tag(self.inner, labels, among=_absolute(among), keep=keep, minimum=least, device=device)

    def duplicates(
        self,
        level: Level = "same picture",
        *,
        among: Iterable[PathLike] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[DuplicateGroup]:
        """Return the groups of duplicates at ``level`` or better, the best photo of each first."""
        from photoclip.duplicates import find_duplicates

        return find_duplicates(self.inner, level=level, among=_absolute(among), progress=progress)

    def photos(
        self, among: Iterable[PathLike] | None = None, where: PhotoFilter | None = None
    ) -> Iterator[Photo]:
        """Yield the photos of the library that are not missing, by path."""
        wanted = _absolute(among)
        found = self.inner.store.photos(where)
        return (photo for _, photo in found if wanted is None or photo.path in wanted)

    def photos_with(self, content_hash: bytes) -> list[Photo]:
        """Return the photos with this content (the SHA-256 of the file) that are not missing, by path."""
        return self.inner.store.photos_with(content_hash)

    def thumbnails(self, photos: Iterable[Photo]) -> Iterator[tuple[Photo, bytes | None]]:
        """Yield every photo with a JPEG picture of it, upright and of 320 pixels at most, in order.

        None when the file is gone, has changed or cannot be read, and the library keeps no thumbnail of it.
        """
        from photoclip.thumbnails import Thumbnails

        with Thumbnails(self.inner.directory) as thumbnails:
            yield from thumbnails.each(photos)

    def problems(self) -> Iterator[Problem]:
        """Yield the files that could not be read, by path."""
        return self.inner.store.problems()

    def tags(self) -> list[tuple[str, int]]:
        """Return the stored labels with the number of photos that carry each, the most frequent first."""
        return self.inner.store.tag_counts(self.inner.model().id)

    def tags_of(self, photos: Sequence[Photo]) -> dict[bytes, list[TagSuggestion]]:
        """Return the stored tags of those photos that have some, by path, the most probable first."""
        contents = self.inner.store.contents_at([photo.path for photo in photos])
        if not contents:
            return {}
        tags = self.inner.store.tags_of(list(set(contents.values())), self.inner.model().id)
        return {path: tags[content] for path, content in contents.items() if content in tags}

    def check(self, *, repair: bool = False, deep: bool = False) -> list[Finding]:
        """Return what is wrong with the library, and with ``repair`` mend what can be mended.

        ``deep`` reads every photo too, and finds those that changed though size and times did not.
        """
        from photoclip.checking import check

        return check(self.inner, repair=repair, deep=deep)

    def back_up(self, directory: PathLike) -> None:
        """Copy the catalogue as it is now into the library at ``directory``, which is made if need be.

        A backup is a library: open it as any other. Raises BadUsage when something else is there.
        """
        self.inner.back_up(_directory(directory))

    def forget(self, paths: Iterable[PathLike]) -> int:
        """Take the photos at or below ``paths`` out of the library; return how many. No file is touched."""
        from photoclip.thumbnails import sweep

        with self.inner.lock("forget"):
            count = sum(self.inner.store.forget(os.path.abspath(os.fsencode(path))) for path in paths)
            sweep(self.inner)
        return count


def _directory(directory: PathLike | None) -> str:
    return str(config.default_library()) if directory is None else os.path.expanduser(os.fsdecode(directory))


def _absolute(paths: Iterable[PathLike] | None) -> frozenset[bytes] | None:
    return None if paths is None else frozenset(os.path.abspath(os.fsencode(path)) for path in paths)
