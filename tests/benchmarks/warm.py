"""Exact search in one process, side by side with others: ``python -m tests.benchmarks.warm --count 100000``.

All answer the same queries over the same rows, in turn and in the same rounds, on one thread: photoclip's
scan through codes, numpy's product with every row, and, where they are installed (``pip install faiss-cpu
sqlite-vec apsw``), faiss's flat index and sqlite-vec. The rows are those of ``tests.benchmarks.neighbours``.
The limit is the time this machine takes to read the bytes that photoclip's scan has to read.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

from photoclip.config import one_blas_thread

one_blas_thread()

import numpy as np  # noqa: E402  (the number of threads is read at import)

from photoclip.vectors import Matrix, Stamp, write_matrix  # noqa: E402
from tests.benchmarks.neighbours import DIMENSION, Rows, photo_like  # noqa: E402
from tests.benchmarks.report import machine, table  # noqa: E402

ROUNDS = 9
QUERIES = 20
BEST = 10

Ask = Callable[[Rows], list[int]]
"""Returns the positions of the BEST rows nearest to a query, best first."""


def photoclip(rows: Rows, folder: str) -> Ask:
    """Return photoclip's scan of a file of ``rows``."""
    stamp = Stamp("", "benchmark", "", DIMENSION, 1, len(rows))
    path = os.path.join(folder, "matrix")
    starts = range(0, len(rows), 4096)
    write_matrix(
        path, stamp, ((np.arange(s, min(s + 4096, len(rows))) + 1, rows[s : s + 4096]) for s in starts)
    )
    matrix = Matrix.open(path, stamp)
    assert matrix is not None
    return lambda query: [place - 1 for place in matrix.nearest(query, BEST)[0].tolist()]


def numpy_product(rows: Rows, _: str) -> Ask:
    """Return the plain way: a product with every row."""

    def ask(query: Rows) -> list[int]:
        similarities = rows @ query
        best = np.argpartition(similarities, -BEST)[-BEST:]
        return best[np.argsort(-similarities[best])].tolist()

    return ask


def faiss_flat(rows: Rows, _: str) -> Ask:
    """Return faiss's exact index."""
    faiss = importlib.import_module("faiss")
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(rows)
    return lambda query: index.search(query[np.newaxis], BEST)[1][0].tolist()


def sqlite_vec(rows: Rows, folder: str) -> Ask:
    """Return sqlite-vec's exact table, through apsw, because few builds of sqlite3 can load extensions."""
    extension, apsw = importlib.import_module("sqlite_vec"), importlib.import_module("apsw")
    db = apsw.Connection(os.path.join(folder, "vec.sqlite"))
    db.enable_load_extension(True)
    extension.load(db)
    db.execute(f"CREATE VIRTUAL TABLE v USING vec0(e float[{DIMENSION}] distance_metric=cosine)")
    with db:
        db.executemany(
            "INSERT INTO v(rowid, e) VALUES (?, ?)", ((n, row.tobytes()) for n, row in enumerate(rows, 1))
        )
    select = f"SELECT rowid FROM v WHERE e MATCH ? AND k = {BEST} ORDER BY distance"
    return lambda query: [row[0] - 1 for row in db.execute(select, (query.tobytes(),))]


def reading(rows: Rows, _: str) -> Ask:
    """Return the limit: reading a byte for each number, and nothing else."""
    content = np.arange(rows.size // 8, dtype=np.uint64)  # zeros would all be one page

    def ask(_: Rows) -> list[int]:
        content.sum()
        return []

    return ask


WAYS: dict[str, Callable[[Rows, str], Ask]] = {
    "photoclip": photoclip,
    "numpy, every row": numpy_product,
    "faiss IndexFlatIP": faiss_flat,
    "sqlite-vec": sqlite_vec,
    "limit: reading the codes": reading,
}


def measure(ways: dict[str, Ask], rows: Rows) -> None:
    """Ask every way in every round and print a line for each."""
    queries = photo_like(QUERIES, seed=2)
    right = [np.argsort(-(rows.astype(np.float64) @ query.astype(np.float64)))[:BEST] for query in queries]
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    hits = dict.fromkeys(ways, 0)
    for number in range(ROUNDS):
        for name, ask in ways.items():
            for query, best in zip(queries, right, strict=True):
                wall, cpu = time.perf_counter(), time.process_time()
                answer = ask(query)
                spent[name].append((time.perf_counter() - wall, time.process_time() - cpu))
                hits[name] += len(set(answer) & set(best.tolist())) if not number else 0
    lines = []
    for name, times in spent.items():
        wall, cpu = (1000 * statistics.median(column) for column in zip(*times, strict=True))
        recall = f"{hits[name] / (BEST * QUERIES):.3f}" if hits[name] else ""
        lines.append((name, f"{wall:.2f}", f"{cpu:.2f}", recall))
    table(("search alone", "ms", "CPU ms", "recall@10"), lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    count = parser.parse_args().count
    print(machine("numpy", "simsimd", "faiss-cpu", "sqlite-vec"))
    print(f"{count:,} rows of {DIMENSION} numbers, {ROUNDS} rounds of {QUERIES} queries in turn, one thread")
    rows = photo_like(count, seed=1)
    ways: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, make in WAYS.items():
            try:
                ways[name] = make(rows, folder)
            except ImportError as error:
                print(f"{name}: left out: {error}")
        measure(ways, rows)


if __name__ == "__main__":
    main()
