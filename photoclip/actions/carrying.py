"""Keywords of the user's that go with a photo, carried into the sidecar of what stays.

They stand in the photo itself and in its sidecars. Those that nothing in its group has that stays go into the
sidecar of the best that does, or of the next where that cannot be, but of none in a reference folder: spliced
in as the user's own, or into a new sidecar. Sidecars are read right before. What is inside a photo the caller
knows by the hash, which was compared right before: so no picture of unknown origin is parsed here.

Only keywords are carried. Two ratings or captions cannot both be right, and none of them is thrown away: they
are where the photo is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from photoclip import xmp
from photoclip.actions.belongings import Belongings
from photoclip.actions.changes import Change
from photoclip.actions.files import NO_FILE, Stamp, Unfit, content_of, why
from photoclip.sidecars import NotShared, Places, see_that_it_may_be_changed

KeywordsOf = Callable[[Sequence[bytes]], Mapping[bytes, Sequence[str]]]
"""Returns the user's keywords inside files, the levels of each joined by "/", by SHA-256 of the files' bytes;
no entry for a file it does not know."""

_Keywords = dict[str, xmp.Levels]  # by what two spellings of one have in common


class Cargo(NamedTuple):
    """``keywords`` for ``sidecar``, by a ``change`` of what it is now: ``stamp``, or NO_FILE."""

    sidecar: bytes
    stamp: Stamp
    change: Change
    keywords: tuple[xmp.Levels, ...]

    @property
    def told(self) -> str:
        """The keywords in words."""
        return "keywords: " + ", ".join("/".join(levels) for levels in self.keywords)


class Carrying:
    """Tells what is to be carried where; writes nothing."""

    def __init__(
        self, keywords_of: KeywordsOf, belongings: Belongings, references: Collection[bytes] = ()
    ) -> None:
        self._keywords_of = keywords_of
        self._belongings = belongings
        self._references = references
        self._places: dict[bytes, Places] = {}
        self._carried: dict[bytes, set[str]] = {}  # by sidecar

    def cargo(self, photo: bytes, contents: Collection[bytes], kept: Mapping[bytes, Stamp]) -> Cargo | None:
        """Return what is to be carried when ``photo`` goes while ``kept`` stay, the best first; ``contents``
        are the hashes of it and of other photos that go along. None when nothing is lost.

        Raises Unfit when keywords would be lost, or when nobody knows.
        """
        stays = {stamp.sha256 for stamp in kept.values()}
        theirs = self._in_files([one for one in contents if one not in stays]) | self._in_sidecars(photo)
        if not theirs:
            return None
        held = self._held(kept)
        lacking = [levels for key, levels in theirs.items() if key not in held]
        return self._loaded(lacking, kept) if lacking else None

    def done(self, cargo: Cargo) -> None:
        """Remember that ``cargo`` was carried, or would have been."""
        self._carried.setdefault(cargo.sidecar, set()).update(_keys(cargo.keywords))

    # -- who has which ----------------------------------------------------------------------------

    def _in_files(self, contents: Sequence[bytes]) -> _Keywords:
        known = self._keywords_of(contents) if contents else {}
        if any(content not in known for content in contents):
            raise Unfit("the library does not know its keywords; photoclip index reads them")
        return _keyed(xmp.levels_of_keyword(text) for content in contents for text in known[content])

    def _in_sidecars(self, photo: bytes) -> _Keywords:
        found: _Keywords = {}
        for path in self._belongings.sidecars(photo):
            found |= _keyed(_own_levels(path))
        return found

    def _held(self, kept: Mapping[bytes, Stamp]) -> set[str]:
        """Return the keys of all keywords of what stays, and of their levels."""
        inside = self._keywords_of([stamp.sha256 for stamp in kept.values()])
        found = _keys(xmp.levels_of_keyword(text) for texts in inside.values() for text in texts)
        for photo in kept:
            for path in self._belongings.sidecars(photo):
                with contextlib.suppress(Unfit):  # nobody can read it, so it holds nothing
                    found |= _keys(_own_levels(path))
            found |= self._carried.get(self._sidecar_of(photo), set())
        return found

    # -- where to ---------------------------------------------------------------------------------

    def _loaded(self, keywords: list[xmp.Levels], kept: Iterable[bytes]) -> Cargo | None:
        """Return the keywords for the first of ``kept`` that can take them; None when it has them."""
        refused: list[str] = []
        for photo in kept:
            if photo in self._references:
                refused.append("its keywords are not carried to a reference folder")
                continue
            sidecar = self._sidecar_of(photo)
            try:
                return _changed(sidecar, keywords)
            except (Unfit, NotShared, xmp.NotXmp) as error:
                refused.append(f"its keywords are not carried to {os.fsdecode(sidecar)}: {error}")
        raise Unfit(refused[0])

    def _sidecar_of(self, photo: bytes) -> bytes:
        folder, name = os.path.split(photo)
        if folder not in self._places:
            try:
                self._places[folder] = Places(folder, os.listdir(folder))
            except OSError as error:
                raise Unfit(f"the folder {os.fsdecode(folder)} cannot be listed: {why(error)}") from error
        return self._places[folder].of(name)


def _changed(sidecar: bytes, keywords: list[xmp.Levels]) -> Cargo | None:
    stamp, before = NO_FILE, b""
    if os.path.lexists(sidecar):  # a link is not followed: it may lead to what goes
        stamp, before = content_of(sidecar, xmp.SIZE_LIMIT)
        see_that_it_may_be_changed(sidecar, stamp.mode)
    if not os.access(os.path.dirname(sidecar), os.W_OK):
        raise Unfit("its folder is read-only")
    after = xmp.with_keywords(before or None, keywords)
    if after == before:
        return None
    return Cargo(sidecar, stamp, Change.between(before, after), tuple(keywords))


def _own_levels(sidecar: bytes) -> list[xmp.Levels]:
    try:
        _, packet = content_of(sidecar, xmp.SIZE_LIMIT)
        return xmp.own_levels(packet) if packet else []
    except (Unfit, xmp.NotXmp) as error:
        name = os.fsdecode(os.path.basename(sidecar))
        raise Unfit(f"keywords of {name} are not carried: {error}") from error


def _keyed(keywords: Iterable[xmp.Levels]) -> _Keywords:
    """Return keywords by their keys, each in its first spelling."""
    found: _Keywords = {}
    for levels in filter(None, keywords):
        found.setdefault(_key(levels), levels)
    return found


def _keys(keywords: Iterable[xmp.Levels]) -> set[str]:
    """Return the keys of keywords, and of each level of theirs: programs write these too, or know them."""
    return {_key(part) for levels in keywords for part in (levels, *((one,) for one in levels))}


def _key(levels: xmp.Levels) -> str:
    return xmp.key("/".join(levels))
