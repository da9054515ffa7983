"""What is done with the photos that were found besides listing them: looking at them, taking them along."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from photoclip.cli import render
from photoclip.cli.session import Session
from photoclip.cli.talk import counted
from photoclip.errors import BadUsage, PhotoclipError
from photoclip.records import SearchHit

if TYPE_CHECKING:
    from photoclip.api import Library
    from photoclip.cli.hits import Search
    from photoclip.taking import How, Taken

FIELDS = ("outcome", "source", "target", "partner", "reason")


def check(search: Search) -> None:
    """Raise BadUsage for options that contradict each other."""
    if search.copy_to is not None and search.link_to is not None:
        raise BadUsage("--copy-to and --link-to cannot both be given")
    if search.previews and (search.format is not None or search.print0 or search.template is not None):
        raise BadUsage(
            "--preview draws pictures, and no list", "leave --format, --print0 and --template away"
        )
    if search.previews:
        from photoclip.cli.preview import Protocol

        if search.preview_as not in (None, *(protocol.value for protocol in Protocol)):
            raise BadUsage(
                f"--preview-as {search.preview_as!r} is no protocol", f"it is one of: {', '.join(Protocol)}"
            )
    if search.interactive:
        raise BadUsage("--interactive answers with lists only", "leave --html, --preview and the like away")


def use(
    session: Session,
    library: Library,
    search: Search,
    found: Sequence[SearchHit],
    rows: Sequence[render.Row],
) -> None:
    """Do what the options ask for with the photos that were ``found``, of which ``rows`` tell."""
    if search.previews:
        from photoclip.cli import preview

        screen = preview.choose(preview.Protocol(search.preview_as or "auto"))
        preview.draw(rows, _pictures(library, found), screen)
    if search.html is not None:
        _write_sheet(session, library, search, found)
    if search.takes:
        _take(session, search, found)


def _pictures(library: Library, found: Sequence[SearchHit]) -> Iterator[bytes | None]:
    return (picture for _, picture in library.thumbnails(hit.photo for hit in found))


def _write_sheet(session: Session, library: Library, search: Search, found: Sequence[SearchHit]) -> None:
    from photoclip.pages.sheet import write_sheet

    assert search.html is not None
    photos = [hit.photo for hit in found]
    title = " ".join(search.text) or "photos"
    tags, keywords = library.tags_of(photos), library.own_keywords(photos)
    count = write_sheet(search.html, found, library.thumbnails, title=title, tags=tags, keywords=keywords)
    session.note(f"{counted(count, 'photo')} in {search.html}")
    if search.open_sheet:
        from pathlib import Path

        from photoclip.cli.browse import show_page

        if not show_page(Path(os.path.abspath(search.html)).as_uri(), insist=True, wait=True):
            session.note("no browser to open it in was found")


def _take(session: Session, search: Search, found: Sequence[SearchHit]) -> None:
    from photoclip.taking import take

    directory = search.copy_to if search.copy_to is not None else search.link_to
    assert directory is not None
    how: How = "copy"
    if search.copy_to is None:
        how = search.link_as.value
    style = render.Style.of(search.format, search.print0, search.template)
    taking = take([hit.photo for hit in found], directory, how, dry_run=search.dry_run)
    outcomes: list[Taken] = []

    def rows() -> Iterator[render.Row]:
        for taken in taking:
            outcomes.append(taken)
            yield {name: getattr(taken, name) for name in FIELDS}

    try:
        render.write(rows(), style, table=_draw, fields=FIELDS, paths=_targets)
    except render.ReaderGone:
        outcomes += taking  # nobody reads on, but the photos are still wanted
    _sum_up(session, outcomes, directory, dry_run=search.dry_run)


def _sum_up(session: Session, outcomes: Sequence[Taken], directory: str, *, dry_run: bool) -> None:
    """Say how many files were taken; raises PhotoclipError when some were not."""
    counts = Counter(taken.outcome for taken in outcomes)
    verb = "would go" if dry_run else "went"
    there = f"; {counts['there']} of the same content were there already" if counts["there"] else ""
    session.note(f"{counted(counts['taken'], 'file')} {verb} to {directory}{there}")
    for taken in outcomes:
        if taken.outcome == "failed":  # a list of paths has no place for it
            session.note(f"cannot take {os.fsdecode(taken.source)}: {taken.reason}")
    if counts["failed"]:
        raise PhotoclipError(f"{counted(counts['failed'], 'file')} could not be taken")


def _draw(rows: Sequence[render.Row]) -> None:
    columns = (("outcome", "left"), ("photo", "fold"), ("becomes", "left"))
    cells = ((row["outcome"], render.near(row["source"]), _becomes(row)) for row in rows)
    render.draw(columns, cells)


def _targets(row: render.Row) -> list[bytes]:
    return [row["target"]] if row["target"] else []


def _becomes(row: render.Row) -> bytes | str:
    return render.near(row["target"]) if row["target"] else row["reason"]
