"""Stand between a process and the files of one folder: count its calls, and harm the Nth (see ``preload.c``).

    watch = Watch(place / "library", calls=WRITING, log=place / "calls")
    subprocess.run(line, env=watch.environment())            # only counts
    for number in range(1, len(watch.seen()) + 1):           # SQLite's way: every one, one after the other
        once = watch.with_harm(number, fails(errno.ENOSPC))              # this call
        full = watch.with_harm(number, fails(errno.ENOSPC), onwards=True)  # this call and all that follow
        dead = watch.with_harm(number, KILLED_BEFORE)                    # this call is never made
        done = subprocess.run(line, env=once.environment())
        print(once.harmed())                                             # ["write /…/catalogue.sqlite-wal"]

The process itself is watched and not its children (decode workers) unless ``children`` is asked for. The
line must start the program itself, as ``tests.conftest.command`` does: a shell in front would be watched in
its place. Linux alone has what this needs, and a C compiler must be there: otherwise tests are passed over.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.conftest import environment

READING = ("read",)
WRITING = ("write",)
ROOM = ("write", "open", "mkdir")
"""What fails when a disk is full."""
FLUSHING = ("fsync", "fdatasync")
CHANGING = ("open", "mkdir", "write", "fsync", "fdatasync", "ftruncate", "rename", "unlink")
"""All that changes what is on disk. ``open`` stands for opening a file that is not there yet; ``read`` and
``write`` for all calls of their kinds (pread, writev, sendfile …)."""

KILLED_BEFORE = f"before {signal.SIGKILL.value}"
KILLED_AFTER = f"after {signal.SIGKILL.value}"
STOPPED_BEFORE = f"before {signal.SIGSTOP.value}"
HALF = "short"
"""Half the bytes are moved, and the call says so."""


def fails(errno: int) -> str:
    """Return the harm of a call that is not made and gives this error."""
    return f"error {errno}"


@dataclass(frozen=True)
class Watch:
    """Which calls count (those named in ``calls``, on files below a folder, with names like the pattern
    ``name``), and what befalls which of them. ``log`` lies outside of the folder and is new for each run."""

    below: Path
    calls: Sequence[str]
    log: Path
    name: str = "*"
    children: bool = False
    at: int = 0
    how: str = ""
    onwards: bool = False

    def with_harm(self, at: int, how: str, *, onwards: bool = False) -> Watch:
        """Return the same with harm to the call number ``at`` (from 1), and to all after it."""
        return replace(self, at=at, how=how, onwards=onwards)

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment for the process to be watched, and forget the run before."""
        self.log.unlink(missing_ok=True)
        return environment(
            LD_PRELOAD=str(_built()),
            HARM_BELOW=str(self.below.resolve()),
            HARM_NAME=self.name,
            HARM_CALLS=f" {' '.join(self.calls)} ",
            HARM_AT=str(self.at),
            HARM_ONWARDS=str(int(self.onwards)),
            HARM_HOW=self.how,
            HARM_LOG=str(self.log),
            HARM_CHILDREN=str(int(self.children)),
            **more,
        )

    def seen(self) -> list[str]:
        """Return the calls of the last run that counted, as ``write /path/of/the/file``."""
        return [line[2:] for line in self._lines()]

    def harmed(self) -> list[str]:
        """Return those of the calls that were harmed."""
        return [line[2:] for line in self._lines() if line.startswith("!")]

    def _lines(self) -> list[str]:
        return self.log.read_text(errors="surrogateescape").splitlines() if self.log.exists() else []


def why_not() -> str:
    """Return why nothing can be watched on this machine; empty where it can."""
    if sys.platform != "linux":
        return "calls of libc can be made to fail on Linux only"
    if shutil.which("cc") is None:
        return "there is no C compiler here to build tests/faults/preload.c"
    return ""


@functools.cache
def _built() -> Path:
    """Compile the library, once in a process, and return where it lies. Skips where that cannot be."""
    if why_not():
        pytest.skip(why_not())
    place = tempfile.mkdtemp(prefix="photoclip-preload-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    library = Path(place, "preload.so")
    source = Path(__file__).with_suffix(".c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library
