"""Processes that act upon a report and are killed, and calls of theirs that fail."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from photoclip import xmp
from photoclip.actions import How, journals, undo
from tests.conftest import _WITHOUT_PRIVILEGES, environment
from tests.places import (
    GROUPS,
    WAYS,
    Group,
    Place,
    Snapshot,
    contents,
    packet,
    see_that_nothing_is_lost,
    snapshot,
)
from tests.sidecar_shapes import DARKTABLE

CHANGING = ["link", "unlink", "rename", "mkdir", "rmdir", "open", "write"]
CHANGING += ["fsync", "utime", "fchmod", "fchown", "ftruncate", "setxattr"]
"""The calls that change what is on disk; ``open`` where it makes a file."""

ACTOR = '''
import contextlib, fcntl, json, os, signal, sys, time
from photoclip import xmp
from photoclip.actions import apply, journals, read_report, undo
from photoclip.errors import PhotoclipError

def clone(to, _, source):
    """Stand in for a file system that shares blocks."""
    os.write(to, os.pread(source, 1 << 20, 0))

fcntl.ioctl = clone
count = 0

def arm(order):
    """Let the chosen calls count, and the Nth end this process, or fail."""
    def stand_in(name, real):
        def called(*arguments, **named):
            global count
            if name == "open" and not arguments[1] & os.O_CREAT:
                return real(*arguments, **named)
            count += 1
            if order.get("at") and (count == order["at"] or order.get("onwards") and count > order["at"]):
                if order["how"] == "kill":
                    if name == "write":
                        real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                elif name in order["names"]:
                    raise OSError(order["errno"], os.strerror(order["errno"]))
            return real(*arguments, **named)
        return called
    for name in sys.argv[1:]:
        setattr(os, name, stand_in(name, getattr(os, name)))

def work(order):
    if order["do"] == "undo":
        for journal in journals(order["library"]):
            list(undo(journal.path))
        return "done"
    with open(order["report"], "rb") as file:
        report = read_report(file)
    into = order["into"] and os.fsencode(order["into"])
    inside = order["inside"]
    carry = inside and (lambda hashes: {one: inside.get(one.hex(), []) for one in hashes})
    said = []
    try:
        for one in apply(report, order["library"], order["way"], into, carry=carry):
            said.append([os.fsdecode(one.path), one.outcome, one.reason])
    except PhotoclipError as error:
        said.append(["", "error", str(error)])
    return said

for line in sys.stdin:
    order = json.loads(line)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        say = os.write
        arm(order)
        said = json.dumps(["failed", 0])
        try:
            said = json.dumps([work(order), count])
        finally:
            say(writing, said.encode())
            os._exit(0)
    os.close(writing)
    if "after" in order:
        time.sleep(order["after"])
        os.kill(child, signal.SIGKILL)
    with open(reading, "rb") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    print(said.decode() or "null", flush=True)
'''
"""Starts a process for each order. It acts upon a report, or takes that back, and may be killed at a call
that changes what is on disk (after one such call and before the next, the disk is the same)."""


class Actor:
    def __init__(self, place: Place, *groups: Group, launcher: Sequence[str] = ()) -> None:
        self.place = place
        self.report = place.photos.parent / "dupes.jsonl"
        self.report.write_bytes(place.report_bytes(*groups))
        line = [sys.executable, *launcher, *([sys.executable] if launcher else []), "-c", ACTOR, *CHANGING]
        self._process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True
        )

    def __enter__(self) -> Actor:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def __call__(self, do: str, way: How = "trash", **order: Any) -> Any:
        """Return what the process said, and how many calls it made; None when it was killed."""
        assert self._process.stdin and self._process.stdout
        into = self.place.into(way)
        order |= {"report": str(self.report), "library": str(self.place.library), "do": do, "way": way}
        order["into"] = into and os.fsdecode(into)
        inside = {hashlib.sha256(content).hexdigest(): words for content, words in self.place.inside.items()}
        order["inside"] = inside if self.place.carries else None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def forget(self) -> None:
        shutil.rmtree(self.place.library, ignore_errors=True)


def lively(way: str, request: pytest.FixtureRequest) -> tuple[Place, How]:
    """Return a place, and the way to go; the way "drive" is a move to another file system, and "carry" one
    into the trash for which keywords are written into a sidecar that is there, and into a new one."""
    files = {"a/1.jpg": b"one", "b/1.jpg": b"one", "b/1.xmp": b"tags", "a/2.jpg": b"two", "c/2.jpg": b"two"}
    request.getfixturevalue("elsewhere" if way == "drive" else "swift")  # may skip
    place = Place(
        request.getfixturevalue("swift"), request.getfixturevalue("tmp_path") if way == "drive" else None
    )
    ways: dict[str, How] = {"trash": "trash", "carry": "trash", "hard": "hard", "reflink": "reflink"}
    if way == "carry":
        files |= {"b/1.xmp": packet("Pets/Dog"), "c/2.jpg": b"two, resized"}
        files = {"a/1.xmp": DARKTABLE, **files}
        carrying(place, {"a/1.xmp": (DARKTABLE, ["Pets/Dog"])})
        place.inside = {b"two, resized": ["garden"]}
    return place.write(files), ways.get(way, "move")


def carrying(place: Place, sidecars: Mapping[str, tuple[bytes, Sequence[str]]]) -> None:
    """Let keywords be carried into these sidecars, which are there."""
    place.carries, place.level = True, "same picture"
    for name, (before, keywords) in sidecars.items():
        after = xmp.with_keywords(before, map(xmp.levels_of_keyword, keywords))
        place.rewritten[name] = (before, after)


LIVELY: tuple[Group, ...] = (("a/1.jpg", "b/1.jpg"), ("a/2.jpg", "c/2.jpg"))


@pytest.mark.parametrize("way", ["trash", "move", "hard", "drive", "reflink", "carry"])
def test_a_kill_at_any_call_loses_nothing_and_undo_restores_all(
    way: str, request: pytest.FixtureRequest
) -> None:
    place, way = lively(way, request)
    before, files = snapshot(place.photos), contents(place.photos)
    with Actor(place, *LIVELY) as actor:
        for number in itertools.count(1):
            ended = actor("apply", way, at=number, how="kill")
            assert ended is None or snapshot(place.photos) != before or way == "reflink"
            see_that_nothing_is_lost(place, way, files)
            for journal, *_ in journals(str(place.library)):
                assert {one.outcome for one in undo(journal)} <= {"restored", "there"}, number
            assert snapshot(place.photos) == before, number
            assert contents(place.out, place.trash) == Counter(), number
            actor.forget()
            if ended:
                break
    assert number > 15


@pytest.mark.parametrize("way", ["trash", "drive", "reflink", "carry"])
def test_undo_can_be_killed_at_any_call_and_run_again(way: str, request: pytest.FixtureRequest) -> None:
    place, way = lively(way, request)
    before, files = snapshot(place.photos), contents(place.photos)
    with Actor(place, *LIVELY) as actor:
        for number in itertools.count(1):
            actor.forget()
            actor("apply", way)
            ended = actor("undo", at=number, how="kill")
            see_that_nothing_is_lost(place, way, files)
            again = actor("undo", at=number + 1, how="kill")  # and killed again, a little further on
            assert again is None or again[0] == "done"
            for journal, *_ in journals(str(place.library)):
                assert {one.outcome for one in undo(journal)} <= {"restored", "there"}, number
            assert snapshot(place.photos) == before, number
            if ended:
                break
    assert number > 10


def test_who_takes_the_place_of_a_photo_that_waits_aside_keeps_it(request: pytest.FixtureRequest) -> None:
    place, way = lively("hard", request)
    with Actor(place, *LIVELY) as actor:
        for number in itertools.count(1):
            actor.forget()
            actor("apply", way, at=number, how="kill")
            if waiting := list(place.photos.rglob(".photoclip-aside-*")):
                break
    photo = place.photos / "b/1.jpg"
    photo.unlink(missing_ok=True)
    photo.write_bytes(b"new here")
    (one,) = place.undo()
    assert one.reason == f"another file is in its place now; it is at {waiting[0]}"
    assert photo.read_bytes() == b"new here"
    assert waiting[0].read_bytes() == b"one"
    photo.unlink()
    assert [one.outcome for one in place.undo()] == ["restored"]
    assert photo.read_bytes() == b"one"


def test_a_kill_at_fifty_random_moments_loses_nothing(swift: Path) -> None:
    names = [(n, f"{side}/{n}{end}") for n in range(30) for side in "ab" for end in (".jpg", ".xmp")]
    files = {name: bytes([n]) * (90_000 if n % 9 == 0 else 50) for n, name in names}
    files |= {f"{side}/{n}.xmp": packet(f"{side} {n}", "both") for n in range(30) for side in "ab"}
    for n in range(0, 30, 2):
        del files[f"a/{n}.xmp"]  # there new ones are made
    place = Place(swift).write(files)
    carrying(place, {f"a/{n}.xmp": (files[f"a/{n}.xmp"], [f"b {n}"]) for n in range(1, 30, 2)})
    before, held = snapshot(place.photos), contents(place.photos)
    chance = random.Random(8)
    killed = 0
    with Actor(place, *((f"a/{n}.jpg", f"b/{n}.jpg") for n in range(30))) as actor:
        for turn in range(50):
            way = ("trash", "move", "hard")[turn % 3]
            killed += actor("apply", way, after=chance.random() * 0.05) is None
            see_that_nothing_is_lost(place, way, held)
            for journal, *_ in journals(str(place.library)):
                list(undo(journal))
            assert snapshot(place.photos) == before, turn
    assert killed > 10


@pytest.mark.parametrize("way", ["trash", "move", "hard", "drive", "carry"])
def test_a_full_disk_at_any_call_stops_it_and_undo_restores_all(
    way: str, request: pytest.FixtureRequest
) -> None:
    place, way = lively(way, request)
    before, files = snapshot(place.photos), contents(place.photos)
    with Actor(place, *LIVELY) as actor:
        _, calls = actor("apply", way)
        actor("undo")
        for number in range(1, calls + 1, 2):
            actor.forget()
            full: dict[str, Any] = {"how": "error", "errno": errno.ENOSPC, "onwards": True}
            said, _ = actor("apply", way, at=number, names=["write", "open", "mkdir"], **full)
            assert said != "failed", number
            see_that_nothing_is_lost(place, way, files)
            assert said[-1][1] in ("error", "left", "moved", "linked", "carried")
            for journal, *_ in journals(str(place.library)):
                assert {one.outcome for one in undo(journal)} <= {"restored", "there"}, number
            assert snapshot(place.photos) == before, (number, said)


@pytest.mark.parametrize("onwards", [False, True])
@pytest.mark.parametrize("way", ["trash", "hard", "drive", "reflink", "carry"])
def test_a_drive_that_fails_at_any_call_loses_nothing_and_undo_restores_all(
    way: str, onwards: bool, request: pytest.FixtureRequest
) -> None:
    place, way = lively(way, request)
    before, files = snapshot(place.photos), contents(place.photos)
    places = place.photos, place.trash / "files", place.out
    failing: dict[str, Any] = {"how": "error", "errno": errno.EIO, "onwards": onwards}
    with Actor(place, *LIVELY) as actor:
        for number in itertools.count(1):
            said, calls = actor("apply", way, at=number, names=CHANGING, **failing)
            assert said != "failed", number
            see_that_nothing_is_lost(place, way, files)
            if not onwards:
                assert_told(place, before, said)
                all_there = way in ("trash", "move") and not place.carries
                assert not all_there or contents(*places) == files, (number, said)
            for journal, *_ in journals(str(place.library)):
                assert {one.outcome for one in undo(journal)} <= {"restored", "there"}, number
            assert snapshot(place.photos) == before, (number, said)
            actor.forget()
            if calls < number:
                break
    assert number > 15


def assert_told(place: Place, before: Snapshot, said: list[list[str]]) -> None:
    """See that what is said to be left is where it was, and nothing else lies about."""
    for path, outcome, reason in said:
        if outcome == "left":
            name = place.name(os.fsencode(path))
            assert snapshot(place.photos)[name] == before[name], reason
            assert not list(place.photos.rglob(".photoclip*"))
            for sidecar, (old, _) in place.rewritten.items():  # what is not let go has its keywords still
                assert name != "b/1.jpg" or (place.photos / sidecar).read_bytes() == old


@pytest.mark.skipif(sys.platform != "linux", reason="rights are given up as Linux has them")
def test_a_folder_that_may_not_be_changed_keeps_its_files(
    request: pytest.FixtureRequest,
) -> None:
    place, _ = lively("trash", request)
    (place.photos / "b").chmod(0o555)
    before = snapshot(place.photos / "b")
    with Actor(place, *LIVELY, launcher=["-c", _WITHOUT_PRIVILEGES]) as actor:
        for way in WAYS:
            said, _ = actor("apply", way)
            assert [str(place.photos / "b/1.jpg"), "left", "permission denied"] in said
            assert said[-1][:2] == [str(place.photos / "c/2.jpg"), "linked" if way == "hard" else "moved"]
            assert snapshot(place.photos / "b") == before
            assert b"one" not in contents(place.trash / "files", place.out)
            assert actor("undo")[0] == "done"
    (place.photos / "b").chmod(0o755)


def test_what_must_be_on_disk_first_is_forced_there_first(
    two: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step in the journal before it is done; the new file, and its name, before the old one goes."""
    said: list[tuple[str, bytes, bytes]] = []
    for name in ("link", "unlink", "fsync", "write"):
        monkeypatch.setattr(os, name, listening(name, getattr(os, name), said))
    for how in WAYS:
        two.act(two.report(*GROUPS), how)
        two.undo()
    waiting = False
    named = False
    removed = 0
    for name, path, content in said:
        if b"/journal/" in path:
            waiting = name == "write" and (waiting or b'"step"' in content or b'"undo"' in content)
        elif path.startswith(os.fsencode(two.photos)):
            assert not waiting or name == "write"
            named = name == "fsync" if name in ("link", "fsync") else named
            if name == "unlink" and b"-aside-" in path:
                assert named
                removed += 1
    assert removed == 2


def listening(
    name: str, real: Callable[..., Any], said: list[tuple[str, bytes, bytes]]
) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        place = arguments[0]
        path = os.readlink(b"/proc/self/fd/%d" % place) if isinstance(place, int) else os.fsencode(place)
        said.append((name, path, bytes(arguments[1]) if name == "write" else b""))
        return real(*arguments, **named)

    return call


def test_on_a_drive_of_its_own_a_photo_goes_into_the_trash_of_that_drive(
    tmp_path: Path, elsewhere: Path
) -> None:
    place = Place(elsewhere).write({"a/1.jpg": b"one", "b/1.jpg": b"one"})
    place.trash = tmp_path / "Trash"
    (one,) = place.act(place.report(("a/1.jpg", "b/1.jpg")), dry_run=True)
    top = next(folder for folder in elsewhere.parents if folder.is_mount())
    assert Path(os.fsdecode(one.target)).parent.parent.parent in (top, top / ".Trash")
    assert f"{os.getuid()}" in os.fsdecode(one.target)
