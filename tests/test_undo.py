"""What was done upon a report, taken back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from photoclip.actions import How, apply, copy_journals, journals, undo, was_cut_off
from photoclip.errors import BadUsage, PhotoclipError
from tests.places import GROUPS, Place, contents, snapshot


def test_what_was_taken_back_is_not_taken_back_again(two: Place) -> None:
    two.act(two.report(*GROUPS))
    ((journal, *_),) = journals(str(two.library))
    list(undo(journal))
    assert journals(str(two.library)) == []
    with pytest.raises(BadUsage, match="was taken back already"):
        undo(journal)
    with pytest.raises(BadUsage, match="cannot be undone"):
        undo(journal.replace(".jsonl", ".undone.jsonl"))
    with pytest.raises(BadUsage, match="no journal"):
        undo(str(two.library / "journal" / "other.jsonl"))


def test_a_run_that_does_nothing_leaves_no_journal(two: Place) -> None:
    report = two.report(*GROUPS)
    two.act(report)
    assert len(journals(str(two.library))) == 1
    assert {one.outcome for one in two.act(report)} == {"left"}
    assert len(journals(str(two.library))) == 1


@pytest.mark.parametrize("how", ["trash", "move"])
def test_what_cannot_be_restored_is_named_and_the_rest_is(two: Place, how: How) -> None:
    two.write({f"{side}/{n}.jpg": b"%d" % n for n in (3, 4) for side in "ab"})
    report = two.report(*GROUPS, *((f"a/{n}.jpg", f"b/{n}.jpg") for n in (3, 4)))
    target = {two.name(one.path): Path(os.fsdecode(one.target)) for one in two.act(report, how)}
    target["b/1.jpg"].unlink()
    target["b/2.jpg"].write_bytes(b"edited")
    (two.photos / "b/3.jpg").write_bytes(b"new here")
    target["b/4.jpg"].chmod(0o777)
    os.utime(target["b/4.jpg"])
    found = {two.name(one.path): (one.outcome, one.reason) for one in two.undo()}
    assert found == {
        "b/1.jpg": ("not restored", f"it is gone from {target['b/1.jpg']}"),
        "b/1.xmp": ("restored", ""),
        "b/2.jpg": ("not restored", f"it was changed where it is now, at {target['b/2.jpg']}"),
        "b/3.jpg": ("not restored", f"another file is in its place now; it is at {target['b/3.jpg']}"),
        "b/4.jpg": ("restored", ""),
    }
    assert (two.photos / "b/3.jpg").read_bytes() == b"new here"
    assert (two.photos / "b/4.jpg").stat().st_mtime_ns == (two.photos / "a/4.jpg").stat().st_mtime_ns + 1
    (two.photos / "b/3.jpg").unlink()
    assert {two.name(one.path) for one in two.undo() if one.outcome == "restored"} == {"b/3.jpg"}
    assert (two.photos / "b/3.jpg").read_bytes() == b"3"


def test_a_link_whose_bytes_were_changed_is_named_and_left(two: Place) -> None:
    two.act(two.report(*GROUPS), "hard")
    os.chmod(two.photos / "a/1.jpg", 0o600)
    (two.photos / "a/1.jpg").write_bytes(b"edited")
    found = {two.name(one.path): one.reason or one.outcome for one in two.undo()}
    assert found == {
        "b/1.jpg": "its bytes were changed since; what is there now is left as it is",
        "b/2.jpg": "restored",
    }
    assert (two.photos / "b/1.jpg").read_bytes() == b"edited"


def test_a_folder_somebody_changed_keeps_its_time(two: Place) -> None:
    before = (two.photos / "b").stat().st_mtime_ns
    two.act(two.report(*GROUPS))
    (two.photos / "b/new.jpg").write_bytes(b"new")
    two.undo()
    assert (two.photos / "b").stat().st_mtime_ns > before


def test_a_folder_somebody_changed_between_two_steps_keeps_its_time(two: Place) -> None:
    into = two.into("trash")
    run = apply(two.report(("a/1.jpg", "b/1.jpg"), ("a/2.jpg", "b/2.jpg")), str(two.library), "trash", into)
    next(run)
    (two.photos / "b/new.jpg").write_bytes(b"new")
    list(run)
    before = (two.photos / "b").stat().st_mtime_ns
    two.undo()
    assert (two.photos / "b").stat().st_mtime_ns > before


def test_who_stops_listening_leaves_a_whole_journal(two: Place) -> None:
    before = snapshot(two.photos)
    run = apply(two.report(*GROUPS), str(two.library), "trash", two.into("trash"))
    assert two.name(next(run).path) == "b/1.jpg"
    run.close()  # type: ignore[attr-defined]
    assert not (two.photos / "b/1.xmp").exists()  # what belongs together went together
    ((_, how, _, steps, ended),) = journals(str(two.library))
    assert (how, steps, ended) == ("trash", 2, True)
    two.undo()
    assert snapshot(two.photos) == before


def test_a_folder_that_was_removed_comes_back_with_its_file(two: Place) -> None:
    two.act(two.report(*GROUPS))
    (two.photos / "b").rmdir()
    two.undo()
    assert (two.photos / "b/1.jpg").read_bytes() == b"one"


def test_a_run_that_was_cut_off_is_known_until_it_is_taken_back(two: Place) -> None:
    library = str(two.library)
    assert not was_cut_off(library)
    two.act(two.report(*GROUPS))
    assert not was_cut_off(library)
    path = Path(journals(library)[0].path)
    head, first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(head + first[:-1])  # the step was not begun
    assert not was_cut_off(library)
    assert journals(library) == []
    path.write_bytes(head + first + b"".join(rest[:-1]))
    assert was_cut_off(library)
    two.undo()
    assert not was_cut_off(library)


def test_from_a_copy_of_the_library_all_can_be_taken_back(two: Place, tmp_path: Path) -> None:
    before = snapshot(two.photos)
    other = tmp_path / "backup"
    copy_journals(str(two.library), str(other))
    assert not other.exists()
    two.act(two.report(*GROUPS))
    copy_journals(str(two.library), str(other))
    (copied,) = journals(str(other))
    assert {one.outcome for one in undo(copied.path)} == {"restored"}
    assert snapshot(two.photos) == before
    assert {one.outcome for one in two.undo()} == {"there"}
    copy_journals(str(two.library), str(other))
    assert contents(two.library / "journal") == contents(other / "journal")
    assert (other / "journal").stat().st_mode & 0o777 == 0o700


def test_a_damaged_journal_is_refused_with_its_line(two: Place) -> None:
    two.act(two.report(*GROUPS))
    ((journal, *_),) = journals(str(two.library))
    path = Path(journal)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"/b/1.jpg", b"/b/9.jpg", 1))
    with pytest.raises(PhotoclipError, match="line 2: it was changed"):
        undo(journal)
    path.write_bytes(whole[:-5])  # the last line is half: a run that was killed
    assert {one.outcome for one in undo(journal)} == {"restored"}
