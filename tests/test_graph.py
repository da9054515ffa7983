"""The graph: nearly exact, never short of answers, and the same for the same rows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from photoclip.vectors import (
    Graph,
    Matrix,
    build_graph,
    graph_stamp,
    prefer_graph,
)
from tests.rows import clustered, matrix_of, oracle, stamp_for


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "vectors")


@pytest.fixture(scope="module", params=[0.0, 0.2], ids=["all differ", "a fifth are copies"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Matrix, str]:
    matrix = matrix_of(clustered(3000, copies=request.param))
    path = str(tmp_path_factory.mktemp("graph") / "x.hnsw")
    build_graph(matrix).save(path, stamp_for(matrix))
    return matrix, path


def test_a_saved_graph_finds_what_the_exact_scan_finds(built: tuple[Matrix, str]) -> None:
    matrix, path = built
    graph = Graph.open(path, stamp_for(matrix), matrix)
    assert graph is not None
    queries = clustered(300, seed=1)
    ids, similarities = graph.nearest(queries, 10)
    exact = [matrix.nearest(query, 10) for query in queries]
    assert (ids == [found for found, _ in exact]).mean() >= 0.99
    for found, values, query in zip(ids, similarities, queries, strict=True):
        products = matrix.rows_of(found).astype(float) @ query.astype(float)
        assert np.allclose(values, products, atol=1e-7)
        assert (np.diff(values) <= 0).all()


def test_the_same_matrix_makes_the_same_graph(built: tuple[Matrix, str], path: str) -> None:
    matrix, saved_path = built
    build_graph(matrix).save(path, stamp_for(matrix))
    assert Path(path).read_bytes() == Path(saved_path).read_bytes()
    assert Path(f"{path}.stamp").read_bytes() == Path(f"{saved_path}.stamp").read_bytes()
    assert graph_stamp(path, stamp_for(matrix)._replace(generation=9)) == stamp_for(matrix)


@pytest.mark.parametrize("rows", [np.empty((0, 4)), [[1, 0, 0, 0]], [[1, 0, 0, 0]] * 500, np.eye(4)])
def test_a_graph_never_answers_with_fewer_than_there_are(path: str, rows: Any) -> None:
    matrix = matrix_of(np.array(rows, np.float32).reshape(-1, 4))
    graph = build_graph(matrix)
    graph.save(path, stamp_for(matrix))
    for each in (graph, Graph.open(path, stamp_for(matrix), matrix)):
        assert each is not None
        for k in (0, 1, 10, 1000):
            ids, similarities = each.nearest(np.eye(4, dtype=np.float32)[:2], k)
            assert ids.shape == similarities.shape == (2, min(k, len(matrix)))
            assert ids.tolist() == [oracle(matrix, query, k) for query in np.eye(4, dtype=np.float32)[:2]]


def test_a_search_hnswlib_cannot_finish_is_answered_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = matrix_of(clustered(200))
    graph = build_graph(matrix)
    for content_id in matrix.ids[:150].tolist():
        graph._index.mark_deleted(content_id)  # hnswlib raises when it cannot return k rows
    ids, _ = graph.nearest(matrix.rows[:3], 100)
    assert ids.tolist() == [oracle(matrix, row, 100) for row in matrix.rows[:3]]


def test_a_graph_grows_with_its_matrix_and_forgets_what_is_gone(path: str) -> None:
    rows = clustered(1200, copies=0.1)
    old = matrix_of(rows[:1000])
    build_graph(old).save(path, stamp_for(old))
    gone = old.positions_of(old.nearest(rows[0], 50)[0])  # the answer to one query is gone altogether
    kept = np.delete(np.arange(1200), gone)
    new = Matrix(matrix_of(rows).ids[kept], rows[kept])
    graph = Graph.open(path, stamp_for(old), new)
    assert graph is not None
    seen: list[tuple[int, int]] = []
    graph.extend(new, lambda done, total: seen.append((done, total)))
    alive = {row.tobytes() for row in rows[kept[kept < 1000]]}
    added = len({row.tobytes() for row in new.rows} - alive)
    assert seen == [(added, added)]
    graph.save(path, stamp_for(new, 2))
    reopened = Graph.open(path, stamp_for(new, 2), new)
    assert reopened is not None
    ids, _ = reopened.nearest(rows, 10)
    exact = [new.nearest(row, 10)[0] for row in rows]
    assert (ids == exact).mean() >= 0.99
    few = Matrix(new.ids[:100], new.rows[:100])
    reopened.extend(few)
    reopened.save(path, stamp_for(few, 3))
    assert os.path.getsize(path) < 100 * 400


def test_a_graph_pays_only_for_many_questions_over_many_rows() -> None:
    assert not prefer_graph(1_000_000, 1)
    assert not prefer_graph(100, 100_000)
    assert prefer_graph(200_000, 10_000)
