"""Acting upon a report: real files, real links."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photoclip.actions import How, apply, journals
from photoclip.errors import BadUsage
from photoclip.records import Level
from tests.places import GROUPS, OLD, WAYS, Place, contents, see_that_nothing_is_lost, snapshot

# -- what goes, and back again ---------------------------------------------------------------------


@pytest.mark.parametrize("how", WAYS)
def test_what_goes_is_taken_back_bytes_modes_times_and_folders(two: Place, how: How) -> None:
    before = snapshot(two.photos)
    results = two.act(two.report(*GROUPS), how)
    after = snapshot(two.photos)
    assert after != before
    for name in ("a/1.jpg", "a/2.jpg"):
        assert after[name] == before[name]
    assert {one.outcome for one in two.undo()} == {"restored"}
    assert snapshot(two.photos) == before
    if how != "hard":
        assert two.moved(results) == {"b/1.jpg", "b/1.xmp", "b/2.jpg"}
        assert "b/1.jpg" not in after
    assert contents(two.out, two.trash) == Counter()
    assert not two.out.exists()


def test_the_trash_is_the_one_the_desktop_knows(two: Place) -> None:
    (two.photos / "b/1.jpg").rename(two.photos / "b/ü 1%.jpg")
    two.write({"c/2.jpg": b"two"})
    results = two.act(two.report(("a/1.jpg", "b/ü 1%.jpg"), ("a/2.jpg", "b/2.jpg", "c/2.jpg")))
    for one in results:
        info = two.trash / "info" / (os.fsdecode(os.path.basename(one.target)) + ".trashinfo")
        head, path, date, end = info.read_text("ascii").split("\n")
        assert (head, end) == ("[Trash Info]", "")
        assert date[:13] == "DeletionDate=" and len(date) == 13 + len("2026-11-22T12:34:56")
        from urllib.parse import unquote_to_bytes

        assert unquote_to_bytes(path.removeprefix("Path=")) == one.path
    assert {os.path.basename(one.target) for one in results} == {"ü 1%.jpg".encode(), b"2.jpg", b"2-2.jpg"}
    two.undo()
    assert list((two.trash / "info").iterdir()) == []


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has one trash for a user, wherever that is told")
def test_without_another_the_trash_is_the_users_own(two: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(two.trash.parent))
    list(apply(two.report(*GROUPS), str(two.library), "trash"))
    assert sorted(os.listdir(two.trash / "files")) == ["1.jpg", "1.xmp", "2.jpg"]


def test_nothing_in_the_destination_is_overwritten_and_partners_keep_one_stem(two: Place) -> None:
    two.out.mkdir()
    (two.out / "1.xmp").write_bytes(b"somebody's")
    before = snapshot(two.out)
    results = two.act(two.report(*GROUPS), "move")
    assert {os.path.basename(one.target) for one in results} == {b"1-2.jpg", b"1-2.xmp", b"2.jpg"}
    assert (two.out / "1.xmp").read_bytes() == b"somebody's"
    two.undo()
    assert snapshot(two.out) == before


def test_a_hard_link_is_the_same_file_and_becomes_two_again(two: Place) -> None:
    kept, other = two.photos / "a/1.jpg", two.photos / "b/1.jpg"
    two.act(two.report(*GROUPS), "hard")
    assert kept.samefile(other)
    assert (two.photos / "b/1.xmp").read_bytes() == b"tags"
    two.undo()
    assert not kept.samefile(other)


def test_a_reflink_keeps_its_own_mode_and_time(two: Place) -> None:
    before = snapshot(two.photos)
    results = two.act(two.report(*GROUPS), "reflink")
    if results[0].outcome == "left":
        assert "share" in results[0].reason
        assert snapshot(two.photos).keys() == before.keys()
        two.undo()
        assert snapshot(two.photos) == before
        pytest.skip(f"this file system has no reflinks: {results[0].reason}")
    after = snapshot(two.photos)
    assert {name: state for name, state in after.items() if "jpg" in name} == {
        name: state for name, state in before.items() if "jpg" in name
    }
    two.undo()
    assert snapshot(two.photos) == before


def test_to_another_drive_a_copy_goes_whole_and_comes_back(tmp_path: Path, elsewhere: Path) -> None:
    place = Place(tmp_path, elsewhere).write(
        {"a/1.jpg": b"one" * 9999, "b/1.jpg": b"one" * 9999, "b/1.xmp": b"t"}
    )
    with contextlib.suppress(OSError):
        os.setxattr(place.photos / "b/1.jpg", "user.note", b"mine")
    before = snapshot(place.photos)
    (photo, _) = place.act(place.report(("a/1.jpg", "b/1.jpg")), "move")
    status = os.stat(photo.target)
    assert (status.st_mtime_ns, status.st_mode & 0o7777) == (OLD + 1, 0o600)
    assert set(os.listdir(place.photos / "b")) == set()
    place.undo()
    assert snapshot(place.photos) == before
    assert not place.out.exists()
    with contextlib.suppress(OSError):
        assert os.getxattr(place.photos / "b/1.jpg", "user.note") == b"mine"


def test_a_dry_run_says_what_would_be_and_writes_nothing(two: Place) -> None:
    two.write({"c/1.jpg": b"one", "b/2.json": b"{}"})
    report = two.report(("a/1.jpg", "b/1.jpg", "c/1.jpg"), GROUPS[1])
    for how in WAYS:
        before = snapshot(two.photos.parent)
        planned = two.act(report, how, dry_run=True)
        assert snapshot(two.photos.parent) == before
        assert planned == two.act(report, how)
        two.undo()


def test_only_the_levels_asked_for_are_acted_upon(two: Place) -> None:
    report = two.report(*GROUPS)
    found = list(apply(report, str(two.library), "trash", two.into("trash"), levels=frozenset()))
    assert two.told(found) == dict.fromkeys(
        ("b/1.jpg", "b/2.jpg"), "left the level identical is not acted upon"
    )
    assert not two.library.exists()


def test_ways_that_need_a_folder_get_one_and_others_none(two: Place) -> None:
    report = two.report(*GROUPS)
    for how, into in (("move", None), ("move", b""), ("hard", b"/x"), ("burn", None)):
        with pytest.raises(BadUsage):
            apply(report, str(two.library), how, into)  # type: ignore[arg-type]
    two.out.write_bytes(b"a file")
    with pytest.raises(BadUsage, match="is not a folder"):
        two.act(report, "move")


# -- looked at again -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", WAYS)
def test_what_changed_since_the_report_is_left_alone_and_named(two: Place, how: How) -> None:
    two.write({f"c/{number}.jpg": b"one" for number in range(7)})
    report = two.report(("a/1.jpg", "b/1.jpg", *(f"c/{number}.jpg" for number in range(7))))
    c = two.photos / "c"
    (c / "0.jpg").chmod(0o600)
    (c / "0.jpg").write_bytes(b"other")
    status = (c / "1.jpg").stat()
    (c / "1.jpg").chmod(0o600)
    (c / "1.jpg").write_bytes(b"ONE")  # size and time say nothing
    os.utime(c / "1.jpg", ns=(1, status.st_mtime_ns))
    os.utime(c / "2.jpg")
    (c / "3.jpg").unlink()
    (c / "4.jpg").unlink()
    (c / "4.jpg").symlink_to("../a/1.jpg")
    (c / "5.jpg").unlink()
    os.mkfifo(c / "5.jpg")
    before = snapshot(two.photos / "c")
    told = two.told(two.act(report, how))
    assert {name: said for name, said in told.items() if said.startswith("left")} == {
        "c/0.jpg": "left it changed since the report was made",
        "c/1.jpg": "left it changed since the report was made",
        "c/2.jpg": "left it changed since the report was made",
        "c/3.jpg": "left it is gone",
        "c/4.jpg": "left it is a link",
        "c/5.jpg": "left it is not a file",
    }
    after = snapshot(two.photos / "c")
    assert all(after[f"{number}.jpg"] == before[f"{number}.jpg"] for number in (0, 1, 2, 4, 5))
    assert ("6.jpg" in after) == (how == "hard")


@pytest.mark.parametrize("change", ["changed", "gone", "link"])
def test_where_what_stays_changed_nothing_of_the_group_is_touched(two: Place, change: str) -> None:
    report = two.report(*GROUPS)
    kept = two.photos / "a/1.jpg"
    if change == "changed":
        kept.write_bytes(b"1")
    else:
        kept.unlink()
    if change == "link":
        kept.symlink_to("../b/1.jpg")
    results = two.act(report)
    assert two.moved(results) == {"b/2.jpg"}
    assert two.told(results)["b/1.jpg"] == "left what stays of its group changed or is gone"
    assert two.told(results)["a/1.jpg"].startswith("left it ")
    assert (two.photos / "b/1.jpg").read_bytes() == b"one"


def test_what_changes_between_the_look_and_the_deed_is_put_back(
    two: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from photoclip.actions import files

    real_move = files.move

    def late(source: bytes, target: bytes) -> None:
        if source.endswith(b"b/1.jpg"):
            Path(os.fsdecode(source)).write_bytes(b"new and longer")
        real_move(source, target)

    monkeypatch.setattr(files, "move", late)
    for how in WAYS:
        report = two.report(("a/1.jpg", "b/1.jpg"))
        assert two.told(two.act(report, how)) == {"b/1.jpg": "left it changed just now"}
        assert (two.photos / "b/1.jpg").read_bytes() == b"new and longer"
        assert not list(two.photos.rglob(".photoclip*"))
        journal = Path(journals(str(two.library))[-1].path).read_text("ascii")
        assert journal.count('"step":') == journal.count('"done":') > 0  # its sidecar's, too
        (two.photos / "b/1.jpg").write_bytes(b"one")


# -- never the last copy ---------------------------------------------------------------------------


def test_a_file_under_two_names_is_no_copy_of_itself(two: Place) -> None:
    os.link(two.photos / "a/1.jpg", two.photos / "hard.jpg")
    (two.photos / "folder").symlink_to("a")
    report = two.report(("a/1.jpg", "hard.jpg", "folder/1.jpg", "b/1.jpg"))
    for how in WAYS:
        results = two.act(report, how)
        kept = two.photos / "a/1.jpg"
        assert two.told(results) | {"b/1.jpg": "", "b/1.xmp": ""} == {
            "hard.jpg": f"left it is the same file as {kept}, which stays",
            "folder/1.jpg": "left it stays in another group",
            "b/1.jpg": "",
            "b/1.xmp": "",
        }
        assert kept.read_bytes() == b"one"
        two.undo()


def test_where_the_file_system_hides_that_two_names_are_one_the_file_comes_back(
    two: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a drive that ignores case and numbers its files anew each time they are asked for."""
    from photoclip.actions import files

    real_move = files.move

    def both(source: bytes, target: bytes) -> None:
        real_move(source, target)
        kept, away = two.photos / "a/1.jpg", two.photos / "a/away"
        if source.endswith(b"/b/1.jpg"):
            kept.rename(away)
        elif target.endswith(b"/b/1.jpg"):
            away.rename(kept)

    monkeypatch.setattr(files, "move", both)
    before = contents(two.photos)
    results = two.act(two.report(*GROUPS))
    assert "under another name" in two.told(results)["b/1.jpg"]
    assert two.moved(results) == {"b/2.jpg"}
    assert contents(two.photos) == before - Counter([b"two"])


def test_what_stays_in_one_group_does_not_go_with_another(two: Place) -> None:
    two.write({"c/1.jpg": b"one"})
    results = two.act(two.report(("a/1.jpg", "b/1.jpg"), ("b/1.jpg", "c/1.jpg"), ("c/1.jpg", "a/1.jpg")))
    assert set(two.told(results).values()) == {"left it stays in another group"}


def test_two_groups_with_one_photo_that_goes_let_it_go_once(two: Place) -> None:
    two.write({"c/1.jpg": b"one"})
    results = two.act(two.report(("a/1.jpg", "b/1.jpg"), ("c/1.jpg", "b/1.jpg")))
    assert two.moved(results) == {"b/1.jpg", "b/1.xmp"}
    assert len(results) == 2


def test_a_file_with_other_bytes_is_never_replaced_by_a_link(two: Place) -> None:
    before = snapshot(two.photos)
    said = {"b/2.jpg": "left its bytes are not those of what stays"}
    assert two.told(two.act(two.report(("a/1.jpg", "b/2.jpg"), level="same picture"), "hard")) == said
    for how in WAYS:  # a report that calls them identical is wrong
        assert two.told(two.act(two.report(("a/1.jpg", "b/2.jpg")), how)) == said
    assert snapshot(two.photos) == before


# -- what belongs together -------------------------------------------------------------------------


def beside(place: Place, mine: Mapping[str, bytes], kept: Mapping[str, bytes]) -> dict[str, str]:
    """Return what becomes of files when b/1.jpg goes, a/1.jpg stays, and these lie beside them."""
    place.write({"a/1.jpg": b"one", "b/1.jpg": b"one"})
    place.write({f"a/{name}": content for name, content in kept.items()})
    place.write({f"b/{name}": content for name, content in mine.items()})
    return place.told(place.act(place.report(("a/1.jpg", "b/1.jpg"))))


def test_a_sidecar_goes_along_and_it_is_said_that_its_words_do_too(place: Place) -> None:
    said = "moved what is written in it is not carried over to what stays"
    assert beside(place, {"1.xmp": b"t", "1.jpg.json": b"j", "10.xmp": b"?"}, {}) == {
        "b/1.jpg": "moved",
        "b/1.xmp": said,
        "b/1.jpg.json": said,
    }


def test_a_raw_file_goes_along_where_its_like_stays(place: Place) -> None:
    mine = {"1.CR3": b"raw", "1.CR3.xmp": b"edits"}
    told = beside(place, mine, {"1.CR3": b"raw"})
    assert (told["b/1.jpg"], told["b/1.CR3"], told["b/1.CR3.xmp"][:5]) == ("moved", "moved", "moved")
    place.undo()
    assert (place.photos / "b/1.CR3").read_bytes() == b"raw"


@pytest.mark.parametrize("kept", [{}, {"1.CR3": b"RAW"}, {"1.dng": b"raww"}])
def test_a_raw_file_without_its_like_keeps_its_photo(place: Place, kept: Mapping[str, bytes]) -> None:
    told = beside(place, {"1.CR3": b"raw"}, kept)
    assert told == {"b/1.jpg": "left 1.CR3 belongs to it, and nothing like it stays"}


def test_a_raw_file_of_a_photo_that_stays_stays(place: Place) -> None:
    place.write({"a/1.jpg": b"one", "a/1.CR3": b"raw", "c/1.CR3": b"raw"})
    assert place.told(place.act(place.report(("a/1.jpg", "a/1.CR3"), level="same picture"))) == {
        "a/1.CR3": f"left it belongs to {place.photos / 'a/1.jpg'}, which stays"
    }
    assert place.told(place.act(place.report(("c/1.CR3", "a/1.CR3")))) == {
        "a/1.CR3": "left 1.jpg belongs to it, and nothing like it stays"
    }


def test_a_raw_file_under_two_names_is_no_like_of_itself(place: Place) -> None:
    place.write({"a/1.jpg": b"one", "b/1.jpg": b"one", "a/1.CR3": b"raw"})
    os.link(place.photos / "a/1.CR3", place.photos / "b/1.CR3")
    assert place.moved(place.act(place.report(("a/1.jpg", "b/1.jpg")))) == set()


def test_a_photo_is_not_parted_from_what_stays_in_another_group(place: Place) -> None:
    place.write({f"{side}/1.{end}": end.encode() for side in "ab" for end in ("jpg", "CR3")})
    report = place.report(("b/1.CR3", "a/1.CR3"), ("a/1.jpg", "b/1.jpg"))
    assert place.told(place.act(report)) == {
        "a/1.CR3": "left 1.jpg belongs to it, and stays",
        "b/1.jpg": "left 1.CR3 belongs to it, and stays",
    }


def test_both_of_raw_and_picture_go_when_the_report_says_so(place: Place) -> None:
    place.write({"a/1.jpg": b"one", "b/1.jpg": b"one", "b/1.CR3": b"raw"})
    report = place.report(("a/1.jpg", "b/1.jpg", "b/1.CR3"), level="same picture")
    assert place.moved(place.act(report)) == {"b/1.jpg", "b/1.CR3"}


def test_what_another_photo_owns_too_stays_with_it(place: Place) -> None:
    assert beside(place, {"1.png": b"stays", "1.xmp": b"both's"}, {}) == {"b/1.jpg": "moved"}
    assert (place.photos / "b/1.xmp").exists()


def test_what_two_photos_own_goes_with_the_last_of_them(place: Place) -> None:
    place.write({"a/1.jpg": b"1", "b/1.jpg": b"1", "a/1.png": b"2", "b/1.png": b"2", "b/1.xmp": b"both's"})
    report = place.report(("a/1.jpg", "b/1.jpg"), ("a/1.png", "b/1.png"))
    planned = place.act(report, dry_run=True)
    results = place.act(report)
    assert planned == results
    assert [place.name(one.path) for one in results] == ["b/1.jpg", "b/1.png", "b/1.xmp"]


def test_the_video_of_a_live_photo_goes_along_where_its_like_stays(place: Place) -> None:
    live = b"ftypqt  com.apple.quicktime.content.identifier"
    place.write(
        {f"{side}/1.{end}": content for side in "ab" for end, content in (("jpg", b"one"), ("MOV", live))}
    )
    os.utime(place.photos / "b/1.MOV", ns=(1, OLD - 10**12))  # it says itself what it is
    told = place.told(place.act(place.report(("a/1.jpg", "b/1.jpg"))))
    assert told == {"b/1.jpg": "moved", "b/1.MOV": "moved"}
    place.undo()
    (place.photos / "a/1.MOV").unlink()
    told = place.told(place.act(place.report(("a/1.jpg", "b/1.jpg"))))
    assert told == {"b/1.jpg": "left 1.MOV belongs to it, and nothing like it stays"}


def test_a_film_beside_its_cover_is_no_live_photo(place: Place) -> None:
    place.write({"b/1.mp4": b"a film"})
    os.utime(place.photos / "b/1.mp4", ns=(1, OLD - 10**12))
    told = place.write({"a/1.jpg": b"one", "b/1.jpg": b"one"}).act(place.report(("a/1.jpg", "b/1.jpg")))
    assert place.told(told) == {
        "b/1.jpg": "moved",
        "b/1.mp4": "left nothing says that this video is part of a live photo",
    }
    assert (place.photos / "b/1.mp4").exists()


# -- whatever there is -----------------------------------------------------------------------------


NAMES = st.sampled_from(
    [f"{side}/{name}" for side in "abc"
     for name in ("1.jpg", "1.png", "1.cr3", "1.xmp", "1.mov", "1.jpg.xmp", "2.jpg", "2.JPG", "ü.heic")]
)  # fmt: skip
TREES = st.dictionaries(NAMES, st.sampled_from([b"x", b"y", b"zz"]), min_size=2, max_size=12)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TREES, st.sampled_from(WAYS), st.randoms())
def test_whatever_there_is_no_last_copy_goes_and_all_comes_back(
    swift: Path, files: dict[str, bytes], how: How, chance: random.Random
) -> None:
    place = Place(Path(tempfile.mkdtemp(dir=swift))).write(files)
    photos = [name for name in files if not name.endswith((".xmp", ".mov"))]
    chance.shuffle(photos)
    alike = [[name for name in photos if files[name] == content] for content in (b"x", b"y", b"zz")]
    groups = [group for group in alike if len(group) > 1]
    level: Level = "identical"
    if chance.random() < 0.3 and len(photos) > 1:
        groups, level = [photos], "same picture"
    before, held = snapshot(place.photos), contents(place.photos)
    results = place.act(place.report(*groups, level=level), how)
    after = snapshot(place.photos)
    for group in groups:
        assert after[group[0]] == before[group[0]]
    for name in files.keys() - {place.name(one.path) for one in results if one.outcome != "left"}:
        assert after[name] == before[name]
    see_that_nothing_is_lost(place, how, held)
    if journals(str(place.library)):
        assert {one.outcome for one in place.undo()} <= {"restored", "there"}
    assert snapshot(place.photos) == before
