"""Photos that are not where they were: in the bin, or on a drive that is away. Nothing is lost for it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import Shell, only, without_privileges
from tests.pictures import paint, paint_many

# -- photos that are gone -------------------------------------------------------------------------


def test_a_missing_photo_is_hidden_and_comes_back_at_no_cost(shell: Shell, photos: Path) -> None:
    paint_many(photos, 2)
    shell.index(photos)
    (photos / "000.png").rename(photos.parent / "away.png")
    only(shell.index(photos), unchanged=1, missing=1)
    only(shell.index(photos), unchanged=1)
    assert shell("list").names == ["001.png"]
    assert shell("search", "red").names == ["001.png"]
    (photos.parent / "away.png").rename(photos / "000.png")
    counts = shell.index(photos)
    assert (counts["embedded"], counts["missing"]) == (0, 0)
    assert shell("list").names == ["000.png", "001.png"]
    assert shell.counts()["missing"] == 0


def test_a_deleted_folder_hides_its_photos(shell: Shell, photos: Path) -> None:
    paint_many(photos / "gone" / "deep", 2)
    paint(photos / "kept.png", "green", 40)
    shell.index(photos)
    shutil.rmtree(photos / "gone")
    only(shell.index(photos, "--prune"), unchanged=1, missing=2)
    assert shell("list").names == ["kept.png"]


@pytest.fixture
def three_known(shell: Shell, photos: Path) -> Path:
    """Return a root, itself below ``photos``, with three indexed photos in two folders."""
    root = photos / "drive"
    paint_many(root, 2)
    paint(root / "sub" / "deep.png", "green", 30)
    shell.index(root)
    return root


def test_a_root_that_is_away_loses_nothing_and_is_named(shell: Shell, three_known: Path) -> None:
    three_known.rename(three_known.parent / "unplugged")
    answer = shell("index", three_known, "--json").fine()
    assert answer.json["missing"] == 0
    assert str(three_known) in answer.err
    assert len(shell("list").paths) == 3
    (three_known.parent / "unplugged").rename(three_known)
    only(shell.index(three_known), unchanged=3)


def test_an_empty_root_loses_nothing_and_is_named(shell: Shell, three_known: Path) -> None:
    three_known.rename(three_known.parent / "unplugged")
    three_known.mkdir()
    answer = shell("index", three_known, "--json").fine()
    assert answer.json["missing"] == 0
    assert str(three_known) in answer.err
    assert len(shell("list").paths) == 3


def test_a_drive_that_is_away_below_an_indexed_folder_loses_nothing(shell: Shell, photos: Path) -> None:
    paint(photos / "here.png", "blue", 60)
    paint_many(photos / "mount", 2)
    shell.index(photos, photos / "mount")
    (photos / "mount").rename(photos.parent / "unplugged")
    (photos / "mount").mkdir()
    answer = shell("index", photos / "mount", "--json").fine()
    assert answer.json["missing"] == 0
    assert len(shell("list").paths) == 3


def test_a_copy_does_not_take_the_place_of_a_photo_whose_drive_is_away(shell: Shell, photos: Path) -> None:
    paint(photos / "drive" / "a.png", "red")
    shell.index(photos / "drive")
    (photos / "elsewhere").mkdir()
    shutil.copy(photos / "drive" / "a.png", photos / "elsewhere" / "a.png")
    (photos / "drive").rename(photos / "unplugged")
    only(shell.index(photos / "elsewhere"), added=1)
    assert len(shell("list").paths) == 2


def test_excluding_or_ignoring_a_folder_makes_no_photo_missing(shell: Shell, three_known: Path) -> None:
    only(shell.index(three_known, "--exclude", "sub/"), unchanged=2)
    (three_known / ".photoclipignore").write_text("sub/\n")
    assert shell.index(three_known)["missing"] == 0
    (three_known / ".photoclipignore").write_text("*.png\n")
    assert shell.index(three_known)["missing"] == 0
    assert len(shell("list").paths) == 3


# -- more than a tenth at once ----------------------------------------------------------------------


def test_more_than_a_tenth_gone_at_once_is_asked_about_first(shell: Shell, photos: Path) -> None:
    paint_many(photos, 20)
    shell.index(photos)
    for number in range(3):
        (photos / f"{number:03}.png").unlink()
    answer = shell("index", photos, "--json").fine()
    only(answer.json, unchanged=17)
    assert f"3 of the 20 photos of {photos} are gone" in answer.err
    assert f"photoclip index --prune {photos}" in answer.err
    assert len(shell("list").paths) == 20
    only(shell.index(photos, "--prune"), unchanged=17, missing=3)
    assert len(shell("list").paths) == 17


def test_a_tenth_or_a_single_photo_may_go_without_a_word(shell: Shell, photos: Path) -> None:
    paint_many(photos, 20)
    shell.index(photos)
    (photos / "000.png").unlink()
    (photos / "001.png").unlink()
    only(shell.index(photos), unchanged=18, missing=2)


def test_photos_that_were_moved_within_the_library_are_not_gone(shell: Shell, photos: Path) -> None:
    paint_many(photos / "in", 10)
    paint(photos / "kept" / "x.png", "white", 99)
    shell.index(photos / "in", photos / "kept")
    for path in sorted((photos / "in").iterdir())[1:]:
        shutil.copy(path, photos / "kept")  # a new inode, as on another drive
        path.unlink()
    answer = shell("index", photos / "in", photos / "kept", "--json").fine()
    only(answer.json, moved=9, unchanged=2)
    assert "--prune" not in answer.err


def test_a_root_below_another_that_is_empty_now_is_taken_for_a_drive_that_is_away(
    shell: Shell, photos: Path
) -> None:
    paint_many(photos, 40)
    paint_many(photos / "mount", 2)
    shell.index(photos / "mount")
    shell.index(photos)
    (photos / "mount").rename(photos.parent / "unplugged")
    for harm in ((photos / "mount").mkdir, (photos / "mount").rmdir):
        harm()
        for options in ((), ("--prune",)):
            answer = shell("index", photos, "--json", *options).fine()
            only(answer.json, unchanged=40)
            assert f"no photos in {photos / 'mount'}" in answer.err
    (photos.parent / "unplugged").rename(photos / "mount")
    only(shell.index(photos), unchanged=42)


def test_an_emptied_root_is_given_up_only_by_forget(shell: Shell, photos: Path) -> None:
    paint_many(photos, 2)
    shell.index(photos)
    shutil.rmtree(photos)
    photos.mkdir()
    only(shell.index(photos, "--prune"))
    assert "photoclip forget" in shell("index", photos).err
    shell("forget", photos).fine()
    assert shell("list").paths == []
    assert "forget" not in shell("index", photos).err


# -- folders that may not be read -----------------------------------------------------------------


def test_a_folder_that_may_not_be_read_loses_nothing_and_is_named(shell: Shell, photos: Path) -> None:
    paint_many(photos, 2)
    paint(photos / "closed" / "secret.png", "blue", 9)
    shell.index(photos)
    os.chmod(photos / "closed", 0)
    try:
        done = without_privileges("--library", shell.library, "index", photos, "--json")
    finally:
        os.chmod(photos / "closed", 0o755)
    assert b'"missing": 0' in done.stdout, done
    assert b"closed: permission denied" in done.stderr
    assert "secret.png" in shell("list").names


def test_a_photo_that_may_not_be_read_is_a_problem(shell: Shell, photos: Path) -> None:
    paint_many(photos, 2)
    shell.index(photos / "001.png")
    os.chmod(photos / "000.png", 0)
    done = without_privileges("--library", shell.library, "index", photos, "--json", "-j", "1")
    assert b'"unreadable": 1' in done.stdout, done
    assert b"000.png" in done.stderr
    assert b"ermission" in done.stderr
    os.chmod(photos / "000.png", 0o644)
    assert shell.index(photos)["added"] == 1
