"""``photoclip problems``."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from photoclip.cli import render
from photoclip.cli.options import FormatOption, Print0Option, TemplateOption
from photoclip.cli.session import Session

FIELDS = ("path", "kind", "reason")


def problems(
    context: typer.Context,
    format: FormatOption = None,
    print0: Print0Option = False,
    template: TemplateOption = None,
) -> None:
    """List the files that could not be read, with the reason.

    Example: photoclip problems --format jsonl

    Such a file is read again when it changes.
    """
    session: Session = context.obj
    style = render.Style.of(format, print0, template)
    with session.library() as library:
        rows = (
            {"path": problem.path, "kind": problem.kind, "reason": problem.reason}
            for problem in library.problems()
        )
        if not render.write(rows, style, table=_draw, fields=FIELDS):
            session.note("no problems")


def _draw(rows: Sequence[render.Row]) -> None:
    if rows:
        columns = (("kind", "left"), ("reason", "fold"), ("file", "left"))
        render.draw(columns, ((row["kind"], row["reason"], render.near(row["path"])) for row in rows))
