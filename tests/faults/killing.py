"""F1 and F2: ``index`` is killed, and what is left is judged by what it had said and would have made."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from photoclip import Library, PhotoclipError
from photoclip.indexing import IndexOptions
from tests.conftest import command, environment
from tests.faults.fault import Outcome, Scale, fault
from tests.pictures import paint_many

PHOTOS = 60
MODEL = "fake:slow"
_ORPHAN_SECONDS = 5.0


@dataclass(frozen=True)
class Scene:
    """Photos, what an undisturbed run makes of them, and how long that takes in seconds."""

    photos: Path
    state: dict[str, object]
    seconds: float
    library: Path | None = None  # what every round begins with; None: nothing
    known: int = 0  # how many of the photos, in order, that library holds


@dataclass
class Verdict:
    """What was wrong after one kill (nothing, one hopes), and when it came."""

    moment: float
    stored: int = 0
    lost: int = 0
    whole: bool = True
    faults: list[str] = field(default_factory=list)


def set_scene(place: Path) -> Scene:
    """Draw the photos and index them undisturbed."""
    paths = paint_many(place / "photos", PHOTOS)
    paths[7].write_bytes(b"this is no picture")
    paths[30].write_bytes(paths[31].read_bytes())
    began = time.monotonic()
    subprocess.run(
        _line(place / "undisturbed", place / "photos"), env=environment(), check=True, capture_output=True
    )
    return Scene(place / "photos", state_of(place / "undisturbed"), time.monotonic() - began)


def _line(library: Path, photos: Path) -> list[str]:
    return command(
        "--library", library, "index", photos, "--model", MODEL, "-v", "--batch-size", "4", "-j", "2"
    )


def state_of(library: Path) -> dict[str, object]:
    """Return everything a library says, without what may differ (ids, times, generations)."""
    with sqlite3.connect(library / "catalogue.sqlite") as db:
        vectors = db.execute(
            "SELECT c.hash, e.vector FROM embeddings e JOIN contents c ON c.id = e.content_id"
        ).fetchall()
        contents = db.execute("SELECT count(*) FROM contents").fetchone()
    db.close()
    with Library.open(library) as opened:
        return {
            "photos": [(photo.path, photo.content_hash, photo.facts) for photo in opened.photos()],
            "problems": list(opened.problems()),
            "contents": contents,
            "vectors": sorted(vectors),
            "answers": [
                (hit.photo.path, hit.similarity) for hit in opened.search("red and dark", limit=PHOTOS)
            ],
        }


def moments(count: int, seconds: float, seed: int) -> Iterator[float]:
    """Yield moments of a run, one at random in each of ``count`` equal parts."""
    chance = random.Random(seed)
    for number in range(count):
        yield (number + chance.random()) / count * seconds


def kill_at(moment: float, scene: Scene, library: Path) -> Verdict:
    """Kill an index ``moment`` seconds after its start; judge what is left and what the next run makes."""
    verdict = Verdict(moment)
    if scene.library is not None:
        shutil.copytree(scene.library, library)
    talk = library.parent / f"{library.name}.talk"
    with (
        open(talk, "wb") as file,
        subprocess.Popen(_line(library, scene.photos), env=environment(), stderr=file) as process,
    ):
        time.sleep(moment)
        children = _kill(process)
    alive = psutil.wait_procs(children, timeout=_ORPHAN_SECONDS)[1]
    verdict.faults += [f"worker {child.pid} outlived the kill" for child in alive]
    said = [int(number) for number in re.findall(r"^stored (\d+)$", talk.read_text(), re.MULTILINE)]
    verdict.stored = max(said, default=0)
    _judge_what_is_left(verdict, scene, library)
    _judge_the_next_run(verdict, scene, library)
    return verdict


def _kill(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Kill a process and return the children it had at that moment."""
    if process.poll() is not None:
        return []
    process.send_signal(signal.SIGSTOP)  # so that no child is born between looking and killing
    try:
        children = list(psutil.Process(process.pid).children(recursive=True))
    except psutil.NoSuchProcess:
        children = []
    process.kill()
    process.wait()
    return children


def _judge_what_is_left(verdict: Verdict, scene: Scene, library: Path) -> None:
    if not (library / "catalogue.sqlite").exists():
        if verdict.stored:
            verdict.faults.append("photos were reported stored, and there is no library")
            verdict.lost = verdict.stored
        return
    try:
        with Library.open(library) as opened:
            known = {photo.path for photo in opened.photos()} | {
                problem.path for problem in opened.problems()
            }
            found = [f"before the next run: {finding.text}" for finding in opened.check()]
            verdict.faults += found
            verdict.whole = not found
    except PhotoclipError as error:
        verdict.faults.append(f"the library cannot be opened: {error}")
        verdict.whole, verdict.lost = False, verdict.stored
        return
    paths = sorted(os.fsencode(path) for path in scene.photos.glob("*.png"))
    reported = paths[scene.known :][: verdict.stored]
    lost = [path for path in reported if path not in known]
    verdict.faults += [f"{path!r} was reported stored and is not there" for path in lost]
    verdict.lost = len(lost)


def _judge_the_next_run(verdict: Verdict, scene: Scene, library: Path) -> None:
    try:
        with Library.open_or_create(library) as opened:
            opened.index([scene.photos], IndexOptions(model=MODEL, jobs=2))
            verdict.faults += [finding.text for finding in opened.check()]
    except PhotoclipError as error:
        verdict.faults.append(f"the next run failed: {error}")
        return
    state = state_of(library)
    verdict.faults += [
        f"{name} differ from an undisturbed run's" for name in state if state[name] != scene.state[name]
    ]


# -- the faults -----------------------------------------------------------------------------------

_KNOWN = 20  # photos


@fault(1, "killed during the walk")
def killed_walking(place: Path, scale: Scale) -> Outcome:
    """Kill at random moments a run that has many folders to compare and a few new photos at their end."""
    scene = set_scene(place)
    for number in range(scale.rounds(500, 3000)):
        (scene.photos / f"folder {number}").mkdir()
    known = place / "known"
    with Library.open_or_create(known) as library:
        library.index(sorted(scene.photos.glob("*.png"))[:_KNOWN], IndexOptions(model=MODEL))
    began = time.monotonic()
    shutil.copytree(known, place / "again")
    subprocess.run(_line(place / "again", scene.photos), env=environment(), check=True, capture_output=True)
    scene = replace(scene, library=known, known=_KNOWN, seconds=(time.monotonic() - began) / 2)
    return _killed(place, scene, scale, scale.rounds(1, 50))


@fault(2, "killed during the embedding")
def killed_embedding(place: Path, scale: Scale) -> Outcome:
    """Kill at random moments a run that makes a library."""
    from tests.faults.disk import kill_at_every_call  # which judges by what is here

    outcome = _killed(place, set_scene(place), scale, scale.rounds(1, 150))
    calls = place / "calls"
    calls.mkdir()
    kill_at_every_call(outcome, calls, scale)
    return outcome


def _killed(place: Path, scene: Scene, scale: Scale, rounds: int) -> Outcome:
    outcome = Outcome()
    for moment in moments(rounds, scene.seconds, scale.seed):
        library = place / "killed"
        verdict = kill_at(moment, scene, library)
        outcome.rounds += 1
        outcome.count("whole afterwards", verdict.whole)
        outcome.count("rows acknowledged", verdict.stored)
        outcome.count("of them lost", verdict.lost)
        outcome.faults += [f"after {moment:.2f} s: {text}" for text in verdict.faults]
        shutil.rmtree(library, ignore_errors=True)
    return outcome
