"""What a page knows about a photo: the same object in a contact sheet and in the answers of ``browse``."""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Sequence
from typing import Any

from photoclip.records import Photo, SearchHit, TagSuggestion

# In JSON inside a page. Everything beyond ASCII is written as an escape anyway.
_IN_A_PAGE = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x7F: "\\u007f"}


def photo_id(photo: Photo) -> str:
    """Return what a page calls a photo: its content hash and, as copies share that, eight digits of its path.

    Lower-case hex and one hyphen. It is the same whenever it is asked for, as long as the photo stays
    where it is.
    """
    return f"{photo.content_hash.hex()}-{zlib.crc32(photo.path):08x}"


def card(hit: SearchHit, *, href: str | None, thumb: str | None, tags: Sequence[str] = ()) -> dict[str, Any]:
    """Return a hit as a page shows it; it can be written as JSON.

    ``href`` is where the picture itself is, ``thumb`` its thumbnail; both are addresses. ``path`` is text;
    where the name is not UTF-8, its odd bytes are escapes there (``\\xff``), and ``path_b64`` has the
    exact bytes in base64.
    """
    photo, facts = hit.photo, hit.photo.facts
    return {
        "id": photo_id(photo),
        **where(photo),
        "name": _text(os.path.basename(photo.path)),
        "href": href,
        "thumb": thumb,
        "width": facts.width,
        "height": facts.height,
        "similarity": hit.similarity,
        "margin": hit.margin,
        "relevant": hit.relevant,
        "taken_at": facts.taken_at,
        "camera": facts.camera,
        "tags": list(tags),
    }


def where(photo: Photo) -> dict[str, str]:
    """Return where a photo is: ``path``, and ``path_b64`` where that cannot be told in text."""
    path = _text(photo.path)
    if path.encode("utf-8") == photo.path:
        return {"path": path}
    return {"path": path, "path_b64": base64.b64encode(photo.path).decode("ascii")}


def labels(tags: Sequence[TagSuggestion], keywords: Sequence[str]) -> list[str]:
    """Return what a card calls a photo's tags: photoclip's, then those of the user's own keywords that do not
    say the same."""
    found = {tag.label.casefold(): tag.label for tag in tags}
    for keyword in keywords:
        found.setdefault(keyword.casefold(), keyword)
    return list(found.values())


def page_json(value: object) -> str:
    """Return strict JSON, in ASCII, that can stand in a script element: nothing in it ends that element,
    begins a comment, or acts on a terminal."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).translate(_IN_A_PAGE)


def _text(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
