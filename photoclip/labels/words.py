"""What both forms of a file of labels have in common: which words may stand in it, and which only once."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from photoclip.errors import BadUsage
from photoclip.labels.lists import Label

LONGEST = 200
"""Characters of a label, a synonym, a prompt or an entry of others."""
MOST_LABELS = 5_000
"""Others included: every two of them are compared."""

_BLANKS = re.compile(r"[\t \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_JOINERS = dict.fromkeys((0x200C, 0x200D))
"""No letters by themselves, but Persian words and many emoji are not whole without them."""


class Fault(Exception):
    """Why a file cannot be used. ``place`` is where, in terms of its reader; ``other`` is a place that the
    reason speaks of last."""

    def __init__(self, reason: str, hint: str = "", *, place: Any = None, other: Any = None) -> None:
        super().__init__(reason)
        self.hint, self.place, self.other = hint, place, other

    def at(self, place: Any) -> Fault:
        """Return the fault, with a place if it has none yet."""
        self.place = place if self.place is None else self.place
        return self

    def told(self, source: str, line: Callable[[Any], int]) -> BadUsage:
        """Return the error for the user; ``line`` knows the line of a place."""
        other = "" if self.other is None else f" in line {line(self.other)}"
        return BadUsage(f"{source}, line {line(self.place)}: {self}{other}", self.hint)


def plain(text: str, what: str) -> str:
    """Return ``text`` as it is kept: composed (NFC), each run of blanks one space, none at the ends."""
    text = _BLANKS.sub(" ", unicodedata.normalize("NFC", text)).strip(" ")
    if not text:
        raise Fault(f"{what} is empty")
    bad = next((c for c in text.translate(_JOINERS) if not c.isprintable()), "")
    if bad:
        raise Fault(f"{what} may not hold control characters or invisible ones (U+{ord(bad):04X})")
    if len(text) > LONGEST:
        raise Fault(f"{what} of {len(text)} characters", f"{LONGEST} at most")
    return text


def label_name(text: str) -> str:
    """Return the name of a label, without the spaces around its levels."""
    text = plain(text, "a label")
    levels = [level.strip(" ") for level in text.split("/")]
    if not all(levels):
        raise Fault(f"{text!r} has an empty level", "levels are joined by one /: Animals/Dog")
    if "|" in text:  # it joins the levels in the keywords of other programs
        raise Fault(f"{text!r} holds a |", f"levels are joined by /: {text.replace('|', '/')}")
    return "/".join(levels)


def synonym(text: str) -> str:
    """Return a synonym: a word without levels."""
    text = plain(text, "a synonym")
    if "/" in text:
        raise Fault(f"the synonym {text!r} holds a /", "a synonym is a word; only labels have levels")
    return text


def other(text: str) -> str:
    """Return an entry of ``others``: a word without levels."""
    text = plain(text, "an entry of others")
    if "/" in text:
        raise Fault(f"the entry {text!r} of others holds a /", "others are words; only labels have levels")
    return text


def prompt(text: str) -> str:
    """Return a prompt, in which ``{}`` stands for a word."""
    text = plain(text, "a prompt")
    if re.search(r"[{}]", text.replace("{}", "")):
        raise Fault(f"the prompt {text!r} holds a brace", "{} stands for a word; no other braces are known")
    return text


class Gathering:
    """The labels and others read so far. Case does not tell two words apart."""

    def __init__(self) -> None:
        self.labels: list[Label] = []
        self.others: list[str] = []
        self._names: dict[str, tuple[str, Any]] = {}
        self._words: dict[tuple[str, str], tuple[str, Any]] = {}
        self._anywhere: dict[str, tuple[str, Any]] = {}  # words and levels of any branch
        self._others: dict[str, Any] = {}

    def add(self, label: Label, places: Sequence[Any]) -> None:
        """Take ``label``, of whose words each has one of the ``places``.

        Raises Fault for a name or a word that stands for a label already. In another branch of the
        hierarchy a word may stand again: Fruit/Orange is not Colours/Orange.
        """
        if len(self.labels) == MOST_LABELS:
            raise Fault("too many labels", f"{MOST_LABELS} at most", place=places[0])
        if label.name.casefold() in self._names:
            name, other = self._names[label.name.casefold()]
            as_what = "" if name == label.name else f" as {name!r}"
            raise Fault(f"{label.name!r} stands already{as_what}", place=places[0], other=other)
        self._names[label.name.casefold()] = (label.name, places[0])
        branch = label.name.rpartition("/")[0].casefold()
        for word, place in zip(label.words, places, strict=True):
            key = (branch, word.casefold())
            if key in self._words:
                of, other = self._words[key]
                hint = "a word stands for one label; in another branch (Animals/…) it may stand again"
                raise Fault(f"{word!r} stands already for {of!r}", hint, place=place, other=other)
            self._words[key] = self._anywhere[word.casefold()] = (label.name, place)
        for level in branch.split("/"):
            self._anywhere.setdefault(level, (label.name, places[0]))
        self.labels.append(label)

    def add_other(self, text: str, place: Any) -> None:
        """Take ``text``, one of the others; all labels are there by now.

        Raises Fault for one that stands already, and for what is a word or a level of a label.
        """
        if len(self.labels) + len(self.others) == MOST_LABELS:
            raise Fault("too many others", f"{MOST_LABELS} at most, labels included", place=place)
        key = text.casefold()
        if key in self._others:
            raise Fault(f"{text!r} stands already", place=place, other=self._others[key])
        if key in self._anywhere:
            of, line = self._anywhere[key]
            hint = "others are what photos show that is none of the labels"
            raise Fault(f"{text!r} is a word or a level of {of!r}", hint, place=place, other=line)
        self._others[key] = place
        self.others.append(text)

    def known(self, name: str) -> str:
        """Return the name of the label that is meant by ``name``. Raises Fault if there is none."""
        if name.casefold() not in self._names:
            raise Fault(f"{name!r} is no label of this file", nearest(name, self.labels_by_name()))
        return self._names[name.casefold()][0]

    def labels_by_name(self) -> dict[str, Label]:
        """Return the labels by their names."""
        return {label.name: label for label in self.labels}


def nearest(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the hint that names the nearest known word."""
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), 1)
    return f"did you mean {close[0]!r}?" if close else otherwise
