"""The command line as Typer reads it: its table of contents and its global options."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated

import typer

from photoclip import __version__
from photoclip.cli import (
    backup,
    browse,
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
    undo,
)
from photoclip.cli.options import show_help_alone
from photoclip.cli.session import Session
from photoclip.errors import INTERRUPTED, BadUsage

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
    (search.similar, "similar"),
    (browse.browse, "browse"),
    (listing.list_photos, "list"),
    (tag.tag, "tag"),
    (tags.tags, "tags"),
    (problems.problems, "problems"),
    (status.status, "status"),
    (check.check, "check"),
    (backup.backup, "backup"),
    (forget.forget, "forget"),
    (undo.undo, "undo"),
    (demo.demo, "demo"),
):
    app.command(_name)(_command)
app.add_typer(dupes.app, name="dupes")
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


def call(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; raises PhotoclipError, a mistake in the line BadUsage."""
    try:
        code = app(_globals_first(arguments), prog_name="photoclip", standalone_mode=False)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except Exception as error:
        # Typer's own usage errors say what is wrong in format_message.
        describe = getattr(error, "format_message", None)
        if describe is None:
            raise
        place = getattr(getattr(error, "ctx", None), "command_path", "photoclip")
        raise BadUsage(describe(), f"see: {place} --help") from error
    if code == INTERRUPTED:  # Typer catches Ctrl-C itself
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


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
