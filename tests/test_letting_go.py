"""``dupes --report``, ``dupes apply`` and ``undo``, from the command line."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from photoclip import xmp
from tests.conftest import Shell
from tests.pictures import paint


@pytest.fixture
def album(shell: Shell, photos: Path) -> Shell:
    """A library of a red photo with two copies, one of them in a folder of its own, and a blue photo."""
    paint(photos / "red.png", "red")
    paint(photos / "blue.png", "blue")
    (photos / "old").mkdir()
    for copy in (photos / "red-copy.png", photos / "old" / "red-very-old.png"):
        shutil.copy2(photos / "red.png", copy)
    (photos / "red-copy.png.xmp").write_bytes(xmp.EMPTY)
    shell.index(photos)
    return shell


def state(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return mode, time and content of everything below ``folder``."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.stat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_mtime_ns, content)
    return found


def names(shell: Shell) -> set[str]:
    return {os.path.basename(path) for path in shell("list").fine().names}


@pytest.fixture
def report(album: Shell) -> Path:
    """What ``dupes`` found in the album."""
    path = album.library.parent / "spare.jsonl"
    album("dupes", "--report", path).fine()
    return path


def test_spare_photos_go_and_come_back(album: Shell, photos: Path, report: Path) -> None:
    before = state(photos)
    spare = photos.parent / "spare"
    answer = album("dupes", "apply", report, "--move-to", spare, "-f", "jsonl").fine()
    assert [row["outcome"] for row in answer.rows] == ["moved"] * 3
    assert "3 files were moved or linked" in answer.err
    assert set(state(photos)) == {"old", "red.png", "blue.png"}
    assert {path.name for path in spare.rglob("*")} >= {
        "red-copy.png",
        "red-copy.png.xmp",
        "red-very-old.png",
    }
    assert names(album) == {"red.png", "blue.png"}
    assert "3 files as before" in album("undo").fine().err
    assert state(photos) == before
    assert names(album) == {"red.png", "blue.png", "red-copy.png", "red-very-old.png"}
    assert "nothing to take back" in album("undo").fine().err
    index = album("index", photos, "--json").fine().json
    assert (index["added"], index["embedded"], index["missing"]) == (0, 0, 0)


def test_a_dry_run_moves_nothing(album: Shell, photos: Path, report: Path) -> None:
    before = state(photos)
    answer = album("dupes", "apply", report, "--move-to", photos.parent / "spare", "--dry-run").fine()
    assert "3 files would be moved or linked" in answer.err
    assert state(photos) == before
    assert not (photos.parent / "spare").exists()
    assert names(album) >= {"red-copy.png"}
    assert album("undo", "--list").fine().out == b""


def test_a_photo_that_changed_since_the_report_is_left_alone_and_named(
    album: Shell, photos: Path, report: Path
) -> None:
    changed = photos / "red-copy.png"
    paint(changed, "green")
    answer = album("dupes", "apply", report, "--move-to", photos.parent / "spare", "-f", "jsonl").fine()
    outcomes = {os.path.basename(row["path"]): row["outcome"] for row in answer.rows}
    assert outcomes == {"red-copy.png": "left", "red-very-old.png": "moved"}
    assert f"left alone: {changed}" in answer.err
    assert changed.exists()


def test_rules_and_reference_folders_say_what_stays(album: Shell, photos: Path) -> None:
    def best(*options: str | Path) -> str:
        (group,) = album("dupes", "-f", "jsonl", *options).fine().rows
        return os.path.basename(group["photos"][0]["path"])

    assert best() == "red.png"
    assert best("--keep", f"path:{photos / 'old'},pixels") == "red-very-old.png"
    assert best("--reference", photos / "old") == "red-very-old.png"
    report = album.library.parent / "kept.jsonl"
    album("dupes", "--reference", photos / "old", "--report", report).fine()
    album("dupes", "apply", report, "--move-to", photos.parent / "spare").fine()
    assert set(state(photos)) == {"old", "old/red-very-old.png", "blue.png"}


def test_hard_links_save_the_room_and_are_undone(album: Shell, photos: Path, report: Path) -> None:
    before = state(photos)
    album("dupes", "apply", report, "--hardlink").fine()
    assert (photos / "red.png").samefile(photos / "old" / "red-very-old.png")
    album("undo").fine()
    assert not (photos / "red.png").samefile(photos / "old" / "red-very-old.png")
    assert state(photos) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--trash"),
        (("--trash", "--hardlink"), "--trash"),
        (("--move-to", "x", "--reflink"), "--trash"),
    ],
)
def test_one_way_has_to_be_named(album: Shell, report: Path, options: tuple[str, ...], said: str) -> None:
    answer = album("dupes", "apply", report, *options)
    assert (answer.code, answer.out) == (2, b"")
    assert said in answer.err


def test_a_report_that_is_none_or_was_changed_is_refused(album: Shell, photos: Path, report: Path) -> None:
    before = state(photos)
    text = report.read_bytes()
    for broken in (b"", b"{}\n", text[: len(text) // 2], text.replace(b'"stays":true', b'"stays":false')):
        report.write_bytes(broken)
        answer = album("dupes", "apply", report, "--hardlink")
        assert (answer.code, answer.out) == (2, b""), broken
        assert str(report) in answer.err
    assert album("dupes", "apply", report.with_name("none"), "--hardlink").code == 2
    assert state(photos) == before


def test_a_report_replaces_no_file(album: Shell, photos: Path, report: Path) -> None:
    before = hashlib.sha256(report.read_bytes()).digest()
    answer = album("dupes", "--report", report)
    assert answer.code == 2
    assert "there already" in answer.err
    assert hashlib.sha256(report.read_bytes()).digest() == before
    assert album("dupes", "--report", photos / "none" / "r.jsonl").code == 1


def test_a_bad_rule_is_an_error_that_names_the_nearest(album: Shell) -> None:
    answer = album("dupes", "--keep", "pixel")
    assert answer.code == 2
    assert "pixels" in answer.err


def test_what_is_denied_is_not_in_one_group_again(shell: Shell, photos: Path) -> None:
    first, second, third = (photos / f"{name}.png" for name in "abc")
    paint(first, "red")
    for number, path in enumerate((second, third), start=1):  # the same picture, other bytes
        shutil.copy(first, path)
        with path.open("ab") as file:
            file.write(bytes(number))
    shell.index(photos)

    def groups() -> list[set[str]]:
        rows = shell("dupes", "-f", "jsonl").fine().rows
        return [{os.path.basename(photo["path"]) for photo in row["photos"]} for row in rows]

    assert groups() == [{"a.png", "b.png", "c.png"}]
    assert "remembered: 1 pair" in shell("dupes", "deny", first, second).fine().err
    assert groups() == [{"a.png", "c.png"}]
    shell("forget", photos).fine()
    shell.index(photos)
    assert groups() == [{"a.png", "c.png"}]
    shell("dupes", "deny", first, second, third).fine()
    assert groups() == []
    shell("dupes", "deny", "--revoke", first, second, third).fine()
    assert groups() == [{"a.png", "b.png", "c.png"}]


def test_only_different_photos_of_the_library_can_be_denied(album: Shell, photos: Path) -> None:
    for names, said in (
        (("red.png", "none.png"), "not in the library"),
        (("red.png", "red-copy.png"), "byte for byte"),
        (("red.png",), "byte for byte"),
    ):
        answer = album("dupes", "deny", *(photos / name for name in names))
        assert answer.code == 2
        assert said in answer.err


def test_half_a_report_does_not_stand_in_the_way_of_the_next(
    album: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    report = album.library.parent / "half.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr("photoclip.actions.write_report", no_room)
        answer = album("dupes", "--report", report)
    assert answer.code == 1
    assert "cannot be written" in answer.err
    assert not report.exists()
    album("dupes", "--report", report).fine()
