"""``photoclip tags``."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from photoclip.cli import render
from photoclip.cli.render import Format
from photoclip.cli.session import Session


def tags(
    context: typer.Context,
    as_json: bool = typer.Option(False, "--json", help="Write JSON lines."),
) -> None:
    """List the tags of the library with the number of photos that carry each.

    Example: photoclip tags
    """
    session: Session = context.obj
    with session.library() as library:
        rows = [{"label": label, "photos": count} for label, count in library.tags()]
    style = render.Style.of(Format.jsonl if as_json else Format.table)
    if not render.write(rows, style, table=_draw):
        session.note("no tags yet; make some with: photoclip tag --labels labels.txt")


def _draw(rows: Sequence[render.Row]) -> None:
    if rows:
        render.draw((("photos", "right"), ("tag", "left")), ((row["photos"], row["label"]) for row in rows))
