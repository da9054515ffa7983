"""Writing thresholds into the text of a ``labels.toml``; nothing else in it changes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping

from photoclip.labels.lists import Label, LabelList
from photoclip.labels.toml import Path, Place, parse, places
from photoclip.labels.words import label_name

_Edit = tuple[int, int, str]
"""What stands from one place in the text to another is replaced."""


def with_thresholds(
    text: str | None, labels: LabelList, thresholds: Mapping[str, float], *, moved: bool = False
) -> str:
    """Return the text of a ``labels.toml`` with these ``thresholds`` (0 to 1) of labels.

    ``text`` is that of the file that ``labels`` were read from: its comments, order and line ends stay. None
    if there is no such file or it has the other form: then all is written from ``labels``. If the text shall
    be kept in another folder, it is ``moved``: the paths of examples become absolute.
    """
    if text is None:
        return "\n".join(_written(labels, thresholds))
    edits: list[_Edit] = []
    found = places(text)
    line_end = "\r\n" if "\r\n" in text else "\n"
    examples = {label.name: label.examples for label in labels.labels if label.examples}
    for key in parse(text)["labels"]:
        path: Path = ("labels", key)
        name = label_name(key)
        if name in thresholds:
            edits.append(_edit(text, line_end, found, path, _number(thresholds[name])))
        if moved and name in examples:
            place = found[(*path, "examples")]
            edits.append((place.begin, place.end, _paths(examples[name])))
    return "".join(_edited(text, sorted(edits)))


def _edited(text: str, edits: Iterable[_Edit]) -> Iterator[str]:
    at = 0
    for begin, end, new in edits:
        yield text[at:begin]
        yield new
        at = end
    yield text[at:]


def _edit(text: str, line_end: str, found: Mapping[Path, Place], path: Path, number: str) -> _Edit:
    """Return the edit that gives the label at ``path`` a threshold."""
    if (*path, "threshold") in found:
        old = found[(*path, "threshold")]
        return old.begin, old.end, number
    setting, place = f"threshold = {number}", found[path]
    if place.form == "header":
        end = text.find("\n", place.end)
        end = len(text) if end < 0 else end - (text[end - 1] == "\r")
        return end, end, line_end + setting
    if place.form == "dotted":
        key = ".".join(_key(part) for part in path[place.outer :])
        return place.start, place.start, f"{key}.{setting}" + (", " if place.inline else line_end)
    value = text[place.begin : place.end]
    if value.startswith("["):
        return place.begin, place.end, f"{{ synonyms = {value}, {setting} }}"
    more = value[1:].lstrip() != "}"
    return place.begin + 1, place.begin + 1, f" {setting}" + ("," if more else " ")


def _written(labels: LabelList, thresholds: Mapping[str, float]) -> Iterator[str]:
    """Yield the lines of a file that means ``labels`` with ``thresholds``."""
    if labels.others:
        yield f"others = {_strings(labels.others)}"
        yield ""
    for label in labels.labels:
        yield f"[labels.{_key(label.name)}]"
        yield from _settings(label, thresholds.get(label.name, label.threshold))
        yield ""
    for group in labels.groups:
        yield f"[groups.{_key(group.name)}]"
        yield f"{'exactly-one' if group.exactly_one else 'at-most-one'} = {_strings(group.labels)}"
        yield ""


def _settings(label: Label, threshold: float | None) -> Iterator[str]:
    if label.words[1:]:
        yield f"synonyms = {_strings(label.words[1:])}"
    if label.prompts:
        yield f"prompts = {_strings(label.prompts)}"
    if threshold is not None:
        yield f"threshold = {_number(threshold)}"
    if label.examples:
        yield f"examples = {_paths(label.examples)}"


def _number(threshold: float) -> str:
    return repr(float(threshold))


def _key(key: str | int) -> str:
    return str(key) if re.fullmatch("[A-Za-z0-9_-]+", str(key)) else _string(str(key))


def _string(text: str) -> str:
    # JSON strings are TOML strings: the escapes are the same.
    return json.dumps(text, ensure_ascii=False)


def _strings(texts: Iterable[str]) -> str:
    return f"[{', '.join(_string(text) for text in texts)}]"


def _paths(paths: Iterable[bytes]) -> str:
    return _strings(os.fsdecode(path) for path in paths)
