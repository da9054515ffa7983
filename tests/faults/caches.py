"""Faults of the vector caches: cut, damaged, of something else, half saved, or newer than their catalogue."""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from photoclip import Library
from photoclip.encoders.fake import WORDS
from photoclip.vectors import Matrix, Stamp, build_graph, write_matrix
from tests.broken_files import Damage, cuts, flips, pages
from tests.conftest import evidence
from tests.faults import crowd
from tests.faults.crowd import BATCH, CACHES, Servant, ServantDied
from tests.faults.fault import Outcome, Scale, fault
from tests.faults.preload import CHANGING, KILLED_AFTER, KILLED_BEFORE, Watch

MATRIX, GRAPH, STAMP = CACHES
_BATCHES = 12
_HEADER = 128
_REPAIR_EVERY = 6

Files = dict[str, bytes]


@functools.cache
def _scene() -> Path:
    """Make the library that most of these faults harm, once in a process."""
    place = Path(tempfile.mkdtemp(prefix="photoclip-crowd-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    with Servant(place / "talk") as servant:
        servant(crowd.make, place, _BATCHES)
    return place


def _copied(place: Path) -> Path:
    """Copy the library of the scene; the photos stay where they are."""
    shutil.copytree(_scene() / "library", place / "scene" / "library")
    return place / "scene"


def _files(place: Path) -> Files:
    paths = {name: place / "library" / "vectors" / name for name in CACHES}
    return {name: path.read_bytes() if path.exists() else b"" for name, path in paths.items()}


def _put(place: Path, files: Files) -> None:
    """Put cache files in place as new files: old ones may still be mapped."""
    for name, content in files.items():
        path = place / "library" / "vectors" / name
        path.with_suffix(".put").write_bytes(content)
        path.with_suffix(".put").rename(path)


# -- damaged and foreign files --------------------------------------------------------------------


def _withstand(place: Path, outcome: Outcome, cases: Iterable[tuple[str, Files]]) -> None:
    """Put each case's files where whole ones were; each must be noticed, and no answer be wrong."""
    whole, before = _files(place), evidence(_scene() / "photos")
    outcome.count("crashes", 0)
    with Servant(place / "talk") as servant:
        for number, (name, files) in enumerate(cases):
            foreign = {file: content for file, content in files.items() if content != whole[file]}
            if not foreign:
                continue
            _put(place, whole | foreign)
            outcome.rounds += 1
            try:
                found = list(_judged(servant, place, whole, foreign, number))
            except ServantDied as died:
                found = [str(died)]
                outcome.count("crashes")
            outcome.faults += [f"{name}: {text}" for text in found]
            outcome.count("noticed and answered rightly", not found)
    outcome.require(evidence(_scene() / "photos") == before, "photos changed")


def _judged(servant: Servant, place: Path, whole: Files, foreign: Files, number: int) -> Iterator[str]:
    verdict = servant(crowd.judge, place, bool(number % 2))
    yield from verdict["wrong"]
    if _files(place)[MATRIX] != whole[MATRIX]:
        yield "the matrix was not made again"
    if foreign.keys() == {MATRIX}:
        yield from (f"after a search, check still says: {text}" for text in verdict["findings"])
        if not verdict["loaded"]:
            yield "the graph was not used, though it was whole"
    elif verdict["loaded"]:
        yield "the graph was believed"
    if number % _REPAIR_EVERY == 0:
        yield from servant(crowd.repair, place)


@fault(11, "cache files are cut")
def caches_cut(place: Path, scale: Scale) -> Outcome:
    """Cut each of the files at many places, and all of them at once."""
    outcome, scene = Outcome(), _copied(place)
    whole = _files(scene)
    places = scale.rounds(4, 40)
    cases = [
        (f"{name} {what}", {name: content}) for name in CACHES for what, content in cuts(whole[name], places)
    ]
    _withstand(scene, outcome, [*cases, ("all are empty", dict.fromkeys(CACHES, b""))])
    return outcome


@fault(12, "bits flip in cache files, and pages are lost or change places")
def caches_damaged(place: Path, scale: Scale) -> Outcome:
    """Damage header, ids, checksums, rows, the graph and its stamp."""
    outcome, scene, dice = Outcome(), _copied(place), scale.chance("caches")
    whole = _files(scene)
    _withstand(
        scene,
        outcome,
        (
            (f"{name}: {what}", {name: content})
            for name in CACHES
            for what, content in _damages(name, whole[name], dice, scale)
        ),
    )
    return outcome


def _damages(name: str, content: bytes, dice: random.Random, scale: Scale) -> Iterator[Damage]:
    few = scale.rounds(1, 16)
    yield from flips(content, dice, scale.rounds(3, 32), 0, _HEADER)
    if name == MATRIX:
        count = int.from_bytes(content[24:32], "little")
        sums, rows = _HEADER + 8 * count, len(content) - 4 * len(WORDS) * count
        yield from flips(content, dice, few, _HEADER, sums)
        yield from flips(content, dice, few, sums, rows)
        yield from flips(content, dice, scale.rounds(3, 64), rows)
    else:
        yield from flips(content, dice, scale.rounds(2, 24), _HEADER)
    yield from pages(content, dice, scale.rounds(1, 20))


@fault(13, "cache files are of another library, model, dimension or moment")
def caches_swapped(place: Path, scale: Scale) -> Outcome:
    """Put files of something else where the library's own were, one by one and together."""
    outcome, scene = Outcome(), _copied(place)
    older = _files(scene)
    with Servant(place / "talk") as servant:
        servant(crowd.add, scene, _BATCHES, 2)
        others = {"of an older moment": older, **_of_no_use(place, scene)}
        if scale.long:
            others.update(_of_others(place, servant))
    whole = _files(scene)
    together = [names for size in (1, 2, 3) for names in itertools.combinations(CACHES, size)]
    cases = [
        (f"{' and '.join(names)} {what}", {name: files[name] for name in names})
        for what, files in others.items()
        for names in together
    ]
    cases += [
        (f"{source} in place of {name}", {name: whole[source]})
        for source, name in itertools.permutations(CACHES, 2)
    ]
    _withstand(scene, outcome, cases if scale.long else cases[:: len(cases) // 12])
    return outcome


def _of_others(place: Path, servant: Servant) -> dict[str, Files]:
    """Return the cache files of other libraries."""
    found = {}
    for what, (world, model) in {
        "of a library of the same photos": (1, "fake"),
        "of a library of other photos": (2, "fake"),
        "of a library with another model": (1, "fake:slow"),
    }.items():
        other = place / what
        other.mkdir()
        servant(crowd.make, other, _BATCHES + 2, world, model)
        found[what] = _files(other)
    return found


def _of_no_use(place: Path, scene: Path) -> dict[str, Files]:
    """Return cache files of other rows that say of themselves what nearly fits the library."""
    with Library.open(scene / "library") as library:
        stamp = library.inner.stamp(library.inner.model())
    changes: dict[str, dict[str, Any]] = {
        "of another library": {"library_id": "0" * 32},
        "of another model": {"model": "fake:slow"},
        "of another dimension": {"dimension": stamp.dimension // 2},
        "of other weights": {"weights_hash": "0" * 64},
        "of the generation before": {"generation": stamp.generation - 1},
        "of the generation after": {"generation": stamp.generation + 1},
        "of one photo less": {"rows": stamp.rows - 1, "generation": stamp.generation - 1},
    }
    found = {what: _written(place / what, stamp._replace(**change)) for what, change in changes.items()}
    first = {name: bytearray(content) for name, content in _files(scene).items()}
    for name in (MATRIX, STAMP):
        first[name][8] = 1
        first[name][124:128] = zlib.crc32(first[name][:124]).to_bytes(4, "little")
    return {**found, "of the first format": {name: bytes(content) for name, content in first.items()}}


def _written(folder: Path, stamp: Stamp) -> Files:
    rows = np.random.default_rng(9).normal(size=(stamp.rows, stamp.dimension))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    matrix = Matrix.of(np.arange(1, stamp.rows + 1), rows)
    folder.mkdir()
    write_matrix(str(folder / MATRIX), stamp, matrix.blocks())
    build_graph(matrix).save(str(folder / GRAPH), stamp)
    return {name: (folder / name).read_bytes() for name in CACHES}


# -- caches and catalogue apart -------------------------------------------------------------------


@fault(16, "the catalogue loses its -wal file or comes from an older copy, and the caches are newer")
def caches_newer(place: Path, scale: Scale) -> Outcome:
    """Take away what the catalogue last learned, leave the caches that know it; let it learn other things."""
    outcome, dice = Outcome(), scale.chance("wal")
    for number in range(scale.rounds(1, 8)):
        scene, batches = _copied(place / str(number)), dice.randint(1, 20)
        shutil.copy(scene / "library" / "catalogue.sqlite", scene / "library" / "backup")
        with Servant(place / "talk") as servant:
            servant(crowd.add_and_hold, scene, _BATCHES, batches)
            for what, harm in _LOSSES.items():
                copy = scene / what
                shutil.copytree(scene / "library", copy / "library")
                harm(copy / "library")
                outcome.rounds += 1
                outcome.faults += [f"{what}: {text}" for text in _lost(servant, copy, _BATCHES + batches)]
    return outcome


def _lost(servant: Servant, scene: Path, all_batches: int) -> Iterator[str]:
    """Judge a library whose caches may know more than its catalogue, which once held ``all_batches``."""
    verdict = servant(crowd.judge, scene)
    yield from (f"{text} (before the next change)" for text in (*verdict["wrong"], *verdict["findings"]))
    known = sorted(servant(crowd.numbers, scene))
    if known != list(range(len(known))) or len(known) % BATCH:
        yield "the catalogue holds half a transaction"
    if (scene / "library" / "lost").exists() == (len(known) == all_batches * BATCH):
        yield f"the catalogue holds {len(known)} of {all_batches * BATCH}"
    # Another future: the catalogue counts on from the same number, and gives the same ids to other photos.
    servant(crowd.add, scene, 0, max(1, all_batches - len(known) // BATCH), 7)
    verdict = servant(crowd.judge, scene)
    yield from (f"{text} (after the next change)" for text in (*verdict["wrong"], *verdict["findings"]))
    if not verdict["loaded"]:
        yield "the graph was not brought up to date"


def _lose_the_wal(library: Path) -> None:
    (library / "catalogue.sqlite-wal").rename(library / "lost")


def _lose_both(library: Path) -> None:
    _lose_the_wal(library)
    (library / "catalogue.sqlite-shm").unlink()


def _lose_the_index_of_the_wal(library: Path) -> None:
    (library / "catalogue.sqlite-shm").unlink()


def _restore(library: Path) -> None:
    _lose_both(library)
    (library / "backup").replace(library / "catalogue.sqlite")


_LOSSES = {
    "the -wal file is deleted": _lose_the_wal,
    "the catalogue is copied alone": _lose_both,
    "the -shm file is deleted": _lose_the_index_of_the_wal,
    "an older copy is restored": _restore,
}


@fault(18, "searches while others index and save")
def searches_meanwhile(place: Path, scale: Scale) -> Outcome:
    """Ask while a writer adds and saves: every answer is that of one committed state, none is an error."""
    outcome, scene = Outcome(), _copied(place)
    outcome.rounds = scale.rounds(100, 1000)
    with Servant(scene / "talk of the reader") as reader, Servant(scene / "talk of the writer") as writer:
        writing = threading.Thread(
            target=writer, args=(crowd.add_often, scene, _BATCHES, str(scene / "enough"))
        )
        writing.start()
        try:
            said = reader(crowd.ask_often, scene, outcome.rounds, scale.seed)
        except ServantDied as died:
            said = {"wrong": [str(died)], "states": 0}
        finally:
            (scene / "enough").touch()
            writing.join()
        outcome.faults += said["wrong"]
        outcome.count("states seen", said["states"])
        outcome.require(said["states"] > scale.rounds(3, 20), "hardly anything was written meanwhile")
        outcome.faults += [f"at the end: {text}" for text in reader(crowd.repair, scene)]
    return outcome


# -- saving that is killed ------------------------------------------------------------------------


@fault(3, "a kill at any step of saving the caches")
def saving_killed(place: Path, scale: Scale) -> Outcome:
    """Kill the process before and after every call by which it saves, one after the other."""
    outcome, scene = Outcome(), _copied(place)
    old = _files(scene)
    with Servant(place / "talk") as servant:
        servant(crowd.add, scene, _BATCHES, 4, 1, False)
        undisturbed = Path(shutil.copytree(scene, place / "undisturbed"))
        watch = Watch(undisturbed / "library" / "vectors", CHANGING, place / "calls")
        _save(undisturbed, watch)
        calls, new = watch.seen(), _files(undisturbed)
        moments = [
            (number, how) for number in range(1, len(calls) + 1) for how in (KILLED_BEFORE, KILLED_AFTER)
        ]
        if not scale.long:
            moments = _telling(moments, calls)
        for number, how in moments:
            shutil.rmtree(undisturbed)
            shutil.copytree(scene, undisturbed)
            once = watch.with_harm(number, how)
            _save(undisturbed, once)
            outcome.rounds += 1
            what = f"killed {how.split()[0]} call {number} of {len(calls)}, {calls[number - 1]}"
            outcome.require(bool(once.harmed()), f"{what}: there was no such call")
            outcome.faults += [f"{what}: {text}" for text in _after_kill(servant, undisturbed, old, new)]
    return outcome


_SAVE = """
import sys, photoclip.vectors
from photoclip.library import OpenLibrary
photoclip.vectors.HNSW_FROM = 2
library = OpenLibrary.open(sys.argv[1])
with library.lock("saving"):
    library.refresh_vectors(library.model())
"""


def _save(place: Path, watch: Watch) -> None:
    line = [sys.executable, "-c", _SAVE, str(place / "library")]
    subprocess.run(line, capture_output=True, env=watch.environment(), timeout=60, check=False)


def _telling(moments: list[tuple[int, str]], calls: Sequence[str]) -> list[tuple[int, str]]:
    """Return the moments before each rename, where old turns into new, and one in the middle of a file."""
    renames = [
        (number, how)
        for number, how in moments
        if how == KILLED_BEFORE and calls[number - 1].startswith("rename")
    ]
    return [*renames, moments[len(moments) // 2]]


def _after_kill(servant: Servant, place: Path, old: Files, new: Files) -> Iterator[str]:
    found = _files(place)
    yield from (
        f"{name} is neither old nor new" for name in CACHES if found[name] not in (old[name], new[name])
    )
    verdict = servant(crowd.judge, place)
    yield from verdict["wrong"]
    if verdict["loaded"] and (found[GRAPH], found[STAMP]) != (new[GRAPH], new[STAMP]):
        yield "a graph was believed that is not of this moment"
    yield from servant(crowd.repair, place)
    left = set(os.listdir(place / "library" / "vectors")) - set(CACHES)
    if left:
        yield f"left behind: {left}"
