"""What keywords a packet holds, and which of them are ours.

They stand in several lists, for programs differ: dc:subject is flat, lr:hierarchicalSubject holds
``Animals|Dog`` and TagsList ``Animals/Dog``. A hierarchical keyword is usually in the flat list too, level by
level. Here each is one keyword again, its levels joined by "/".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from photoclip.xmp.document import Document, decoded

DC = "http://purl.org/dc/elements/1.1/"
LR = "http://ns.adobe.com/lightroom/1.0/"
OURS = "urn:photoclip:1.0/"
SUBJECT, HIERARCHICAL = DC + "subject", LR + "hierarchicalSubject"
RECORDS = {SUBJECT: OURS + "addedSubject", HIERARCHICAL: OURS + "addedHierarchicalSubject"}
"""For each list that we add to, the list of what we have added."""

COPIES = ("http://www.digikam.org/ns/1.0/TagsList", "http://ns.microsoft.com/photo/1.0/LastKeywordXMP")
"""Lists that some programs keep besides; they too name each level."""

SEPARATORS = {HIERARCHICAL: "|", RECORDS[HIERARCHICAL]: "|", **dict.fromkeys(COPIES, "/")}
"""What stands between the levels of an entry; in the other lists an entry is one level."""

_LENGTH_LIMIT = 200
_COUNT_LIMIT = 1000
_JOINERS = "\u200c\u200d"  # Persian and emoji need them
_NO_LETTERS = "\ufffe\uffff"  # XML holds them no more than control characters

Levels = tuple[str, ...]


class Keywords(NamedTuple):
    """Keywords of a photo, their levels joined by "/": the user's (or another program's), and ours."""

    own: tuple[str, ...]
    ours: tuple[str, ...]


def keywords(packet: bytes) -> Keywords:
    """Return the keywords in a packet: at most 1,000 of 200 characters of either kind, each on one line.

    Ours are those that we added and that are still there; another program that has copied one of them into
    a list of its own does not make it the user's. Raises NotXmp.
    """
    document = Document(decoded(packet)[0])
    ours = set()
    for name, record in RECORDS.items():
        ours |= {*map(path_key, levels_in(document, name))} & {*map(path_key, levels_in(document, record))}
    entries = [one for name in (HIERARCHICAL, *COPIES, SUBJECT) for one in levels_in(document, name)]
    own = [one for one in entries if path_key(one) not in ours]
    theirs = {key(level) for one in own if len(one) > 1 for level in one}
    return Keywords(_folded(own), _folded((one for one in entries if path_key(one) in ours), theirs))


def one_line(text: str) -> str:
    """Return text from a file or a label as one clean line: without control characters, which could act on a
    terminal and which XML cannot hold, and without those that turn the direction of what follows."""
    text = text.strip()[: 4 * _LENGTH_LIMIT]
    if not text.isprintable():
        text = "".join(_printable(text))
    return " ".join(text.split())[:_LENGTH_LIMIT].rstrip()


def key(text: str) -> str:
    """Return what two spellings of one keyword have in common."""
    return unicodedata.normalize("NFC", text).casefold()


def path_key(levels: Levels) -> str:
    """Return what two spellings of one hierarchical keyword have in common."""
    return "\n".join(map(key, levels))  # a flat keyword may hold any character of one line


def levels_of(name: str, text: str) -> Levels:
    """Return the levels of an entry of the list ``name``; none if nothing is left of it."""
    separator = SEPARATORS.get(name)
    return tuple(filter(None, map(one_line, text.split(separator) if separator else [text])))


def levels_in(document: Document, name: str) -> list[Levels]:
    """Return the entries of a list, each as its levels."""
    return [levels for item in document.items(name) if (levels := levels_of(name, item.text))]


def _printable(text: str) -> Iterator[str]:
    for letter in text:
        kind = unicodedata.category(letter)
        if kind[0] == "Z" or kind in ("Cc", "Cs") or letter in _NO_LETTERS:
            yield " "
        elif kind != "Cf" or letter in _JOINERS:
            yield letter


def _folded(entries: Iterable[Levels], known: Collection[str] = ()) -> tuple[str, ...]:
    """Return each entry once, the first spelling of it; without those that are no more than a level of
    another, or are ``known``."""
    entries = list(entries)
    levels = {key(level) for one in entries if len(one) > 1 for level in one} | set(known)
    found: dict[str, str] = {}
    for one in entries:
        if len(one) > 1 or key(one[0]) not in levels:
            text = "/".join(one)[:_LENGTH_LIMIT].rstrip()
            found.setdefault(key(text), text)
    return tuple(found.values())[:_COUNT_LIMIT]
