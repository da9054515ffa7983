"""A file of the corpus: what it is, and what is right to make of it."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass

from tests.faults import formats
from tests.faults.formats import CORNERS, HEIGHT, WIDTH, Colour

PHOTO = frozenset({"photo"})
BROKEN = frozenset({"unreadable"})
REFUSED = frozenset({"unreadable", "unsupported"})
EITHER = PHOTO | BROKEN
ANY = PHOTO | REFUSED
LEFT_OUT = frozenset({"skipped"})


@dataclass(frozen=True)
class Seen:
    """What a person would see: width and height, and the colours of the four quarters, each channel
    ``within`` so much (above left and right, below left and right)."""

    width: int = WIDTH
    height: int = HEIGHT
    quarters: tuple[Colour, ...] = CORNERS
    within: int = 14


@dataclass(frozen=True)
class Specimen:
    """One file, what it is, and its right outcomes: "photo", "unreadable", "unsupported", "skipped" (neither
    in the library nor among its problems). A photo has to look like ``seen``, where that is known."""

    path: bytes
    what: str
    right: frozenset[str]
    seen: Seen | None = None
    slow: bool = False


FOUR = Seen()


def grey(*values: int, within: int = 6) -> Seen:
    """Return what is seen of a grey picture."""
    return Seen(quarters=tuple((value, value, value) for value in values), within=within)


class Corpus:
    """The folder that is being filled."""

    def __init__(self, folder: bytes, chance: random.Random) -> None:
        self.folder = folder
        self.chance = chance
        self.whole = formats.whole_files()
        self.specimens: list[Specimen] = []

    def name(self, what: str, ending: str) -> bytes:
        """Return the path of the next file."""
        plain = "".join(letter if letter.isalnum() else "-" for letter in what)
        return os.path.join(self.folder, f"{len(self.specimens):03}-{plain}.{ending}".encode())

    def add(
        self, path: bytes, what: str, right: frozenset[str], seen: Seen | None = None, *, slow: bool = False
    ) -> None:
        """Take down a file that is there already."""
        self.specimens.append(Specimen(path, what, right, seen, slow))

    def put(
        self,
        what: str,
        ending: str,
        content: bytes,
        right: frozenset[str],
        seen: Seen | None = None,
        *,
        slow: bool = False,
    ) -> bytes:
        """Write a file and take it down."""
        path = self.name(what, ending)
        with open(path, "wb") as file:
            file.write(content)
        self.add(path, what, right, seen, slow=slow)
        return path
