"""Which of several photos of one picture is the best, and which of them stay.

Rules are keys in order; the second decides where the first does not, and so on:

    format     what compression took, no format gives back: raw, then lossless (TIFF, PNG, BMP …), then HEIF,
               JPEG XL, AVIF and JPEG 2000, then JPEG, then WebP, then GIF, then what is none of these
    pixels     the more, the better
    bytes      the more, the better
    metadata   the more is known, the better: date, camera, lens, place
    oldest     the file that was written first (its time on disk: copies of a picture share the date in it)
    path:DIR   what lies in DIR or below it, before what does not; may be given several times

Where no key decides, the shorter path does, and then the first in the order of bytes: the outcome never
depends on the order in which the photos come. Sharpness is no key: what a library keeps of a picture is too
small to show it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from photoclip.errors import BadUsage
from photoclip.images.names import is_raw
from photoclip.records import Photo

_FORMATS = (
    "TIFF PNG BMP DIB PPM",
    "HEIF JXL AVIF JPEG2000",
    "JPEG MPO",
    "WEBP",
    "GIF",
)
_PLACE_OF = {name: place for place, names in enumerate(_FORMATS, 1) for name in names.split()}
_COMMA = re.compile(r"(?<!\\),")
_PATH = "path:"


class Rule(NamedTuple):
    """One key, with the folder that ``path`` needs: absolute, without a slash at its end."""

    key: str
    folder: bytes = b""


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Return the rules of ``format,pixels,path:/photos``. A comma in a folder's name is written ``\\,``.

    Raises BadUsage, naming the nearest key, for what is none, for one that is given twice, and for none.
    """
    rules: list[Rule] = []
    for word in filter(None, (part.strip() for part in _COMMA.split(text))):
        rule = _rule(word.replace("\\,", ","))
        if rule in rules:
            raise BadUsage(f"the rule {word} is given twice", "name each key once, the most important first")
        rules.append(rule)
    if not rules:
        raise BadUsage("there is no rule for what to keep", f"name some of: {_ALL}")
    return tuple(rules)


def best_first(
    photos: Iterable[Photo], rules: Sequence[Rule] = (), references: Iterable[bytes] = ()
) -> tuple[Photo, ...]:
    """Return ``photos``, the best by ``rules`` first (by ``DEFAULT`` without any).

    Those in the folders ``references`` (absolute) come before all others.
    """
    folders = [os.path.normpath(folder) for folder in references]
    keys = [_KEYS[rule.key] for rule in rules or DEFAULT]
    places = [rule.folder for rule in rules or DEFAULT]

    def rank(photo: Photo) -> tuple[object, ...]:
        chosen = [key(photo, place) for key, place in zip(keys, places, strict=True)]
        return not _is_in_one(photo, folders), *chosen, len(photo.path), photo.path

    return tuple(sorted(photos, key=rank))


def staying(photos: Sequence[Photo], references: Iterable[bytes] = ()) -> frozenset[bytes]:
    """Return the paths of those of ``photos``, the best first, that stay: all in the folders ``references``,
    and where none is, the best one."""
    folders = [os.path.normpath(folder) for folder in references]
    kept = frozenset(photo.path for photo in photos if _is_in_one(photo, folders))
    return kept or frozenset(photo.path for photo in photos[:1])


def _rule(word: str) -> Rule:
    if word.startswith(_PATH):
        folder = os.fsencode(word.removeprefix(_PATH))
        if not folder or b"\0" in folder:
            raise BadUsage(f"the rule {word!r} names no folder", "write path:/the/folder")
        return Rule("path", os.path.abspath(folder))
    if word in _KEYS and word != "path":
        return Rule(word)
    if word == "sharpness":
        raise BadUsage(
            "what the library keeps of a picture is too small to tell its sharpness", "try pixels or bytes"
        )
    near = get_close_matches(word.lower().partition(":")[0], _KEYS, 1)
    hint = f"did you mean {'path:DIR' if near[0] == 'path' else near[0]}?" if near else f"there are: {_ALL}"
    raise BadUsage(f"there is no rule {word!r} for what to keep", hint)


def _place_of_format(photo: Photo, _: bytes) -> int:
    return 0 if is_raw(os.path.basename(photo.path)) else _PLACE_OF.get(photo.facts.format.upper(), 9)


def _fewer_pixels(photo: Photo, _: bytes) -> int:
    return -photo.facts.width * photo.facts.height


def _fewer_bytes(photo: Photo, _: bytes) -> int:
    return -photo.size


def _less_metadata(photo: Photo, _: bytes) -> int:
    facts = photo.facts
    return -sum(fact is not None for fact in (facts.taken_at, facts.camera, facts.lens, facts.latitude))


def _younger(photo: Photo, _: bytes) -> int:
    return photo.mtime_ns


def _elsewhere(photo: Photo, folder: bytes) -> int:
    return int(not _is_in(photo.path, folder))


def _is_in_one(photo: Photo, folders: Iterable[bytes]) -> bool:
    return any(_is_in(photo.path, folder) for folder in folders)


def _is_in(path: bytes, folder: bytes) -> bool:
    return path.startswith(os.path.join(folder, b""))


_KEYS: dict[str, Callable[[Photo, bytes], int]] = {
    "format": _place_of_format,
    "pixels": _fewer_pixels,
    "bytes": _fewer_bytes,
    "metadata": _less_metadata,
    "oldest": _younger,
    "path": _elsewhere,
}
_ALL = "format, pixels, bytes, metadata, oldest, path:DIR"

DEFAULT = tuple(map(Rule, ("pixels", "format", "bytes", "metadata", "oldest")))
"""Pixels before format: a thumbnail without loss is not better than the photo it was made of."""
