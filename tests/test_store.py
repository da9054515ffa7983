"""The catalogue: the promises of its file, kept for those who read it without photoclip."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from photoclip.errors import LibraryDamaged, NewerLibrary, PhotoclipError
from photoclip.migrations import SCHEMA_VERSION
from photoclip.records import (
    DecodedPhoto,
    FileStamp,
    ModelCard,
    PhotoFacts,
    Preprocessing,
    Problem,
    ScannedFile,
    TagSuggestion,
)
from photoclip.store import FoundFile, ReadSidecar, Store, StoredModel
from tests.conftest import Made

CARD = ModelCard("some:model", "ab" * 32, 4, Preprocessing(size=8))
VECTOR = np.array([1, 0, 0, 0], "<f4").tobytes()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.create(str(tmp_path / "catalogue.sqlite"), "id")
    yield store
    store.close()


@pytest.fixture
def model(store: Store) -> StoredModel:
    return store.add_model(CARD)


def found(
    path: bytes, content: bytes = b"x", vector: bytes | None = VECTOR, moved_from: bytes | None = None
) -> FoundFile:
    content_hash = hashlib.sha256(content).digest()
    facts = PhotoFacts(40, 30, "JPEG", "2020-01-02T03:04:05", "Camera", "Lens", -1.5, 2.5, 6)
    decoded = DecodedPhoto(content_hash, facts, b"", bytes(1024))
    file = ScannedFile(path, FileStamp(len(content), 1, 2, 3))
    return FoundFile(file, content_hash, decoded if vector else None, vector, moved_from)


def test_what_is_recorded_is_read_back(store: Store, model: StoredModel) -> None:
    one = found(b"/p/\xff\n.jpg")
    store.record(model.id, [one], [])
    ((_, photo),) = store.photos()
    assert (photo.path, photo.content_hash, photo.size, photo.missing) == (
        b"/p/\xff\n.jpg",
        one.content_hash,
        1,
        False,
    )
    assert one.decoded is not None
    assert photo.facts == one.decoded.facts
    assert store.models()[0].card == CARD


def test_a_batch_is_stored_whole_or_not_at_all(store: Store, model: StoredModel) -> None:
    good, bad = found(b"/p/a.jpg", b"a"), found(b"/p/b.jpg", b"b", vector=None)  # b's content is not known
    with pytest.raises(Exception):  # noqa: B017 - whatever it is, nothing may be left of the batch
        store.record(model.id, [good, bad], [])
    assert list(store.photos()) == []
    assert store.embedded(model.id) == 0
    assert store.generation(store.models()[0].id) == 0


@pytest.mark.parametrize("name", ["a?mode=ro", "b#c", "50%25", "ü\udcff", "d:e&f", "/double"])
def test_a_catalogue_opens_whatever_its_path_means_in_an_address(tmp_path: Path, name: str) -> None:
    path = f"{tmp_path}/{name}.sqlite" if name != "/double" else f"/{tmp_path}/double.sqlite"
    Store.create(path, "ab" * 16).close()
    with contextlib.closing(Store.open(path)) as store:
        assert store.setting("library_id") == "ab" * 16
    assert Path(path).stat().st_size > 0


def test_every_change_of_embeddings_raises_the_generation_and_other_changes_do_not(
    store: Store, model: StoredModel
) -> None:
    def generation() -> int:
        return store.generation(store.models()[0].id)

    store.record(model.id, [found(b"/p/a.jpg", b"a")], [])
    after_first = generation()
    assert after_first > 0
    store.record(model.id, [found(b"/p/copy.jpg", b"a", vector=None)], [])
    store.mark_missing([b"/p/copy.jpg"], "2020-01-01T00:00:00")
    assert generation() == after_first
    store.forget(b"/p/copy.jpg")
    assert generation() == after_first
    store.forget(b"/p")
    assert generation() > after_first


def test_caches_of_a_past_that_is_not_this_catalogues_own_are_told_apart(
    store: Store, model: StoredModel, tmp_path: Path
) -> None:
    store.record(model.id, [found(b"/p/a.jpg", b"a")], [])
    before = store.generation(model.id)
    store.copy_to(str(tmp_path / "backup.sqlite"))
    store.record(model.id, [found(b"/p/b.jpg", b"b"), found(b"/p/c.jpg", b"c")], [])
    future = store.generation(model.id)
    assert store.changed_since(model.id, before) == (2, 2)
    restored = Store.open(str(tmp_path / "backup.sqlite"))
    restored.record(model.id, [found(b"/p/x.jpg", b"x"), found(b"/p/y.jpg", b"y")], [])
    assert restored.generation(model.id) != future
    assert restored.changed_since(model.id, future) is None
    restored.close()


def test_a_snapshot_sees_one_state_whatever_is_written(store: Store, model: StoredModel) -> None:
    store.record(model.id, [found(b"/p/a.jpg", b"a")], [])
    with contextlib.closing(Store.open(store.path)) as reader:
        with reader.snapshot():
            assert reader.photos_under(b"/p") == 1
            store.record(model.id, [found(b"/p/b.jpg", b"b")], [])
            assert reader.photos_under(b"/p") == 1
        assert reader.photos_under(b"/p") == 2


def test_a_vector_that_does_not_fit_its_checksum_is_never_handed_out(
    store: Store, model: StoredModel
) -> None:
    store.record(model.id, [found(b"/p/a.jpg", b"a")], [])
    with contextlib.closing(sqlite3.connect(store.path)) as db, db:
        db.execute("UPDATE embeddings SET checksum = checksum + 1")
    with pytest.raises(LibraryDamaged, match="changed by themselves"):
        list(store.embeddings(model.id))


def test_ids_of_contents_are_never_used_again(store: Store, model: StoredModel) -> None:
    store.record(model.id, [found(b"/p/a.jpg", b"a"), found(b"/p/b.jpg", b"b")], [])
    last = max(content_id for content_id, _ in store.photos())
    store.forget(b"/p")
    store.record(model.id, [found(b"/p/c.jpg", b"c")], [])
    assert min(content_id for content_id, _ in store.photos()) > last


def test_a_move_keeps_one_row_and_takes_the_place_of_what_was_there(store: Store, model: StoredModel) -> None:
    store.record(model.id, [found(b"/p/a.jpg", b"a"), found(b"/p/b.jpg", b"b")], [])
    store.record(model.id, [found(b"/p/b.jpg", b"a", vector=None, moved_from=b"/p/a.jpg")], [])
    assert [photo.path for _, photo in store.photos()] == [b"/p/b.jpg"]
    assert [photo.content_hash for _, photo in store.photos()] == [hashlib.sha256(b"a").digest()]


def test_a_problem_takes_the_place_of_a_photo_and_the_other_way_round(
    store: Store, model: StoredModel
) -> None:
    store.record(model.id, [found(b"/p/a.jpg")], [])
    problem = Problem(b"/p/a.jpg", "unreadable", "it is cut off")
    store.record(model.id, [], [(ScannedFile(b"/p/a.jpg", FileStamp(1, 2, 3, 4)), problem)])
    assert (list(store.photos()), list(store.problems())) == ([], [problem])
    store.record(model.id, [found(b"/p/a.jpg")], [])
    assert (len(list(store.photos())), list(store.problems())) == (1, [])


def test_folders_whose_names_begin_alike_are_kept_apart(store: Store, model: StoredModel) -> None:
    folders = [b"/p", b"/p/a", b"/p/a-b", b"/p/a/b", b"/p/a0", b"/p/a%", b"/q"]
    store.record(model.id, [found(folder + b"/x.jpg", folder) for folder in folders], [])
    assert store.folders_under(b"/p/a") == [b"/p/a", b"/p/a/b"]
    assert store.folders_under(b"/p/a%") == [b"/p/a%"]
    assert len(store.folders_under(b"/")) == len(folders)
    assert store.forget(b"/p/a") == 2


def test_thousands_of_paths_can_be_asked_for_at_once(store: Store, model: StoredModel) -> None:
    store.record(model.id, [found(b"/p/%d.jpg" % n, b"%d" % n) for n in range(1500)], [])
    wanted = [b"/p/%d.jpg" % n for n in range(0, 3000, 2)]
    assert len(store.contents_at(wanted)) == 750
    assert [len(ids) for ids, _ in store.embeddings(model.id, block=1000)] == [1000, 500]


def test_embeddings_of_several_models_live_side_by_side(store: Store, model: StoredModel) -> None:
    other = store.add_model(ModelCard("other:model", "cd" * 32, 2, Preprocessing(size=8)))
    store.record(model.id, [found(b"/p/a.jpg")], [])
    store.record(other.id, [found(b"/p/a.jpg", vector=np.array([0, 1], "<f4").tobytes())], [])
    assert (store.embedded(model.id), store.embedded(other.id)) == (1, 1)
    assert next(store.embeddings(model.id))[1] == VECTOR
    newer = store.add_model(ModelCard("some:model", "ef" * 32, 4, Preprocessing(size=8)))
    assert store.model("some:model") == newer
    assert store.embedded(model.id) == 1


def test_tags_are_replaced_label_by_label(store: Store, model: StoredModel) -> None:
    store.record(model.id, [found(b"/p/a.jpg")], [])
    ((content_id, _),) = store.photos()
    cat, dog = TagSuggestion("cat", 0.3, 0.9), TagSuggestion("dog", 0.2, 0.6)
    both = store.add_label_list(model.id, "both", ["cat", "dog"], b"", 1, "now")
    assert store.record_decisions(both, ["cat", "dog"], "both", {content_id: [cat, dog]}, "now") == 1
    alone = store.add_label_list(model.id, "alone", ["cat"], b"", 1, "now")
    assert store.record_decisions(alone, ["cat"], "alone", {content_id: []}, "now") == 1
    assert store.tags_of([content_id], model.id) == {content_id: [dog]}
    assert store.tag_counts(model.id) == [("dog", 1, "tag")]


def test_what_is_forgotten_leaves_nothing_behind(store: Store, model: StoredModel) -> None:
    photo = found(b"/p/a.jpg")
    assert photo.decoded is not None
    store.record(model.id, [photo._replace(decoded=photo.decoded._replace(keywords=("garden",)))], [])
    ((content_id, _),) = store.photos()
    list_id = store.add_label_list(model.id, "list", ["cat"], b"", 1, "now")
    store.record_decisions(list_id, ["cat"], "list", {content_id: [TagSuggestion("cat", 0.3, 0.9)]}, "now")
    store.record_sidecars([ReadSidecar(b"/p/a.xmp", FileStamp(1, 2, 3, 4), (b"/p/a.jpg",), ("dog",))])
    assert store.own_keywords([b"/p/a.jpg"]) == {b"/p/a.jpg": ["dog", "garden"]}
    assert store.counts() | {"tags": 1, "keywords": 2} == store.counts()
    assert store.forget(b"/p") == 1
    assert (set(store.counts().values()), store.decided(list_id), store.knows_sidecars()) == (
        {0},
        set(),
        False,
    )
    assert store.faults() == []


def test_a_query_that_cannot_be_remembered_is_no_error(store: Store, model: StoredModel) -> None:
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store.remember_queries(model.id, {"a cat": VECTOR})
    other.execute("ROLLBACK")
    other.close()
    assert store.query(model.id, "a cat") is None
    store.remember_queries(model.id, {"a cat": VECTOR})
    assert store.query(model.id, "a cat") == VECTOR


def test_embeddings_are_little_endian_float32_with_a_checksum_as_documented(colours: Made) -> None:
    with sqlite3.connect(colours.library / "catalogue.sqlite") as db:
        (dimension,) = db.execute("SELECT dimension FROM models").fetchone()
        rows = db.execute("SELECT vector, checksum FROM embeddings").fetchall()
        hashes = dict(
            db.execute(
                "SELECT p.path, c.hash FROM photos p JOIN contents c ON c.id = p.content_id"
            ).fetchall()
        )
    db.close()
    assert len(rows) == 6
    for vector, checksum in rows:
        assert np.linalg.norm(np.frombuffer(vector, "<f4")) == pytest.approx(1, abs=1e-5)
        assert len(vector) == 4 * dimension
        assert zlib.crc32(vector) == checksum
    for path, content_hash in hashes.items():
        assert isinstance(path, bytes)
        assert hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).digest() == content_hash


def test_the_schema_version_is_in_the_header(store: Store) -> None:
    header = Path(store.path).read_bytes()[:100]
    assert int.from_bytes(header[60:64], "big") == SCHEMA_VERSION


def test_opening_a_catalogue_of_the_future_or_of_nobody_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    Store.create(str(path), "id").close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(NewerLibrary):
        Store.open(str(path))
    path.write_bytes(b"")
    with pytest.raises(LibraryDamaged):
        Store.open(str(path))
    assert path.read_bytes() == b""


def test_a_full_disk_is_said_in_words_and_what_was_stored_stays(store: Store, model: StoredModel) -> None:
    store.record(model.id, [found(b"/p/a.jpg", b"a")], [])
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    many = [found(b"/p/%d.jpg" % n, b"%d" % n) for n in range(500)]
    with pytest.raises(PhotoclipError, match="full") as caught:
        store.record(model.id, many, [])
    assert "space" in caught.value.hint
    assert [photo.path for _, photo in store.photos()] == [b"/p/a.jpg"]
    store._db.execute("PRAGMA max_page_count = 1000000")
    store.record(model.id, many, [])
    assert len(list(store.photos())) == 501
