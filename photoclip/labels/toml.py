"""A text of TOML: what it says, which is tomllib's work, and where it says it, which tomllib keeps back."""

from __future__ import annotations

import re
import sys
from typing import Any, NamedTuple

from photoclip.labels.words import Fault

Path = tuple[str | int, ...]
"""The keys that lead to a value, and the numbers of elements of arrays."""

_TOKEN = re.compile(
    r'\#[^\n]* | """ (?:\\.|[^\\])*? """ (?!") | \'{3} .*? \'{3} (?!\') | "(?:\\.|[^"\\\n])*" | \'[^\'\n]*\''
    r'| \n | [][{}=,.] | [^][{}=,.\s\#"\'\ufeff]+',  # a byte order mark is no token
    re.VERBOSE | re.DOTALL,
)


def parse(text: str) -> dict[str, Any]:
    """Return what ``text`` says. Raises Fault, placed by its line, if it is no TOML."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        raise Fault("this is too deeply nested", place=1) from None
    except ValueError as error:  # tomllib's own, and some that it lets through
        reason = str(error).partition(" (at ")[0]
        found = re.search(r"\(at line (\d+)", str(error))
        at_end = "end of document" in str(error)
        line = int(found[1]) if found else text.rstrip().count("\n") + 1 if at_end else 1
        more = ", and the text ends here" if at_end else ""
        raise Fault(f"this is no TOML: {reason}{more}", place=line) from error


class Place(NamedTuple):
    """Where a key stands, and where the value is.

    ``form``: ``header`` (``[key]``: the table follows), ``value`` (``key = value``, the value from ``begin``
    to ``end``) or ``dotted`` (``key.… = value``: a part of the table; the first ``outer`` keys of the path
    stand further up). ``inline``: inside the braces of an inline table.
    """

    start: int
    begin: int
    end: int
    form: str
    outer: int
    inline: bool


def places(text: str) -> dict[Path, Place]:
    """Return where each key and each element of ``text``, which must be TOML, stands first."""
    return _Walk(text).found


def line_of(text: str, path: Path) -> int:
    """Return the line of the key or element at ``path``; where it has none of its own, of what it is in."""
    found = places(text)
    while path and path not in found:
        path = path[:-1]
    return text.count("\n", 0, found[path].start) + 1 if path else 1


class _Walk:
    """One walk over the tokens; TOML that tomllib has read needs no checks."""

    def __init__(self, text: str) -> None:
        self.found: dict[Path, Place] = {}
        self._tokens = [match for match in _TOKEN.finditer(text) if not match[0].startswith("#")]
        self._at = 0
        context: Path = ()
        while self._at < len(self._tokens):
            if self._is("\n"):
                self._at += 1
            elif self._is("["):
                context = self._header()
            else:
                self._pair(context)

    def _is(self, *tokens: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at][0] in tokens

    def _header(self) -> Path:
        start = self._tokens[self._at].start()
        while self._is("["):
            self._at += 1
        path = self._key()
        while self._is("]"):
            self._at += 1
        end = self._tokens[self._at - 1].end()
        self._note(path, Place(start, start, end, "header", 0, inline=False))
        return path

    def _key(self) -> Path:
        parts = [_unquoted(self._tokens[self._at][0])]
        self._at += 1
        while self._is("."):
            parts.append(_unquoted(self._tokens[self._at + 1][0]))
            self._at += 2
        return tuple(parts)

    def _pair(self, context: Path, inline: bool = False) -> None:
        start = self._tokens[self._at].start()
        path = context + self._key()
        self._at += 1
        self._value(path, start, len(context), inline)

    def _value(self, path: Path, start: int, outer: int, inline: bool) -> None:
        begin = self._tokens[self._at].start()
        if self._is("[", "{"):
            self._inside(path)
        else:
            while self._at < len(self._tokens) and not self._is(",", "]", "}", "\n"):
                self._at += 1
        end = self._tokens[self._at - 1].end()
        self._note(path, Place(start, begin, end, "value", outer, inline))

    def _inside(self, path: Path) -> None:
        """Walk over an array or an inline table."""
        array, number = self._is("["), 0
        self._at += 1
        while not self._is("]", "}"):
            if self._is("\n", ","):
                number += self._is(",")
                self._at += 1
            elif array:
                start = self._tokens[self._at].start()
                self._value((*path, number), start, len(path), inline=True)
            else:
                self._pair(path, inline=True)
        self._at += 1

    def _note(self, path: Path, place: Place) -> None:
        for length in range(place.outer + 1, len(path)):
            self.found.setdefault(path[:length], place._replace(form="dotted"))
        self.found.setdefault(path, place)


def _unquoted(token: str) -> str:
    if token[0] == '"' and "\\" in token:
        return str(parse(f"key = {token}")["key"])
    return token[1:-1] if token[0] in "\"'" else token
