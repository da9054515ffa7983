"""What the global options say, and what commands read besides their options."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from photoclip.cli.talk import say
from photoclip.errors import BadUsage

if TYPE_CHECKING:
    from photoclip.api import Library

_SOME = 5


class Session(NamedTuple):
    """What the global options say."""

    directory: str | None
    quiet: bool
    verbose: bool
    debug: bool

    def library(self) -> Library:
        """Open the library; raises NoLibrary when there is none."""
        from photoclip.api import Library

        return Library.open(self.directory)

    def note(self, text: str) -> None:
        """Say something to the user, unless --quiet."""
        if not self.quiet:
            say(text)

    def note_some(self, texts: Sequence[str]) -> None:
        """Say the first few of many things, and how many there are besides."""
        for text in texts[:_SOME]:
            self.note(text)
        if len(texts) > _SOME:
            self.note(f"… and {len(texts) - _SOME} more")

    def note_cut_off(self, library: Library) -> None:
        """Say so if photos wait under hidden names for ``undo``."""
        if library.was_cut_off():
            self.note("a run of dupes apply was cut off; photoclip undo puts its photos back")

    def detail(self, text: str) -> None:
        """Say something only with --verbose."""
        if self.verbose:
            say(text)

    def shows_progress(self) -> bool:
        """Return whether somebody is there to watch a progress bar."""
        return not self.quiet and sys.stderr is not None and sys.stderr.isatty()


def read_paths(source: str) -> list[bytes]:
    """Read paths from the file ``source`` (``-``: stdin), NUL-separated if it holds a NUL, else by line."""
    try:
        if source == "-":
            data = sys.stdin.buffer.read()
        else:
            with open(source, "rb") as file:
                data = file.read()
    except OSError as error:
        raise BadUsage(f"the list of paths cannot be read: {source}: {error.strerror}") from error
    separator = b"\0" if b"\0" in data else b"\n"
    return [os.path.abspath(path) for path in data.split(separator) if path]
