"""Exact scan against HNSW graph: ``python -m tests.benchmarks.neighbours --count 20000``.

Both answer the same queries over the same rows in the same rounds, in turn, with one BLAS thread. The rows
are synthetic but shaped like CLIP embeddings of photos: 512 numbers, mean cosine 0.5, nine tenths of the
spread in 50 directions, 4 % near-duplicates. "Fresh" is a whole process from start to end, interpreter and
imports included, with the files in the system's page cache.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from photoclip.config import cpu_count, one_blas_thread

one_blas_thread()

import numpy as np  # noqa: E402  (the number of threads is read at import)
from numpy.typing import NDArray  # noqa: E402

from photoclip.vectors import Graph, Matrix, Stamp, build_graph, write_matrix  # noqa: E402

DIMENSION = 512
ROUNDS = 5
QUERIES = 100

Rows = NDArray[np.float32]


def unit(rows: NDArray[np.float64]) -> Rows:
    """Return ``rows`` scaled to length 1."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def photo_like(count: int, seed: int) -> Rows:
    """Return ``count`` rows with the shape of CLIP embeddings; the same world of clusters for every seed."""
    world, random = np.random.default_rng(0), np.random.default_rng(seed)
    directions = np.linalg.qr(world.normal(size=(DIMENSION, 51)))[0].T
    spread = np.geomspace(1.0, 0.2, 50)
    centres = world.normal(size=(500, 50)) * spread
    inner = centres[random.integers(0, 500, count)] + 0.7 * random.normal(size=(count, 50)) * spread
    inner *= np.sqrt(0.9 * 0.49) / np.sqrt((inner**2).sum(axis=1).mean())
    rows = inner @ directions[1:] + np.sqrt(0.51) * directions[0]
    rows += np.sqrt(0.1 * 0.49 / DIMENSION) * random.normal(size=rows.shape)
    doubles = random.integers(0, count, count // 25)
    rows[: len(doubles)] = rows[doubles] + 0.1 / np.sqrt(DIMENSION) * random.normal(
        size=(len(doubles), DIMENSION)
    )
    return unit(rows)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def show(name: str, seconds: list[float]) -> float:
    """Print and return the median of ``seconds``."""
    median = statistics.median(seconds)
    print(f"{name:<44}{1000 * median:12.3f} ms   (fastest {1000 * min(seconds):.3f}, {len(seconds)} runs)")
    return median


def open_both(folder: str, stamp: Stamp, with_graph: bool) -> Matrix | Graph:
    """Open what is to answer: the matrix, or the graph over it."""
    matrix = Matrix.open(os.path.join(folder, "matrix"), stamp)
    assert matrix is not None
    if not with_graph:
        return matrix
    graph = Graph.open(os.path.join(folder, "graph"), stamp, matrix)
    assert graph is not None
    return graph


def ask(opened: Matrix | Graph, query: Rows) -> list[int]:
    """Return the ids of the ten rows nearest to ``query``."""
    if isinstance(opened, Matrix):
        return opened.nearest(query, 10)[0].tolist()
    return opened.nearest(query[np.newaxis], 10)[0][0].tolist()


def fresh(folder: str, count: int, with_graph: bool) -> None:
    """Answer one query in a new process."""
    kind = "graph" if with_graph else "scan"
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.neighbours",
        "--count",
        str(count),
        "--one",
        kind,
        folder,
    ]
    subprocess.run(command, check=True)


def measure(folder: str, stamp: Stamp) -> None:
    """Print the times of both ways to answer, and how good the graph's answers are."""
    times: dict[str, list[float]] = {}
    queries = photo_like(QUERIES, seed=2)
    answers: dict[bool, list[list[int]]] = {}
    for _ in range(ROUNDS):
        for with_graph, name in ((False, "scan"), (True, "graph")):
            times.setdefault(f"{name}, fresh process, 1 query", []).append(
                timed(lambda: fresh(folder, stamp.count, with_graph))  # noqa: B023
            )
            start = time.perf_counter()
            opened = open_both(folder, stamp, with_graph)
            times.setdefault(f"{name}, load", []).append(time.perf_counter() - start)
            ask(opened, queries[0])
            answers[with_graph] = []
            for query in queries:
                start = time.perf_counter()
                answers[with_graph].append(ask(opened, query))
                times.setdefault(f"{name}, warm query", []).append(time.perf_counter() - start)
    medians = {name: show(name, seconds) for name, seconds in times.items()}
    hits = [len(set(a) & set(b)) for a, b in zip(answers[False], answers[True], strict=True)]
    print(f"recall@10 of the graph: {sum(hits) / (10 * QUERIES):.4f}")
    gain = medians["scan, warm query"] - medians["graph, warm query"]
    load = medians["graph, load"] - medians["scan, load"]
    print(f"queries until the load has paid: {load / gain:.0f}" if gain > 0 else "the graph never pays")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--one", nargs=2, metavar=("KIND", "FOLDER"), help="answer one query and end")
    options = parser.parse_args()
    stamp = Stamp("00", "synthetic", "00", DIMENSION, 1, options.count)
    if options.one:
        query = np.full(DIMENSION, DIMENSION**-0.5, np.float32)
        ask(open_both(options.one[1], stamp, options.one[0] == "graph"), query)
        return
    print(
        f"{platform.platform()}, {cpu_count()} cores, load {os.getloadavg()[0]:.1f}, numpy {np.__version__}"
    )
    with tempfile.TemporaryDirectory() as folder:
        matrix = Matrix.of(1 + np.arange(options.count), photo_like(options.count, seed=1))
        write_matrix(os.path.join(folder, "matrix"), stamp, matrix.blocks())
        mean_cosine = np.square(matrix.rows.mean(axis=0)).sum()
        print(f"{options.count:,} rows, mean cosine {mean_cosine:.2f}, {ROUNDS} rounds")
        start = time.process_time()
        build_graph(matrix).save(os.path.join(folder, "graph"), stamp)
        size = os.path.getsize(os.path.join(folder, "graph"))
        print(f"graph built in {time.process_time() - start:.1f} s of CPU, {size / 1e6:.1f} MB")
        measure(folder, stamp)


if __name__ == "__main__":
    main()
