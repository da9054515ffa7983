"""F17 and F19: somebody else writes to the library, did so and died, or has gone to sleep over it."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from photoclip import Library
from photoclip.errors import ModelUnavailable, NoLibrary
from tests.conftest import command, environment, evidence
from tests.faults.fault import Outcome, Scale, fault
from tests.faults.killing import state_of
from tests.faults.preload import CHANGING, STOPPED_BEFORE, Watch, why_not
from tests.pictures import paint, paint_many

_SECONDS = 120.0
_POLITE_SECONDS = 10.0  # within which one who cannot write must have said so, on a busy machine
_SQLITE_LOCKED = "database (table )?is locked"


def _index(library: Path, photos: Path) -> list[str]:
    arguments = ("index", photos, "--model", "fake:slow", "-v", "--batch-size", "4", "-j", "1")
    return command("--library", library, *arguments)


def _run(line: Sequence[str], seconds: float = _SECONDS) -> tuple[int, str]:
    done = subprocess.run(line, env=environment(), capture_output=True, timeout=seconds)
    return done.returncode, done.stderr.decode(errors="replace")


def _start(line: Sequence[str], talk: Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    with open(talk, "wb") as file:
        return subprocess.Popen(line, env=env or environment(), stderr=file, stdout=subprocess.DEVNULL)


# -- two writers and a reader -----------------------------------------------------------------------


@dataclass
class _Searcher:
    """Searches again and again in a thread, each time through a door opened anew, until told to stop."""

    library: Path
    faults: list[str] = field(default_factory=list)
    searches: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> _Searcher:
        self._thread = threading.Thread(target=self._search)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _search(self) -> None:
        before = 0
        while not self._stop.is_set():
            try:
                with Library.open(self.library) as library:
                    hits = library.search("red and dark", limit=1000)
            except (NoLibrary, ModelUnavailable) as error:
                if before:
                    self.faults.append(f"the searcher lost the library: {error}")
            except Exception as error:
                self.faults.append(f"the searcher failed: {error!r}")
                return
            else:
                self.searches += 1
                similarities = [hit.similarity for hit in hits]
                if len(hits) < before or similarities != sorted(similarities, reverse=True):
                    self.faults.append(f"the searcher found {len(hits)} photos after {before}")
                before = len(hits)


@fault(17, "two who index, one who searches, and one who takes the library away")
def two_indexers(place: Path, scale: Scale) -> Outcome:
    """Two runs of index over the same photos at once, into a new library and one that knows some of them."""
    outcome = Outcome()
    photos = place / "photos"
    paint_many(photos, 6)
    assert _run(_index(place / "half", photos))[0] == 0
    paint_many(photos, 24)
    (photos / "copy.png").write_bytes((photos / "001.png").read_bytes())
    before = evidence(photos)
    assert _run(_index(place / "undisturbed", photos))[0] == 0
    state = state_of(place / "undisturbed")
    chance = scale.chance("two indexers")
    for number in range(scale.rounds(1, 50)):
        library = place / f"library-{number}"
        if number % 2:
            shutil.copytree(place / "half", library)
        outcome.faults += _meeting(outcome, library, photos, chance)
        outcome.require(state_of(library) == state, "the library is not what one undisturbed run makes")
        outcome.rounds += 1
        shutil.rmtree(library)
    outcome.require(evidence(photos) == before, "photos were changed")
    if not why_not():
        _take_away(outcome, place / "away", scale)
    return outcome


def _take_away(outcome: Outcome, place: Path, scale: Scale) -> None:
    """Somebody deletes, moves or replaces the library (or its catalogue) in the middle of a run of index."""
    photos = place / "photos"
    paint_many(photos, 12)
    assert _run(_index(place / "other", photos / "000.png"))[0] == 0
    before = evidence(photos)
    ways = ("delete", "move", "delete the catalogue", "replace the catalogue")
    for way in ways if scale.long else ways[:1]:
        outcome.faults += _taken_away(place / way.replace(" ", "-"), photos, way)
        outcome.rounds += 1
        outcome.count("taken away")
    outcome.require(evidence(photos) == before, "photos were changed")


def _taken_away(library: Path, photos: Path, way: str) -> Iterator[str]:
    watch = Watch(library, ("fdatasync",), library.with_suffix(".calls"), "catalogue.sqlite-wal")
    talk = library.with_suffix(".talk")
    indexer = _start(_index(library, photos), talk, watch.with_harm(4, STOPPED_BEFORE).environment())
    _wait_for(lambda: bool(watch.harmed()) or indexer.poll() is not None)
    if way == "delete":
        shutil.rmtree(library)
    elif way == "move":
        library.rename(library.with_name("elsewhere"))
    elif way == "delete the catalogue":
        (library / "catalogue.sqlite").unlink()
    else:
        shutil.copy(library.with_name("other") / "catalogue.sqlite", library / "new")
        (library / "new").rename(library / "catalogue.sqlite")
    os.kill(indexer.pid, signal.SIGCONT)
    code, said = indexer.wait(_SECONDS), talk.read_text()
    if code != 1 or "Traceback" in said or not re.search("^error: .*catalogue.*\nhint: ", said, re.MULTILINE):
        yield f"{way}: exit {code}, {said}"
    if way in ("delete", "move"):
        code, said = _run(_index(library, photos))
        if code or len(list((library / "vectors").iterdir())) != 1:
            yield f"{way}: the next run ended with {code}: {said}"


def _meeting(outcome: Outcome, library: Path, photos: Path, chance: random.Random) -> Iterator[str]:
    talks = [library.with_name(f"{library.name}-{number}.talk") for number in range(2)]
    with _Searcher(library) as searcher:
        both = [_start(_index(library, photos), talks[0])]
        time.sleep(chance.choice((0, 0, chance.random() / 2)))
        both.append(_start(_index(library, photos), talks[1]))
        codes = [process.wait(_SECONDS) for process in both]
    outcome.count("searches", searcher.searches)
    outcome.count("polite exits", codes.count(8))
    yield from searcher.faults
    if 0 not in codes:
        yield f"nobody indexed: {codes}"
    for code, talk, other in zip(codes, (talk.read_text() for talk in talks), reversed(both), strict=True):
        if code not in (0, 8):
            yield f"exit {code}: {talk}"
        outcome.count('times "locked" from SQLite', bool(re.search(_SQLITE_LOCKED, talk)))
        if re.search(f"Traceback|{_SQLITE_LOCKED}", talk):
            yield f"SQLite's own words: {talk}"
        if code == 8 and not re.search(rf"^error: .*process {other.pid}\b.*\nhint: ", talk, re.MULTILINE):
            yield f"process {other.pid} is not named: {talk}"
    with Library.open(library) as opened:
        yield from (finding.text for finding in opened.check())


# -- locks that are left behind, and one that is not ------------------------------------------------


@fault(19, "a lock left behind")
def stale_lock(place: Path, scale: Scale) -> Outcome:
    """The writer before was killed, or its lock says what is not true any more; or it only sleeps."""
    outcome = Outcome()
    photos = place / "photos"
    paint_many(photos, 12)
    before = evidence(photos)
    assert _run(_index(place / "undisturbed", photos))[0] == 0
    state = state_of(place / "undisturbed")
    chance = scale.chance("stale lock")
    for number in range(scale.rounds(1, 20)):
        library = place / f"killed-{number}"
        outcome.faults += _killed_holder(library, photos, chance.choice((4, 8)))
        _judge_next_run(outcome, library, photos, state, "the writer before was killed")
    for number, text in enumerate(_untrue(chance)[:: 1 if scale.long else 6]):
        library = place / f"untrue-{number}"
        library.mkdir()
        (library / "lock").write_bytes(text)
        _judge_next_run(outcome, library, photos, state, f"the lock says {text[:60]!r}")
    if not why_not():
        _fall_asleep(outcome, place, photos, state, scale)
    outcome.faults += _lock_that_is_a_link(place / "linked", photos)
    outcome.require(evidence(photos) == before, "photos were changed")
    return outcome


def _untrue(chance: random.Random) -> list[bytes]:
    """Return what a lock may hold that nobody holds."""
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    return [
        f"process {gone.pid}, index, since 03:12\n".encode(),  # dead
        f"process {os.getpid()}, index, since 03:12\n".encode(),  # alive, and somebody else by now
        b"process 1, index, since 03:12\n",  # from before the machine was started again
        b"process 99999999, index, since 99:99, boot 00000000-0000-0000-0000-000000000000\n",
        chance.randbytes(100_000),
        b"",
    ]


def _killed_holder(library: Path, photos: Path, stored: int) -> Iterator[str]:
    talk = library.with_suffix(".talk")
    process = _start(_index(library, photos), talk)
    _wait_for(lambda: f"stored {stored}\n" in talk.read_text() or process.poll() is not None)
    process.kill()
    if process.wait() != -signal.SIGKILL:
        yield "the run ended before it could be killed"
    elif str(process.pid) not in (library / "lock").read_text():
        yield "the lock did not say who held it"


def _judge_next_run(
    outcome: Outcome, library: Path, photos: Path, state: dict[str, object], why: str
) -> None:
    code, talk = _run(_index(library, photos))
    outcome.require(code == 0, f"{why}, and the next run ended with {code}: {talk}")
    outcome.require(
        code != 0 or state_of(library) == state, f"{why}, and the end is not that of an undisturbed run"
    )
    outcome.require((library / "lock").read_bytes() == b"", f"{why}, and the lock says so still")
    outcome.rounds += 1
    outcome.count("stale")
    shutil.rmtree(library, ignore_errors=True)


def _fall_asleep(outcome: Outcome, place: Path, photos: Path, state: dict[str, object], scale: Scale) -> None:
    """Stop a run at some of the calls that it makes between taking the lock and giving it back."""
    watch = Watch(place / "counted", CHANGING, place / "calls")
    line = _index(place / "counted", photos)
    subprocess.run(line, env=watch.environment(), check=True, capture_output=True)
    moments = _calls_within_the_lock(watch.seen())
    for at in scale.chance("asleep").sample(moments, scale.rounds(1, 30)):
        outcome.faults += _sleeping_holder(place / f"asleep-{at}", photos, at, state)
        outcome.rounds += 1
        outcome.count("sleeping")


def _calls_within_the_lock(seen: Sequence[str]) -> list[int]:
    """Return the numbers of the calls, from 1, that are made while the lock says who holds it."""
    within, numbers = False, []
    for number, call in enumerate(seen, 1):
        # While it closes a catalogue, SQLite itself locks everybody out.
        if within and not re.match(r"unlink .*-(wal|shm)$", call):
            numbers.append(number)
        if call.endswith("/lock"):
            within = call.startswith("write")
    return numbers


def _sleeping_holder(library: Path, photos: Path, at: int, state: dict[str, object]) -> Iterator[str]:
    """Stop a run before one of its calls: it holds the lock all the same, and searching works meanwhile."""
    watch = Watch(library, CHANGING, library.with_suffix(".calls")).with_harm(at, STOPPED_BEFORE)
    talk = library.with_suffix(".talk")
    holder = _start(_index(library, photos), talk, watch.environment())
    try:
        _wait_for(lambda: bool(watch.harmed()) or holder.poll() is not None)
        began = time.monotonic()
        code, said = _run(_index(library, photos))
        took = time.monotonic() - began
        if code != 8 or f"process {holder.pid}," not in said or re.search(_SQLITE_LOCKED, said):
            yield f"{watch.harmed()}: process {holder.pid} sleeps over the lock; the next: {code}, {said}"
        if took > _POLITE_SECONDS:
            yield f"{watch.harmed()}: it took {took:.1f} s to say that somebody holds the lock"
        code, said = _run(command("--library", library, "search", "red"))
        # 3 and 5: before the first photo is in
        if code not in (0, 3, 5) or re.search(f"Traceback|{_SQLITE_LOCKED}", said):
            yield f"{watch.harmed()}: while the holder slept a search ended with {code}: {said}"
    finally:
        os.kill(holder.pid, signal.SIGCONT)
        ended = holder.wait(_SECONDS)
    if ended != 0 or state_of(library) != state:
        yield f"{watch.harmed()}: when it woke up it ended with {ended}: {talk.read_text()}"


def _lock_that_is_a_link(library: Path, photos: Path) -> Iterator[str]:
    """A lock that is a link must not lead anybody to write into, or to empty, what it points to."""
    library.mkdir()
    treasure = paint(library.with_name("treasure") / "only-one.png", "red")
    content = treasure.read_bytes()
    (library / "lock").symlink_to(treasure)
    code, said = _run(_index(library, photos))
    if treasure.read_bytes() != content:
        yield "a lock that is a link to a photo destroyed the photo"
    if "Traceback" in said or (code and "error: " not in said):
        yield f"a lock that is a link: exit {code}, {said}"


def _wait_for(moment: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not moment():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)
