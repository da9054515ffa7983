"""A library whose vector caches are damaged answers as if they were whole, and makes them again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from photoclip import Library
from tests.conftest import Made, environment


@pytest.fixture
def library(colours: Made, tmp_path: Path) -> Path:
    return colours.copy_to(tmp_path)


def answers(library: Path) -> list[tuple[bytes, float]]:
    with Library.open(library) as opened:
        return [(hit.photo.path, hit.similarity) for hit in opened.search("red", limit=100)]


def damage(matrix: Path) -> bytes:
    """Turn over a bit of the last row, and return the whole content."""
    whole = matrix.read_bytes()
    matrix.unlink()
    matrix.write_bytes(whole[:-2] + bytes([whole[-2] ^ 0x20]) + whole[-1:])
    return whole


def test_a_search_over_a_damaged_matrix_is_right_and_mends_it(library: Path) -> None:
    right = answers(library)
    matrix = library / "vectors" / "1.matrix"
    whole = damage(matrix)
    assert answers(library) == right
    assert matrix.read_bytes() == whole
    with Library.open(library) as opened:
        assert opened.check() == []


def test_while_somebody_writes_the_answer_is_right_and_the_file_is_left_alone(library: Path) -> None:
    right = answers(library)
    matrix = library / "vectors" / "1.matrix"
    damage(matrix)
    damaged = matrix.read_bytes()
    with Library.open(library) as writer, writer.inner.lock("test"):
        assert answers(library) == right
    assert matrix.read_bytes() == damaged


def test_a_library_that_was_open_all_along_survives_the_damage_of_its_file(library: Path) -> None:
    with Library.open(library) as opened:
        right = [hit.similarity for hit in opened.search("red", limit=100)]
        damage(library / "vectors" / "1.matrix")
        assert [hit.similarity for hit in opened.search("red", limit=100)] == right


def test_tags_and_duplicates_do_not_rest_on_damaged_rows(library: Path) -> None:
    with Library.open(library) as opened:
        tags = [photo.tags for photo in opened.tag(["red", "blue"]).photos]
        groups = opened.duplicates()
    for what in ("tags", "groups"):
        damage(library / "vectors" / "1.matrix")
        with Library.open(library) as opened:
            if what == "tags":
                assert [photo.tags for photo in opened.tag(["red", "blue"]).photos] == tags
            else:
                assert opened.duplicates() == groups


def test_a_damaged_graph_comes_back_with_a_repair_and_the_next_index(colours: Made, library: Path) -> None:
    # In a process of its own, as it builds graphs at sizes where photoclip would not.
    program = """if True:
        import sys, photoclip.vectors
        from photoclip import Library
        from photoclip.indexing import IndexOptions
        photoclip.vectors.HNSW_FROM = 2
        options = IndexOptions(model="fake", jobs=1)
        with Library.open(sys.argv[1]) as library:
            inner = library.inner
            library.index([sys.argv[2]], options)
            assert inner.graph(inner.model()) is not None
            graph = sys.argv[1] + "/vectors/1.hnsw"
            content = open(graph, "rb").read()
            with open(graph, "wb") as file:
                file.write(content[:-1] + bytes([content[-1] ^ 1]))
            inner._graphs.clear()
            assert inner.graph(inner.model()) is None
            assert len(library.check(repair=True)) == 1
            library.index([sys.argv[2]], options)
            inner._graphs.clear()
            assert inner.graph(inner.model()) is not None
            assert library.check() == []
    """
    line = [sys.executable, "-c", program, os.fspath(library), os.fspath(colours.photos)]
    done = subprocess.run(line, capture_output=True, text=True, env=environment(), timeout=60, check=False)
    assert done.returncode == 0, done.stderr
