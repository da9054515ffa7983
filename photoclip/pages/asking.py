"""What the live page asks, in the parameters of an address, and what it is answered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast, get_args

from photoclip.errors import BadUsage, ModelUnavailable, PhotoclipError
from photoclip.pages.cards import card, labels, photo_id
from photoclip.searching import Order

if TYPE_CHECKING:
    from photoclip.api import Library
    from photoclip.filters import PhotoFilter
    from photoclip.records import Photo, SearchHit

_ORDERS = get_args(Order)
_FILTERS = ("taken", "camera", "lens", "near", "tag", "orientation", "min_side", "no_date")
_KNOWN = frozenset(("text", "like", *_FILTERS, "relevant", "sort", "reverse", "limit", "offset"))
_MANY = "tag"  # the only one that may come more than once
_LONGEST = 1000  # characters
_PARAMETERS = 50
_MOST = 500  # photos at once
_LIMIT = 60
_ID = re.compile(r"([0-9a-f]{64})(-[0-9a-f]{8})?")


class NoSuchPhoto(PhotoclipError):
    """The library holds no photo of this id (any more)."""

    def __init__(self) -> None:
        super().__init__("this photo is not in the library any more", "search again")


class Asked(NamedTuple):
    """A search as the page asks it; ``like`` is the id of a photo, "" for none."""

    text: str
    like: str
    where: PhotoFilter | None
    relevant: bool
    order: Order | None
    reverse: bool
    limit: int
    offset: int


def read(parameters: Sequence[tuple[str, str]]) -> Asked:
    """Return the search that the parameters of an address describe; raises BadUsage when there is none."""
    said = _single(parameters)
    tags = [value for name, value in parameters if name == _MANY and value]
    order = said.get("sort") or None
    if order is not None and order not in _ORDERS:
        raise BadUsage(f"sort={order!r} is no order", f"it is one of: {', '.join(_ORDERS)}")
    return Asked(
        text=said.get("text", "").strip(),
        like=said.get("like", ""),
        where=_where(said, tags),
        relevant=_yes(said, "relevant"),
        order=cast("Order | None", order),
        reverse=_yes(said, "reverse"),
        limit=min(_number(said, "limit", _LIMIT), _MOST),
        offset=_number(said, "offset", 0),
    )


def answer(library: Library, asked: Asked) -> dict[str, Any]:
    """Return what the page gets for a search; raises PhotoclipError as ``Library.search``."""
    end = asked.offset + asked.limit
    hits = library.search(
        *([asked.text] if asked.text else []),
        like=[photo_of(library, asked.like).path] if asked.like else [],
        where=asked.where,
        limit=end + 1,
        relevant=asked.relevant,
        judged=True,
        order=asked.order or ("relevance" if asked.text or asked.like else None),
        reverse=asked.reverse,
    )
    shown = hits[asked.offset : end]
    photos = [hit.photo for hit in shown]
    tags, keywords = library.tags_of(photos), library.own_keywords(photos)
    return {
        "photos": [
            _live(hit, labels(tags.get(hit.photo.path, ()), keywords.get(hit.photo.path, ())))
            for hit in shown
        ],
        "more": len(hits) > end,
        "note": _note(asked, hits),
    }


def tags(library: Library) -> list[tuple[str, int]]:
    """Return the tags and the user's keywords with how many photos carry each, what differs in case only
    once; none in a library that is still empty."""
    counts: dict[str, tuple[str, int]] = {}
    try:
        for label, photos, _ in library.tags():
            counts.setdefault(label.casefold(), (label, photos))
    except ModelUnavailable:
        return []
    return list(counts.values())


def photo_of(library: Library, wanted: str) -> Photo:
    """Return the photo of an id, or another of the same content; raises NoSuchPhoto."""
    match = _ID.fullmatch(wanted)
    photos = library.photos_with(bytes.fromhex(match[1])) if match else []
    if not photos:
        raise NoSuchPhoto
    return next((photo for photo in photos if photo_id(photo) == wanted), photos[0])


def _live(hit: SearchHit, tags: Sequence[str]) -> dict[str, Any]:
    name = photo_id(hit.photo)
    return card(hit, href=f"photo/{name}", thumb=f"thumb/{name}", tags=tags)


def _note(asked: Asked, hits: Sequence[SearchHit]) -> str | None:
    """Return what has to be said about an answer besides the photos."""
    described = bool(asked.text or asked.like)
    if not hits:
        if described:
            return "Nothing here answers that." if asked.where else "Nothing in this library answers that."
        return "No photo passes these filters." if asked.where else "This library holds no photos."
    if described and all(hit.relevant is False for hit in hits):
        return "Nothing in this library answers that; the nearest are:"
    return None


def _single(parameters: Sequence[tuple[str, str]]) -> dict[str, str]:
    if len(parameters) > _PARAMETERS:
        raise BadUsage(f"more than {_PARAMETERS} parameters", "use fewer filters")
    said: dict[str, str] = {}
    for name, value in parameters:
        if name not in _KNOWN or (name in said and name != _MANY):
            raise BadUsage(f"{name[:100]!r} is no parameter of a search", "reload the page")
        if len(value) > _LONGEST:
            raise BadUsage(f"{name}: more than {_LONGEST:,} characters", "say it in fewer words")
        said[name] = value
    return said


def _where(said: Mapping[str, str], tags: Sequence[str]) -> PhotoFilter | None:
    from photoclip.filters import PhotoFilter

    where = PhotoFilter.of(
        taken=said.get("taken") or None,
        camera=said.get("camera", ""),
        lens=said.get("lens", ""),
        near=said.get("near") or None,
        tags=tags,
        min_side=_number(said, "min_side", 0),
        orientation=said.get("orientation") or None,
        no_date=_yes(said, "no_date"),
    )
    return None if where == PhotoFilter() else where


def _number(said: Mapping[str, str], name: str, usual: int) -> int:
    text = said.get(name, "").strip()
    if not text:
        return usual
    if not re.fullmatch(r"[0-9]{1,7}", text):
        raise BadUsage(f"{name}={text!r} is no number", "write digits only")
    return int(text)


def _yes(said: Mapping[str, str], name: str) -> bool:
    return said.get(name, "") not in ("", "0")
