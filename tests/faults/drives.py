"""Drives that are away, go away in the middle, and photos that move: F20, F21, F22."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from photoclip import Library
from photoclip.indexing import IndexOptions, Silence
from tests.conftest import Evidence, evidence, without_privileges
from tests.faults.fault import Outcome, Scale, fault
from tests.pictures import paint_many

FAKE = IndexOptions(model="fake")
_SECONDS_BACK = 5.0
_FOLDER = 100  # photos


def rows_of(library: Path) -> list[tuple[Any, ...]]:
    """Return every photo row (hidden ones are told apart), embedding and tag of a library."""
    with contextlib.closing(sqlite3.connect(library / "catalogue.sqlite")) as db:
        return [
            *db.execute("SELECT id, path, content_id, missing_since FROM photos ORDER BY id"),
            *db.execute("SELECT content_id, model_id, checksum FROM embeddings ORDER BY content_id"),
            *db.execute("SELECT content_id, label, tagged_at FROM tags ORDER BY content_id, label"),
        ]


def files_of(folder: Path) -> Evidence:
    """Return the evidence of files alone: a folder that is renamed has changed."""
    return {path: facts for path, facts in evidence(folder).items() if os.path.isfile(path)}


class Drive:
    """A root full of photos, a library that knows them, and what the library held then."""

    def __init__(self, place: Path, photos: int) -> None:
        self.root, self.away = place / "drive", place / "away"
        self.library = place / "library"
        for first in range(0, photos, _FOLDER):
            folder = self.root / f"{first // _FOLDER:03}" / "deep"
            paint_many(folder, min(_FOLDER, photos - first), first)
        self.photos = photos
        with Library.open_or_create(self.library) as library:
            library.index([self.root], FAKE)
            for _ in library.tag(["red", "green"]).photos:
                pass
        self.rows = rows_of(self.library)
        self.evidence: Evidence = files_of(self.root)

    def judge_back(self, outcome: Outcome, how: str) -> None:
        """Index once more with the drive where it was, and judge what that cost."""
        began = time.monotonic()
        with Library.open(self.library) as library:
            report = library.index([self.root], FAKE)
            outcome.faults += [f"{how}: {finding.text}" for finding in library.check()]
        took = time.monotonic() - began
        outcome.require(took < _SECONDS_BACK, f"{how}: it took {took:.1f} s to be back")
        outcome.require(report.embedded == 0, f"{how}: {report.embedded} photos were embedded again")
        outcome.require(rows_of(self.library) == self.rows, f"{how}: the library is not as it was")
        outcome.require(files_of(self.root) == self.evidence, f"{how}: photos were changed")


@fault(20, "a drive is away before the run")
def drive_away(place: Path, scale: Scale) -> Outcome:
    """Take the drive away in each way there is, index, look for lost rows, and bring it back."""
    drive, outcome = Drive(place, scale.rounds(300, 10_000)), Outcome()
    for how, away in _AWAY.items():
        with away(drive) as index:
            said = index()
        outcome.rounds += 1
        outcome.require(rows_of(drive.library) == drive.rows, f"{how}: rows were lost or hidden")
        outcome.require("Traceback" not in said and str(drive.root) in said, f"{how}: it says {said!r}")
        drive.judge_back(outcome, how)
    outcome.count("photos each", drive.photos)
    return outcome


Index = Callable[[], str]
"""Indexes the root of a drive and returns what was said."""


def _talk_of(drive: Drive) -> str:
    with Library.open(drive.library) as library:
        return "\n".join(library.index([drive.root], FAKE).warnings)


@contextlib.contextmanager
def _missing(drive: Drive) -> Iterator[Index]:
    drive.root.rename(drive.away)
    yield lambda: _talk_of(drive)
    drive.away.rename(drive.root)


@contextlib.contextmanager
def _empty(drive: Drive) -> Iterator[Index]:
    drive.root.rename(drive.away)
    drive.root.mkdir()
    yield lambda: _talk_of(drive)
    drive.root.rmdir()
    drive.away.rename(drive.root)


@contextlib.contextmanager
def _empty_and_pruned(drive: Drive) -> Iterator[Index]:
    with _empty(drive), Library.open(drive.library) as library:
        options = IndexOptions(model="fake", prune=True)
        yield lambda: "\n".join(library.index([drive.root], options).warnings)


@contextlib.contextmanager
def _dangling(drive: Drive) -> Iterator[Index]:
    drive.root.rename(drive.away)
    drive.root.symlink_to(drive.away.with_name("nowhere"))
    yield lambda: _talk_of(drive)
    drive.root.unlink()
    drive.away.rename(drive.root)


@contextlib.contextmanager
def _forbidden(drive: Drive) -> Iterator[Index]:
    mode = drive.root.stat().st_mode
    os.chmod(drive.root, 0)
    line = ("--library", drive.library, "index", drive.root)
    yield lambda: without_privileges(*line).stderr.decode()
    os.chmod(drive.root, mode)


def _listing_fails(number: int, entries: int) -> Callable[[Drive], contextlib.AbstractContextManager[Index]]:
    """Let the listing of every folder end with error ``number`` after some entries."""

    @contextlib.contextmanager
    def failing(drive: Drive) -> Iterator[Index]:
        scandir = os.scandir

        class Half:
            def __init__(self, path: bytes) -> None:
                self.found = scandir(path)

            def __enter__(self) -> Half:
                return self

            def __exit__(self, *_: object) -> None:
                self.found.close()

            def __iter__(self) -> Iterator[os.DirEntry[bytes]]:
                for _, entry in zip(range(entries), self.found, strict=False):
                    yield entry
                raise OSError(number, os.strerror(number))

        with mock.patch("photoclip.scan.os.scandir", Half):
            yield lambda: _talk_of(drive)

    return failing


_AWAY: dict[str, Callable[[Drive], contextlib.AbstractContextManager[Index]]] = {
    "missing": _missing,
    "an empty mount point": _empty,
    "an empty mount point, with --prune": _empty_and_pruned,
    "a link to nowhere": _dangling,
    "permission denied": _forbidden,
    "not connected": _listing_fails(errno.ENOTCONN, 0),
    "half listed": _listing_fails(errno.EIO, 50),
}


@fault(21, "a drive goes away in mid-walk and in mid-reading")
def drive_goes(place: Path, scale: Scale) -> Outcome:
    """Pull the drive at some moment of the walk or of the reading, and bring it back."""
    outcome = Outcome()
    for number in range(scale.rounds(3, 30)):
        here = place / str(number)
        drive = Drive(here, 300)
        paint_many(drive.root / "new", 60, 5_000)
        drive.evidence = files_of(drive.root)
        chance = scale.chance(f"drive {number}")
        watcher = _Puller(drive, chance.randrange(1, 7), "surveyed" if number % 2 else "stored")
        with Library.open(drive.library) as library:
            library.index([drive.root], IndexOptions(model="fake", batch_size=4, prune=True), watcher)
        outcome.rounds += 1
        lost = set(drive.rows) - set(rows_of(drive.library))
        outcome.require(not lost, f"pulled while {watcher.moment}: {len(lost)} rows were lost or hidden")
        outcome.require(watcher.pulled, "the drive was never pulled")
        drive.away.rename(drive.root)
        with Library.open(drive.library) as library:
            library.index([drive.root], FAKE)
            outcome.require(
                len(list(library.photos())) == 360,
                f"pulled while {watcher.moment}: the next run was not whole",
            )
            outcome.faults += [finding.text for finding in library.check()]
        outcome.require(files_of(drive.root) == drive.evidence, "photos were changed")
        shutil.rmtree(here)
    return outcome


class _Puller(Silence):
    """Takes the drive away when it hears for the ``count``-th time that something was ``moment``."""

    def __init__(self, drive: Drive, count: int, moment: str) -> None:
        self.drive, self.count, self.moment, self.pulled = drive, count, moment, False

    def _hear(self, moment: str) -> None:
        self.count -= moment == self.moment
        if not self.count and not self.pulled:
            self.pulled = True
            self.drive.root.rename(self.drive.away)

    def surveyed(self, files: int) -> None:
        self._hear("surveyed")

    def stored(self, done: int) -> None:
        self._hear("stored")


@fault(22, "folders are renamed, photos moved")
def photos_move(place: Path, scale: Scale) -> Outcome:
    """Move everything in several ways; nothing is embedded again, and tags stay."""
    drive, outcome = Drive(place, scale.rounds(300, 10_000)), Outcome()
    moved = place / "moved"
    told_by = {row[1] for row in drive.rows if isinstance(row[1], bytes)}
    for how, move in (
        ("the root renamed", lambda: drive.root.rename(moved)),
        ("every folder renamed", lambda: [folder.rename(f"{folder} new") for folder in moved.iterdir()]),
        ("all copied into another folder, and deleted", lambda: _copied_and_deleted(moved)),
    ):
        move()
        with Library.open(drive.library) as library:
            report = library.index([moved], FAKE)
            outcome.faults += [f"{how}: {finding.text}" for finding in library.check()]
            paths = {photo.path for photo in library.photos()}
        outcome.rounds += 1
        outcome.require(report.embedded == 0, f"{how}: {report.embedded} embedded again")
        outcome.require(report.moved == drive.photos, f"{how}: only {report.moved} recognised as moved")
        outcome.require(len(paths) == drive.photos and not paths & told_by, f"{how}: {len(paths)} photos")
        outcome.require(
            [row[1:] for row in rows_of(drive.library) if len(row) == 3]
            == [row[1:] for row in drive.rows if len(row) == 3],
            f"{how}: tags or embeddings differ",
        )
        told_by = paths
    outcome.count("photos each", drive.photos)
    return outcome


def _copied_and_deleted(root: Path) -> None:
    """Move as between file systems: every file has a new inode afterwards."""
    for folder in list(root.iterdir()):
        shutil.copytree(folder, root / "all" / folder.name)
        shutil.rmtree(folder)
