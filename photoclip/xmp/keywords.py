"""What a packet says: the user's keywords, and the labels that we have written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from photoclip.xmp.document import Document, decoded
from photoclip.xmp.entries import recorded_labels
from photoclip.xmp.reading import (
    COPIES,
    HIERARCHICAL,
    LENGTH_LIMIT,
    RECORDS,
    SUBJECT,
    Levels,
    key,
    levels_in,
    path_key,
)

_COUNT_LIMIT = 1000


class Keywords(NamedTuple):
    """Keywords of a photo, their levels joined by "/": the user's ``own``, or another program's, and the
    labels of ``ours`` that the packet records, also where the user has deleted their keywords since."""

    own: tuple[str, ...]
    ours: tuple[str, ...]


def keywords(packet: bytes) -> Keywords:
    """Return the keywords in a packet: at most 1,000 of 200 characters of either kind, each on one line.

    What we added is not the user's, and does not become so when another program copies it into a list of its
    own. Raises NotXmp.
    """
    document = Document(decoded(packet)[0])
    return Keywords(_texts(_own(document)), _texts(recorded_labels(document).values()))


def own_levels(packet: bytes) -> list[Levels]:
    """Return the user's keywords in a packet as their levels, each in its first spelling; all of them.

    "24/7" is then another keyword than "7" below "24". Raises NotXmp.
    """
    found: dict[str, Levels] = {}
    for one in _own(Document(decoded(packet)[0])):
        found.setdefault(path_key(one), one)
    return list(found.values())


def _own(document: Document) -> Iterator[Levels]:
    """Yield the entries that are the user's, without those that are no more than a level of another."""
    added = set()
    for name, record in RECORDS.items():
        added |= {*map(path_key, levels_in(document, name))} & {*map(path_key, levels_in(document, record))}
    entries = [one for name in (HIERARCHICAL, *COPIES, SUBJECT) for one in levels_in(document, name)]
    own = [one for one in entries if path_key(one) not in added]
    levels = {key(level) for one in own if len(one) > 1 for level in one}
    yield from (one for one in own if len(one) > 1 or key(one[0]) not in levels)


def _texts(entries: Iterable[Levels]) -> tuple[str, ...]:
    """Return each entry once as a text, the first spelling of it."""
    found: dict[str, str] = {}
    for one in filter(None, entries):
        text = "/".join(one)[:LENGTH_LIMIT].rstrip()
        found.setdefault(key(text), text)
    return tuple(found.values())[:_COUNT_LIMIT]
