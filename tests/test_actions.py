"""Acting upon a report and taking it back: real files, real links, real processes that are killed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photoclip.actions import Acted, How, Report, Undone, apply, journals, read_report, undo, write_report
from photoclip.errors import BadUsage, PhotoclipError
from photoclip.keeping import staying
from photoclip.records import DuplicateGroup, Level, Photo, PhotoFacts
from tests.conftest import _WITHOUT_PRIVILEGES, environment

Group = Sequence[str]
"""Names of photos; the first stays."""

OLD = 1_234_567_890_123_456_789


class Place:
    """A folder of photos, with a library, a trash and a destination beside it."""

    def __init__(self, root: Path, elsewhere: Path | None = None) -> None:
        self.photos = root / "photos"
        self.library = root / "library"
        self.trash = root / "Trash"
        self.out = (elsewhere or root) / "out"
        self.photos.mkdir(parents=True)

    def write(self, files: Mapping[str, bytes]) -> Place:
        for number, (name, content) in enumerate(files.items()):
            path = self.photos / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod((0o644, 0o600, 0o444)[number % 3])
            os.utime(path, ns=(1, OLD + number))
        return self

    def photo(self, name: str) -> Photo:
        path = self.photos / name
        status = path.stat()
        digest = hashlib.sha256(path.read_bytes()).digest()
        facts = PhotoFacts(1, 1, "JPEG")
        return Photo(os.fsencode(path), digest, status.st_size, status.st_mtime_ns, facts)

    def report(self, *groups: Group, level: Level = "identical") -> Report:
        return read_report(io.BytesIO(self.report_bytes(*groups, level=level)))

    def report_bytes(self, *groups: Group, level: Level = "identical") -> bytes:
        file = io.BytesIO()
        write_report([DuplicateGroup(level, 1.0, tuple(map(self.photo, names))) for names in groups], file)
        return file.getvalue()

    def act(self, report: Report, how: How = "trash", *, dry_run: bool = False) -> list[Acted]:
        return list(apply(report, str(self.library), how, self.into(how), dry_run=dry_run))

    def into(self, how: How) -> bytes | None:
        return {"trash": os.fsencode(self.trash), "move": os.fsencode(self.out)}.get(how)

    def undo(self) -> list[Undone]:
        return list(undo(journals(str(self.library))[-1].path))

    def name(self, path: bytes) -> str:
        return os.path.relpath(os.fsdecode(path), self.photos)

    def told(self, results: Sequence[Acted]) -> dict[str, str]:
        """Return what became of each file: its outcome, and the reason."""
        return {self.name(one.path): " ".join(filter(None, (one.outcome, one.reason))) for one in results}

    def moved(self, results: Sequence[Acted]) -> set[str]:
        return {self.name(one.path) for one in results if one.outcome == "moved"}


Snapshot = dict[str, tuple[int, int, bytes]]
"""Modes, times and bytes (of a link: where it leads) of all below a folder, folders too."""


def snapshot(folder: Path) -> Snapshot:
    found = {}
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        content = (
            os.readlink(path).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        )
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_mtime_ns, content)
    return found


def contents(*folders: Path) -> Counter[bytes]:
    """Return how many files there are of each content below some folders."""
    paths = [path for folder in folders for path in folder.rglob("*")]
    return Counter(path.read_bytes() for path in paths if path.is_file() and not path.is_symlink())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def two(place: Place) -> Place:
    """Two copies and a half: one group with sidecars, one of a photo alone."""
    return place.write(
        {"a/1.jpg": b"one", "b/1.jpg": b"one", "b/1.xmp": b"tags", "a/2.jpg": b"two", "b/2.jpg": b"two"}
    )


GROUPS: tuple[Group, ...] = (("a/1.jpg", "b/1.jpg"), ("a/2.jpg", "b/2.jpg"))
WAYS: tuple[How, ...] = ("trash", "move", "hard")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """An empty folder on another file system."""
    shm = Path("/dev/shm")
    if not os.access(shm, os.W_OK) or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system only")
    with tempfile.TemporaryDirectory(dir=shm) as folder:
        yield Path(folder)


@pytest.fixture
def swift(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in memory where that can be: to force something to disk costs nothing there."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


# -- the report -----------------------------------------------------------------------------------


def test_a_report_is_read_as_it_was_written(place: Place) -> None:
    names = ["a.jpg", "new\nline.jpg", "ü😀.jpg", os.fsdecode(b"\xff\xfe.jpg"), "\x1b[2J.jpg"]
    place.write(dict.fromkeys(names, b"same"))
    written = place.report_bytes(names)
    assert written.isascii()
    assert written.count(b"\n") == 3
    (group,) = place.report(names).groups
    assert (group.level, group.similarity) == ("identical", 1.0)
    assert [one.path for one in group.photos] == [os.fsencode(place.photos / name) for name in names]
    assert [one.stays for one in group.photos] == [True, False, False, False, False]
    assert group.photos[1][1:4] == (*place.photo(names[1])[2:4], hashlib.sha256(b"same").digest())


def test_more_than_one_can_stay(two: Place) -> None:
    group = DuplicateGroup("identical", 1.0, tuple(map(two.photo, ("a/1.jpg", "b/1.jpg"))))
    file = io.BytesIO()
    references = [os.fsencode(two.photos)]
    write_report([group], file, lambda photos: staying(photos, references))
    file.seek(0)
    report = read_report(file)
    assert [photo.stays for photo in report.groups[0].photos] == [True, True]
    assert two.act(report) == []


def test_a_report_without_groups_is_one(place: Place) -> None:
    assert place.act(place.report()) == []


def refusal(report: bytes) -> str:
    with pytest.raises(BadUsage) as refused:
        read_report(io.BytesIO(report), "dupes.jsonl")
    assert "photoclip dupes --report" in refused.value.hint
    return str(refused.value)


def test_a_report_that_was_changed_is_refused_with_line_and_reason(two: Place) -> None:
    report = two.report_bytes(*GROUPS)
    head, one, other, end = report.splitlines(keepends=True)
    changed = "it was changed, or a line before it was put in or taken out"
    for edited, line, reason in (
        (head + one.replace(b"true", b"false") + other + end, 2, changed),
        (head + one + other.replace(b"/b/", b"/a/") + end, 3, changed),
        (head + other + end, 2, changed),
        (head + one + one + other + end, 3, changed),
        (one + other + end, 1, changed),
        (head + one + b"\n" + other + end, 3, "it is not JSON"),
        (head + one + other + end + end, 4, "something follows the end"),
        (b"[" * 100_000, 1, "it is not JSON"),
        (b"a.jpg\n", 1, "it is not JSON"),
        (b"\xff\xfe\0", 1, "it is not JSON"),
        (b"[]\n", 1, "it is not a JSON object"),
    ):
        assert refusal(edited) == f"dupes.jsonl, line {line}: {reason}"


def test_a_report_that_was_cut_short_is_refused_wherever_that_was(two: Place) -> None:
    report = two.report_bytes(*GROUPS)
    for length in range(0, len(report) - 1, 7):
        assert refusal(report[:length]).startswith("dupes.jsonl, line "), length
    whole = report[: report.rindex(b"\n", 0, -1) + 1]
    assert refusal(whole) == "dupes.jsonl, line 4: its end is missing; it was cut short"


def test_a_report_that_makes_no_sense_is_refused(two: Place) -> None:
    from photoclip.actions.lines import line_of

    photo: dict[str, Any] = {"path": "/a", "size": 1, "mtime_ns": 1, "sha256": "00" * 32, "stays": True}
    other = {**photo, "path": "/b"}
    group: dict[str, Any] = {"level": "identical", "similarity": 1.0, "photos": [photo, other]}
    head = {"photoclip": "duplicates", "version": 1}
    for record, reason in (
        ({**group, "level": "unheard of"}, "no level"),
        ({**group, "similarity": "high"}, "no similarity"),
        ({**group, "photos": [photo]}, "two photos or more"),
        ({**group, "photos": [photo, photo]}, "each once"),
        (
            {**group, "photos": [{**photo, "stays": False}, {**other, "stays": False}]},
            "no photo of the group stays",
        ),
        ({**group, "photos": [photo, {**other, "path": "b"}]}, "not an absolute path"),
        ({**group, "photos": [photo, {**other, "path": "/b\0"}]}, "not an absolute path"),
        ({**group, "photos": [photo, {**other, "path_b64": "?"}]}, "no path"),
        ({**group, "photos": [photo, {**other, "sha256": "00"}]}, "sha256"),
        ({**group, "photos": [photo, {**other, "size": True}]}, "no size"),
        ({**group, "photos": [photo, "/b"]}, "not a JSON object"),
        ({"groups": 1}, "it counts other groups"),
    ):
        assert reason in refusal(line_of(1, head) + line_of(2, record)), reason
    assert "version" in refusal(line_of(1, {**head, "version": 2}))
    assert "no report" in refusal(line_of(1, {"photoclip": "actions", "version": 1}))


# -- what goes, and back again --------------------------------------------------------------------


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


# -- looked at again ------------------------------------------------------------------------------


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


# -- never the last copy --------------------------------------------------------------------------


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


# -- what belongs together ------------------------------------------------------------------------


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


# -- taken back -----------------------------------------------------------------------------------


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


# -- processes that are killed, and calls that fail -----------------------------------------------

CHANGING = ["link", "unlink", "rename", "mkdir", "rmdir", "open", "write"]
CHANGING += ["fsync", "utime", "fchmod", "fchown", "ftruncate", "setxattr"]
"""The calls that change what is on disk; ``open`` where it makes a file."""

ACTOR = '''
import contextlib, fcntl, json, os, signal, sys, time
from photoclip.actions import apply, journals, read_report, undo
from photoclip.errors import PhotoclipError

def clone(to, _, source):
    """Stand in for a file system that shares blocks."""
    os.write(to, os.pread(source, 1 << 20, 0))

fcntl.ioctl = clone
count = 0

def arm(order):
    """Let the chosen calls count, and the Nth end this process, or fail."""
    def stand_in(name, real):
        def called(*arguments, **named):
            global count
            if name == "open" and not arguments[1] & os.O_CREAT:
                return real(*arguments, **named)
            count += 1
            if order.get("at") and (count == order["at"] or order.get("onwards") and count > order["at"]):
                if order["how"] == "kill":
                    if name == "write":
                        real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                elif name in order["names"]:
                    raise OSError(order["errno"], os.strerror(order["errno"]))
            return real(*arguments, **named)
        return called
    for name in sys.argv[1:]:
        setattr(os, name, stand_in(name, getattr(os, name)))

def work(order):
    if order["do"] == "undo":
        for journal in journals(order["library"]):
            list(undo(journal.path))
        return "done"
    with open(order["report"], "rb") as file:
        report = read_report(file)
    into = order["into"] and os.fsencode(order["into"])
    said = []
    try:
        for one in apply(report, order["library"], order["way"], into):
            said.append([os.fsdecode(one.path), one.outcome, one.reason])
    except PhotoclipError as error:
        said.append(["", "error", str(error)])
    return said

for line in sys.stdin:
    order = json.loads(line)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        say = os.write
        arm(order)
        said = json.dumps(["failed", 0])
        try:
            said = json.dumps([work(order), count])
        finally:
            say(writing, said.encode())
            os._exit(0)
    os.close(writing)
    if "after" in order:
        time.sleep(order["after"])
        os.kill(child, signal.SIGKILL)
    with open(reading, "rb") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    print(said.decode() or "null", flush=True)
'''
"""Starts a process for each order. It acts upon a report, or takes that back, and may be killed at a call
that changes what is on disk (after one such call and before the next, the disk is the same)."""


class Actor:
    def __init__(self, place: Place, *groups: Group, launcher: Sequence[str] = ()) -> None:
        self.place = place
        self.report = place.photos.parent / "dupes.jsonl"
        self.report.write_bytes(place.report_bytes(*groups))
        line = [sys.executable, *launcher, *([sys.executable] if launcher else []), "-c", ACTOR, *CHANGING]
        self._process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True
        )

    def __enter__(self) -> Actor:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def __call__(self, do: str, way: How = "trash", **order: Any) -> Any:
        """Return what the process said, and how many calls it made; None when it was killed."""
        assert self._process.stdin and self._process.stdout
        into = self.place.into(way)
        order |= {"report": str(self.report), "library": str(self.place.library), "do": do, "way": way}
        order["into"] = into and os.fsdecode(into)
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def forget(self) -> None:
        shutil.rmtree(self.place.library, ignore_errors=True)


def lively(way: str, request: pytest.FixtureRequest) -> tuple[Place, How]:
    """Return a place, and the way to go; the way "drive" is a move to another file system."""
    files = {"a/1.jpg": b"one", "b/1.jpg": b"one", "b/1.xmp": b"tags", "a/2.jpg": b"two", "c/2.jpg": b"two"}
    request.getfixturevalue("elsewhere" if way == "drive" else "swift")  # may skip
    place = Place(
        request.getfixturevalue("swift"), request.getfixturevalue("tmp_path") if way == "drive" else None
    )
    ways: dict[str, How] = {"trash": "trash", "hard": "hard", "reflink": "reflink"}
    return place.write(files), ways.get(way, "move")


LIVELY: tuple[Group, ...] = (("a/1.jpg", "b/1.jpg"), ("a/2.jpg", "c/2.jpg"))


def see_that_nothing_is_lost(place: Place, way: How, before: Counter[bytes]) -> None:
    now = contents(place.photos, place.trash / "files", place.out)
    lost = before - now if way in ("trash", "move") else Counter(before.keys()) - now
    assert not lost, lost


@pytest.mark.parametrize("way", ["trash", "move", "hard", "drive", "reflink"])
def test_a_kill_at_any_call_loses_nothing_and_undo_restores_all(
    way: str, request: pytest.FixtureRequest
) -> None:
    place, way = lively(way, request)
    before, files = snapshot(place.photos), contents(place.photos)
    with Actor(place, *LIVELY) as actor:
        for number in itertools.count(1):
            ended = actor("apply", way, at=number, how="kill")
            assert ended is None or snapshot(place.photos) != before or way == "reflink"
            see_that_nothing_is_lost(place, way, files)
            for journal, *_ in journals(str(place.library)):
                assert {one.outcome for one in undo(journal)} <= {"restored", "there"}, number
            assert snapshot(place.photos) == before, number
            assert contents(place.out, place.trash) == Counter(), number
            actor.forget()
            if ended:
                break
    assert number > 15


@pytest.mark.parametrize("way", ["trash", "drive", "reflink"])
def test_undo_can_be_killed_at_any_call_and_run_again(way: str, request: pytest.FixtureRequest) -> None:
    place, way = lively(way, request)
    before, files = snapshot(place.photos), contents(place.photos)
    with Actor(place, *LIVELY) as actor:
        for number in itertools.count(1):
            actor.forget()
            actor("apply", way)
            ended = actor("undo", at=number, how="kill")
            see_that_nothing_is_lost(place, way, files)
            again = actor("undo", at=number + 1, how="kill")  # and killed again, a little further on
            assert again is None or again[0] == "done"
            for journal, *_ in journals(str(place.library)):
                assert {one.outcome for one in undo(journal)} <= {"restored", "there"}, number
            assert snapshot(place.photos) == before, number
            if ended:
                break
    assert number > 10


def test_who_takes_the_place_of_a_photo_that_waits_aside_keeps_it(request: pytest.FixtureRequest) -> None:
    place, way = lively("hard", request)
    with Actor(place, *LIVELY) as actor:
        for number in itertools.count(1):
            actor.forget()
            actor("apply", way, at=number, how="kill")
            if waiting := list(place.photos.rglob(".photoclip-aside-*")):
                break
    photo = place.photos / "b/1.jpg"
    photo.unlink(missing_ok=True)
    photo.write_bytes(b"new here")
    (one,) = place.undo()
    assert one.reason == f"another file is in its place now; it is at {waiting[0]}"
    assert photo.read_bytes() == b"new here"
    assert waiting[0].read_bytes() == b"one"
    photo.unlink()
    assert [one.outcome for one in place.undo()] == ["restored"]
    assert photo.read_bytes() == b"one"


def test_a_kill_at_fifty_random_moments_loses_nothing(swift: Path) -> None:
    names = [(n, f"{side}/{n}{end}") for n in range(30) for side in "ab" for end in (".jpg", ".xmp")]
    files = {name: bytes([n]) * (90_000 if n % 9 == 0 else 50) for n, name in names}
    place = Place(swift).write(files)
    before, held = snapshot(place.photos), contents(place.photos)
    chance = random.Random(8)
    killed = 0
    with Actor(place, *((f"a/{n}.jpg", f"b/{n}.jpg") for n in range(30))) as actor:
        for turn in range(50):
            way = ("trash", "move", "hard")[turn % 3]
            killed += actor("apply", way, after=chance.random() * 0.05) is None
            see_that_nothing_is_lost(place, way, held)
            for journal, *_ in journals(str(place.library)):
                list(undo(journal))
            assert snapshot(place.photos) == before, turn
    assert killed > 10


@pytest.mark.parametrize("way", ["trash", "move", "hard", "drive"])
def test_a_full_disk_at_any_call_stops_it_and_undo_restores_all(
    way: str, request: pytest.FixtureRequest
) -> None:
    place, way = lively(way, request)
    before, files = snapshot(place.photos), contents(place.photos)
    with Actor(place, *LIVELY) as actor:
        _, calls = actor("apply", way)
        actor("undo")
        for number in range(1, calls + 1, 2):
            actor.forget()
            full: dict[str, Any] = {"how": "error", "errno": errno.ENOSPC, "onwards": True}
            said, _ = actor("apply", way, at=number, names=["write", "open", "mkdir"], **full)
            assert said != "failed", number
            see_that_nothing_is_lost(place, way, files)
            assert said[-1][1] in ("error", "left", "moved", "linked")
            for journal, *_ in journals(str(place.library)):
                assert {one.outcome for one in undo(journal)} <= {"restored", "there"}, number
            assert snapshot(place.photos) == before, (number, said)


@pytest.mark.parametrize("onwards", [False, True])
@pytest.mark.parametrize("way", ["trash", "hard", "drive", "reflink"])
def test_a_drive_that_fails_at_any_call_loses_nothing_and_undo_restores_all(
    way: str, onwards: bool, request: pytest.FixtureRequest
) -> None:
    place, way = lively(way, request)
    before, files = snapshot(place.photos), contents(place.photos)
    places = place.photos, place.trash / "files", place.out
    failing: dict[str, Any] = {"how": "error", "errno": errno.EIO, "onwards": onwards}
    with Actor(place, *LIVELY) as actor:
        for number in itertools.count(1):
            said, calls = actor("apply", way, at=number, names=CHANGING, **failing)
            assert said != "failed", number
            see_that_nothing_is_lost(place, way, files)
            if not onwards:
                assert_told(place, before, said)
                assert way not in ("trash", "move") or contents(*places) == files, (number, said)
            for journal, *_ in journals(str(place.library)):
                assert {one.outcome for one in undo(journal)} <= {"restored", "there"}, number
            assert snapshot(place.photos) == before, (number, said)
            actor.forget()
            if calls < number:
                break
    assert number > 15


def assert_told(place: Place, before: Snapshot, said: list[list[str]]) -> None:
    """See that what is said to be left is where it was, and nothing else lies about."""
    for path, outcome, reason in said:
        if outcome == "left":
            name = place.name(os.fsencode(path))
            assert snapshot(place.photos)[name] == before[name], reason
            assert not list(place.photos.rglob(".photoclip*"))


@pytest.mark.skipif(sys.platform != "linux", reason="rights are given up as Linux has them")
def test_a_folder_that_may_not_be_changed_keeps_its_files(
    request: pytest.FixtureRequest,
) -> None:
    place, _ = lively("trash", request)
    (place.photos / "b").chmod(0o555)
    before = snapshot(place.photos / "b")
    with Actor(place, *LIVELY, launcher=["-c", _WITHOUT_PRIVILEGES]) as actor:
        for way in WAYS:
            said, _ = actor("apply", way)
            assert [str(place.photos / "b/1.jpg"), "left", "permission denied"] in said
            assert said[-1][:2] == [str(place.photos / "c/2.jpg"), "linked" if way == "hard" else "moved"]
            assert snapshot(place.photos / "b") == before
            assert b"one" not in contents(place.trash / "files", place.out)
            assert actor("undo")[0] == "done"
    (place.photos / "b").chmod(0o755)


def test_what_must_be_on_disk_first_is_forced_there_first(
    two: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step in the journal before it is done; the new file, and its name, before the old one goes."""
    said: list[tuple[str, bytes, bytes]] = []
    for name in ("link", "unlink", "fsync", "write"):
        monkeypatch.setattr(os, name, listening(name, getattr(os, name), said))
    for how in WAYS:
        two.act(two.report(*GROUPS), how)
        two.undo()
    waiting = False
    named = False
    removed = 0
    for name, path, content in said:
        if b"/journal/" in path:
            waiting = name == "write" and (waiting or b'"step"' in content or b'"undo"' in content)
        elif path.startswith(os.fsencode(two.photos)):
            assert not waiting or name == "write"
            named = name == "fsync" if name in ("link", "fsync") else named
            if name == "unlink" and b"-aside-" in path:
                assert named
                removed += 1
    assert removed == 2


def listening(
    name: str, real: Callable[..., Any], said: list[tuple[str, bytes, bytes]]
) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        place = arguments[0]
        path = os.readlink(b"/proc/self/fd/%d" % place) if isinstance(place, int) else os.fsencode(place)
        said.append((name, path, bytes(arguments[1]) if name == "write" else b""))
        return real(*arguments, **named)

    return call


def test_on_a_drive_of_its_own_a_photo_goes_into_the_trash_of_that_drive(
    tmp_path: Path, elsewhere: Path
) -> None:
    place = Place(elsewhere).write({"a/1.jpg": b"one", "b/1.jpg": b"one"})
    place.trash = tmp_path / "Trash"
    (one,) = place.act(place.report(("a/1.jpg", "b/1.jpg")), dry_run=True)
    top = next(folder for folder in elsewhere.parents if folder.is_mount())
    assert Path(os.fsdecode(one.target)).parent.parent.parent in (top, top / ".Trash")
    assert f"{os.getuid()}" in os.fsdecode(one.target)


# -- whatever there is ----------------------------------------------------------------------------

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
