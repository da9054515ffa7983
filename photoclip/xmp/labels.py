"""Labels of ours in a packet: added and taken away by splicing.

The label ``Animals/Dog`` becomes the entries "Animals" and "Dog" of dc:subject and "Animals|Dog" of
lr:hierarchicalSubject. One that the packet has already is the user's: it is neither added nor claimed. What
we have added is recorded beside it, and so is which labels it was for, since two labels can share a level. An
entry that is recorded and no longer there was deleted by the user, and does not come back.

Where the user's program has such a list, ours go into that; else all of it stands in one rdf:Description of
our own. An element that goes takes the white space in front of it along, which is what came with it: so the
bytes are again what they were.
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
    label_key,
    levels_of_label,
    recorded_labels,
)
from photoclip.xmp.inserting import insertions
from photoclip.xmp.reading import RECORDS
from photoclip.xmp.removing import Cuts

EMPTY = b"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="photoclip">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 </rdf:RDF>
</x:xmpmeta>
"""
"""A packet without anything in it, which every sidecar of ours begins as."""


def with_labels(packet: bytes | None, labels: Iterable[str]) -> bytes:
    """Return ``packet`` (None: a new one) with what it lacks of these labels; itself when it lacks nothing.

    The levels of a label are joined by "/". Raises NotXmp when the packet cannot be read, or cannot be
    changed without risk to what others have written.
    """
    data, encoding = decoded(EMPTY if packet is None else packet)
    document = Document(data)
    added = _missing(document, labels)
    if not any(added.values()):
        return packet or EMPTY
    edits = list(insertions(document, added))
    return encoded(checked(document, edits, added, {}), encoding)


def without_labels(packet: bytes, labels: Iterable[str] | None, keeping: Iterable[str] = ()) -> bytes | None:
    """Return ``packet`` without what we have added for these labels (None: for all) except those of
    ``keeping``, but with what other labels of ours still need.

    Returns ``packet`` itself when there is nothing to take away, None when it was ours alone and nothing is
    left. Raises NotXmp, as ``with_labels``.
    """
    data, encoding = decoded(packet)
    document = Document(data)
    cuts = Cuts(document, _leaving(document, labels, keeping))
    if cuts.edits:
        packet = encoded(checked(document, cuts.edits, {}, cuts.taken), encoding)
    return None if packet == EMPTY else packet


def _missing(document: Document, labels: Iterable[str]) -> dict[str, list[str]]:
    """Return what each list lacks of these labels."""
    there = {name: set(held(document, name)) for name in LISTS}
    elsewhere = held_elsewhere(document)
    added: dict[str, list[str]] = {name: [] for name in LISTS}

    def add(name: str, text: str) -> None:
        if key_in(name, text) not in there[name]:
            there[name].add(key_in(name, text))
            added[name].append(text)

    for levels in sorted(set(map(levels_of_label, labels)) - {()}):
        is_ours = False
        for name, text in entries(levels):
            if key_in(name, text) not in there[RECORDS[name]]:
                if key_in(name, text) in there[name] | elsewhere[name]:
                    continue  # the user's own
                add(name, text)
                add(RECORDS[name], text)
            is_ours = True
        if is_ours:
            add(LABELS, "/".join(levels))
    return added


def _leaving(document: Document, labels: Iterable[str] | None, keeping: Iterable[str]) -> dict[str, set[str]]:
    """Return the keys of what each list loses with these labels."""
    ours = recorded_labels(document)
    leaving = set(ours) if labels is None else set(ours) & set(map(label_key, labels))
    leaving -= set(map(label_key, keeping))
    needed = keys_of(levels for name, levels in ours.items() if name not in leaving)
    going: dict[str, set[str]] = {LABELS: leaving}
    recorded = {name: held(document, record) for name, record in RECORDS.items()}
    for name, entry in keys_of(ours[label] for label in leaving) - needed:
        if entry in recorded[name]:
            going.setdefault(name, set()).add(entry)
            going.setdefault(RECORDS[name], set()).add(entry)
    return going
