"""The contact sheet: one HTML file that holds everything, and the frame of the same page for ``browse``."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence

from photoclip.pages.cards import card, labels
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
from photoclip.records import SearchHit, TagSuggestion

LIVE_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
"""What the live page may load: what its own server has."""

_KIND = Kind("contact sheet", "<!-- a contact sheet of photoclip -->", "photos.html")
_BATCH = 60


def write_sheet(
    path: str | bytes | os.PathLike[str],
    hits: Sequence[SearchHit],
    thumbnails: Thumbnails,
    *,
    title: str,
    note: str | None = None,
    tags: Mapping[bytes, Sequence[TagSuggestion]] | None = None,
    keywords: Mapping[bytes, Sequence[str]] | None = None,
) -> int:
    """Write a contact sheet of ``hits`` to ``path`` and return how many photos are on it.

    The sheet needs no other file and no network. ``title`` stands above the photos, ``note`` below it;
    ``tags`` and ``keywords`` are those of photos by path, as ``Library.tags_of`` and ``own_keywords`` return
    them. An older contact sheet is replaced, in one step, when the new one is complete; whatever goes wrong,
    it stays as it was. Raises BadUsage when anything else is there, PhotoclipError when the sheet cannot be
    written.
    """
    place = place_for(path, _KIND)
    cards = (
        card(
            hit,
            href=file_url(hit.photo.path),
            thumb=data_url(thumbnail),
            tags=labels((tags or {}).get(hit.photo.path, ()), (keywords or {}).get(hit.photo.path, ())),
        )
        for hit, (_, thumbnail) in zip(hits, thumbnails(hit.photo for hit in hits), strict=True)
    )
    about = {"live": False, "title": title, "note": note, "ranked": _ranked(hits), "count": len(hits)}
    pieces = map(embedded, batches(cards, _BATCH))
    write(place, filled("page", _KIND, title=title, live=False, about=embedded(about), batches=pieces), _KIND)
    return len(hits)


def live_page(title: str = "photoclip") -> str:
    """Return the page of ``browse``: it loads ``page.css``, ``page.js`` and all else from beside itself."""
    about = embedded({"live": True, "title": title})
    page = filled(
        "page", _KIND, title=title, policy=LIVE_POLICY, inside=False, live=True, about=about, batches=()
    )
    return "".join(page)


def _ranked(hits: Sequence[SearchHit]) -> bool:
    """Say whether the best come first, so that there can be a line where relevance ends."""
    found = [(hit.relevant is not False, hit.similarity) for hit in hits if hit.similarity is not None]
    return len(found) == len(hits) and all(a >= b for a, b in itertools.pairwise(found))
