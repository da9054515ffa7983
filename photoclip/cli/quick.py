"""Plain lines of ``search`` and ``index``, read without Typer, which takes longer to load than a search, or a
walk over folders in which nothing changed, takes.

What is not plain (another command, a mistake, a call for help, options in a form people seldom write) is
left to Typer. Whatever is read here means the same to Typer: a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from photoclip.cli.render import Format
from photoclip.cli.session import Session


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return what reads a number in a range; it raises ValueError for others."""

    def read(text: str) -> int:
        number = int(text)
        if number < least or (most is not None and number > most):
            raise ValueError(text)
        return number

    return read


class Command(NamedTuple):
    """A command as Typer knows it: the class that holds its parameters, what it does with them, the parameter
    that takes the words, its options, with the parameter of each, and which may be given more than once."""

    parameters: Callable[..., Any]
    show: Callable[[Session, Any], None]
    words: str
    flags: Mapping[str, str]
    values: Mapping[str, tuple[str, Callable[[str], Any]]]
    repeated: tuple[str, ...]
    needs_words: bool = False


def _search() -> Command:
    from photoclip.cli import hits

    return Command(
        hits.Search,
        hits.show,
        words="text",
        flags={
            "-0": "print0",
            "--print0": "print0",
            "--fail-empty": "fail_empty",
            "-i": "interactive",
            "--interactive": "interactive",
            "--relevant": "relevant",
            "--explain": "explain",
            "--no-date": "no_date",
            "--reverse": "reverse",
            "--preview": "preview",
            "--open": "open_sheet",
            "--dry-run": "dry_run",
        },
        values={
            "-n": ("limit", _whole(1)),
            "--limit": ("limit", _whole(1)),
            "--plus": ("plus", str),
            "--minus": ("minus", str),
            "--like": ("like", str),
            "--min": ("minimum", float),
            "--taken": ("taken", str),
            "--camera": ("camera", str),
            "--lens": ("lens", str),
            "--in": ("folders", str),
            "--near": ("near", str),
            "--tag": ("tags", str),
            "--min-side": ("min_side", _whole(0)),
            "--orientation": ("orientation", str),
            "--sort": ("sort", hits.Sort),
            "--preview-as": ("preview_as", str),
            "--html": ("html", str),
            "--copy-to": ("copy_to", str),
            "--link-to": ("link_to", str),
            "--link-as": ("link_as", hits.Link),
            "--among": ("among", str),
            "-f": ("format", Format),
            "--format": ("format", Format),
            "--template": ("template", str),
            "--device": ("device", str),
        },
        repeated=hits.MANY,
    )


def _similar() -> Command:
    """Return ``search`` with pictures for words."""
    search = _search()
    flags = {flag: name for flag, name in search.flags.items() if name != "interactive"}
    values = {option: value for option, value in search.values.items() if option != "--like"}
    return search._replace(words="like", flags=flags, values=values, needs_words=True)


def _index() -> Command:
    from photoclip.cli import updates

    return Command(
        updates.Update,
        updates.show,
        words="paths",
        flags={
            "--follow-links": "follow_links",
            "--deep": "deep",
            "--prune": "prune",
            "--strict": "strict",
            "--json": "as_json",
        },
        values={
            "--model": ("model", str),
            "--device": ("device", str),
            "-j": ("jobs", _whole(0)),
            "--jobs": ("jobs", _whole(0)),
            "--batch-size": ("batch_size", _whole(0, 4096)),
            "--exclude": ("exclude", str),
            "--from": ("from_file", str),
        },
        repeated=("exclude",),
    )


COMMANDS: Mapping[str, Callable[[], Command]] = {
    "search": _search,
    "similar": _similar,
    "index": _index,
}
"""The commands that are read here; each loads what it needs when it is called for."""
OF_SESSION = {
    "-q": "quiet",
    "--quiet": "quiet",
    "-v": "verbose",
    "--verbose": "verbose",
    "--debug": "debug",
}
_LIBRARY = "--library"


class _NotPlain(Exception):
    """The line is one for Typer."""


def read(arguments: Sequence[str]) -> tuple[Command, Session, Any] | None:
    """Return what a plain line says: the command, what holds for every command, and its parameters.

    None for every other line.
    """
    try:
        return _Line(arguments).meaning()
    except (_NotPlain, ValueError):  # ValueError: a value that is none of its kind
        return None


class _Line:
    """The words of a line, sorted. It may raise _NotPlain or ValueError."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._waiting = list(reversed(arguments))
        self._command: Command | None = None
        self._words: list[str] = []
        self._of_session: dict[str, Any] = {"library": None, "quiet": False, "verbose": False, "debug": False}
        self._options: dict[str, Any] = {}
        while self._waiting:
            self._sort(self._waiting.pop())

    def meaning(self) -> tuple[Command, Session, Any]:
        """Return what the line says."""
        library, *flags = self._of_session.values()
        if self._command is None or library == "" or (self._command.needs_words and not self._words):
            raise _NotPlain
        words = {self._command.words: tuple(self._words)}
        return self._command, Session(library, *flags), self._command.parameters(**words, **self._options)

    def _sort(self, word: str) -> None:
        option, equals, attached = word.partition("=")
        if word in OF_SESSION:
            self._of_session[OF_SESSION[word]] = True
        elif option == _LIBRARY:
            self._of_session["library"] = attached if equals else self._value()
        elif self._command is None:
            if word not in COMMANDS:
                raise _NotPlain
            self._command = COMMANDS[word]()
        elif word == "--":
            self._words += reversed(self._waiting)
            self._waiting.clear()
        elif not word.startswith("-") or word == "-":
            self._words.append(word)
        else:
            self._set_option(self._command, word)

    def _set_option(self, command: Command, word: str) -> None:
        option, equals, attached = word.partition("=")
        if word in command.flags:
            self._options[command.flags[word]] = True
        elif word in command.values:
            self._set(command, word, self._value())
        elif equals and option.startswith("--") and option in command.values:
            self._set(command, option, attached)
        elif word[:2] in command.values:
            self._set(command, word[:2], word[2:])
        else:
            raise _NotPlain

    def _value(self) -> str:
        """Return the next word, the value of an option."""
        if not self._waiting or (self._waiting[-1].startswith("-") and self._waiting[-1] != "-"):
            raise _NotPlain
        return self._waiting.pop()

    def _set(self, command: Command, option: str, text: str) -> None:
        name, kind = command.values[option]
        value = kind(text)
        self._options[name] = (*self._options.get(name, ()), value) if name in command.repeated else value
