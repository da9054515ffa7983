"""From the pixels that a decode worker sent to a small JPEG picture."""

from __future__ import annotations

import io

from PIL import Image

from photoclip.images.pixels import within
from photoclip.records import DecodedPhoto, Preprocessing

_QUALITY = 82
"""Of 320 x 213 pixels this makes about 15 kB, and it takes a close look to see what is lost."""
_SMALL_QUALITY = 70


def square(side: int) -> Preprocessing:
    """Return what to ask a decode worker for, so that ``thumbnail`` can cut a picture out of it."""
    return Preprocessing(size=side, resize="longest")


def thumbnail(decoded: DecodedPhoto, side: int) -> bytes:
    """Return a photo that was decoded as ``square(side)`` asks as JPEG, no larger than it is itself."""
    padded = Image.frombuffer("RGB", (side, side), decoded.pixels)
    picture = padded.crop(part_of(padded, decoded))
    width, height = decoded.facts.width, decoded.facts.height
    if max(width, height) < side:  # it was blown up
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    with io.BytesIO() as file:
        picture.save(file, "JPEG", quality=_QUALITY, optimize=True)
        return file.getvalue()


def smaller(picture: bytes, side: int) -> bytes:
    """Return a thumbnail made smaller, its longer side ``side`` pixels, as WebP: a third less than JPEG."""
    with Image.open(io.BytesIO(picture)) as opened, io.BytesIO() as file:
        opened.draft("RGB", (side, side))
        opened.thumbnail((side, side), Image.Resampling.LANCZOS)
        opened.save(file, "WEBP", quality=_SMALL_QUALITY, method=2)
        return file.getvalue()


def part_of(padded: Image.Image, decoded: DecodedPhoto) -> tuple[int, int, int, int]:
    """Return the part of the square that is no padding: left, upper, right, lower."""
    if decoded.facts.format == "RAW":  # what is shown of it may be a preview of other proportions
        seen = padded.getbbox()
        if seen is not None:
            return seen
    side = padded.width
    width, height = within((decoded.facts.width, decoded.facts.height), side)
    left, upper = (side - width) // 2, (side - height) // 2
    return left, upper, left + width, upper + height
