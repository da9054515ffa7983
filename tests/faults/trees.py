"""F26 and F27: trees without end, and what lies among photos and is no file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from photoclip import Library
from photoclip.encoders.fake import FakeEncoder
from photoclip.images import DecodePool
from photoclip.records import DecodedPhoto, ScannedFile
from photoclip.scan import scan_file
from tests.conftest import evidence, without_privileges
from tests.faults import measured
from tests.faults.fault import Outcome, Scale, fault
from tests.pictures import paint_many

_BYTES = 600e6

# -- F26 --------------------------------------------------------------------------------------------


@fault(26, "trees without end")
def endless_trees(place: Path, scale: Scale) -> Outcome:
    """Loops of links, folders deeper than paths reach, and more files than one folder should hold."""
    outcome = Outcome()
    _loops(place / "loops", outcome)
    _depth(place / "depth", scale.rounds(3_000, 10_000), outcome)
    if scale.long:
        _crowd(place / "crowd", 200_000, 100, 1000, outcome)
    else:
        _crowd(place / "crowd", 1_000, 20, 50, outcome)
    return outcome


def _loops(folder: Path, outcome: Outcome) -> None:
    photos, library = folder / "photos", folder / "library"
    paint_many(photos / "a" / "b", 5)
    for link, target in (
        ("a/self", "self"), ("a/here", "."), ("a/b/up", ".."), ("a/b/top", "../.."), ("a/nowhere",
        "no such place"),
        ("left", "right"), ("right", "left"), ("again", "a/b"), ("photo.png", "a/b/000.png"), ("gone.png",
        "gone"),
        ("root", str(photos)), ("outside", "/proc/self/root"),
    ):  # fmt: skip
        (photos / link).symlink_to(target)
    before = evidence(photos)
    run = measured.indexed(outcome, library, photos)
    outcome.require(run.counts.get("added") == 5, f"5 photos among loops, {run.counts} counted")
    (photos / "outside").unlink()  # it leads to everything there is
    followed = measured.indexed(outcome, folder / "followed", photos, "--follow-links")
    outcome.require(
        followed.counts.get("added") == 6, f"5 photos and a link, {followed.counts} counted with links"
    )
    again = measured.indexed(outcome, folder / "followed", photos, "--follow-links")
    outcome.require("reading" not in again.talk, "the second run through links reads again")
    changed = [
        path for path, was in evidence(photos).items() if not os.path.isdir(path) and was != before[path]
    ]
    outcome.require(not changed, f"changed: {changed}")
    outcome.rounds += 2
    measured.finish(outcome, library)
    measured.finish(outcome, folder / "followed")


def _depth(folder: Path, depth: int, outcome: Outcome) -> None:
    photos, library = folder / "photos", folder / "library"
    paint_many(photos, 3)
    content = (photos / "000.png").read_bytes()
    try:
        _dig(photos, depth, content)
        run = measured.indexed(outcome, library, photos)
        known = run.counts.get("added", 0)
        outcome.require(known >= 3 + 3, f"{known} photos in a deep tree")
        outcome.require(
            "longer than the system allows" in run.talk, f"no word of folders too deep: {run.talk}"
        )
        again = measured.indexed(outcome, library, photos)
        outcome.require(again.counts.get("unchanged") == known, f"the second run counts {again.counts}")
        outcome.require("reading" not in again.talk, "the second run in a deep tree reads again")
        measured.finish(outcome, library)
        outcome.rounds += 1
    finally:
        _fill_in(photos)


_EVERY = 500
"""In so many folders there is one photo."""


def _dig(top: Path, depth: int, content: bytes) -> None:
    """Make a folder in a folder in a folder; no path reaches the last."""
    here = os.open(top, os.O_RDONLY)
    for level in range(depth):
        os.mkdir("d", dir_fd=here)
        here, above = os.open("d", os.O_RDONLY, dir_fd=here), here
        os.close(above)
        if level % _EVERY == 0:
            with os.fdopen(os.open("photo.png", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=here), "wb") as file:
                file.write(content + b"%d" % level)
    os.close(here)


def _fill_in(top: Path) -> None:
    """Remove these folders from the bottom up."""
    here, depth = os.open(top, os.O_RDONLY), 0
    with contextlib.suppress(FileNotFoundError):
        while True:
            here, above = os.open("d", os.O_RDONLY, dir_fd=here), here
            os.close(above)
            depth += 1
    for _ in range(depth):
        with contextlib.suppress(FileNotFoundError):
            os.unlink("photo.png", dir_fd=here)
        here, below = os.open("..", os.O_RDONLY, dir_fd=here), here
        os.close(below)
        os.rmdir("d", dir_fd=here)
    os.close(here)


def _crowd(folder: Path, together: int, folders: int, each: int, outcome: Outcome) -> None:
    """Index many tiny files in one folder, and in many; twice, with an eye on the memory."""
    photos, library = folder / "photos", folder / "library"
    for number in range(folders + 1):
        part = photos / f"{number:03}"
        part.mkdir(parents=True)
        for name in range(each if number else together):
            (part / f"{name:06}.jpg").write_bytes(b"x")
        for name in range(0 if number else 10 * each):
            (part / f"{name:06}.txt").touch()
    count = together + folders * each
    paint_many(photos / "good", 20)
    for what, wanted in (("first", {"added": 20}), ("second", {"unchanged": 20})):
        run = measured.indexed(outcome, library, photos)
        found = {name: run.counts.get(name) for name in (*wanted, "unreadable", "skipped")}
        right = {**wanted, "unreadable": count, "skipped": 10 * each}
        outcome.require(found == right, f"the {what} run over {count} files counts {found}, not {right}")
        outcome.require(run.peak <= _BYTES, f"the {what} run over {count} files took {run.peak / 1e6:.0f} MB")
        outcome.count(f"MB in the {what} run over {count} files", round(run.peak / 1e6))
        outcome.count(f"s for the {what} run", round(run.seconds))
    outcome.require("reading" not in run.talk, "the second run reads again")
    outcome.rounds += 1
    measured.finish(outcome, library)
    shutil.rmtree(folder)


# -- F27 --------------------------------------------------------------------------------------------

_A_TERABYTE = 10**12
_AT_MOST = 1.0  # seconds for each


@fault(27, "what is no regular file, or cannot be read")
def no_files(place: Path, scale: Scale) -> Outcome:
    """Pipes, sockets, devices, a terabyte of nothing, a forbidden and a locked file among photos."""
    outcome = Outcome()
    for number in range(scale.rounds(1, 5)):
        folder = place / str(number)
        photos, library = folder / "photos", folder / "library"
        good = paint_many(photos, 5)
        with _odd_things(photos, outcome) as (odd, unreadable):
            _time_each(odd, good[0], outcome)
            run = measured.indexed(outcome, library, photos)
            counts = {"added": len(good), "unreadable": len(unreadable), "skipped": 0}
            found = {name: run.counts.get(name) for name in counts}
            outcome.require(found == counts, f"counted {found}, not {counts}")
            listed = folder / "list"
            listed.write_bytes(b"\0".join(odd) + b"\0")
            named = measured.indexed(outcome, folder / "named", "--from", listed)
            outcome.require(named.counts.get("added") == 0, f"named one by one: {named.counts}")
            again = measured.indexed(outcome, library, photos)
            outcome.require("reading" not in again.talk, "the second run reads again")
            with Library.open(library) as opened:
                known = {problem.path for problem in opened.problems()}
            outcome.require(known == unreadable, f"problems are {known}, not {unreadable}")
            outcome.rounds += len(odd)
        measured.finish(outcome, library)
        _forbid(folder, outcome)
    return outcome


@contextlib.contextmanager
def _odd_things(photos: Path, outcome: Outcome) -> Iterator[tuple[list[bytes], set[bytes]]]:
    """Put them among the photos; yield all their paths, and those that are files and unreadable."""
    folder = os.fsencode(photos)
    odd = [os.path.join(folder, name) for name in (b"pipe.jpg", b"link.jpg", b"null.jpg", b"folder.jpg")]
    os.mkfifo(odd[0])
    os.symlink("/dev/zero", odd[1])
    os.symlink("/dev/null", odd[2])
    os.mkdir(odd[3])
    unreadable = set()
    for name, size in ((b"terabyte.jpg", _A_TERABYTE), (b"megabyte.jpg", 10**6)):
        path = os.path.join(folder, name)
        try:
            with open(path, "wb") as file:
                file.truncate(size)
        except OSError:
            os.unlink(path)
            outcome.count("no terabyte on this drive")
        else:
            unreadable.add(path)
    if hasattr(os, "mknod") and os.geteuid() == 0:
        with contextlib.suppress(PermissionError):
            device = os.path.join(folder, b"device.jpg")
            os.mknod(device, 0o020666, os.makedev(1, 5))
            odd.append(device)
    with socket.socket(socket.AF_UNIX) as listener, open(photos / "000.png", "rb") as locked:
        with contextlib.suppress(OSError):  # a path too long for a socket
            listener.bind(os.path.join(folder, b"s.jpg"))
            odd.append(os.path.join(folder, b"s.jpg"))
        fcntl.flock(locked, fcntl.LOCK_EX)
        yield odd + sorted(unreadable), unreadable


def _time_each(odd: list[bytes], good: Path, outcome: Outcome) -> None:
    """Hand each to a decode worker: none may be taken for a photo, and none may take its time."""
    stamp = scan_file(os.fsencode(good))
    assert stamp is not None
    with DecodePool(1, FakeEncoder().card.preprocessing) as pool:
        for path in (stamp.path, *odd):  # the first starts the worker
            began = time.monotonic()
            _, came = next(pool.run([ScannedFile(path, stamp.stamp)]))
            seconds = time.monotonic() - began
            if path != stamp.path:
                outcome.require(seconds < _AT_MOST, f"{path!r} took {seconds:.1f} s")
                outcome.require(not isinstance(came, DecodedPhoto), f"{path!r} was taken for a photo")


def _forbid(folder: Path, outcome: Outcome) -> None:
    """A photo that may not be read is a problem, and a photo again when it may be."""
    if os.geteuid() == 0 and sys.platform != "linux":
        return
    photos, library = folder / "forbidden", folder / "library of the forbidden"
    paths = paint_many(photos, 3)
    paths[0].chmod(0)
    arguments = ("--library", library, "index", photos, "--model", "fake", "--json", "-j", "1")
    for allowed, (added, unreadable) in ((False, (2, 1)), (True, (1, 0))):
        if allowed:
            paths[0].chmod(0o644)
        done = without_privileges(*arguments)
        outcome.require(
            done.returncode == 0 and b"Traceback" not in done.stderr, f"{done.returncode}: {done.stderr!r}"
        )
        right = b'"added": %d' % added in done.stdout and b'"unreadable": %d' % unreadable in done.stdout
        outcome.require(right, f"a forbidden file: {done.stdout!r}")
    outcome.rounds += 1
    measured.finish(outcome, library)
