"""Seeing that a splice was right: the packet is read once more before anybody writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from photoclip.xmp.document import Document, Edit, Event, NotXmp, edited, items_of, list_in
from photoclip.xmp.entries import ABOUT, LISTS, held, key_in
from photoclip.xmp.reading import OURS, RECORDS


def checked(
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
    ours = {
        name: {
            *held(before, record),
            *held(after, record),
            *(key_in(name, text) for text in added.get(name, ())),
        }
        for name, record in RECORDS.items()
    }
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
