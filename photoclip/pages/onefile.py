"""A page that is one file: style, program and pictures inside, under a policy that lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import quote

from photoclip import __version__
from photoclip.errors import BadUsage, PhotoclipError
from photoclip.pages.cards import page_json
from photoclip.records import Photo
from photoclip.replacing import replacing

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

Thumbnails = Callable[[Iterable[Photo]], Iterable[tuple[Photo, bytes | None]]]
"""Yields photos, in the order given, with their thumbnails: what ``Library.thumbnails`` is."""

POLICY = (
    "default-src 'none'; img-src data: file:; style-src '{style}'; script-src '{script}'; "
    "base-uri 'none'; form-action 'none'"
)
"""What such a page may load: the originals on this disk."""

_MEDIA_TYPES = ((b"\xff\xd8\xff", "image/jpeg"), (b"RIFF", "image/webp"), (b"\x89PNG", "image/png"))

One = TypeVar("One")


class Kind(NamedTuple):
    """A kind of page: what people call it, the comment its files begin with, and the name of one."""

    name: str
    signature: str
    example: str


def page_file(name: str) -> bytes:
    """Return the style or the program of a page: what all pages share, then its own."""
    return b"\n".join(map(_read, ("basics" + os.path.splitext(name)[1], name)))


def filled(
    page: str, kind: Kind, *, title: str, policy: str = POLICY, inside: bool = True, **pieces: object
) -> Iterator[str]:
    """Yield the page that the template ``page`` makes of ``pieces``: text, or what ``embedded`` returns.

    Its style and its program are ``inside`` it, and the ``policy`` lets these two act and no others.
    """
    from markupsafe import Markup

    style, script = (page_file(f"{page}.{end}").decode() if inside else "" for end in ("css", "js"))
    return _template(page).generate(
        signature=Markup(kind.signature),  # noqa: S704 (a constant)
        policy=policy.format(style=_fingerprint(style), script=_fingerprint(script)),
        version=__version__,
        title="".join(
            one if one.isprintable() else " " for one in title
        ),  # the program writes them as escapes
        drawings=Markup(_read("drawings.svg").decode().rstrip()),  # noqa: S704 (a file of this package)
        style=Markup(style),  # noqa: S704 (a file of this package)
        script=Markup(script),  # noqa: S704 (a file of this package)
        **pieces,
    )


def embedded(value: object) -> Markup:
    """Return ``value`` as JSON for a script element of a page."""
    from markupsafe import Markup

    return Markup(page_json(value))  # noqa: S704 (escaped by page_json)


def batches(things: Iterable[One], count: int) -> Iterator[list[One]]:
    """Yield ``things`` in lists of ``count``; the last may be shorter."""
    rest = iter(things)
    while batch := list(itertools.islice(rest, count)):
        yield batch


def file_url(path: bytes) -> str:
    """Return the address of a file on this machine."""
    return "file://" + quote(path, safe="/")


def data_url(picture: bytes | None) -> str | None:
    """Return a picture as an address that holds it; None for none, and for what is no JPEG, WebP or PNG."""
    kind = next((kind for start, kind in _MEDIA_TYPES if (picture or b"").startswith(start)), None)
    return kind and f"data:{kind};base64,{base64.b64encode(picture or b'').decode('ascii')}"


# -- where it goes --------------------------------------------------------------------------------


def place_for(path: str | bytes | os.PathLike[str], kind: Kind) -> bytes:
    """Return where a page of this kind can be written.

    Raises BadUsage unless nothing, or an older page of this kind, is there: a photo is never replaced.
    """
    place = os.path.realpath(os.fsencode(path))
    name, beginning = os.fsdecode(place), f"<!doctype html>\n{kind.signature}\n".encode()
    try:
        if not stat.S_ISREG(os.stat(place).st_mode):
            raise BadUsage(f"{name} is no file", f"give the name of a file: {kind.example}")
        with open(place, "rb") as file:
            found = file.read(len(beginning))
    except FileNotFoundError:
        return place
    except OSError as error:
        raise _not_written(place, kind, error) from error
    if found and found != beginning:
        raise BadUsage(f"{name} exists and is no {kind.name}", f"only a {kind.name} is replaced")
    return place


def write(place: bytes, pieces: Iterable[str], kind: Kind) -> None:
    """Write a page, or replace an older one, in one step. Raises PhotoclipError where that cannot be done."""
    try:
        with replacing(place) as file:
            file.writelines(pieces)
    except OSError as error:
        raise _not_written(place, kind, error) from error


def _not_written(place: bytes, kind: Kind, error: OSError) -> PhotoclipError:
    return PhotoclipError(
        f"the {kind.name} could not be written to {os.fsdecode(place)}: {error.strerror or error}"
    )


# -- what it is made of ---------------------------------------------------------------------------


def _template(page: str) -> Template:
    import jinja2

    world = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return world.from_string(_read(f"{page}.html").decode())


def _read(name: str) -> bytes:
    with open(os.path.join(os.path.dirname(__file__), name), "rb") as file:
        return file.read()


def _fingerprint(text: str) -> str:
    """Return what a policy calls an inline style or script: the base64 of its SHA-256."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
