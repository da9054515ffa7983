"""Plain searches are read without Typer, and mean what they mean to Typer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from photoclip.cli import app, hits, quick, updates
from photoclip.cli.hits import Search
from photoclip.cli.render import Format
from photoclip.cli.session import Session
from photoclip.cli.updates import Update
from photoclip.errors import PhotoclipError

Line = tuple[Session, Any]


def without_typer(line: Sequence[str]) -> Line | None:
    """Return what is read without Typer."""
    read = quick.read(line)
    return read and read[1:]


def by_typer(line: Sequence[str]) -> Line | None:
    """Return what Typer hands to the command; None when it refuses the line, or does something else."""
    seen: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        for room in (hits, updates):
            patch.setattr(room, "show", lambda *line: seen.append(line))
        patch.delenv("PHOTOCLIP_LIBRARY", raising=False)
        try:
            app.call(line)
        except (PhotoclipError, SystemExit):
            return None
    return seen[0] if seen else None


OPTIONS = sorted({option for read in quick.COMMANDS.values() for option in (*read().flags, *read().values)})
values = st.sampled_from(["5", "0", "-1", "0.2", "nan", "x", "", "-", "--", "jsonl", "paths", "a=b", "-n"])
options = st.sampled_from([*OPTIONS, *quick.OF_SESSION, "--library", "--lim", "-x"])
words = st.one_of(
    st.sampled_from(["search", "index", "list", "red", "dogs", "-h", "--version", "-0n5", "-n5", "-fcsv"]),
    values,
    options,
    st.builds("{}={}".format, options, values),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
)
lines = st.lists(words, max_size=4).flatmap(
    lambda after: st.tuples(st.lists(options, max_size=1), st.sampled_from(sorted(quick.COMMANDS))).map(
        lambda before: [*before[0], before[1], *after]
    )
)


@settings(max_examples=400)
@given(lines | st.lists(words, max_size=5))
@example(["search", "red", "-n5", "--like", "a.jpg", "--like", "b.jpg", "-f", "csv", "--min=0.2"])
@example(["--library", "x", "-q", "search", "--", "-n", "5"])
@example(["index", "a", "--exclude", "b", "--exclude=c", "-j2", "--json", "--batch-size", "4096"])
@example(["similar", "a.jpg", "b.jpg", "--plus", "1:x", "--in", "c", "--in=d", "--sort", "date"])
@example(["similar"])
@example(["search", "a", "--tag", "!b", "--html", "x", "--link-as", "hard", "--min-side", "-1"])
@example(["search", "--among", "-", "red", "--library=y", "--debug"])
def test_typer_reads_the_same_in_whatever_is_read_without_it(line: list[str]) -> None:
    read = without_typer(line)
    if read is not None:
        assert repr(read) == repr(by_typer(line))  # as text: no nan equals another


@pytest.mark.parametrize(
    ("line", "parameters"),
    [
        (["search", "red"], Search(("red",))),
        (["search", "two", "dogs", "-n", "5"], Search(("two", "dogs"), limit=5)),
        (["search", "a", "-0"], Search(("a",), print0=True)),
        (["search", "a", "--format=jsonl"], Search(("a",), format=Format.jsonl)),
        (["search", "--like", "a.jpg", "--fail-empty"], Search(like=("a.jpg",), fail_empty=True)),
        (["search", "a", "--template", "{path}"], Search(("a",), template="{path}")),
        (["search", "a", "--device", "cpu", "--min", "0.2"], Search(("a",), minimum=0.2, device="cpu")),
        (["index", "a", "b"], Update(("a", "b"))),
        (["index", "a", "--model=fake", "-j", "2", "--deep"], Update(("a",), "fake", jobs=2, deep=True)),
        (["index", "--from", "-", "--strict", "--json"], Update(from_file="-", strict=True, as_json=True)),
    ],
)
def test_what_people_write_is_read_without_typer(line: list[str], parameters: Any) -> None:
    assert without_typer(line) == (Session(None, False, False, False), parameters) == by_typer(line)


@pytest.mark.parametrize(
    "line",
    [
        *([], ["list"], ["search", "-h"], ["search", "-n", "0"], ["search", "-n", "x"], ["search", "-n"]),
        *(["--version"], ["search", "--no"], ["--library", "", "search", "a"], ["-n", "1", "search", "a"]),
        *(["index", "-j", "-1"], ["index", "--batch-size", "4097"], ["index", "--limit", "1"]),
    ],
)
def test_what_is_not_plain_is_left_to_typer(line: list[str]) -> None:
    assert quick.read(line) is None


@pytest.mark.parametrize("name", quick.COMMANDS)
def test_every_option_of_the_command_is_known_here(name: str) -> None:
    import typer.main

    group: Any = typer.main.get_command(app.app)
    ours = {*quick.COMMANDS[name]().flags, *quick.COMMANDS[name]().values}
    for parameter in group.commands[name].params:
        if parameter.param_type_name == "option":
            assert {*parameter.opts} - {"--help", "-h"} <= ours
            ours -= {*parameter.opts}
    assert not ours
