"""Keywords of the user's own, added to a packet for good.

They come from another photo of the user's, and are not recorded as ours: photoclip never takes them away.
Where the packet has one of them because a label of ours put it there, it is the user's from now on: the
record of it goes, the entry stays.
"""

from __future__ import annotations

from collections.abc import Iterable

from photoclip.xmp.checking import checked
from photoclip.xmp.document import Document, decoded, encoded
from photoclip.xmp.entries import (
    LABELS,
    LISTS,
    entries,
    held,
    held_elsewhere,
    key_in,
    keys_of,
    recorded_labels,
)
from photoclip.xmp.inserting import insertions
from photoclip.xmp.labels import EMPTY
from photoclip.xmp.reading import COPIES, RECORDS, Levels, levels_of
from photoclip.xmp.removing import Cuts


def levels_of_keyword(keyword: str) -> Levels:
    """Return the levels of a keyword that are joined by "/"; none if nothing is left of it."""
    return levels_of(COPIES[0], keyword)


def with_keywords(packet: bytes | None, keywords: Iterable[Levels]) -> bytes:
    """Return ``packet`` (None: a new one) with what it lacks of these keywords as the user's own; itself when
    it lacks nothing. Raises NotXmp, as ``with_labels``."""
    wanted = [levels for levels in keywords if levels]
    data, encoding = decoded(EMPTY if packet is None else packet)
    after = _with_entries(Document(_claimed(Document(data), wanted)), wanted)
    return packet if packet is not None and after == data else encoded(after, encoding)


def _claimed(document: Document, wanted: list[Levels]) -> bytes:
    """Return the document without a record of these keywords."""
    recorded = {name: set(held(document, record)) for name, record in RECORDS.items()}
    going: dict[str, set[str]] = {}
    for name, entry in keys_of(wanted):
        if entry in recorded[name]:
            going.setdefault(RECORDS[name], set()).add(entry)
            recorded[name].remove(entry)
    if not going:
        return document.data
    left = {(name, entry) for name, ours in recorded.items() for entry in ours}
    going[LABELS] = {
        label for label, levels in recorded_labels(document).items() if not left & keys_of([levels])
    }
    cuts = Cuts(document, going)
    return checked(document, cuts.edits, {}, cuts.taken)


def _with_entries(document: Document, wanted: list[Levels]) -> bytes:
    """Return the document with the entries it lacks of these keywords."""
    elsewhere = held_elsewhere(document)
    there = {name: set(held(document, name)) | elsewhere[name] for name in RECORDS}
    added: dict[str, list[str]] = {name: [] for name in LISTS}
    for levels in wanted:
        for name, text in entries(levels):
            if key_in(name, text) not in there[name]:
                there[name].add(key_in(name, text))
                added[name].append(text)
    if not any(added.values()):
        return document.data
    return checked(document, list(insertions(document, added, for_good=True)), added, {})
