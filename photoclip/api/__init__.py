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
from photoclip.api.duplicates import Duplicates
from photoclip.api.paths import PathLike, absolute
from photoclip.library import OpenLibrary

if TYPE_CHECKING:
    from types import TracebackType

    from photoclip.checking import Finding
    from photoclip.filters import PhotoFilter
    from photoclip.indexing import IndexOptions, IndexReport, Watcher
    from photoclip.labels import LabelList
    from photoclip.records import (
        Photo,
        PhotoTags,
        Problem,
        SearchHit,
        TagCount,
        TagSuggestion,
        Weighed,
    )
    from photoclip.searching import Order
    from photoclip.sidecars import Style
    from photoclip.tagging import Tagging
    from photoclip.tagging.sharing import Shared
    from photoclip.tagging.truth import Suggestion, Truth, Verdict


class Library(Duplicates):
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
            absolute(among),
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
        top: int | None = None,
        device: str = "auto",
    ) -> Tagging:
        """Decide which labels fit which photos, keep the decisions, and return the photos with their tags.

        ``labels``: as ``photoclip.labels.open_labels`` reads them, or lines as in a file of labels.
        ``minimum``: the least probability of a tag; ``top``: the most tags of a photo. With ``keep`` False
        nothing is stored.
        """
        from photoclip.tagging import tag

        listed = _label_list(labels)
        return tag(
            self.inner, listed, among=absolute(among), keep=keep, minimum=minimum, top=top, device=device
        )

    def share_tags(
        self,
        labels: LabelList | Sequence[str],
        photos: Iterable[PhotoTags],
        style: Style = "auto",
        progress: Callable[[int, int], None] | None = None,
    ) -> Shared:
        """Write the tags of ``photos``, as ``tag`` returns them, into their XMP sidecars.

        Of ``labels`` a sidecar then holds exactly those that are tags; all else in it stays. ``style``: how
        new ones are named, ``photo.jpg.xmp`` (darktable), ``photo.xmp`` (adobe), or as their neighbours.
        """
        from photoclip.tagging.sharing import share

        return share(self.inner, _label_list(labels).names, photos, style, progress)

    def remove_tags(
        self,
        labels: LabelList | Sequence[str] | None = None,
        *,
        among: Iterable[PathLike] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[int, Shared]:
        """Take back the tags of ``labels`` (None: all) on the photos ``among`` (None: all), from the library
        and from XMP sidecars; return how many there were, and what came of the sidecars."""
        from photoclip.tagging.sharing import remove

        names = None if labels is None else _label_list(labels).names
        return remove(self.inner, names, absolute(among), progress)

    def explain_tags(
        self,
        labels: LabelList | Sequence[str],
        photo: PathLike,
        *,
        minimum: float | None = None,
        top: int | None = None,
        device: str = "auto",
    ) -> tuple[Weighed, ...]:
        """Return how each label fares with a photo of the library, the most probable first."""
        from photoclip.tagging.explaining import explain

        path = os.path.abspath(os.fsencode(photo))
        return explain(self.inner, _label_list(labels), path, minimum=minimum, top=top, device=device)

    def check_tags(
        self,
        labels: LabelList | Sequence[str],
        truth: Truth,
        *,
        minimum: float | None = None,
        top: int | None = None,
        device: str = "auto",
    ) -> tuple[Verdict, dict[str, Suggestion]]:
        """Return how right the tags of some photos are, given the truth about them, and better thresholds by
        label, where there are some."""
        from photoclip.tagging.proving import prove

        return prove(self.inner, _label_list(labels), truth, minimum=minimum, top=top, device=device)

    def photos(
        self, among: Iterable[PathLike] | None = None, where: PhotoFilter | None = None
    ) -> Iterator[Photo]:
        """Yield the photos of the library that are not missing, by path."""
        wanted = absolute(among)
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

    def tags(self) -> list[TagCount]:
        """Return how many photos carry each tag of photoclip's, and each keyword of the user's, the most
        frequent first."""
        return self.inner.store.tag_counts(self.inner.model().id)

    def tags_of(self, photos: Sequence[Photo]) -> dict[bytes, list[TagSuggestion]]:
        """Return the stored tags of those photos that have some, by path, the most probable first."""
        contents = self.inner.store.contents_at([photo.path for photo in photos])
        if not contents:
            return {}
        tags = self.inner.store.tags_of(list(set(contents.values())), self.inner.model().id)
        return {path: tags[content] for path, content in contents.items() if content in tags}

    def own_keywords(self, photos: Iterable[Photo]) -> dict[bytes, list[str]]:
        """Return the user's own keywords, in the photos and in the sidecars beside them, of those photos that
        have some, by path."""
        return self.inner.store.own_keywords([photo.path for photo in photos])

    def check(self, *, repair: bool = False, deep: bool = False) -> list[Finding]:
        """Return what is wrong with the library, and with ``repair`` mend what can be mended.

        ``deep`` reads every photo too, and finds those that changed though size and times did not.
        """
        from photoclip.checking import check

        return check(self.inner, repair=repair, deep=deep)

    def back_up(self, directory: PathLike) -> None:
        """Copy the catalogue as it is now into the library at ``directory``, which is made if need be, and
        what was done to duplicates, so that it can be taken back from there too.

        A backup is a library: open it as any other. Raises BadUsage when something else is there.
        """
        from photoclip.actions import copy_journals

        place = _directory(directory)
        self.inner.back_up(place)
        copy_journals(self.inner.directory, place)

    def forget(self, paths: Iterable[PathLike]) -> int:
        """Take the photos at or below ``paths`` out of the library; return how many. No file is touched."""
        from photoclip.thumbnails import sweep

        with self.inner.lock("forget"):
            count = sum(self.inner.store.forget(os.path.abspath(os.fsencode(path))) for path in paths)
            sweep(self.inner)
        return count


def _directory(directory: PathLike | None) -> str:
    return str(config.default_library()) if directory is None else os.path.expanduser(os.fsdecode(directory))


def _label_list(labels: LabelList | Sequence[str]) -> LabelList:
    from photoclip.labels import LabelList, read_labels

    return labels if isinstance(labels, LabelList) else read_labels("\n".join(labels), "the list of labels")
