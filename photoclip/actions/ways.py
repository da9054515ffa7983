"""Where files go, and how: into the trash, into a folder, or nowhere, with a link left in their place.

A way plans; nothing is written here. What it plans for one photo and its partners is done together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from photoclip.actions.files import Stamp, Unfit
from photoclip.actions.journal import Kind
from photoclip.actions.trash import Trash
from photoclip.errors import BadUsage
from photoclip.partners import split_name


class File(NamedTuple):
    """A file that goes. ``shown`` is its path as the report has it; ``tail`` follows the stem in its name;
    ``reason`` is what there is to say about it."""

    path: bytes
    shown: bytes
    tail: bytes
    stamp: Stamp
    reason: str = ""
    partner: bool = False


class Plan(NamedTuple):
    """Where a file goes, or what it becomes a link to; and the note for the trash."""

    kind: Kind
    target: bytes
    info: str = ""


Planner = Callable[[Sequence[File], Mapping[bytes, Stamp]], list[Plan]]
"""Returns a plan for each of the files of one photo, itself first, while others are kept. Raises Unfit."""


class Way(NamedTuple):
    """How files go: who plans it, what becomes of them, and the folders that are made first, the outermost
    of them first."""

    plan: Planner
    outcome: Literal["moved", "linked"]
    folders: list[bytes]


def to_trash(home: bytes) -> Way:
    """Return the way into the trash; ``home`` is the user's own."""
    trash = Trash(os.path.realpath(home))

    def plan(files: Sequence[File], _: Mapping[bytes, Stamp]) -> list[Plan]:
        places = [trash.place_for(file.path, file.stamp.device) for file in files]
        return [Plan("move", place.target, place.info) for place in places]

    return Way(plan, "moved", [])


def to_folder(into: bytes) -> Way:
    """Return the way into a folder. Raises BadUsage when it cannot be one."""
    folder = os.path.realpath(into)
    missing: list[bytes] = []
    above = folder
    while not os.path.isdir(above):
        if os.path.lexists(above):
            raise BadUsage(f"{os.fsdecode(folder)} is not a folder, and cannot become one", "name another")
        missing.insert(0, above)
        above = os.path.dirname(above)
    return Way(_IntoFolder(folder, os.stat(above).st_dev), "moved", missing)


def linking(kind: Literal["hard", "clone"]) -> Way:
    """Return the way that leaves a link to what stays, where that has the same bytes."""

    def plan(files: Sequence[File], kept: Mapping[bytes, Stamp]) -> list[Plan]:
        (file,) = files
        for path, stamp in kept.items():
            if stamp.sha256 == file.stamp.sha256:
                if stamp.device != file.stamp.device:
                    raise Unfit("it is on another drive than what stays")
                return [Plan(kind, path)]
        raise Unfit("its bytes are not those of what stays")

    return Way(plan, "linked", [])


class _IntoFolder:
    """A photo and its partners keep one stem: when a name is in use, all get the number."""

    def __init__(self, folder: bytes, device: int) -> None:
        self._folder = folder
        self._device = device
        self._planned: set[bytes] = set()
        self._numbers: dict[bytes, int] = {}

    def __call__(self, files: Sequence[File], _: Mapping[bytes, Stamp]) -> list[Plan]:
        place, name = os.path.split(files[0].path)
        if place == self._folder:
            raise Unfit("it is in that folder already")
        stem = split_name(name)[0]
        number = self._numbers.get(stem, 1)
        while any(map(self._in_use, targets := self._targets(files, stem, number))):
            number += 1
        self._numbers[stem] = number
        self._planned.update(target.lower() for target in targets)
        kinds: list[Kind] = ["move" if file.stamp.device == self._device else "copy" for file in files]
        return [Plan(kind, target) for kind, target in zip(kinds, targets, strict=True)]

    def _targets(self, files: Sequence[File], stem: bytes, number: int) -> list[bytes]:
        numbered = stem + (b"-%d" % number if number > 1 else b"")
        return [os.path.join(self._folder, numbered + file.tail) for file in files]

    def _in_use(self, target: bytes) -> bool:
        return target.lower() in self._planned or os.path.lexists(target)
