"""What the ending of a file name says: a photo, a kind of photo that is not read yet, or neither."""

from __future__ import annotations

READABLE = frozenset(
    b"jpg jpeg jpe jfif jif mpo png apng webp tif tiff bmp dib gif jp2 j2k jpf jpx j2c jpc avif avifs "
    b"heic heics heif heifs hif ppm pgm pbm pnm".split()
)
"""Endings of the formats that ``decode`` reads, in lower case."""

RAW = frozenset(
    b"3fr arw cr2 cr3 crw dcr dng erf fff gpr iiq k25 kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl "
    b"sr2 srf srw x3f".split()
)
"""Endings of what cameras write before they make a picture of it."""

_JPEG_XL = frozenset((b"jxl",))
_PHOTOS = READABLE | RAW | _JPEG_XL


def is_photo(name: bytes) -> bool:
    """Say whether a file of this name is a photo, readable or not."""
    stem, dot, ending = name.rpartition(b".")
    return bool(dot and stem) and ending.lower() in _PHOTOS


def why_unsupported(name: bytes) -> str:
    """Return what to tell the user about a kind of photo that is not read yet, else an empty text."""
    ending = name.rpartition(b".")[2].lower()
    # Pillow would take most of these for TIFF and show the small preview in front of the real picture.
    if ending in RAW:
        return "camera RAW files are not read yet: index a JPEG made from it"
    if ending in _JPEG_XL:
        return "JPEG XL is not read yet: convert it to JPEG or PNG"
    return ""
