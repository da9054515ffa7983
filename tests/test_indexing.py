"""Indexing, as the counts, the library and the folder of photos show it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from photoclip import Library
from photoclip.encoders.fake import FakeEncoder
from photoclip.indexing import IndexOptions
from photoclip.indexing.batch import Batches
from tests.conftest import COUNTS, HOSTILE_NAMES, Made, Shell, environment, evidence, only
from tests.pictures import paint, paint_many

Watch = Callable[[], None]


# -- what changes in a folder ---------------------------------------------------------------------


def test_new_photos_are_added_and_embedded(shell: Shell, photos: Path) -> None:
    paint_many(photos, 3)
    only(shell.index(photos), added=3, embedded=3)
    paint(photos / "deep" / "er" / "new.png", "blue", 99)
    only(shell.index(photos), added=1, unchanged=3, embedded=1)
    assert len(shell("list").paths) == 4


def test_a_photo_with_new_content_is_updated(shell: Shell, photos: Path) -> None:
    paint(photos / "a.png", "red")
    shell.index(photos)
    paint(photos / "a.png", "blue")
    only(shell.index(photos), updated=1, embedded=1)
    (hit,) = shell("search", "blue", "-f", "jsonl").rows
    assert hit["similarity"] > 0.8
    assert not shell("search", "red", "--min", "0.8").paths


def test_a_photo_that_was_only_touched_is_not_embedded_again(shell: Shell, photos: Path) -> None:
    paint(photos / "a.png")
    shell.index(photos)
    os.utime(photos / "a.png", ns=(1, 1))
    only(shell.index(photos), unchanged=1)
    only(shell.index(photos), unchanged=1)


def test_the_next_photos_are_read_while_the_model_works(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint_many(photos, 6)
    read_on = threading.Event()
    waits: list[bool] = []
    commits: list[Batches] = []
    encode, commit = FakeEncoder.encode_images, Batches.commit

    def slowly(self: FakeEncoder, pixels: Any) -> Any:
        waits.append(read_on.wait(20))
        return encode(self, pixels)

    def committing(self: Batches) -> bool:
        commits.append(self)
        if len(commits) == 2:  # the model has the first batch
            read_on.set()
        return commit(self)

    monkeypatch.setattr(FakeEncoder, "encode_images", slowly)
    monkeypatch.setattr(Batches, "commit", committing)
    with Library.open_or_create(tmp_path / "library") as library:
        report = library.index([photos], IndexOptions(model="fake", jobs=1, batch_size=2))
    assert (report.embedded, waits) == (6, [True] * 3)


def test_copies_and_a_move_in_several_batches_are_counted_once(shell: Shell, photos: Path) -> None:
    paint(photos / "old.png", "red")
    shell.index(photos)
    (photos / "old.png").rename(photos / "new-0.png")
    for number in range(1, 5):
        shutil.copy(photos / "new-0.png", photos / f"new-{number}.png")
        paint(photos / f"other-{number}.png", "blue", number)
        shutil.copy(photos / f"other-{number}.png", photos / f"other-{number}-copy.png")
    only(shell.index(photos, "--batch-size", "1"), added=12, moved=1, embedded=4)
    assert len(shell("list").paths) == 13


def test_a_renamed_file_is_moved_at_no_cost(shell: Shell, photos: Path) -> None:
    paint_many(photos, 2)
    shell.index(photos)
    (photos / "000.png").rename(photos / "holiday.png")
    only(shell.index(photos), moved=1, unchanged=1)
    assert shell("list").names == ["001.png", "holiday.png"]


def test_a_renamed_folder_is_moved_at_no_cost_and_keeps_its_tags(shell: Shell, photos: Path) -> None:
    paint_many(photos / "old", 3)
    paint(photos / "other.png", "red", 77)
    shell.index(photos)
    shell("tag", "--labels", "-", stdin=b"red\n").fine()
    tags = shell("tags", "--json").rows
    (photos / "old").rename(photos / "new")
    only(shell.index(photos), moved=3, unchanged=1)
    assert shell("list").paths == [os.fsencode(photos / "new" / f"{n:03}.png") for n in range(3)] + [
        os.fsencode(photos / "other.png")
    ]
    assert shell("tags", "--json").rows == tags
    assert shell.counts()["missing"] == 0


def test_a_photo_moved_to_another_root_is_moved_whichever_root_is_indexed_first(
    shell: Shell, photos: Path
) -> None:
    paint_many(photos / "a", 2)
    paint(photos / "b" / "own.png", "green", 50)
    shell.index(photos / "a", photos / "b")
    (photos / "a" / "000.png").rename(photos / "b" / "000.png")
    only(shell.index(photos / "b"), moved=1, unchanged=1)
    only(shell.index(photos / "a"), unchanged=1)
    assert shell.counts()["missing"] == 0


def test_a_copy_is_added_without_an_embedding(shell: Shell, photos: Path) -> None:
    paint(photos / "a.png")
    shell.index(photos)
    shutil.copy(photos / "a.png", photos / "b.png")
    only(shell.index(photos), added=1, unchanged=1)
    assert shell("search", "red").names == ["a.png", "b.png"]


def test_identical_files_met_in_one_run_are_embedded_once(shell: Shell, photos: Path) -> None:
    paint(photos / "a.png")
    for number in range(5):
        shutil.copy(photos / "a.png", photos / f"copy-{number}.png")
    only(shell.index(photos, "--batch-size", "2"), added=6, embedded=1)


def test_two_photos_that_swap_names_are_both_right_afterwards(shell: Shell, photos: Path) -> None:
    paint(photos / "a.png", "red")
    paint(photos / "b.png", "blue", side=20)
    shell.index(photos)
    (photos / "a.png").rename(photos / "c")
    (photos / "b.png").rename(photos / "a.png")
    (photos / "c").rename(photos / "b.png")
    assert shell.index(photos)["embedded"] == 0
    assert shell("search", "red", "-n", "1").names == ["b.png"]
    assert shell("search", "blue", "-n", "1").names == ["a.png"]
    assert shell.counts()["photos"] == 2


def test_a_photo_moved_over_another_takes_its_place(shell: Shell, photos: Path) -> None:
    paint(photos / "a.png", "red")
    paint(photos / "b.png", "blue", side=20)
    shell.index(photos)
    (photos / "a.png").replace(photos / "b.png")
    assert shell.index(photos)["embedded"] == 0
    assert shell("list").names == ["b.png"]
    assert shell("search", "red", "--min", "0.8").names == ["b.png"]
    shell("check").fine()


def test_roots_that_overlap_or_repeat_count_every_file_once(shell: Shell, photos: Path) -> None:
    paint_many(photos / "sub", 2)
    paint(photos / "a.png", "red", 9)
    only(shell.index(photos, photos / "sub", f"{photos}/", photos / "sub" / "000.png"), added=3, embedded=3)
    only(shell.index(photos / "sub", photos, photos), unchanged=3)
    assert len(shell("list").paths) == 3


def test_a_relative_root_and_an_absolute_one_are_the_same(
    shell: Shell, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint_many(photos, 2)
    monkeypatch.chdir(photos)
    only(shell.index("."), added=2, embedded=2)
    only(shell.index(photos / ".." / photos.name), unchanged=2)
    assert shell("list").paths == [os.fsencode(photos / name) for name in ("000.png", "001.png")]
    assert shell("search", "red", "--among", "-", "-n", "1", stdin=b"000.png\n").names == ["000.png"]
    assert "1 photo forgotten" in shell("forget", "001.png").fine().err


def test_a_change_that_keeps_size_and_time_is_found_by_its_inode_times(shell: Shell, photos: Path) -> None:
    paint(photos / "a.png", "red")
    before = os.stat(photos / "a.png")
    shell.index(photos)
    other = paint(photos.parent / "elsewhere.png", "red", 1).read_bytes()
    assert len(other) == before.st_size
    (photos / "a.png").write_bytes(other)
    os.utime(photos / "a.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    only(shell.index(photos), updated=1, embedded=1)


def test_every_candidate_file_is_counted_exactly_once(shell: Shell, photos: Path) -> None:
    paint_many(photos, 6)
    (photos / "broken.jpg").write_bytes(b"no picture")
    shell.index(photos)
    paint(photos / "000.png", "white", 500)
    (photos / "001.png").rename(photos / "moved.png")
    (photos / "002.png").unlink()
    paint(photos / "new.png", "pink", 501)
    (photos / "notes.txt").write_text("not a photo")
    counts = shell.index(photos)
    only(counts, added=1, updated=1, moved=1, unchanged=3, unreadable=1, skipped=1, missing=1, embedded=2)


def test_index_json_has_the_documented_keys(shell: Shell, photos: Path) -> None:
    paint(photos / "a.png")
    counts = shell.index(photos)
    assert list(counts) == [*COUNTS, "seconds"]
    assert counts["seconds"] > 0


# -- a second run ---------------------------------------------------------------------------------


def test_a_second_run_changes_no_byte_and_loads_no_model(shell: Shell, photos: Path) -> None:
    paint_many(photos, 3)
    (photos / "broken.jpg").write_bytes(b"no picture")
    shell.index(photos)
    shell("search", "red").fine()
    before = evidence(shell.library)
    script = (
        "import sys; from photoclip.cli.run import run; code = run(sys.argv[1:]);"
        "print('torch' in sys.modules, 'open_clip' in sys.modules); sys.exit(code)"
    )
    line = [sys.executable, "-c", script, "--library", str(shell.library), "index", str(photos)]
    done = subprocess.run(line, capture_output=True, env=environment(), timeout=60)
    assert done.returncode == 0, done
    assert done.stdout == b"False False\n"
    after = evidence(shell.library)
    changed = [
        path for path in before.keys() | after.keys() if _lasting(before, path) != _lasting(after, path)
    ]
    assert changed == []


def _lasting(found: dict[str, tuple[object, ...]], path: str) -> object:
    """Bytes and time of a file; of a folder that it is there (SQLite's passing files change its time)."""
    if path not in found:
        return None
    return (found[path][0], found[path][6]) if os.path.isfile(path) else True


def test_deep_reads_everything_again_and_finds_what_stamps_hide(shell: Shell, photos: Path) -> None:
    paint_many(photos, 2)
    shell.index(photos)
    only(shell.index(photos, "--deep"), unchanged=2)
    other = paint(photos.parent / "elsewhere.png", "black", 9).read_bytes()
    (photos / "000.png").write_bytes(other)
    status = os.stat(photos / "000.png")
    stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    with sqlite3.connect(shell.library / "catalogue.sqlite") as db:  # as if the clock had stood still
        values = (*stamp, os.fsencode(photos / "000.png"))
        db.execute("UPDATE photos SET size=?, mtime_ns=?, ctime_ns=?, inode=? WHERE path=?", values)
    db.close()
    only(shell.index(photos), unchanged=2)
    only(shell.index(photos, "--deep"), updated=1, unchanged=1, embedded=1)


# -- files that cannot be read --------------------------------------------------------------------


def test_an_unreadable_file_is_a_problem_with_a_reason_until_it_changes(shell: Shell, photos: Path) -> None:
    paint(photos / "good.png")
    (photos / "broken.jpg").write_bytes(b"this is no JPEG")
    with open(photos / "scan.tif", "wb") as sparse:
        sparse.truncate(3_000_000_000)
    answer = shell("index", photos, "--model", "fake", "-j", "1").fine()
    assert "cannot read" in answer.err
    assert "broken.jpg" in answer.err
    by_kind = {row["kind"]: row for row in shell("problems", "-f", "jsonl").rows}
    assert by_kind["unreadable"]["path"].endswith("broken.jpg")
    assert by_kind["unsupported"]["path"].endswith("scan.tif")
    assert all(row["reason"] for row in by_kind.values())
    # Reading it again would say so: the talk names what was read and failed.
    again = shell("index", photos, "-v").fine()
    assert "reading" not in again.err
    assert "2 unreadable" in again.err
    paint(photos / "broken.jpg", "blue", 3)
    only(shell.index(photos), added=1, unchanged=1, unreadable=1, embedded=1)
    assert [row["kind"] for row in shell("problems", "-f", "jsonl").rows] == ["unsupported"]
    assert shell("search", "blue", "-n", "1").names == ["broken.jpg"]


def test_a_photo_that_breaks_is_a_problem_and_no_answer_any_more(shell: Shell, photos: Path) -> None:
    paint(photos / "a.png")
    shell.index(photos)
    shell("tag", "--labels", "-", stdin=b"red\n").fine()
    backup = (photos / "a.png").read_bytes()
    (photos / "a.png").write_bytes(b"cut off")
    only(shell.index(photos), unreadable=1)
    assert shell("search", "red").paths == []
    assert (shell.counts()["problems"], shell.counts()["missing"]) == (1, 0)
    shell("forget", photos / "nothing here").fine()
    (photos / "a.png").write_bytes(backup)
    counts = shell.index(photos)
    assert (counts["embedded"], counts["unreadable"]) == (0, 0)
    assert shell("search", "red").names == ["a.png"]
    assert shell("tags", "--json").rows == [{"label": "red", "photos": 1, "kind": "tag"}]


def test_a_file_whose_drive_failed_is_tried_again_by_the_next_run(shell: Shell, photos: Path) -> None:
    paint(photos / "good.png")
    (photos / "broken.jpg").write_bytes(b"?")
    shell.index(photos)
    only(shell.index(photos), unchanged=1, unreadable=1)
    assert "reading" not in shell("index", photos, "-v").err
    with contextlib.closing(sqlite3.connect(shell.library / "catalogue.sqlite")) as db, db:
        db.execute("UPDATE problems SET waits_for = 'run'")
    assert "reading 1 files" in shell("index", photos, "-v").err
    assert "reading" not in shell("index", photos, "-v").err  # this time it was the file's own fault


def test_a_problem_whose_file_is_gone_is_forgotten(shell: Shell, photos: Path) -> None:
    paint(photos / "good.png")
    (photos / "broken.jpg").write_bytes(b"?")
    shell.index(photos)
    (photos / "broken.jpg").unlink()
    only(shell.index(photos), unchanged=1)
    assert shell("problems").out == b""


def test_strict_ends_with_7_only_when_a_file_cannot_be_read(shell: Shell, photos: Path) -> None:
    paint(photos / "good.png")
    assert shell("index", photos, "--model", "fake", "-j", "1", "--strict").code == 0
    (photos / "broken.jpg").write_bytes(b"?")
    assert shell("index", photos, "-j", "1").code == 0
    answer = shell("index", photos, "--strict")
    assert (answer.code, "1 files" in answer.err, "photoclip problems" in answer.err) == (7, True, True)


# -- what to index --------------------------------------------------------------------------------


def test_a_single_file_can_be_indexed(shell: Shell, photos: Path) -> None:
    paint_many(photos, 2)
    only(shell.index(photos / "000.png"), added=1, embedded=1)
    only(shell.index(photos / "000.png"), unchanged=1)
    assert shell("list").names == ["000.png"]
    only(shell.index(photos), added=1, unchanged=1, embedded=1)


def test_indexing_a_single_file_says_nothing_about_its_neighbours(shell: Shell, photos: Path) -> None:
    paint_many(photos, 3)
    shell.index(photos)
    (photos / "001.png").unlink()
    only(shell.index(photos / "000.png"), unchanged=1)
    assert len(shell("list").paths) == 3


@pytest.mark.parametrize("separator", [b"\n", b"\0"])
def test_paths_are_read_from_a_list_and_from_stdin(shell: Shell, photos: Path, separator: bytes) -> None:
    paint_many(photos, 3)
    listed = separator.join(os.fsencode(photos / name) for name in ("000.png", "002.png")) + separator
    (photos.parent / "list").write_bytes(listed)
    only(shell.index("--from", photos.parent / "list"), added=2, embedded=2)
    only(shell.index("--from", "-", stdin=listed), unchanged=2)
    assert shell("list").names == ["000.png", "002.png"]


def test_a_file_in_a_list_that_is_gone_does_not_stop_the_others(shell: Shell, photos: Path) -> None:
    paint_many(photos, 2)
    listed = b"\n".join(os.fsencode(photos / name) for name in ("000.png", "001.png"))
    shell.index("--from", "-", stdin=listed)
    (photos / "000.png").unlink()
    counts = shell.index("--from", "-", stdin=listed)
    assert counts["unchanged"] == 1


def test_a_path_that_does_not_exist_is_a_usage_error(shell: Shell, photos: Path) -> None:
    answer = shell("index", photos / "nowhere", "--model", "fake")
    assert answer.code == 2
    assert "nowhere" in answer.err
    assert shell("index").code == 2
    assert shell("index", "--from", photos / "no-list").code == 2
    assert shell("index", photos, "--exclude", "a[").code in (0, 2)


def test_a_pattern_leaves_photos_out(shell: Shell, photos: Path) -> None:
    paint_many(photos, 2)
    paint(photos / "raw" / "a.png", "blue", 70)
    only(shell.index(photos, "--exclude", "raw/", "--exclude", "000*"), added=1, embedded=1, skipped=1)
    (photos / ".photoclipignore").write_text("001.png\n")
    paint(photos / "001.png", "cyan", 71)  # a change that is left alone
    (photos / "raw" / ".photoclipignore").write_text("*.png\n!a.png\n")
    only(shell.index(photos), added=2, embedded=2, skipped=3)  # the patterns are files too
    assert shell("list").names == ["000.png", "001.png", "a.png"]


def test_a_symlink_loop_and_a_fifo_are_passed_over(shell: Shell, photos: Path) -> None:
    paint(photos / "a" / "one.png")
    (photos / "a" / "loop").symlink_to(photos)
    (photos / "a" / "self.png").symlink_to("self.png")
    os.mkfifo(photos / "pipe.jpg")
    os.mkfifo(photos / ".photoclipignore")
    only(shell.index(photos), added=1, embedded=1)
    assert shell.index(photos, "--follow-links")["unchanged"] == 1
    assert shell("list").names == ["one.png"]


def test_every_name_a_file_system_allows_can_be_indexed(hostile: Made) -> None:
    with Library.open(hostile.library) as library:
        found = [os.path.basename(photo.path) for photo in library.photos()]
    assert sorted(found) == sorted(HOSTILE_NAMES)


# -- the library ----------------------------------------------------------------------------------


def test_nothing_is_ever_written_among_the_photos(shell: Shell, photos: Path, untouched: Watch) -> None:
    paint_many(photos / "sub", 4)
    shutil.copy(photos / "sub" / "000.png", photos / "copy.png")
    (photos / "broken.jpg").write_bytes(b"?")
    untouched()
    shell.index(photos)
    shell.index(photos, "--deep")
    for line in (
        ("search", "red"),
        ("search", "--like", photos / "copy.png"),
        ("dupes",),
        ("list",),
        ("check", "--repair"),
    ):
        shell(*line).fine()
    shell("tag", "--labels", "-", stdin=b"red\nblue\n").fine()
    shell("forget", photos / "sub").fine()


def test_a_library_is_only_made_in_a_folder_of_its_own(shell: Shell, photos: Path, untouched: Watch) -> None:
    paint(photos / "a.png")
    untouched()
    shell.library = photos
    answer = shell("index", photos, "--model", "fake")
    assert answer.code == 2
    assert "not empty" in answer.err


def test_a_library_is_private(shell: Shell, photos: Path) -> None:
    paint(photos / "a.png")
    shell.index(photos)
    shell("search", "red").fine()
    modes = {path: os.stat(path).st_mode & 0o077 for path in (shell.library, *shell.library.rglob("*"))}
    assert set(modes.values()) == {0}, modes


def test_a_library_whose_making_was_cut_off_can_be_made(shell: Shell, photos: Path) -> None:
    paint(photos / "a.png")
    shell.library.mkdir()
    for ending in ("", "-journal", "-wal", "-shm"):
        (shell.library / f"catalogue.sqlite.new{ending}").write_bytes(b"half of it")
    (shell.library / "lock").write_bytes(b"process 1, creating the library\n")
    answer = shell("index", photos, "--model", "fake", "-j", "1", "--json").fine()
    only(answer.json, added=1, embedded=1)


def test_another_model_adds_embeddings_and_keeps_the_old_ones(shell: Shell, photos: Path) -> None:
    paint_many(photos, 3)
    shell.index(photos)
    counts = shell("index", photos, "--model", "fake:slow", "-j", "1", "--json").fine().json
    assert (counts["embedded"], counts["added"]) == (3, 0)
    assert shell.counts()["model"] == "fake:slow"
    assert shell("search", "red", "-n", "1", "-f", "jsonl").rows[0]["model"] == "fake:slow"
    only(shell("index", photos, "--model", "fake", "--json").fine().json, unchanged=3)
    assert shell("search", "red", "-n", "1", "-f", "jsonl").rows[0]["model"] == "fake"


def test_a_model_that_does_not_exist_ends_with_5_and_changes_nothing(shell: Shell, photos: Path) -> None:
    paint(photos / "a.png")
    shell.index(photos)
    answer = shell("index", photos, "--model", "ViT-B-99:nowhere")
    assert answer.code == 5
    assert "hint: " in answer.err
    assert shell.counts()["model"] == "fake"
    assert shell("search", "red").names == ["a.png"]


def test_the_api_reports_what_the_command_line_does(tmp_path: Path, photos: Path) -> None:
    paint_many(photos, 2)
    (photos / "broken.jpg").write_bytes(b"?")
    with Library.open_or_create(tmp_path / "library") as library:
        report = library.index([photos], IndexOptions(model="fake", jobs=1))
        assert (report.added, report.embedded, report.unreadable) == (2, 2, 1)
        assert [os.path.basename(problem.path) for problem in report.problems] == [b"broken.jpg"]
        assert [os.path.basename(problem.path) for problem in library.problems()] == [b"broken.jpg"]
