"""F23 and F24: files that change while they are read, and files with strange times."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from photoclip import Library
from photoclip.encoders.fake import COLOURS
from photoclip.indexing import IndexOptions
from tests.conftest import command, environment, evidence
from tests.faults import measured
from tests.faults.fault import Outcome, Scale, fault
from tests.faults.killing import state_of
from tests.pictures import paint, paint_many

_WORDS = list(COLOURS)


# -- F23 --------------------------------------------------------------------------------------------

_PAUSE = 0.001  # seconds between two looks at what is being read
_IDLE = 20  # looks after which some other file is changed
_BALLAST = 2_000_000  # bytes behind each picture, so that reading it takes a while


@fault(23, "files that change while they are read")
def changing_files(place: Path, scale: Scale) -> Outcome:
    """Rewrite, grow, delete and replace photos while they are indexed; then leave them alone."""
    outcome = Outcome()
    for number in range(scale.rounds(1, 20)):
        folder = place / str(number)
        folder.mkdir()
        _change_and_index(folder, scale.chance(f"changes {number}"), outcome)
    return outcome


def _change_and_index(folder: Path, chance: random.Random, outcome: Outcome) -> None:
    photos, library = folder / "photos", folder / "library"
    restless = _Restless(folder, [os.fsencode(path) for path in paint_many(photos, 40)], chance)
    line = command(
        "--library", library, "index", photos, "--model", "fake:slow", "-j", "2", "--batch-size", "4"
    )
    with (
        subprocess.Popen(line, env=environment(), stderr=subprocess.PIPE) as process,
        restless.at_work(process),
    ):
        talk = process.communicate(timeout=60)[1].decode()
    outcome.require(
        process.returncode == 0 and "Traceback" not in talk, f"index ended with {process.returncode}: {talk}"
    )
    outcome.rounds += 1
    outcome.count("changes", restless.changes)
    outcome.count("changes of what was being read", restless.in_time)
    outcome.faults += restless.impossible_rows(library, outcome)
    before = evidence(photos)
    measured.indexed(outcome, library, photos, "--model", "fake:slow", "--prune")  # many are gone
    outcome.require(evidence(photos) == before, "a photo was changed")
    _index_quietly(folder / "undisturbed", photos)
    found, right = state_of(library), state_of(folder / "undisturbed")
    outcome.faults += [
        f"after a quiet run the {name} differ from an undisturbed library's"
        for name in ("photos", "problems", "answers")
        if found[name] != right[name]
    ]
    measured.finish(outcome, library)


def _index_quietly(library: Path, photos: Path) -> None:
    with Library.open_or_create(library) as opened:
        opened.index([photos], IndexOptions(model="fake:slow", jobs=2))


@dataclass
class _Restless:
    """Changes files, and remembers by path every content that ever was whole."""

    folder: Path
    paths: list[bytes]
    chance: random.Random
    changes: int = 0
    in_time: int = 0
    versions: dict[bytes, set[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in (
            *paint_many(self.folder / "versions", 12),
            *(Path(os.fsdecode(path)) for path in self.paths),
        ):
            with open(path, "ab") as file:
                file.write(self.chance.randbytes(_BALLAST))
        self.contents = [path.read_bytes() for path in sorted((self.folder / "versions").iterdir())]
        for name in self.paths:
            self.versions[name] = {hashlib.sha256(Path(os.fsdecode(name)).read_bytes()).digest()}

    @contextlib.contextmanager
    def at_work(self, reader: subprocess.Popen[bytes]) -> Iterator[None]:
        """Change files, those most of all that ``reader`` is reading just now, until the end of the block."""
        done = threading.Event()
        thread = threading.Thread(target=self._work, args=(done, psutil.Process(reader.pid)))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _work(self, done: threading.Event, reader: psutil.Process) -> None:
        looks, workers = 0, list[psutil.Process]()
        while not done.wait(_PAUSE):
            looks += 1
            if looks % _IDLE == 0:
                with contextlib.suppress(psutil.Error):
                    workers = reader.children()
            being_read = self._being_read(workers)
            if being_read or looks % _IDLE == 0:
                path = self.chance.choice(being_read or self.paths)
                with contextlib.suppress(OSError):
                    self.chance.choice(
                        (self._rewrite, self._rewrite, self._replace, self._grow, self._remove)
                    )(path)
                    self.changes += 1
                    self.in_time += bool(being_read)

    def _being_read(self, workers: list[psutil.Process]) -> list[bytes]:
        found = []
        for worker in workers:
            with contextlib.suppress(psutil.Error):
                found += [os.fsencode(file.path) for file in worker.open_files()]
        return [path for path in found if path in self.versions]

    def _content(self, path: bytes, tail: bytes = b"") -> bytes:
        if os.path.isdir(path):
            os.rmdir(path)
        content = self.chance.choice(self.contents) + tail
        self.versions[path].add(hashlib.sha256(content).digest())
        return content

    def _rewrite(self, path: bytes) -> None:
        content = self._content(path)
        with open(path, "wb") as file:
            file.write(content)

    def _replace(self, path: bytes) -> None:
        content = self._content(path)
        with open(path + b".new", "wb") as file:
            file.write(content)
        os.replace(path + b".new", path)

    def _grow(self, path: bytes) -> None:
        content = self._content(path, self.chance.randbytes(3000))
        with open(path, "wb") as file:
            for start in range(0, len(content), 500):
                file.write(content[start : start + 500])
                file.flush()

    def _remove(self, path: bytes) -> None:
        os.unlink(path)
        if self.chance.random() < 0.5:
            os.mkdir(path)

    def impossible_rows(self, library: Path, outcome: Outcome) -> list[str]:
        """Return what is stored of photos that never were: half of one version, or two in one."""
        with sqlite3.connect(library / "catalogue.sqlite") as db:
            rows = db.execute(
                "SELECT p.path, c.hash, p.size, e.vector FROM photos p JOIN contents c ON c.id = p.content_id"
                " JOIN embeddings e ON e.content_id = c.id WHERE p.missing_since IS NULL"
            ).fetchall()
        db.close()
        outcome.count("rows stored meanwhile", len(rows))
        wrong = [
            f"{path!r} has a content that never was whole"
            for path, digest, _, _ in rows
            if digest not in self.versions[path]
        ]
        right = self._vectors()
        return wrong + [
            f"{path!r} has the embedding of another"
            for path, digest, _, vector in rows
            if right.get(digest, vector) != vector
        ]

    def _vectors(self) -> dict[bytes, bytes]:
        """Return the embeddings of all versions, from files that nobody changed."""
        _index_quietly(self.folder / "quiet", self.folder / "versions")
        with sqlite3.connect(self.folder / "quiet" / "catalogue.sqlite") as db:
            rows = db.execute(
                "SELECT c.hash, e.vector FROM contents c JOIN embeddings e ON e.content_id = c.id"
            ).fetchall()
        db.close()
        return dict(rows)


# -- F24 --------------------------------------------------------------------------------------------

_SECOND = 10**9
_YEAR = 365 * 24 * 3600 * _SECOND
_NOW = 1_760_000_000 * _SECOND
_TIMES = {
    "now": _NOW + 123_456_789,
    "the future": 130 * _YEAR,
    "1970": 0,
    "before 1970": -10 * _YEAR - 1,
    "1901": -(2**31) * _SECOND,
    "2038": 2**31 * _SECOND,
    "2400": 430 * _YEAR,  # more nanoseconds than 64 bits hold
    "even seconds": _NOW // (2 * _SECOND) * 2 * _SECOND,
}


@fault(24, "times that lie")
def lying_times(place: Path, scale: Scale) -> Outcome:
    """Photos of all times; edits that hide behind size and time; and nothing read without need."""
    outcome = Outcome()
    for number in range(scale.rounds(1, 5)):
        _times_and_edits(place / str(number), scale.seed + number, outcome)
    return outcome


def _times_and_edits(folder: Path, seed: int, outcome: Outcome) -> None:
    photos, library = folder / "photos", folder / "library"
    edits = (_edit_in_place, _edit_by_renaming, _edit_and_set_back_an_hour)
    files: list[tuple[Path, Callable[[Path], None]]] = []
    for name, moment in _TIMES.items():
        for edit in edits:
            colour = _WORDS[len(files) % len(_WORDS)]
            path = paint(photos / f"{name} {edit.__name__}.png", colour, seed + len(files))
            with open(path, "ab") as file:
                file.write(b"0")
            os.utime(path, ns=(moment, moment))
            files.append((path, edit))
            if os.stat(path).st_mtime_ns != moment:
                outcome.count(f"no year {name} on this drive")
    touched = paint(photos / "touched.png", "red", seed + 200)
    _expect(outcome, library, photos, added=len(files) + 1)
    _expect(outcome, library, photos, unchanged=len(files) + 1)
    for path, change in files:
        change(path)
    os.utime(touched, ns=(5, 5))
    _expect(outcome, library, photos, updated=len(files), unchanged=1)
    _expect(outcome, library, photos, unchanged=len(files) + 1)
    with Library.open(library) as opened:
        for photo in opened.photos():
            now = hashlib.sha256(Path(os.fsdecode(photo.path)).read_bytes()).digest()
            outcome.require(photo.content_hash == now, f"the edit of {photo.path!r} was not noticed")
            outcome.rounds += 1
    measured.finish(outcome, library)


def _expect(outcome: Outcome, library: Path, photos: Path, **counts: int) -> None:
    """Index, and require these counts and no other."""
    before = evidence(photos)
    run = measured.indexed(outcome, library, photos)
    wanted = {
        **dict.fromkeys(("added", "updated", "moved", "unchanged", "unreadable", "missing"), 0),
        **counts,
    }
    found = {name: run.counts.get(name) for name in wanted}
    outcome.require(found == wanted, f"counted {found}, not {wanted}")
    if set(counts) == {"unchanged"}:
        outcome.require("reading" not in run.talk, f"read without need: {run.talk}")
    outcome.require(evidence(photos) == before, "a photo was changed")


def _edited(path: Path) -> bytes:
    """Return other bytes of the same length: what lies behind the picture counts as well."""
    content = path.read_bytes()
    return content[:-1] + bytes([content[-1] ^ 1])


def _edit_in_place(path: Path) -> None:
    status, content = os.stat(path), _edited(path)
    with open(path, "r+b") as file:
        file.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _edit_by_renaming(path: Path) -> None:
    status = os.stat(path)
    other = path.with_suffix(".new")
    other.write_bytes(_edited(path))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(other, path)


def _edit_and_set_back_an_hour(path: Path) -> None:
    status = os.stat(path)
    path.write_bytes(_edited(path))
    earlier = status.st_mtime_ns - 3600 * _SECOND
    os.utime(path, ns=(earlier, earlier))
