"""The entries that labels of ours make in the lists of a packet, and the record of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from photoclip.xmp.document import RDF, Document
from photoclip.xmp.reading import (
    COPIES,
    HIERARCHICAL,
    OURS,
    RECORDS,
    SUBJECT,
    Levels,
    levels_in,
    levels_of,
    one_line,
    path_key,
)

LABELS = OURS + "addedFor"
LISTS = (SUBJECT, HIERARCHICAL, *RECORDS.values(), LABELS)
WAS = {
    SUBJECT: OURS + "subjectWas",
    HIERARCHICAL: OURS + "hierarchicalSubjectWas",
    RDF + "RDF": OURS + "RDFWas",
}
"""What we record of an element that was empty when we came: "list", "nothing", or these with a slash when
the tag was closed in itself. Without it, nobody could tell whether it was there at all."""

ABOUT = {RDF + "about", "about"}


def levels_of_label(label: str) -> Levels:
    """Return the levels of a label, which may hold what a file should not; none if nothing is left of it."""
    return tuple(filter(None, map(one_line, label.replace("|", "/").split("/"))))


def label_key(label: str) -> str:
    """Return what two spellings of a label have in common."""
    return path_key(levels_of_label(label))


def entries(levels: Levels) -> Iterator[tuple[str, str]]:
    """Yield the entries that a label makes, each with its list."""
    for level in levels:
        yield SUBJECT, level
    if len(levels) > 1:
        yield HIERARCHICAL, "|".join(levels)


def keys_of(labels: Iterable[Levels]) -> set[tuple[str, str]]:
    """Return the entries of labels by their keys."""
    return {(name, key_in(name, text)) for levels in labels for name, text in entries(levels)}


def key_in(name: str, text: str) -> str:
    """Return what two spellings of one entry of the list ``name`` have in common."""
    return label_key(text) if name == LABELS else path_key(levels_of(name, text))


def held(document: Document, name: str) -> dict[str, str]:
    """Return the entries of a list by their keys."""
    return {key_in(name, item.text): item.text for item in document.items(name)}


def held_elsewhere(document: Document) -> dict[str, set[str]]:
    """Return the keys of what the lists that we add to lack, but the user has all the same: flat keywords in
    lists for hierarchical ones, and what stands in other programs' lists only."""
    found: dict[str, set[str]] = {SUBJECT: set(), HIERARCHICAL: set()}
    for name in (HIERARCHICAL, *COPIES):
        for levels in levels_in(document, name):
            found[HIERARCHICAL if len(levels) > 1 else SUBJECT].add(path_key(levels))
    return found


def recorded_labels(document: Document) -> dict[str, Levels]:
    """Return the labels of ours by their keys. A recorded entry that belongs to none of them, for somebody
    has removed that, is a label of its own."""
    labels = {entry: levels_of_label(text) for entry, text in held(document, LABELS).items()}
    for name in (HIERARCHICAL, SUBJECT):
        covered = keys_of(labels.values())
        for entry, text in held(document, RECORDS[name]).items():
            if (name, entry) not in covered:
                labels[entry] = levels_of(name, text)
    return labels
