"""What may befall a file while nobody looks: it is cut off, bits flip, pages are lost or change places."""

from __future__ import annotations

import random
from collections.abc import Iterator

PAGE = 4096

Damage = tuple[str, bytes]
"""What befell the file, in words, and what is in it now."""


def cuts(content: bytes, places: int) -> Iterator[Damage]:
    """Cut the file at ``places`` places, from nothing to all but the last byte, and add a byte to it."""
    for number in range(places):
        left = (len(content) - 1) * number // (places - 1)
        yield f"cut to {left} of {len(content)} bytes", content[:left]
    yield "one byte more", content + b"\0"


def flips(
    content: bytes, dice: random.Random, count: int, start: int = 0, stop: int | None = None
) -> Iterator[Damage]:
    """Turn over ``count`` bits, one at a time, somewhere between ``start`` and ``stop``."""
    for _ in range(count):
        place, bit = dice.randrange(start, stop or len(content)), dice.randrange(8)
        changed = bytearray(content)
        changed[place] ^= 1 << bit
        yield f"bit {bit} of byte {place} flipped", bytes(changed)


def pages(content: bytes, dice: random.Random, count: int) -> Iterator[Damage]:
    """Zero a page, fill one with noise, and swap two, ``count`` times each."""
    last = (len(content) - 1) // PAGE
    for _ in range(count):
        number = dice.randint(0, last)
        for what, new in (("zeroed", bytes(PAGE)), ("random", dice.randbytes(PAGE))):
            yield f"page {number} {what}", _with_page(content, number, new)
        one, other = dice.randint(0, last), dice.randint(0, last)
        first = content[one * PAGE :][:PAGE]
        second = content[other * PAGE :][:PAGE]
        swapped = _with_page(_with_page(content, one, second), other, first)
        yield f"pages {one} and {other} swapped", swapped


def _with_page(content: bytes, number: int, new: bytes) -> bytes:
    place = number * PAGE
    new = new[: len(content) - place]
    return content[:place] + new + content[place + len(new) :]


def every_kind(content: bytes, seed: int = 5) -> Iterator[Damage]:
    """Damage the file in every way, the first 128 bytes bit by bit; never back to what it was."""
    dice = random.Random(seed)
    kinds = [("all zeros", bytes(len(content))), *cuts(content, 20)]
    for place in range(min(128, len(content))):
        kinds += flips(content, dice, 1, place, place + 1)
    if content:
        kinds += [*flips(content, dice, 40), *pages(content, dice, 20)]
    return ((name, changed) for name, changed in kinds if changed != content)
