"""Photos taken to another folder: real files, real links, real processes that are killed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photoclip.arrival import Arrival, How, NotTaken
from photoclip.errors import BadUsage, PhotoclipError
from photoclip.records import Photo, PhotoFacts
from photoclip.taking import Taken, take
from tests.conftest import _WITHOUT_PRIVILEGES, environment
from tests.faults.preload import CHANGING, FLUSHING, HALF, KILLED_AFTER, KILLED_BEFORE, ROOM, Watch, fails

Tree = dict[str, bytes]
"""The files below a folder: their names and their bytes."""


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder with two photos, one of them with a RAW file, a video and sidecars."""
    return write(
        tmp_path / "album",
        {
            "IMG_1.jpg": b"one",
            "IMG_1.CR3": b"raw",
            "IMG_1.xmp": b"tags",
            "IMG_1.jpg.xmp": b"more tags",
            "IMG_1.MOV": b"moves",
            "IMG_2.png": b"two",
            "IMG_20.xmp": b"not hers",
        },
    )


GROUP = {"IMG_1.jpg", "IMG_1.CR3", "IMG_1.xmp", "IMG_1.jpg.xmp", "IMG_1.MOV"}


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def tree(folder: Path) -> Tree:
    return {
        os.fsdecode(os.path.relpath(path, folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def taken(*photos: Path | Photo, to: Path, how: How = "copy", dry_run: bool = False) -> list[Taken]:
    paths = [photo if isinstance(photo, Photo) else os.fsencode(photo) for photo in photos]
    return list(take(paths, to, how, dry_run=dry_run))


def names(results: list[Taken]) -> list[str]:
    return [os.fsdecode(os.path.basename(one.target)) for one in results]


def outcomes(results: list[Taken]) -> set[str]:
    return {one.outcome for one in results}


def as_indexed(path: Path) -> Photo:
    status = path.stat()
    return Photo(os.fsencode(path), b"h" * 32, status.st_size, status.st_mtime_ns, PhotoFacts(1, 1, "JPEG"))


# -- what arrives ---------------------------------------------------------------------------------


def test_a_photo_arrives_with_all_that_belongs_to_it(album: Path, tmp_path: Path) -> None:
    results = taken(album / "IMG_1.jpg", to=tmp_path / "new" / "place")
    assert tree(tmp_path / "new" / "place") == {name: (album / name).read_bytes() for name in GROUP}
    assert [one.source for one in results if not one.partner] == [os.fsencode(album / "IMG_1.jpg")]
    assert {one.source: one.target for one in results} == {
        os.fsencode(album / name): os.fsencode(tmp_path / "new" / "place" / name) for name in GROUP
    }
    assert outcomes(results) == {"taken"}


def test_partners_that_were_asked_for_themselves_arrive_once(album: Path, tmp_path: Path) -> None:
    results = taken(album / "IMG_1.CR3", album / "IMG_1.jpg", album / "IMG_1.jpg", to=tmp_path / "out")
    assert set(names(results)) == GROUP
    assert len(results) == len(GROUP)
    assert sum(not one.partner for one in results) == 2


def test_a_copy_keeps_its_time_and_who_may_read_it(album: Path, tmp_path: Path) -> None:
    photo = album / "IMG_2.png"
    for mode, expected in ((0o640, 0o640), (0o444, 0o644), (0o4755, 0o644)):
        photo.chmod(mode)
        os.utime(photo, ns=(1, 1_234_567_890_123_456_789))
        (one,) = taken(photo, to=tmp_path / oct(mode))
        status = os.stat(one.target)
        assert status.st_mtime_ns == 1_234_567_890_123_456_789
        assert status.st_mode & 0o7777 == expected


def test_sources_are_as_they_were(album: Path, tmp_path: Path) -> None:
    before = {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in album.iterdir()}
    content = tree(album)
    for how in ("copy", "hard", "symbolic"):
        taken(*album.iterdir(), to=tmp_path / how, how=how)
    assert tree(album) == content
    assert {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in album.iterdir()} == before


def test_nothing_to_take_makes_no_folder(tmp_path: Path) -> None:
    assert taken(to=tmp_path / "out") == []
    assert outcomes(taken(tmp_path / "gone.jpg", to=tmp_path / "out")) == {"failed"}
    assert not (tmp_path / "out").exists()


# -- links ----------------------------------------------------------------------------------------


def test_a_hard_link_is_the_same_file(album: Path, tmp_path: Path) -> None:
    for one in taken(album / "IMG_1.jpg", to=tmp_path / "out", how="hard"):
        assert os.path.samefile(one.source, one.target)
        assert not os.path.islink(one.target)


def test_a_symbolic_link_is_absolute(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(album)
    results = list(take([b"IMG_1.jpg"], "../out", "symbolic"))
    assert set(names(results)) == GROUP
    for one in results:
        assert os.readlink(one.target) == os.fsencode(album / os.path.basename(os.fsdecode(one.source)))


def test_a_photo_behind_a_link_arrives_as_a_file(album: Path, tmp_path: Path) -> None:
    link = tmp_path / "links" / "IMG_2.png"
    link.parent.mkdir()
    link.symlink_to("../album/IMG_2.png")
    for how in ("copy", "hard"):
        (one,) = taken(link, to=tmp_path / how, how=how)
        assert not os.path.islink(one.target)
        assert Path(os.fsdecode(one.target)).read_bytes() == b"two"


def test_a_hard_link_to_another_drive_is_refused_with_the_way_out(album: Path) -> None:
    with elsewhere(album) as out:
        with pytest.raises(PhotoclipError, match="they are on different drives") as refused:
            taken(album / "IMG_2.png", to=out, how="hard")
        assert refused.value.hint == "copy the photos instead"
        assert list(out.iterdir()) == []
        assert names(taken(album / "IMG_2.png", to=out)) == ["IMG_2.png"]


def test_a_reflink_shares_blocks_or_is_refused_with_the_way_out(album: Path, tmp_path: Path) -> None:
    photo = album / "IMG_2.png"
    try:
        (one,) = taken(photo, to=tmp_path / "out", how="reflink")
    except PhotoclipError as refused:
        assert "reflink" in str(refused)
        assert refused.hint == "copy the photos instead"
        assert list((tmp_path / "out").iterdir()) == []
    else:
        assert Path(os.fsdecode(one.target)).read_bytes() == b"two"
        assert not os.path.samefile(one.source, one.target)


@contextlib.contextmanager
def elsewhere(folder: Path) -> Iterator[Path]:
    """Yield an empty folder on another file system."""
    import tempfile

    shm = Path("/dev/shm")
    if not os.access(shm, os.W_OK) or shm.stat().st_dev == folder.stat().st_dev:
        pytest.skip("there is one file system only")
    with tempfile.TemporaryDirectory(dir=shm) as place:
        yield Path(place)


# -- names in use ---------------------------------------------------------------------------------


def test_a_name_in_use_numbers_the_whole_group(album: Path, tmp_path: Path) -> None:
    out = write(tmp_path / "out", {"IMG_1.xmp": b"somebody's", "IMG_1-2.mov": b"too"})
    results = taken(album / "IMG_1.jpg", to=out)
    assert set(names(results)) == {name.replace("IMG_1", "IMG_1-3") for name in GROUP}
    assert (out / "IMG_1.xmp").read_bytes() == b"somebody's"


@pytest.mark.parametrize("how", ["copy", "hard", "symbolic"])
def test_to_take_twice_changes_nothing(album: Path, tmp_path: Path, how: How) -> None:
    write(tmp_path / "other", {"IMG_1.jpg": b"another", "IMG_1.xmp": b"another's"})
    photos = [album / "IMG_1.jpg", tmp_path / "other" / "IMG_1.jpg", album / "IMG_2.png"]
    first = taken(*photos, to=tmp_path / "out", how=how)
    assert "IMG_1-2.xmp" in names(first)
    before = tree(tmp_path / "out"), (tmp_path / "out").stat().st_mtime_ns
    second = taken(*reversed(photos), to=tmp_path / "out", how=how)
    assert outcomes(second) == {"there"}
    assert {(one.source, one.target) for one in first} == {(one.source, one.target) for one in second}
    assert (tree(tmp_path / "out"), (tmp_path / "out").stat().st_mtime_ns) == before


def test_what_is_missing_of_a_group_is_brought(album: Path, tmp_path: Path) -> None:
    taken(album / "IMG_1.jpg", to=tmp_path / "out")
    (tmp_path / "out" / "IMG_1.CR3").unlink()
    results = taken(album / "IMG_1.jpg", to=tmp_path / "out")
    assert {name for name, one in zip(names(results), results, strict=True) if one.outcome == "taken"} == {
        "IMG_1.CR3"
    }


def test_names_that_differ_in_case_or_composition_only_are_one(tmp_path: Path) -> None:
    write(tmp_path, {"a/X.jpg": b"1", "b/x.JPG": b"2", "c/\u00e9.jpg": b"3", "d/e\u0301.jpg": b"4"})
    photos = [tmp_path / name for name in ("a/X.jpg", "b/x.JPG", "c/\u00e9.jpg", "d/e\u0301.jpg")]
    assert names(taken(*photos, to=tmp_path / "out")) == ["X.jpg", "x-2.JPG", "\u00e9.jpg", "e\u0301-2.jpg"]
    assert names(taken(tmp_path / "b/x.JPG", to=tmp_path / "out")) == ["x-2.JPG"]


def test_photos_in_one_folder_that_differ_in_case_only_have_a_sidecar_each(tmp_path: Path) -> None:
    album = write(tmp_path / "album", {"a.jpg": b"1", "a.JPG": b"2", "a.xmp": b"both", "a.XMP": b"odd"})
    out = tmp_path / "out"
    taken(album / "a.jpg", album / "a.JPG", to=out)
    folded = [name.lower() for name in tree(out)]
    assert len(set(folded)) == len(folded)
    assert set(tree(out).values()) == {b"1", b"2", b"both", b"odd"}
    before = tree(out)
    assert outcomes(taken(album / "a.jpg", album / "a.JPG", to=out)) == {"there"}
    assert tree(out) == before


def test_two_pictures_with_one_stem_share_a_sidecar_and_a_number(tmp_path: Path) -> None:
    album = write(tmp_path / "album", {"a.jpg": b"1", "a.png": b"2", "a.xmp": b"x"})
    out = write(tmp_path / "out", {"a.png": b"in use"})
    assert set(names(taken(album / "a.jpg", album / "a.png", to=out))) == {"a-2.jpg", "a-2.png", "a-2.xmp"}


def test_a_numbered_motion_photo_of_google_keeps_its_video(tmp_path: Path) -> None:
    album = write(tmp_path / "album", {"P.MP.jpg": b"1", "P.MP": b"2"})
    out = write(tmp_path / "out", {"P.MP.jpg": b"in use"})
    assert set(names(taken(album / "P.MP.jpg", to=out))) == {"P-2.MP.jpg", "P-2.MP"}


@pytest.mark.parametrize("what", ["folder", "pipe", "link to nowhere", "link to itself"])
def test_what_is_no_file_is_in_the_way_too(album: Path, tmp_path: Path, what: str) -> None:
    path = tmp_path / "out" / "IMG_2.png"
    path.parent.mkdir()
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("IMG_2.png" if what == "link to itself" else "nowhere")
    before = os.lstat(path)
    assert names(taken(album / "IMG_2.png", to=tmp_path / "out")) == ["IMG_2-2.png"]
    assert os.path.samestat(os.lstat(path), before)


def test_a_link_does_not_stand_for_a_copy(album: Path, tmp_path: Path) -> None:
    for number, how in enumerate(("hard", "symbolic"), 2):
        taken(album / "IMG_2.png", to=tmp_path / how, how=how)
        assert names(taken(album / "IMG_2.png", to=tmp_path / how)) == ["IMG_2-2.png"], number
        assert names(taken(album / "IMG_2.png", to=tmp_path / how, how=how)) == ["IMG_2.png"]


def test_in_its_own_folder_a_photo_is_there(album: Path) -> None:
    before = tree(album)
    for how in ("copy", "hard", "symbolic", "reflink"):
        assert outcomes(taken(*album.glob("IMG_?.*"), to=album, how=how)) == {"there"}
    assert tree(album) == before


def test_names_of_any_bytes_arrive(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    stems = [b"\xff\xfe", b"new\nline", b"-rf", "ü😀".encode(), b" ", b"\xff" * 251]
    photos = []
    for number, stem in enumerate(stems):
        for side in (b"a", b"b"):
            os.makedirs(folder + b"/" + side, exist_ok=True)
            photos.append(folder + b"/" + side + b"/" + stem + b".jpg")
            Path(os.fsdecode(photos[-1])).write_bytes(side + b"%d" % number)
    targets = [os.path.basename(one.target) for one in take(photos, tmp_path / "out")]
    assert targets[:-1] == [stem + mark + b".jpg" for stem in stems for mark in (b"", b"-2")][:-1]
    assert targets[-1] == b"\xff" * 249 + b"-2.jpg"
    assert [Path(os.fsdecode(folder + b"/out/" + name)).read_bytes() for name in targets] == [
        side + b"%d" % number for number in range(len(stems)) for side in (b"a", b"b")
    ]


def test_the_number_fits_into_the_longest_name_and_no_character_is_cut(tmp_path: Path) -> None:
    stem = "é" * 122 + "x"  # 245 bytes
    album = write(tmp_path / "album", {f"{stem}.jpg": b"1", f"{stem}.jpg.xmp": b"2"})
    out = write(tmp_path / "out", {f"{stem}.jpg": b"in use"})
    shorter = "é" * 122  # 255 - len(".jpg.xmp") - len("-2") = 245, and 1 byte is the x
    assert set(names(taken(album / f"{stem}.jpg", to=out))) == {f"{stem}-2.jpg", f"{stem}-2.jpg.xmp"}
    write(out, {f"{shorter}x-{number}.jpg": b"in use" for number in range(3, 10)})
    album = write(tmp_path / "more", {f"{stem}.jpg": b"3", f"{stem}.jpg.xmp": b"4"})
    assert set(names(taken(album / f"{stem}.jpg", to=out))) == {f"{shorter}-10.jpg", f"{shorter}-10.jpg.xmp"}


NAMES = st.sampled_from(
    ["a.jpg", "A.jpg", "a.JPG", "a.png", "a.cr3", "a.xmp", "a.jpg.xmp", "a-2.jpg", "a-2.xmp"]
)
FOLDER = st.dictionaries(NAMES, st.sampled_from([b"x", b"y", b"z"]), max_size=5)


@settings(max_examples=200, deadline=None)
@given(st.lists(FOLDER, max_size=3), FOLDER, st.sampled_from(["copy", "hard", "symbolic"]), st.randoms())
def test_whatever_is_there_nothing_is_lost_and_partners_stay_partners(
    tmp_path_factory: pytest.TempPathFactory, albums: list[Tree], there: Tree, how: How, chance: random.Random
) -> None:
    place = tmp_path_factory.mktemp("any")
    out = place / "out"
    out.mkdir()
    write(out, there)
    for number, files in enumerate(albums):
        write(place / str(number), files)
    photos = [path for path in sorted(place.glob("?/*")) if path.suffix != ".xmp"]
    chance.shuffle(photos)
    planned = taken(*photos, to=out, how=how, dry_run=True)
    assert tree(out) == there
    results = taken(*photos, to=out, how=how)
    after = tree(out)

    assert planned == results
    assert {name: after.get(name) for name in there} == there
    for one in results:
        assert Path(os.fsdecode(one.target)).read_bytes() == Path(os.fsdecode(one.source)).read_bytes()
    assert {os.fsdecode(one.source) for one in results} >= set(map(str, photos))
    arrived = {one.target.lower() for one in results if one.outcome == "taken"}
    assert len(after) == len(there) + len(arrived)
    assert apart(results) == []
    assert outcomes(taken(*photos, to=out, how=how)) <= {"there"}
    assert tree(out) == after


def apart(results: list[Taken]) -> list[Taken]:
    """Return what has a partner in its folder, but none under the same stem where it is now."""
    return [
        one
        for one in results
        if (theirs := [other for other in results if are_raw_and_picture(one.source, other.source)])
        and os.path.splitext(one.target)[0] not in {os.path.splitext(other.target)[0] for other in theirs}
    ]


def are_raw_and_picture(one: bytes, other: bytes) -> bool:
    stems, endings = zip(*(os.path.splitext(path) for path in (one, other)), strict=True)
    return stems[0] == stems[1] and {ending.lower() for ending in endings} == {b".cr3", b".jpg"}


# -- a dry run ------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_be_and_writes_nothing(album: Path, tmp_path: Path) -> None:
    write(tmp_path / "other", {"IMG_2.png": b"another"})
    photos = [album / "IMG_1.jpg", album / "IMG_2.png", tmp_path / "other" / "IMG_2.png", album / "gone.jpg"]
    planned = taken(*photos, to=tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()
    assert planned == taken(*photos, to=tmp_path / "out")
    assert names(planned)[-1] == "IMG_2-2.png"


# -- photos that cannot be taken ------------------------------------------------------------------


def test_a_photo_that_is_gone_or_changed_is_named_and_the_rest_goes_on(album: Path, tmp_path: Path) -> None:
    photos = [as_indexed(album / name) for name in ("IMG_1.jpg", "IMG_1.CR3", "IMG_2.png")]
    write(album, {"IMG_1.CR3": b"changed", "IMG_3.jpg": b"three"})
    photos.append(as_indexed(album / "IMG_3.jpg"))
    (album / "IMG_2.png").unlink()
    (album / "IMG_3.jpg").unlink()
    (album / "IMG_3.jpg").mkdir()
    results = taken(*photos, to=tmp_path / "out")
    assert {os.path.basename(one.source): one.reason for one in results if one.outcome == "failed"} == {
        b"IMG_1.CR3": "it has changed since it was indexed",
        b"IMG_2.png": "it is gone",
        b"IMG_3.jpg": "it is not a file",
    }
    assert set(tree(tmp_path / "out")) == GROUP - {"IMG_1.CR3"}


def test_a_photo_that_vanishes_meanwhile_is_named_and_its_partners_stay_too(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Arrival.make

    def late(arrival: Arrival, source: bytes, how: How) -> bytes:
        if source.endswith(b"IMG_1.jpg"):
            os.unlink(source)
        return make(arrival, source, how)

    monkeypatch.setattr(Arrival, "make", late)
    results = taken(album / "IMG_1.jpg", album / "IMG_2.png", to=tmp_path / "out")
    assert [(one.outcome, one.reason) for one in results] == [("failed", "it is gone"), ("taken", "")]
    assert tree(tmp_path / "out") == {"IMG_2.png": b"two"}


def test_a_photo_that_grows_while_it_is_copied_is_named(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = os.read

    def late(descriptor: int, size: int) -> bytes:
        write(album, {"IMG_2.png": b"two and a half"})
        return read(descriptor, size)

    monkeypatch.setattr(os, "read", late)
    (one,) = taken(album / "IMG_2.png", to=tmp_path / "out")
    assert (one.outcome, one.reason) == ("failed", "it changed while it was copied")
    with Arrival(os.fsencode(tmp_path / "out")) as arrival:
        with pytest.raises(NotTaken):
            arrival.make(os.fsencode(album / "IMG_2.png"), "copy")
        assert tree(tmp_path / "out") == {}  # the half copy is gone at once: the next may need the room


def test_a_pipe_in_the_place_of_a_photo_keeps_nobody_waiting(album: Path, tmp_path: Path) -> None:
    with Arrival(os.fsencode(tmp_path)) as arrival:
        os.mkfifo(album / "pipe.jpg")
        with pytest.raises(NotTaken, match="it is not a file"):
            arrival.make(os.fsencode(album / "pipe.jpg"), "copy")


# -- destinations that cannot be ------------------------------------------------------------------


def test_a_destination_that_is_no_folder_is_bad_usage(album: Path, tmp_path: Path) -> None:
    write(tmp_path, {"file": b""})
    (tmp_path / "nowhere").symlink_to("gone")
    for place in ("file", "file/below", "nowhere"):
        for dry_run in (False, True):
            with pytest.raises(BadUsage, match="is not a folder"):
                taken(album / "IMG_1.jpg", to=tmp_path / place, dry_run=dry_run)
    for place in ("", "a\0b"):
        with pytest.raises(BadUsage):
            take([os.fsencode(album / "IMG_1.jpg")], place)


TAKER = """
import json, os, sys
from photoclip.errors import PhotoclipError
from photoclip.taking import take
place, out, how = (os.fsencode(word) for word in sys.argv[1:])
photos = sorted(os.path.join(place, name) for name in os.listdir(place) if name.endswith(b".jpg"))
print("ready", flush=True)
try:
    for one in take(photos, out, how.decode()):
        print(json.dumps([os.fsdecode(one.source), os.fsdecode(one.target), one.outcome]), flush=True)
except PhotoclipError as error:
    print(json.dumps([str(error), error.hint, type(error).__name__]), flush=True)
"""


def taker(place: Path, out: Path, how: How = "copy") -> list[str]:
    """Return the line of a process that takes all photos of a folder."""
    return [sys.executable, "-c", TAKER, str(place), str(out), how]


def said(output: bytes) -> list[list[str]]:
    return [json.loads(line) for line in output.splitlines()[1:]]


@pytest.mark.skipif(sys.platform != "linux", reason="rights are given up as Linux has them")
def test_a_destination_that_may_not_be_written_to_says_so(album: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o555)
    line = [sys.executable, "-c", _WITHOUT_PRIVILEGES, *taker(album, tmp_path / "out")]
    done = subprocess.run(line, env=environment(), capture_output=True, timeout=60)
    assert said(done.stdout)[-1] == [
        f"nothing can be written to {tmp_path / 'out'}: permission denied",
        "name another folder",
        "PhotoclipError",
    ]


def test_a_full_disk_at_any_call_leaves_whole_files_only(tmp_path: Path) -> None:
    """From each call that needs room on, in turn, all fail; then the same line completes."""
    album = write(
        tmp_path / "album", {f"{n}{e}": bytes([n]) * 3000 for n in range(2) for e in (".jpg", ".xmp")}
    )
    out = tmp_path / "out"
    watch = Watch(out, calls=(*ROOM, "rename"), log=tmp_path / "calls")
    counting = subprocess.run(taker(album, out), env=watch.environment(), capture_output=True, timeout=60)
    assert len(said(counting.stdout)) == 4
    calls = watch.seen()
    assert len(calls) > 8, calls
    for number in range(1, len(calls) + 1):
        for path in out.iterdir():
            path.unlink()
        harm = watch.with_harm(number, fails(errno.ENOSPC), onwards=True)
        done = subprocess.run(taker(album, out), env=harm.environment(), capture_output=True, timeout=60)
        *listed, last = said(done.stdout)
        assert last[0] == f"there is no room left in {out}", (calls[number - 1], last, done.stderr)
        assert {os.path.basename(target) for _, target, _ in listed} == set(tree(out))
        for name, content in tree(out).items():
            assert content == (album / name).read_bytes()
    assert outcomes(taken(*album.glob("*.jpg"), to=out)) <= {"taken", "there"}
    assert tree(out) == tree(album)


def test_a_disk_that_takes_half_of_every_write_gets_whole_files(album: Path, tmp_path: Path) -> None:
    watch = Watch(tmp_path / "out", calls=("write",), log=tmp_path / "calls").with_harm(1, HALF, onwards=True)
    subprocess.run(taker(album, tmp_path / "out"), env=watch.environment(), capture_output=True, timeout=60)
    assert len(watch.harmed()) > len(GROUP)
    assert tree(tmp_path / "out") == {name: (album / name).read_bytes() for name in GROUP}


def test_a_file_is_forced_to_disk_before_it_gets_its_name(album: Path, tmp_path: Path) -> None:
    watch = Watch(tmp_path / "out", calls=(*FLUSHING, "unlink"), log=tmp_path / "calls")
    subprocess.run(taker(album, tmp_path / "out"), env=watch.environment(), capture_output=True, timeout=60)
    calls = [call.split(" ")[0] for call in watch.seen()]
    # To give up the hidden name is the second half of getting the real one. The folder comes last.
    assert calls == ["fsync"] * len(GROUP) + ["unlink"] * len(GROUP) + ["fsync"]


def test_a_destination_that_goes_away_is_an_error_that_says_so(album: Path, tmp_path: Path) -> None:
    results = take([os.fsencode(album / "IMG_2.png"), os.fsencode(album / "IMG_1.jpg")], tmp_path / "out")
    assert next(results).outcome == "taken"
    (tmp_path / "out").rename(tmp_path / "moved")
    with pytest.raises(PhotoclipError, match="out: it is not there"):
        list(results)
    assert set(tree(album)) >= GROUP


# -- drives without hard links --------------------------------------------------------------------


@pytest.fixture
def no_hard_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)


@pytest.mark.usefixtures("no_hard_links")
def test_where_there_are_no_hard_links_a_rename_that_replaces_nothing_does_it(
    album: Path, tmp_path: Path
) -> None:
    out = write(tmp_path / "out", {"IMG_1.mov": b"in use"})
    assert set(names(taken(album / "IMG_1.jpg", to=out))) == {name.replace("1", "1-2", 1) for name in GROUP}
    with Arrival(os.fsencode(out)) as arrival:
        made = arrival.make(os.fsencode(album / "IMG_2.png"), "copy")
        with pytest.raises(FileExistsError):
            arrival.appear(made, b"IMG_1.mov")
    assert (out / "IMG_1.mov").read_bytes() == b"in use"


@pytest.mark.usefixtures("no_hard_links")
def test_a_drive_without_any_safe_way_is_refused(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr("photoclip.arrival._system_rename", refused)
    with pytest.raises(PhotoclipError, match="no way to add a file safely"):
        taken(album / "IMG_1.jpg", to=tmp_path / "out")
    assert tree(tmp_path / "out") == {}


# -- killed, and in company -----------------------------------------------------------------------


def many(folder: Path, count: int = 150) -> Path:
    """Make photos of very different sizes, each with a sidecar."""
    for number in range(count):
        size = 700_000 if number % 10 == 0 else 20_000
        write(folder, {f"{number}.jpg": bytes([number]) * size, f"{number}.xmp": b"%d" % number})
    return folder


def test_a_kill_at_any_moment_leaves_whole_files_and_the_next_run_completes(tmp_path: Path) -> None:
    album, out = many(tmp_path / "album"), tmp_path / "out"
    chance = random.Random(6)
    for _ in range(8):
        process = subprocess.Popen(taker(album, out), env=environment(), stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(chance.randrange(30)):
            process.stdout.readline()
        time.sleep(chance.random() * 0.005)
        process.kill()
        process.communicate()
        for name, content in tree_without_ours(out).items():
            assert content == (album / name).read_bytes()
    assert process.returncode == -signal.SIGKILL
    assert len(taken(*album.glob("*.jpg"), to=out)) == 300
    assert tree(out) == tree(album)


@pytest.mark.parametrize("harm", [KILLED_BEFORE, KILLED_AFTER])
def test_a_kill_at_every_call_leaves_whole_files_and_whole_groups_in_the_end(
    tmp_path: Path, harm: str
) -> None:
    album = write(tmp_path / "album", {"a.jpg": b"j" * 3000, "a.xmp": b"x", "a.CR3": b"r" * 3000})
    out = tmp_path / "out"
    watch = Watch(out, calls=CHANGING, log=tmp_path / "calls")
    subprocess.run(taker(album, out), env=watch.environment(), capture_output=True, timeout=60)
    for number in range(1, len(watch.seen()) + 1):
        shutil.rmtree(out)
        dying = watch.with_harm(number, harm)
        done = subprocess.run(taker(album, out), env=dying.environment(), capture_output=True, timeout=60)
        assert done.returncode == -signal.SIGKILL
        for name, content in (tree_without_ours(out) if out.exists() else {}).items():
            assert content == (album / name).read_bytes()
        assert set(names(taken(album / "a.jpg", to=out))) == {"a.jpg", "a.xmp", "a.CR3"}
        assert sorted(os.listdir(out)) == sorted(os.listdir(album))
        assert tree(out) == tree(album)


def tree_without_ours(folder: Path) -> Tree:
    return {name: content for name, content in tree(folder).items() if not name.startswith(".photoclip-")}


def test_what_others_left_over_is_removed_and_what_is_in_use_is_not(album: Path, tmp_path: Path) -> None:
    out = write(tmp_path / "out", {".photoclip-0123abcd/1": b"half", ".photoclip-0123abce/mine.txt": b"kept"})
    with Arrival(os.fsencode(out)) as other:
        assert not (out / ".photoclip-0123abcd").exists()
        waiting = other.make(os.fsencode(album / "IMG_1.jpg"), "copy")
        taken(album / "IMG_2.png", to=out)
        assert Path(os.fsdecode(waiting)).read_bytes() == b"one"
    assert tree(out) == {".photoclip-0123abce/mine.txt": b"kept", "IMG_2.png": b"two"}


def test_two_processes_share_a_destination(tmp_path: Path) -> None:
    albums = [many(tmp_path / "left", 60), tmp_path / "right"]
    write(
        albums[1], {f"{n}.jpg": b"r%d" % n for n in range(60)} | {f"{n}.xmp": b"R%d" % n for n in range(60)}
    )
    out = tmp_path / "out"
    running = [
        subprocess.Popen(taker(album, out), env=environment(), stdout=subprocess.PIPE)
        for album in (*albums, *albums)
    ]
    lists = [said(process.communicate(timeout=60)[0]) for process in running]
    for listed in lists:
        assert len(listed) == 120
        numbers = {}
        for source, target, _ in listed:
            assert Path(target).read_bytes() == Path(source).read_bytes()
            key = os.path.splitext(source)[0]
            assert numbers.setdefault(key, os.path.splitext(target)[0]) == os.path.splitext(target)[0]
    assert len(tree(out)) == 240  # each photo once, though two processes took it
    assert sum(outcome == "taken" for listed in lists for *_, outcome in listed) == 240


def test_names_are_given_by_one_at_a_time(album: Path, tmp_path: Path) -> None:
    with Arrival(os.fsencode(tmp_path / "out")) as other:
        waiting = threading.Thread(target=taken, args=[album / "IMG_2.png"], kwargs={"to": tmp_path / "out"})
        with other.alone():
            waiting.start()
            waiting.join(0.2)
            assert waiting.is_alive()
            assert tree(tmp_path / "out") == {}
        waiting.join(10)
    assert tree(tmp_path / "out") == {"IMG_2.png": b"two"}


def test_a_name_that_somebody_takes_meanwhile_gives_the_group_another_number(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    appear = Arrival.appear

    def late(arrival: Arrival, made: bytes, name: bytes) -> bytes:
        if name == b"IMG_1.xmp":
            write(tmp_path / "out", {"IMG_1.xmp": b"quicker"})
        return appear(arrival, made, name)

    monkeypatch.setattr(Arrival, "appear", late)
    results = taken(album / "IMG_1.jpg", to=tmp_path / "out")
    assert set(names(results)) == {name.replace("IMG_1", "IMG_1-2") for name in GROUP}
    assert set(tree(tmp_path / "out")) == {*names(results), "IMG_1.xmp"}
    assert (tmp_path / "out" / "IMG_1.xmp").read_bytes() == b"quicker"
