"""``search --interactive``: a person at a prompt, and a program that writes a line and reads a line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from photoclip import Library
from photoclip.encoders import text
from tests.conftest import Made, Shell, command, environment
from tests.pictures import paint
from tests.terminal import acting, on_terminal, plain


def talk(process: subprocess.Popen[bytes], query: bytes) -> dict[str, Any]:
    """Send one line, and wait for its answer with the pipe still open."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(query + b"\n")
    process.stdin.flush()
    answer: dict[str, Any] = json.loads(process.stdout.readline())
    return answer


def test_a_program_gets_a_line_for_each_line_at_once(shell: Shell, photos: Path) -> None:
    paint(photos / "red.png", "red")
    shell.index(photos)
    with subprocess.Popen(
        command("--library", shell.library, "search", "--interactive", "-n", "1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert [hit["path"] for hit in talk(process, b"green")["hits"]] == [str(photos / "red.png")]
        paint(photos / "green.png", "green")
        shell.index(photos)  # who asks sees what was indexed meanwhile
        assert [hit["path"] for hit in talk(process, b"green")["hits"]] == [str(photos / "green.png")]
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0


def test_the_hits_are_those_of_a_search(colourful: Shell) -> None:
    answers = (
        colourful("search", "-i", "-n", "2", "--min", "0.1", stdin=b"red\n  a green one  \n").fine().rows
    )
    assert [answer["query"] for answer in answers] == ["red", "a green one"]
    for answer in answers:
        alone = colourful("search", answer["query"], "-n", "2", "--min", "0.1", "-f", "jsonl").rows
        assert answer["hits"] == alone


def test_a_query_that_cannot_be_asked_has_an_answer_too(colourful: Shell) -> None:
    answer = colourful("search", "-i", "-n", "1", stdin=b"\n\xff\nred\n").fine()
    nothing, no_text, red = answer.rows
    assert (nothing["query"], nothing["error"]) == ("", "there is nothing to search for")
    assert (no_text["query_b64"], no_text["error"]) == ("/w==", "the description is not UTF-8 text")
    assert len(red["hits"]) == 1
    assert answer.err == ""


def test_the_last_line_needs_no_newline_and_no_lines_are_no_queries(colourful: Shell) -> None:
    assert [row["query"] for row in colourful("search", "-i", stdin=b"red").fine().rows] == ["red"]
    assert colourful("search", "-i").fine().out == b""
    assert colourful("search", "-i", "--fail-empty", "--min", "1", stdin=b"red\n").code == 9


@pytest.mark.parametrize("length", [65_535, 65_536, 65_537, 200_000])
def test_a_line_of_any_length_has_one_answer(colourful: Shell, length: int) -> None:
    answers = colourful("search", "-i", "-n", "1", stdin=b"red " * (length // 4) + b"\ngreen\n").fine().rows
    assert [answer["query"][:5] for answer in answers] == ["red r", "green"]


def test_tables_can_be_had_through_a_pipe(colourful: Shell) -> None:
    answer = colourful("search", "-i", "-n", "1", "-f", "table", stdin=b"green\n\nred\n").fine()
    assert [line.split()[0] for line in answer.out.splitlines()] == [b"rank", b"1", b"rank", b"1"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["red"],
        ["--preview"],
        ["--copy-to", "x"],
        ["--html", "x"],
        ["--among", "-"],
        ["-0"],
        ["-f", "csv"],
        ["--template", "x"],
    ],
)
def test_what_makes_no_sense_with_it_is_refused(colourful: Shell, arguments: list[str]) -> None:
    answer = colourful("search", "--interactive", *arguments)
    assert (answer.code, answer.out) == (2, b"")
    assert answer.err.startswith("error: --interactive ")


def test_a_person_has_a_prompt_tables_and_the_line_before(colours: Made) -> None:
    line = command("--library", colours.library, "search", "-i", "-n", "1")
    screen, code = on_terminal(line, keys=[b"green\r", b"\x1b[A\r", b"\r", b"\x04"])
    assert code == 0
    shown = plain(screen).decode()
    assert shown.count("green-3.png") == 2, shown  # once more with the arrow key
    assert "Traceback" not in shown


def test_a_hostile_name_does_not_act_at_the_prompt(hostile: Made) -> None:
    line = command("--library", hostile.library, "search", "-i", "-n", "30")
    screen, _ = on_terminal(line, keys=[b"red\r", b"\x04"], TERM="dumb")
    assert b"owned" in screen
    assert acting(screen) == []


def test_the_text_tower_is_opened_once(colours: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    original = text.open_text_encoder

    def counted(spec: str, *where: str) -> Any:
        opened.append(spec)
        return original(spec, *where)

    monkeypatch.setattr(text, "open_text_encoder", counted)
    with Library.open(colours.library) as library:
        for word in ("one", "two", "three"):
            library.search(word)
    assert opened == ["fake"]
