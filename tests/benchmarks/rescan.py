"""A second run over folders in which nothing changed: ``python -m tests.benchmarks.rescan --count 100000``.

The whole command, in a process of its own, beside the least a program can do, in a process of its own: to
list every folder with ``os.scandir`` and ask the system about every file with ``stat``. In turn, in the same
rounds, with the folders in the system's cache.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.libraries import library, photo_names
from tests.benchmarks.report import ROUNDS, cost, machine, median, table

WALK = """
import os, sys
def walk(folder):
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            walk(entry.path)
        else:
            entry.stat(follow_symlinks=False)
walk(sys.argv[1])
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    print(machine("numpy"))
    print(f"{arguments.count:,} files in folders of 500, medians of {arguments.rounds} rounds in turn")
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place) / "photos"
        for path in photo_names(tree, arguments.count):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        made = library(Path(place), arguments.count, tree=tree)
        ours = [sys.executable, "-m", "photoclip", "--library", str(made), "index", str(tree), "--quiet"]
        lines = {"photoclip index": ours, "limit: scandir and stat": [sys.executable, "-c", WALK, str(tree)]}
        costs = {name: [] for name in lines}  # type: ignore[var-annotated]
        for number in range(arguments.rounds + 1):
            for name, line in lines.items():
                spent = cost(line)
                if number:  # the first round fills the caches
                    costs[name].append(spent)
    rows = []
    least = median([spent.wall for spent in costs["limit: scandir and stat"]])
    for name, spent in costs.items():
        wall, cpu = median([one.wall for one in spent]), median([one.cpu for one in spent])
        peak = median([one.peak for one in spent])
        rows.append((name, f"{wall:.3f}", f"{cpu:.3f}", f"{peak:.0f}", f"{wall / least:.2f}"))
    table(("", "s", "CPU s", "MB", "times the limit"), rows)


if __name__ == "__main__":
    main()
