"""A process that asks often changes from the exact scan to the neighbour graph, and nobody can tell."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from photoclip import vectors
from photoclip.encoders.fake import WORDS, FakeEncoder
from photoclip.library import OpenLibrary
from photoclip.records import DecodedPhoto, FileStamp, PhotoFacts, ScannedFile
from photoclip.searching import Part, Query, search
from photoclip.store import FoundFile
from photoclip.vectors import graph

PICTURES = 6_000


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenLibrary]:
    """A library of many different pictures, with a graph, though it would not pay for so few yet."""
    with pytest.MonkeyPatch.context() as patch:
        for room in (graph, vectors):
            patch.setattr(room, "HNSW_FROM", PICTURES)
        yield _crowd(tmp_path_factory)


def _crowd(tmp_path_factory: pytest.TempPathFactory) -> OpenLibrary:
    library = OpenLibrary.open_or_create(tmp_path_factory.mktemp("crowd") / "library")
    encoder = FakeEncoder()
    model = library.store.add_model(encoder.card)
    library.store.set_setting("model", encoder.card.spec)
    rows = np.abs(np.random.default_rng(0).normal(size=(PICTURES, encoder.card.dimension))) ** 3
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("<f4")
    found = []
    for number, row in enumerate(rows):
        content = number.to_bytes(32, "little")
        decoded = DecodedPhoto(content, PhotoFacts(1, 1, "PNG"), b"", bytes(1024))
        file = ScannedFile(b"/photos/%05d.png" % number, FileStamp(1, 1, 1, number))
        found.append(FoundFile(file, content, decoded, row.tobytes()))
    with library.lock("test"):
        library.store.record(model.id, found, [])
        library.refresh_vectors(library.model())
    return library


def test_the_graph_answers_as_the_exact_scan_does(crowd: OpenLibrary) -> None:
    texts = [" ".join(words) for words in itertools.islice(itertools.combinations(WORDS, 3), 80)]
    graph_file = os.path.join(crowd.directory, "vectors", f"{crowd.model().id}.hnsw")
    assert os.path.exists(graph_file)
    exact = OpenLibrary.open(crowd.directory)
    same = 0
    for text in texts:
        exact.searches = 0  # a process that has asked nothing yet scans
        often = {hit.photo.path: hit.similarity for hit in search(crowd, Query((Part(text),), limit=10))}
        first = {hit.photo.path: hit.similarity for hit in search(exact, Query((Part(text),), limit=10))}
        assert len(often) == len(first) == 10
        assert all(abs(often[path] - first[path]) < 1e-6 for path in often.keys() & first.keys())
        same += len(often.keys() & first.keys())
    assert not exact._graphs, "a first search must not load the graph"
    assert any(crowd._graphs.values()), "after so many searches the graph should have been loaded"
    assert same >= 0.99 * 10 * len(texts)


def test_a_damaged_graph_is_never_asked(crowd: OpenLibrary) -> None:
    library = OpenLibrary.open(crowd.directory)
    library.searches = 1000
    path = Path(crowd.directory, "vectors", f"{crowd.model().id}.hnsw")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    hits = search(library, Query((Part("red"),), limit=5))
    assert len(hits) == 5
    assert not any(library._graphs.values())
