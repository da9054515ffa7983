"""Options that several commands share, and the session that the global ones make."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from photoclip.cli.talk import say
from photoclip.errors import BadUsage

if TYPE_CHECKING:
    from photoclip.api import Library


@dataclass(frozen=True, slots=True)
class Session:
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

    def detail(self, text: str) -> None:
        """Say something only with --verbose."""
        if self.verbose:
            say(text)

    def shows_progress(self) -> bool:
        """Return whether somebody is there to watch a progress bar."""
        return not self.quiet and sys.stderr is not None and sys.stderr.isatty()


class Format(str, Enum):
    """How a list of photos is written."""

    table = "table"
    paths = "paths"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"
    tsv = "tsv"


FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format", "-f", help="How to write the list. Default: a table on a terminal, paths in a pipe."
    ),
]
Print0Option = Annotated[
    bool, typer.Option("--print0", "-0", help="End each path with NUL instead of newline, for xargs -0.")
]
TemplateOption = Annotated[
    str | None,
    typer.Option(
        "--template", help="Write each photo so, for example '{path} {width}x{height}'.", metavar="TEXT"
    ),
]
AmongOption = Annotated[
    str | None,
    typer.Option(
        "--among",
        help="Only the photos listed in FILE (- is stdin), one path a line or NUL-separated.",
        metavar="FILE",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option("--device", help="Where the model runs: auto, cpu, cuda, cuda:N or mps.", metavar="DEVICE"),
]
FailEmptyOption = Annotated[
    bool, typer.Option("--fail-empty", help="End with exit code 9 when nothing matched.")
]


def show_help_alone(context: typer.Context) -> None:
    """Show the help of a group of commands when none of them was named."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


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
