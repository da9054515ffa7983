"""The photos that pass a filter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from photoclip.records import Photo
from photoclip.store.keywords import Keywords
from photoclip.store.rows import PHOTO, at_or_below, folded, photo_of

if TYPE_CHECKING:
    from photoclip.filters import Circle, PhotoFilter

Order = Literal["path", "date"]

_SHAPES = {
    "landscape": "c.width > c.height",
    "portrait": "c.width < c.height",
    "square": "c.width = c.height",
}
_MODEL = (
    "(SELECT id FROM models WHERE spec = (SELECT value FROM settings WHERE key = 'model')"
    " ORDER BY chosen DESC LIMIT 1)"
)


def _words_in(table: str, column: str, condition: str = "true") -> str:
    """Return the beginning of a query: the different words in an indexed column, each found by a step in the
    index, as ``words(word)``; NULL is the last. There are hundreds of rows to a word."""
    least = f"SELECT min({column}) FROM {table} WHERE {condition}"
    return (
        f"WITH RECURSIVE words(word) AS ({least} UNION ALL"
        f" SELECT ({least} AND {column} > word) FROM words WHERE word NOT NULL)"
    )


_OF_MODEL = f"model_id = {_MODEL}"
_TAGGED = f"""p.id IN (
    SELECT id FROM photos WHERE content_id IN (
        SELECT content_id FROM (
            {_words_in("tags", "label", _OF_MODEL)}
            SELECT content_id FROM words CROSS JOIN tags ON {_OF_MODEL} AND label = word WHERE says(word, ?)
        ) UNION ALL SELECT content_id FROM (
            {_words_in("keywords", "keyword")}
            SELECT content_id FROM words CROSS JOIN keywords ON keyword = word WHERE says(word, ?)
        )
    ) UNION ALL SELECT id FROM photos WHERE path IN (
        SELECT photo FROM (
            {_words_in("sidecar_keywords", "keyword")}
            SELECT photo FROM words CROSS JOIN sidecar_keywords k ON keyword = word AND NOT ours
                CROSS JOIN sidecar_photos s ON s.sidecar = k.sidecar WHERE says(word, ?)
        )
    )
)"""
"""Whether a photo is among all that carry a tag or keyword, which are looked up once."""
_CARRIES = f"""(
    EXISTS (SELECT 1 FROM tags t WHERE t.content_id = p.content_id AND {_OF_MODEL} AND says(label, ?))
    OR EXISTS (SELECT 1 FROM keywords k WHERE k.content_id = p.content_id AND says(keyword, ?))
    OR EXISTS (SELECT 1 FROM sidecar_photos s JOIN sidecar_keywords k ON k.sidecar = s.sidecar AND NOT ours
        WHERE s.photo = p.path AND says(keyword, ?))
)"""
"""The same, for a few photos: what each of them carries is looked up."""
_LARGEST = 2**63 - 1  # SQLite counts no further
_IS_THERE = "p.missing_since IS NULL"


class Selections(Keywords):
    """The photos that are not missing, all of them or those that pass a filter."""

    def photos(
        self,
        where: PhotoFilter | None = None,
        order: Order = "path",
        reverse: bool = False,
    ) -> Iterator[tuple[int, Photo]]:
        """Yield (content id, photo) by path or by date, photos without a date at the end."""
        condition, values = self._condition(where)
        way = "DESC" if reverse else "ASC"
        date = f"c.taken_at IS NULL, c.taken_at {way}, " if order == "date" else ""
        for row in self._each(f"{PHOTO} WHERE {condition} ORDER BY {date}p.path {way}", values):
            yield row[0], photo_of(row)

    def photos_of(
        self, content_ids: Sequence[int], where: PhotoFilter | None = None
    ) -> dict[int, list[Photo]]:
        """Return the photos of contents by content id, each list by path."""
        condition, values = self._condition(where, tagged=_CARRIES)
        found: dict[int, list[Photo]] = {}
        for row in self._in(f"{PHOTO} WHERE {condition} AND p.content_id", content_ids, values):
            found.setdefault(row[0], []).append(photo_of(row))
        for photos in found.values():
            photos.sort(key=lambda photo: photo.path)
        return found

    def photos_with(self, content_hash: bytes) -> list[Photo]:
        """Return the photos of the content ``content_hash``, by path."""
        rows = self._all(f"{PHOTO} WHERE {_IS_THERE} AND c.hash = ? ORDER BY p.path", (content_hash,))
        return [photo_of(row) for row in rows]

    def contents_where(self, where: PhotoFilter) -> list[int]:
        """Return the ids of the contents of which a photo passes, ascending."""
        condition, values = self._condition(where)
        tables = "photos p JOIN contents c ON c.id = p.content_id"
        sql = f"SELECT DISTINCT p.content_id FROM {tables} WHERE {condition} ORDER BY p.content_id"
        return [row[0] for row in self._all(sql, values)]

    def _condition(self, where: PhotoFilter | None, tagged: str = _TAGGED) -> tuple[str, tuple[Any, ...]]:
        """Return what stands behind WHERE, over ``photos p`` and ``contents c``, and its values."""
        if where is None:
            return _IS_THERE, ()
        self._db.create_function("fold", 1, _folded, deterministic=True)
        self._db.create_function("says", 2, _says, deterministic=True)
        if where.near is not None:
            self._db.create_function("within", 2, partial(_lies, where.near))
        terms = [(_IS_THERE, ()), *_terms(where, tagged)]
        values = tuple(value for _, values in terms for value in values)
        return " AND ".join(term for term, _ in terms), values


def _lies(circle: Circle, latitude: float | None, longitude: float | None) -> bool:
    return latitude is not None and longitude is not None and circle.holds(latitude, longitude)


def _levels(tag: str) -> str:
    return f"/{folded(tag.strip('/'))}/"


def _folded(text: str | None) -> str | None:
    return None if text is None else text.casefold()


def _says(word: str | None, asked: str) -> bool:
    """Return whether a word is what was asked for (``/dog/``, ``/animals/dog/``), or has it in its levels."""
    return word is not None and asked in f"/{folded(word)}/"


def _terms(where: PhotoFilter, tagged: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    if where.earliest:
        yield "c.taken_at >= ?", (where.earliest,)
    if where.latest:
        yield "substr(c.taken_at, 1, ?) <= ?", (len(where.latest), where.latest)
    if where.undated:
        yield "c.taken_at IS NULL", ()
    for column, part in (("camera", where.camera), ("lens", where.lens)):
        if part:
            yield f"instr(fold(c.{column}), fold(?)) > 0", (part,)
    if where.folders:
        places = [at_or_below(folder) for folder in where.folders]
        either = " OR ".join("p.path = ? OR (p.path >= ? AND p.path < ?)" for _ in places)
        yield f"({either})", tuple(value for place in places for value in place)
    if where.near is not None:
        # SQLite compares latitudes sooner than it calls Python.
        yield "c.latitude BETWEEN ? AND ? AND within(c.latitude, c.longitude)", where.near.latitudes()
    for tag in where.tags:
        yield tagged, (_levels(tag),) * 3
    for tag in where.without_tags:
        yield f"NOT {tagged}", (_levels(tag),) * 3
    if where.min_side:
        yield "min(c.width, c.height) >= ?", (min(where.min_side, _LARGEST),)
    if where.orientation is not None:
        yield _SHAPES[where.orientation], ()
