"""``photoclip search``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from photoclip import config
from photoclip.cli import render
from photoclip.cli.options import (
    AmongOption,
    DeviceOption,
    FailEmptyOption,
    FormatOption,
    Print0Option,
    Session,
    TemplateOption,
    read_paths,
)
from photoclip.errors import BadUsage, NothingMatched
from photoclip.records import SearchHit

FIELDS = (
    "rank", "similarity", "path", "taken_at", "width", "height", "size", "format",
    "camera", "lens", "latitude", "longitude", "hash", "model",
)  # fmt: skip


def search(
    context: typer.Context,
    text: Annotated[
        list[str] | None,
        typer.Argument(help="What the photo shows, in words.", metavar="[TEXT…]", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", help="How many photos to show.", min=1)] = 20,
    like: Annotated[
        list[str] | None, typer.Option("--like", help="Find photos like this picture.", metavar="IMAGE")
    ] = None,
    minimum: Annotated[
        float | None, typer.Option("--min", help="Leave out photos less similar than this (-1 to 1).")
    ] = None,
    among: AmongOption = None,
    format: FormatOption = None,
    print0: Print0Option = False,
    template: TemplateOption = None,
    device: DeviceOption = "auto",
    fail_empty: FailEmptyOption = False,
) -> None:
    """Find photos by describing them, the most similar first.

    Example: photoclip search "two dogs in the snow" -n 5

    Words without quotes are one description. On a terminal you get a table, in a pipe bare paths:
    photoclip search beach -0 | xargs -0 cp -t /tmp/beach
    """
    session: Session = context.obj
    style = render.Style.of(format, print0, template)
    if minimum is not None and not -1 <= minimum <= 1:
        raise BadUsage(f"--min {minimum} is no similarity", "similarities lie between -1 and 1")
    config.one_blas_thread()
    wanted = None if among is None else read_paths(among)
    texts = (" ".join(text),) if text else ()
    with session.library() as library:
        hits = library.search(
            *texts, like=like or (), limit=limit, minimum=minimum, among=wanted, device=device
        )
        card = library.inner.model().card
        session.detail(f"{card.spec} answered" + (f" ({card.name})" if card.name else ""))
        render.write((hit_row(hit, card.spec) for hit in hits), style, table=_draw, fields=FIELDS)
    if not hits:
        session.note("nothing matched")
        if fail_empty:
            raise NothingMatched("nothing matched")


def hit_row(hit: SearchHit, model: str) -> render.Row:
    """Return the documented fields of a hit."""
    fields = {"rank": hit.rank, "similarity": round(hit.similarity, 6), **render.photo_fields(hit.photo)}
    return {name: fields[name] for name in FIELDS if name in fields} | {"model": model}


def _draw(rows: Sequence[render.Row]) -> None:
    if not rows:
        return
    columns = (
        ("rank", "right"),
        ("similarity", "right"),
        ("taken", "left"),
        ("pixels", "right"),
        ("photo", "left"),
    )
    render.draw(
        columns,
        (
            (
                row["rank"],
                f"{row['similarity']:.3f}",
                render.day(row),
                render.pixels(row),
                render.near(row["path"]),
            )
            for row in rows
        ),
    )
