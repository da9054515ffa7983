"""Pictures: read, turn upright, make ready for a model, and ask what they say about themselves.

The only room that knows Pillow. ``decode`` trusts its caller; files of unknown origin go through
``DecodePool``, whose worker processes can be ended when a file takes too long or too much.
"""

from __future__ import annotations

from photoclip.images.decoding import decode
from photoclip.images.names import is_photo
from photoclip.images.reading import UnreadablePhoto
from photoclip.images.workers import DecodePool, decode_safely

__all__ = ["DecodePool", "UnreadablePhoto", "decode", "decode_safely", "is_photo"]
