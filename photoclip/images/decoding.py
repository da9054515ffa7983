"""From the bytes of a file to a DecodedPhoto, and from Pillow's many errors to one."""

from __future__ import annotations

import os
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from photoclip.images import facts, names, pixels
from photoclip.images.reading import UnreadablePhoto, hash_of, in_words, open_photo
from photoclip.records import DecodedPhoto, Preprocessing

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "PPM", "WEBP", "TIFF", "JPEG2000", "AVIF")
"""As Pillow calls them; MPO is a kind of JPEG to it. Its rarer readers are little tested, and the
one for EPS starts another program."""

_MILLION = 1_000_000
_LIMIT = 100 * _MILLION
_SCALED_LIMIT = 300 * _MILLION
"""Pixels. Only JPEG can be read at a fraction of its size, unless it is progressive."""

_DRAFT_FACTOR = 2
"""How much larger than the model's picture a scaled JPEG must stay. At 2, 18 pictures and sizes had a
PSNR of 49 to 56 dB against the full decode, for a quarter of its time."""
_SMALLEST_DRAFT = 256  # pixels; the rendering must not depend on the model

_HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_RAW_TIFF_TAGS = (50706,)  # DNGVersion
_NEW_SUBFILE_TYPE = 254
_HEAD = 512


def decode(path: bytes, preprocessing: Preprocessing | None) -> DecodedPhoto:
    """Read one photo, and make it ready for a model when ``preprocessing`` says how.

    Trusts the file: nothing here bounds the time it may take (see DecodePool). Raises
    FileNotFoundError when it is not there, UnreadablePhoto when it gives no picture.
    """
    refuse_unsupported(path)
    with open_photo(path) as file:
        return decode_file(file, hash_of(file), preprocessing)


def refuse_unsupported(path: bytes) -> None:
    """Raise UnreadablePhoto when the name alone says that the file cannot be read yet."""
    reason = names.why_unsupported(os.path.basename(path))
    if reason:
        raise UnreadablePhoto("unsupported", reason)


def decode_file(file: BinaryIO, content_hash: bytes, preprocessing: Preprocessing | None) -> DecodedPhoto:
    """Decode an open file whose hash is known; otherwise as ``decode``."""
    head = file.read(_HEAD)
    file.seek(0)
    try:
        with _open(file, head) as picture:
            found = facts.facts_of(picture)
            loaded = _load(picture, found.orientation, preprocessing)
        wanted = pixels.fit(loaded, preprocessing).tobytes() if preprocessing else b""
        return DecodedPhoto(content_hash, found, wanted, pixels.rendering(loaded))
    except (UnreadablePhoto, MemoryError):
        raise
    except Exception as error:  # a bad file makes Pillow raise any of a dozen kinds
        raise _translated(error, head) from error


def _open(file: BinaryIO, head: bytes) -> Image.Image:
    """Open a picture of an allowed format and size."""
    formats = list(_FORMATS)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        formats += _heif()
    picture = Image.open(file, formats=formats)
    _refuse_raw(picture)
    scaled = picture.format in ("JPEG", "MPO") and not picture.info.get("progressive")
    limit = _SCALED_LIMIT if scaled else _LIMIT
    count = picture.width * picture.height
    if count > limit:
        raise UnreadablePhoto(
            "unsupported",
            f"it has {round(count / _MILLION):,} megapixels, more than the {limit // _MILLION} that are read",
        )
    return picture


def _heif() -> list[str]:
    try:
        import pillow_heif
    except ImportError as error:
        raise UnreadablePhoto(
            "unsupported", "HEIC needs the package pillow-heif, which is not installed"
        ) from error
    # Photos are decoded side by side already, and every thread costs address space.
    pillow_heif.options.DECODE_THREADS = 1
    pillow_heif.register_heif_opener(thumbnails=False)
    return ["HEIF"]


def _refuse_raw(picture: Image.Image) -> None:
    """Refuse camera RAW under the name of a TIFF: its first page is a preview, not the picture."""
    if picture.format != "TIFF":
        return
    tags = picture.getexif()
    if any(tag in tags for tag in _RAW_TIFF_TAGS) or _is_preview(tags.get(_NEW_SUBFILE_TYPE)):
        raise UnreadablePhoto("unsupported", names.why_unsupported(b".dng"))


def _is_preview(subfile_type: object) -> bool:
    return isinstance(subfile_type, int) and bool(subfile_type & 1)


def _load(picture: Image.Image, orientation: int, preprocessing: Preprocessing | None) -> pixels.Loaded:
    """Load the first frame, a JPEG no larger than it has to be."""
    side = max(_SMALLEST_DRAFT, _DRAFT_FACTOR * preprocessing.size if preprocessing else 0)
    draft = picture.draft(None, (side, side))  # None: any mode
    picture.load()
    box = draft[1] if draft else (0, 0, *picture.size)
    # Pillow turns TIFF upright by itself.
    return pixels.Loaded(pixels.to_rgb(picture), box, 1 if picture.format == "TIFF" else orientation)


_SIGNS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a compressed archive"),
    (b"8BPS", "a Photoshop document"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"#!", "a script"),
)
_MARKUP = ((b"<!doctype html", "HTML"), (b"<html", "HTML"), (b"<svg", "an SVG drawing"), (b"<?xml", "XML"))
_PICTURES = (
    b"\xff\xd8",
    b"\x89PNG",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"RIFF",
    b"\0\0\0\x0cjP",
    b"\xffO\xffQ",
)
_JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL ")
_CUT_SHORT = ("truncated", "unexpected end", "not enough data", "premature", "end of file", "no more data")


def _translated(error: Exception, head: bytes) -> UnreadablePhoto:
    """Turn whatever Pillow raised into a sentence."""
    if isinstance(error, UnidentifiedImageError):
        return _unidentified(head)
    if isinstance(error, Image.DecompressionBombError):
        return UnreadablePhoto("unsupported", "it has more pixels than are read")
    if isinstance(error, OSError) and error.errno is not None:
        return UnreadablePhoto("unreadable", in_words(error))
    if isinstance(error, EOFError) or any(words in str(error).lower() for words in _CUT_SHORT):
        return UnreadablePhoto("unreadable", "the file is cut short")
    return UnreadablePhoto("unreadable", "the picture in it is damaged")


def _unidentified(head: bytes) -> UnreadablePhoto:
    """Say what a file is that no reader recognised, from its first bytes."""
    if head.startswith(_JPEG_XL):
        return UnreadablePhoto("unsupported", names.why_unsupported(b".jxl"))
    is_container = head[4:8] == b"ftyp"
    if head.startswith(_PICTURES) or (is_container and head[8:12] in _HEIF_BRANDS | _AVIF_BRANDS):
        return UnreadablePhoto("unreadable", "the file is cut short, or the picture in it is damaged")
    if is_container:
        return UnreadablePhoto("unreadable", "not a picture (looks like a video)")
    return UnreadablePhoto("unreadable", f"not a picture{_likeness(head)}")


def _likeness(head: bytes) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for sign, kind in (*_MARKUP, *_SIGNS):
        if head.startswith(sign) or text.startswith(sign):
            return f" (looks like {kind})"
    if not head.strip(b"\0"):
        return " (nothing but zeros)"
    if all(byte >= 32 or byte in b"\t\r\n\f" for byte in head):
        return " (looks like text)"
    return ""
