"""Pictures: read, turn upright, make ready for a model, and ask what they say about themselves.

The only room that knows Pillow. ``decode`` trusts its caller; files of unknown origin go through
``DecodePool``, whose worker processes can be ended when a file takes too long or too much.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from photoclip.images.names import is_photo, worth_another_try

if TYPE_CHECKING:
    from photoclip.images.decoding import decode
    from photoclip.images.reading import UnreadablePhoto
    from photoclip.images.workers import DecodePool, decode_safely

__all__ = ["DecodePool", "UnreadablePhoto", "decode", "decode_safely", "is_photo", "worth_another_try"]

# Late: a walk needs no more than names, and the parent of the workers no Pillow.
_HOMES = {
    "DecodePool": "workers",
    "UnreadablePhoto": "reading",
    "decode": "decoding",
    "decode_safely": "workers",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'photoclip.images' has no attribute {name!r}")
    return getattr(import_module(f"photoclip.images.{_HOMES[name]}"), name)
