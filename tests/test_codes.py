"""Codes narrow a search down, and never by a row that belongs to the answer."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from photoclip.vectors import Matrix
from photoclip.vectors import matrix as matrix_room
from photoclip.vectors.codes import Codes, code_width
from tests.rows import clustered, matrix_of, oracle, saved

NUMBERS = st.floats(-1, 1, width=32).filter(lambda number: number == 0 or abs(number) > 1e-6)


def unit_rows(count: int, dimension: int) -> st.SearchStrategy[NDArray[np.float32]]:
    rows = arrays.arrays(np.float32, (count, dimension), elements=NUMBERS)
    lengths = rows.filter(lambda found: bool((np.linalg.norm(found, axis=1) > 1e-3).all()))
    return lengths.map(
        lambda found: (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    )


@given(st.data(), st.integers(1, 40), st.integers(1, 9), st.integers(1, 12))
def test_no_row_of_the_answer_is_ever_left_out(
    data: st.DataObject, count: int, dimension: int, k: int
) -> None:
    rows = data.draw(unit_rows(count, dimension))
    (query,) = data.draw(unit_rows(1, dimension))
    kept = Codes.of(rows).hopeful(query, k, None)
    assert kept is not None
    similarities = rows.astype(np.float64) @ query.astype(np.float64)
    least = np.sort(similarities)[::-1][:k][-1]
    assert set(np.flatnonzero(similarities >= least)) <= set(kept.tolist())


@given(st.data(), st.integers(1, 20), st.integers(1, 9))
def test_a_slack_bounds_what_a_code_leaves_out(data: st.DataObject, count: int, dimension: int) -> None:
    rows = data.draw(unit_rows(count, dimension))
    coded = Codes.of(rows)
    assert coded.codes.shape == (count, code_width(dimension))
    rest = rows - coded.codes[:, :dimension] * coded.scales[:, np.newaxis]
    assert (np.linalg.norm(rest, axis=1) <= coded.slacks + 1e-6).all()
    assert (coded.slacks <= coded.scales * np.sqrt(dimension) / 2 + 1e-6).all()


@pytest.mark.parametrize("k", [0, 1, 10, 200, 2999, 3000, 4000])
def test_a_search_through_codes_is_that_of_all_rows(tmp_path: Path, k: int) -> None:
    matrix = matrix_of(clustered(3000, 64))
    path = str(tmp_path / "vectors")
    opened = Matrix.open(path, saved(path, matrix))
    assert opened is not None
    for query in (matrix.rows[5], -matrix.rows[7]):
        ids, similarities = opened.nearest(query, k)
        assert ids.tolist() == oracle(matrix, query, k)
        assert np.array_equal(similarities, matrix.nearest(query, k)[1])


@pytest.mark.parametrize("k", [1, 10, 2400, 2600])
@pytest.mark.parametrize("at_once", [50, 10_000])
def test_a_choice_of_rows_is_searched_through_codes_or_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, k: int, at_once: int
) -> None:
    whole = matrix_of(clustered(4000, 24, copies=0.1))
    opened = Matrix.open(str(tmp_path / "matrix"), saved(str(tmp_path / "matrix"), whole))
    assert opened is not None
    monkeypatch.setattr(matrix_room, "_FEW", at_once)
    chosen = np.sort(np.random.default_rng(k).choice(whole.ids, 2500, replace=False))
    strangers = np.unique(np.concatenate([chosen, whole.ids[-1] + 1 + np.arange(5)]))
    for _ in range(2):  # codes are read the first time, and mapped from then on
        ids, _ = opened.nearest(whole.rows[7], k, among=strangers)
        assert ids.tolist() == oracle(whole, whole.rows[7], k, chosen.tolist())


def test_damaged_codes_are_refused_each_time_they_are_asked(tmp_path: Path) -> None:
    whole = matrix_of(clustered(3000, 24))
    path = tmp_path / "matrix"
    stamp = saved(str(path), whole)
    content = bytearray(path.read_bytes())
    content[-4 * whole.rows.size - 100] ^= 64  # a code among the last ones, before the rows
    path.write_bytes(content)
    opened = Matrix.open(str(path), stamp)
    assert opened is not None
    for _ in range(2):
        with pytest.raises(matrix_room.DamagedMatrix):
            opened.nearest(whole.rows[7], 5)


def test_a_drive_that_fails_is_no_end_of_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = matrix_of(clustered(3000, 24))
    path = str(tmp_path / "matrix")
    opened = Matrix.open(path, saved(path, whole), lambda: whole)

    def failing(*_: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "preadv", failing)
    assert opened is not None
    assert opened.nearest(whole.rows[7], 5)[0].tolist() == oracle(whole, whole.rows[7], 5)


def test_codes_leave_few_rows_to_look_at() -> None:
    rows = clustered(3000, 64)
    kept = Codes.of(rows).hopeful(rows[5], 10, None)
    assert kept is not None
    assert 10 <= len(kept) < 300
