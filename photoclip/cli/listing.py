"""``photoclip list``."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from photoclip.cli import hits, render
from photoclip.cli.options import (
    AmongOption,
    CameraOption,
    FailEmptyOption,
    FormatOption,
    InOption,
    LensOption,
    MinSideOption,
    NearOption,
    NoDateOption,
    OrientationOption,
    Print0Option,
    TagOption,
    TakenOption,
    TemplateOption,
)
from photoclip.cli.session import Session, read_paths
from photoclip.errors import NothingMatched

FIELDS = (
    "path", "taken_at", "width", "height", "size", "format",
    "camera", "lens", "latitude", "longitude", "hash",
)  # fmt: skip


def list_photos(
    context: typer.Context,
    taken: TakenOption = None,
    camera: CameraOption = "",
    lens: LensOption = "",
    folders: InOption = None,
    near: NearOption = None,
    tags: TagOption = None,
    min_side: MinSideOption = 0,
    orientation: OrientationOption = None,
    no_date: NoDateOption = False,
    among: AmongOption = None,
    format: FormatOption = None,
    print0: Print0Option = False,
    template: TemplateOption = None,
    fail_empty: FailEmptyOption = False,
) -> None:
    """List the photos of the library, by path.

    Example: photoclip list --camera fuji --taken 2021 --template '{taken_at} {path}'
    """
    session: Session = context.obj
    style = render.Style.of(format, print0, template)
    where = hits.where(
        taken=taken,
        camera=camera,
        lens=lens,
        folders=folders,
        near=near,
        tags=tags,
        min_side=min_side,
        orientation=orientation,
        no_date=no_date,
    )
    wanted = None if among is None else read_paths(among)
    with session.library() as library:
        rows = (render.photo_fields(photo) for photo in library.photos(wanted, where))
        count = render.write(rows, style, table=_draw, fields=FIELDS)
    if not count:
        session.note("no photos")
        if fail_empty:
            raise NothingMatched("nothing matched")


def _draw(rows: Sequence[render.Row]) -> None:
    if rows:
        columns = (("taken", "left"), ("pixels", "right"), ("camera", "fold"), ("photo", "left"))
        render.draw(
            columns, ((render.day(r), render.pixels(r), r["camera"], render.near(r["path"])) for r in rows)
        )
