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
    """List photoclip's tags and your own keywords with the number of photos that carry each.

    Example: photoclip tags
    """
    session: Session = context.obj
    with session.library() as library:
        rows = [count._asdict() for count in library.tags()]
    style = render.Style.of(Format.jsonl if as_json else Format.table)
    if not render.write(rows, style, table=_draw):
        session.note("no tags or keywords yet; make tags with: photoclip tag --labels labels.txt")


def _draw(rows: Sequence[render.Row]) -> None:
    if rows:
        columns = (("photos", "right"), ("tag", "left"), ("kind", "left"))
        render.draw(columns, ((row["photos"], row["label"], row["kind"]) for row in rows))
