"""``photoclip dupes`` as people type it: its levels, its page, and which groups it says are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from photoclip.duplicates.clocks import Clocks
from photoclip.duplicates.groups import kept_apart
from photoclip.records import PhotoFacts
from tests.conftest import Shell
from tests.pictures import scene

DATE, DETAILS, MODEL = 0x9003, 0x8769, 0x0110


def save(picture: Image.Image, path: Path, second: int | None = None, camera: str = "D90") -> Path:
    exif = Image.Exif()
    if second is not None:
        exif[MODEL] = camera
        exif.get_ifd(DETAILS)[DATE] = f"2024:05:06 10:{second // 60:02}:{second % 60:02}"
    path.parent.mkdir(exist_ok=True)
    picture.save(path, exif=exif, quality=90)
    return path


@pytest.fixture
def album(shell: Shell, photos: Path) -> Shell:
    """Two shots in which nothing moved, a copy of each with and without its date, and a mirrored copy."""
    first, second = scene(1), scene(1).crop((2, 0, 240, 158))
    save(first, photos / "first.jpg", 1)
    save(second, photos / "second.jpg", 3)
    save(first.resize((120, 80)), photos / "first-small.jpg", 1)
    save(second.resize((120, 80)), photos / "second-sent.jpg")
    save(ImageOps.mirror(scene(2)), photos / "mirrored.jpg")
    save(scene(2), photos / "upright.jpg")
    shell.index(photos)
    return shell


def groups(shell: Shell, *arguments: object) -> list[tuple[str, set[str]]]:
    found = shell("dupes", *arguments, "-f", "json").fine().json
    return [(group["level"], {Path(photo["path"]).name for photo in group["photos"]}) for group in found]


# -- levels ---------------------------------------------------------------------------------------


def test_shots_seconds_apart_are_not_one_picture_however_alike(album: Shell) -> None:
    assert groups(album) == [
        ("same picture", {"first.jpg", "first-small.jpg"}),
        ("same picture", {"second.jpg", "second-sent.jpg"}),
    ]


def test_at_the_level_same_moment_they_are_one_group_that_is_left_alone(album: Shell, tmp_path: Path) -> None:
    report = tmp_path / "spare.jsonl"
    result = album("dupes", "--level", "same-moment", "--report", report, "-f", "jsonl").fine()
    (group,) = result.rows
    assert (group["level"], len(group["photos"])) == ("same moment", 4)
    assert "1 group of pictures that are not the same: dupes apply leaves them alone" in result.err
    assert "let the spare ones go" not in result.err
    acted = album("dupes", "apply", report, "--trash", "-f", "jsonl").fine()
    assert {row["outcome"] for row in acted.rows} == {"left"}


def test_a_moment_lasts_as_long_as_is_said(album: Shell) -> None:
    levels = [level for level, _ in groups(album, "--level", "same-moment", "--within", "1")]
    assert levels == ["same picture", "same picture"]


def test_mirrored_copies_are_found_on_request(album: Shell) -> None:
    mirrored = ("same picture", {"mirrored.jpg", "upright.jpg"})
    assert mirrored not in groups(album)
    assert mirrored in groups(album, "--mirrored")
    assert mirrored not in groups(album, "--turned")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("--min 0.9", "add --level similar"),
        ("--level same-moment --min 0.9", "add --level similar"),
        ("--within 3", "add --level same-moment"),
        ("--level identical --mirrored", "leave --level away"),
        ("--level similar --min 2", ""),
        ("-f csv", "use --format json or jsonl"),
    ],
)
def test_options_that_say_nothing_together_are_refused(shell: Shell, line: str, hint: str) -> None:
    result = shell("dupes", *line.split())
    assert result.code == 2
    assert hint in result.err


@pytest.mark.parametrize("option", ["--reference {}", "--keep path:{}", "{}"])
def test_a_folder_that_is_not_there_is_refused_before_anything_is_unprotected(
    album: Shell, photos: Path, tmp_path: Path, option: str
) -> None:
    result = album("dupes", *option.format(photos / "Achive").split(), "--report", tmp_path / "spare.jsonl")
    assert (result.code, "no such file or folder" in result.err) == (2, True)
    assert not (tmp_path / "spare.jsonl").exists()
    assert album("dupes", *option.format(photos).split()).fine()


# -- what is said of a group ----------------------------------------------------------------------


def test_a_group_of_a_report_can_be_denied_and_allowed_again(album: Shell, tmp_path: Path) -> None:
    report = tmp_path / "spare.jsonl"
    album("dupes", "--report", report).fine()
    before = groups(album)
    assert "remembered: 1 pair" in album("dupes", "deny", "--report", report, "--group", "1").fine().err
    assert groups(album) == before[1:]
    album("dupes", "deny", "--report", report, "--group", "1", "--revoke").fine()
    assert groups(album) == before
    refused = album("dupes", "deny", "--report", report, "--group", "3")
    assert (refused.code, "no group 3" in refused.err) == (2, True)


@pytest.mark.parametrize("line", ["", "--group 1", "--report x.jsonl", "a.jpg --group 1 --report x.jsonl"])
def test_to_deny_takes_photos_or_groups(shell: Shell, line: str) -> None:
    result = shell("dupes", "deny", *line.split())
    assert (result.code, "--group NUMBER" in result.err) == (2, True)


# -- the page -------------------------------------------------------------------------------------


def test_the_page_holds_the_groups_and_what_to_type_next(album: Shell, tmp_path: Path) -> None:
    report, page = tmp_path / "spare.jsonl", tmp_path / "spare.html"
    result = album("dupes", "--report", report, "--html", page).fine()
    assert f"2 groups in {page}" in result.err
    text = page.read_text()
    assert "second-sent.jpg" in text and "upright.jpg" not in text
    assert f"photoclip dupes apply {report} --trash" in text
    assert album("dupes", "--html", page).fine()
    page.write_text("mine")
    refused = album("dupes", "--html", page)
    assert (refused.code, page.read_text()) == (2, "mine")


# -- two shots ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        ("10:00:01", "10:00:02", True),
        ("10:00:01", "10:59:59", True),
        ("10:00:01", "10:00:01", False),
        ("10:00:01.25", "10:00:01.50", True),
        ("10:00:01", "10:00:01.50", False),  # the one says less of the same shot
        ("10:00:01", "11:00:01", False),  # another zone
        ("10:00:01", "18:30:00", False),  # the time of an edit
    ],
)
def test_a_camera_does_not_take_one_shot_twice(one: str, other: str, differ: bool) -> None:
    def clocks(*cameras: str | None) -> Clocks:
        facts = zip((one, other), cameras, strict=True)
        return Clocks.of(
            [PhotoFacts(1, 1, "JPEG", taken_at=f"2024-05-06T{at}", camera=name) for at, name in facts]
        )

    both = np.array([0]), np.array([1])
    assert clocks("D90", "D90").differ(*both).tolist() == [differ]
    for cameras in (("D90", "X100"), ("D90", None), (None, None)):
        assert clocks(*cameras).differ(*both).tolist() == [False]


def test_what_is_in_no_pair_is_with_the_one_it_is_most_alike() -> None:
    rows = np.array([[1, 0], [0, 1], [0.8, 0.6], [0.6, 0.8], [1, 0]], np.float32)
    assert kept_apart([3, 5, 7, 8, 9], {(3, 5)}, rows) == [[3, 7, 9], [5, 8]]
    assert kept_apart([3, 5, 7], {(3, 4)}, rows[:3]) == [[3, 5, 7]]


def test_a_thousand_copies_of_two_shots_are_told_apart_in_a_moment() -> None:
    members = list(range(600))
    rows = np.tile(np.array([[1, 0]], np.float32), (600, 1))
    apart = {(one, other) for one in range(0, 600, 2) for other in range(1, 600, 2)}
    apart = {(min(pair), max(pair)) for pair in apart}
    assert kept_apart(members, apart, rows) == [members[::2], members[1::2]]


# -- a run that was killed ------------------------------------------------------------------------


def test_a_run_that_was_cut_off_is_named_until_it_is_taken_back(album: Shell, tmp_path: Path) -> None:
    report, told = tmp_path / "spare.jsonl", "a run of dupes apply was cut off; photoclip undo"
    album("dupes", "--report", report).fine()
    album("dupes", "apply", report, "--move-to", tmp_path / "gone").fine()
    assert told not in album("status").fine().err
    (journal,) = (tmp_path / "library" / "journal").iterdir()
    *lines, end = journal.read_bytes().splitlines(keepends=True)
    assert end.startswith(b'{"end"')
    journal.write_bytes(b"".join(lines))
    for command in (("status",), ("check",), ("dupes", "apply", report, "--trash", "--dry-run")):
        assert told in album(*command).fine().err
    album("undo").fine()
    assert told not in album("status").fine().err
