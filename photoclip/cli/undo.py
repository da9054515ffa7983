"""``photoclip undo``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from photoclip.cli import render
from photoclip.cli.options import FormatOption
from photoclip.cli.session import Session
from photoclip.cli.talk import counted
from photoclip.errors import PhotoclipError

FIELDS = ("path", "outcome", "reason")


def undo(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--list", help="Only list what can be taken back.")] = False,
    format: FormatOption = None,
) -> None:
    """Take back what dupes apply did last: names, bytes, modes and times.

    Example: photoclip undo

    Asked again, it takes back the run before that.
    """
    session: Session = context.obj
    style = render.Style.of(format)
    with session.library() as library:
        journals = library.journals()
        if show:
            rows = [{**one._asdict(), "path": os.fsencode(one.path)} for one in journals]
            render.write(rows, style, table=_draw_journals)
            return
        if not journals:
            session.note("there is nothing to take back")
            return
        undone = list(library.undo(journals[-1]))
    render.write((one._asdict() for one in undone), style, table=_draw, fields=FIELDS)
    failed = [one for one in undone if one.outcome == "not restored"]
    session.note(f"{counted(len(undone) - len(failed), 'file')} as before")
    session.note_some([f"not restored: {os.fsdecode(one.path)}: {one.reason}" for one in failed])
    if failed:
        raise PhotoclipError(
            f"{counted(len(failed), 'file')} could not be restored", "photoclip undo tries again"
        )


def _draw(rows: Sequence[render.Row]) -> None:
    if rows:
        columns = (("outcome", "left"), ("why not", "fold"), ("photo", "left"))
        render.draw(columns, ((row["outcome"], row["reason"], render.near(row["path"])) for row in rows))


def _draw_journals(rows: Sequence[render.Row]) -> None:
    if rows:
        columns = (("began (UTC)", "left"), ("what", "left"), ("steps", "right"), ("journal", "left"))
        render.draw(columns, ((row["started"], row["how"], row["steps"], row["path"]) for row in rows))
