"""Searching while somebody indexes: everything stored is found, and little is read for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from photoclip.encoders.fake import FakeEncoder
from photoclip.filters import PhotoFilter
from photoclip.library import OpenLibrary
from photoclip.records import DecodedPhoto, FileStamp, PhotoFacts, ScannedFile
from photoclip.searching import Part, Query, search
from photoclip.store import FoundFile
from tests.rows import clustered

ROWS = clustered(400, FakeEncoder().card.dimension, copies=0.1, seed=3)
OLD = 300


def found(numbers: Sequence[int]) -> list[FoundFile]:
    photos = []
    for number in numbers:
        content = number.to_bytes(32, "little")
        decoded = DecodedPhoto(content, PhotoFacts(1, 1, "PNG"), b"", bytes(1024))
        file = ScannedFile(b"/photos/%05d.png" % number, FileStamp(1, 1, 1, number))
        photos.append(FoundFile(file, content, decoded, ROWS[number].astype("<f4").tobytes()))
    return photos


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[OpenLibrary]:
    """A library with a current cache of 300 photos, and its lock held."""
    library = OpenLibrary.open_or_create(tmp_path / "library")
    encoder = FakeEncoder()
    library.store.add_model(encoder.card)
    library.store.set_setting("model", encoder.card.spec)
    with library.lock("index"):
        library.store.record(library.model().id, found(range(OLD)), [])
        library.refresh_vectors(library.model())
        yield library
    library.close()


@contextlib.contextmanager
def reader(writer: OpenLibrary, patch: pytest.MonkeyPatch) -> Iterator[tuple[OpenLibrary, list[int]]]:
    """Another process's view of the library, and from which id on it read the catalogue, each time."""
    read: list[int] = []
    original = OpenLibrary._blocks

    def watched(self: OpenLibrary, model: Any, above: int = 0) -> Any:
        read.append(above)
        return original(self, model, above)

    with patch.context() as within, contextlib.closing(OpenLibrary.open(writer.directory)) as library:
        within.setattr(OpenLibrary, "_blocks", watched)
        yield library, read


def best(count: int, vector: Any, limit: int, among: Sequence[int] | None = None) -> list[bytes]:
    numbers = np.arange(count) if among is None else np.array(among)
    similarities = ROWS[numbers].astype(np.float64) @ vector.astype(np.float64)
    order = np.lexsort((numbers, -np.round(similarities, 6)))[:limit]
    return [b"/photos/%05d.png" % number for number in numbers[order]]


def paths(library: OpenLibrary, text: str, limit: int, **more: Any) -> list[bytes]:
    return [hit.photo.path for hit in search(library, Query((Part(text),), limit=limit, **more))]


def test_what_was_stored_a_moment_ago_is_found_without_reading_the_rest(
    writer: OpenLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, vectors = writer.model(), FakeEncoder().encode_texts(["red", "a bright green"])
    with reader(writer, monkeypatch) as (library, read):
        for count in (350, 400):
            writer.store.record(model.id, found(range(count - 50, count)), [])
            for text, vector in zip(("red", "a bright green"), vectors, strict=True):
                for limit in (1, 10, 380):
                    # Copies of one picture are equally near, and come by path.
                    assert sorted(paths(library, text, limit)) == sorted(best(count, vector, limit))
        assert read and min(read) >= OLD
        among = frozenset(b"/photos/%05d.png" % number for number in (5, 290, 310, 399))
        assert paths(library, "red", 9, among=among) == best(400, vectors[0], 9, (5, 290, 310, 399))


def test_a_row_that_proves_damaged_meanwhile_is_made_good_and_found_once(
    writer: OpenLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = writer.model()
    writer.store.record(model.id, found(range(OLD, 400)), [])
    file = Path(writer.directory) / "vectors" / f"{model.id}.matrix"
    content = bytearray(file.read_bytes())
    for place in range(len(content) - 4 * ROWS[:OLD].size, len(content), 4 * ROWS.shape[1]):
        content[place + 5] ^= 1
    file.write_bytes(content)
    with reader(writer, monkeypatch) as (library, _):
        vector = FakeEncoder().encode_texts(["blue"])[0]
        assert sorted(paths(library, "blue", 390)) == sorted(best(400, vector, 390))


def test_where_more_than_additions_happened_the_catalogue_is_read(
    writer: OpenLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = writer.model()
    writer.store.record(model.id, found(range(OLD, 350)), [])
    writer.store.forget(b"/photos/00007.png")
    with reader(writer, monkeypatch) as (library, read):
        assert len(paths(library, "red", 400)) == 349
        assert read == [0]


def test_what_is_relevant_is_the_same_beside_an_index_and_after_it(
    writer: OpenLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = writer.model()
    writer.store.record(model.id, found(range(OLD, 400)), [])
    asked = Query((Part("red"),), PhotoFilter(folders=(b"/photos",)), 400, judged=True, explained=True)
    with reader(writer, monkeypatch) as (library, _):
        beside = {hit.photo.path: hit for hit in search(library, asked)}
        assert len(library.matrices(model)) == 2
    writer.refresh_vectors(model)
    after = search(writer, asked)
    assert len(writer.matrices(model)) == 1
    assert len(after) == len(beside) == 400
    for hit in after:
        other = beside[hit.photo.path]
        assert hit.margin == pytest.approx(other.margin, abs=1e-5)
        assert hit.parts[0].similarity == pytest.approx(other.similarity, abs=1e-5)


def test_who_needs_all_rows_gets_them_in_one(writer: OpenLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    model = writer.model()
    writer.store.record(model.id, found(range(OLD, 350)), [])
    with reader(writer, monkeypatch) as (library, _):
        assert [len(matrix) for matrix in library.matrices(model)] == [300, 50]
        assert len(library.matrix(model)) == 350
        assert [len(matrix) for matrix in library.matrices(model)] == [350]
