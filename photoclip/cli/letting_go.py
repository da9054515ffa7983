"""``photoclip dupes apply`` and ``photoclip dupes deny``: what is done about a report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from photoclip.cli import render
from photoclip.cli.options import FormatOption
from photoclip.cli.session import Session
from photoclip.cli.talk import counted
from photoclip.errors import BadUsage

if TYPE_CHECKING:
    from photoclip.actions import Acted, How, Report

APPLIED = ("group", "path", "outcome", "target", "reason", "partner", "size")


def apply(
    context: typer.Context,
    report: Annotated[
        str, typer.Argument(help="What photoclip dupes --report has written.", metavar="REPORT")
    ],
    trash: Annotated[bool, typer.Option("--trash", help="Move what is spare into the trash.")] = False,
    move_to: Annotated[
        str | None, typer.Option("--move-to", help="Move what is spare into DIR.", metavar="DIR")
    ] = None,
    hardlink: Annotated[bool, typer.Option("--hardlink", help="Make it a hard link to what stays.")] = False,
    reflink: Annotated[
        bool, typer.Option("--reflink", help="Make it share the blocks of what stays (btrfs, XFS, APFS).")
    ] = False,
    carry: Annotated[
        bool,
        typer.Option(
            "--carry/--no-carry", help="Write your keywords of what goes into the sidecar of what stays."
        ),
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    format: FormatOption = None,
) -> None:
    """Let the spare photos of a report go; photoclip undo takes that back.

    Example: photoclip dupes apply spare.jsonl --trash

    Right before, each file is compared with the report, byte for byte. What has changed since is left alone
    and named, and no photo that stays is ever touched. Sidecars, RAW files and the videos of live photos
    go along, unless that would lose what the photo that stays does not have. Nothing is written in a
    --reference folder.
    """
    session: Session = context.obj
    style = render.Style.of(format)
    ways: dict[How, object] = {"trash": trash, "move": move_to, "hard": hardlink, "reflink": reflink}
    chosen = [how for how, wanted in ways.items() if wanted]
    if len(chosen) != 1:
        raise BadUsage(
            "what shall be done to the spare photos?", "one of --trash, --move-to DIR, --hardlink, --reflink"
        )
    found = _read(report)
    acted: list[Acted] = []
    with session.library() as library:
        session.note_cut_off(library)
        acting = library.apply(found, chosen[0], move_to, carry=carry, dry_run=dry_run)

        def rows() -> Iterator[render.Row]:
            for one in acting:
                acted.append(one)
                yield {name: getattr(one, name) for name in APPLIED}

        try:
            render.write(rows(), style, table=_draw_acted, fields=APPLIED)
        except render.ReaderGone:
            acted += acting  # nobody reads on, but the work is still wanted
    _sum_up(session, acted, dry_run=dry_run)


def deny(
    context: typer.Context,
    photos: Annotated[
        list[str] | None,
        typer.Argument(
            help="Photos of which no two are the same picture.", metavar="[PHOTO PHOTO…]", show_default=False
        ),
    ] = None,
    report: Annotated[
        str | None, typer.Option("--report", help="Take groups of a report instead.", metavar="FILE")
    ] = None,
    groups: Annotated[
        list[int] | None,
        typer.Option("--group", help="The number of a group in it (repeatable).", metavar="NUMBER"),
    ] = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="Forget what was said of them.")] = False,
) -> None:
    """Say that photos are not the same picture; no report puts them into one group again.

    Example: photoclip dupes deny left.jpg right.jpg

    photoclip dupes deny --report spare.jsonl --group 3
    """
    if bool(photos) == bool(groups) or (report is None) == bool(groups):
        raise BadUsage(
            "which photos are not the same picture?",
            "name two photos or more, or --report FILE --group NUMBER",
        )
    session: Session = context.obj
    with session.library() as library:
        if report is None:
            pairs = library.deny(photos or (), revoke=revoke)
        else:
            found = _read(report)
            pairs = sum(library.deny_group(found, number, revoke=revoke) for number in groups or ())
    session.note(f"{'forgotten' if revoke else 'remembered'}: {counted(pairs, 'pair')}")


def _read(report: str) -> Report:
    from photoclip.actions import read_report

    try:
        with open(report, "rb") as file:
            return read_report(file, report)
    except OSError as error:
        raise BadUsage(f"the report cannot be read: {report}: {error.strerror}") from error


def _sum_up(session: Session, acted: Sequence[Acted], *, dry_run: bool) -> None:
    done = [one for one in acted if one.outcome in ("moved", "linked")]
    spared = sum(one.size for one in done) / 1e6
    verb = "would be" if dry_run else "were"
    session.note(f"{counted(len(done), 'file')} {verb} moved or linked, {spared:.1f} MB")
    carried = {one.path for one in acted if one.outcome == "carried"}
    if carried:
        session.note(
            f"keywords of {counted(len(carried), 'photo')} {verb} carried into sidecars of what stays"
        )
    left = [one for one in acted if one.outcome == "left"]
    session.note_some([f"left alone: {os.fsdecode(one.path)}: {one.reason}" for one in left])
    if any("keywords" in one.reason for one in left):
        session.note("--no-carry lets photos go with their keywords")
    if done and not dry_run:
        session.note("take it back with: photoclip undo")


def _draw_acted(rows: Sequence[render.Row]) -> None:
    columns = (("outcome", "left"), ("photo", "fold"), ("where it is now, or why not", "left"))
    if rows:
        render.draw(columns, ((row["outcome"], render.near(row["path"]), _where(row)) for row in rows))


def _where(row: render.Row) -> bytes:
    target, reason = render.near(row["target"]), os.fsencode(row["reason"])
    return b"%b (%b)" % (target, reason) if target and reason else target or reason
