"""All pairs of near rows, the raw material of duplicates: ``python -m tests.benchmarks.dupes --count 20000``.

In turn, in the same rounds, on one thread, over the rows of ``tests.benchmarks.neighbours`` (one in 25 is
nearly another): photoclip's exact search for pairs, the plain way (products of blocks with all rows), and a
graph of hnswlib's asked for 20 neighbours of each row, which has to be built first. All look for cosines of
0.95 and above. The limit is a product of as many multiplications as 64 numbers a row need, which is what
photoclip's bound takes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from photoclip.config import one_blas_thread

one_blas_thread()

import hnswlib  # noqa: E402
import numpy as np  # noqa: E402  (the number of threads is read at import)

from photoclip.vectors import Matrix, neighbour_pairs  # noqa: E402
from tests.benchmarks.neighbours import DIMENSION, Rows, photo_like  # noqa: E402
from tests.benchmarks.report import machine, median, table  # noqa: E402

THRESHOLD = 0.95
NEIGHBOURS = 20
BLOCK = 2048
DIRECTIONS = 64

Pairs = set[tuple[int, int]]


def photoclip(rows: Rows) -> Pairs:
    """Return the pairs photoclip finds."""
    matrix = Matrix.of(1 + np.arange(len(rows)), rows)
    return {(a - 1, b - 1) for a, b, _ in neighbour_pairs(matrix, None, THRESHOLD, NEIGHBOURS)}


def products(rows: Rows) -> Pairs:
    """Return the pairs of the plain way."""
    found: Pairs = set()
    for start in range(0, len(rows), BLOCK):
        left, right = np.nonzero(rows[start : start + BLOCK] @ rows[start:].T >= THRESHOLD)
        found.update((a, b) for a, b in zip((left + start).tolist(), (right + start).tolist()) if a < b)  # noqa: B905
    return found


def graph(rows: Rows) -> Pairs:
    """Return the pairs among the neighbours in a graph, the building included."""
    index = hnswlib.Index(space="ip", dim=DIMENSION)
    index.init_index(max_elements=len(rows), M=16, ef_construction=200, random_seed=1)
    index.add_items(rows, num_threads=1)
    index.set_ef(64)
    ids, distances = index.knn_query(rows, NEIGHBOURS, num_threads=1)
    left, place = np.nonzero(1 - distances >= THRESHOLD)
    others = ids[left, place].astype(int).tolist()
    return {(min(a, b), max(a, b)) for a, b in zip(left.tolist(), others, strict=True) if a != b}


def limit(rows: Rows) -> Pairs:
    """Multiply as much as the bound on all pairs has to."""
    short = np.ascontiguousarray(rows[:, :DIRECTIONS])
    for start in range(0, len(rows), BLOCK):
        short[start : start + BLOCK] @ short[start:].T
    return set()


WAYS: dict[str, Callable[[Rows], Pairs]] = {
    "photoclip": photoclip,
    "numpy, every product": products,
    "hnswlib, built and asked": graph,
    f"limit: products of {DIRECTIONS} numbers": limit,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(machine("numpy", "hnswlib"))
    print(f"{arguments.count:,} rows of {DIMENSION} numbers, {arguments.rounds} rounds in turn, one thread")
    rows = photo_like(arguments.count, seed=1)
    spent: dict[str, list[float]] = {name: [] for name in WAYS}
    found: dict[str, Pairs] = {}
    for _ in range(arguments.rounds):
        for name, way in WAYS.items():
            began = time.process_time()
            found[name] = way(rows)
            spent[name].append(time.process_time() - began)
    right = found["numpy, every product"]
    lines = []
    for name, pairs in found.items():
        recall = f"{len(pairs & right) / max(1, len(right)):.3f}" if pairs else ""
        lines.append((name, f"{median(spent[name]):.2f}", f"{len(pairs):,}" if pairs else "", recall))
    table(("all pairs", "CPU s", "pairs", "recall"), lines)


if __name__ == "__main__":
    main()
