"""``photoclip dupes``: the report."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from photoclip import config
from photoclip.cli import letting_go, render
from photoclip.cli.options import AmongOption, FailEmptyOption, FormatOption, Print0Option
from photoclip.cli.progress import counting
from photoclip.cli.render import Format
from photoclip.cli.session import Session, read_paths
from photoclip.cli.talk import counted
from photoclip.errors import BadUsage, NothingMatched, PhotoclipError
from photoclip.records import DuplicateGroup, Level


class LevelName(str, Enum):
    """The levels by their names on the command line."""

    identical = "identical"
    same_picture = "same-picture"


_LEVELS: dict[LevelName, Level] = {LevelName.identical: "identical", LevelName.same_picture: "same picture"}
_REPORT = "report"


class _ReportFirst(TyperGroup):
    """Without the name of a command, what follows belongs to the report: ``dupes ~/Pictures``."""

    first = _REPORT

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put that name in front where none is given."""
        if not args or args[0] not in self.commands:
            args = [self.first, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ReportFirst,
    help="Report photos that are the same picture, and let the spare ones go.",
    rich_markup_mode=None,
)


@app.command(_REPORT)
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
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            help="Which of a group is best, in order: pixels, format, bytes, metadata, oldest, path:DIR.",
            metavar="RULES",
        ),
    ] = None,
    references: Annotated[
        list[str] | None,
        typer.Option("--reference", help="Photos in DIR always stay (repeatable).", metavar="DIR"),
    ] = None,
    report: Annotated[
        str | None,
        typer.Option("--report", help="Write what was found into FILE, for dupes apply.", metavar="FILE"),
    ] = None,
    among: AmongOption = None,
    format: FormatOption = None,
    print0: Print0Option = False,
    fail_empty: FailEmptyOption = False,
) -> None:
    """Report photos that are the same picture, the best of each group first. Nothing is touched.

    Example: photoclip dupes ~/Pictures --keep pixels,oldest --report spare.jsonl

    In a pipe every group is a run of paths that ends with an empty line. What stays of a group, with
    --report, is its first photo, and all of it that lie in a --reference folder. Then photoclip dupes apply
    lets the others go, and photoclip undo takes that back.
    """
    from photoclip.keeping import parse_rules

    session: Session = context.obj
    style = render.Style.of(format, print0)
    rules = parse_rules(keep) if keep is not None else ()
    folders = [os.path.abspath(os.fsencode(folder)) for folder in references or ()]
    if style.format in (Format.csv, Format.tsv):
        raise BadUsage("groups do not fit into rows", "use --format json or jsonl")
    config.one_blas_thread()
    wanted = _wanted(session, paths, among)
    with session.library() as library, counting(session, "comparing") as progress:
        groups = library.duplicates(
            _LEVELS[level], among=wanted, rules=rules, references=folders, progress=progress
        )
    if report is not None:
        _write_report(report, groups, folders)
    if style.format is Format.paths:
        _write_paths(groups, style)
    else:
        render.write((_row(group) for group in groups), style, table=_draw, json_row=_json)
    spare = sum(len(group.photos) - 1 for group in groups)
    found = f"{counted(len(groups), 'group')}, {counted(spare, 'photo')} more than needed"
    session.note(found if groups else "no duplicates")
    if report is not None and groups:
        session.note(f"let the spare ones go with: photoclip dupes apply {shlex.quote(report)} --trash")
    if fail_empty and not groups:
        raise NothingMatched("no duplicates")


app.command("apply")(letting_go.apply)
app.command("deny")(letting_go.deny)


def _write_report(path: str, groups: Sequence[DuplicateGroup], folders: Sequence[bytes]) -> None:
    """Write a new report; raises BadUsage rather than replace what is there."""
    from photoclip.actions import write_report
    from photoclip.keeping import staying

    try:
        with open(path, "xb") as file, _removed_on_error(path):
            write_report(groups, file, lambda photos: staying(photos, folders))
            file.flush()
    except FileExistsError as error:
        raise BadUsage(f"{path} is there already", "give the report a new name") from error
    except OSError as error:
        raise PhotoclipError(f"the report cannot be written: {path}: {error.strerror}") from error


@contextlib.contextmanager
def _removed_on_error(path: str) -> Iterator[None]:
    """Half a report would stand in the way of the next."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise


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
