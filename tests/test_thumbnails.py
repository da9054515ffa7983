"""Thumbnails: what they show, where they are kept, and that none is ever of the wrong photo."""

from __future__ import annotations

import io
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from PIL import Image

from photoclip import Library
from photoclip.images import decode
from photoclip.images.pixels import within
from photoclip.indexing import IndexOptions
from photoclip.records import Photo
from photoclip.thumbnails import SIDE, Thumbnails
from tests.conftest import evidence
from tests.dng import negative
from tests.pictures import paint, scene


class Album(NamedTuple):
    """A library, and photos that it might hold: what makes thumbnails does not ask it."""

    library: Library
    folder: Path

    def photos(self) -> list[Photo]:
        """Return the photos in the folder, by path."""
        return [known(path) for path in sorted(self.folder.iterdir())]

    def pictures(self, photos: Iterable[Photo] | None = None) -> list[bytes | None]:
        """Return the thumbnails of photos, or of all."""
        return [picture for _, picture in self.library.thumbnails(photos or self.photos())]

    def kept(self) -> list[Path]:
        """Return the files in the cache."""
        return sorted(Path(self.library.inner.directory, "thumbnails").glob("*/*"))


def known(path: Path) -> Photo:
    """Return what a library would know of a photo."""
    decoded, status = decode(os.fsencode(path), None), path.stat()
    return Photo(os.fsencode(path), decoded.content_hash, status.st_size, status.st_mtime_ns, decoded.facts)


@pytest.fixture
def album(tmp_path: Path, photos: Path) -> Iterator[Album]:
    """An album without photos."""
    with Library.open_or_create(tmp_path / "library") as library:
        yield Album(library, photos)


@pytest.fixture
def three(album: Album) -> Album:
    """An album of three scenes: wide, high and small."""
    scene(1, 1200, 800).save(album.folder / "a-wide.jpg", quality=90)
    scene(2, 500, 900).save(album.folder / "b-high.png")
    scene(3, 60, 40).save(album.folder / "c-small.png")
    return album


@pytest.fixture
def indexed(three: Album) -> Album:
    """The same, and the library holds them."""
    three.library.index([three.folder], IndexOptions(model="fake", jobs=1))
    return three


def opened(picture: bytes | None) -> Image.Image:
    assert picture is not None
    return Image.open(io.BytesIO(picture), formats=["JPEG"])


def far_from(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two pictures of one size, in steps of 256."""
    pairs = zip(one.convert("RGB").tobytes(), other.convert("RGB").tobytes(), strict=True)
    return sum(abs(a - b) for a, b in pairs) / (3 * one.width * one.height)


# -- what they show -------------------------------------------------------------------------------


def test_a_thumbnail_is_the_photo_in_small(three: Album) -> None:
    for photo, picture in three.library.thumbnails(three.photos()):
        original = Image.open(os.fsdecode(photo.path))
        small = opened(picture)
        assert small.size == (within(original.size, SIDE) if max(original.size) > SIDE else original.size)
        assert max(small.size) <= SIDE
        assert far_from(small, original.resize(small.size, Image.Resampling.BICUBIC)) < 8


def test_thumbnails_are_upright(album: Album) -> None:
    upright = scene(5, 640, 400)
    for orientation, turn in ((6, Image.Transpose.ROTATE_90), (3, Image.Transpose.ROTATE_180)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        upright.transpose(turn).save(album.folder / f"{orientation}.jpg", exif=exif, quality=92)
    for picture in album.pictures():
        assert opened(picture).size == (320, 200)
        assert far_from(opened(picture), upright.resize((320, 200))) < 6


def test_no_padding_is_left_at_the_edges(album: Album) -> None:
    for width, height in ((321, 200), (2001, 1333), (1000, 3), (3, 900), (1, 1), (640, 639)):
        Image.new("RGB", (width, height), "white").save(album.folder / f"{width}-{height}.jpg")
    for size in ((480, 270), (270, 480), (300, 200)):  # previews of other proportions than the sensor
        raw = negative(scene(1, 300, 200), Image.new("RGB", size, "white"))
        (album.folder / f"{size}.dng").write_bytes(raw)
    for photo, picture in album.library.thumbnails(album.photos()):
        darkest = min(low for low, _ in opened(picture).getextrema())  # type: ignore[misc]
        assert darkest > 250, photo.path


def test_they_come_in_the_order_that_was_asked_for(three: Album) -> None:
    photos = three.photos()
    asked = [photos[2], photos[0], photos[1], photos[0]]
    three.pictures(photos[1:2])  # one is kept already
    assert [photo for photo, _ in three.library.thumbnails(iter(asked))] == asked


# -- never of the wrong photo -----------------------------------------------------------------------


def test_a_file_that_is_no_picture_any_more_has_none_and_the_others_do(three: Album) -> None:
    first, second, third = three.photos()
    Path(os.fsdecode(second.path)).write_bytes(b"\x89PNG nothing of the kind")
    status = os.stat(second.path)
    claimed = second._replace(size=status.st_size, mtime_ns=status.st_mtime_ns)
    found = [picture is not None for picture in three.pictures([first, claimed, third])]
    assert found == [True, False, True]


def test_a_photo_that_is_gone_has_the_thumbnail_that_was_kept(three: Album) -> None:
    photos = three.photos()
    (before,) = three.pictures(photos[:1])
    for photo in photos:
        os.unlink(photo.path)
    assert before is not None
    assert three.pictures(photos) == [before, None, None]


def test_a_photo_that_was_moved_keeps_its_thumbnail(indexed: Album) -> None:
    before = indexed.pictures(indexed.library.photos())
    elsewhere = indexed.folder.rename(indexed.folder.with_name("elsewhere"))
    indexed.library.index([elsewhere], IndexOptions(jobs=1))
    moved = list(indexed.library.photos())
    for photo in moved:
        os.truncate(photo.path, 10)  # nothing can be read any more
    assert [os.path.dirname(photo.path) for photo in moved] == [os.fsencode(elsewhere)] * 3
    assert indexed.pictures(moved) == before


def test_a_file_that_changed_since_gives_no_picture(three: Album) -> None:
    photo = three.photos()[0]
    scene(9, 1200, 800).save(os.fsdecode(photo.path))
    assert three.pictures([photo]) == [None]


def test_another_content_behind_the_same_size_and_time_gives_no_picture(three: Album) -> None:
    first, second, _ = three.photos()
    # What a catalogue says of a file whose bytes were exchanged without a trace.
    exchanged = second._replace(path=first.path, size=first.size, mtime_ns=first.mtime_ns)
    assert three.pictures([exchanged]) == [None]
    assert three.kept() == []


# -- the cache ------------------------------------------------------------------------------------


def test_thumbnails_lie_in_the_library_for_its_owner_only(three: Album) -> None:
    three.pictures()
    hashes = sorted(photo.content_hash.hex() for photo in three.photos())
    assert [path.name for path in three.kept()] == [f"{name}.jpg" for name in hashes]
    assert [path.parent.name for path in three.kept()] == [name[:2] for name in hashes]
    assert {stat.S_IMODE(path.stat().st_mode) for path in three.kept()} == {0o600}
    folders = {three.kept()[0].parent, three.kept()[0].parent.parent}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_a_damaged_thumbnail_is_made_again(three: Album) -> None:
    photos = three.photos()[2:]
    before = three.pictures(photos)
    (place,) = three.kept()
    whole = place.read_bytes()
    a_bit = whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]
    for damaged in (b"", b"\0" * 4, b"\0" * 5000, b"<html>", whole[:300], whole[:-1], whole[1:], a_bit):
        place.write_bytes(damaged)
        with Thumbnails(three.library.inner.directory) as thumbnails:
            assert thumbnails._kept(photos[0].content_hash) is None
    assert three.pictures(photos) == before
    assert place.read_bytes() == whole


def test_the_folder_of_thumbnails_can_be_deleted_at_any_time(three: Album) -> None:
    before = three.pictures()
    shutil.rmtree(Path(three.library.inner.directory, "thumbnails"))
    assert three.pictures() == before
    assert len(three.kept()) == 3


def test_where_nothing_can_be_written_thumbnails_are_made_all_the_same(three: Album) -> None:
    Path(three.library.inner.directory, "thumbnails").write_bytes(b"a file where the folder should be")
    assert all(picture is not None for picture in three.pictures())


def test_to_forget_photos_drops_their_thumbnails_and_what_killed_writers_left(indexed: Album) -> None:
    indexed.pictures()
    first, *rest = indexed.photos()
    leftover = indexed.kept()[0].with_name(f"{first.content_hash.hex()}.jpg.0123abcd.tmp")
    leftover.write_bytes(b"half a thumb")
    (leftover.parent / "not-ours.txt").write_bytes(b"")
    indexed.library.forget([first.path])
    names = {path.name for path in indexed.kept()}
    assert names == {"not-ours.txt", *(f"{photo.content_hash.hex()}.jpg" for photo in rest)}


def test_photos_are_only_read(three: Album) -> None:
    before = evidence(three.folder)
    three.pictures()
    assert evidence(three.folder) == before


# -- many, and their end ----------------------------------------------------------------------------


def test_to_stop_early_ends_the_workers_and_reads_no_further(three: Album) -> None:
    photos, read = three.photos(), 0

    def endless() -> Iterator[Photo]:
        nonlocal read
        while True:
            read += 1
            yield photos[read % 3]

    some = three.library.thumbnails(endless())
    next(some)
    assert psutil.Process().children()
    some.close()  # type: ignore[attr-defined]
    assert read <= 256
    assert psutil.Process().children() == []


def test_ten_thousand_photos_are_never_held_at_once(three: Album) -> None:
    photo = three.photos()[0]
    three.pictures([photo])
    held = most = count = 0

    def many() -> Iterator[Photo]:
        nonlocal held, most
        for _ in range(10_000):
            held += 1
            most = max(most, held)
            yield photo

    for _, picture in three.library.thumbnails(many()):
        held -= 1
        count += picture is not None
    assert count == 10_000
    assert most <= 256


def test_several_threads_share_the_workers(album: Album) -> None:
    for number in range(6):
        paint(album.folder / f"{number}.png", "blue", number, side=400)
    photos = album.photos()
    with Thumbnails(album.library.inner.directory, jobs=2) as thumbnails, ThreadPoolExecutor(4) as threads:
        made = list(threads.map(thumbnails.of, photos * 3))
    assert made[:6] == made[6:12] == album.pictures(photos)
    assert all(opened(picture).size == (320, 320) for picture in made)
