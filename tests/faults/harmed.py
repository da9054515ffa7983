"""A process that indexes a few photos while one of its calls, or all from one on, is harmed.

What it says, what it leaves behind and what the next run makes of that is held against a run that nothing
befell.
"""

from __future__ import annotations

import atexit
import errno
import functools
import hashlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from photoclip import Library, PhotoclipError
from photoclip.encoders.fake import FakeEncoder
from photoclip.indexing import IndexOptions
from tests.conftest import command, environment, evidence
from tests.faults.fault import Outcome, Scale
from tests.faults.killing import state_of
from tests.faults.preload import CHANGING, KILLED_AFTER, KILLED_BEFORE, Watch, fails
from tests.pictures import paint, paint_many

_QUERY = "red and dark"
_SIDE_BY_SIDE = 2
FULL, QUOTA, BROKEN, READ_ONLY = (
    fails(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
)
KILLS = (KILLED_BEFORE, KILLED_AFTER)

_WITH_A_GRAPH = """
import sys, photoclip.vectors
photoclip.vectors.HNSW_FROM = 2
from photoclip.cli.run import run
sys.exit(run(sys.argv[1:]))
"""
"""photoclip as it is with a library that is large enough for a graph."""


# -- the run that is harmed -----------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """Photos, the library as it is before the harmed run (None: there is none), and after an undisturbed one.

    ``work`` are the files that this run has to read, in its order; ``calls`` what it does below the library;
    ``program`` is the beginning of its command line.
    """

    photos: Path
    before: Path | None
    work: Sequence[bytes]
    program: Sequence[str]
    state: dict[str, object] | None = None
    calls: Sequence[str] = ()

    def index(self, library: Path) -> list[str]:
        """Return the command line of a run with two batches at least."""
        arguments = ("index", str(self.photos), "--model", "fake", "-v", "--batch-size", "4", "-j", "1")
        return [*self.program, "--library", str(library), *arguments]


@dataclass(frozen=True)
class Harm:
    """What befalls which of the calls (see ``preload.Watch``)."""

    at: int = 0
    how: str = ""
    calls: Sequence[str] = CHANGING
    name: str = "*"
    onwards: bool = False

    def __str__(self) -> str:
        return f"{self.how} at {self.at}{' and on' if self.onwards else ''} of {' '.join(self.calls)}"


@dataclass(frozen=True)
class Run:
    """How a run ended: its exit code, its data, what it said, and the calls that were counted and harmed."""

    code: int
    out: bytes
    talk: str
    seen: Sequence[str]
    harmed: Sequence[str]

    @property
    def stored(self) -> int:
        """How many files it reported stored."""
        said = re.findall(r"^stored (\d+)$", self.talk, re.MULTILINE)
        return max((int(number) for number in said), default=0)

    def __str__(self) -> str:
        where = re.sub("/.*/", "", self.harmed[0]) if self.harmed else "nothing"
        return f"{where} was harmed, exit {self.code}, {self.talk[-300:]!r}"


@functools.cache
def set_scene(kind: str) -> Scene:
    """Return a scene, made once in a process; rounds work on copies."""
    place = Path(tempfile.mkdtemp(prefix="photoclip-scene-")).resolve()
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    if kind == "first run":
        return _first_run(place)
    with_a_graph = kind == "later run with a graph"
    return _later_run(place, [sys.executable, "-c", _WITH_A_GRAPH] if with_a_graph else command())


def _first_run(place: Path) -> Scene:
    """Photos, a broken one among them, and no library yet."""
    paths = paint_many(place / "photos", 8)
    paths[3].write_bytes(b"this is no picture")
    return _undisturbed(
        place, Scene(place / "photos", None, [os.fsencode(path) for path in paths], command())
    )


def _later_run(place: Path, program: Sequence[str]) -> Scene:
    """A library, and new, changed, moved and broken photos since it was made."""
    old = paint_many(place / "photos", 6)
    first = Scene(place / "photos", None, (), program)
    subprocess.run(first.index(place / "before"), env=environment(), check=True, capture_output=True)
    paint(old[1], "white", 91)
    new = [paint(place / "photos" / f"1{number}.png", "blue", 50 + number) for number in range(5)]
    new[2].write_bytes(b"this is no picture")
    moved = old[2].rename(place / "photos" / "moved.png")
    work = sorted(os.fsencode(path) for path in (old[1], *new, moved))
    return _undisturbed(place, Scene(place / "photos", place / "before", work, program))


def _undisturbed(place: Path, scene: Scene) -> Scene:
    run = _index_under(Harm(), scene, place / "undisturbed")
    assert run.code == 0, run
    return replace(scene, state=state_of(place / "undisturbed"), calls=run.seen)


def _index_under(harm: Harm, scene: Scene, library: Path) -> Run:
    if scene.before is not None:
        shutil.copytree(scene.before, library)
    return run_under(harm, scene.index(library), library)


def run_under(harm: Harm, line: Sequence[str], library: Path) -> Run:
    watch = Watch(library, harm.calls, library.with_name(f"{library.name}.calls"), harm.name)
    watch = watch.with_harm(harm.at, harm.how, onwards=harm.onwards)
    done = subprocess.run(line, env=watch.environment(), capture_output=True, timeout=120)
    return Run(
        done.returncode, done.stdout, done.stderr.decode(errors="replace"), watch.seen(), watch.harmed()
    )


def every(scene: Scene, how: str, calls: Sequence[str] = CHANGING, *, onwards: bool = False) -> list[Harm]:
    """Return the harms of every such call of the scene's undisturbed run."""
    count = sum(call.split()[0] in calls for call in scene.calls)
    return [Harm(at, how, calls, onwards=onwards) for at in range(1, count + 1)]


# -- judging --------------------------------------------------------------------------------------


def _judged(scene: Scene, harm: Harm, library: Path) -> list[str]:
    """Do one round and return what was wrong with it."""
    run = _index_under(harm, scene, library)
    wrong = [
        *in_the_talk(run, harm),
        *_in_what_is_left(scene, run, library),
        *_in_the_next_run(scene, library),
    ]
    shutil.rmtree(library, ignore_errors=True)
    return [f"{text}: {harm}: {run}" for text in wrong]


def in_the_talk(run: Run, harm: Harm) -> Iterator[str]:
    if not run.harmed:
        yield "nothing was harmed"
    if "Traceback" in run.talk:
        yield "a traceback"
    elif harm.how in KILLS:
        if run.code != -signal.SIGKILL:
            yield "it was not killed"
    elif run.code == 0 and _must_be_told(run, harm):
        yield "success was claimed although this call failed"
    elif run.code not in (0, 1):
        yield "this is not the exit code of a disk in trouble"
    elif run.code == 1 and not re.search("^error: ", run.talk, re.MULTILINE):
        yield "it does not say what is wrong"
    elif (
        run.code == 1
        and harm.how in (FULL, QUOTA)
        and not re.search("^hint: .*(full|space|room)", run.talk, re.M)
    ):
        yield "it does not say what to do about a full disk"


def _must_be_told(run: Run, harm: Harm) -> bool:
    """Return whether the call that failed decides about what the run says it has done.

    SQLite rightly goes on without the flush of a folder and, when it closes, without its last checkpoint.
    """
    call = run.harmed[0] if run.harmed else ""
    closing = not any(later.endswith("/lock") for later in run.seen[harm.at :])
    return call.startswith(("fsync ", "rename ")) or (
        call.startswith("fdatasync ") and "-wal" in call and not closing
    )


def _in_what_is_left(scene: Scene, run: Run, library: Path) -> Iterator[str]:
    if not (library / "catalogue.sqlite").exists():
        if run.stored or run.code == 0:
            yield "success was claimed, and there is no library"
        return
    try:
        with Library.open(library) as opened:
            yield from (f"left behind: {finding.text}" for finding in opened.check())
            hashes = {photo.path: photo.content_hash for photo in opened.photos()}
            problems = {problem.path for problem in opened.problems()}
            yield from in_the_answers(opened, library)
    except PhotoclipError as error:
        yield f"what is left cannot be used: {error}"
        return
    with closing(sqlite3.connect(library / "catalogue.sqlite")) as db:
        if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            yield "readers and writers will wait for each other: the catalogue is not in WAL mode"
    for path in scene.work[: run.stored]:
        if path not in problems and hashes.get(path) != _hash(path):
            yield f"{os.fsdecode(path)} was reported stored and is not there"
    if run.code == 0:
        yield from _differences(scene, library, "success was claimed, but")
        if not (library / "vectors" / "1.matrix").exists():
            yield "success was claimed, but the vectors were not written"


def _hash(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).digest()


def in_the_answers(opened: Library, library: Path) -> Iterator[str]:
    """Compare search with similarities computed here, from the catalogue alone."""
    with closing(sqlite3.connect(library / "catalogue.sqlite")) as db:
        rows = db.execute(
            "SELECT p.path, e.vector FROM photos p JOIN embeddings e ON e.content_id = p.content_id"
            " WHERE p.missing_since IS NULL"
        ).fetchall()
    if not rows:
        return
    question = FakeEncoder().encode_texts([_QUERY])[0]
    exact = {path: float(np.frombuffer(vector, "<f4") @ question) for path, vector in rows}
    hits = opened.search(_QUERY, limit=len(rows) + 1)
    found = {hit.photo.path: hit.similarity for hit in hits}
    if found.keys() != exact.keys() or any(abs(found[path] - exact[path]) > 1e-5 for path in found):
        yield "search does not answer as an exact search does"
    if [hit.similarity for hit in hits] != sorted(found.values(), reverse=True):
        yield "the answers are not in order"


def _in_the_next_run(scene: Scene, library: Path) -> Iterator[str]:
    try:
        yield from _repeated(scene, library)
        with Library.open(library) as opened:
            yield from (f"after the next run: {finding.text}" for finding in opened.check())
    except PhotoclipError as error:
        yield f"the next run failed: {error}"
        return
    yield from _differences(scene, library, "after the next run")
    if _vectors_in(library) != _vectors_in(scene.photos.with_name("undisturbed")):
        yield f"after the next run the vectors are {_vectors_in(library)}"


def _vectors_in(library: Path) -> list[str]:
    return sorted(path.name for path in (library / "vectors").iterdir())


def _repeated(scene: Scene, library: Path) -> Iterator[str]:
    """Index again: in this process, which is quicker, where the program is not another one."""
    if list(scene.program) == command():
        with Library.open_or_create(library) as opened:
            opened.index([scene.photos], IndexOptions(model="fake", jobs=1))
        return
    done = subprocess.run(scene.index(library), env=environment(), capture_output=True, timeout=120)
    if done.returncode:
        yield f"the next run failed: {done.stderr.decode(errors='replace')[-500:]}"


def _differences(scene: Scene, library: Path, when: str) -> Iterator[str]:
    assert scene.state is not None
    try:
        state = state_of(library)
    except PhotoclipError as error:
        yield f"{when} the library cannot be used: {error}"
        return
    yield from (f"{when} the {name} differ" for name in state if state[name] != scene.state[name])


# -- many rounds ----------------------------------------------------------------------------------


def spread(harms: Sequence[Harm], scale: Scale, short: int) -> list[Harm]:
    """Return all harms in the long form, in the short one one at random in each of ``short`` equal parts."""
    if scale.long or len(harms) <= short:
        return list(harms)
    chance = scale.chance(f"{len(harms)} {harms[0].how}")
    return [harms[int((part + chance.random()) / short * len(harms))] for part in range(short)]


def do_all(outcome: Outcome, place: Path, scene: Scene, harms: Sequence[Harm], what: str) -> None:
    """Do the rounds, two at a time because they mostly wait, and put on record what was wrong."""
    place = Path(tempfile.mkdtemp(dir=place)).resolve()
    photos = evidence(scene.photos)
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        libraries = (place / f"round-{number}" for number in range(len(harms)))
        for wrong in pool.map(_judged, [scene] * len(harms), harms, libraries):
            outcome.rounds += 1
            outcome.count(what)
            outcome.faults += wrong
    outcome.require(evidence(scene.photos) == photos, "photos were changed")
