"""What keywords a packet holds, and which of them are ours.

They stand in several lists, for programs differ: dc:subject is flat, lr:hierarchicalSubject holds
``Animals|Dog`` and TagsList ``Animals/Dog``. A hierarchical keyword is usually in the flat list too, level by
level. Here each is one keyword again, its levels joined by "/".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from photoclip.xmp.document import Document

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

LENGTH_LIMIT = 200
"""Characters of a keyword."""

_JOINERS = "\u200c\u200d"  # Persian and emoji need them
_NO_LETTERS = "\ufffe\uffff"  # XML holds them no more than control characters

Levels = tuple[str, ...]


def one_line(text: str) -> str:
    """Return text from a file or a label as one clean line: without control characters, which could act on a
    terminal and which XML cannot hold, and without those that turn the direction of what follows."""
    text = text.strip()[: 4 * LENGTH_LIMIT]
    if not text.isprintable():
        text = "".join(_printable(text))
    return " ".join(text.split())[:LENGTH_LIMIT].rstrip()


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
