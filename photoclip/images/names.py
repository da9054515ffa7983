"""What the ending of a file name says: a photo or not; and the names of packages that some photos need."""

from __future__ import annotations

import importlib.util

READABLE = frozenset(
    b"jpg jpeg jpe jfif jif mpo png apng webp tif tiff bmp dib gif jp2 j2k jpf jpx j2c jpc avif avifs "
    b"heic heics heif heifs hif ppm pgm pbm pnm jxl".split()
)
"""Endings of the formats that ``decode`` reads, in lower case; one of them with a package only."""

RAW = frozenset(
    b"3fr arw cr2 cr3 crw dcr dng erf fff gpr iiq k25 kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl "
    b"sr2 srf srw x3f".split()
)
"""Endings of what cameras write before they make a picture of it."""

_PHOTOS = READABLE | RAW

RUN = "run"
"""What a photo waits for that may be readable next time as it is: the next run."""

MODULES = {"pillow-heif": "pillow_heif", "pillow-jxl-plugin": "pillow_jxl", "rawpy": "rawpy"}
"""The packages that a photo can wait for, and the modules that they bring."""


def is_photo(name: bytes) -> bool:
    """Say whether a file of this name is a photo, readable or not."""
    stem, dot, ending = name.rpartition(b".")
    return ending.lower() in _PHOTOS and bool(dot and stem)


def is_raw(name: bytes) -> bool:
    """Say whether a file of this name is what a camera writes before it makes a picture of it."""
    return name.rpartition(b".")[2].lower() in RAW


def worth_another_try(waits_for: str) -> bool:
    """Say whether an unchanged file with a Problem that ``waits_for`` this may be readable now."""
    if waits_for == RUN:
        return True
    module = MODULES.get(waits_for)
    return module is not None and importlib.util.find_spec(module) is not None
