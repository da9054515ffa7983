"""Camera RAW: what a sensor saw, before it was made a picture. The only module that knows LibRaw."""

from __future__ import annotations

import io
import mmap
from typing import Any, BinaryIO

from PIL import ExifTags, Image

from photoclip.images import facts, pixels
from photoclip.images.reading import UnreadablePhoto, lacking
from photoclip.records import PhotoFacts

Negative = tuple[PhotoFacts, pixels.Loaded]

_SIGNS = (
    b"FUJIFILM",
    b"FOVb",
    b"\0MRM",
    b"IIRO",
    b"IIRS",
    b"MMOR",
    b"IIU\0",
    b"II*\0\x10\0\0\0CR",
)
_LATER_SIGNS = {4: b"ftypcrx ", 6: b"HEAPCCDR"}

_SHARE = 4
_LARGE = 1000
"""A preview stands for the picture when its longer side has a quarter of the picture's pixels, or
this many: that is more than any model looks at."""
_TAIL = 1024  # bytes of a preview that have to be in the file

_ORIENTATIONS = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7, 90: 6, 180: 3, 270: 8}
"""LibRaw's ``flip`` as EXIF says it. Some old cameras wrote degrees."""


def is_signed(head: bytes) -> bool:
    """Say whether a file that begins with ``head`` is a RAW file that is not also a TIFF file."""
    return head.startswith(_SIGNS) or any(head.startswith(sign, at) for at, sign in _LATER_SIGNS.items())


def read(file: BinaryIO, side: int) -> Negative | None:
    """Return facts and picture of a RAW file, or None when LibRaw does not know its kind.

    The picture is the camera's own preview if that is large enough, else what LibRaw makes of the
    sensor's data at half its size. ``side`` is how many pixels the shorter side should have at least.
    Raises UnreadablePhoto, and MemoryError.
    """
    rawpy = _library()
    file.seek(0)
    try:
        negative = rawpy.imread(file)
    except (rawpy.LibRawFileUnsupportedError, rawpy.LibRawIOError):
        return None
    try:
        with negative:
            sizes = negative.sizes
            orientation = _ORIENTATIONS.get(sizes.flip, 1)
            told = facts.facts_from(facts.tiff_tags(file), (sizes.width, sizes.height), "RAW", orientation)
            return _preview(rawpy, negative, file, told, side) or _developed(negative, told)
    except rawpy.LibRawUnsufficientMemoryError as error:
        raise MemoryError from error
    except rawpy.LibRawTooBigError as error:
        raise UnreadablePhoto("unsupported", "it has more pixels than are read") from error
    except rawpy.LibRawIOError as error:
        raise UnreadablePhoto("unreadable", "the file is cut short") from error
    except rawpy.LibRawError as error:
        raise UnreadablePhoto("unreadable", "the picture in it is damaged") from error


def _library() -> Any:
    try:
        import rawpy  # late: it brings numpy, and most photos are no RAW files
    except ImportError as error:
        raise lacking("camera RAW", "rawpy") from error
    return rawpy


def _preview(rawpy: Any, negative: Any, file: BinaryIO, told: PhotoFacts, side: int) -> Negative | None:
    """Return the largest preview in the file; None if there is none, or only a thumbnail."""
    try:
        thumbnail = negative.extract_thumb()
        if thumbnail.format == rawpy.ThumbFormat.JPEG:
            if not _is_in(file, thumbnail.data[-_TAIL:]):
                return None
            picture: Image.Image = Image.open(io.BytesIO(thumbnail.data), formats=["JPEG"])
        else:
            picture = Image.fromarray(thumbnail.data.squeeze())
        size = picture.size
        if max(size) < min(_LARGE, max(told.width, told.height) / _SHARE):
            return None
        shown = facts.facts_of(picture)
        own = picture.getexif().get(ExifTags.Base.Orientation)
        loaded = pixels.load(picture, _turn(size, told, own), side)
    except MemoryError:
        raise
    except Exception:  # without a preview there is still the sensor's data
        return None
    return facts.completed(told, shown), loaded


def _is_in(file: BinaryIO, part: bytes) -> bool:
    """Say whether a preview ends in the file. Of one that is cut off LibRaw takes the rest from wherever its
    memory was before: it may be the end of another photo's preview, and nothing looks wrong."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.rfind(part) >= 0


def _turn(size: tuple[int, int], told: PhotoFacts, own: object) -> int:
    """Return the orientation of a preview of this size.

    Its own EXIF block knows best, then that of the whole file. But some cameras turn the preview
    themselves, and leave the tag: then it is as high as the picture already, and stays.
    """
    high = told.height > told.width
    for orientation in (own, told.orientation):
        if isinstance(orientation, int) and 1 <= orientation <= 8:
            width, height = size[::-1] if orientation >= 5 else size
            if (height > width) == high:
                return orientation
    return 1


def _developed(negative: Any, told: PhotoFacts) -> Negative:
    """Return the picture that LibRaw makes of the sensor's data, at half its size."""
    values = negative.postprocess(half_size=True, use_camera_wb=True, user_flip=0, output_bps=8)
    picture = Image.fromarray(values.squeeze()).convert("RGB")
    return told, pixels.Loaded(picture, (0, 0, *picture.size), told.orientation)
