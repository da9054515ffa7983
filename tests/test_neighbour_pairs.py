"""Pairs of near rows: all of them, each once."""

from __future__ import annotations

import numpy as np
import pytest

from photoclip.vectors import (
    Matrix,
    build_graph,
    neighbour_pairs,
    pairs,
)
from tests.rows import clustered, matrix_of, unit


def all_pairs(matrix: Matrix, threshold: float) -> list[tuple[int, int]]:
    products = matrix.rows.astype(float) @ matrix.rows.T.astype(float)
    left, right = np.nonzero(np.triu(products >= threshold, 1))
    return list(zip(matrix.ids[left].tolist(), matrix.ids[right].tolist(), strict=True))


@pytest.mark.parametrize("threshold", [-2.0, 0.0, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("dimension", [2, 80])
def test_exact_pairs_are_all_pairs(monkeypatch: pytest.MonkeyPatch, threshold: float, dimension: int) -> None:
    monkeypatch.setattr(pairs, "_BLOCK", 150)
    matrix = matrix_of(clustered(400, dimension))
    found = list(neighbour_pairs(matrix, None, threshold, 10))
    assert sorted((a, b) for a, b, _ in found) == all_pairs(matrix, threshold)
    for a, b, similarity in found[:50]:
        assert similarity == pytest.approx(float(matrix.row(a) @ matrix.row(b)), abs=1e-6)


@pytest.mark.parametrize("copies_come", ["before", "after"])
def test_pairs_through_the_graph_are_the_exact_ones(
    monkeypatch: pytest.MonkeyPatch, copies_come: str
) -> None:
    rows = clustered(2000, copies=0.2)
    matrix = matrix_of(rows if copies_come == "after" else rows[::-1])
    graph = build_graph(Matrix(matrix.ids[400:], matrix.rows[400:]))
    graph.extend(matrix)
    exact = list(neighbour_pairs(matrix, graph, 0.85, 40))
    monkeypatch.setattr(pairs, "EXACT_PAIRS_UP_TO", 0)
    through_graph = list(neighbour_pairs(matrix, graph, 0.85, 40))
    assert len(through_graph) == len(set(through_graph))
    assert set(through_graph) <= set(exact)
    assert len(through_graph) >= 0.99 * len(exact) > 1000


def test_identical_rows_make_a_star_not_every_pair() -> None:
    rows = np.concatenate((np.tile(unit([3, 4]), (5000, 1)), unit([[3, 4.01], [4, -3]])))
    matrix = matrix_of(rows)
    found = list(neighbour_pairs(matrix, None, 0.99, 10))
    near = int(matrix.ids[5000])
    assert [(a, b) for a, b, _ in found] == [(1, int(i)) for i in matrix.ids[1:5000]] + [(1, near)]
    assert {s for *_, s in found[:-1]} == {1.0}


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_rows_make_no_pairs(count: int) -> None:
    assert list(neighbour_pairs(matrix_of(clustered(count)), None, 0.0, 10)) == []
