"""The matrix: what is written comes back, and what is asked is answered exactly."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photoclip.vectors import (
    Matrix,
    Stamp,
    build_graph,
    extend_matrix,
    matrix_stamp,
    write_matrix,
)
from tests.rows import clustered, matrix_of, oracle, saved, stamp_for, unit


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "vectors")


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_matrix_comes_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    count, dimension = data.draw(st.integers(0, 40)), data.draw(st.integers(2, 9))
    ids = np.array(
        sorted(data.draw(st.sets(st.integers(1, 2**62), min_size=count, max_size=count))), np.int64
    )
    rows = unit(np.random.default_rng(count).normal(size=(count, dimension)))
    cuts = sorted(data.draw(st.lists(st.integers(0, count), max_size=4)))
    bounds = zip([0, *cuts], [*cuts, count], strict=True)
    stamp = Stamp("ab", "m", "cd", dimension, data.draw(st.integers(0, 2**62)), count)
    path = str(tmp_path_factory.mktemp("matrix") / "m")
    write_matrix(path, stamp, ((ids[a:b], rows[a:b]) for a, b in bounds))
    matrix = Matrix.open(path, stamp)
    assert matrix is not None
    assert matrix.body_is_whole()
    assert matrix.ids.tolist() == ids.tolist()
    assert matrix.rows.tobytes() == rows.tobytes()
    assert matrix.rows.ctypes.data % 64 == 0
    assert matrix_stamp(path, stamp._replace(generation=-1, rows=0)) == stamp


def test_an_open_matrix_outlives_its_file(path: str) -> None:
    old = matrix_of(clustered(500))
    opened = Matrix.open(path, saved(path, old))
    assert opened is not None
    saved(path, matrix_of(clustered(20, seed=2)), generation=2)
    assert opened.body_is_whole()
    os.unlink(path)
    assert opened.nearest(old.rows[7], 1)[0] == [old.ids[7]]


@pytest.mark.parametrize(
    ("change", "row"),
    [("nan", [np.nan, 0]), ("infinite", [np.inf, 0]), ("zero", [0, 0]), ("too long", [1, 0.1])],
)
def test_a_row_that_is_no_unit_vector_is_refused_by_the_name_of_its_content(
    path: str, change: str, row: list[float]
) -> None:
    good = saved(path, matrix_of(unit([[1, 0]])))
    blocks = [(np.array([4, 9]), np.array([[0, 1], row], np.float32))]
    with pytest.raises(ValueError, match="content 9"):
        write_matrix(path, good._replace(generation=2, rows=2), blocks)
    with pytest.raises(ValueError, match="content 9"):
        Matrix.of(*blocks[0])
    assert Matrix.open(path, good) is not None
    assert os.listdir(os.path.dirname(path)) == ["vectors"]


@pytest.mark.parametrize("ids", [[2, 2], [2, 1], [0, 1], [-1, 1]])
def test_ids_that_do_not_ascend_from_1_are_refused(path: str, ids: list[int]) -> None:
    rows = unit([[1, 0], [0, 1]])
    for blocks in ([(np.array(ids), rows)], [(np.array(ids[:1]), rows[:1]), (np.array(ids[1:]), rows[1:])]):
        with pytest.raises(ValueError, match="out of order"):
            write_matrix(path, Stamp("a", "m", "b", 2, 1, 2), blocks)


@pytest.mark.parametrize("announced", [0, 1, 3])
def test_another_number_of_rows_than_announced_is_refused(path: str, announced: int) -> None:
    matrix = matrix_of(unit([[1, 0], [0, 1]]))
    with pytest.raises(ValueError, match="announced"):
        write_matrix(path, stamp_for(matrix)._replace(rows=announced), matrix.blocks())
    assert not os.path.exists(path)


def test_an_extended_matrix_is_the_one_written_at_once(path: str) -> None:
    whole = matrix_of(clustered(9000, 8))
    old = Matrix(whole.ids[:5000], whole.rows[:5000])
    new_stamp = stamp_for(whole, 2)
    assert extend_matrix(path, saved(path, old), new_stamp, [(whole.ids[5000:], whole.rows[5000:])])
    saved(f"{path}2", whole, 2)
    assert Path(path).read_bytes() == Path(f"{path}2").read_bytes()


def test_a_matrix_is_not_extended_from_another_or_damaged_file(path: str) -> None:
    old = matrix_of(clustered(50))
    stamp = saved(path, old)
    new = stamp._replace(generation=2, rows=51)
    block = [(np.array([1000]), old.rows[:1])]
    assert not extend_matrix(path, stamp._replace(generation=3), new, block)
    assert not extend_matrix(path, stamp, new, [(np.array([2]), old.rows[:1])])
    assert Matrix.open(path, stamp) is not None
    content = bytearray(Path(path).read_bytes())
    content[-3] ^= 1
    Path(path).write_bytes(content)
    assert not extend_matrix(path, stamp, new, block)


# -- exact search --------------------------------------------------------------------------------

SIGNS = st.lists(st.sampled_from([-0.5, 0.5]), min_size=4, max_size=4)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(SIGNS, max_size=30), query=SIGNS, k=st.integers(0, 40), data=st.data())
def test_nearest_orders_as_the_definition_does_and_ties_by_id(
    rows: list[list[float]], query: list[float], k: int, data: Any
) -> None:
    # Products of halves are exact in any arithmetic: ties are real ties.
    matrix = matrix_of(np.array(rows, np.float32).reshape(-1, 4))
    wanted = np.array(query, np.float32)
    among = data.draw(st.none() | st.lists(st.sampled_from([1, 2, 4, 7, 10, 40, 88, 1000])).map(sorted))
    chosen = None if among is None else np.array(among, np.int64)
    ids, similarities = matrix.nearest(wanted, k, among=chosen)
    assert ids.tolist() == oracle(matrix, wanted, k, among)
    assert similarities.tolist() == [float(matrix.row(i) @ wanted) for i in ids]


@pytest.mark.parametrize("k", [1, 10, 700])
def test_nearest_agrees_with_float64_on_rows_that_differ_by_less_than_float32_can_tell(k: int) -> None:
    random = np.random.default_rng(3)
    rows = unit(clustered(1, 512) + 1e-6 * random.normal(size=(5000, 512)))
    matrix = matrix_of(rows)
    for query in (rows[17], unit(random.normal(size=512))):
        assert matrix.nearest(query, k)[0].tolist() == oracle(matrix, query, k)


def test_among_finds_every_one_of_them_across_blocks() -> None:
    matrix = matrix_of(clustered(9000, 16))
    among = matrix.ids[np.random.default_rng(0).choice(9000, 8500, replace=False)]
    among.sort()
    ids, _ = matrix.nearest(matrix.rows[0], 9000, among=among)
    assert ids.tolist() == oracle(matrix, matrix.rows[0], 9000, among.tolist())


def test_similarities_never_leave_minus_one_to_one() -> None:
    rows = unit(np.random.default_rng(0).normal(size=(2000, 7)))
    matrix = matrix_of(np.concatenate((rows, -rows)) * np.float32(1.0001))
    similarities = np.concatenate([matrix.nearest(row, 4000)[1] for row in matrix.rows[:20]])
    assert similarities.max() == 1.0
    assert similarities.min() == -1.0


@pytest.mark.parametrize("query", [[1.0, 0, 0], [[1.0, 0]], [2.0, 0], [np.nan, 0], [0, 0]])
def test_a_query_of_another_shape_or_length_is_refused(query: Any) -> None:
    matrix = matrix_of(unit([[1, 0]]))
    with pytest.raises(ValueError, match="quer"):
        matrix.nearest(np.array(query, np.float32), 1)
    with pytest.raises(ValueError, match="quer"):
        build_graph(matrix).nearest(np.array([query], np.float32), 1)


def test_asking_for_every_row_does_not_copy_the_matrix() -> None:
    matrix = matrix_of(clustered(20_000, 256))
    tracemalloc.start()
    try:
        assert len(matrix.nearest(matrix.rows[0], 20_000)[0]) == 20_000
        assert len(matrix.nearest(matrix.rows[0], 20_000, among=matrix.ids)[0]) == 20_000
        assert tracemalloc.get_traced_memory()[1] < matrix.rows.nbytes / 2
    finally:
        tracemalloc.stop()


def test_rows_are_found_by_id_in_the_order_asked() -> None:
    matrix = matrix_of(clustered(50))
    assert (matrix.rows_of(matrix.ids[[7, 3, 7]]) == matrix.rows[[7, 3, 7]]).all()
    assert (matrix.row(int(matrix.ids[-1])) == matrix.rows[-1]).all()
    for unknown in (0, 2, 10**6):
        with pytest.raises(KeyError, match=str(unknown)):
            matrix.rows_of(np.array([1, unknown]))
