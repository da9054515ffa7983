"""What every benchmark prints, and how a command is measured from outside."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from photoclip.config import cpu_count

ROUNDS = 7


@dataclass(frozen=True)
class Cost:
    """Of one run: seconds by the clock, seconds of CPU, and megabytes (10^6) at the most."""

    wall: float
    cpu: float
    peak: float


def one_thread() -> dict[str, str]:
    """Return the environment of a process whose numerical libraries use one thread."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return {**compiled(), **dict.fromkeys(names, "1")}


def compiled() -> dict[str, str]:
    """Return the environment of a process that keeps compiled modules, as an installed program has them.

    Where one is set not to, a package from a checkout would be compiled anew by each run, but its peers not.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def cost(line: Sequence[str], env: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end, children included, and return what it cost; it has to succeed.

    It is started by a process of its own, because the peak of a child begins with its parent's.
    """
    program = (
        "import json, resource, subprocess, sys, time\n"
        "began = time.perf_counter()\n"
        "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n"
        "wall = time.perf_counter() - began\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(wall, used.ru_utime + used.ru_stime, used.ru_maxrss)\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, *line],
        env=env or compiled(),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(line)} ended with {done.returncode}: {done.stderr[-500:]}")
    wall, cpu, peak = map(float, done.stdout.split())
    return Cost(wall, cpu, peak * (1 if sys.platform == "darwin" else 1024) / 1e6)


def machine(*packages: str) -> str:
    """Return a line about this machine, today, and the versions that matter."""
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    today, load = datetime.now(timezone.utc).date(), os.getloadavg()[0]
    python = platform.python_version()
    return f"{today}, {_processor()}, {cpu_count()} cores, load {load:.1f}, Python {python}, {versions}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    has = [flag for flag in ("avx2", "avx512f", "amx_bf16") if flag in flags]
    return f"{name or platform.machine()} ({' '.join(has)})"


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown; the first column is text, the others are figures."""
    cells = [list(titles), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(titles))]
    cells.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    for row in cells:
        first, *others = (text.rjust(width) for text, width in zip(row, widths, strict=True))
        print("| " + " | ".join([row[0].ljust(len(first)), *others]) + " |")
