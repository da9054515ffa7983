"""The user's own keywords, from inside photos and from sidecars: read when they change, kept, found, and
never taken for photoclip's."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from PIL import Image

from photoclip import Library
from photoclip.encoders.fake import COLOURS
from photoclip.migrations import SCHEMA_VERSION
from photoclip.records import FileStamp
from photoclip.store import KnownSidecar, ReadSidecar
from tests.conftest import MakeShell, Shell, only, without_privileges
from tests.old_libraries import make_schema_2
from tests.pictures import paint, paint_many


def xmp(*keywords: str, ours: Iterable[str] = ()) -> str:
    """Return an XMP packet with these keywords, and with some that photoclip says it wrote itself."""

    def bag(name: str, words: Iterable[str]) -> str:
        items = "".join(f"<rdf:li>{escape(word)}</rdf:li>" for word in words)
        return f"<{name}><rdf:Bag>{items}</rdf:Bag></{name}>"

    return f"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:photoclip="urn:photoclip:1.0/">
{bag("dc:subject", [*keywords, *ours])}{bag("photoclip:addedSubject", ours)}
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def write(path: Path, *keywords: str, ours: Iterable[str] = ()) -> Path:
    """Write a sidecar."""
    path.write_text(xmp(*keywords, ours=ours), "utf-8")
    return path


def photograph(path: Path, colour: str, *keywords: str) -> Path:
    """Save a JPEG of one colour with keywords in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 24), COLOURS[colour]).save(path, xmp=xmp(*keywords).encode())
    return path


def keywords(shell: Shell) -> dict[str, list[str]]:
    """Return the user's keywords of all photos of a library that are there, by name."""
    with Library.open(shell.library) as library:
        found = library.own_keywords(library.photos())
    return {os.path.basename(os.fsdecode(path)): words for path, words in found.items()}


def tagged(shell: Shell, tag: str) -> list[str]:
    """Return the names of the photos that pass ``--tag``."""
    return shell("list", "--tag", tag).fine().names


@pytest.fixture
def two(shell: Shell, photos: Path) -> Shell:
    """Two photos, indexed, without keywords."""
    paint_many(photos, 2)
    shell.index(photos)
    return shell


# -- inside photos --------------------------------------------------------------------------------


def test_keywords_in_photos_are_read_with_them(shell: Shell, photos: Path) -> None:
    family = "\N{MAN}\u200d\N{GIRL}"  # a joiner between them: no printable letter to Python
    photograph(photos / "a.jpg", "red", "Opa & Oma", "Straße", family)
    photograph(photos / "b.jpg", "blue")
    shell.index(photos)
    assert keywords(shell) == {"a.jpg": ["Opa & Oma", "Straße", family]}
    assert tagged(shell, "STRASSE") == ["a.jpg"]
    assert tagged(shell, "!strasse") == ["b.jpg"]


def test_keywords_belong_to_the_content_and_go_with_it(shell: Shell, photos: Path) -> None:
    photograph(photos / "a.jpg", "red", "garden")
    shutil.copy(photos / "a.jpg", photos / "copy.jpg")
    shell.index(photos)
    assert tagged(shell, "garden") == ["a.jpg", "copy.jpg"]
    photograph(photos / "a.jpg", "red", "house")
    shell.index(photos)
    assert (tagged(shell, "garden"), tagged(shell, "house")) == (["copy.jpg"], ["a.jpg"])
    shell("forget", photos).fine()
    with sqlite3.connect(shell.library / "catalogue.sqlite") as db:
        assert db.execute("SELECT count(*) FROM keywords").fetchone() == (0,)
    db.close()


# -- sidecars -------------------------------------------------------------------------------------


def test_a_sidecar_beside_an_unchanged_photo_is_read_alone_and_once(two: Shell, photos: Path) -> None:
    write(photos / "000.png.xmp", "dog", "Dog", "Opa & Oma")
    only(two.index(photos), unchanged=2, sidecars=1)
    only(two.index(photos), unchanged=2)
    assert keywords(two) == {"000.png": ["dog", "Opa & Oma"]}
    assert tagged(two, "DOG") == ["000.png"]
    write(photos / "000.png.xmp", "cat")
    only(two.index(photos), unchanged=2, sidecars=1)
    assert keywords(two) == {"000.png": ["cat"]}


def test_a_sidecar_that_is_gone_takes_its_keywords_along(two: Shell, photos: Path) -> None:
    write(photos / "000.png.xmp", "dog")
    two.index(photos)
    (photos / "000.png.xmp").unlink()
    only(two.index(photos), unchanged=2)
    assert keywords(two) == {}
    with Library.open(two.library) as library:
        assert not library.inner.store.knows_sidecars()


def test_a_deep_run_reads_sidecars_again(two: Shell, photos: Path) -> None:
    write(photos / "000.png.xmp", "dog")
    two.index(photos)
    only(two.index(photos, "--deep"), unchanged=2, sidecars=1)


def test_a_sidecar_of_a_stem_belongs_to_all_its_photos_and_to_those_that_come_later(
    shell: Shell, photos: Path
) -> None:
    paint(photos / "a.jpg", "red")
    write(photos / "a.XMP", "dog")
    only(shell.index(photos), added=1, embedded=1, sidecars=1)
    paint(photos / "a.png", "blue")
    only(shell.index(photos), added=1, unchanged=1, embedded=1)
    assert tagged(shell, "dog") == ["a.jpg", "a.png"]


def test_what_photoclip_wrote_into_a_sidecar_is_not_the_users(two: Shell, photos: Path) -> None:
    sidecar = write(photos / "000.png.xmp", "dog", ours=["cat"])
    two.index(photos)
    assert keywords(two) == {"000.png": ["dog"]}
    assert tagged(two, "cat") == []
    with Library.open(two.library) as library:
        (known,) = library.inner.store.sidecars([os.fsencode(sidecar)]).values()
    assert known == KnownSidecar(FileStamp.of(sidecar.stat()), ("dog",), ("cat",))


def test_a_bad_sidecar_is_one_warning_and_is_tried_again_when_it_changes(two: Shell, photos: Path) -> None:
    sidecar = photos / "000.png.xmp"
    sidecar.write_text("<x:xmpmeta")
    write(photos / "001.png.xmp", "dog")
    first = two("index", photos, "--strict").fine()
    assert first.err.count(str(sidecar)) == 1
    assert "1 sidecar read" in first.err
    assert str(sidecar) not in two("index", photos).fine().err
    write(sidecar, "cat")
    only(two.index(photos), unchanged=2, sidecars=1)
    assert keywords(two) == {"000.png": ["cat"], "001.png": ["dog"]}


def test_a_sidecar_that_may_not_be_read_is_tried_by_the_next_run(two: Shell, photos: Path) -> None:
    sidecar = write(photos / "000.png.xmp", "dog")
    sidecar.chmod(0)
    done = without_privileges("--library", two.library, "index", photos)
    assert done.returncode == 0
    assert os.fsencode(sidecar) in done.stderr
    sidecar.chmod(0o600)
    only(two.index(photos), unchanged=2, sidecars=1)


def test_hidden_and_excluded_sidecars_are_left_alone(two: Shell, photos: Path) -> None:
    write(photos / ".000.png.xmp", "dog")
    write(photos / "001.png.xmp", "dog")
    counts = two.index(photos, "--exclude", "*.xmp")
    assert (counts["sidecars"], counts["skipped"]) == (0, 2)


@pytest.mark.parametrize("how", ["argument", "list"])
def test_the_sidecars_of_named_photos_are_read_too(shell: Shell, photos: Path, how: str) -> None:
    first, second = paint_many(photos, 2)
    write(photos / "000.png.xmp", "dog")
    write(photos / "001.xmp", "cat")
    named = (first,) if how == "argument" else ("--from", "-")
    only(shell.index(*named, stdin=os.fsencode(first)), added=1, embedded=1, sidecars=1)
    assert keywords(shell) == {"000.png": ["dog"]}
    (photos / "000.png.xmp").unlink()
    only(shell.index(*named, stdin=os.fsencode(first)), unchanged=1)
    only(shell.index(photos), added=1, unchanged=1, embedded=1, sidecars=1)
    assert keywords(shell) == {"001.png": ["cat"]}
    assert second.exists()


# -- when photos and drives move ------------------------------------------------------------------


def test_sidecars_that_move_with_their_photos_keep_their_keywords(shell: Shell, photos: Path) -> None:
    paint(photos / "old" / "a.png", "red")
    write(photos / "old" / "a.png.xmp", "dog")
    shell.index(photos)
    (photos / "old").rename(photos / "new")
    only(shell.index(photos), moved=1, sidecars=1)
    assert keywords(shell) == {"a.png": ["dog"]}
    with Library.open(shell.library) as library:
        store = library.inner.store
        assert store.sidecars_in(os.fsencode(photos / "old")) == {}
        assert len(store.sidecars_in(os.fsencode(photos / "new"))) == 1


@pytest.mark.parametrize("left", ["nothing", "an empty folder", "another folder"])
def test_nothing_is_lost_while_a_drive_is_away(shell: Shell, photos: Path, left: str) -> None:
    drive = photos / "drive"
    paint_many(drive, 2)
    paint(photos / "at home" / "a.png", "blue", 9)
    write(drive / "000.png.xmp", "dog")
    shell.index(photos)
    drive.rename(photos.parent / "away")
    if left != "nothing":
        (drive / ("x" if left == "another folder" else "")).mkdir(parents=True)
    shell.index(photos)
    shutil.rmtree(drive, ignore_errors=True)
    (photos.parent / "away").rename(drive)
    only(shell.index(photos), unchanged=3)
    assert keywords(shell) == {"000.png": ["dog"]}


def test_forget_drops_sidecars(two: Shell, photos: Path) -> None:
    write(photos / "000.png.xmp", "dog")
    two.index(photos)
    two("forget", photos).fine()
    with sqlite3.connect(two.library / "catalogue.sqlite") as db:
        for table in ("sidecars", "sidecar_keywords", "sidecar_photos"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    db.close()
    two("check").fine()


# -- counting, and the pages ----------------------------------------------------------------------


def test_tags_and_keywords_are_counted_side_by_side(shell: Shell, photos: Path, tmp_path: Path) -> None:
    photograph(photos / "a.jpg", "red", "red", "garden")
    photograph(photos / "b.jpg", "blue", "garden")
    write(photos / "a.jpg.xmp", "garden", "Trips/Rome")
    shell.index(photos)
    (tmp_path / "labels.txt").write_text("red\n")
    shell("tag", "--labels", tmp_path / "labels.txt").fine()
    rows = [tuple(row.values()) for row in shell("tags", "--json").fine().rows]
    assert rows == [
        ("garden", 2, "keyword"),
        ("Trips/Rome", 1, "keyword"),
        ("red", 1, "keyword"),
        ("red", 1, "tag"),
    ]
    assert [tagged(shell, tag) for tag in ("trips", "rome", "TRIPS/rome")] == [["a.jpg"]] * 3
    shell("search", "red", "--html", tmp_path / "sheet.html").fine()
    assert '"tags":["red","garden","Trips/Rome"]' in (tmp_path / "sheet.html").read_text()


# -- libraries of earlier versions ----------------------------------------------------------------


def test_a_library_of_the_second_schema_is_upgraded_and_searched(
    tmp_path: Path, shell_for: MakeShell
) -> None:
    make_schema_2(tmp_path / "old")
    shell = shell_for(tmp_path / "old")
    assert shell("search", "red", "-n", "1").fine().paths == [b"/photos/red.png"]
    assert shell("list", "--tag", "green").fine().paths == [b"/photos/green.png"]
    shell("check").fine()
    with contextlib.closing(sqlite3.connect(tmp_path / "old" / "catalogue.sqlite")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert db.execute("SELECT count(*) FROM rereads").fetchone() == (3,)


def test_photos_of_an_earlier_version_are_read_again_once_and_not_embedded(
    shell: Shell, photos: Path
) -> None:
    photograph(photos / "a.jpg", "red", "garden")
    shutil.copy(photos / "a.jpg", photos / "copy.jpg")
    shell.index(photos)
    with sqlite3.connect(shell.library / "catalogue.sqlite") as db:
        db.execute("DELETE FROM keywords")
        db.execute("INSERT INTO rereads SELECT id FROM contents")
    db.close()
    assert tagged(shell, "garden") == []
    first = shell("index", photos, "--json").fine()
    only(first.json, unchanged=2)
    assert "read again" in first.err
    assert tagged(shell, "garden") == ["a.jpg", "copy.jpg"]
    second = shell("index", photos, "--json").fine()
    only(second.json, unchanged=2)
    assert "read again" not in second.err


# -- what the store keeps -------------------------------------------------------------------------


def test_sidecars_are_replaced_and_dropped_whole(two: Shell, photos: Path) -> None:
    photo, sidecar, stamp = os.fsencode(photos / "000.png"), b"/elsewhere/000.xmp", FileStamp(1, 2, 3, 4)
    with Library.open(two.library) as library, library.inner.lock("test"):
        store = library.inner.store
        store.record_sidecars([ReadSidecar(sidecar, stamp, (photo,), ("a", "both"), ("b", "both"))])
        assert store.sidecars([sidecar, photo]) == {
            sidecar: KnownSidecar(stamp, ("a", "both"), ("b", "both"))
        }
        store.record_sidecars([ReadSidecar(sidecar, stamp._replace(size=9), (photo,), (), ("c",))])
        assert store.sidecars([sidecar]) == {sidecar: KnownSidecar(stamp._replace(size=9), (), ("c",))}
        assert store.own_keywords([photo]) == {}
        store.drop_sidecars([sidecar])
        assert store.sidecars([sidecar]) == {}
