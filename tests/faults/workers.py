"""Decode workers that are killed, and files that want all the memory there is: F5, F6."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random

import psutil
from PIL import Image

from photoclip import Library
from tests.conftest import command, environment, evidence
from tests.faults.fault import Outcome, Scale, fault
from tests.faults.killing import state_of
from tests.pictures import paint, paint_many
from tests.test_decode_workers import black_png

_SIGNALS = (signal.SIGKILL, signal.SIGSEGV)
_CRASHED = "it crashed the decoder"
_SIDE = 2000  # pixels: a few hundredths of a second to decode
_LOADED = 0.2  # seconds of work: less is Python and Pillow being loaded
_BACK = 5.0  # seconds a killed worker may cost


# -- F5 -------------------------------------------------------------------------------------------


@fault(5, "a decode worker is killed")
def killed_workers(place: Path, scale: Scale) -> Outcome:
    """Kill workers in the middle of runs; each run must end as one that nobody disturbed."""
    outcome, chance = Outcome(), scale.chance("workers")
    photos = place / "photos"
    _paint_slow(photos, scale.rounds(24, 40))
    before = evidence(photos)
    seconds, _ = _index(place / "undisturbed", photos, outcome)
    expected = state_of(place / "undisturbed")
    for number in range(scale.rounds(2, 20)):
        library = place / f"library-{number}"
        signals = [_SIGNALS[number % 2]] * scale.rounds(1, 4)
        outcome.rounds += 1
        took, killed = _index(library, photos, outcome, partial(_kill_workers, signals, chance))
        outcome.count("workers killed", killed)
        outcome.require(killed > 0, f"round {number}: no worker was there to be killed")
        late = took > seconds + _BACK * killed
        outcome.require(not late, f"round {number}: {took:.1f} s, undisturbed {seconds:.1f} s")
        _judge(outcome, library, expected, killed)
    outcome.require(evidence(photos) == before, "photos were changed")
    return outcome


def _paint_slow(folder: Path, count: int) -> None:
    """Save different files of one picture that takes some hundredths of a second to decode."""
    content = paint(folder / "000.png", "red", side=_SIDE).read_bytes()
    for number in range(1, count):
        (folder / f"{number:03}.png").write_bytes(content + number.to_bytes(2, "big"))


def _kill_workers(signals: Sequence[signal.Signals], chance: Random, process: subprocess.Popen[bytes]) -> int:
    """Send a busy worker of a process each of these signals, at random moments; return how many were."""
    watched, killed = psutil.Process(process.pid), set[int]()
    while len(killed) < len(signals) and process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended while we looked
            workers = [child for child in watched.children() if child.pid not in killed]
            busy = [child for child in workers if child.cpu_times().user > _LOADED]
            if busy:
                time.sleep(chance.random() * 0.05)
                worker = chance.choice(busy)
                worker.send_signal(signals[len(killed)])
                killed.add(worker.pid)
        time.sleep(0.01)
    return len(killed)


def _index(
    library: Path,
    photos: Path,
    outcome: Outcome,
    kill: Callable[[subprocess.Popen[bytes]], int] | None = None,
) -> tuple[float, int]:
    """Index in a process of its own and put what is wrong into ``outcome``; return the seconds it took
    and how many workers were killed."""
    line = command("--library", library, "index", photos, "--model", "fake", "-j", "2", "-v")
    began = time.monotonic()
    with subprocess.Popen(
        line, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        killed = kill(process) if kill else 0
        talk = process.communicate(timeout=120)[1].decode()
    outcome.require(process.returncode == 0, f"index ended with {process.returncode}: {talk[-300:]}")
    outcome.require("Traceback" not in talk, "index told a traceback")
    return time.monotonic() - began, killed


def _judge(outcome: Outcome, library: Path, expected: dict[str, object], killed: int) -> None:
    """Judge a run with killed workers; a file that met two of them may be a problem, and only that."""
    with Library.open(library) as opened:
        problems = list(opened.problems())
        outcome.faults += [finding.text for finding in opened.check()]
    outcome.count("files that lost both tries", len(problems))
    outcome.require(len(problems) <= killed // 2, f"{killed} kills cost {len(problems)} files")
    outcome.require(all(problem.reason == _CRASHED for problem in problems), f"reasons: {problems}")
    if not problems:
        state = state_of(library)
        outcome.faults += [
            f"{name} are not an undisturbed run's" for name in state if state[name] != expected[name]
        ]


# -- F6 -------------------------------------------------------------------------------------------

_LIMITED = """
import functools, sys
import photoclip.images as images
images.DecodePool = functools.partial(images.DecodePool, memory_limit_bytes=int(sys.argv[1]))
from photoclip.cli.run import run
sys.exit(run(sys.argv[2:]))
"""
"""photoclip with another memory limit for its workers."""

_MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
"""A process small enough to say nothing of its own about memory: a child starts with its parent's peak."""

_UNIT = 1 if sys.platform == "darwin" else 1024
_MOST = 1_500_000_000
_GOOD = 12


@fault(6, "files want more memory than there is")
def memory_bombs(place: Path, scale: Scale) -> Outcome:
    """Index bombs among good photos, with workers of 512 MB and (in the long form) with the usual ones."""
    outcome, photos = Outcome(), place / "photos"
    good = {os.fsencode(path) for path in paint_many(photos, _GOOD)}
    bombs = {os.fsencode(path) for path in _bombs(photos, scale.rounds(1, 4))}
    before = evidence(photos)
    for limit in (512_000_000, _MOST)[: scale.rounds(1, 2)]:
        library = place / f"library-{limit}"
        peak = _index_limited(library, photos, limit, outcome)
        outcome.require(
            peak <= _MOST, f"{peak // 1_000_000} MB at once under a limit of {limit // 1_000_000}"
        )
        with Library.open(library) as opened:
            indexed = {photo.path for photo in opened.photos()}
            problems = {problem.path: problem.reason for problem in opened.problems()}
            outcome.faults += [finding.text for finding in opened.check()]
        outcome.rounds += len(good | bombs)
        outcome.count("bombs", len(bombs))
        outcome.faults += [f"{path!r} was not indexed" for path in good - indexed]
        outcome.faults += [f"{path!r} has no outcome" for path in bombs - indexed - set(problems)]
        outcome.faults += [f"{path!r}: {reason}" for path, reason in problems.items() if reason == _CRASHED]
        if limit < _MOST:  # with the usual memory some of them are large pictures, no more
            outcome.faults += [f"{path!r} was taken for a photo" for path in bombs & indexed]
    outcome.require(evidence(photos) == before, "photos were changed")
    return outcome


def _bombs(folder: Path, count: int) -> Iterator[Path]:
    """Save small files that unpack to a great deal: ``count`` of each kind."""
    for number in range(count):
        yield black_png(folder / f"bomb-{number}.png", 9000 + number, 9000)
        yield _lying_jpeg_2000(folder / f"bomb-{number}.jp2", 9900 + number)
        yield _lying_gif(folder / f"bomb-{number}.gif", 16000 + number)


def _lying_jpeg_2000(path: Path, side: int) -> Path:
    """Save a JPEG 2000 of 64 x 64 pixels that says it has ``side`` times ``side``, in one tile."""
    Image.new("RGB", (64, 64), "red").save(path)
    content = bytearray(path.read_bytes())
    size, (box, marker) = struct.pack(">II", side, side), (content.index(b"ihdr"), content.index(b"\xff\x51"))
    for place in (box + 4, marker + 6, marker + 22):
        content[place : place + 8] = size
    path.write_bytes(content)
    return path


def _lying_gif(path: Path, side: int) -> Path:
    """Save a GIF of 29 bytes that says it has 10,000 rows of ``side`` pixels."""
    size = struct.pack("<HH", side, 10_000)
    path.write_bytes(b"GIF89a" + size + b"\0\0\0,\0\0\0\0" + size + b"\0\x02\x02\x4c\x01\0;")
    return path


def _index_limited(library: Path, photos: Path, limit: int, outcome: Outcome) -> int:
    """Index with workers of ``limit`` bytes; return the bytes the largest process had in memory at once."""
    arguments = ("--library", library, "index", photos, "--model", "fake", "-j", "2")
    line = [sys.executable, "-c", _LIMITED, str(limit), *map(str, arguments)]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *line],
        capture_output=True,
        env=environment(),
        timeout=240,
        text=True,
    )
    outcome.require(done.returncode == 0, f"index ended with {done.returncode}: {done.stderr[-300:]}")
    outcome.require("Traceback" not in done.stderr, "index told a traceback")
    return int(done.stdout.split()[-1]) * _UNIT
