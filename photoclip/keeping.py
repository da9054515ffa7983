"""Which of several photos of one picture is the best, and which of them stay.

Rules are keys in order; the second decides where the first does not, and so on:

    format     what compression took, no format gives back: raw, then lossless (TIFF, PNG, BMP …), then HEIF,
               JPEG XL, AVIF and JPEG 2000, then JPEG, then WebP, then GIF, then what is none of these
    pixels     the more, the better
    bytes      the more, the better
    metadata   the more is known, the better: date, camera, lens, place
    sharpness  the sharper, the better; the photos have to be read for it (``images.sharpness``)
    oldest     the file that was written first (its time on disk: copies of a picture share the date in it)
    path:DIR   what lies in DIR or below it, before what does not; may be given several times

Where no key decides, the shorter path does, and then the first in the order of bytes: the outcome never
depends on the order in which the photos come.

What moves as one, RAW and JPEG of a shot, is weighed as one: its bytes are put together, and in all else it
is as good as the best of its photos.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from photoclip.errors import BadUsage
from photoclip.images.names import is_raw
from photoclip.records import DuplicateGroup, Photo

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


def ranking(
    rules: Sequence[Rule] = (), references: Iterable[bytes] = (), losses: Mapping[bytes, int] | None = None
) -> Callable[[Collection[Photo]], tuple[object, ...]]:
    """Return what ranks photos that move as one by ``rules`` (by ``DEFAULT`` without any): less is better.

    Those in the folders ``references`` (absolute) come before all others. ``losses`` says of each path how
    many steps the photo is less sharp than the sharpest of its group; what is not in it comes last where
    sharpness is asked for.
    """
    folders = list(references)
    measured: Mapping[bytes, int] = losses or {}

    def grade(rule: Rule, photo: Photo) -> int:
        if rule.key == "sharpness":
            return measured.get(photo.path, _UNMEASURED)
        return _KEYS[rule.key](photo, rule.folder)

    def rank(unit: Collection[Photo]) -> tuple[object, ...]:
        chosen = [
            (sum if rule.key == "bytes" else min)(grade(rule, photo) for photo in unit)
            for rule in rules or DEFAULT
        ]
        elsewhere = not any(is_in(photo.path, folders) for photo in unit)
        return elsewhere, *chosen, min((len(photo.path), photo.path) for photo in unit)

    return rank


def what_stays(group: DuplicateGroup, references: Iterable[bytes] = ()) -> frozenset[bytes]:
    """Return the paths of the photos of ``group`` that stay, with what is along with them: all in the
    folders ``references``, and where none is, the best one.

    No RAW file goes unless one stays, and no JPEG that a camera wrote beside its RAW file unless a finished
    picture stays: what would be missing keeps its whole unit.
    """
    units = group.units()
    kept = [unit for unit in units if is_in(unit[0].path, references)] or [units[0]]
    for unit in units:
        stay = {is_raw(photo.path) for some in kept for photo in some}
        kinds = {is_raw(photo.path) for photo in unit}
        if unit not in kept and True in kinds and not kinds <= stay:
            kept.append(unit)
    return frozenset(photo.path for unit in kept for photo in unit)


def is_in(path: bytes, folders: Iterable[bytes]) -> bool:
    """Return whether ``path`` is below one of ``folders``; all are absolute."""
    return any(path.startswith(os.path.join(os.path.normpath(folder), b"")) for folder in folders)


def _rule(word: str) -> Rule:
    if word.startswith(_PATH):
        folder = os.fsencode(word.removeprefix(_PATH))
        if not folder or b"\0" in folder:
            raise BadUsage(f"the rule {word!r} names no folder", "write path:/the/folder")
        return Rule("path", os.path.abspath(folder))
    if word in _WORDS:
        return Rule(word)
    near = get_close_matches(word.lower().partition(":")[0], (*_WORDS, "path"), 1)
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
    return int(not is_in(photo.path, [folder]))


_KEYS: dict[str, Callable[[Photo, bytes], int]] = {
    "format": _place_of_format,
    "pixels": _fewer_pixels,
    "bytes": _fewer_bytes,
    "metadata": _less_metadata,
    "oldest": _younger,
    "path": _elsewhere,
}
_WORDS = ("format", "pixels", "bytes", "metadata", "sharpness", "oldest")
_ALL = ", ".join((*_WORDS, "path:DIR"))
_UNMEASURED = 1 << 30  # steps

DEFAULT = tuple(map(Rule, ("pixels", "format", "bytes", "metadata", "oldest")))
"""Pixels before format: a thumbnail without loss is not better than the photo it was made of."""
