"""From whatever a file holds to upright RGB, and from there to what a model sees."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

from photoclip.records import Preprocessing

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
_SAMPLE_FORMAT, _UNSIGNED = 339, 1
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_WHITES: tuple[int, ...] = (1, 255, 1023, 4095, 16383, 65535)
_GLARE = 4  # times white, in floating pictures: more is another scale
_SAMPLE = 1_000_000  # pixels, to find the range of floating ones
_ROWS = 64
_FRAMES = 10
_LONG = 100  # longer to shorter side, from which on a picture is a strip


class Loaded(NamedTuple):
    """A picture in RGB as it is stored, not yet turned upright.

    ``box`` (left, upper, right, lower, in pixels of ``picture``) is the part that holds the picture:
    a JPEG read at an eighth of 2,001 pixels has 251, of which 250.125 count. ``orientation`` is the
    EXIF value, 1 to 8.
    """

    picture: Image.Image
    box: Box
    orientation: int = 1


def load(picture: Image.Image, orientation: int, side: int) -> Loaded:
    """Load the first frame of an opened picture, a JPEG no larger than it has to be for its shorter
    side to keep ``side`` pixels. Frames before it in which there is nothing at all do not count."""
    draft = picture.draft(None, (side, side))  # None: any mode
    picture.load()
    _skip_empty_frames(picture)
    box = draft[1] if draft else (0, 0, *picture.size)
    return Loaded(to_rgb(picture), box, orientation)


def _skip_empty_frames(picture: Image.Image) -> None:
    with contextlib.suppress(Exception):  # the next frame raises almost anything; then there is none
        for frame in range(1, _FRAMES):
            if not (_is_empty(picture) and getattr(picture, "is_animated", False)):
                return
            picture.seek(frame)
            picture.load()


def _is_empty(picture: Image.Image) -> bool:
    if not picture.has_transparency_data:
        return False
    return picture.convert("RGBA").getchannel("A").getextrema() == (0, 0)


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
    """Return 16-bit, 32-bit or floating grey as 8-bit grey, on white where it is transparent.

    Files do not say which value is white, so white is the top of the smallest usual range
    (1, or 8, 10, 12, 14 or 16 bits) that holds the brightest pixel, and black is 0 or the lowest
    value below it. In floating pictures the thousandth that is brightest, and that is darkest, does
    not count. What is no number, or infinite, is black.
    """
    import numpy as np  # late: few pictures need it

    tags = getattr(picture, "tag_v2", {})
    values = np.asarray(picture)
    if picture.mode == "I" and tags.get(_SAMPLE_FORMAT) == (_UNSIGNED,):
        values = values.view(np.uint32)  # Pillow knows no such mode, and calls the upper half negative
    black, white = _range(values)
    narrow = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), _ROWS):  # the whole picture in floating numbers may be gigabytes
        rows = values[top : top + _ROWS].astype(np.float32)
        rows = np.where(np.isfinite(rows), rows, black).clip(black, white)
        narrow[top : top + _ROWS] = (rows - black) * (255 / (white - black))
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        narrow = 255 - narrow
    clear = picture.info.get("transparency")
    if isinstance(clear, int):
        narrow[values == clear] = 255
    return Image.fromarray(narrow)


def _range(values: NDArray[Any]) -> tuple[float, float]:
    """Return which values are black and white."""
    import numpy as np

    if values.dtype.kind != "f":
        darkest, brightest, whites = float(values.min()), float(values.max()), _WHITES[1:]
    else:
        step = 1 + int((values.size / _SAMPLE) ** 0.5)
        some = values[::step, ::step]
        some = some[np.isfinite(some)].astype(float)
        # A few hot pixels, or marks for "nothing here", must not make the rest black.
        darkest, brightest = np.percentile(some, (0.1, 99.9)) if some.size else (0.0, 0.0)
        whites = _WHITES
        if brightest <= _GLARE:  # lamps and the sun are brighter than white
            return min(0.0, float(darkest)), 1.0
    white = next((top for top in whites if brightest <= top), brightest)
    return min(0.0, float(darkest)), float(white)


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
        width, height = within(_upright_size(loaded), size)
        square = Image.new("RGB", (size, size), (wanted.fill,) * 3)
        small = _resized(loaded, (width, height), resample)
        square.paste(small, ((size - width) // 2, (size - height) // 2))
        return square
    loaded = loaded._replace(box=_without_far_ends(loaded.box))
    short = min(_upright_size(loaded))
    width, height = (int(size * side / short) for side in _upright_size(loaded))
    left, top = round((width - size) / 2), round((height - size) / 2)
    return _resized(loaded, (width, height), resample).crop((left, top, left + size, top + size))


def within(size: tuple[float, float], side: int) -> tuple[int, int]:
    """Return width and height in whole pixels, the longer one ``side``, in the proportions of ``size``."""
    ratio = max(size) / side
    width, height = size
    # A side thinner than half a pixel would round to nothing.
    return max(1, round(width / ratio)), max(1, round(height / ratio))


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
