"""Queries one after the other: from a person at a prompt, or a line each from another program."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from photoclip.cli.render import Format, Row, put, to_json
from photoclip.cli.talk import say_error
from photoclip.errors import BadUsage, UnreadableQuery

if TYPE_CHECKING:
    from photoclip.cli.hits import Search

PROMPT = "photoclip> "
_LINE = 65_536
"""Bytes of a query at most: a program that sends no newline must not fill the memory."""

Find = Callable[[str], list[Row]]
Draw = Callable[[list[Row]], None]


def check(search: Search) -> None:
    """Raise BadUsage for options that make no sense when the queries are still to come."""
    if search.text:
        raise BadUsage("--interactive asks for descriptions itself", "leave TEXT away")
    if search.among == "-":
        raise BadUsage("--interactive and --among - both read stdin", "name a file: --among FILE")
    if (
        search.print0
        or search.template is not None
        or search.format not in (None, Format.table, Format.jsonl)
    ):
        raise BadUsage("--interactive answers with --format table or --format jsonl")


def converse(format: Format | None, find: Find, draw: Draw) -> int:
    """Answer queries until they end, and return how many photos were found in all.

    People get a table. A program gets one line of JSON for each line it sent, as soon as it is known:
    ``{"query": …, "hits": […]}``, or ``{"query": …, "error": …}`` for one that cannot be asked.
    """
    person = sys.stdin.isatty()
    style = format or (Format.table if person and sys.stdout.isatty() else Format.jsonl)
    count = 0
    for line in _typed() if person else _piped():
        text = line.decode("utf-8", "surrogateescape").strip()
        if style is Format.jsonl:
            count += _answer(line, text, find)
        elif text:
            count += _show(text, find, draw)
        sys.stdout.flush()
    return count


def _answer(line: bytes, text: str, find: Find) -> int:
    try:
        rows = find(text)
        put(to_json({"query": line.strip(), "hits": rows}) + b"\n")
        return len(rows)
    except (BadUsage, UnreadableQuery) as error:
        put(to_json({"query": line.strip(), "error": str(error), "hint": error.hint}) + b"\n")
        return 0


def _show(text: str, find: Find, draw: Draw) -> int:
    try:
        rows = find(text)
        draw(rows)
        return len(rows)
    except (BadUsage, UnreadableQuery) as error:
        say_error(str(error), error.hint)
        return 0


def _piped() -> Iterator[bytes]:
    stdin = sys.stdin.buffer
    while line := stdin.readline(_LINE):
        rest = line
        while len(rest) == _LINE and not rest.endswith(b"\n"):  # what is too long loses its tail
            rest = stdin.readline(_LINE)
        yield line


def _typed() -> Iterator[bytes]:
    """Yield the lines a person types, who may edit them and look back at earlier ones."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  input() uses it once it is there
    while True:
        try:
            if sys.stdout.isatty():
                line = input(PROMPT)
            else:
                sys.stderr.write(PROMPT)
                sys.stderr.flush()
                line = sys.stdin.readline()
                if not line:
                    raise EOFError
        except EOFError:
            sys.stderr.write("\n")
            return
        except KeyboardInterrupt:
            sys.stderr.write("\n")
            raise
        yield line.encode("utf-8", "surrogateescape")
