"""The keywords that a picture file itself holds: in XMP, in IPTC, and where Windows puts them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any

from PIL import Image

from photoclip import xmp
from photoclip.images.messages import KEYWORD_LETTERS, KEYWORDS

_XMP, _IPTC, _WINDOWS = 700, 33723, 0x9C9E  # tags of TIFF and EXIF
_PHOTOSHOPS_IPTC = 0x0404
_BLOCK_LIMIT = 1 << 20
_UTF8 = b"\x1b%G"
_CODED_CHARACTER_SET, _KEYWORDS = (1, 90), (2, 25)


def keywords_of(picture: Image.Image) -> tuple[str, ...]:
    """Return the keywords in an opened picture that is not loaded yet, the levels of each joined by "/".
    Never fails: what cannot be read holds none."""
    info = picture.info
    packet = info.get("xmp") or info.get("XML:com.adobe.xmp")
    photoshop = info.get("photoshop")
    iptc = photoshop.get(_PHOTOSHOPS_IPTC) if isinstance(photoshop, dict) else None
    try:
        exif = picture.getexif()
    except Exception:  # garbage raises almost anything, and must not cost the photo
        exif = Image.Exif()
    return _folded(exif, packet, iptc)


def keywords_in(exif: Image.Exif) -> tuple[str, ...]:
    """Return the keywords in the tags of a file that is built like a TIFF file, as ``keywords_of``."""
    return _folded(exif, None, None)


def _folded(exif: Image.Exif, packet: Any, iptc: Any) -> tuple[str, ...]:
    found = _in_xmp(_bytes(packet or _tag(exif, _XMP)))
    flat = [*_in_iptc(_bytes(iptc or _tag(exif, _IPTC))), *_in_windows(_bytes(_tag(exif, _WINDOWS)))]
    # Other programs copy what is in XMP, level by level, and our own keywords as well.
    levels = {xmp.key(level) for one in (*found.own, *found.ours) for level in one.split("/")}
    return _limited([*found.own, *(text for text in flat if xmp.key(text) not in levels)])


def _in_xmp(packet: bytes) -> xmp.Keywords:
    try:
        return xmp.keywords(packet.rstrip(b"\0"))
    except xmp.NotXmp:
        return xmp.Keywords((), ())


def _in_iptc(block: bytes) -> Iterator[str]:
    """Yield the keywords of an IPTC block (IIM 4.2): UTF-8 if it says so or can be that, else Latin."""
    entries = list(_datasets(block[:_BLOCK_LIMIT]))
    says_utf8 = (_CODED_CHARACTER_SET, _UTF8) in entries
    for dataset, content in entries:
        if dataset == _KEYWORDS and (text := xmp.one_line(_text(content, says_utf8))):
            yield text


def _datasets(block: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield the entries of an IPTC block, up to the first that is none."""
    at = 0
    while block[at : at + 1] == b"\x1c" and at + 5 <= len(block):
        record, number, size = struct.unpack_from(">BBH", block, at + 1)
        at += 5
        if size > 0x7FFF:  # the size follows, in so many bytes
            extent = size & 0x7FFF
            size = int.from_bytes(block[at : at + extent], "big")
            at += extent
        yield (record, number), block[at : at + size]
        at += size


def _text(content: bytes, says_utf8: bool) -> str:
    try:
        return content.decode("utf-8", "replace" if says_utf8 else "strict")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _in_windows(content: bytes) -> Iterator[str]:
    """Yield the keywords that Windows' Explorer writes: UTF-16, with semicolons between them."""
    text = content[:_BLOCK_LIMIT].decode("utf-16-le", "replace").partition("\0")[0]
    yield from filter(None, map(xmp.one_line, text.split(";")))


def _limited(texts: Iterable[str]) -> tuple[str, ...]:
    """Return each keyword once, in its first spelling, up to the limits."""
    found: dict[str, str] = {}
    length = 0
    for text in texts:
        if xmp.key(text) not in found:
            length += len(text)
            if length > KEYWORD_LETTERS or len(found) == KEYWORDS:
                break
            found[xmp.key(text)] = text
    return tuple(found.values())


def _tag(exif: Image.Exif, tag: int) -> Any:
    """Return a tag as Pillow gives it; that of IPTC as it stands in the file, since many programs declare it
    to be numbers, of which Pillow returns the first."""
    try:
        raw = getattr(getattr(exif, "_info", None), "_tagdata", {})
        return raw[tag] if tag == _IPTC and tag in raw else exif.get(tag)
    except Exception:  # garbage, as above
        return None


def _bytes(value: Any) -> bytes:
    """Return a value as Pillow gives it, in one of four ways, as bytes; nothing if it is something else."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    if isinstance(value, tuple) and value and isinstance(value[0], bytes):
        return b"".join(one for one in value if isinstance(one, bytes))
    if isinstance(value, tuple) and all(isinstance(one, int) and 0 <= one < 256 for one in value):
        return bytes(value)
    return value if isinstance(value, bytes) else b""
