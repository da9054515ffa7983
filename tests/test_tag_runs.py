"""Runs of tag, one after the other: what stands, what is decided anew, and that nothing else changes."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from photoclip import sidecars
from photoclip.encoders.fake import COLOURS
from photoclip.tagging import run
from photoclip.tagging.deciding import Judge
from tests.conftest import Evidence, Shell, evidence
from tests.pictures import paint
from tests.sidecar_shapes import DIGIKAM, packet

LEVELS = "red = crimson\nColours/green\nColours\nColours/blue\ncold\n"
OWN = packet("<dc:subject><rdf:Bag><rdf:li>Red</rdf:li><rdf:li>own</rdf:li></rdf:Bag></dc:subject>")
Tables = dict[str, list[str]]


@pytest.fixture
def album(shell: Shell, photos: Path) -> Shell:
    """A shell with photos in all colours, two of them with sidecars of the user's."""
    for number, colour in enumerate((*COLOURS, "red", "blue")):
        paint(photos / f"{colour}-{number}.png", colour, number)
    (photos / "red-0.png.xmp").write_bytes(OWN)
    (photos / "blue-5.png.xmp").write_bytes(DIGIKAM)
    shell.index(photos)
    return shell


def listed(shell: Shell, text: str, name: str = "labels.txt") -> Path:
    """Write a list of labels beside the library."""
    path = shell.library.parent / name
    path.write_text(text)
    return path


def tables(shell: Shell) -> Tables:
    """Return all rows of the catalogue."""
    with sqlite3.connect(f"file:{shell.library}/catalogue.sqlite?mode=ro", uri=True) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {name: sorted(map(repr, db.execute(f"SELECT * FROM {name}"))) for name in names}
    db.close()
    return found


def tags(shell: Shell) -> list[tuple[Any, ...]]:
    with sqlite3.connect(shell.library / "catalogue.sqlite") as db:
        found = db.execute("SELECT content_id, model_id, label, similarity, probability FROM tags").fetchall()
    db.close()
    return sorted(found)


def state(shell: Shell, photos: Path) -> tuple[Tables, Evidence]:
    return tables(shell), evidence(photos)


def new_to_it(shell: Shell, *arguments: str | Path) -> int:
    """Tag, and return how many pictures were new to the list."""
    answer = shell("tag", "--labels", *arguments).fine()
    found = re.search(r"(\d+) pictures? new to this list$", answer.err, re.M)
    assert found or "nothing new" in answer.err, answer.err
    return int(found[1]) if found else 0


# -- the same run again ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        ["labels.txt"],
        ["labels.txt", "--min", "0.01", "--top", "2"],
        ["labels.txt", "--min", "0"],
        ["builtin:everyday", "--min", "0.02", "--top", "3"],
        ["builtin:scenes", "--min", "0.02"],
    ],
    ids=" ".join,
)
def test_a_second_run_changes_no_row_and_no_byte_and_says_the_same(
    album: Shell, photos: Path, monkeypatch: pytest.MonkeyPatch, line: list[str]
) -> None:
    monkeypatch.chdir(listed(album, LEVELS).parent)
    first = album("tag", "--labels", *line, "--write", "xmp", "-f", "jsonl").fine()
    assert tags(album)
    before = state(album, photos)
    assert sum(path.endswith(".xmp") for path in before[1]) > 2
    second = album("tag", "--labels", *line, "--write", "xmp", "-f", "jsonl").fine()
    assert state(album, photos) == before
    assert second.out == first.out
    assert "nothing new" in second.err
    assert "sidecar" not in second.err


def test_a_second_process_neither(album: Shell, photos: Path) -> None:
    line = ("tag", "--labels", listed(album, LEVELS), "--write", "xmp")
    first = album.process(*line).fine()
    before = state(album, photos)
    second = album.process(*line).fine()
    assert state(album, photos) == before
    assert (second.out, "nothing new" in second.err) == (first.out, True)
    album.process("index", photos).fine()
    assert album.process(*line).fine().out == first.out
    assert evidence(photos) == before[1]
    assert tables(album)["tags"] == before[0]["tags"]


def test_a_second_run_reads_no_sidecar_that_says_already_what_it_shall(
    album: Shell, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = listed(album, "red\nblue\ncold\n")
    album("tag", "--labels", labels, "--write", "xmp").fine()
    read: list[bytes] = []
    real = sidecars._read
    monkeypatch.setattr(sidecars, "_read", lambda path: read.append(path) or real(path))
    album("tag", "--labels", labels, "--write", "xmp").fine()
    assert read == []
    os.utime(photos / "red-0.png.xmp", ns=(1, 1))
    album("tag", "--labels", labels, "--write", "xmp").fine()
    assert read == [os.fsencode(photos / "red-0.png.xmp")]


def test_the_users_own_keyword_is_not_claimed_and_a_deleted_one_does_not_come_back(
    album: Shell, photos: Path
) -> None:
    labels = listed(album, "red\ncold\n")
    album("tag", "--labels", labels, "--write", "xmp", "--min", "0.2").fine()
    assert (photos / "red-0.png.xmp").read_bytes() == OWN
    ours = photos / "red-12.png.xmp"
    text = ours.read_text()
    bag = re.search(r"   <dc:subject>.*?</dc:subject>\n", text, re.S)
    assert bag
    ours.write_text(text.replace(bag[0], ""))
    before = evidence(photos)
    for _ in range(2):
        album("tag", "--labels", labels, "--write", "xmp", "--min", "0.2").fine()
        assert evidence(photos) == before
    album("tag", "--labels", listed(album, "red\ncold\nwarm\n"), "--write", "xmp", "--min", "0.2").fine()
    assert (photos / "red-0.png.xmp").read_bytes() == OWN
    assert "<dc:subject>" not in ours.read_text()


# -- photos that are new --------------------------------------------------------------------------


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many photos were judged, block by block; -1 before a calibration's."""
    counts: list[int] = []
    find, calibrate = Judge.find, Judge.calibrate

    def counted(self: Judge, blocks: Iterable[Any], *arguments: Any) -> Any:
        def each() -> Iterator[Any]:
            for ids, rows in blocks:
                counts.append(len(rows))
                yield ids, rows

        return find(self, each(), *arguments)

    def noted(self: Judge, matrix: Any) -> Any:
        counts.append(-1)
        return calibrate(self, matrix)

    monkeypatch.setattr(Judge, "find", counted)
    monkeypatch.setattr(Judge, "calibrate", noted)
    return counts


def test_one_more_photo_is_one_photo_scored(album: Shell, photos: Path, judged: list[int]) -> None:
    labels = listed(album, LEVELS)
    album("tag", "--labels", labels, "--write", "xmp").fine()
    assert judged == [-1, 14]
    before, stored = evidence(photos), tags(album)
    paint(photos / "one-more.png", "green", 99)
    album.index(photos)
    judged.clear()
    answer = album("tag", "--labels", labels, "--write", "xmp").fine()
    assert judged == [1]
    assert "1 picture new to this list" in answer.err
    assert "1 sidecar changed" in answer.err
    assert set(stored) < set(tags(album))
    after = evidence(photos)
    assert {os.path.basename(path) for path in after if after[path] != before.get(path)} == {
        ".",
        "one-more.png",
        "one-more.png.xmp",
    }
    judged.clear()
    assert new_to_it(album, labels) == 0
    assert judged == []


def test_a_copy_a_renaming_and_a_missing_photo_are_no_news(album: Shell, photos: Path) -> None:
    labels = listed(album, LEVELS)
    assert new_to_it(album, labels) == 14
    (photos / "copy.png").write_bytes((photos / "red-0.png").read_bytes())
    (photos / "blue-5.png").rename(photos / "elsewhere.png")
    (photos / "pink-7.png").unlink()
    album.index(photos)
    assert new_to_it(album, labels) == 0
    rows = album("tag", "--labels", labels, "-f", "jsonl").fine().rows
    found = {os.path.basename(row["path"]): [tag["label"] for tag in row["tags"]] for row in rows}
    assert (found["copy.png"], found["elsewhere.png"]) == (["red"], ["Colours/blue"])
    assert "pink-7.png" not in found


def test_among_decides_about_the_rest_later(album: Shell, photos: Path, judged: list[int]) -> None:
    labels = listed(album, LEVELS)
    some = b"".join(os.fsencode(path) + b"\n" for path in sorted(photos.glob("*.png"))[:4])
    answer = album("tag", "--labels", labels, "--among", "-", stdin=some).fine()
    assert "4 pictures new" in answer.err
    assert judged == [-1, 14]  # a library's line is that of all its photos
    judged.clear()
    assert new_to_it(album, labels) == 10
    assert judged == [10]
    in_parts = tags(album)
    album("tag", "--remove").fine()
    assert new_to_it(album, labels) == 14
    assert tags(album) == in_parts


def test_a_library_that_has_outgrown_a_list_is_asked_again(
    album: Shell, photos: Path, monkeypatch: pytest.MonkeyPatch, judged: list[int]
) -> None:
    labels = listed(album, LEVELS)
    album("tag", "--labels", labels).fine()
    for number in range(13):
        paint(photos / f"more-{number}.png", "green", 100 + number)
    album.index(photos)
    paint(photos / "last.png", "green", 200)
    monkeypatch.setattr(run, "_GROWTH_LEAST", 5)
    assert new_to_it(album, labels) == 13  # 27 of 28
    album.index(photos)
    judged.clear()
    assert new_to_it(album, labels) == 28
    assert judged == [-1, 28]
    assert new_to_it(album, labels) == 0
    again = tags(album)
    album("tag", "--remove").fine()
    album("tag", "--labels", labels).fine()
    assert tags(album) == again


def test_a_library_grows_by_a_hundred_photos_before_it_is_asked_again() -> None:
    assert not run._is_outgrown(10, 109)
    assert run._is_outgrown(10, 110)
    assert not run._is_outgrown(1000, 1999)
    assert run._is_outgrown(1000, 2000)


# -- another list ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        ["red = scarlet\nblue\n"],
        ["red\nblue\ngreen\n"],
        ["red\n"],
        ["red\nblue\n", "--min", "0.4"],
        ["red\nblue\n", "--top", "1"],
    ],
    ids=["synonym", "one more", "one less", "min", "top"],
)
def test_what_changes_a_decision_makes_it_anew(album: Shell, change: list[str]) -> None:
    labels = listed(album, "red\nblue\n")
    assert new_to_it(album, labels) == 14
    first = tags(album)
    listed(album, change[0])
    assert new_to_it(album, labels, *change[1:]) == 14
    assert new_to_it(album, labels, *change[1:]) == 0
    listed(album, "red\nblue\n")
    assert new_to_it(album, labels) == 14  # the other had taken these labels over
    assert [tag for tag in tags(album) if tag[2] in ("red", "blue")] == first


def test_what_changes_no_decision_does_not(album: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert new_to_it(album, listed(album, "red = scarlet, crimson\nblue\n")) == 14
    assert new_to_it(album, listed(album, "# mine\n\nblue\nred =  crimson , scarlet", "other.txt")) == 0
    assert new_to_it(album, listed(album, "red\nblue\n"), "--write", "none") == 14
    assert new_to_it(album, listed(album, "red = scarlet, crimson\nblue\n")) == 0
    monkeypatch.setattr(run, "_RULE", "another")
    assert new_to_it(album, listed(album, "red = scarlet, crimson\nblue\n")) == 14


def test_two_lists_without_a_label_in_common_stand_side_by_side(album: Shell) -> None:
    one, other = listed(album, "red\nblue\n", "one.txt"), listed(album, "green\ncyan\n", "other.txt")
    assert [new_to_it(album, path) for path in (one, other, one, other)] == [14, 14, 0, 0]
    rows = album("tag", "--labels", other, "-f", "jsonl").fine().rows
    assert {tag["label"] for row in rows for tag in row["tags"]} == {"green", "cyan"}


def test_a_tag_that_is_decided_anew_and_stays_keeps_its_row(album: Shell) -> None:
    new_to_it(album, listed(album, "red\nblue\n"))
    before = tables(album)["tags"]
    assert new_to_it(album, listed(album, "red\nblue\nsubmarine\n")) == 14
    assert tables(album)["tags"] == before


def test_a_list_that_took_a_label_over_gives_it_back(album: Shell) -> None:
    one = listed(album, "red\nblue\n", "one.txt")
    other = listed(album, 'threshold = 0\n[labels]\n"red" = []\n"green" = []\n', "other.toml")
    new_to_it(album, one)
    first = tags(album)
    new_to_it(album, other)
    assert sum(tag[2] == "red" for tag in tags(album)) == 14
    assert new_to_it(album, one) == 14
    assert [tag for tag in tags(album) if tag[2] != "green"] == first


def test_each_model_has_decisions_of_its_own(album: Shell, photos: Path) -> None:
    labels = listed(album, "red\nblue\n")
    new_to_it(album, labels)
    first = tags(album)
    album("models", "use", "fake:slow").fine()
    album.index(photos)
    assert new_to_it(album, labels) == 14
    assert len(tags(album)) == 2 * len(first)
    assert len({tag[1] for tag in tags(album)}) == 2
    assert new_to_it(album, labels) == 0
    album("models", "use", "fake").fine()
    assert new_to_it(album, labels) == 0
    album("tag", "--remove").fine()
    assert tags(album) == []


# -- asked only -----------------------------------------------------------------------------------


def test_write_none_says_what_a_run_would_keep_and_keeps_nothing(album: Shell, photos: Path) -> None:
    labels = listed(album, LEVELS)
    before = state(album, photos)
    asked = album("tag", "--labels", labels, "--write", "none", "-f", "jsonl").fine()
    after = state(album, photos)
    assert after[1] == before[1]
    assert {name for name in after[0] if after[0][name] != before[0][name]} <= {"queries"}
    kept = album("tag", "--labels", labels, "-f", "jsonl").fine()
    assert asked.out == kept.out
    for number in range(9):  # the list stays calibrated as it was, and so it is asked
        paint(photos / f"more-{number}.png", "blue", 100 + number)
    album.index(photos)
    asked = album("tag", "--labels", labels, "--write", "none", "-f", "jsonl").fine()
    assert asked.out == album("tag", "--labels", labels, "-f", "jsonl").fine().out


def test_write_none_may_say_what_sidecars_would_not(album: Shell, photos: Path) -> None:
    answer = album("tag", "--labels", "-", "--write", "none", "--sidecar-style", "adobe", stdin=b"red\n")
    assert answer.code == 2
    assert not list(photos.glob("red-12*.xmp"))


def test_a_run_that_another_has_overtaken_keeps_its_tags(
    album: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one run waits, another takes its labels over: the list it knew is gone."""
    labels = listed(album, LEVELS)
    some = "\n".join(str(path) for path in sorted((album.library.parent / "photos").glob("*.png"))[:4])
    album("tag", "--labels", labels, "--among", "-", stdin=some.encode()).fine()
    real = run.Run._known
    other = ("tag", "--labels", listed(album, "red\nColours\n", "other.txt"))

    def overtaken(self: run.Run) -> Any:
        known = real(self)
        monkeypatch.setattr(run.Run, "_known", real)
        album.process(*other).fine()
        return known

    monkeypatch.setattr(run.Run, "_known", overtaken)
    album("tag", "--labels", labels).fine()
    new_to_it(album, labels)
    found = tags(album)
    album("tag", "--remove").fine()
    album("tag", "--labels", labels).fine()
    assert tags(album) == found


def test_what_is_as_sure_as_can_be_is_a_tag_in_the_first_run_and_for_the_next_photo(
    album: Shell, photos: Path
) -> None:
    labels = listed(album, "red\nblue\n")
    album("tag", "--labels", labels, "--min", "1").fine()
    first = [tag[2] for tag in tags(album)]
    assert first
    paint(photos / "more.png", "red", 99)
    album.index(photos)
    album("tag", "--labels", labels, "--min", "1").fine()
    assert [tag[2] for tag in tags(album)].count("red") == first.count("red") + 1


def test_tags_that_are_equally_sure_come_in_the_same_order_when_they_are_stored(
    album: Shell, photos: Path
) -> None:
    labels = listed(album, "zebra\nred\nant\nhorse\nblue\n")
    line = ("tag", "--labels", labels, "--min", "0", "-f", "jsonl")
    asked = album(*line, "--write", "none").fine().out
    assert album(*line).fine().out == asked
    assert album(*line).fine().out == asked
    assert np.all([len(row["tags"]) == 5 for row in album(*line).rows])


def test_a_list_whose_calibration_is_damaged_is_decided_anew(album: Shell) -> None:
    first = album("tag", "--labels", "-", "-f", "jsonl", stdin=b"red\nblue\n").fine()
    catalogue = sqlite3.connect(album.library / "catalogue.sqlite")
    for damage in ("zeroblob(100)", "substr(calibration, 1, 60)", "x''"):
        with catalogue:
            catalogue.execute(f"UPDATE label_lists SET calibration = {damage}")
        again = album("tag", "--labels", "-", "-f", "jsonl", stdin=b"red\nblue\n").fine()
        assert again.rows == first.rows
        assert "new to this list" in again.err
    catalogue.close()
