"""What a step writes into a file: enough to do it, and to give the file back its bytes."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from photoclip.actions.files import Unfit
from photoclip.actions.lines import Record, Unsound, field


class Change(NamedTuple):
    """From byte ``start`` on, the bytes ``was`` become ``now``; all others stay. ``sha256`` is that of the
    whole file after it."""

    start: int
    was: bytes
    now: bytes
    sha256: bytes

    @classmethod
    def between(cls, before: bytes, after: bytes) -> Change:
        """Return what makes ``after`` of ``before``."""
        start = _agreeing(before, after)
        end = _agreeing(before[start:][::-1], after[start:][::-1])
        was, now = before[start : len(before) - end], after[start : len(after) - end]
        return cls(start, was, now, hashlib.sha256(after).digest())

    def done_to(self, before: bytes) -> bytes:
        """Return what the file becomes; raises Unfit when that is not what it should."""
        after = before[: self.start] + self.now + before[self.start + len(self.was) :]
        return _proved(after, self.sha256)

    def undone_in(self, after: bytes, sha256: bytes) -> bytes:
        """Return what the file was; raises Unfit when its hash is not ``sha256``."""
        before = after[: self.start] + self.was + after[self.start + len(self.now) :]
        return _proved(before, sha256)


def record_of_change(change: Change) -> Record:
    """Return a change as it stands in a journal."""
    was, now = (base64.b64encode(one).decode("ascii") for one in (change.was, change.now))
    return {"start": change.start, "was": was, "now": now, "sha256": change.sha256.hex()}


def change_of_record(record: Mapping[str, object]) -> Change:
    """Return the change that ``record_of_change`` was given; raises Unsound."""
    try:
        was, now = (base64.b64decode(field(record, key, str), validate=True) for key in ("was", "now"))
        sha256 = bytes.fromhex(field(record, "sha256", str))
    except (ValueError, binascii.Error):
        raise Unsound("it does not say what was changed") from None
    return Change(field(record, "start", int), was, now, sha256)


def _agreeing(one: bytes, other: bytes) -> int:
    """Return how many bytes at the beginning of both are the same."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _proved(content: bytes, sha256: bytes) -> bytes:
    if hashlib.sha256(content).digest() != sha256:
        raise Unfit("its bytes are others now")
    return content
