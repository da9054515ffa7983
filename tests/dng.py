"""Digital negatives for tests: a writer of TIFF directories, and what a camera puts into them."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

ASCII, SHORT, LONG, RATIONAL, SRATIONAL, BYTE = 2, 3, 4, 5, 10, 1
_FORMATS = {BYTE: "B", SHORT: "H", LONG: "I", RATIONAL: "II", SRATIONAL: "ii"}

Value = str | Sequence[int] | Sequence[tuple[int, int]]


@dataclass
class Directory:
    """One TIFF directory: its tags with type and values, its picture's bytes, and what it points to."""

    tags: dict[int, tuple[int, Value]]
    strip: bytes = b""
    children: list[Directory] = field(default_factory=list)
    exif: Directory | None = None


def tiff(first: Directory, magic: bytes = b"II*\0") -> bytes:
    """Return a little-endian TIFF file with one directory and those below it; the pictures come last,
    as cameras write them."""
    out = bytearray(magic + bytes(4))
    strips: list[tuple[int, bytes]] = []
    struct.pack_into("<I", out, 4, _put(out, first, strips))
    for place, strip in strips:
        struct.pack_into("<I", out, place, _append(out, strip))
    return bytes(out)


def _put(out: bytearray, directory: Directory, strips: list[tuple[int, bytes]]) -> int:
    """Append a directory after all that it points to; return where it begins. ``strips`` gets its
    picture, and where the place of that has to be written."""
    tags = dict(directory.tags)
    if directory.strip:
        tags |= {273: (LONG, [0]), 278: (LONG, tags[257][1]), 279: (LONG, [len(directory.strip)])}
    if directory.children:
        tags[330] = LONG, [_put(out, child, strips) for child in directory.children]
    if directory.exif:
        tags[34665] = LONG, [_put(out, directory.exif, strips)]
    entries = b""
    for tag in sorted(tags):
        kind, value = tags[tag]
        content, count = _bytes(kind, value)
        inline = content.ljust(4, b"\0") if len(content) <= 4 else struct.pack("<I", _append(out, content))
        entries += struct.pack("<HHI", tag, kind, count) + inline
    start = _append(out, struct.pack("<H", len(tags)) + entries + bytes(4))
    if directory.strip:
        strips.append((start + 2 + 12 * sorted(tags).index(273) + 8, directory.strip))
    return start


def _append(out: bytearray, content: bytes) -> int:
    out.extend(bytes(len(out) % 2))
    out.extend(content)
    return len(out) - len(content)


def _bytes(kind: int, value: Value) -> tuple[bytes, int]:
    if isinstance(value, str):
        return value.encode() + b"\0", len(value) + 1
    flat = [number for part in value for number in (part if isinstance(part, tuple) else (part,))]
    return struct.pack(f"<{len(value) * _FORMATS[kind]}", *flat), len(value)


def mosaic(picture: Image.Image) -> np.ndarray:
    """Return what a sensor with a Bayer pattern (red, green; green, blue) and 14 bits sees of a picture:
    linear light, one colour at each pixel."""
    light = np.asarray(picture.convert("RGB"), float) / 255
    light = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    colour = np.array([[0, 1], [1, 2]])
    rows, columns = np.indices(light.shape[:2])
    return (light[rows, columns, colour[rows % 2, columns % 2]] * 16383).astype("<u2")


_SRGB_FROM_XYZ = (32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570)


def negative(
    picture: Image.Image,
    preview: Image.Image | None = None,
    *,
    orientation: int = 1,
    preview_exif: Image.Exif | None = None,
    uncompressed_preview: bool = False,
    camera: tuple[str, str] = ("Canon", "Canon EOS Test"),
) -> bytes:
    """Return a DNG of a picture as the sensor has it (not turned), with a preview if there is one.

    Without a preview the sensor's data is in the first directory, else below a first directory with
    a thumbnail, as most programs and cameras write it.
    """
    main = {
        271: (ASCII, camera[0]),
        272: (ASCII, camera[1]),
        274: (SHORT, [orientation]),
        306: (ASCII, "2019:05:06 07:08:09"),
        50706: (BYTE, [1, 4, 0, 0]),
        50708: (ASCII, camera[1]),
        50721: (SRATIONAL, [(number, 10000) for number in _SRGB_FROM_XYZ]),
        50728: (RATIONAL, [(1, 1)] * 3),
        50778: (SHORT, [21]),  # D65
    }
    exif = Directory({36867: (ASCII, "2019:05:06 07:08:09"), 42036: (ASCII, "EF 50mm")})
    sensor = _sensor(picture)
    if preview is None:
        return tiff(Directory(main | sensor.tags, sensor.strip, exif=exif))
    thumbnail = _uncompressed(preview.resize((64, 48)))
    shown = _uncompressed(preview) if uncompressed_preview else _jpeg(preview, preview_exif)
    return tiff(Directory(main | thumbnail.tags, thumbnail.strip, [sensor, shown], exif))


def _sensor(picture: Image.Image) -> Directory:
    tags = {
        254: (LONG, [0]),
        256: (LONG, [picture.width]),
        257: (LONG, [picture.height]),
        258: (SHORT, [16]),
        259: (SHORT, [1]),
        262: (SHORT, [32803]),
        277: (SHORT, [1]),
        33421: (SHORT, [2, 2]),
        33422: (BYTE, [0, 1, 1, 2]),
        50714: (SHORT, [0]),
        50717: (SHORT, [16383]),
    }
    return Directory(tags, mosaic(picture).tobytes())


def _uncompressed(preview: Image.Image) -> Directory:
    tags = _preview_tags(preview, 1, 2)
    return Directory(tags, preview.convert("RGB").tobytes())


def _jpeg(preview: Image.Image, exif: Image.Exif | None) -> Directory:
    buffer = io.BytesIO()
    preview.save(buffer, "JPEG", quality=92, **({"exif": exif} if exif else {}))
    return Directory(_preview_tags(preview, 7, 6), buffer.getvalue())


def _preview_tags(preview: Image.Image, compression: int, photometric: int) -> dict[int, tuple[int, Value]]:
    return {
        254: (LONG, [1]),
        256: (LONG, [preview.width]),
        257: (LONG, [preview.height]),
        258: (SHORT, [8, 8, 8]),
        259: (SHORT, [compression]),
        262: (SHORT, [photometric]),
        277: (SHORT, [3]),
    }
