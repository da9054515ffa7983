"""``check``: what is damaged is named, what can be mended is mended, and nothing is ever replaced."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Made, MakeShell, Shell, evidence, without_privileges
from tests.pictures import paint, paint_many


@pytest.fixture
def checked(colours: Made, tmp_path: Path, shell_for: MakeShell) -> Shell:
    """A shell with a library of colours of its own."""
    return shell_for(colours.copy_to(tmp_path))


def flip_a_bit(shell: Shell, name: str) -> None:
    """Flip one bit in the stored embedding of the photo of that name."""
    with sqlite3.connect(shell.library / "catalogue.sqlite") as db:
        query = (
            "SELECT e.content_id, e.vector FROM embeddings e JOIN photos p ON p.content_id = e.content_id"
            " WHERE CAST(p.path AS TEXT) LIKE ?"
        )
        content_id, vector = db.execute(query, (f"%/{name}",)).fetchone()
        damaged = bytearray(vector)
        damaged[9] ^= 4
        db.execute("UPDATE embeddings SET vector = ? WHERE content_id = ?", (bytes(damaged), content_id))
    db.close()


def test_a_whole_library_is_said_to_be_whole_and_stays_as_it_is(checked: Shell) -> None:
    before = {path: proof[0] for path, proof in evidence(checked.library).items()}
    answer = checked("check").fine()
    assert "whole" in answer.err
    assert {path: proof[0] for path, proof in evidence(checked.library).items()} == before
    assert checked("check", "--repair").code == 0


def test_a_flipped_bit_in_an_embedding_is_named_and_mended_by_the_next_index(
    checked: Shell, colours: Made
) -> None:
    right = checked("search", "blue", "-f", "jsonl").out
    flip_a_bit(checked, "blue-4.png")
    answer = checked("check")
    assert answer.code == 10
    assert "blue-4.png" in answer.err
    assert "red-" not in answer.err
    assert "--repair" in answer.err
    mended = checked("check", "--repair").fine()
    assert "blue-4.png" in mended.err
    checked("check").fine()
    assert "blue-4.png" not in checked("search", "blue").names
    counts = checked.index(colours.photos)
    assert (counts["embedded"], counts["unchanged"]) == (1, 7)
    checked("check").fine()
    assert checked("search", "blue", "-f", "jsonl").out == right


def test_without_repair_nothing_is_mended(checked: Shell) -> None:
    flip_a_bit(checked, "blue-4.png")
    assert checked("check").code == 10
    assert checked("check").code == 10


def corrupt_body(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 0x10
    path.write_bytes(content)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def fill_with_noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * (len(path.read_bytes()) // 256 + 1))


@pytest.mark.parametrize("harm", [corrupt_body, cut_off, fill_with_noise])
def test_a_damaged_cache_is_noticed_and_mended(checked: Shell, harm: Callable[[Path], None]) -> None:
    right = checked("search", "red", "-f", "jsonl").out
    (matrix,) = (checked.library / "vectors").glob("*.matrix")
    harm(matrix)
    answer = checked("check")
    assert answer.code == 10
    assert matrix.name in answer.err
    checked("check", "--repair").fine()
    checked("check").fine()
    assert checked("search", "red", "-f", "jsonl").fine().out == right


def test_missing_caches_are_no_damage(checked: Shell) -> None:
    shutil.rmtree(checked.library / "vectors")
    checked("check").fine()


def test_a_photo_that_its_drive_changed_is_found_by_a_deep_check_alone(shell: Shell, photos: Path) -> None:
    paths = paint_many(photos, 4)
    shell.index(photos)
    status = os.stat(paths[1])
    rotten = bytearray(paths[1].read_bytes())
    rotten[40] ^= 1
    paths[1].write_bytes(rotten)
    os.utime(paths[1], ns=(status.st_atime_ns, status.st_mtime_ns))
    paint(paths[2], "white", 9)  # edited: for the next index to see
    paths[3].unlink()
    shell("check").fine()
    answer = shell("check", "--deep")
    assert answer.code == 10
    assert "001.png does not hold what was indexed" in answer.err
    assert answer.err.count("damaged: ") == 1
    assert "backup" in answer.err


def test_a_photo_that_cannot_be_read_is_not_said_to_have_changed(shell: Shell, photos: Path) -> None:
    paths = paint_many(photos, 2)
    shell.index(photos)
    paths[1].chmod(0)
    done = without_privileges("--library", shell.library, "check", "--deep")
    assert done.returncode == 10
    assert b"001.png cannot be read: permission denied" in done.stderr
    assert b"does not hold" not in done.stderr


def test_repairing_a_library_that_somebody_writes_to_ends_with_8(checked: Shell) -> None:
    import fcntl

    with open(checked.library / "lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert checked("check", "--repair").code == 8
        assert checked("check").code == 0


# -- catalogues that are none ---------------------------------------------------------------------


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all " * 5000)


def another_database(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE notes (text)")
    db.close()


def garbage_header(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[:100] = b"\xa5" * 100
    path.write_bytes(content)


COMMANDS = (
    ("search", "red"), ("list",), ("tag", "--labels", "-"), ("tags",), ("dupes",), ("status",), ("check",),
    ("check", "--repair"), ("problems",), ("forget", "/x"), ("index", "/nowhere"),
)  # fmt: skip


@pytest.mark.parametrize("harm", [empty, garbage, another_database, garbage_header])
def test_a_damaged_catalogue_ends_every_command_with_10_and_is_never_replaced(
    checked: Shell, harm: Callable[[Path], None]
) -> None:
    catalogue = checked.library / "catalogue.sqlite"
    harm(catalogue)
    before = catalogue.read_bytes()
    for line in COMMANDS:
        answer = checked(*line, stdin=b"red\n")
        assert answer.code == 10, (line, answer)
        assert answer.out == b""
        assert "hint: " in answer.err
        assert "Traceback" not in answer.err
    assert catalogue.read_bytes() == before


def test_damage_in_the_middle_of_the_catalogue_is_found_without_a_traceback(checked: Shell) -> None:
    catalogue = checked.library / "catalogue.sqlite"
    whole = catalogue.read_bytes()
    found = 0
    for page in range(1, len(whole) // 8192):
        catalogue.write_bytes(whole[: page * 8192] + b"\xa5" * 8192 + whole[(page + 1) * 8192 :])
        answer = checked("check")
        found += answer.code == 10
        assert answer.code in (0, 10), (page, answer)
        assert "Traceback" not in answer.err
        assert checked("search", "red").code in (0, 1, 10), page
    assert found >= (len(whole) // 8192 - 1) * 0.9


def test_a_catalogue_cut_short_is_found(checked: Shell) -> None:
    catalogue = checked.library / "catalogue.sqlite"
    catalogue.write_bytes(catalogue.read_bytes()[: 8192 * 5 + 100])
    assert checked("check").code == 10


def test_a_library_of_a_newer_version_ends_every_command_with_4_and_stays_as_it_is(checked: Shell) -> None:
    with sqlite3.connect(checked.library / "catalogue.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = (checked.library / "catalogue.sqlite").read_bytes()
    for line in COMMANDS:
        answer = checked(*line, stdin=b"red\n")
        assert answer.code == 4, (line, answer)
        assert "upgrade photoclip" in answer.err
    assert (checked.library / "catalogue.sqlite").read_bytes() == before


def test_a_damaged_text_tower_is_found(demo: Made, tmp_path: Path, shell_for: MakeShell) -> None:
    shell = shell_for(demo.copy_to(tmp_path))
    right = shell("search", "a cat", "-n", "3").fine().out
    (tower,) = (shell.library / "towers").iterdir()
    tower.write_bytes(tower.read_bytes()[:1000])
    answer = shell("check")
    assert answer.code == 10
    assert tower.name in answer.err
    shell("check", "--repair").fine()
    shell("check").fine()
    assert shell("search", "a cat", "-n", "3").fine().out == right


# -- forget and status ----------------------------------------------------------------------------


def test_forgotten_photos_are_gone_from_the_library_and_not_from_the_disk(
    checked: Shell, colours: Made
) -> None:
    answer = checked("forget", colours.photos / "sub", colours.photos / "blue-4.png").fine()
    assert "2 photos forgotten" in answer.err
    assert len(checked("list").paths) == 5
    assert "blue-4.png" not in checked("search", "blue").names
    assert (colours.photos / "blue-4.png").exists()
    checked("check").fine()


def test_forgetting_one_of_two_copies_keeps_the_other(checked: Shell, colours: Made) -> None:
    checked("forget", colours.photos / "red-0.png").fine()
    assert "red-0-copy.png" in checked("search", "red", "-n", "3").names


def test_forgetting_a_folder_spares_folders_whose_name_only_begins_alike(shell: Shell, photos: Path) -> None:
    for number, folder in enumerate(("a", "a-b", "a b", "ab")):
        paint(photos / folder / "x.png", "red", number)
    shell.index(photos)
    shell("forget", photos / "a").fine()
    assert [os.path.basename(os.path.dirname(path)) for path in shell("list").paths] == [
        b"a b",
        b"a-b",
        b"ab",
    ]


def test_status_says_what_the_library_holds(checked: Shell, colours: Made) -> None:
    facts = checked.counts()
    assert (facts["photos"], facts["contents"], facts["embedded"], facts["missing"]) == (7, 6, 6, 0)
    assert facts["model"] == "fake"
    assert facts["roots"] == [{"path": str(colours.photos)}]
    assert facts["bytes"] > 10_000
    assert b"fake" in checked("status").fine().out
