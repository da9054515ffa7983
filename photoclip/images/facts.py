"""What a picture says about itself in its EXIF block: when, with what, where. Nonsense is no fact."""

from __future__ import annotations

import datetime
import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, BinaryIO

from PIL import ExifTags, Image

from photoclip.records import PhotoFacts

TEXT_LIMIT = 200
"""Characters kept of a text from a file."""

_Tags = Mapping[int, Any]
_Base, _GPS = ExifTags.Base, ExifTags.GPS

_TIMES = (
    (_Base.DateTimeOriginal, _Base.SubsecTimeOriginal, _Base.OffsetTimeOriginal),
    (_Base.DateTimeDigitized, _Base.SubsecTimeDigitized, _Base.OffsetTimeDigitized),
    (_Base.DateTime, _Base.SubsecTime, _Base.OffsetTime),
)
_TIME = re.compile(r"(\d{4})[:/.-](\d\d)[:/.-](\d\d)[ T](\d\d):(\d\d)(?::(\d\d))?", re.ASCII)
_OFFSET = re.compile(r"[+-](?:0\d|1[0-4]):[0-5]\d", re.ASCII)
_OLDEST_PHOTOGRAPH = 1826


def facts_of(picture: Image.Image) -> PhotoFacts:
    """Return the facts of an opened picture that is not loaded yet. Never fails: what cannot be
    read or believed is left out."""
    try:
        exif = picture.getexif()
    except Exception:  # garbage raises almost anything, and must not cost the photo
        exif = Image.Exif()
    orientation = _orientation(_main(exif).get(_Base.Orientation))
    found = facts_from(exif, picture.size, picture.format or "", orientation)
    if comes_upright(picture):
        return found._replace(width=picture.width, height=picture.height)
    return found


def comes_upright(picture: Image.Image) -> bool:
    """Say whether the reader turns a picture upright by itself, size included."""
    # libjxl does, but for a JPEG that was packed without loss.
    return picture.format == "TIFF" or (picture.format == "JXL" and not getattr(picture, "jpeg", False))


def facts_from(exif: Image.Exif, size: tuple[int, int], name: str, orientation: int) -> PhotoFacts:
    """Return the facts of a picture of the format ``name`` that is stored in this ``size`` (width,
    height) and has to be turned by ``orientation``. Never fails, as ``facts_of``."""
    # Cameras put some tags in either block.
    tags = {**_main(exif), **_part(exif, ExifTags.IFD.Exif)}
    width, height = size[::-1] if orientation >= 5 else size
    latitude, longitude = _position(_part(exif, ExifTags.IFD.GPSInfo))
    return PhotoFacts(
        width=width,
        height=height,
        format=name,
        taken_at=_taken_at(tags),
        camera=_camera(_text(tags.get(_Base.Make)), _text(tags.get(_Base.Model))),
        lens=_text(tags.get(_Base.LensModel)) or None,
        latitude=latitude,
        longitude=longitude,
        orientation=orientation,
    )


def tiff_tags(file: BinaryIO) -> Image.Exif:
    """Return the tags of a file that is built like a TIFF file, as most camera RAW is, else nothing."""
    exif = Image.Exif()
    file.seek(0)
    try:
        exif.load_from_fp(file)
    except Exception:  # the same
        return Image.Exif()
    return exif


def completed(told: PhotoFacts, more: PhotoFacts) -> PhotoFacts:
    """Return ``told`` with what is not known from ``more``."""
    names = ("taken_at", "camera", "lens", "latitude", "longitude")
    return told._replace(**{name: getattr(more, name) for name in names if getattr(told, name) is None})


def _main(exif: Image.Exif) -> _Tags:
    try:
        return dict(exif)
    except Exception:  # as above
        return {}


def _part(exif: Image.Exif, block: ExifTags.IFD) -> _Tags:
    try:
        return dict(exif.get_ifd(block))
    except Exception:  # as above
        return {}


def _orientation(value: object) -> int:
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _text(value: object) -> str:
    """Return text from a file as one clean line of at most TEXT_LIMIT characters."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    text = value.partition("\0")[0][: 4 * TEXT_LIMIT]
    printable = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    return " ".join(printable.split())[:TEXT_LIMIT].rstrip()


def _camera(make: str, model: str) -> str | None:
    """Join make and model ("NIKON CORPORATION" and "NIKON D90" are a NIKON D90)."""
    if model and make and model.casefold().startswith(make.split()[0].casefold()):
        make = ""
    return f"{make} {model}".strip()[:TEXT_LIMIT] or None


def _taken_at(tags: _Tags) -> str | None:
    for time_tag, fraction_tag, offset_tag in _TIMES:
        time = _time(_text(tags.get(time_tag)))
        if time:
            fraction = _text(tags.get(fraction_tag))
            offset = _text(tags.get(offset_tag))
            return (
                time
                + (f".{fraction[:6]}" if fraction.isascii() and fraction.isdigit() else "")
                + (offset if _OFFSET.fullmatch(offset) else "")
            )
    return None


def _time(text: str) -> str | None:
    found = _TIME.fullmatch(text)
    if not found:
        return None
    try:
        time = datetime.datetime(*(int(part or 0) for part in found.groups()))  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError:
        return None
    return time.isoformat() if time.year >= _OLDEST_PHOTOGRAPH else None


def _position(gps: _Tags) -> tuple[float, float] | tuple[None, None]:
    """Return latitude and longitude in degrees; both or none."""
    latitude = _degrees(gps.get(_GPS.GPSLatitude), gps.get(_GPS.GPSLatitudeRef), "NS", 90)
    longitude = _degrees(gps.get(_GPS.GPSLongitude), gps.get(_GPS.GPSLongitudeRef), "EW", 180)
    # Devices without a fix write zeros; the sea off Ghana loses its photos for it.
    if latitude is None or longitude is None or latitude == longitude == 0:
        return None, None
    return latitude, longitude


def _degrees(parts: Any, reference: object, letters: str, limit: int) -> float | None:
    """Return degrees, minutes and seconds as signed degrees: ``letters`` are the two directions."""
    direction = _text(reference).upper()[:1]
    if not direction or direction not in letters:
        return None
    try:
        degrees, minutes, seconds = (float(part) for part in (*parts, 0, 0)[:3])
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    value = degrees + minutes / 60 + seconds / 3600
    if min(degrees, minutes, seconds) < 0 or not math.isfinite(value) or value > limit:
        return None
    return round(-value if direction == letters[1] else value, 7)
