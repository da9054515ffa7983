"""F4, F7 to F10: disks that are full or fail, at every call one after the other; kills at every call."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from photoclip import Library, PhotoclipError
from photoclip.indexing import IndexOptions
from photoclip.migrations import SCHEMA_VERSION
from tests.conftest import command, environment, evidence
from tests.faults.fault import Outcome, Scale, fault
from tests.faults.harmed import (
    BROKEN,
    FULL,
    KILLS,
    QUOTA,
    READ_ONLY,
    Harm,
    Run,
    do_all,
    every,
    in_the_answers,
    in_the_talk,
    run_under,
    set_scene,
    spread,
)
from tests.faults.killing import state_of
from tests.faults.preload import CHANGING, HALF, KILLED_AFTER, KILLED_BEFORE, READING, ROOM, Watch
from tests.old_libraries import make_schema_1
from tests.pictures import paint, paint_many

_BOTH = ("first run", "later run")


@fault(7, "disk full for the catalogue")
def full_disk(place: Path, scale: Scale) -> Outcome:
    """Nothing can be written any more from the Nth call on, for every N."""
    outcome = Outcome()
    for kind in _BOTH:
        scene = set_scene(kind)
        do_all(outcome, place, scene, spread(every(scene, FULL, ROOM, onwards=True), scale, 2), "full")
        quota = every(scene, QUOTA, ROOM, onwards=True)[::7]
        do_all(outcome, place, scene, spread(quota, scale, 1), "over quota")
    _search_when_full(outcome, place / "library", set_scene("later run").photos.with_name("undisturbed"))
    return outcome


def _search_when_full(outcome: Outcome, library: Path, whole: Path) -> None:
    """Searching needs no room on the disk."""
    shutil.copytree(whole, library)
    search = command("--library", library, "search", "red", "--limit", "100")
    answers = [run_under(Harm(at, FULL, ROOM, onwards=True), search, library) for at in (0, 1)]
    outcome.require(answers[0].out == answers[1].out != b"", f"a search on a full disk: {answers[1]}")
    outcome.rounds += 1


@fault(8, "disk full for the vectors")
def full_disk_for_vectors(place: Path, scale: Scale) -> Outcome:
    """A write of matrix or graph, or all from the Nth on, meets a full disk; or half of it gets through.

    hnswlib does not say that a write has failed, so in the short form its writes are all among those tried.
    """
    outcome = Outcome()
    scene = set_scene("later run with a graph")
    calls = [call for call in scene.calls if call.split()[0] in ROOM and "/vectors/1." in call]
    numbers = range(1, len(calls) + 1)
    onwards = [Harm(at, FULL, ROOM, "1.*", onwards=True) for at in numbers]
    do_all(outcome, place, scene, spread(onwards, scale, 2), "full")
    silent = [at for at in numbers if scale.long or re.match(r"write .*\.hnsw\.\w+\.tmp", calls[at - 1])]
    do_all(outcome, place, scene, [Harm(at, FULL, ROOM, "1.*") for at in silent], "full once")
    halves = [Harm(at, HALF, ROOM, "1.*") for at in numbers]
    do_all(outcome, place, scene, spread(halves, scale, 1), "half written")
    return outcome


@fault(10, "error of fsync, rename and their like")
def failing_calls(place: Path, scale: Scale) -> Outcome:
    """Every call that changes a disk fails once; or the disk can only be read from then on."""
    outcome = Outcome()
    no_writes = tuple(call for call in CHANGING if call != "write")
    for kind in _BOTH:
        scene = set_scene(kind)
        for how in (BROKEN, FULL):
            do_all(outcome, place, scene, spread(every(scene, how, no_writes), scale, 1), "failing")
        writes = every(scene, BROKEN, ("write",))[::4]
        do_all(outcome, place, scene, spread(writes, scale, 1), "failing writes")
        read_only = every(scene, READ_ONLY, onwards=True)[::9]
        do_all(outcome, place, scene, spread(read_only, scale, 1), "read-only")
    return outcome


def kill_at_every_call(outcome: Outcome, place: Path, scale: Scale) -> None:
    """Kill an index before every call that changes the library, and after the last of each kind of file.

    After a call is before the next one, but for what happens between the two without a call.
    """
    for kind in _BOTH:
        scene = set_scene(kind)
        do_all(outcome, place, scene, spread(every(scene, KILLED_BEFORE), scale, 1), "kills before a call")
        after = every(scene, KILLED_AFTER)[::5]
        do_all(outcome, place, scene, spread(after, scale, 1), "kills after a call")


# -- photos that cannot be read -------------------------------------------------------------------


@fault(9, "I/O error on reading photos")
def failing_photos(place: Path, scale: Scale) -> Outcome:
    """A few photos cannot be read for a while: at first sight, and when they were known already."""
    outcome = Outcome()
    for number in range(scale.rounds(1, 10)):
        _fail_some_photos(outcome, place / str(number), 20 if not scale.long else 60 + 40 * number)
    if scale.long:
        _fail_every_read(outcome, place / "reads")
    return outcome


def _fail_some_photos(outcome: Outcome, place: Path, count: int) -> None:
    outcome.rounds += 1
    photos, library = place / "photos", place / "library"
    paint_many(photos, count)
    sick = {os.fsencode(paint(photos / f"sick-{number}.png", "red", 90 + number)) for number in range(3)}
    before = evidence(photos)
    watch = Watch(photos, READING, place / "calls", "sick-*", children=True).with_harm(
        1, BROKEN, onwards=True
    )

    def index(when: str, *more: str, failing: bool = True, **expected: int) -> None:
        line = command("--library", library, "index", photos, "--model", "fake", "-j", "2", "--json", *more)
        done = subprocess.run(
            line, env=watch.environment() if failing else environment(), capture_output=True, timeout=120
        )
        talk = done.stderr.decode(errors="replace")
        outcome.require(done.returncode == 0, f"{when}: exit {done.returncode}, {talk}")
        counts = json.loads(done.stdout or b"{}")
        wrong = {name: counts.get(name) for name in expected if counts.get(name) != expected[name]}
        outcome.require(not wrong, f"{when}: {wrong} in place of {expected}")
        unnamed = [path for path in sick if os.fsdecode(os.path.basename(path)) not in talk]
        outcome.require(not (failing and unnamed), f"{when}: the run does not name {unnamed}")

    def named() -> set[bytes]:
        with Library.open(library) as opened:
            outcome.faults += [finding.text for finding in opened.check()]
            outcome.faults += in_the_answers(opened, library)
            return {problem.path for problem in opened.problems() if problem.waits_for == "run"}

    def known() -> set[bytes]:
        with Library.open(library) as opened:
            return {photo.path for photo in opened.photos()}

    index("at first sight", added=count, unreadable=3)
    outcome.require(named() == sick, "the photos that failed are not named as waiting for another run")
    outcome.require(not sick & known(), "photos that failed are in the library")
    index("while it lasts", unchanged=count, unreadable=3, embedded=0)
    index("when it is over", failing=False, unchanged=count, added=3, unreadable=0)
    outcome.require(not named() and sick < known(), "the photos did not come in when they could be read")
    state = state_of(library)
    index("known, read again", "--deep", unchanged=count, unreadable=3)
    with closing(sqlite3.connect(library / "catalogue.sqlite")) as db:
        kept = {row[0] for row in db.execute("SELECT path FROM photos")}
    outcome.require(sick < kept, "photos were taken out of the library because their drive failed once")
    outcome.require(named() == sick, "known photos that failed are not named as waiting for another run")
    index("known, over again", failing=False, unreadable=0, embedded=0)
    outcome.require(state_of(library) == state, "the library is not what it was before the drive failed")
    outcome.require(evidence(photos) == before, "photos were changed")
    outcome.count("photos failing", len(sick))


def _fail_every_read(outcome: Outcome, place: Path) -> None:
    """Fail each read of one photo, one after the other, as it is read for the first time."""
    photos = place / "photos"
    paint_many(photos, 3)
    path = os.fsencode(paint(photos / "sick.png", "red", 90))
    watch = Watch(photos, READING, place / "calls", "sick.png", children=True)
    number = reads = 0
    while number <= reads:
        harmed = watch.with_harm(number, BROKEN)
        library = place / f"library-{number}"
        line = command("--library", library, "index", photos, "--model", "fake", "-j", "1")
        subprocess.run(line, env=harmed.environment(), capture_output=True, timeout=120, check=True)
        reads = reads or len(harmed.seen())
        with Library.open(library) as opened:
            named = {problem.path for problem in opened.problems() if problem.waits_for == "run"}
            outcome.require(named == ({path} if number else set()), f"read {number} failed: {named} named")
            report = opened.index([photos], IndexOptions(jobs=1))
            outcome.require(report.added == (number > 0), f"read {number} failed: not read by the next run")
        number += 1
        outcome.rounds += 1


# -- upgrades -------------------------------------------------------------------------------------


@fault(4, "killed or failing in the upgrade of a library")
def interrupted_upgrade(place: Path, scale: Scale) -> Outcome:
    """The upgrade of a library of schema 1 is killed or fails at every call that changes something."""
    outcome = Outcome()
    place = place.resolve()
    whole = place / "undisturbed"
    run = _upgrade_under(Harm(), whole)
    assert run.code == 0 and _version(whole) == SCHEMA_VERSION, run
    versions = {_version(whole): _schema(whole)}
    _make_old(place / "old")
    versions[1] = _schema(place / "old")
    state = state_of(whole)
    for how in (*KILLS, BROKEN, FULL):
        harms = [Harm(at, how, onwards=how == FULL) for at in range(1, len(run.seen) + 1)]
        for number, harm in enumerate(spread(harms, scale, 2)):
            library = place / f"{how.replace(' ', '-')}-{number}"
            wrong = _judged_upgrade(library, harm, versions, state)
            outcome.faults += [f"{text}: {harm}" for text in wrong]
            outcome.rounds += 1
            outcome.count("kills" if how in KILLS else "failing")
            shutil.rmtree(library)
    return outcome


def _make_old(library: Path) -> None:
    make_schema_1(library)
    with closing(sqlite3.connect(library / "catalogue.sqlite")) as db:
        db.execute("PRAGMA journal_mode = WAL")


def _upgrade_under(harm: Harm, library: Path) -> Run:
    _make_old(library)
    return run_under(harm, command("--library", library, "list"), library)


def _judged_upgrade(
    library: Path, harm: Harm, versions: dict[int, list[object]], state: dict[str, object]
) -> Iterator[str]:
    run = _upgrade_under(harm, library)
    yield from in_the_talk(run, harm)
    version = _version(library)
    if versions.get(version, []) != _schema(library) and not 1 < version < SCHEMA_VERSION:
        yield f"the schema is not that of version {version}, which it claims to be"
    if run.code == 0 and version != SCHEMA_VERSION:
        yield "success was claimed, and the library is as it was"
    try:
        with Library.open(library) as opened:
            yield from (finding.text for finding in opened.check())
            yield from in_the_answers(opened, library)
        found = state_of(library)
    except PhotoclipError as error:
        yield f"it cannot be used: {error}"
        return
    if (_version(library), _schema(library)) != (SCHEMA_VERSION, versions[SCHEMA_VERSION]):
        yield "opening it again does not complete the upgrade"
    yield from (f"the {name} differ" for name in state if found[name] != state[name])


def _version(library: Path) -> int:
    with closing(sqlite3.connect(library / "catalogue.sqlite")) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def _schema(library: Path) -> list[object]:
    """Return the tables and indexes, and which steps were done (not when)."""
    with closing(sqlite3.connect(library / "catalogue.sqlite")) as db:
        tables = db.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()
        steps = db.execute("SELECT migration_set, name FROM _sqlite_migrations ORDER BY id").fetchall()
    return [*tables, *steps]
