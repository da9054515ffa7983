"""The walk, on real folders: what it lists, what it leaves out, and what it says when it cannot look."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from photoclip.errors import BadUsage
from photoclip.records import FileStamp, ScannedFolder
from photoclip.scan import scan, scan_file


def is_photo(name: bytes) -> bool:
    return name.endswith(b".jpg")


def make(root: Path, *names: str) -> None:
    """Create files; a name that ends in a slash is a folder."""
    for name in names:
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(b"x")


def folders(
    root: Path | bytes, excludes: tuple[str, ...] = (), follow_links: bool = False
) -> list[ScannedFolder]:
    return list(scan(os.fsencode(root), is_photo=is_photo, excludes=excludes, follow_links=follow_links))


def names(root: Path, excludes: tuple[str, ...] = (), follow_links: bool = False) -> list[str]:
    """Return the photos below ``root``, in the order of the walk."""
    found = folders(root, excludes, follow_links)
    return [
        os.fsdecode(os.path.relpath(file.path, os.fsencode(root)))
        for folder in found
        for file in folder.files
    ]


def test_every_photo_is_listed_once_in_a_stable_order(tmp_path: Path) -> None:
    make(tmp_path, "b.jpg", "a.jpg", "z/1.jpg", "c/2/3.jpg", "c/1.jpg", "notes.txt", "empty/")
    assert names(tmp_path) == ["a.jpg", "b.jpg", "c/1.jpg", "c/2/3.jpg", "z/1.jpg"]
    assert [os.path.basename(folder.path) for folder in folders(tmp_path)][1:] == [b"c", b"2", b"empty", b"z"]
    assert all(folder.complete and not folder.error for folder in folders(tmp_path))
    assert [folder.skipped for folder in folders(tmp_path)] == [1, 0, 0, 0, 0]


def test_stamps_are_those_of_the_file_system(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    os.utime(tmp_path / "a.jpg", ns=(1, 1_234_567_890_123_456_789))
    (file,) = folders(tmp_path)[0].files
    status = os.stat(tmp_path / "a.jpg")
    assert (file.stamp.size, file.stamp.mtime_ns) == (1, 1_234_567_890_123_456_789)
    assert (file.stamp.ctime_ns, file.stamp.inode) == (status.st_ctime_ns, status.st_ino)
    assert scan_file(file.path) == file


def test_names_of_any_bytes_are_listed_as_they_are(tmp_path: Path) -> None:
    wanted = sorted([b"\xff\xfe.jpg", b"new\nline.jpg", b"-rf.jpg", b"'\".jpg", "ü😀.jpg".encode(), b" .jpg"])
    for name in wanted:
        (tmp_path / os.fsdecode(name)).write_bytes(b"")
    assert [os.path.basename(file.path) for file in folders(tmp_path)[0].files] == wanted


def test_hidden_and_system_folders_are_left_out_and_named(tmp_path: Path) -> None:
    left_out = [".hidden", ".Trash-1000", "#recycle", "$Recycle.Bin", "@eaDir", "A.photoslibrary", "P.lrdata"]
    make(tmp_path, "a.jpg", ".b.jpg", "._a.jpg", *(f"{name}/x.jpg" for name in left_out))
    (folder,) = folders(tmp_path)
    assert [os.path.basename(file.path) for file in folder.files] == [b"a.jpg"]
    assert sorted(os.path.basename(path).decode() for path in folder.excluded_folders) == sorted(left_out)
    assert folder.skipped == 2
    assert folder.complete


def test_a_hidden_root_is_entered(tmp_path: Path) -> None:
    make(tmp_path, ".photos/a.jpg")
    assert names(tmp_path / ".photos") == ["a.jpg"]


def test_only_regular_files_count(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "folder.jpg/")
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.jpg"))
        (tmp_path / "null.jpg").symlink_to("/dev/null")
        for follow_links in (False, True):
            assert names(tmp_path, follow_links=follow_links) == ["a.jpg"]


# --- links ---------------------------------------------------------------------------------------


def test_links_are_not_followed_unless_asked(tmp_path: Path) -> None:
    make(tmp_path, "in/a.jpg", "out/b.jpg")
    (tmp_path / "in" / "file.jpg").symlink_to("../out/b.jpg")
    (tmp_path / "in" / "folder").symlink_to("../out")
    assert names(tmp_path / "in") == ["a.jpg"]
    assert names(tmp_path / "in", follow_links=True) == ["a.jpg", "file.jpg", "folder/b.jpg"]


def test_each_real_folder_is_entered_once_whatever_links_lead_to_it(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "self").symlink_to(".")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "broken.jpg").symlink_to("nowhere")
    assert names(tmp_path, follow_links=True) == ["a/1.jpg"]
    assert all(folder.complete for folder in folders(tmp_path, follow_links=True))


# --- patterns ------------------------------------------------------------------------------------


def test_excludes_are_gitignore_patterns_relative_to_the_root(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "raw/a.jpg", "raw/keep.jpg", "sub/raw/b.jpg", "top/x/c.jpg", "sub/top/x/d.jpg")
    excludes = ("raw/*", "!raw/keep.jpg", "/top/", "b.*")
    assert names(tmp_path, excludes) == ["a.jpg", "raw/keep.jpg", "sub/top/x/d.jpg"]
    root = folders(tmp_path, excludes)[0]
    assert root.excluded_folders == (os.fsencode(tmp_path / "top"),)


def test_a_pattern_that_is_none_is_bad_usage(tmp_path: Path) -> None:
    for pattern in ("[z-a]", "!"):
        with pytest.raises(BadUsage, match="is not a pattern"):
            folders(tmp_path, (pattern,))


def test_ignore_files_hold_below_their_folder_and_deeper_ones_decide(tmp_path: Path) -> None:
    make(tmp_path, "x.jpg", "a/x.jpg", "a/y.jpg", "a/b/x.jpg", "a/b/y.jpg", "a/c/x.jpg", "c/x.jpg")
    (tmp_path / "a" / ".photoclipignore").write_text("# mine\nx.jpg\n/c\n[z-a]\n")
    (tmp_path / "a" / "b" / ".photoclipignore").write_text("!x.jpg\ny.jpg\n")
    assert names(tmp_path) == ["x.jpg", "a/y.jpg", "a/b/x.jpg", "c/x.jpg"]
    assert folders(tmp_path)[1].skipped == 2  # the ignore file and x.jpg
    assert names(tmp_path, ("/a/b/x.jpg", "!/a/x.jpg")) == ["x.jpg", "a/x.jpg", "a/y.jpg", "c/x.jpg"]


def test_patterns_match_names_that_are_not_utf_8(tmp_path: Path) -> None:
    for name in (b"\xff1.jpg", b"\xff2.jpg", b"\xfe.jpg"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"")
    (tmp_path / ".photoclipignore").write_bytes(b"\xff*.jpg\n")
    assert [os.path.basename(file.path) for file in folders(tmp_path)[0].files] == [b"\xfe.jpg"]


def test_a_folder_whose_ignore_file_cannot_be_read_is_not_listed(tmp_path: Path, monkeypatch) -> None:
    make(tmp_path, "private/a.jpg", "b.jpg", "private/deeper/c.jpg")
    make(tmp_path, "private/.photoclipignore")
    from photoclip import scan as room

    def forbidden(path: bytes) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(room, "_read_ignore_file", forbidden)  # root may read everything
    root, private = folders(tmp_path)
    assert len(root.files) == 1
    assert (private.files, private.complete, private.error) == ((), False, "permission denied")


# --- what cannot be listed -----------------------------------------------------------------------


def test_a_root_that_cannot_be_listed_is_one_incomplete_folder(tmp_path: Path) -> None:
    make(tmp_path, "file.jpg")
    for root, words in (
        (tmp_path / "nowhere", "there is no such folder"),
        (tmp_path / "file.jpg", "it is not a folder"),
        (b"nul\0", "there is no such folder"),
    ):
        for follow_links in (False, True):
            (folder,) = folders(root, follow_links=follow_links)
            assert folder == ScannedFolder(os.fsencode(root), (), complete=False, error=words)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list everything")
def test_a_forbidden_folder_is_incomplete_and_the_walk_goes_on(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "a").chmod(0)
    try:
        _, forbidden, other = folders(tmp_path)
    finally:
        (tmp_path / "a").chmod(0o700)
    assert (forbidden.complete, forbidden.error) == (False, "permission denied")
    assert len(other.files) == 1


class _FailingListing:
    """A folder on a drive that goes away in the middle of the listing."""

    def __init__(self, entries, error: OSError) -> None:
        self.entries, self.error = entries, error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.entries.close()

    def __iter__(self):
        yield next(self.entries)
        raise self.error


def test_a_listing_that_breaks_off_keeps_what_was_seen_and_says_so(tmp_path: Path, monkeypatch) -> None:
    make(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    real = os.scandir
    monkeypatch.setattr(
        os, "scandir", lambda path: _FailingListing(real(path), OSError(5, "Input/output error"))
    )
    (folder,) = folders(tmp_path)
    assert len(folder.files) == 1
    assert (folder.complete, folder.error) == (False, "its drive reports a read error")


def test_files_and_folders_that_vanish_during_the_walk_do_not_stop_it(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "b/2.jpg")
    walk = scan(os.fsencode(tmp_path), is_photo=is_photo)
    next(walk)
    (tmp_path / "a" / "1.jpg").unlink()
    (tmp_path / "a").rmdir()
    vanished, other = walk
    assert not vanished.complete
    assert len(other.files) == 1


def test_folders_deeper_than_the_system_allows_are_incomplete_and_nothing_crashes(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for name in ["d"] * 1100 + ["d" * 250] * 16:  # beyond Python's recursion limit, then PATH_MAX
        os.mkdir(name, dir_fd=here)
        deeper = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    (tmp_path / "z").mkdir()
    try:
        found = folders(tmp_path)
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)
    assert len(found) > 1100
    *listed, too_deep, last = found
    assert all(folder.complete for folder in (*listed, last))
    assert (too_deep.complete, too_deep.error) == (False, "its path is longer than the system allows")


# --- single files --------------------------------------------------------------------------------


def test_a_file_named_by_the_user_is_found_through_links_and_whatever_its_name(tmp_path: Path) -> None:
    make(tmp_path, ".hidden", "a.jpg")
    (tmp_path / "link").symlink_to("a.jpg")
    for name in (".hidden", "link"):
        found = scan_file(os.fsencode(tmp_path / name))
        assert found is not None
        assert found.stamp.size == 1


def test_what_is_no_regular_file_is_not_found(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path, tmp_path / "pipe.jpg", tmp_path / "nowhere.jpg", b"nul\0.jpg"):
        assert scan_file(os.fsencode(path)) is None


def test_scanning_loads_no_foreign_package(tmp_path: Path) -> None:
    import sys

    program = "import sys, photoclip.scan as s; list(s.scan(b'.', is_photo=bool)); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert not {"pathspec", "numpy", "PIL"} & set(loaded.stdout.split())


def test_sidecars_are_listed_beside_the_photos_and_are_neither_photos_nor_skipped(tmp_path: Path) -> None:
    for name in ("b.jpg", "b.jpg.xmp", "a.XMP", ".c.xmp", "xmp", "d.xmp.txt"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "e.xmp").mkdir()
    folder = folders(tmp_path)[0]
    assert [os.path.basename(file.path) for file in folder.files] == [b"b.jpg"]
    assert [os.path.basename(file.path) for file in folder.sidecars] == [b"a.XMP", b"b.jpg.xmp"]
    assert folder.sidecars[0].stamp == FileStamp.of((tmp_path / "a.XMP").stat())
    assert folder.skipped == 3
