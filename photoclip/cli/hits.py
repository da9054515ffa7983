"""What ``photoclip search`` does, whoever has read its command line."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

from photoclip import config
from photoclip.cli import render
from photoclip.cli.session import Session, read_paths
from photoclip.errors import BadUsage, NothingMatched
from photoclip.records import SearchHit

FIELDS = (
    "rank", "similarity", "path", "taken_at", "width", "height", "size", "format",
    "camera", "lens", "latitude", "longitude", "hash", "model",
)  # fmt: skip


class Search(NamedTuple):
    """A search as its command line says it; the fields are the parameters of the command."""

    text: tuple[str, ...] = ()
    limit: int = 20
    like: tuple[str, ...] = ()
    minimum: float | None = None
    among: str | None = None
    format: render.Format | None = None
    print0: bool = False
    template: str | None = None
    device: str = "auto"
    fail_empty: bool = False
    interactive: bool = False


def show(session: Session, search: Search) -> None:
    """Search, and write what was found to stdout."""
    with contextlib.nullcontext() if search.interactive else config.no_garbage():
        _show(session, search)


def _show(session: Session, search: Search) -> None:
    style = render.Style.of(search.format, search.print0, search.template)
    if search.minimum is not None and not -1 <= search.minimum <= 1:
        raise BadUsage(f"--min {search.minimum} is no similarity", "similarities lie between -1 and 1")
    if search.interactive:
        from photoclip.cli import interactive

        interactive.check(search)
    config.one_blas_thread()
    wanted = None if search.among is None else read_paths(search.among)
    with session.library() as library:

        def find(*texts: str) -> list[render.Row]:
            hits = library.search(
                *texts,
                like=search.like,
                limit=search.limit,
                minimum=search.minimum,
                among=wanted,
                device=search.device,
            )
            spec = library.inner.model().card.spec
            return [hit_row(hit, spec) for hit in hits]

        if search.interactive:
            count = interactive.converse(search.format, find, _draw)
        else:
            rows = find(*((" ".join(search.text),) if search.text else ()))
            count = render.write(rows, style, table=_draw, fields=FIELDS)
        card = library.inner.model().card
        session.detail(f"{card.spec} answered" + (f" ({card.name})" if card.name else ""))
    if not count:
        session.note("nothing matched")
        if search.fail_empty:
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
