"""In a shell: real processes, real pipes, real terminals."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import HOSTILE_NAMES, Made, MakeShell, Shell, command
from tests.pictures import paint
from tests.terminal import acting, on_terminal

RED_FIRST = {"red-0-copy.png", "red-0.png", "red-1.png", "red-2.png"}


@pytest.fixture
def hostile_shell(hostile: Made, shell_for: MakeShell) -> Shell:
    return shell_for(hostile.library)


def quiet(answer: bytes | str) -> None:
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    assert "Traceback" not in text, text
    assert "Exception ignored" not in text, text


# -- pipes ----------------------------------------------------------------------------------------


def test_head_takes_one_line_and_nobody_complains(colourful: Shell) -> None:
    for line in (
        "search red",
        "search red -f jsonl",
        "list -f csv",
        "search red -0",
        "search red --template '{path}'",
    ):
        answer = colourful.bash(f"photoclip {line} | head -c 1 | wc -c; echo ${{PIPESTATUS[0]}}")
        assert answer.out.split() == [b"1", b"0"], line
        assert answer.err == ""


def test_a_reader_that_is_gone_before_the_first_byte_is_no_error(colourful: Shell) -> None:
    answer = colourful.bash("(sleep 0.1; photoclip search red; echo $? >&2) | true; sleep 1.5")
    assert answer.err == "0\n"


def test_nul_separated_paths_reach_xargs_whole(hostile: Made, hostile_shell: Shell) -> None:
    answer = hostile_shell.bash("photoclip search red -n 1000 -0 | xargs -0 ls -d --").fine()
    for name in HOSTILE_NAMES:
        assert os.path.join(os.fsencode(hostile.photos), name) + b"\n" in answer.out


def test_json_lines_reach_another_program(colourful: Shell) -> None:
    program = 'import sys, json; print(sum("red" in json.loads(line)["path"] for line in sys.stdin))'
    answer = colourful.bash(f"photoclip search red -f jsonl | '{sys.executable}' -c '{program}'")
    assert answer.fine().out == b"4\n"


def test_searches_chain(hostile: Made, hostile_shell: Shell, colourful: Shell) -> None:
    answer = colourful.bash("photoclip search red -n 4 -0 | photoclip search dark --among - -n 3 -0").fine()
    names = {Path(os.fsdecode(path)).name for path in answer.out.split(b"\0")[:-1]}
    assert len(names) == 3
    assert names <= RED_FIRST
    answer = hostile_shell.bash("photoclip search red -n 99 -0 | photoclip list --among - -0").fine()
    assert {os.path.basename(path) for path in answer.out.split(b"\0")[:-1]} == set(HOSTILE_NAMES)


# -- names that break programs, in every format ---------------------------------------------------


def test_every_name_survives_print0(hostile_shell: Shell) -> None:
    for line in (("search", "red", "-n", "99", "-0"), ("list", "-0"), ("list", "-0", "--template", "{path}")):
        out = hostile_shell(*line).fine().out
        assert sorted(os.path.basename(path) for path in out.split(b"\0")[:-1]) == sorted(HOSTILE_NAMES)


def test_every_name_survives_json(hostile_shell: Shell) -> None:
    for rows in (
        hostile_shell("list", "-f", "jsonl").fine().rows,
        hostile_shell("search", "red", "-n", "99", "-f", "json").fine().json,
    ):
        assert sorted(_exact(row) for row in rows) == sorted(HOSTILE_NAMES)
        assert ["path_b64" in row for row in rows].count(True) == 1


def _exact(row: Mapping[str, str]) -> bytes:
    from base64 import b64decode

    path = b64decode(row["path_b64"]) if "path_b64" in row else row["path"].encode()
    return os.path.basename(path)


def test_bare_paths_are_exact_and_a_newline_in_a_name_is_pointed_out(
    hostile: Made, hostile_shell: Shell
) -> None:
    answer = hostile_shell("list").fine()
    for name in HOSTILE_NAMES:
        assert os.path.join(os.fsencode(hostile.photos), name) + b"\n" in answer.out
    assert "-0" in answer.err


def test_every_name_survives_csv_and_tsv(hostile_shell: Shell) -> None:
    import csv
    import io

    text = hostile_shell("list", "-f", "csv").fine().out.decode("utf-8", "surrogateescape")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert sorted(os.path.basename(os.fsencode(row["path"])) for row in rows) == sorted(HOSTILE_NAMES)
    lines = hostile_shell("list", "-f", "tsv").fine().out.split(b"\n")[1:-1]
    cells = [line.split(b"\t")[0] for line in lines]
    unescaped = [
        re.sub(rb"\\([\\tnr])", lambda m: {b"t": b"\t", b"n": b"\n", b"r": b"\r"}.get(m[1], m[1]), c)
        for c in cells
    ]
    assert sorted(os.path.basename(path) for path in unescaped) == sorted(HOSTILE_NAMES)


def test_a_cell_that_a_spreadsheet_would_run_is_text(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Paths are absolute, so that only a label can begin with such a sign.
    paint(tmp_path / "photos" / "a.png", "red")
    shell.index(tmp_path / "photos")
    answer = shell("tag", "--labels", "-", "-f", "csv", "--min", "0", stdin=b"+red\n").fine()
    assert b",'+red" in answer.out


# -- terminals ------------------------------------------------------------------------------------


def assert_harmless(screen: bytes) -> None:
    quiet(screen)
    assert acting(screen) == []


@pytest.mark.parametrize(
    "line",
    [
        ("search", "red", "-n", "99"),
        ("list", "-f", "paths"),
        ("list", "-f", "json"),
        ("list", "-f", "csv"),
        ("list", "-f", "tsv"),
        ("list", "--template", "{path}"),
        ("dupes",),
    ],
    ids=" ".join,
)
def test_names_cannot_act_on_a_terminal(hostile: Made, line: tuple[str, ...]) -> None:
    screen, code = on_terminal(command("--library", hostile.library, *line))
    assert code == 0
    assert_harmless(screen.replace(b"\t", b"") if "tsv" in line else screen)
    if line[0] != "dupes":
        assert b":smile:" in screen
        assert b"[red].png" in screen
    if line[0] == "search":
        assert b"\x1b[31m.png" not in screen
        assert rb"esc\x1b]0;owned\x07\x1b[31m.png" in screen


def test_names_cannot_act_on_a_terminal_while_indexing(tmp_path: Path) -> None:
    for number, name in enumerate(HOSTILE_NAMES[:12]):
        path = os.path.join(os.fsencode(tmp_path), b"photos", name)
        paint(path, "red", number)
        Path(os.fsdecode(path)).write_bytes(b"broken")
    line = command(
        "--library", tmp_path / "library", "index", tmp_path / "photos", "--model", "fake", "-j", "1"
    )
    screen, code = on_terminal(line)
    assert code == 0
    assert_harmless(screen)
    screen, code = on_terminal(command("--library", tmp_path / "library", "problems"))
    assert code == 0
    assert_harmless(screen)
    screen, code = on_terminal(
        command("--library", tmp_path / "library", "search", "--like", os.fsdecode(b"\x1b[31m\xff"))
    )
    assert code == 6 or b"error" in screen
    assert_harmless(screen)


def test_indexing_on_a_terminal_shows_progress_and_the_sum(tmp_path: Path) -> None:
    for number in range(30):
        paint(tmp_path / "photos" / f"{number}.png", "red", number)
    line = command(
        "--library",
        tmp_path / "library",
        "index",
        tmp_path / "photos",
        "--model",
        "fake:slow",
        "-j",
        "1",
        "--batch-size",
        "4",
    )
    screen, code = on_terminal(line)
    assert code == 0
    assert_harmless(screen)
    assert b"photos/s" in screen
    assert b"30 added in" in screen


def test_a_table_on_a_terminal_has_a_rank_a_similarity_and_a_path(colours: Made) -> None:
    screen, code = on_terminal(command("--library", colours.library, "search", "red", "-n", "2"))
    assert code == 0
    plain = re.sub(rb"\x1b\[[0-9;]*m", b"", screen).decode()
    assert re.search(r"1 +0\.\d{3} .*red-\d", plain), plain


# -- broken surroundings --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line", ["search red", "list -f jsonl", "search red -f table", "status", "tags", "dupes -f json"]
)
def test_a_closed_stdout_is_no_traceback(colourful: Shell, line: str) -> None:
    answer = colourful.bash(f"photoclip {line} >&-")
    quiet(answer.err)


def test_a_search_whose_answer_is_lost_does_not_claim_success(colourful: Shell) -> None:
    for line in (
        "search red >&-",
        "search red > /dev/full",
        "list -f jsonl > /dev/full",
        "search red -f table > /dev/full",
        "status > /dev/full",
    ):
        answer = colourful.bash(f"photoclip {line}")
        quiet(answer.err)
        assert answer.code == 1, line
        assert answer.err.startswith("error: "), line


def test_closed_stderr_and_stdin_disturb_nobody(colourful: Shell) -> None:
    assert len(colourful.bash("photoclip search red 2>&- <&-").fine().paths) == 7
    answer = colourful.bash("photoclip search red --among - <&-")
    quiet(answer.err)
    assert answer.out == b""


PLAIN_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    "env", [{"LC_ALL": "C", "LANG": "C"}, PLAIN_C, {"PYTHONIOENCODING": "ascii"}], ids=str
)
def test_a_poor_locale_keeps_names_whole(hostile: Made, hostile_shell: Shell, env: dict[str, str]) -> None:
    exact = hostile_shell.process("list", "-0", env=env).fine()
    assert {os.path.basename(path) for path in exact.out.split(b"\0")[:-1]} == set(HOSTILE_NAMES)
    rows = [
        json.loads(line)
        for line in hostile_shell.process("list", "-f", "jsonl", env=env).fine().out.splitlines()
    ]
    assert sorted(_exact(row) for row in rows) == sorted(HOSTILE_NAMES)
    assert b"-rf.png" in hostile_shell.process("list", "-f", "table", env=env).fine().out


def test_a_folder_that_was_deleted_is_no_hindrance(colourful: Shell, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    answer = colourful.bash(f"cd {tmp_path}/gone && rmdir {tmp_path}/gone && photoclip list -f table").fine()
    assert b"red-0.png" in answer.out


def test_twenty_columns_are_enough_to_see_the_photo(colours: Made, colourful: Shell) -> None:
    screen, code = on_terminal(command("--library", colours.library, "search", "red", "-n", "1"), columns=20)
    assert code == 0
    joined = re.sub(rb"\x1b\[[0-9;]*m|\s", b"", screen)
    assert b".png" in joined, screen.decode()
