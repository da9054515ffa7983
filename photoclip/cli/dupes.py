"""``photoclip dupes``: the report."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

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
from photoclip.records import DuplicateGroup, Level, Photo

if TYPE_CHECKING:
    from photoclip.api import Library


class LevelName(str, Enum):
    """The levels by their names on the command line."""

    identical = "identical"
    same_picture = "same-picture"
    same_moment = "same-moment"
    similar = "similar"

    @property
    def level(self) -> Level:
        """What records call it."""
        return self.value.replace("-", " ")  # type: ignore[return-value]


_REPORT = "report"


PathsArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Only photos in these folders.", metavar="[PATH…]", show_default=False),
]
LevelOption = Annotated[
    LevelName,
    typer.Option(
        "--level",
        help="identical: the same bytes; same-picture: also resized, cropped, saved anew; same-moment:"
        " also bursts and retakes; similar: also what the model finds alike.",
    ),
]
WithinOption = Annotated[
    float | None,
    typer.Option("--within", help="How long a moment lasts (10).", metavar="SECONDS", min=0, max=86400),
]
MinimumOption = Annotated[
    float | None,
    typer.Option(
        "--min",
        help="How similar photos are at least, for --level similar.",
        metavar="SIMILARITY",
        min=0.5,
        max=1,
    ),
]
MirroredOption = Annotated[bool, typer.Option("--mirrored", help="Also find mirrored copies.")]
TurnedOption = Annotated[bool, typer.Option("--turned", help="Also find copies turned by a quarter.")]
KeepOption = Annotated[
    str | None,
    typer.Option(
        "--keep",
        help="Which of a group is best, in order: pixels, format, bytes, metadata, sharpness, oldest,"
        " path:DIR.",
        metavar="RULES",
    ),
]
ReferenceOption = Annotated[
    list[str] | None,
    typer.Option("--reference", help="Photos in DIR always stay (repeatable).", metavar="DIR"),
]
ReportOption = Annotated[
    str | None,
    typer.Option("--report", help="Write what was found into FILE, for dupes apply.", metavar="FILE"),
]
HtmlOption = Annotated[
    str | None,
    typer.Option(
        "--html",
        help="Write a page that shows groups side by side, with zoom.",
        metavar="FILE",
    ),
]


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
    paths: PathsArgument = None,
    level: LevelOption = LevelName.same_picture,
    within: WithinOption = None,
    minimum: MinimumOption = None,
    mirrored: MirroredOption = False,
    turned: TurnedOption = False,
    keep: KeepOption = None,
    references: ReferenceOption = None,
    report: ReportOption = None,
    html: HtmlOption = None,
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
    if minimum is not None and level is not LevelName.similar:
        raise BadUsage("--min draws the line of similar photos", "add --level similar")
    if within is not None and level not in (LevelName.same_moment, LevelName.similar):
        raise BadUsage("--within says how long a moment lasts", "add --level same-moment")
    if level is LevelName.identical and (mirrored or turned):
        raise BadUsage("identical files are neither mirrored nor turned", "leave --level away")
    config.one_blas_thread()
    wanted = _wanted(session, paths, among)
    with session.library() as library, counting(session, "comparing") as progress:
        _see_that_they_are_there(library, [*folders, *(rule.folder for rule in rules if rule.folder)])
        groups = library.duplicates(
            level.level,
            within=within,
            least=minimum,
            mirrored=mirrored,
            turned=turned,
            among=wanted,
            rules=rules,
            references=folders,
            progress=progress,
        )
    if report is not None:
        _write_report(report, groups, folders)
    if html is not None:
        _write_page(session, html, groups, folders, report)
    if style.format is Format.paths:
        _write_paths(groups, style)
    else:
        render.write((_row(group) for group in groups), style, table=_draw, json_row=_json)
    _sum_up(session, groups, folders, report)
    if fail_empty and not groups:
        raise NothingMatched("no duplicates")


app.command("apply")(letting_go.apply)
app.command("deny")(letting_go.deny)


def _sum_up(
    session: Session, groups: Sequence[DuplicateGroup], folders: Sequence[bytes], report: str | None
) -> None:
    from photoclip.actions import ACTED_UPON

    if not groups:
        session.note("no duplicates")
        return
    sure = [group for group in groups if group.level in ACTED_UPON]
    found = f"{counted(len(groups), 'group')}, {counted(_spare(sure, folders), 'photo')} more than needed"
    session.note(found)
    if len(sure) < len(groups):
        others = counted(len(groups) - len(sure), "group")
        session.note(f"{others} of pictures that are not the same: dupes apply leaves them alone")
    if report is not None and sure:
        session.note(f"let the spare ones go with: {_command(report)}")


def _spare(groups: Sequence[DuplicateGroup], folders: Sequence[bytes]) -> int:
    """Return how many photos do not stay; RAW and JPEG of one shot count once."""
    from photoclip.keeping import what_stays

    return sum(len({photo.path for photo in group.photos} - what_stays(group, folders)) for group in groups)


def _command(report: str) -> str:
    return f"photoclip dupes apply {shlex.quote(report)} --trash"


def _write_page(
    session: Session,
    path: str,
    groups: Sequence[DuplicateGroup],
    folders: Sequence[bytes],
    report: str | None,
) -> None:
    from photoclip.pages.compare import write_comparison

    with session.library() as library, counting(session, "pictures") as progress:
        count = write_comparison(
            path,
            groups,
            library.thumbnails,
            references=folders,
            command=_command(report) if report is not None else None,
            progress=progress,
        )
    session.note(f"{counted(count, 'group')} in {path}")


def _write_report(path: str, groups: Sequence[DuplicateGroup], folders: Sequence[bytes]) -> None:
    """Write a new report; raises BadUsage rather than replace what is there."""
    from photoclip.actions import write_report

    try:
        with open(path, "xb") as file, _removed_on_error(path):
            write_report(groups, file, folders)
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
        _see_that_they_are_there(library, places)
        return [
            photo.path
            for photo in library.photos()
            if any(
                photo.path == place or photo.path.startswith(place.rstrip(b"/") + b"/") for place in places
            )
        ]


def _see_that_they_are_there(library: Library, places: Sequence[bytes]) -> None:
    """Raise BadUsage for a place that is neither on disk nor in the library: a typing error must not leave
    photos unprotected that were meant to stay."""
    for place in places:
        if not (os.path.lexists(place) or library.inner.store.knows(place)):
            raise BadUsage(f"there is no such file or folder: {os.fsdecode(place)}")


def _write_paths(groups: Sequence[DuplicateGroup], style: render.Style) -> None:
    for group in groups:
        rows = ({"path": photo.path} for photo in group.photos)
        render.write(rows, style, table=lambda _: None)
        render.put(b"\0" if style.print0 else b"\n")


def _row(group: DuplicateGroup) -> render.Row:
    return {"level": group.level, "similarity": round(group.similarity, 6), "photos": group.units()}


def _json(row: render.Row) -> dict[str, Any]:
    return {**row, "photos": [_fields(unit) for unit in row["photos"]]}


def _fields(unit: Sequence[Photo]) -> dict[str, Any]:
    photo, *along = unit
    return {**render.photo_fields(photo), "along": [render.photo_fields(one) for one in along]}


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
        for photo, *_ in row["photos"]:
            fields = render.photo_fields(photo)
            lines.append((*first, render.pixels(fields), photo.size, render.near(photo.path)))
            first = ("", "")
        lines.append(("",) * len(columns))
    if lines:
        render.draw(columns, lines[:-1])
