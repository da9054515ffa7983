"""``labels.txt``: one label a line."""

from __future__ import annotations

import re

from photoclip.errors import BadUsage
from photoclip.labels.lists import Label, LabelList
from photoclip.labels.words import Fault, Gathering, label_name, synonym

_ENDS = re.compile(r"\r\n?|\n")
_TABLE = re.compile(r"\[+ *(labels|groups)\b")


def read_labels(text: str, source: str) -> LabelList:
    """Parse a list of labels: one a line, its synonyms after ``=`` with commas, its levels joined by ``/``.

    Empty lines, and lines that begin with ``#``, do not count. Raises BadUsage, naming ``source``, the line
    and the reason, for a list that cannot be used.
    """
    gathered = Gathering()
    for number, line in enumerate(_ENDS.split(text.removeprefix("\ufeff")), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                label = _label(line)
                gathered.add(label, [number] * len(label.words))
            except Fault as fault:
                raise fault.at(number).told(source, int) from None
    if not gathered.labels:
        raise BadUsage(f"{source} holds no label", "write one label a line")
    return LabelList(tuple(gathered.labels))


def _label(line: str) -> Label:
    if _TABLE.match(line):
        raise Fault("this is the form of a labels.toml", "give the file a name that ends in .toml")
    if re.search(r"\s#\s", line):
        raise Fault("a comment after a label", "a comment stands on a line of its own")
    name, equals, rest = line.partition("=")
    if "=" in rest:
        raise Fault("two = in one line", "synonyms have commas between them: dog = puppy, hound")
    words = rest.split(",") if equals else []
    return Label.of(label_name(name), tuple(synonym(word) for word in words))
