"""The command line as a whole: its table of contents, its global options, and its exit codes."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from photoclip import __version__
from photoclip.cli import (
    backup,
    check,
    demo,
    dupes,
    forget,
    index,
    listing,
    models,
    problems,
    search,
    status,
    tag,
    tags,
)
from photoclip.cli.options import Session, show_help_alone
from photoclip.cli.render import ReaderGone
from photoclip.cli.talk import say_error
from photoclip.errors import INTERRUPTED, BadUsage, PhotoclipError

app = typer.Typer(
    name="photoclip",
    help="Find any photo by describing it, from the terminal.",
    epilog='Begin with: photoclip index ~/Pictures, then: photoclip search "beach at sunset"',
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_GLOBAL_FLAGS = frozenset(("-q", "--quiet", "-v", "--verbose", "--debug"))

for _command, _name in (
    (index.index, "index"),
    (search.search, "search"),
    (listing.list_photos, "list"),
    (tag.tag, "tag"),
    (tags.tags, "tags"),
    (dupes.dupes, "dupes"),
    (problems.problems, "problems"),
    (status.status, "status"),
    (check.check, "check"),
    (backup.backup, "backup"),
    (forget.forget, "forget"),
    (demo.demo, "demo"),
):
    app.command(_name)(_command)
app.add_typer(models.app, name="models")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"photoclip {__version__}")
        raise typer.Exit


@app.callback()
def _globals(
    context: typer.Context,
    library: Annotated[
        str | None,
        typer.Option(help="The library to use.", metavar="DIR", envvar="PHOTOCLIP_LIBRARY", show_envvar=True),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more, such as which model answered.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    del version  # its callback has done all there is to do
    context.obj = Session(library, quiet, verbose, debug)
    if library == "":
        raise BadUsage("--library '' names no folder", "is a variable unset?")
    show_help_alone(context)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; every known error becomes ``error:`` and ``hint:``.

    Of an interrupt nothing is said here: that is for the one who ends the process.
    """
    debug = "--debug" in arguments
    _ready_streams()
    try:
        code = app(_globals_first(arguments), prog_name="photoclip", standalone_mode=False)
        if code == INTERRUPTED:  # Typer catches Ctrl-C itself
            raise KeyboardInterrupt
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return _silently(INTERRUPTED)
    except (BrokenPipeError, ReaderGone, SystemExit):  # the last is how Typer takes a broken pipe
        return _silently(0)
    except PhotoclipError as error:
        if debug:
            raise
        say_error(str(error), error.hint)
        return _silently(error.exit_code)
    except OSError as error:
        if debug:
            raise
        place = os.fsdecode(error.filename) if error.filename else "the output cannot be written"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        say_error(f"{place}: {error.strerror or error}", "free some space, then try again" if full else "")
        return _silently(1)
    except Exception as error:
        # Typer's own usage errors say what is wrong in format_message; all others are ours to mend.
        describe = getattr(error, "format_message", None)
        if debug or describe is None:
            raise
        place = getattr(getattr(error, "ctx", None), "command_path", "photoclip")
        say_error(describe(), f"see: {place} --help")
        return _silently(2)


class _Nowhere(io.RawIOBase):
    """A stream to which nothing can be written; it says so once, and is silent at the very end."""

    _refused = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not self._refused:
            self._refused = True
            raise OSError(errno.EBADF, "there is no standard output")
        return len(data)


def _ready_streams() -> None:
    """Have a stdin and a stdout that can be used, whatever the caller left open and says of its letters."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115  open as long as the process
    if sys.stdout is None:
        # What is written to a stream that was closed is lost, and must not look like success.
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(_Nowhere()), encoding="utf-8")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _globals_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the global options in front, wherever the user wrote them."""
    first: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            return [*first, *rest, argument, *waiting]
        if argument in _GLOBAL_FLAGS or argument.startswith("--library="):
            first.append(argument)
        elif argument == "--library":
            first += [argument, *itertools.islice(waiting, 1)]
        else:
            rest.append(argument)
    return [*first, *rest]


def _silently(code: int) -> int:
    """Return ``code`` with stdout led nowhere, so that the interpreter's last flush cannot fail."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        return code
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return code
