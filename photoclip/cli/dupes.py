"""``photoclip dupes``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any

import typer

from photoclip import config
from photoclip.cli import render
from photoclip.cli.options import AmongOption, FailEmptyOption, FormatOption, Print0Option
from photoclip.cli.progress import counting
from photoclip.cli.render import Format
from photoclip.cli.session import Session, read_paths
from photoclip.cli.talk import counted
from photoclip.errors import BadUsage, NothingMatched
from photoclip.records import DuplicateGroup, Level


class LevelName(str, Enum):
    """The levels by their names on the command line."""

    identical = "identical"
    same_picture = "same-picture"


_LEVELS: dict[LevelName, Level] = {LevelName.identical: "identical", LevelName.same_picture: "same picture"}


def dupes(
    context: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(help="Only photos in these folders.", metavar="[PATH…]", show_default=False),
    ] = None,
    level: Annotated[
        LevelName,
        typer.Option(
            "--level", help="identical: the same bytes; same-picture: also resized, cropped, saved anew."
        ),
    ] = LevelName.same_picture,
    among: AmongOption = None,
    format: FormatOption = None,
    print0: Print0Option = False,
    fail_empty: FailEmptyOption = False,
) -> None:
    """Report photos that are the same picture, the best of each group first. Nothing is touched.

    Example: photoclip dupes ~/Pictures

    In a pipe every group is a run of paths that ends with an empty line.
    """
    session: Session = context.obj
    style = render.Style.of(format, print0)
    if style.format in (Format.csv, Format.tsv):
        raise BadUsage("groups do not fit into rows", "use --format json or jsonl")
    config.one_blas_thread()
    wanted = _wanted(session, paths, among)
    with session.library() as library, counting(session, "comparing") as progress:
        groups = library.duplicates(_LEVELS[level], among=wanted, progress=progress)
    if style.format is Format.paths:
        _write_paths(groups, style)
    else:
        render.write((_row(group) for group in groups), style, table=_draw, json_row=_json)
    spare = sum(len(group.photos) - 1 for group in groups)
    found = f"{counted(len(groups), 'group')}, {counted(spare, 'photo')} more than needed"
    session.note(found if groups else "no duplicates")
    if fail_empty and not groups:
        raise NothingMatched("no duplicates")


def _wanted(session: Session, paths: list[str] | None, among: str | None) -> list[bytes] | None:
    if not paths:
        return None if among is None else read_paths(among)
    if among is not None:
        raise BadUsage("--among and folders cannot both be given")
    places = [os.path.abspath(os.fsencode(path)) for path in paths]
    with session.library() as library:
        for place in places:
            if not (os.path.lexists(place) or library.inner.store.knows(place)):
                raise BadUsage(f"there is no such file or folder: {os.fsdecode(place)}")
        return [
            photo.path
            for photo in library.photos()
            if any(
                photo.path == place or photo.path.startswith(place.rstrip(b"/") + b"/") for place in places
            )
        ]


def _write_paths(groups: Sequence[DuplicateGroup], style: render.Style) -> None:
    for group in groups:
        rows = ({"path": photo.path} for photo in group.photos)
        render.write(rows, style, table=lambda _: None)
        render.put(b"\0" if style.print0 else b"\n")


def _row(group: DuplicateGroup) -> render.Row:
    return {"level": group.level, "similarity": round(group.similarity, 6), "photos": group.photos}


def _json(row: render.Row) -> dict[str, Any]:
    return {**row, "photos": [render.photo_fields(photo) for photo in row["photos"]]}


def _draw(rows: Sequence[render.Row]) -> None:
    columns = (
        ("level", "left"),
        ("similarity", "right"),
        ("pixels", "right"),
        ("bytes", "right"),
        ("photo", "left"),
    )
    lines: list[tuple[object, ...]] = []
    for row in rows:
        first = (row["level"], f"{row['similarity']:.3f}")
        for photo in row["photos"]:
            fields = render.photo_fields(photo)
            lines.append((*first, render.pixels(fields), photo.size, render.near(photo.path)))
            first = ("", "")
        lines.append(("",) * len(columns))
    if lines:
        render.draw(columns, lines[:-1])
