"""Keywords that are carried when spare photos go, through the library."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from photoclip import Library
from photoclip.actions import Report, read_report, write_report
from photoclip.errors import BadUsage
from photoclip.records import DuplicateGroup
from tests.conftest import Shell
from tests.pictures import paint
from tests.places import packet


def keyworded(path: Path, *keywords: str) -> None:
    """Write a photo that has keywords inside."""
    Image.new("RGB", (40, 30), "red").save(path, quality=60, xmp=packet(*keywords))


def reported(library: Library, *names: Path) -> Report:
    photos = {photo.path: photo for photo in library.photos()}
    group = DuplicateGroup("same picture", 1.0, tuple(photos[os.fsencode(name)] for name in names))
    file = io.BytesIO()
    write_report([group], file)
    file.seek(0)
    return read_report(file)


@pytest.fixture
def pair(shell: Shell, photos: Path) -> tuple[Path, Path]:
    """A photo and a smaller copy, with keywords inside and beside."""
    best, spare = photos / "best.png", photos / "spare.jpg"
    paint(best, "red")
    keyworded(spare, "Animals/Dog", "garden")
    (photos / "spare.jpg.xmp").write_bytes(packet("Ada"))
    shell.index(photos)
    return best, spare


def test_the_next_index_finds_the_keywords_with_what_stays(
    shell: Shell, photos: Path, pair: tuple[Path, Path]
) -> None:
    with Library.open(shell.library) as library:
        acted = list(library.apply(reported(library, *pair), "move", photos.parent / "spare"))
        assert [one.outcome for one in acted] == ["carried", "moved", "moved"]
    shell.index(photos)
    with Library.open(shell.library) as library:
        own = library.own_keywords(library.photos())
        assert own == {os.fsencode(pair[0]): ["Ada", "Animals/Dog", "garden"]}
        library.remove_tags()
        assert {one.outcome for one in library.undo(library.journals()[-1])} == {"restored"}
    assert not (photos / "best.png.xmp").exists()


def test_without_carrying_nothing_is_written(shell: Shell, photos: Path, pair: tuple[Path, Path]) -> None:
    with Library.open(shell.library) as library:
        acted = list(library.apply(reported(library, *pair), "move", photos.parent / "x", carry=False))
    assert [one.outcome for one in acted] == ["moved", "moved"]
    assert not (photos / "best.png.xmp").exists()


def test_a_photo_that_was_forgotten_is_left_alone(
    shell: Shell, photos: Path, pair: tuple[Path, Path]
) -> None:
    with Library.open(shell.library) as library:
        report = reported(library, *pair)
        library.forget([pair[1]])
        (one,) = library.apply(report, "move", photos.parent / "spare")
    assert one.reason == "the library does not know its keywords; photoclip index reads them"


def test_a_group_of_a_report_is_denied_as_it_was_found(shell: Shell, pair: tuple[Path, Path]) -> None:
    with Library.open(shell.library) as library:
        report = reported(library, *pair)
        pair[1].unlink()
        assert library.deny_group(report, 1) == 1
        assert len(library.inner.store.denied()) == 1
        assert library.deny_group(report, 1, revoke=True) == 1
        assert not library.inner.store.denied()
        for number in (0, 2, -1):
            with pytest.raises(BadUsage, match=f"no group {number} "):
                library.deny_group(report, number)


def test_a_backup_can_take_back_what_was_done(shell: Shell, photos: Path, pair: tuple[Path, Path]) -> None:
    with Library.open(shell.library) as library:
        list(library.apply(reported(library, *pair), "move", photos.parent / "spare"))
        library.back_up(photos.parent / "backup")
    with Library.open(photos.parent / "backup") as backup:
        assert {one.outcome for one in backup.undo(backup.journals()[-1])} == {"restored"}
    assert pair[1].exists()
