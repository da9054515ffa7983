"""A library of a few real photos and a crowd of made-up ones, with a graph; and what it ought to answer.

Its caches are harmed by ``caches``. Everything that reads them runs in a ``Servant``, a process of its own:
damage may end a process, and in there graphs are built and asked at sizes where photoclip never would.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photoclip import Library, vectors
from photoclip.encoders.fake import WORDS, FakeEncoder
from photoclip.errors import LibraryLocked
from photoclip.indexing import IndexOptions
from photoclip.records import DecodedPhoto, FileStamp, PhotoFacts, ScannedFile, SearchHit
from photoclip.store import FoundFile
from photoclip.vectors import graph as graph_room
from tests.conftest import ROOT, environment
from tests.pictures import paint_many

CACHES = ("1.matrix", "1.hnsw", "1.hnsw.stamp")
BATCH = 50
MOST = 200
"""How many batches there may be."""

FAKE = IndexOptions(model="fake", jobs=1)
_OFTEN = 1_000_000
_ROUNDING = 1e-6
_PATIENCE = 300.0
_GRAPHS_FROM = 100
_NEWLY_OPENED = 0.3

Rows = NDArray[np.float64]


# -- made-up photos -------------------------------------------------------------------------------


def make(place: str, batches: int, world: int = 1, model: str = "fake") -> None:
    """Make a library in ``place`` of twelve real photos and ``batches`` of made-up ones, with all caches."""
    paint_many(Path(place, "photos"), 12)
    with Library.open_or_create(Path(place, "library")) as library:
        library.index([Path(place, "photos")], IndexOptions(model=model, jobs=1))
    add(place, 0, batches, world)


def add(place: str, first: int, batches: int, world: int = 1, save: bool = True) -> None:
    """Add ``batches`` of made-up photos, each in a transaction, from batch ``first`` of a ``world`` on."""
    with Library.open(Path(place, "library")) as library:
        inner = library.inner
        with inner.lock("adding"):
            model = inner.model()
            for batch in range(first, first + batches):
                inner.store.record(model.id, _made_up(batch, world), [])
            if save:
                inner.refresh_vectors(model)


_HELD: list[Library] = []


def add_and_hold(place: str, first: int, batches: int, world: int = 1) -> None:
    """Add photos and keep the catalogue open, so that what was stored is still in its -wal file."""
    _HELD.append(Library.open(Path(place, "library")))
    add(place, first, batches, world)


def path_of(number: int, world: int) -> bytes:
    """Return the path of a made-up photo."""
    return b"/crowd/%d/%06d.png" % (world, number)


def rows_of(count: int, world: int) -> NDArray[np.float32]:
    """Return the embeddings of the first ``count`` made-up photos; every tenth is a copy of another."""
    rows = np.abs(np.random.default_rng(world).normal(size=(count, len(WORDS)))) ** 3
    rows[9::10] = rows[8::10][: len(rows[9::10])]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


def _made_up(batch: int, world: int) -> list[FoundFile]:
    found = []
    rows = rows_of((batch + 1) * BATCH, world)
    for number in range(batch * BATCH, (batch + 1) * BATCH):
        content = hashlib.sha256(b"%d %d" % (world, number)).digest()
        file = ScannedFile(path_of(number, world), FileStamp(1, 1, 1, number))
        decoded = DecodedPhoto(content, PhotoFacts(1, 1, "PNG"), b"", bytes(1024))
        found.append(FoundFile(file, content, decoded, rows[number].astype("<f4").tobytes()))
    return found


# -- what is right --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """What to ask: a text or an example, how many answers, and from what to choose (every nth photo)."""

    text: str = ""
    like: bool = False
    limit: int = 20
    every: int = 0


QUESTIONS = (
    Question("red and dark"),
    Question("blue", every=3),
    Question(like=True, limit=7),
    Question("something bright green", limit=100_000),
)


class Truth:
    """The photos and embeddings that the catalogue holds, and exact answers from them in float64."""

    def __init__(self, library: Path) -> None:
        with closing(sqlite3.connect(library / "catalogue.sqlite")) as db:
            found = db.execute(
                "SELECT p.path, e.vector FROM photos p JOIN embeddings e ON e.content_id = p.content_id"
                " WHERE p.missing_since IS NULL AND e.model_id = (SELECT m.id FROM models m JOIN settings s"
                " ON s.key = 'model' AND s.value = m.spec ORDER BY chosen DESC LIMIT 1) ORDER BY p.path"
            ).fetchall()
        self.paths: list[bytes] = [path for path, _ in found]
        self.rows = np.array([np.frombuffer(vector, "<f4") for _, vector in found], np.float64)

    def example(self) -> bytes:
        """Return the photo to ask for more like it: a real one."""
        return next(path for path in self.paths if not path.startswith(b"/crowd"))

    def wrong(self, question: Question, library: Library) -> str:
        """Ask, and say what is wrong with the answers (nothing, one hopes)."""
        chosen = self.paths[:: question.every] if question.every else self.paths
        hits = library.search(
            *([question.text] if question.text else []),
            like=[self.example()] if question.like else [],
            limit=question.limit,
            among=chosen if question.every else None,
        )
        rows = self.rows[:: question.every] if question.every else self.rows
        if question.like:
            vector = self.rows[self.paths.index(self.example())]
        else:
            vector = FakeEncoder().encode_texts([question.text])[0].astype(np.float64)
        found = {hit.photo.path: hit.similarity for hit in hits}
        return (
            ""
            if right(found, len(hits), chosen, rows @ vector, question.limit)
            else f"{question}: {len(hits)} hits"
        )


def right(
    found: dict[bytes, float], hits: int, paths: Sequence[bytes], similarities: Rows, limit: int
) -> bool:
    """Return whether ``found`` are the best of ``paths``, rightly measured; ties may fall either way."""
    if not hits == len(found) == min(limit, len(paths)):
        return False
    known = dict(zip(paths, similarities.tolist(), strict=True))
    best = np.sort(similarities)[::-1][:hits]
    same = np.allclose(list(found.values()), best, rtol=0, atol=_ROUNDING)
    return same and all(abs(known.get(path, -9) - value) <= _ROUNDING for path, value in found.items())


# -- the judge ------------------------------------------------------------------------------------


def judge(place: str, graph_first: bool = False) -> dict[str, Any]:
    """Say what is wrong with the answers of a library, with a scan and through the graph, and what it mended.

    ``wrong``: sentences; ``loaded``: whether a graph was there to be asked; ``findings``: what check says.
    """
    directory = Path(place, "library")
    truth = Truth(directory)
    verdict: dict[str, Any] = {"wrong": [], "loaded": False}
    for searches in (_OFTEN, 0) if graph_first else (0, _OFTEN):
        with Library.open(directory) as library:
            for question in QUESTIONS:
                library.inner.searches = searches
                wrong = truth.wrong(question, library)
                if wrong:
                    verdict["wrong"].append(f"{wrong} {'through the graph' if searches else 'by scan'}")
            if searches:
                verdict["loaded"] = library.inner.graph(library.inner.model()) is not None
    with Library.open(directory) as library:
        verdict["findings"] = [finding.text for finding in library.check()]
    return verdict


def repair(place: str) -> list[str]:
    """Repair, index the real photos again, and say what was read and what is still wrong."""
    with Library.open(Path(place, "library")) as library:
        library.check(repair=True)
        report = library.index(library.inner.store.roots(), FAKE)
        wrong = [f"still wrong after a repair: {finding.text}" for finding in library.check()]
        if report.embedded or report.added or report.updated:
            wrong.append(f"photos were read again: {report}")
    verdict = judge(place)
    if not verdict["loaded"]:
        wrong.append("the graph was not made again")
    return wrong + [f"after a repair: {text}" for text in verdict["wrong"]]


def add_often(place: str, first: int, enough: str) -> None:
    """Add a batch at a time and save now and then, until there is a file ``enough``."""
    while not os.path.exists(enough) and first < MOST:
        try:
            add(place, first, 1, save=first % 3 == 0)
        except LibraryLocked:  # by a search that is mending the caches
            time.sleep(0.01)
            continue
        first += 1
        time.sleep(0.05)


def ask_often(place: str, times: int, seed: int) -> dict[str, Any]:
    """Ask ``times``; return what was wrong and of how many states the answers were.

    Every answer must be the exact one over the first so many batches, and not fewer than were there before.
    """
    directory, dice, all_states = (
        Path(place, "library"),
        random.Random(seed),
        _AllStates(Path(place, "library")),
    )
    states: set[int] = set()
    wrong = []
    library = Library.open(directory)
    for number in range(times):
        if dice.random() < _NEWLY_OPENED:
            library.close()
            library = Library.open(directory)
        library.inner.searches = dice.choice((0, _OFTEN))
        text, limit, every = dice.choice(WORDS), dice.choice((5, 20, 5000)), dice.choice((1, 1, 3))
        at_least = all_states.committed()
        hits = library.search(text, limit=limit, among=all_states.paths[::every] if every > 1 else None)
        state = all_states.answered_by(hits, text, limit, every, at_least)
        if state is None:
            wrong.append(
                f"search {number}: {text}, {limit} of every {every}: {len(hits)} hits, not of {at_least}+"
            )
        else:
            states.add(state)
    library.close()
    return {"wrong": wrong, "states": len(states)}


class _AllStates:
    """The states a library goes through while batch after batch is added, and which of them answers so."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        truth = Truth(directory)
        real = [number for number, path in enumerate(truth.paths) if not path.startswith(b"/crowd")]
        self._real = len(real)
        self.paths = [truth.paths[number] for number in real]
        self.paths += [path_of(number, 1) for number in range(MOST * BATCH)]
        self._rows = np.concatenate((truth.rows[real], rows_of(MOST * BATCH, 1)), dtype=np.float64)

    def committed(self) -> int:
        """Return how many batches are there by now."""
        with closing(sqlite3.connect(self._directory / "catalogue.sqlite")) as db:
            return int((db.execute("SELECT count(*) FROM photos").fetchone()[0] - self._real) // BATCH)

    def answered_by(
        self, hits: Sequence[SearchHit], text: str, limit: int, every: int, at_least: int
    ) -> int | None:
        """Return after how many batches ``hits`` were the right answer, if ever."""
        found = {hit.photo.path: hit.similarity for hit in hits}
        similarities = self._rows @ FakeEncoder().encode_texts([text])[0].astype(np.float64)
        for state in range(at_least, MOST + 1):
            part = slice(0, self._real + state * BATCH, every)
            if right(found, len(hits), self.paths[part], similarities[part], limit):
                return state
        return None


def numbers(place: str, world: int = 1) -> list[int]:
    """Return the numbers of the made-up photos that the catalogue holds."""
    prefix = b"/crowd/%d/" % world
    paths = Truth(Path(place, "library")).paths
    return [int(path[len(prefix) : -4]) for path in paths if path.startswith(prefix)]


# -- a process of its own -------------------------------------------------------------------------

_ORDERS: tuple[Callable[..., Any], ...] = (
    make, add, add_and_hold, add_often, ask_often, judge, repair, numbers,
)  # fmt: skip


class ServantDied(Exception):
    """The process that was to do it ended instead."""


class Servant:
    """A process that does what functions of this module do; after its death the next order starts another."""

    def __init__(self, talk: Path) -> None:
        self._talk = talk
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Servant:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.communicate()

    def __call__(self, order: Callable[..., Any], *arguments: Any) -> Any:
        """Do it there and return what came of it; raises ServantDied."""
        process = self._process or self._hired()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([order.__name__, *map(_plain, arguments)]) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            self._process = None
            raise ServantDied(
                f"{order.__name__} ended with {process.wait()}: {self._talk.read_text()[-500:]}"
            )
        return json.loads(answer)

    def _hired(self) -> subprocess.Popen[str]:
        with self._talk.open("w") as talk:
            self._process = subprocess.Popen(
                _SERVING, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=talk, text=True, cwd=ROOT,
                env=environment(),
            )  # fmt: skip
        return self._process


_SERVING = (sys.executable, "-c", "from tests.faults.crowd import serve; serve()")


def _plain(argument: Any) -> Any:
    return str(argument) if isinstance(argument, Path) else argument


def serve() -> None:
    """Do what each line of standard input says, until it ends."""
    vectors.HNSW_FROM = graph_room.HNSW_FROM = _GRAPHS_FROM
    orders = {order.__name__: order for order in _ORDERS}
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        faulthandler.dump_traceback_later(_PATIENCE, exit=True)
        name, *arguments = json.loads(line)
        print(json.dumps(orders[name](*arguments)), file=answers, flush=True)
        faulthandler.cancel_dump_traceback_later()
