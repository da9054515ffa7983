"""Duplicates side by side: one HTML file in which they can be looked at as closely as their files allow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from photoclip import config
from photoclip.keeping import what_stays
from photoclip.pages.cards import where
from photoclip.pages.onefile import (
    Kind,
    Thumbnails,
    batches,
    data_url,
    embedded,
    file_url,
    filled,
    place_for,
    write,
)
from photoclip.records import DuplicateGroup, Photo
from photoclip.thumbnails import SIDE

_KIND = Kind("page of duplicates", "<!-- duplicates side by side, by photoclip -->", "duplicates.html")
_GROUPS = 200  # in one script element
_PICTURES = 64  # in one script element: what a page parses when one of them is to be seen
_AS_THEY_ARE = 4_000
_LEAST = 48


def write_comparison(
    path: str | bytes | os.PathLike[str],
    groups: Sequence[DuplicateGroup],
    thumbnails: Thumbnails,
    *,
    title: str = "Duplicates",
    references: Sequence[bytes] = (),
    command: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a page that shows ``groups`` side by side to ``path`` and return how many groups are on it.

    The page needs no other file and no network; it shows the originals from where they lie. Which photos
    stay is what ``keeping.what_stays`` says with the folders ``references``; ``command`` is what to type to
    let the others go, if that is known. ``progress`` is called with the thumbnails that are done, and all of
    them. An older such page is replaced, in one step, when the new one is complete. Raises BadUsage when
    anything else is there, PhotoclipError when the page cannot be written.
    """
    place = place_for(path, _KIND)
    pictures = sum(len(_contents(group)) for group in groups)
    about = {"title": title, "command": command, "batch": _PICTURES}
    page = filled(
        "compare",
        _KIND,
        title=title,
        about=embedded(about),
        groups=map(embedded, batches(_cards(groups, references), _GROUPS)),
        pictures=map(embedded, batches(_pictures(groups, thumbnails, pictures, progress), _PICTURES)),
    )
    write(place, page, _KIND)
    return len(groups)


def side_for(count: int) -> int | None:
    """Return the longer side of thumbnails, in pixels, of which ``count`` make a page of less than 100 MB;
    None where they can be as they are.

    A thumbnail of 320 pixels takes 20 kB of a page. Made again, as WebP, one of 144 takes 3.4 kB, and its
    bytes grow with the power 1.6 of its side: measured on photographs, from portraits to walls of brick.
    """
    if count <= _AS_THEY_ARE:
        return None
    return min(SIDE, max(_LEAST, int(144 * (20_000 / count) ** (1 / 1.6))))


def _cards(groups: Iterable[DuplicateGroup], references: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    """Yield groups as the page reads them. ``thumb`` numbers the pictures: copies of a file share one."""
    seen = 0
    for group in groups:
        kept = what_stays(group, references)
        thumbs = {content: seen + number for number, content in enumerate(_contents(group))}
        seen += len(thumbs)
        photos = [
            {
                **_card(photo, photo.path in kept),
                "thumb": thumbs[photo.content_hash],
                "along": [{**where(other), "size": other.size} for other in along],
            }
            for photo, *along in group.units()
        ]
        yield {"level": group.level, "similarity": round(float(group.similarity), 6), "photos": photos}


def _card(photo: Photo, stays: bool) -> dict[str, Any]:
    facts = photo.facts
    known = {
        **where(photo),
        "href": file_url(photo.path),
        "size": photo.size,
        "width": facts.width,
        "height": facts.height,
        "format": facts.format,
        "taken_at": facts.taken_at,
        "camera": facts.camera,
        "stays": stays,
    }
    return {name: value for name, value in known.items() if value is not None}


def _contents(group: DuplicateGroup) -> dict[bytes, Photo]:
    """Return the first photo of each content of a group, in their order."""
    first: dict[bytes, Photo] = {}
    for photo in group.photos:
        first.setdefault(photo.content_hash, photo)
    return first


def _pictures(
    groups: Sequence[DuplicateGroup],
    thumbnails: Thumbnails,
    count: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[str | None]:
    """Yield the ``count`` pictures that the page needs, in order, as addresses."""
    side = side_for(count)
    found = thumbnails(photo for group in groups for photo in _contents(group).values())
    done = 0
    with ThreadPoolExecutor(config.cpu_count()) as pool:  # Pillow lets other threads run meanwhile
        for some in batches((picture for _, picture in found), _PICTURES):
            yield from pool.map(lambda picture: _address(picture, side), some)
            done += len(some)
            if progress is not None:
                progress(done, count)


def _address(picture: bytes | None, side: int | None) -> str | None:
    from photoclip.images.thumbnails import smaller

    return data_url(picture if picture is None or side is None else smaller(picture, side))
