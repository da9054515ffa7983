"""From the bytes of a file to a DecodedPhoto, and from Pillow's many errors to one."""

from __future__ import annotations

import os
import zlib
from typing import BinaryIO, NoReturn

from PIL import Image, UnidentifiedImageError

from photoclip.images import facts, keywords, names, pixels, raw
from photoclip.images.reading import UnreadablePhoto, failed, hash_of, lacking, open_photo
from photoclip.records import DecodedPhoto, PhotoFacts, Preprocessing

_Picture = tuple[PhotoFacts, pixels.Loaded, tuple[str, ...]]
"""Facts, picture and keywords of a file."""

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "PPM", "WEBP", "TIFF", "JPEG2000", "AVIF")
"""As Pillow calls them; MPO is a kind of JPEG to it. Its rarer readers are little tested, and the
one for EPS starts another program."""

_JPEG_PIXELS_A_BYTE = 512
"""At most: even a block of 64 pixels that is like the one before takes a bit."""

_PNG_SIGN = 8  # bytes
_PART = 1 << 20

_MILLION = 1_000_000
_LIMIT = 100 * _MILLION
_SCALED_LIMIT = 300 * _MILLION
"""Pixels. Only JPEG can be read at a fraction of its size, unless it is progressive."""

_DRAFT_FACTOR = 2.5
"""How much larger than the model's picture a scaled JPEG must stay. So 20 photographs of 12 megapixels, for
models of 160, 224, 256 and 384 pixels, had a PSNR of 52 to 57 dB against the full decode, for a third of its
time. (At a factor of 2, one in five had 48 to 50 at 160 pixels.)"""
_SMALLEST_DRAFT = 256  # pixels; the rendering must not depend on the model

_HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_TIFF = (b"II*\0", b"MM\0*")
_HEAD = 512

_NEW_SUBFILE_TYPE, _MAKE, _STRIPS, _TILES, _SUB_IFDS, _DNG_VERSION = 254, 271, 273, 324, 330, 50706
_UNKNOWN_RAW = "LibRaw cannot read this camera RAW file: index a JPEG made from it"
_PAGES = 16
"""How far to look for the picture that the first page of a TIFF file is the preview of."""


def decode(path: bytes, preprocessing: Preprocessing | None) -> DecodedPhoto:
    """Read one photo, and make it ready for a model when ``preprocessing`` says how.

    Trusts the file: nothing here bounds the time it may take (see DecodePool). Raises
    FileNotFoundError when it is not there, UnreadablePhoto when it gives no picture.
    """
    with open_photo(path) as file:
        return decode_file(file, path, hash_of(file), preprocessing)


def decode_file(
    file: BinaryIO, path: bytes, content_hash: bytes, preprocessing: Preprocessing | None
) -> DecodedPhoto:
    """Decode an open file whose hash is known; otherwise as ``decode``."""
    head = file.read(_HEAD)
    file.seek(0)
    side = max(_SMALLEST_DRAFT, int(_DRAFT_FACTOR * preprocessing.size) if preprocessing else 0)
    try:
        found, loaded, words = _read(file, path, head, side)
        wanted = pixels.fit(loaded, preprocessing).tobytes() if preprocessing else b""
        return DecodedPhoto(content_hash, found, wanted, pixels.rendering(loaded), words)
    except (UnreadablePhoto, MemoryError):
        raise
    except Exception as error:  # a bad file makes Pillow raise any of a dozen kinds
        raise _translated(error, head) from error


def _read(file: BinaryIO, path: bytes, head: bytes, side: int) -> _Picture:
    """Return what is in a file, as ``decode_file``; the shorter side keeps ``side`` pixels or more."""
    if raw.is_signed(head) or (names.is_raw(path) and not _is_finished(head)):
        return _read_raw(file, side) or _refuse_raw(file, head)
    try:
        picture = _open(file, head)
    except UnidentifiedImageError:
        if not head.startswith(_TIFF):
            raise
        return _read_rare_tiff(file, side)
    with picture:
        if _may_be_raw(picture):
            negative = _read_raw(file, side)
            if negative is not None:
                return negative
        _find_page(picture)
        found = facts.facts_of(picture)
        words = keywords.keywords_of(picture)
        orientation = 1 if facts.comes_upright(picture) else found.orientation
        return found, pixels.load(picture, orientation, side), words


def _read_raw(file: BinaryIO, side: int) -> _Picture | None:
    """Return what is in a camera RAW file, or None when LibRaw does not know its kind."""
    negative = raw.read(file, side)
    return None if negative is None else (*negative, keywords.keywords_in(facts.tiff_tags(file)))


def _read_rare_tiff(file: BinaryIO, side: int) -> _Picture:
    """Return what is in a TIFF file that is none to Pillow, as ``_read``."""
    tags = facts.tiff_tags(file)
    # LibRaw takes other things for RAW too, and makes orange of them.
    negative = _read_raw(file, side) if _DNG_VERSION in tags else None
    if negative is None:
        if _STRIPS in tags or _TILES in tags:
            raise UnreadablePhoto("unsupported", "it is a TIFF file of a kind that is not read")
        raise UnidentifiedImageError
    return negative


def _is_finished(head: bytes) -> bool:
    """Say whether a file with the name of a RAW file is an ordinary picture."""
    if head.startswith(_TIFF):  # so are most RAW files
        return False
    return head.startswith(_PICTURES) or head[8:12] in _HEIF_BRANDS | _AVIF_BRANDS


def _refuse_raw(file: BinaryIO, head: bytes) -> NoReturn:
    """Raise the error for a file with a RAW file's name or beginning that LibRaw does not know."""
    if head.startswith(_TIFF):
        try:
            file.seek(0)
            Image.open(file, formats=["TIFF"])  # to close it would close the file
        except Exception:  # the directory of its parts is not there
            raise _unidentified(head) from None
    elif not raw.is_signed(head) and (likeness := _likeness(head)):
        raise UnreadablePhoto("unreadable", f"not a picture{likeness}")
    raise UnreadablePhoto("unsupported", _UNKNOWN_RAW)


def _open(file: BinaryIO, head: bytes) -> Image.Image:
    """Open a picture of an allowed format and size."""
    formats = list(_FORMATS)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        formats += _heif()
    elif head.startswith(_JPEG_XL):
        formats += _jpeg_xl()
    picture = Image.open(file, formats=formats)
    scaled = picture.format in ("JPEG", "MPO") and not picture.info.get("progressive")
    limit = _SCALED_LIMIT if scaled else _LIMIT
    count = picture.width * picture.height
    if count > limit:
        raise UnreadablePhoto(
            "unsupported",
            f"it has {round(count / _MILLION):,} megapixels, more than the {limit // _MILLION} that are read",
        )
    if picture.format in ("JPEG", "MPO") and count > _JPEG_PIXELS_A_BYTE * _size(file):
        raise UnreadablePhoto("unreadable", "the file is cut short")  # libjpeg would fill it up with grey
    if picture.format == "PNG":
        _refuse_damaged_png(file)
        picture.load()  # to ask for EXIF tags would, and its error would be lost
    return picture


def _size(file: BinaryIO) -> int:
    place = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(place)
    return size


def _refuse_damaged_png(file: BinaryIO) -> None:
    """Compare the checksums of the pixels, which Pillow does not: it would paint what is wrong black.

    Those of texts and the like do not matter, and what is cut off is noticed when it is loaded.
    """
    place = file.tell()
    file.seek(_PNG_SIGN)
    while len(begin := file.read(8)) == 8:
        size, kind = int.from_bytes(begin[:4], "big"), begin[4:]
        if kind != b"IDAT":
            file.seek(size + 4, os.SEEK_CUR)
            continue
        checksum = zlib.crc32(kind)
        while size and (part := file.read(min(size, _PART))):
            size, checksum = size - len(part), zlib.crc32(part, checksum)
        found = file.read(4)
        if not size and len(found) == 4 and int.from_bytes(found, "big") != checksum:
            raise UnreadablePhoto("unreadable", "the picture in it is damaged")
    file.seek(place)


def _heif() -> list[str]:
    try:
        import pillow_heif
    except ImportError as error:
        raise lacking("HEIC", "pillow-heif") from error
    # Photos are decoded side by side already, and every thread costs address space.
    pillow_heif.options.DECODE_THREADS = 1
    pillow_heif.register_heif_opener(thumbnails=False)
    return ["HEIF"]


def _jpeg_xl() -> list[str]:
    try:
        from pillow_jxl import JpegXLImagePlugin
    except ImportError as error:
        raise lacking("JPEG XL", "pillow-jxl-plugin") from error
    JpegXLImagePlugin.DECODE_THREADS = 0  # as for HEIC
    return ["JXL"]


def _may_be_raw(picture: Image.Image) -> bool:
    """Say whether a TIFF file may be camera RAW: then its first page is a preview, or a mosaic."""
    if picture.format != "TIFF":
        return False
    tags = picture.getexif()
    return _DNG_VERSION in tags or (_MAKE in tags and (_SUB_IFDS in tags or _is_preview(picture)))


def _is_preview(picture: Image.Image) -> bool:
    kind = picture.getexif().get(_NEW_SUBFILE_TYPE)
    return isinstance(kind, int) and bool(kind & 1)


def _find_page(picture: Image.Image) -> None:
    """Turn a TIFF file to its first page that is not the preview of another."""
    if picture.format != "TIFF":
        return
    if _DNG_VERSION in picture.getexif():
        raise UnreadablePhoto("unsupported", _UNKNOWN_RAW)
    for page in range(1, _PAGES):
        if not _is_preview(picture):
            return
        try:
            picture.seek(page)
        except EOFError:
            break
    raise UnreadablePhoto("unsupported", "it holds no more than the preview of a picture")


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
_JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL ")
_PICTURES = (
    *_JPEG_XL,
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
_CUT_SHORT = ("truncated", "unexpected end", "not enough data", "premature", "end of file", "no more data")


def _translated(error: Exception, head: bytes) -> UnreadablePhoto:
    """Turn whatever Pillow raised into a sentence."""
    if isinstance(error, UnidentifiedImageError):
        return _unidentified(head)
    if isinstance(error, Image.DecompressionBombError):
        return UnreadablePhoto("unsupported", "it has more pixels than are read")
    if isinstance(error, OSError) and error.errno is not None:
        return failed(error)
    if head.startswith(_JPEG_XL):  # its reader gives one error for everything
        return UnreadablePhoto("unreadable", "the picture in it is damaged, or too large")
    if isinstance(error, EOFError) or any(words in str(error).lower() for words in _CUT_SHORT):
        return UnreadablePhoto("unreadable", "the file is cut short")
    return UnreadablePhoto("unreadable", "the picture in it is damaged")


def _unidentified(head: bytes) -> UnreadablePhoto:
    """Say what a file is that no reader recognised, from its first bytes."""
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
