"""Pictures: read, turn upright, make ready for a model, and ask what they say about themselves.

The only room that knows Pillow. ``decode`` trusts its caller; files of unknown origin go through
``DecodePool``, whose worker processes can be ended when a file takes too long or too much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from photoclip.images.names import is_photo, worth_another_try
from photoclip.images.reading import UnreadablePhoto
from photoclip.images.workers import DecodePool, decode_safely

if TYPE_CHECKING:
    from photoclip.images.decoding import decode

__all__ = ["DecodePool", "UnreadablePhoto", "decode", "decode_safely", "is_photo", "worth_another_try"]


def __getattr__(name: str) -> object:
    if name != "decode":
        raise AttributeError(f"module 'photoclip.images' has no attribute {name!r}")
    from photoclip.images.decoding import decode  # late: the parent of the workers needs no Pillow

    return decode
