"""The contact sheet: one HTML file that holds everything, and the frame of the same page for ``browse``."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from photoclip import __version__
from photoclip.errors import BadUsage, PhotoclipError
from photoclip.pages.cards import card, labels, page_json
from photoclip.records import Photo, SearchHit, TagSuggestion
from photoclip.replacing import replacing

if TYPE_CHECKING:
    from jinja2 import Template

Thumbnails = Callable[[Iterable[Photo]], Iterable[tuple[Photo, bytes | None]]]
"""Yields photos, in the order given, with their thumbnails: what ``Library.thumbnails`` is."""

SHEET_POLICY = (
    "default-src 'none'; img-src data: file:; style-src '{style}'; script-src '{script}'; "
    "base-uri 'none'; form-action 'none'"
)
LIVE_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
"""What a page may load: a sheet the originals on this disk, the live page what its own server has."""

_SIGNATURE = "<!-- a contact sheet of photoclip -->"
_BEGINNING = f"<!doctype html>\n{_SIGNATURE}\n"
_BATCH = 60
_MEDIA_TYPES = ((b"\xff\xd8\xff", "image/jpeg"), (b"RIFF", "image/webp"), (b"\x89PNG", "image/png"))


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
    place = os.path.realpath(os.fsencode(path))
    _check_place(place)
    cards = (
        card(
            hit,
            href=_file_url(hit.photo.path),
            thumb=_data_url(thumbnail),
            tags=labels((tags or {}).get(hit.photo.path, ()), (keywords or {}).get(hit.photo.path, ())),
        )
        for hit, (_, thumbnail) in zip(hits, thumbnails(hit.photo for hit in hits), strict=True)
    )
    about = {"live": False, "title": title, "note": note, "ranked": _ranked(hits), "count": len(hits)}
    _write(place, _sheet(title, about, cards))
    return len(hits)


def live_page(title: str = "photoclip") -> str:
    """Return the page of ``browse``: it loads ``page.css``, ``page.js`` and all else from beside itself."""
    about = {"live": True, "title": title}
    return "".join(_pieces(title, about, (), policy=LIVE_POLICY, live=True))


def page_file(name: str) -> bytes:
    """Return ``page.css`` or ``page.js``."""
    with open(os.path.join(os.path.dirname(__file__), name), "rb") as file:
        return file.read()


# -- what is on it --------------------------------------------------------------------------------


def _sheet(title: str, about: object, cards: Iterable[object]) -> Iterator[str]:
    style, script = (page_file(name).decode() for name in ("page.css", "page.js"))
    policy = SHEET_POLICY.format(style=_fingerprint(style), script=_fingerprint(script))
    return _pieces(title, about, cards, policy=policy, live=False, style=style, script=script)


def _pieces(
    title: str,
    about: object,
    cards: Iterable[object],
    *,
    policy: str,
    live: bool,
    style: str = "",
    script: str = "",
) -> Iterator[str]:
    from markupsafe import Markup

    return _template().generate(
        signature=Markup(_SIGNATURE),  # noqa: S704 (this module's own)
        policy=policy,
        version=__version__,
        title="".join(one if one.isprintable() else " " for one in title),  # page.js writes them as escapes
        live=live,
        style=Markup(style),  # noqa: S704 (a file of this package)
        script=Markup(script),  # noqa: S704 (a file of this package)
        about=Markup(page_json(about)),  # noqa: S704 (escaped by page_json)
        batches=(Markup(page_json(batch)) for batch in _batches(cards)),  # noqa: S704 (escaped by page_json)
    )


def _template() -> Template:
    import jinja2

    world = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return world.from_string(page_file("page.html").decode())


def _batches(cards: Iterable[object]) -> Iterator[list[object]]:
    cards = iter(cards)
    while batch := list(itertools.islice(cards, _BATCH)):
        yield batch


def _ranked(hits: Sequence[SearchHit]) -> bool:
    """Say whether the best come first, so that there can be a line where relevance ends."""
    found = [(hit.relevant is not False, hit.similarity) for hit in hits if hit.similarity is not None]
    return len(found) == len(hits) and all(a >= b for a, b in itertools.pairwise(found))


def _file_url(path: bytes) -> str:
    return "file://" + quote(path, safe="/")


def _data_url(picture: bytes | None) -> str | None:
    kind = next((kind for start, kind in _MEDIA_TYPES if (picture or b"").startswith(start)), None)
    return kind and f"data:{kind};base64,{base64.b64encode(picture or b'').decode('ascii')}"


def _fingerprint(text: str) -> str:
    """Return what a policy calls an inline style or script: the base64 of its SHA-256."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


# -- where it goes --------------------------------------------------------------------------------


def _check_place(place: bytes) -> None:
    """Raise BadUsage unless nothing, or an older contact sheet, is at ``place``: never replace a photo."""
    name = os.fsdecode(place)
    try:
        if not stat.S_ISREG(os.stat(place).st_mode):
            raise BadUsage(f"{name} is no file", "give the name of a file: photos.html")
        with open(place, "rb") as file:
            found = file.read(len(_BEGINNING))
    except FileNotFoundError:
        return
    except OSError as error:
        raise _not_written(place, error) from error
    if found and found != _BEGINNING.encode():
        raise BadUsage(f"{name} exists and is no contact sheet", "only a contact sheet is replaced")


def _write(place: bytes, pieces: Iterable[str]) -> None:
    try:
        with replacing(place) as file:
            file.writelines(pieces)
    except OSError as error:
        raise _not_written(place, error) from error


def _not_written(place: bytes, error: OSError) -> PhotoclipError:
    return PhotoclipError(
        f"the contact sheet could not be written to {os.fsdecode(place)}: {error.strerror or error}"
    )
