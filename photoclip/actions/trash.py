"""The trash of the desktop, as freedesktop.org describes it (Trash specification 1.0), and macOS's.

A file goes into the trash of its own drive: the user's own, or the one at the top of the drive. It never goes
over to another drive, for that would be a copy.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from typing import NamedTuple
from urllib.parse import quote

from photoclip.actions.files import Unfit, new_file


class TrashPlace(NamedTuple):
    """Where a file is to go, and the note about it; empty where the trash keeps none."""

    target: bytes
    info: str


class Trash:
    """Finds places in the trash. ``home`` is the user's own."""

    def __init__(self, home: bytes) -> None:
        self._home = home
        self._device = os.stat(_existing(home)).st_dev
        self._tops: dict[int, bytes] = {}
        self._taken: set[bytes] = set()

    def place_for(self, path: bytes, device: int) -> TrashPlace:
        """Return a place for the file at ``path`` on ``device``, and give it to nobody else.

        Raises Unfit when its drive has no trash.
        """
        if sys.platform == "darwin":
            if device != self._device:
                raise Unfit("its drive has no trash that photoclip knows")
            return TrashPlace(self._free(self._home, os.path.basename(path)), "")
        folder, base = (self._home, b"/") if device == self._device else self._at_the_top(path, device)
        shown = path if folder == self._home else os.path.relpath(path, base)
        deleted = time.strftime("%Y-%m-%dT%H:%M:%S")
        info = f"[Trash Info]\nPath={quote(shown)}\nDeletionDate={deleted}\n"
        return TrashPlace(self._free(os.path.join(folder, b"files"), os.path.basename(path)), info)

    def _free(self, folder: bytes, name: bytes) -> bytes:
        stem, dot, ending = name.rpartition(b".")
        stem, ending = (stem, dot + ending) if stem else (name, b"")
        number = 1
        while True:
            mark = b"-%d" % number if number > 1 else b""
            target = os.path.join(folder, stem[: 230 - len(ending)] + mark + ending)
            info = os.path.join(os.path.dirname(folder), b"info", os.path.basename(target) + b".trashinfo")
            if target not in self._taken and not os.path.lexists(target) and not os.path.lexists(info):
                self._taken.add(target)
                return target
            number += 1

    def _at_the_top(self, path: bytes, device: int) -> tuple[bytes, bytes]:
        top = os.path.dirname(path)
        while top != b"/" and os.stat(os.path.dirname(top)).st_dev == device:
            top = os.path.dirname(top)
        user = b"%d" % os.getuid()
        shared = os.path.join(top, b".Trash")
        if device not in self._tops:
            own = os.path.join(top, b".Trash-" + user)
            self._tops[device] = os.path.join(shared, user) if _may_be_shared(shared) else own
        folder = self._tops[device]
        if os.path.islink(folder) or not os.access(_existing(folder), os.W_OK):
            raise Unfit("its drive has no trash")
        return folder, top


def announce(target: bytes, info_path: bytes, info: str) -> None:
    """Make the folders of the trash, and the note about the file that is to come. Raises OSError."""
    for folder in (os.path.dirname(target), *([os.path.dirname(info_path)] if info else [])):
        os.makedirs(folder, 0o700, exist_ok=True)
    if info:
        with new_file(info_path) as file:
            os.write(file, info.encode("ascii"))


def withdraw(info_path: bytes, info: str) -> None:
    """Remove the note about a file that is not in the trash any more, if it is ours."""
    with contextlib.suppress(OSError):  # a note without a file harms nobody
        with open(info_path, "rb") as file:
            is_ours = info.encode("ascii").startswith(file.read())  # half of it, of a run that was killed
        if is_ours:
            os.unlink(info_path)


def _existing(path: bytes) -> bytes:
    """Return the nearest folder above ``path`` that is there, or itself."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def _may_be_shared(folder: bytes) -> bool:
    """Say whether a drive's trash for everybody is as the specification asks: sticky, and no link."""
    try:
        mode = os.lstat(folder).st_mode
    except OSError:
        return False
    return stat.S_ISDIR(mode) and bool(mode & stat.S_ISVTX)
