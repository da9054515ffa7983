"""What goes along with a photo, and when that keeps the photo where it is.

A photo and its partners (``photoclip.partners``) are one: sidecars, the RAW file, the video of a live photo
go where the photo goes, and each with the last of the photos that own it.

Nothing a camera wrote goes unless its like stays. What stays must have the same RAW file or video, byte for
byte; else the photo stays as well. Sidecars go in any case: but for keywords, which are carried, what is
written in them is not put together.

Not each video beside a picture of its name is part of a live photo. It is when it says so (Apple's content
identifier), when its name does (Google's ``.MP``), or when both were written within three seconds and it is
small; other videos stay where they are.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Collection, Iterable, Mapping, Set
from typing import NamedTuple

from photoclip.actions.files import Stamp, Unfit, opened, stamp_of
from photoclip.errors import PhotoclipError
from photoclip.images.names import is_photo, is_raw
from photoclip.partners import Partner, Partners, split_name

_SECONDS = 3
_LIVE_BYTES = 64 << 20  # three seconds of the best that telephones record are 20
_IDENTIFIER = b"com.apple.quicktime.content.identifier"
_GOOGLE = b".mp"


_LEFT_BEHIND = "what is written in it is not carried over to what stays"
_ALL_BUT_KEYWORDS = f"but for keywords, {_LEFT_BEHIND}"
_XMP = b".xmp"


class Companion(NamedTuple):
    """A file beside a photo, with what follows the stem in its name. It ``goes`` along with the photo with
    this ``stamp``, or it stays; ``reason`` says what there is to say about that."""

    path: bytes
    tail: bytes
    goes: bool
    reason: str = ""
    stamp: Stamp | None = None


class Belongings:
    """Tells what goes along. ``staying`` are the photos that stay in any group; ``gone`` grows while others
    use it: what has left its place. ``carries`` says whether keywords are carried to what stays."""

    def __init__(self, staying: Collection[bytes], gone: Set[bytes], *, carries: bool) -> None:
        self._staying = staying
        self._gone = gone
        self._carries = carries
        self._partners = Partners(is_photo, is_raw)

    def of(self, photo: bytes, kept: Iterable[bytes], seen: Mapping[bytes, Stamp | str]) -> list[Companion]:
        """Return what lies beside ``photo``, which goes, while ``kept`` stay.

        ``seen`` are the photos of the group that do not stay: what they are, or why they are left alone.
        Raises Unfit, with the reason, when something that belongs to it keeps it.
        """
        with_kept = [(keeper, partner) for keeper in kept for partner in self._of(keeper)]
        for keeper, partner in with_kept:
            if partner.path == photo:
                raise Unfit(f"it belongs to {os.fsdecode(keeper)}, which stays")
        companions = []
        for partner in self._going(photo):
            if partner.kind == "video" and not _is_live(photo, partner.path):
                reason = "nothing says that this video is part of a live photo"
                companions.append(Companion(partner.path, partner.tail, False, reason))
            elif partner.path in self._staying:
                raise Unfit(f"{_name(partner)} belongs to it, and stays")
            else:
                others = [theirs for _, theirs in with_kept if theirs.kind == partner.kind]
                companions.append(self._companion(partner, others, seen))
        return companions

    def sidecars(self, photo: bytes) -> list[bytes]:
        """Return the XMP sidecars of ``photo``, and those of its RAW file or picture: of all that may hold
        its keywords, also where they belong to others too."""
        found = [partner.path for partner in self._of(photo) if partner.kind == "sidecar"]
        return [path for path in found if is_xmp(path) and path not in self._gone and os.path.lexists(path)]

    def _companion(
        self, partner: Partner, others: list[Partner], seen: Mapping[bytes, Stamp | str]
    ) -> Companion:
        found = seen.get(partner.path)
        if isinstance(found, Stamp):
            return Companion(partner.path, partner.tail, True, stamp=found)
        try:
            stamp = stamp_of(partner.path)
            if found is not None:
                raise Unfit(found)
        except Unfit as error:
            raise Unfit(f"{_name(partner)} belongs to it, and: {error}") from error
        if partner.kind == "sidecar":
            reason = _ALL_BUT_KEYWORDS if self._carries and is_xmp(partner.path) else _LEFT_BEHIND
            return Companion(partner.path, partner.tail, True, reason, stamp)
        if not any(_has_bytes(other.path, stamp) for other in others):
            raise Unfit(f"{_name(partner)} belongs to it, and nothing like it stays")
        return Companion(partner.path, partner.tail, True, stamp=stamp)

    def _going(self, photo: bytes) -> list[Partner]:
        """Return the partners that nobody owns who stays."""
        found = [partner for partner in self._of(photo) if partner.path not in self._gone]
        unit, size = {photo}, 0
        while size < len(unit):
            size = len(unit)
            leaving = unit | self._gone
            unit.update(partner.path for partner in found if leaving.issuperset(_there(partner.owners)))
        return [partner for partner in found if partner.path in unit]

    def _of(self, photo: bytes) -> tuple[Partner, ...]:
        try:
            return self._partners.of(photo)
        except PhotoclipError as error:
            raise Unfit(str(error)) from error


def is_xmp(path: bytes) -> bool:
    """Say whether a file is a sidecar in XMP, by its name."""
    return path.lower().endswith(_XMP)


def _there(owners: Iterable[bytes]) -> list[bytes]:
    return [owner for owner in owners if os.path.lexists(owner)]


def _has_bytes(path: bytes, stamp: Stamp) -> bool:
    """Say whether another file holds the same bytes."""
    try:
        if os.lstat(path).st_size != stamp.size:
            return False
        other = stamp_of(path)
    except (OSError, Unfit):
        return False
    return other.sha256 == stamp.sha256 and other.identity != stamp.identity


def _is_live(photo: bytes, video: bytes) -> bool:
    if split_name(video)[1].lower() == _GOOGLE:
        return True
    try:
        is_small = os.stat(video).st_size <= _LIVE_BYTES
        return is_small and (_within_seconds(photo, video) or _names_itself(video))
    except (OSError, Unfit):
        return False


def _within_seconds(photo: bytes, video: bytes) -> bool:
    return abs(os.stat(photo).st_mtime - os.stat(video).st_mtime) <= _SECONDS


def _names_itself(video: bytes) -> bool:
    with opened(video) as file:
        if not os.fstat(file).st_size:
            return False
        with mmap.mmap(file, 0, access=mmap.ACCESS_READ) as content:
            return content.find(_IDENTIFIER) >= 0


def _name(partner: Partner) -> str:
    return os.fsdecode(os.path.basename(partner.path))
