"""A search as people start it, side by side with others: ``python -m tests.benchmarks.search``.

Whole commands in processes of their own, from the interpreter's start to the last line, in turn and in the
same rounds, with the files in the system's cache, numerical libraries on one thread:

* photoclip with a text nobody asked before, and with one that was asked before,
* the plain way: a script that loads the same model with OpenCLIP and multiplies with all embeddings,
* rclip 3.3.0, where ``--rclip`` names a Python with it (``python -m venv rclip; rclip/bin/pip install
  rclip==3.3.0``), with a stand-in for its model (see ``tests.benchmarks.rclip``; ``pip install onnx`` here to
  make it) and threads as it likes.

Weights are random (no time depends on them) and the photos do not exist (no search looks at them). The limits
are the interpreter's start alone, and with the import of numpy. ``--counts`` may name several sizes; the
others answer for the first. Then follows the search alone, in one process: ``tests.benchmarks.warm``.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import itertools
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.benchmarks import rclip
from tests.benchmarks.libraries import ARCHITECTURE, library, photo_names, weights
from tests.benchmarks.neighbours import photo_like
from tests.benchmarks.report import ROUNDS, Cost, cost, machine, median, one_thread, table

TEXT = "a beach at sunset"

PLAIN = """
import sys
import numpy as np, open_clip, torch
architecture, weights, folder, text = sys.argv[1:]
model, _, _ = open_clip.create_model_and_transforms(architecture, pretrained=weights)
tokenizer = open_clip.get_tokenizer(architecture)
model.eval()
with torch.no_grad():
    query = model.encode_text(tokenizer([text]))[0]
query = (query / query.norm()).numpy()
similarities = np.load(folder + "/embeddings.npy") @ query
paths = open(folder + "/paths.txt").read().splitlines()
for place in np.argsort(-similarities)[:10]:
    print(f"{similarities[place]:.3f}", paths[place])
"""

Run = Callable[[], Cost]


def ours(place: Path, count: int) -> dict[str, Run]:
    """Return photoclip's ways: a new text each time, and one that was asked before."""
    made = library(place, count)
    with contextlib.closing(sqlite3.connect(made / "catalogue.sqlite", isolation_level=None)) as catalogue:
        catalogue.execute("DELETE FROM queries")  # of an earlier run, where it is kept
    line = [sys.executable, "-m", "photoclip", "--library", str(made), "search", "-n", "10"]
    numbers = itertools.count()
    env = one_thread()
    cost([*line, TEXT], env)
    return {
        f"photoclip, {count:,} photos": lambda: cost([*line, f"{TEXT} {next(numbers)}"], env),
        f"photoclip, {count:,} photos, asked before": lambda: cost([*line, TEXT], env),
    }


def plain(place: Path, count: int) -> dict[str, Run]:
    """Return the plain OpenCLIP script over the same embeddings."""
    folder = place / f"plain-{count}"
    if not folder.exists():
        folder.mkdir()
        starts = range(0, count, 5000)
        rows = np.concatenate([photo_like(min(5000, count - start), seed=start) for start in starts])
        np.save(folder / "embeddings.npy", rows)
        (folder / "paths.txt").write_text("\n".join(map(str, photo_names(Path("/photos"), count))), "utf-8")
    line = [sys.executable, "-c", PLAIN, ARCHITECTURE, str(weights(place)), str(folder), TEXT]
    return {f"plain OpenCLIP script, {count:,}": lambda: cost(line, one_thread())}


def peer(python: str | None, place: Path, count: int) -> dict[str, Run]:
    """Return rclip's way, if there is one."""
    if python is None:
        print("rclip: left out: --rclip names no Python that has it")
        return {}
    if importlib.util.find_spec("onnx") is None:
        print("rclip: left out: the stand-in for its model is made with onnx: pip install onnx")
        return {}
    line, env = rclip.prepare(python, place, count)
    return {f"rclip {rclip.VERSION}, {count:,}": lambda: cost([*line, TEXT], env)}


def limits() -> dict[str, Run]:
    """Return what no program in Python can be faster than."""
    return {
        "limit: python -c pass": lambda: cost([sys.executable, "-c", "pass"]),
        "limit: python -c 'import numpy'": lambda: cost([sys.executable, "-c", "import numpy"], one_thread()),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[100_000])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--rclip", metavar="PYTHON")
    parser.add_argument("--keep", type=Path, help="a folder for the libraries, to use them again")
    arguments = parser.parse_args()
    print(machine("numpy", "simsimd", "torch", "open_clip_torch"))
    print(f"whole commands, {ARCHITECTURE}, medians of {arguments.rounds} rounds in turn")
    with tempfile.TemporaryDirectory() as temporary:
        place = arguments.keep or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        first, *_ = arguments.counts
        runs: dict[str, Run] = {}
        for count in arguments.counts:
            runs |= ours(place, count)
        runs |= plain(place, first) | peer(arguments.rclip, place, first) | limits()
        costs: dict[str, list[Cost]] = {name: [] for name in runs}
        for _ in range(arguments.rounds):
            for name, run in runs.items():
                run()  # to have its files in the system's cache, which the others use too
                costs[name].append(run())
    fastest = median([spent.wall for spent in next(iter(costs.values()))])
    rows = []
    for name, spent in costs.items():
        wall, cpu, peak = (median([getattr(one, what) for one in spent]) for what in ("wall", "cpu", "peak"))
        rows.append((name, f"{wall:.3f}", f"{cpu:.3f}", f"{peak:.0f}", f"{wall / fastest:.1f}"))
    table(("whole command", "s", "CPU s", "MB", "times the first"), rows)
    print(flush=True)
    subprocess.run([sys.executable, "-m", "tests.benchmarks.warm", "--count", str(first)], check=True)


if __name__ == "__main__":
    main()
