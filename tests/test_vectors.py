"""Vectors: what is written comes back, what is asked is answered exactly, what is damaged is refused."""

from __future__ import annotations

import os
import random
import resource
import signal
import stat
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from photoclip.errors import CacheNotWritten, PhotoclipError
from photoclip.vectors import (
    Graph,
    Matrix,
    Stamp,
    build_graph,
    extend_matrix,
    graph_stamp,
    matrix_stamp,
    neighbour_pairs,
    pairs,
    prefer_graph,
    write_matrix,
)

HEADER = 128
PAGE = 4096


def unit(rows: Any) -> NDArray[np.float32]:
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def clustered(count: int, dimension: int = 32, copies: float = 0.0, seed: int = 1) -> NDArray[np.float32]:
    """Rows around a few dozen centres, the last ``copies`` of them identical to earlier ones."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(40, dimension))
    rows = unit(centres[random.integers(0, 40, count)] + 0.6 * random.normal(size=(count, dimension)))
    first_copy = round(count * (1 - copies))
    rows[first_copy:] = rows[random.integers(0, max(first_copy, 1), count - first_copy)]
    return rows


def matrix_of(rows: NDArray[np.float32]) -> Matrix:
    return Matrix.of(1 + 3 * np.arange(len(rows)), rows)


def stamp_for(matrix: Matrix, generation: int = 1) -> Stamp:
    return Stamp("a1b2", "ViT-B-32:laion2b_s34b_b79k", "c3d4", matrix.dimension, generation, len(matrix))


def oracle(matrix: Matrix, query: NDArray[np.float32], k: int, among: Any = None) -> list[int]:
    """The ids of the k nearest rows, one row at a time and in float64."""
    allowed = set(matrix.ids.tolist()) if among is None else set(among)
    ranked = sorted(
        (-float(np.dot(row.astype(float), query.astype(float))), content_id)
        for content_id, row in zip(matrix.ids.tolist(), matrix.rows, strict=True)
        if content_id in allowed
    )
    return [content_id for _, content_id in ranked[:k]]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "vectors")


def saved(path: str, matrix: Matrix, generation: int = 1) -> Stamp:
    stamp = stamp_for(matrix, generation)
    write_matrix(path, stamp, matrix.blocks())
    return stamp


# --- The matrix file ---------------------------------------------------------------------------------


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
    assert matrix_stamp(path, replace(stamp, generation=-1, count=0)) == stamp


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
        write_matrix(path, replace(good, generation=2, count=2), blocks)
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
        write_matrix(path, replace(stamp_for(matrix), count=announced), matrix.blocks())
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
    new = replace(stamp, generation=2, count=51)
    block = [(np.array([1000]), old.rows[:1])]
    assert not extend_matrix(path, replace(stamp, generation=3), new, block)
    assert not extend_matrix(path, stamp, new, [(np.array([2]), old.rows[:1])])
    assert Matrix.open(path, stamp) is not None
    content = bytearray(Path(path).read_bytes())
    content[-3] ^= 1
    Path(path).write_bytes(content)
    assert not extend_matrix(path, stamp, new, block)


# --- Exact search ------------------------------------------------------------------------------------

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
    nearly = matrix.rows[:100] + np.float32(1e-7)
    pairs_found = neighbour_pairs(matrix_of(np.concatenate((matrix.rows[:100], nearly))), None, 0.99, 5)
    assert {s for *_, s in pairs_found} == {1.0}


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


# --- The graph ---------------------------------------------------------------------------------------


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
    assert graph_stamp(path, replace(stamp_for(matrix), generation=9)) == stamp_for(matrix)


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


# --- Pairs -------------------------------------------------------------------------------------------


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


# --- Damage ------------------------------------------------------------------------------------------


def damages(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Every way in which a file may have come to harm."""
    dice = random.Random(5)
    yield "empty", b""
    for i in range(20):
        yield f"cut {i}", content[: len(content) * i // 20]
    yield "last byte lost", content[:-1]
    yield "one byte more", content + b"\0"
    yield "all zeros", bytes(len(content))
    for i in range(min(HEADER, len(content))):
        yield (
            f"byte {i} flipped",
            content[:i] + bytes([content[i] ^ (1 << dice.randrange(8))]) + content[i + 1 :],
        )
    for i in range(20):
        start = dice.randrange(0, len(content), PAGE)
        length = len(content[start : start + PAGE])
        for kind, page in (("zeroed", bytes(length)), ("random", dice.randbytes(length))):
            if content[start : start + length] != page:
                yield f"page {kind} {i}", content[:start] + page + content[start + length :]


def test_a_damaged_matrix_is_refused_or_recognised_and_never_hides_an_answer(path: str) -> None:
    matrix = matrix_of(clustered(400, 64))
    stamp = saved(path, matrix)
    tried = 0
    for name, content in damages(Path(path).read_bytes()):
        Path(path).write_bytes(content)
        opened = Matrix.open(path, stamp)
        tried += 1
        if "page" not in name:
            assert opened is None, name
        elif opened is not None:
            assert not opened.body_is_whole(), name
            for k in (10, 400):
                similarities = opened.nearest(matrix.rows[0], k)[1]
                assert len(similarities) == k
                assert np.isfinite(similarities).all()
            for work in (lambda m: list(neighbour_pairs(m, None, 0.9, 5)), build_graph):
                with pytest.raises(PhotoclipError, match="damaged"):
                    work(opened)
    assert tried > 150


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
        {"count": 59},
    ):
        other = replace(stamp, **change)
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
from tests.test_vectors import *
path = sys.argv[1]
matrix = matrix_of(clustered(400, 64, copies=0.5))
stamp = stamp_for(matrix)
build_graph(matrix).save(path, stamp)
tried = 0
for file in (path, path + ".stamp"):
    whole = Path(file).read_bytes()
    for name, content in damages(whole):
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


# --- Full disks and sudden ends ----------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, HEADER, 5000, 60_000])
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
        saved(str(tmp_path / "gone" / "vectors"), matrix_of(clustered(3)))
    assert caught.value.hint


WRITE_FOREVER = """
import sys
from tests.test_vectors import *
path = sys.argv[1]
matrices = [matrix_of(clustered(3000, 64, seed=seed)) for seed in (1, 2)]
graphs = [build_graph(matrix_of(matrix.rows[:300])) for matrix in matrices]
for generation in range(10**9):
    which = generation % 2
    saved(path, matrices[which], which)
    graphs[which].save(path + ".hnsw", stamp_for(matrices[which], which))
    if generation == 1:
        print("ready", flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_the_old_file_or_the_new(path: str) -> None:
    root = Path(__file__).resolve().parent.parent
    matrices = [matrix_of(clustered(3000, 64, seed=seed)) for seed in (1, 2)]
    for round_ in range(10):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOREVER, path], cwd=root, stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        with writer:
            assert writer.stdout.readline() == b"ready\n"
            try:
                writer.wait(0.003 * round_)
            except subprocess.TimeoutExpired:
                writer.send_signal(signal.SIGKILL)
        opened = [Matrix.open(path, stamp_for(matrix, i)) for i, matrix in enumerate(matrices)]
        found = [(i, matrix) for i, matrix in enumerate(opened) if matrix is not None]
        assert len(found) == 1
        assert found[0][1].body_is_whole()
        assert (found[0][1].rows == matrices[found[0][0]].rows).all()
        for i, matrix in enumerate(matrices):
            graph = Graph.open(f"{path}.hnsw", stamp_for(matrix, i), matrix)
            assert graph is None or (graph.nearest(matrix.rows[:5], 1)[0][:, 0] == matrix.ids[:5]).all()
