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

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from photoclip.xmp.document import Document, Edit, Event, NotXmp, decoded, edited, encoded, items_of, list_in
from photoclip.xmp.entries import (
    ABOUT,
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
from photoclip.xmp.reading import OURS, RECORDS
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
    return encoded(_checked(document, edits, added, {}), encoding)


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
        packet = encoded(_checked(document, cuts.edits, {}, cuts.taken), encoding)
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


# -- seeing that it was right ---------------------------------------------------------------------


def _checked(
    before: Document,
    edits: list[Edit],
    added: Mapping[str, list[str]],
    taken: Mapping[str, list[str]],
) -> bytes:
    """Return the document after the edits, once it has been read again: the lists hold what they should, and
    everything else is as it was. Raises NotXmp."""
    after = Document(edited(before.data, edits))
    right = all(
        Counter(_texts(after, name))
        == Counter(_texts(before, name)) + Counter(added.get(name, ())) - Counter(taken.get(name, ()))
        for name in LISTS
    )
    ours = {name: {*held(before, record), *held(after, record)} for name, record in RECORDS.items()}
    if not right or _of_others(before, ours) != _of_others(after, ours):
        raise NotXmp("it is built in a way that photoclip cannot change safely")
    return after.data


def _texts(document: Document, name: str) -> list[str]:
    return [item.text for item in document.items(name)]


def _of_others(document: Document, ours: Mapping[str, Collection[str]]) -> list[Event]:
    """Return all events but those of our elements and, since one more or less means nothing, of
    descriptions as such and of the lists that we add to."""
    kept: list[Event | None] = list(document.events)
    for description in document.rdf.children:
        kept[description.last] = None
        facts = {name: value for name, value in description.attributes.items() if name not in ABOUT}
        kept[description.first] = ("facts", *sorted(facts.items())) if facts else None
        for node in description.children:
            if node.name.startswith(OURS):
                kept[node.first : node.last + 1] = [None] * (node.last + 1 - node.first)
            elif node.name in ours:
                for shell in filter(None, (node, list_in(node))):
                    kept[shell.first] = kept[shell.last] = None
                for text, member in items_of(node):
                    if member is not None and key_in(node.name, text) in ours[node.name]:
                        kept[member.first : member.last + 1] = [None] * (member.last + 1 - member.first)
    return [event for event in kept if event is not None]
