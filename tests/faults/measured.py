"""Run ``index`` as a user does, and measure its time and memory and those of its workers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from photoclip import Library
from tests.conftest import Argument, command, environment
from tests.faults.fault import Outcome

_PROGRAM = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""
"""A process small enough to say nothing of its own about memory: a child starts with its parent's peak."""
_UNIT = 1 if sys.platform == "darwin" else 1024
_LONGEST = 600


@dataclass(frozen=True)
class Run:
    """What a run of ``index`` left behind: exit code, counts, talk, seconds, and the bytes its largest
    process had in memory at once."""

    code: int
    counts: Mapping[str, int]
    talk: str
    seconds: float
    peak: int

    def faults(self) -> list[str]:
        """Return what no run may do."""
        wrong = [] if self.code == 0 else [f"index ended with {self.code}: {self.talk[-300:]}"]
        return wrong + (["index told a traceback"] if "Traceback" in self.talk else [])


def index(library: Path, *arguments: Argument, cwd: Path | None = None, **env: str) -> Run:
    """Index with the fake model."""
    measure = library.with_name(f"{library.name}.peak")
    line = command("--library", library, "index", "--model", "fake", "--json", "-v", *arguments)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(measure), *line],
        capture_output=True,
        env=environment(**env),
        cwd=cwd,
        timeout=_LONGEST,
    )
    seconds = time.monotonic() - began
    counts = json.loads(done.stdout) if done.returncode == 0 else {}
    talk = done.stderr.decode("utf-8", "surrogateescape")
    return Run(done.returncode, counts, talk, seconds, int(measure.read_text()) * _UNIT)


def indexed(outcome: Outcome, library: Path, *arguments: Argument) -> Run:
    """Index with two decoders, and put on record what no run may do."""
    run = index(library, "-j", "2", *arguments)
    outcome.faults += run.faults()
    return run


def finish(outcome: Outcome, library: Path) -> None:
    """Put on record what ``check`` finds wrong with the library."""
    with Library.open(library) as opened:
        outcome.faults += [finding.text for finding in opened.check()]
