"""Plain searches, read without Typer, which takes longer to load than a search takes.

What is not plain (another command, a mistake, a call for help, options in a form people seldom write) is
left to Typer. Whatever is read here means the same to Typer: a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from photoclip.cli.hits import Search
from photoclip.cli.render import Format
from photoclip.cli.session import Session

_COMMAND = "search"
_FLAGS = {
    "-0": "print0",
    "--print0": "print0",
    "--fail-empty": "fail_empty",
    "-i": "interactive",
    "--interactive": "interactive",
}
_VALUES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "-n": ("limit", int),
    "--limit": ("limit", int),
    "--like": ("like", str),
    "--min": ("minimum", float),
    "--among": ("among", str),
    "-f": ("format", Format),
    "--format": ("format", Format),
    "--template": ("template", str),
    "--device": ("device", str),
}
_REPEATED = frozenset(("like",))
_OF_SESSION = {
    "-q": "quiet",
    "--quiet": "quiet",
    "-v": "verbose",
    "--verbose": "verbose",
    "--debug": "debug",
}
_LIBRARY = "--library"


class _NotPlain(Exception):
    """The line is one for Typer."""


def read(arguments: Sequence[str]) -> tuple[Session, Search] | None:
    """Return what a plain search says, and None for every other line."""
    try:
        return _Line(arguments).meaning()
    except (_NotPlain, ValueError):  # ValueError: a value that is none of its kind
        return None


class _Line:
    """The words of a line, sorted. It may raise _NotPlain or ValueError."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._waiting = list(reversed(arguments))
        self._words: list[str] = []
        self._of_session: dict[str, Any] = {"library": None, "quiet": False, "verbose": False, "debug": False}
        self._options: dict[str, Any] = {}
        while self._waiting:
            self._sort(self._waiting.pop())

    def meaning(self) -> tuple[Session, Search]:
        """Return what the line says for every command, and for the search."""
        if self._words[:1] != [_COMMAND] or self._options.get("limit", 1) < 1:
            raise _NotPlain
        library, *flags = self._of_session.values()
        if library == "":
            raise _NotPlain
        return Session(library, *flags), Search(text=tuple(self._words[1:]), **self._options)

    def _sort(self, word: str) -> None:
        option, equals, attached = word.partition("=")
        if word == "--":
            self._words += reversed(self._waiting)
            self._waiting.clear()
        elif not word.startswith("-") or word == "-":
            self._words.append(word)
        elif word in _OF_SESSION:
            self._of_session[_OF_SESSION[word]] = True
        elif option == _LIBRARY:
            self._of_session["library"] = attached if equals else self._value()
        elif not self._words:
            raise _NotPlain  # what else stands before the command is not for search
        elif word in _FLAGS:
            self._options[_FLAGS[word]] = True
        elif word in _VALUES:
            self._set(word, self._value())
        elif equals and option.startswith("--") and option in _VALUES:
            self._set(option, attached)
        elif word[:2] in _VALUES:
            self._set(word[:2], word[2:])
        else:
            raise _NotPlain

    def _value(self) -> str:
        """Return the next word, the value of an option."""
        if not self._waiting or (self._waiting[-1].startswith("-") and self._waiting[-1] != "-"):
            raise _NotPlain
        return self._waiting.pop()

    def _set(self, option: str, value: str) -> None:
        name, kind = _VALUES[option]
        if name in _REPEATED:
            self._options[name] = (*self._options.get(name, ()), kind(value))
        else:
            self._options[name] = kind(value)
