"""What ``photoclip search`` does, whoever has read its command line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from photoclip import config
from photoclip.cli import render
from photoclip.cli.session import Session, read_paths
from photoclip.errors import BadUsage, NothingMatched
from photoclip.records import Contribution, SearchHit

if TYPE_CHECKING:
    from photoclip.api import Library
    from photoclip.filters import PhotoFilter
    from photoclip.searching import Order

FIELDS = (
    "rank", "similarity", "margin", "relevant", "path", "taken_at", "width", "height", "size", "format",
    "camera", "lens", "latitude", "longitude", "hash", "model",
)  # fmt: skip
NO_ANSWER = "nothing in this library answers that; the nearest are:"
LOOK_ALIKES = "· · · from here on, only the nearest of the rest · · ·"
MANY = ("text", "plus", "minus", "like", "folders", "tags")
"""The parameters that may be given more than once."""


class Sort(str, Enum):
    """The orders of a list of hits."""

    relevance = "relevance"
    similarity = "similarity"
    date = "date"
    path = "path"


class Link(str, Enum):
    """The kinds of links to photos."""

    symbolic = "symbolic"
    hard = "hard"
    reflink = "reflink"


class Search(NamedTuple):
    """A search as its command line says it; the fields are the parameters of the command."""

    text: tuple[str, ...] = ()
    limit: int = 20
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    like: tuple[str, ...] = ()
    relevant: bool = False
    minimum: float | None = None
    explain: bool = False
    taken: str | None = None
    camera: str = ""
    lens: str = ""
    folders: tuple[str, ...] = ()
    near: str | None = None
    tags: tuple[str, ...] = ()
    min_side: int = 0
    orientation: str | None = None
    no_date: bool = False
    among: str | None = None
    sort: Sort | None = None
    reverse: bool = False
    format: render.Format | None = None
    print0: bool = False
    template: str | None = None
    device: str = "auto"
    fail_empty: bool = False
    interactive: bool = False
    preview: bool = False
    preview_as: str | None = None
    html: str | None = None
    open_sheet: bool = False
    copy_to: str | None = None
    link_to: str | None = None
    link_as: Link = Link.symbolic
    dry_run: bool = False

    @property
    def previews(self) -> bool:
        """Whether pictures are drawn in the terminal."""
        return self.preview or self.preview_as is not None

    @property
    def takes(self) -> bool:
        """Whether the photos are copied or linked."""
        return self.copy_to is not None or self.link_to is not None

    @property
    def lists(self) -> bool:
        """Whether the photos are only listed."""
        return not (self.previews or self.takes or self.html is not None)

    def describes(self) -> bool:
        """Return whether it says what photos show."""
        return bool(self.text or self.plus or self.minus or self.like or self.interactive)

    def where(self) -> PhotoFilter | None:
        """Return what it says that photos must be besides; None for nothing."""
        return where(
            taken=self.taken,
            camera=self.camera,
            lens=self.lens,
            folders=self.folders,
            near=self.near,
            tags=self.tags,
            min_side=self.min_side,
            orientation=self.orientation,
            no_date=self.no_date,
        )


def where(**options: Any) -> PhotoFilter | None:
    """Return the filter that the options describe; None when none of them was given."""
    if not any(options.values()) and options["taken"] is None:
        return None
    from photoclip.filters import PhotoFilter

    return PhotoFilter.of(**options)


def show(session: Session, search: Search) -> None:
    """Search, and write what was found to stdout."""
    with contextlib.nullcontext() if search.interactive else config.no_garbage():
        _show(session, search)


def _show(session: Session, search: Search) -> None:
    style = render.Style.of(search.format, search.print0, search.template)
    _check(search)
    config.one_blas_thread()
    with session.library() as library:
        find = _finder(library, search, style)
        spec = library.inner.model_spec() or ""
        if search.interactive:
            from photoclip.cli import interactive

            count = interactive.converse(search.format, lambda text: _rows(find(text), spec), _draw)
        else:
            found = find(" ".join(search.text))
            count = len(found)
            _put(session, library, search, found, _rows(found, spec), style)
        if search.describes():
            card = library.inner.model().card
            session.detail(f"{card.spec} answered" + (f" ({card.name})" if card.name else ""))
    if not count:
        session.note("nothing matched")
        if search.fail_empty:
            raise NothingMatched("nothing matched")


def _check(search: Search) -> None:
    """Raise BadUsage for options that contradict each other."""
    if search.minimum is not None and not -1 <= search.minimum <= 1:
        raise BadUsage(f"--min {search.minimum} is no similarity", "similarities lie between -1 and 1")
    if search.open_sheet and search.html is None:
        raise BadUsage("--open shows what --html writes", "add: --html FILE")
    if search.dry_run and not search.takes:
        raise BadUsage("--dry-run says what --copy-to or --link-to would do", "add one of them")
    if not search.lists:
        from photoclip.cli import uses

        uses.check(search)
    if search.interactive:
        from photoclip.cli import interactive

        interactive.check(search)


def _is_judged(search: Search, style: render.Style) -> bool:
    """Return whether the answer says where relevance ends; for bare paths it need not be found out."""
    if style.template is not None:
        return "{margin" in style.template or "{relevant" in style.template
    return style.format is not render.Format.paths or search.interactive or not search.lists


def _finder(library: Library, search: Search, style: render.Style) -> Callable[[str], list[SearchHit]]:
    """Return what answers one description."""
    judged = _is_judged(search, style)
    for_people = judged and (style.format is render.Format.table or not search.lists)
    wanted = None if search.among is None else read_paths(search.among)
    where = search.where()

    def find(text: str) -> list[SearchHit]:
        described = bool(text.strip() or search.plus or search.minus or search.like)
        order: Order | None = "relevance" if for_people and described else None
        if not described and where is None and wanted is None:
            hint = 'say what the photo shows: photoclip search "a red bus"'
            raise BadUsage("there is nothing to search for", hint)
        return library.search(
            text,
            plus=search.plus,
            minus=search.minus,
            like=search.like,
            where=where,
            limit=search.limit,
            minimum=search.minimum,
            among=wanted,
            relevant=search.relevant,
            judged=judged,
            explained=search.explain,
            order=order if search.sort is None else search.sort.value,
            reverse=search.reverse,
            device=search.device,
        )

    return find


def _put(
    session: Session,
    library: Library,
    search: Search,
    found: Sequence[SearchHit],
    rows: Sequence[render.Row],
    style: render.Style,
) -> None:
    """Write what was found, or do with it what the options ask for."""
    if found and all(hit.relevant is False for hit in found):
        session.note(NO_ANSWER)
    if search.lists:
        render.write(rows, style, table=_draw, fields=FIELDS)
        return
    from photoclip.cli import uses

    uses.use(session, library, search, found, rows)


def _rows(found: Sequence[SearchHit], model: str) -> list[render.Row]:
    return [hit_row(hit, model) for hit in found]


def hit_row(hit: SearchHit, model: str) -> render.Row:
    """Return the documented fields of a hit, and ``parts`` where they were asked for."""
    fields = {
        "rank": hit.rank,
        "similarity": _rounded(hit.similarity),
        "margin": _rounded(hit.margin),
        "relevant": hit.relevant,
        **render.photo_fields(hit.photo),
    }
    row = {name: fields[name] for name in FIELDS if name in fields} | {"model": model}
    return row | {"parts": [_part(part) for part in hit.parts]} if hit.parts else row


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 6)


def _part(part: Contribution) -> render.Row:
    return {
        "text" if isinstance(part.part, str) else "like": part.part,
        "weight": part.weight,
        "similarity": _rounded(part.similarity),
        "contribution": _rounded(part.contribution),
    }


def _answers(row: render.Row) -> bool:
    """Return whether a photo answers the query, as far as anybody asked."""
    return row["relevant"] is not False


def _draw(rows: Sequence[render.Row]) -> None:
    if not rows:
        return
    columns = [("rank", "right")]
    if rows[0]["similarity"] is not None:
        columns.append(("similarity", "right"))
    columns += [("taken", "left"), ("pixels", "right")]
    if "parts" in rows[0]:
        columns.append(("because", "fold"))
    columns.append(("photo", "left"))
    cells: dict[str, Callable[[render.Row], object]] = {
        "rank": lambda row: row["rank"],
        "similarity": lambda row: f"{row['similarity']:.3f}",
        "taken": render.day,
        "pixels": render.pixels,
        "because": _because,
        "photo": lambda row: render.near(row["path"]),
    }
    render.draw(
        columns,
        [[cells[title](row) for title, _ in columns] for row in rows],
        faint=[not _answers(row) for row in rows],
        line=LOOK_ALIKES,
    )


def _because(row: render.Row) -> str:
    """Return ``beach +0.213, people -0.041``."""
    told = []
    for part in row["parts"]:
        name = part.get("text") or render.cell(part["like"]).rpartition("/")[2]
        told.append(f"{name} {part['contribution']:+.3f}")
    return ", ".join(told)
