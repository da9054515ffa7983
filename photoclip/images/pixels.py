"""From whatever a file holds to upright RGB, and from there to what a model sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from PIL import Image

from photoclip.records import Preprocessing

Box = tuple[float, float, float, float]

RENDERING_SIDE = 32
"""Width and height in pixels of the small grey picture that hashes are made of."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture of this EXIF orientation (tag 0x0112) upright."""

_WIDE_MODES = ("I", "F")
_WHITES = (1, 255, 1023, 4095, 16383, 65535)
_LONG = 100  # longer to shorter side, from which on a picture is a strip


@dataclass(frozen=True, slots=True)
class Loaded:
    """A picture in RGB as it is stored, not yet turned upright.

    ``box`` (left, upper, right, lower, in pixels of ``picture``) is the part that holds the picture:
    a JPEG read at an eighth of 2,001 pixels has 251, of which 250.125 count. ``orientation`` is the
    EXIF value, 1 to 8.
    """

    picture: Image.Image
    box: Box
    orientation: int = 1


def to_rgb(picture: Image.Image) -> Image.Image:
    """Return the picture in 8-bit RGB, on white where it is transparent."""
    if picture.mode.startswith(_WIDE_MODES):
        return _narrow(picture).convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    paper = Image.new("RGB", layer.size, "white")
    paper.paste(layer, mask=layer.getchannel("A"))
    return paper


def _narrow(picture: Image.Image) -> Image.Image:
    """Return 16-bit, 32-bit or floating grey as 8-bit grey.

    Files do not say which value is white, so white is the top of the smallest usual range
    (1, or 8, 10, 12, 14 or 16 bits) that holds the brightest pixel, and black is 0 or the lowest
    value below it.
    """
    wide = _finite(picture) if picture.mode == "F" else picture.convert("F")
    darkest, brightest = cast("tuple[float, float]", wide.getextrema())
    whites = _WHITES if picture.mode == "F" else _WHITES[1:]
    white = next((top for top in whites if brightest <= top), brightest)
    black = min(0.0, darkest)
    scale = 255.0 / (white - black)
    return wide.point(lambda value: value * scale - black * scale).convert("L")


def _finite(picture: Image.Image) -> Image.Image:
    """Return a floating picture with black where it is infinite or not a number."""
    import numpy as np

    values = np.asarray(picture)
    return Image.fromarray(np.where(np.isfinite(values), values, np.float32(0)))


def fit(loaded: Loaded, wanted: Preprocessing) -> Image.Image:
    """Return the upright picture as ``wanted.size`` square RGB.

    Of a picture stored upright this is pixel for pixel what ``open_clip.transform.image_transform``
    makes before it normalises: torchvision's rounding and Pillow's filters.
    """
    size = wanted.size
    resample = Image.Resampling[wanted.interpolation.upper()]
    if wanted.resize == "squash":
        return _resized(loaded, (size, size), resample)
    if wanted.resize == "longest":
        ratio = max(_upright_size(loaded)) / size
        # A side thinner than half a pixel would round to nothing.
        width, height = (max(1, round(side / ratio)) for side in _upright_size(loaded))
        square = Image.new("RGB", (size, size), (wanted.fill,) * 3)
        small = _resized(loaded, (width, height), resample)
        square.paste(small, ((size - width) // 2, (size - height) // 2))
        return square
    loaded = replace(loaded, box=_without_far_ends(loaded.box))
    short = min(_upright_size(loaded))
    width, height = (int(size * side / short) for side in _upright_size(loaded))
    left, top = round((width - size) / 2), round((height - size) / 2)
    return _resized(loaded, (width, height), resample).crop((left, top, left + size, top + size))


def rendering(loaded: Loaded) -> bytes:
    """Return the whole upright picture as 32 x 32 luminance (ITU-R 601), 1,024 bytes, row by row.

    The triangle filter keeps copies of other sizes closest to each other (largest difference 4
    of 255; 19 with a box filter, measured on sizes from 0.4 to 1.5 times the original's).
    """
    side = RENDERING_SIDE
    return _resized(loaded, (side, side), Image.Resampling.BILINEAR).convert("L").tobytes()


def _upright_size(loaded: Loaded) -> tuple[float, float]:
    left, upper, right, lower = loaded.box
    width, height = right - left, lower - upper
    return (height, width) if loaded.orientation >= 5 else (width, height)


def _resized(loaded: Loaded, size: tuple[int, int], resample: Image.Resampling) -> Image.Image:
    """Return the upright picture in ``size`` (width, height)."""
    # Turning the small picture instead of the large one saves its memory and time.
    stored = size[::-1] if loaded.orientation >= 5 else size
    small = loaded.picture.resize(stored, resample, box=loaded.box)
    turn = _UPRIGHT.get(loaded.orientation)
    return small if turn is None else small.transpose(turn)


def _without_far_ends(box: Box) -> Box:
    """Return the middle of a strip: it would grow to gigabytes before most of it was cut off."""
    left, upper, right, lower = box
    width, height = right - left, lower - upper
    spare, spare_below = max(0.0, width - _LONG * height) / 2, max(0.0, height - _LONG * width) / 2
    return left + spare, upper + spare_below, right - spare, lower - spare_below
