"""Ctrl-C at any moment of any command: one line, exit code 130, within two seconds, and nothing lost."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from photoclip import Library
from photoclip.indexing import IndexOptions
from tests.conftest import command, environment
from tests.faults.fault import Outcome, Scale
from tests.pictures import paint_many

PATIENCE = 2.0
"""Seconds after Ctrl-C in which a command must have ended."""
_LINE = "error: interrupted; what was stored is kept"
_PHOTOS = 60

# Runs at the end of the interpreter's own start, before the first line of photoclip.
_SAYS_WHEN_IT_BEGINS = "import os; os.write(int(os.environ['BEGINS']), b'.')\n"


@dataclass(frozen=True)
class _Scene:
    place: Path
    library: Path
    commands: tuple[tuple[str, ...], ...]


def _set_scene(place: Path, long: bool) -> _Scene:
    """Make a library, photos that are not in it, one of which takes long to decode, and the commands."""
    paint_many(place / "photos", _PHOTOS)
    Image.new("L", (9000, 9000)).save(place / "photos" / "slow.png", compress_level=1)
    paint_many(place / "known", _PHOTOS)
    (place / "labels").write_text("red\nblue\n")
    (place / "site").mkdir()
    (place / "site" / "sitecustomize.py").write_text(_SAYS_WHEN_IT_BEGINS)
    with Library.open_or_create(place / "library") as library:
        library.index([place / "known"], IndexOptions(model="fake", jobs=1))
    index = ("index", str(place / "photos"), "--batch-size", "4", "-j", "2", "--model")
    commands: list[tuple[str, ...]] = [
        (*index, "fake:slow"), ("search", "red"), ("search", "--like", str(place / "photos" / "slow.png")),
        ("tag", "--labels", str(place / "labels")), ("dupes",), ("check",),
    ]  # fmt: skip
    if long:
        commands.append((*index, "builtin"))
    return _Scene(place, place / "library", tuple(commands) if long else tuple(commands[::2]))


def _start(scene: _Scene, library: Path, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own, and return when it begins."""
    ours, theirs = os.pipe()
    variables = environment(BEGINS=str(theirs))
    variables["PYTHONPATH"] = os.pathsep.join((str(scene.place / "site"), variables["PYTHONPATH"]))
    process = subprocess.Popen(
        command("--library", library, "-q", *arguments),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=variables, pass_fds=(theirs,), start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    os.read(ours, 1)
    os.close(ours)
    return process


def _seconds(scene: _Scene, arguments: tuple[str, ...]) -> float:
    """Return how long a command takes when nobody disturbs it."""
    library = Path(shutil.copytree(scene.library, scene.place / "timed"))
    process = _start(scene, library, arguments)
    began = time.monotonic()
    process.communicate(timeout=120)
    shutil.rmtree(library)
    return time.monotonic() - began


def _judge(scene: _Scene, arguments: tuple[str, ...], moment: float, outcome: Outcome) -> None:
    outcome.rounds += 1
    library = Path(shutil.copytree(scene.library, scene.place / f"library-{outcome.rounds}"))
    process = _start(scene, library, arguments)
    time.sleep(moment)
    pressed = time.monotonic()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    talk = process.communicate(timeout=120)[1].decode("utf-8", "replace")
    took = time.monotonic() - pressed
    where = f"{arguments[0]} ({arguments[-1]}) after {moment:.3f} s"
    if "Traceback" in talk and "/photoclip/cli/" not in talk:
        outcome.count("before the first line")  # Python's own import of the package: nothing can be done yet
    elif process.returncode == 0 and not talk:
        outcome.count("ended before")
    else:
        outcome.require(process.returncode == 130, f"{where}: exit code {process.returncode}")
        outcome.require(talk.splitlines() == [_LINE], f"{where}: said {talk[-400:]!r}")
        outcome.require(took < PATIENCE, f"{where}: took {took:.1f} s")
        outcome.count("interrupted")
    with Library.open(library) as opened:
        outcome.require(opened.check() == [], f"{where}: check finds {opened.check()}")
        outcome.require(len(list(opened.photos())) >= _PHOTOS, f"{where}: photos were lost")
    shutil.rmtree(library)


def interrupts(place: Path, scale: Scale) -> Outcome:
    """Press Ctrl-C at random moments, one in each equal part of the time that each command takes."""
    outcome = Outcome()
    scene = _set_scene(place, scale.long)
    chance: random.Random = scale.chance("interrupts")
    for arguments in scene.commands:
        seconds = _seconds(scene, arguments)
        parts = scale.rounds(1, 15)
        for number in range(parts):
            _judge(scene, arguments, (number + chance.random()) / parts * seconds, outcome)
    return outcome
