"""A library on disk, through the Python API: how it is opened, locked and shared."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

import photoclip
from photoclip import Library, PhotoclipError
from photoclip.errors import BadUsage, LibraryLocked, ModelUnavailable, NoLibrary
from photoclip.indexing import IndexOptions
from photoclip.migrations import SCHEMA_VERSION
from tests.conftest import Made, MakeShell, evidence, without_privileges
from tests.old_libraries import make_schema_1
from tests.pictures import paint, paint_many

FAKE = IndexOptions(model="fake", jobs=1)


def test_opening_what_is_not_there_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(NoLibrary) as caught:
        Library.open(tmp_path / "library")
    assert caught.value.exit_code == 3
    assert not (tmp_path / "library").exists()


def test_a_library_may_be_named_as_text_bytes_or_path(colours: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (colours.library, str(colours.library), os.fsencode(colours.library)):
        with Library.open(name) as library:
            assert len(list(library.photos())) == 7
    monkeypatch.setenv("HOME", str(colours.library.parent))
    with Library.open("~/library") as library:
        assert len(list(library.photos())) == 7
    monkeypatch.setenv("PHOTOCLIP_LIBRARY", str(colours.library))
    with Library.open() as library:
        assert len(list(library.photos())) == 7


def test_a_library_at_a_file_or_in_a_place_that_cannot_be_is_a_known_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere/library")):
        with pytest.raises(PhotoclipError):
            Library.open_or_create(place)
    assert (tmp_path / "file").read_text() == "hello"


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("dear diary")
    with pytest.raises(BadUsage, match="not a library"):
        Library.open_or_create(tmp_path)
    assert os.listdir(tmp_path) == ["diary.txt"]


def test_a_library_that_may_only_be_read_can_be_searched(colours: Made, tmp_path: Path) -> None:
    library = colours.copy_to(tmp_path)
    everything = (*library.rglob("*"), library)
    for path in everything:
        os.chmod(path, 0o500 if path.is_dir() else 0o400)
    try:
        found = without_privileges("--library", library, "search", "red")
        listed = without_privileges("--library", library, "list")
        refused = without_privileges("--library", library, "index", colours.photos)
    finally:
        for path in reversed(everything):
            os.chmod(path, 0o700 if path.is_dir() else 0o600)
    assert (found.returncode, len(found.stdout.splitlines())) == (0, 7), found
    assert (listed.returncode, len(listed.stdout.splitlines())) == (0, 7), listed
    assert refused.returncode == 1, refused
    assert b"ermission" in refused.stderr


def test_a_backup_is_a_library_and_can_be_brought_up_to_date(colours: Made, tmp_path: Path) -> None:
    place = tmp_path / "backup"
    with Library.open(colours.copy_to(tmp_path)) as library:
        library.back_up(place)
        before = library.search("red")
        library.forget([colours.photos / "sub"])
        with Library.open(place) as backup:
            assert backup.search("red") == before
            library.back_up(place)  # over a backup that somebody has open
            assert backup.search("red") == library.search("red") != before
            assert backup.check() == []
    assert {stat.S_IMODE(path.stat().st_mode) for path in place.rglob("*.sqlite*")} == {0o600}


def test_a_backup_replaces_nothing_but_an_earlier_backup(colours: Made, tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "will.txt").write_text("everything to the cat")
    Library.open_or_create(tmp_path / "another").close()
    before = evidence(tmp_path)
    with Library.open(colours.library) as library:
        for place in (tmp_path / "papers", tmp_path / "another", colours.library):
            with pytest.raises(BadUsage):
                library.back_up(place)
    after = {path: facts[0] for path, facts in evidence(tmp_path).items()}
    lock = str(tmp_path / "another" / "lock")
    assert {path: facts[0] for path, facts in before.items()} | {lock: b""} == after


def test_a_library_of_the_first_schema_is_upgraded_when_it_is_opened(
    tmp_path: Path, shell_for: MakeShell
) -> None:
    make_schema_1(tmp_path / "old")
    shell = shell_for(tmp_path / "old")
    assert shell("search", "red", "-n", "1").fine().paths == [b"/photos/red.png"]
    shell("check").fine()
    with contextlib.closing(sqlite3.connect(tmp_path / "old" / "catalogue.sqlite")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert [row["path"] for row in shell("problems", "-f", "jsonl").rows] == ["/photos/broken.jpg"]
    assert shell("tags", "--json").rows == [
        {"label": "green", "photos": 1, "kind": "tag"},
        {"label": "red", "photos": 1, "kind": "tag"},
    ]


def test_one_writer_at_a_time_and_the_second_learns_who_the_first_is(tmp_path: Path, photos: Path) -> None:
    paint_many(photos, 2)
    with Library.open_or_create(tmp_path / "library") as first, Library.open(tmp_path / "library") as second:
        named = pytest.raises(LibraryLocked, match=rf"process {os.getpid()}, a long task")
        with first.inner.lock("a long task"), named:
            second.index([photos], FAKE)
        assert second.index([photos], FAKE).added == 2


def test_two_open_libraries_see_each_others_photos(tmp_path: Path, photos: Path) -> None:
    paint(photos / "a.png", "red")
    with Library.open_or_create(tmp_path / "library") as writer:
        writer.index([photos], FAKE)
        with Library.open(tmp_path / "library") as reader:
            assert len(reader.search("red")) == 1
            paint(photos / "b.png", "red", 1)
            writer.index([photos], FAKE)
            assert len(reader.search("red")) == 2
            assert len(list(reader.photos())) == 2


def test_a_batch_is_reported_only_when_another_process_could_read_it(tmp_path: Path, photos: Path) -> None:
    paint_many(photos, 7)

    heard: list[tuple[int, int]] = []

    class Doubter:
        def surveyed(self, files: int) -> None: ...
        def started(self, total: int) -> None:
            assert total == 7

        def stored(self, done: int, *_: object) -> None:
            with sqlite3.connect(tmp_path / "library" / "catalogue.sqlite") as db:
                heard.append((done, db.execute("SELECT count(*) FROM photos").fetchone()[0]))
            db.close()

        def note(self, text: str) -> None: ...

    with Library.open_or_create(tmp_path / "library") as library:
        library.index([photos], IndexOptions(model="fake", jobs=1, batch_size=3), Doubter())
    assert heard[-1] == (7, 7)
    assert all(done <= there for done, there in heard)
    assert len(heard) >= 3


def test_many_threads_with_their_own_libraries_search_at_once(colours: Made) -> None:
    found: list[int] = []

    def look() -> None:
        with Library.open(colours.library) as library:
            found.extend(len(library.search(text)) for text in ("red", "green", "blue") * 5)

    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [7] * 90


def test_a_new_library_holds_no_photos_and_no_model(tmp_path: Path) -> None:
    with Library.open_or_create(tmp_path / "library") as library:
        assert list(library.photos()) == []
        assert list(library.problems()) == []
        assert library.check() == []
        with pytest.raises(ModelUnavailable):
            library.search("red")


def test_labels_may_be_given_as_a_list(colours: Made, tmp_path: Path) -> None:
    with Library.open(colours.copy_to(tmp_path)) as library:
        tags = {
            photo.photo.path: [tag.label for tag in photo.tags]
            for photo in library.tag(["red", "blue"]).photos
        }
        assert tags[os.fsencode(colours.photos / "blue-4.png")] == ["blue"]
        assert library.tags() == [("red", 4, "tag"), ("blue", 1, "tag")]
        with pytest.raises(BadUsage):
            library.tag([])


def test_tags_are_kept_even_if_nobody_looks_at_the_answer(colours: Made, tmp_path: Path) -> None:
    with Library.open(colours.copy_to(tmp_path)) as library:
        library.tag(["red"])
        assert library.tags() == [("red", 4, "tag")]


def test_the_public_names_are_there() -> None:
    for name in photoclip.__all__:
        assert getattr(photoclip, name) is not None
    with pytest.raises(AttributeError):
        _ = photoclip.nothing
