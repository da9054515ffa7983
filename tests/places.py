"""Folders of photos to act upon, with a library, a trash and a destination beside them."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from photoclip import xmp
from photoclip.actions import (
    Acted,
    How,
    Report,
    ReportGroup,
    Undone,
    apply,
    journals,
    read_report,
    undo,
    write_report,
)
from photoclip.records import DuplicateGroup, Level, Photo, PhotoFacts

Group = Sequence[str]
"""Names of photos; the first stays."""

OLD = 1_234_567_890_123_456_789


class Place:
    """A folder of photos, with a library, a trash and a destination beside it.

    Where it ``carries``, keywords are carried; ``inside`` are those in the photos, by their bytes, and
    ``unknown`` the bytes of photos that nobody has read. ``rewritten`` are the files that may change while
    others go: what they hold before and after, by name.
    """

    level: Level = "identical"
    carries = False

    def __init__(self, root: Path, elsewhere: Path | None = None) -> None:
        self.inside: dict[bytes, list[str]] = {}
        self.unknown: set[bytes] = set()
        self.rewritten: dict[str, tuple[bytes, bytes]] = {}
        self.photos = root / "photos"
        self.library = root / "library"
        self.trash = root / "Trash"
        self.out = (elsewhere or root) / "out"
        self.photos.mkdir(parents=True)

    def write(self, files: Mapping[str, bytes]) -> Place:
        for number, (name, content) in enumerate(files.items()):
            path = self.photos / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod((0o644, 0o600, 0o444)[number % 3])
            os.utime(path, ns=(1, OLD + number))
        return self

    def photo(self, name: str) -> Photo:
        path = self.photos / name
        status = path.stat()
        digest = _hash(path.read_bytes())
        facts = PhotoFacts(1, 1, "JPEG")
        return Photo(os.fsencode(path), digest, status.st_size, status.st_mtime_ns, facts)

    def report(self, *groups: Group, level: Level | None = None) -> Report:
        """Return a report in which the first of each group stays, and no other."""
        report = read_report(io.BytesIO(self.report_bytes(*groups, level=level)))
        return Report(tuple(_of_which_one_stays(group) for group in report.groups))

    def report_bytes(self, *groups: Group, level: Level | None = None) -> bytes:
        level = level or self.level
        file = io.BytesIO()
        write_report([DuplicateGroup(level, 1.0, tuple(map(self.photo, names))) for names in groups], file)
        return file.getvalue()

    def act(self, report: Report, how: How = "trash", *, dry_run: bool = False) -> list[Acted]:
        carry = self.carry if self.carries else None
        return list(apply(report, str(self.library), how, self.into(how), carry=carry, dry_run=dry_run))

    def carry(self, hashes: Sequence[bytes]) -> dict[bytes, list[str]]:
        known = {_hash(content): words for content, words in self.inside.items()}
        nobodys = set(map(_hash, self.unknown))
        return {one: known.get(one, []) for one in hashes if one not in nobodys}

    def into(self, how: How) -> bytes | None:
        return {"trash": os.fsencode(self.trash), "move": os.fsencode(self.out)}.get(how)

    def undo(self) -> list[Undone]:
        return list(undo(journals(str(self.library))[-1].path))

    def name(self, path: bytes) -> str:
        return os.path.relpath(os.fsdecode(path), self.photos)

    def told(self, results: Sequence[Acted]) -> dict[str, str]:
        """Return what became of each file: its outcome, and the reason."""
        return {self.name(one.path): " ".join(filter(None, (one.outcome, one.reason))) for one in results}

    def moved(self, results: Sequence[Acted]) -> set[str]:
        return {self.name(one.path) for one in results if one.outcome == "moved"}


def _of_which_one_stays(group: ReportGroup) -> ReportGroup:
    first, *others = group.photos
    return group._replace(photos=(first, *(photo._replace(stays=False) for photo in others)))


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


Snapshot = dict[str, tuple[int, int, bytes]]
"""Modes, times and bytes (of a link: where it leads) of all below a folder, folders too."""


def snapshot(folder: Path) -> Snapshot:
    found = {}
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        content = (
            os.readlink(path).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        )
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_mtime_ns, content)
    return found


def contents(*folders: Path) -> Counter[bytes]:
    """Return how many files there are of each content below some folders."""
    paths = [path for folder in folders for path in folder.rglob("*")]
    return Counter(path.read_bytes() for path in paths if path.is_file() and not path.is_symlink())


def see_that_nothing_is_lost(place: Place, way: How, before: Counter[bytes]) -> None:
    now = contents(place.photos, place.trash / "files", place.out)
    for name, states in place.rewritten.items():
        assert (place.photos / name).read_bytes() in states
    lost = before - now if way in ("trash", "move") else Counter(before.keys()) - now
    lost -= Counter(old for old, _ in place.rewritten.values())
    assert not lost, lost


def packet(*keywords: str) -> bytes:
    """Return a sidecar with the user's own keywords, their levels joined by "/"."""
    return xmp.with_keywords(None, map(xmp.levels_of_keyword, keywords))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def two(place: Place) -> Place:
    """Two copies and a half: one group with sidecars, one of a photo alone."""
    return place.write(
        {"a/1.jpg": b"one", "b/1.jpg": b"one", "b/1.xmp": b"tags", "a/2.jpg": b"two", "b/2.jpg": b"two"}
    )


GROUPS: tuple[Group, ...] = (("a/1.jpg", "b/1.jpg"), ("a/2.jpg", "b/2.jpg"))
WAYS: tuple[How, ...] = ("trash", "move", "hard")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """An empty folder on another file system."""
    shm = Path("/dev/shm")
    if not os.access(shm, os.W_OK) or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system only")
    with tempfile.TemporaryDirectory(dir=shm) as folder:
        yield Path(folder)


@pytest.fixture
def swift(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in memory where that can be: to force something to disk costs nothing there."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else tmp_path) as folder:
        yield Path(folder)
