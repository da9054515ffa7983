"""``photoclip backup``."""

from __future__ import annotations

from typing import Annotated

import typer

from photoclip.cli.session import Session


def backup(
    context: typer.Context,
    directory: Annotated[
        str,
        typer.Argument(help="Folder of the backup; made if need be.", metavar="DIR", show_default=False),
    ],
) -> None:
    """Copy the library's catalogue into another folder, even while something is indexing.

    Example: photoclip backup /media/backup/photoclip

    A backup is a library: photoclip --library DIR search "a red bus" looks in it, and copying it back
    restores it. Run it again to bring it up to date; an interrupted backup leaves the one before.
    """
    session: Session = context.obj
    with session.library() as library:
        library.back_up(directory)
    session.note(f"the library is saved in {directory}")
