"""Cache files: private, whole or not at all, and never believed when they are damaged or another's."""

from __future__ import annotations

import itertools
import os
import random
import resource
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np
import pytest
from numpy.typing import NDArray

from photoclip.errors import CacheNotWritten
from photoclip.vectors import (
    DamagedMatrix,
    Graph,
    Matrix,
    build_graph,
    extend_matrix,
    graph_stamp,
    matrix_stamp,
)
from photoclip.vectors import matrix as matrix_room
from photoclip.vectors import matrixfile as matrixfile_room
from photoclip.vectors.rowsums import sums_of
from tests.broken_files import every_kind, flips
from tests.rows import clustered, matrix_of, oracle, saved, stamp_for, unit


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "vectors")


def test_cache_files_are_private_and_leave_nothing_beside_them(path: str) -> None:
    Path(f"{path}.killed_1.tmp").write_bytes(b"left by a writer that was killed")
    other = Path(f"{path}.stamp.abcdefgh.tmp")
    other.write_bytes(b"of another file")
    matrix = matrix_of(clustered(10))
    build_graph(matrix).save(f"{path}.hnsw", saved(path, matrix))
    made = {"vectors", "vectors.hnsw", "vectors.hnsw.stamp"}
    assert set(os.listdir(os.path.dirname(path))) == made | {other.name}
    for name in made:
        assert stat.S_IMODE(os.stat(os.path.join(os.path.dirname(path), name)).st_mode) == 0o600


def replaced(path: str, content: bytes) -> None:
    """Put ``content`` into a new file at ``path``: the old one may still be mapped."""
    Path(f"{path}.new").write_bytes(content)
    os.rename(f"{path}.new", path)


QUERY = unit(np.arange(1, 65))
READING: dict[str, Callable[[Matrix], Any]] = {
    "nearest": lambda matrix: matrix.nearest(QUERY, len(matrix)),
    "nearest among": lambda matrix: matrix.nearest(QUERY, 5, among=matrix.ids),
    "ranked": lambda matrix: matrix.ranked(QUERY, np.arange(len(matrix)), 5),
    "rows_of": lambda matrix: matrix.rows_of(matrix.ids),
    "each row": lambda matrix: [matrix.row(i) for i in matrix.ids.tolist()],
    "rows": lambda matrix: matrix.rows,
    "blocks": lambda matrix: list(matrix.blocks()),
    "originals": lambda matrix: matrix.originals(),
    "a graph": build_graph,
}


def test_every_damage_to_a_matrix_is_noticed_and_answered_rightly(path: str) -> None:
    matrix = matrix_of(clustered(400, 64))
    stamp = saved(path, matrix)
    right = oracle(matrix, QUERY, 5)
    noticed_late = 0
    for name, content in every_kind(Path(path).read_bytes()):
        replaced(path, content)
        opened = Matrix.open(path, stamp, lambda: matrix)
        if opened is not None:
            noticed_late += 1
            assert opened.nearest(QUERY, 5)[0].tolist() == right, name
            assert opened.rows is matrix.rows, name
            again = Matrix.open(path, stamp)
            assert again is not None
            assert not again.body_is_whole(), name
    assert noticed_late > 50


@pytest.mark.parametrize("way", READING)
def test_no_way_to_read_rows_passes_over_damage(path: str, way: str) -> None:
    matrix = matrix_of(clustered(400, 64))
    stamp = saved(path, matrix)
    whole = Path(path).read_bytes()
    for name, content in flips(whole, random.Random(1), 8, start=len(whole) - matrix.rows.nbytes):
        replaced(path, content)
        opened = Matrix.open(path, stamp)
        assert opened is not None, name
        with pytest.raises(DamagedMatrix):
            READING[way](opened)
        assert not extend_matrix(path, stamp, stamp._replace(generation=2), [])


def test_every_bit_of_a_row_counts_and_in_no_other_row() -> None:
    rows = clustered(5, 12)
    right = sums_of(rows)
    words = rows.view(np.uint32)
    for row, column, bit in itertools.product(range(5), range(12), range(32)):
        words[row, column] ^= 1 << bit
        assert np.flatnonzero(sums_of(rows) != right).tolist() == [row], (row, column, bit)
        words[row, column] ^= 1 << bit
    assert np.array_equal(sums_of(rows), right)


def test_numbers_that_changed_places_are_noticed() -> None:
    rows = clustered(3, 64)
    right = sums_of(rows)
    for one, other in itertools.combinations(range(64), 2):
        order = np.arange(64)
        order[[one, other]] = other, one
        assert (sums_of(np.ascontiguousarray(rows[:, order])) != right).all(), (one, other)


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_the_file_is_laid_out_as_documented(path: str, count: int) -> None:
    matrix = matrix_of(clustered(count, 3))
    saved(path, matrix)
    content = Path(path).read_bytes()
    small = 128 + 8 * count
    codes = small + 16 * count + -(small + 16 * count) % 64
    rows = codes + 4 * count + -(codes + 4 * count) % 64
    assert np.array_equal(np.frombuffer(content, "<f4", offset=rows).reshape(count, 3), matrix.rows)
    words = np.frombuffer(content, "<u4", 3 * count, rows).reshape(count, 3).tolist()
    sums = [sum((2 * place + 1) * word for place, word in enumerate(row)) % 2**32 for row in words]
    assert np.frombuffer(content, "<u4", count, small).tolist() == sums
    scales, slacks = np.frombuffer(content, "<f4", 2 * count, small + 8 * count).reshape(2, count)
    coded = np.frombuffer(content, np.int8, 4 * count, codes).reshape(count, 4)
    assert not coded[:, 3].any()
    rest = np.linalg.norm(matrix.rows - coded[:, :3] * scales[:, np.newaxis], axis=1)
    assert np.allclose(rest, slacks, atol=1e-7)


def test_codes_are_checked_once_and_rows_where_they_are_read(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []

    def counted(rows: NDArray[Any]) -> NDArray[np.uint32]:
        checked.append((rows.dtype.name, len(rows)))
        return sums_of(rows)

    stamp = saved(path, matrix_of(clustered(1000)))
    opened = Matrix.open(path, stamp)
    assert opened is not None
    for room in (matrix_room, matrixfile_room):
        monkeypatch.setattr(room, "sums_of", counted)
    query = opened.row(7)
    assert checked == [("float32", 1)]
    checked.clear()
    opened.nearest(query, 3)
    assert checked.count(("int8", 1000)) == 1
    assert 1 < sum(count for kind, count in checked if kind == "float32") < 900
    checked.clear()
    opened.nearest(query, 3)
    assert {kind for kind, _ in checked} == {"float32"}
    assert len(opened.rows) == 1000
    checked.clear()
    opened.nearest(query, 3)
    assert checked == []


def test_a_damaged_matrix_goes_on_with_the_rows_of_its_own_ids(path: str) -> None:
    whole = matrix_of(clustered(400, 64))
    stamp = saved(path, whole)
    content = bytearray(Path(path).read_bytes())
    content[-1] ^= 1
    replaced(path, bytes(content))
    later = matrix_of(clustered(500, 64))  # the catalogue went on: other rows, and more of them
    opened = Matrix.open(path, stamp, lambda: later)
    assert opened is not None
    assert opened.nearest(later.rows[3], 400)[0].tolist() == oracle(
        Matrix(whole.ids, later.rows[:400]), later.rows[3], 400
    )
    fewer = Matrix(whole.ids[1:], whole.rows[1:])
    opened = Matrix.open(path, stamp, lambda: fewer)
    assert opened is not None
    with pytest.raises(DamagedMatrix):
        opened.nearest(QUERY, 400)


def test_a_damaged_code_is_noticed_by_every_search(path: str) -> None:
    matrix = matrix_of(clustered(400, 64))
    stamp = saved(path, matrix)
    whole = Path(path).read_bytes()
    rows = len(whole) - matrix.rows.nbytes
    for name, content in flips(whole, random.Random(2), 8, start=rows - 400 * 64, stop=rows):
        replaced(path, content)
        opened = Matrix.open(path, stamp)
        assert opened is not None, name
        assert not opened.body_is_whole()
        with pytest.raises(DamagedMatrix):
            opened.nearest(QUERY, 3)
        mended = Matrix.open(path, stamp, lambda: matrix)
        assert mended is not None
        assert mended.nearest(QUERY, 3)[0].tolist() == oracle(matrix, QUERY, 3)


def test_a_cache_of_another_library_model_weights_dimension_or_moment_is_refused(path: str) -> None:
    matrix = matrix_of(clustered(60))
    stamp = saved(path, matrix)
    build_graph(matrix).save(f"{path}.hnsw", stamp)
    for change in (
        {"library_id": "a1b3"},
        {"model": "ViT-B-32:openai"},
        {"weights_hash": "c3d5"},
        {"dimension": 16},
        {"generation": 2},
        {"rows": 59},
    ):
        other = stamp._replace(**change)
        assert Matrix.open(path, other) is None
        assert Graph.open(f"{path}.hnsw", other, matrix) is None
    assert Matrix.open(f"{path}.hnsw.stamp", stamp) is None
    assert Matrix.open(os.path.dirname(path), stamp) is None
    assert matrix_stamp(f"{path}.nowhere", stamp) is None
    assert graph_stamp(f"{path}.nowhere", stamp) is None
    assert Graph.open(f"{path}.nowhere", stamp, matrix) is None


def test_two_graphs_with_their_files_mixed_are_refused(path: str) -> None:
    matrix = matrix_of(clustered(300))
    for name, seed in (("one", 1), ("two", 2)):
        build_graph(matrix_of(clustered(300, seed=seed))).save(path + name, stamp_for(matrix))
    os.rename(f"{path}two", f"{path}one")
    assert Graph.open(f"{path}one", stamp_for(matrix), matrix) is None


DAMAGE_GRAPH = """
import sys
from pathlib import Path
from tests.test_cachefiles import *
path = sys.argv[1]
matrix = matrix_of(clustered(400, 64, copies=0.5))
stamp = stamp_for(matrix)
build_graph(matrix).save(path, stamp)
tried = 0
for file in (path, path + ".stamp"):
    whole = Path(file).read_bytes()
    for name, content in every_kind(whole):
        Path(file).write_bytes(content)
        assert Graph.open(path, stamp, matrix) is None, name
        tried += 1
    Path(file).write_bytes(whole)
    assert Graph.open(path, stamp, matrix) is not None
assert tried > 300
print("survived")
"""


def child(program: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parent.parent
    program = textwrap.dedent(program)
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=root, text=True, capture_output=True, **options
    )


def test_every_damage_to_a_graph_is_refused_before_hnswlib_sees_it(path: str) -> None:
    done = child(DAMAGE_GRAPH, path)
    assert (done.returncode, done.stdout) == (0, "survived\n"), done.stderr


# -- full disks and sudden ends ------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 128, 5000, 60_000])
def test_a_full_disk_is_an_error_and_leaves_the_old_files_whole(path: str, limit: int) -> None:
    old, new = matrix_of(clustered(100)), matrix_of(clustered(600, seed=2))
    stamp, graph = saved(path, old), build_graph(new)
    build_graph(old).save(f"{path}.hnsw", stamp)
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Beyond this size the system refuses every write, as a full disk does (Python ignores SIGXFSZ).
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, allowed[1]))
    try:
        with pytest.raises(CacheNotWritten) as matrix_error:
            saved(path, new, 2)
        with pytest.raises(CacheNotWritten) as graph_error:
            graph.save(f"{path}.hnsw", stamp_for(new, 2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    assert isinstance(matrix_error.value.__cause__, OSError)
    assert isinstance(graph_error.value.__cause__, OSError)
    opened = Matrix.open(path, stamp)
    assert opened is not None
    assert opened.body_is_whole()
    assert Graph.open(f"{path}.hnsw", stamp, opened) is not None
    assert sorted(os.listdir(os.path.dirname(path))) == ["vectors", "vectors.hnsw", "vectors.hnsw.stamp"]


def test_a_graph_of_the_right_size_with_lost_pages_does_not_take_the_old_ones_place(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = matrix_of(clustered(100))
    graph = build_graph(matrix)
    graph.save(path, stamp_for(matrix))

    def save_zeros(index: hnswlib.Index, path: bytes) -> None:
        with open(path, "wb") as file:
            file.truncate(index.index_file_size())

    monkeypatch.setattr(hnswlib.Index, "save_index", save_zeros)
    with pytest.raises(CacheNotWritten, match="read back"):
        graph.save(path, stamp_for(matrix, 2))
    assert Graph.open(path, stamp_for(matrix), matrix) is not None


def test_a_folder_that_is_not_there_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(CacheNotWritten, match="No such file") as caught:
        saved(str(tmp_path / "gone" / "with" / "vectors"), matrix_of(clustered(3)))
    assert caught.value.hint
