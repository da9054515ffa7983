"""Sidecar files: found, written whole or not at all, and never in the place of what somebody else wrote."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from photoclip import sidecars, xmp
from photoclip.records import FileStamp
from photoclip.sidecars import NotShared, Outcome, Places, Sidecars, Style
from tests.conftest import environment
from tests.sidecar_shapes import DARKTABLE, LIGHTROOM, SHAPES


def update(path: Path, adding: list[str], taking: list[str] | None = None) -> Outcome:
    with Sidecars() as files:
        return files.update(os.fsencode(path), adding, [] if taking is None else taking)


def take_all(path: Path) -> Outcome:
    with Sidecars() as files:
        return files.update(os.fsencode(path), [], None)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


# -- which file -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "style", "expected"),
    [
        (b"a.jpg", "auto", b"a.jpg.xmp"),
        (b"a.jpg", "darktable", b"a.jpg.xmp"),
        (b"a.jpg", "adobe", b"a.xmp"),
        (b"a.jpg a.xmp", "darktable", b"a.xmp"),
        (b"a.jpg a.jpg.xmp", "adobe", b"a.jpg.xmp"),
        (b"a.jpg a.xmp a.jpg.xmp", "adobe", b"a.jpg.xmp"),
        (b"a.jpg a.XMP", "auto", b"a.XMP"),
        (b"a.jpg a.jpg.XmP", "auto", b"a.jpg.XmP"),
        (b"a.jpg a.XMP a.xmp", "auto", b"a.xmp"),
        (b"a.jpg a.JPG.xmp", "auto", b"a.JPG.xmp"),
        (b"a.jpg a.JPG a.JPG.xmp", "auto", b"a.jpg.xmp"),
        (b"a.jpg b.cr3 b.xmp c.cr3 c.xmp d.jpg d.jpg.xmp", "auto", b"a.xmp"),
        (b"a.jpg b.cr3 b.xmp d.jpg d.jpg.xmp", "auto", b"a.jpg.xmp"),
        (b"a.jpg b.xmp c.xmp", "auto", b"a.jpg.xmp"),  # sidecars of nothing say nothing
        (b"a.jpg A.xmp", "auto", b"a.jpg.xmp"),
    ],
)
def test_a_photo_keeps_the_sidecar_it_has_and_gets_one_as_the_others_are(
    files: bytes, style: Style, expected: bytes
) -> None:
    assert Places(b"/photos", files.split()).of(b"a.jpg", style) == b"/photos/" + expected


def test_a_sidecar_of_a_stem_names_all_whose_it_is() -> None:
    names = [b"a.cr3", b"a.jpg", b"a.png", b"a.png.xmp", b"a.XMP", b"b.jpg", b"ab.jpg"]
    places = Places(b"/p", names)
    assert places.mates(b"/p/a.XMP") == [b"a.cr3", b"a.jpg"]
    assert places.mates(b"/p/a.png.xmp") == []
    many = [b"%d.%s" % (number, ending) for number in range(20_000) for ending in (b"cr3", b"xmp")]
    places = Places(b"/p", many)
    began = time.monotonic()
    assert all(places.mates(b"/p/" + name) for name in many if name.endswith(b"xmp"))
    assert time.monotonic() - began < 5


def test_names_without_an_ending_and_hidden_ones_have_sidecars_too() -> None:
    places = Places(b"/p", [b"scan", b".hidden", b"\xff.jpg"])
    assert places.of(b"scan", "adobe") == b"/p/scan.xmp"
    assert places.of(b".hidden", "adobe") == b"/p/.hidden.xmp"
    assert places.of(b"\xff.jpg") == b"/p/\xff.jpg.xmp"


# -- reading and writing --------------------------------------------------------------------------


def test_a_sidecar_comes_changes_and_goes(tmp_path: Path) -> None:
    sidecar = tmp_path / "a.jpg.xmp"
    made = update(sidecar, ["Animals/Dog", "beach"])
    assert made == (FileStamp.of(sidecar.stat()), xmp.Keywords((), ("Animals/Dog", "beach")), True)
    assert sidecars.read(os.fsencode(sidecar)) == made[:2]
    less = update(sidecar, ["sea"], ["Animals/Dog"])
    assert less.keywords == xmp.Keywords((), ("beach", "sea"))
    assert less.stamp == FileStamp.of(sidecar.stat()) != made.stamp
    assert take_all(sidecar) == (None, None, True)
    assert names(tmp_path) == []


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sidecar_of_somebody_else_is_given_back_byte_for_byte(tmp_path: Path, shape: str) -> None:
    sidecar = tmp_path / "a.xmp"
    sidecar.write_bytes(SHAPES[shape])
    own = xmp.keywords(SHAPES[shape]).own
    assert update(sidecar, ["Plants/Rose"]).keywords == xmp.Keywords(own, ("Plants/Rose",))
    assert take_all(sidecar).keywords == xmp.Keywords(own, ())
    assert sidecar.read_bytes() == SHAPES[shape]


def test_what_needs_no_change_is_not_written(tmp_path: Path) -> None:
    sidecar = tmp_path / "a.xmp"
    sidecar.write_bytes(DARKTABLE)
    update(sidecar, ["dog"])
    before = sidecar.stat()
    for outcome in (
        update(sidecar, ["dog", "Holiday"]),
        update(sidecar, ["dog"], ["cat"]),
        update(sidecar, []),
    ):
        assert outcome.changed is False
        assert outcome.stamp == FileStamp.of(before) == FileStamp.of(sidecar.stat())
        assert outcome.keywords == xmp.Keywords(("holiday", "places/Sylt"), ("dog",))


@pytest.mark.parametrize("taking", [["cat", "dog", "Animals/Cow"], None])
def test_what_is_to_be_there_is_not_taken_first(tmp_path: Path, taking: list[str] | None) -> None:
    sidecar = tmp_path / "a.xmp"
    sidecar.write_bytes(DARKTABLE)
    ours = update(sidecar, ["cat", "dog", "Animals/Cow"])
    deleted = sidecar.read_bytes().replace(b"     <rdf:li>dog</rdf:li>\n", b"", 1)  # the user says no
    sidecar.write_bytes(deleted)
    with Sidecars() as files:
        same = files.update(os.fsencode(sidecar), ["cat", "dog", "Animals/Cow"], taking)
        assert (same.changed, sidecar.read_bytes()) == (False, deleted)
        less = files.update(os.fsencode(sidecar), ["dog"], taking)
    assert ours.keywords and ours.keywords.ours == ("Animals/Cow", "cat", "dog")
    assert less.keywords and less.keywords.ours == ("dog",)


def test_without_labels_no_sidecar_is_made(tmp_path: Path) -> None:
    for adding in ([], [""], ["\0 /"]):
        assert update(tmp_path / "a.xmp", adding, ["dog"]) == (None, None, False)
    assert take_all(tmp_path / "a.xmp") == (None, None, False)
    assert names(tmp_path) == []


def test_an_empty_file_holds_nothing_and_may_be_filled(tmp_path: Path) -> None:
    sidecar = tmp_path / "a.xmp"
    sidecar.touch()
    assert sidecars.read(os.fsencode(sidecar))[1] == xmp.Keywords((), ())
    assert update(sidecar, []).changed is False
    assert update(sidecar, ["dog"]).keywords == xmp.Keywords((), ("dog",))


def test_mode_and_owner_stay_and_a_new_file_is_as_any_new_file(tmp_path: Path) -> None:
    sidecar, plain = tmp_path / "a.xmp", tmp_path / "plain"
    plain.touch()
    update(sidecar, ["dog"])
    assert sidecar.stat().st_mode == plain.stat().st_mode
    sidecar.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(sidecar, 12, 34)
    before = sidecar.stat()
    update(sidecar, ["cat"])
    after = sidecar.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="Linux only")
def test_attributes_stay(tmp_path: Path) -> None:
    sidecar = tmp_path / "a.xmp"
    update(sidecar, ["dog"])
    try:
        os.setxattr(sidecar, b"user.colour", b"red")
    except OSError:
        pytest.skip("this file system keeps no attributes")
    update(sidecar, ["cat"])
    assert os.getxattr(sidecar, b"user.colour") == b"red"


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    real, link = tmp_path / "real" / "a.xmp", tmp_path / "a.xmp"
    real.parent.mkdir()
    link.symlink_to(real)
    with pytest.raises(NotShared, match="leads nowhere"):
        update(link, ["dog"])
    real.write_bytes(LIGHTROOM)
    update(link, ["dog"])
    assert link.is_symlink()
    assert xmp.keywords(real.read_bytes()).ours == ("dog",)
    take_all(link)
    assert real.read_bytes() == LIGHTROOM
    assert names(real.parent) == ["a.xmp"]
    real.write_bytes(xmp.with_labels(None, ["dog"]))
    take_all(link)
    assert real.read_bytes() == xmp.EMPTY  # a link of the user's shall not lead nowhere


def test_another_name_of_the_file_keeps_the_old_bytes(tmp_path: Path) -> None:
    sidecar, backup = tmp_path / "a.xmp", tmp_path / "backup.xmp"
    sidecar.write_bytes(DARKTABLE)
    backup.hardlink_to(sidecar)
    update(sidecar, ["dog"])
    assert backup.read_bytes() == DARKTABLE
    assert xmp.keywords(sidecar.read_bytes()).ours == ("dog",)


# -- what cannot be done --------------------------------------------------------------------------


def test_what_cannot_be_read_says_why_and_stays(tmp_path: Path) -> None:
    sidecar = tmp_path / "a.xmp"
    sidecar.write_bytes(DARKTABLE[:500])
    with pytest.raises(NotShared, match="not well-formed XML"):
        update(sidecar, ["dog"])
    with pytest.raises(NotShared, match="not well-formed XML"):
        sidecars.read(os.fsencode(sidecar))
    assert sidecar.read_bytes() == DARKTABLE[:500]
    assert names(tmp_path) == ["a.xmp"]


def test_what_is_no_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "folder.xmp").mkdir()
    os.mkfifo(tmp_path / "pipe.xmp")
    (tmp_path / "round.xmp").symlink_to("round.xmp")
    for name, reason in {
        "folder": "it is a folder",
        "pipe": "not a regular",
        "round": "leads nowhere",
    }.items():
        with pytest.raises(NotShared, match=reason):
            update(tmp_path / f"{name}.xmp", ["dog"])
    for path in (tmp_path / "gone.xmp", tmp_path / "no" / "a.xmp"):
        with pytest.raises(NotShared, match="it is gone"):
            sidecars.read(os.fsencode(path))
    with pytest.raises(NotShared, match="it is gone"):
        update(tmp_path / "no" / "a.xmp", ["dog"])
    with pytest.raises(NotShared, match="no file of this name"):
        update(tmp_path / "nul\0.xmp", ["dog"])
    with pytest.raises(NotShared, match="longer than"):
        update(tmp_path / ("x" * 300 + ".xmp"), ["dog"])
    assert names(tmp_path) == ["folder.xmp", "pipe.xmp", "round.xmp"]


def test_a_file_that_is_read_only_stays(tmp_path: Path) -> None:
    sidecar = tmp_path / "a.xmp"
    sidecar.write_bytes(DARKTABLE)
    sidecar.chmod(0o444)
    with pytest.raises(NotShared, match="it is read-only"):
        update(sidecar, ["dog"])
    ours = tmp_path / "b.xmp"
    update(ours, ["dog"])
    ours.chmod(0o400)
    with pytest.raises(NotShared, match="it is read-only"):
        take_all(ours)
    assert sidecar.read_bytes() == DARKTABLE
    assert names(tmp_path) == ["a.xmp", "b.xmp"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(NotShared, match="permission denied"):
        update(tmp_path / "a.xmp", ["dog"])
    tmp_path.chmod(0o755)


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "open"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_drive_that_fails_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    sidecar = tmp_path / "a.xmp"
    sidecar.write_bytes(DARKTABLE)
    real = getattr(os, call)

    def fail(*arguments: Any) -> Any:
        if call != "open" or arguments[1] & os.O_CREAT:
            raise OSError(number, os.strerror(number))
        return real(*arguments)

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(NotShared, match=r"no room left|read-only|error"):
        update(sidecar, ["dog"])
    monkeypatch.undo()
    assert sidecar.read_bytes() == DARKTABLE
    assert names(tmp_path) == ["a.xmp"]


# -- others at the same time ----------------------------------------------------------------------


def test_what_somebody_writes_meanwhile_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sidecar = tmp_path / "a.xmp"
    sidecar.write_bytes(DARKTABLE)
    real = os.fsync

    def meanwhile(descriptor: int) -> None:
        real(descriptor)
        if b"Hamburg" not in sidecar.read_bytes():
            sidecar.write_bytes(DARKTABLE.replace(b"Sylt", b"Hamburg"))

    monkeypatch.setattr(os, "fsync", meanwhile)
    assert update(sidecar, ["dog"]).keywords == xmp.Keywords(("holiday", "places/Hamburg"), ("dog",))
    assert names(tmp_path) == ["a.xmp"]


def test_a_new_file_takes_nobodys_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sidecar = tmp_path / "a.xmp"
    real = os.write

    def meanwhile(descriptor: int, content: bytes) -> int:
        if not sidecar.exists():
            sidecar.write_bytes(DARKTABLE)
        return real(descriptor, content)

    monkeypatch.setattr(os, "write", meanwhile)
    assert update(sidecar, ["dog"]).keywords == xmp.Keywords(("holiday", "places/Sylt"), ("dog",))


def test_somebody_who_never_stops_is_not_fought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sidecar = tmp_path / "a.xmp"
    sidecar.write_bytes(DARKTABLE)
    real = os.fsync

    def meanwhile(descriptor: int) -> None:
        real(descriptor)
        sidecar.write_bytes(sidecar.read_bytes() + b" ")

    monkeypatch.setattr(os, "fsync", meanwhile)
    with pytest.raises(NotShared, match="keeps changing it"):
        update(sidecar, ["dog"])
    assert sidecar.read_bytes().rstrip() == DARKTABLE.rstrip()
    assert names(tmp_path) == ["a.xmp"]


def test_a_drive_without_hard_links_gets_its_sidecars_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    assert update(tmp_path / "a.xmp", ["dog"]).changed
    assert names(tmp_path) == ["a.xmp"]


# -- killed ---------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from photoclip.sidecars import Sidecars

left = int(sys.argv[1])

def deadly(real):
    def call(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if real is os_write and left % 2:
            arguments = (arguments[0], arguments[1][:100])
        return real(*arguments, **options)
    return call

os_write = os.write
for name in ("open", "write", "fsync", "fchmod", "fchown", "rename", "link", "unlink", "close"):
    setattr(os, name, deadly(getattr(os, name)))
with Sidecars() as files:
    for path in sys.argv[2:]:
        files.update(os.fsencode(path), ["dog"], None)
"""


def test_killed_at_any_call_a_sidecar_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    new = {"made.xmp": xmp.with_labels(None, ["dog"]), "theirs.xmp": xmp.with_labels(DARKTABLE, ["dog"])}
    old = {"made.xmp": None, "theirs.xmp": DARKTABLE}
    calls, code, seen = 0, -9, set()
    while code == -9:
        folder = tmp_path / str(calls)
        folder.mkdir()
        (folder / "theirs.xmp").write_bytes(DARKTABLE)
        paths = [str(folder / name) for name in new]
        run = subprocess.run(
            [sys.executable, "-c", KILLED, str(calls), *paths], env=environment(), check=False, timeout=60
        )
        code = run.returncode
        for name, content in new.items():
            found = (folder / name).read_bytes() if (folder / name).exists() else None
            assert found in (old[name], content), calls
            seen.add((name, found))
        update(folder / "other.xmp", ["cat"])
        assert set(names(folder)) <= {*new, "other.xmp"}, "a leftover stayed"
        calls += 1
    assert code == 0
    assert len(seen) == 4
    assert calls > 15


def test_only_leftovers_of_the_dead_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".photoclip-0123abcd").write_bytes(b"half")
    (tmp_path / ".photoclip-89abcdef").mkdir()
    (tmp_path / ".photoclip-notes").touch()
    made, descriptor = sidecars._new_file(os.fsencode(tmp_path))
    update(tmp_path / "a.xmp", ["dog"])
    alive = os.fsdecode(os.path.basename(made))
    assert names(tmp_path) == sorted([".photoclip-89abcdef", ".photoclip-notes", alive, "a.xmp"])
    os.close(descriptor)
    update(tmp_path / "b.xmp", ["dog"])
    assert alive not in names(tmp_path)


# -- what others read -----------------------------------------------------------------------------


@pytest.mark.exiftool
@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool")
@pytest.mark.parametrize(
    "shape", [None, "darktable", "digiKam", "Lightroom", "Camera Raw", "padded", "with a mark"]
)  # it knows no RDF in the default namespace, and not all of UTF-16
def test_exiftool_reads_what_we_wrote(tmp_path: Path, shape: str | None) -> None:
    sidecar = tmp_path / "a.jpg.xmp"
    if shape:
        sidecar.write_bytes(SHAPES[shape])
    labels = ["Animals/Cat", "<salt & pepper>", "]]>", "שלום", "😀 \"quoted\" 'too'"]

    def seen() -> dict[str, set[str]]:
        command = ["exiftool", "-json", "-XMP-dc:Subject", "-XMP-lr:HierarchicalSubject", "-sep", "\n"]
        run = subprocess.run([*command, str(sidecar)], capture_output=True, check=True, timeout=60)
        (found,) = json.loads(run.stdout)
        return {
            name: set(str(found.get(name, "")).split("\n")) - {""}
            for name in ("Subject", "HierarchicalSubject")
        }

    before = seen() if shape else {"Subject": set(), "HierarchicalSubject": set()}
    update(sidecar, labels)
    after = seen()
    assert after["Subject"] == before["Subject"] | {"Animals", "Cat", *labels[1:]}
    assert after["HierarchicalSubject"] == before["HierarchicalSubject"] | {"Animals|Cat"}


@pytest.mark.exiftool
@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool")
def test_what_exiftool_rewrites_is_still_told_apart(tmp_path: Path) -> None:
    sidecar = tmp_path / "a.xmp"
    sidecar.write_bytes(DARKTABLE)
    update(sidecar, ["Animals/Cat", "beach"])
    command = [
        "exiftool",
        "-q",
        "-overwrite_original",
        "-XMP-dc:Subject+=theirs",
        "-XMP-dc:Title=x",
        str(sidecar),
    ]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    read = sidecars.read(os.fsencode(sidecar))[1]
    assert sorted(read.own) == ["holiday", "places/Sylt", "theirs"]
    assert sorted(read.ours) == ["Animals/Cat", "beach"]
    left = take_all(sidecar).keywords
    assert left is not None
    assert sorted(left.own) == ["holiday", "places/Sylt", "theirs"]
    assert left.ours == ()


def test_a_link_to_an_empty_file_is_not_written_through(tmp_path: Path) -> None:
    # Somebody's archive must not choose which of our files becomes a sidecar.
    target, sidecar = tmp_path / "target", tmp_path / "a.jpg.xmp"
    target.touch()
    sidecar.symlink_to(target)
    with Sidecars() as files, pytest.raises(NotShared, match="empty file"):
        files.update(os.fsencode(sidecar), ["dog"])
    assert target.read_bytes() == b""
