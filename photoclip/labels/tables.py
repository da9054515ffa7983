"""``labels.toml``: labels with prompts, thresholds and examples of their own, groups, and others."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from photoclip.labels import words
from photoclip.labels.lists import Group, Label, LabelList
from photoclip.labels.toml import Path, line_of, parse
from photoclip.labels.words import Fault, Gathering, nearest

_TOP = ("prompts", "threshold", "others", "labels", "groups")
_LABEL = ("synonyms", "prompts", "threshold", "examples")
_GROUP = ("exactly-one", "at-most-one")


class _Usual(NamedTuple):
    """What holds for a label that says nothing else, and the folder of its examples."""

    prompts: tuple[str, ...]
    threshold: float | None
    folder: bytes


def read_toml(text: str, source: str, folder: bytes) -> LabelList:
    """Parse the text of a ``labels.toml``; ``folder`` is where relative examples are.

    Raises BadUsage, naming ``source``, the line and the reason, for a text that cannot be used.
    """
    try:
        return _list(parse(text), folder)
    except Fault as fault:
        raise fault.told(source, lambda place: _line(text, place)) from fault.__cause__


def _line(text: str, place: Path | int) -> int:
    return place if isinstance(place, int) else line_of(text, place)


def _list(tables: dict[str, Any], folder: bytes) -> LabelList:
    _check_keys(tables, _TOP, ())
    usual = _Usual(_prompts(tables, ()), _threshold(tables, ()), os.path.abspath(folder))
    gathered = Gathering()
    for key, value in _table(tables, "labels").items():
        path: Path = ("labels", key)
        label = _label(key, value, path, usual)
        inside = path if isinstance(value, list) else (*path, "synonyms")
        gathered.add(label, [path, *((*inside, number) for number in range(len(label.words) - 1))])
    if not gathered.labels:
        raise Fault("this file holds no label", 'write [labels], and below it: "Animals/Dog" = []', place=1)
    for text, place in _strings(tables, "others", ("others",)):
        gathered.add_other(_placed(words.other, text, place), place)
    groups = _groups(_table(tables, "groups"), gathered)
    return LabelList(tuple(gathered.labels), groups, tuple(gathered.others))


def _table(tables: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = tables.get(key, {})
    if not isinstance(value, dict):
        raise Fault(f"{key} is {_kind(value)}, not a table", f"write [{key}]", place=(key,))
    return value


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], path: Path) -> None:
    for key in table:
        if key not in known:
            hint = nearest(key, known, f"known here: {', '.join(known)}")
            raise Fault(f"unknown key {key!r}", hint, place=(*path, key))


def _label(key: str, value: Any, path: Path, usual: _Usual) -> Label:
    name = _placed(words.label_name, key, path)
    if key == "others" and isinstance(value, list):  # TOML takes a line below a header for a part of it
        raise Fault("others stands among the labels", "write it above [labels]", place=path)
    if isinstance(value, list):
        value, inside = {"synonyms": value}, path
    else:
        inside = (*path, "synonyms")
    if not isinstance(value, dict):
        hint = f"synonyms stand in a list: {key!r} = [{value!r}]" if isinstance(value, str) else ""
        raise Fault(f"{key!r} is {_kind(value)}, not a list of synonyms or a table", hint, place=path)
    for inner, below in value.items():
        if isinstance(below, dict) and inner not in _LABEL:
            hint = f'levels are joined by / in quotes: [labels."{key}/{inner}"]'
            raise Fault(f"unknown key {inner!r}", hint, place=(*path, inner))
    _check_keys(value, _LABEL, path)
    synonyms = tuple(
        _placed(words.synonym, word, place) for word, place in _strings(value, "synonyms", inside)
    )
    threshold = _threshold(value, path)
    return Label.of(name, synonyms)._replace(
        prompts=_prompts(value, path) or usual.prompts,
        threshold=usual.threshold if threshold is None else threshold,
        examples=tuple(_examples(value, path, usual.folder)),
    )


def _placed(read: Any, text: str, path: Path) -> str:
    try:
        return str(read(text))
    except Fault as fault:
        raise fault.at(path) from None


def _strings(table: Mapping[str, Any], key: str, path: Path) -> Iterable[tuple[str, Path]]:
    """Yield the strings of the list at ``key``, each with its place."""
    value = table.get(key, [])
    if not isinstance(value, list):
        raise Fault(f"{key} is {_kind(value)}, not a list", f'write {key} = ["…"]', place=path)
    for number, text in enumerate(value):
        if not isinstance(text, str):
            raise Fault(f"{key} holds {_kind(text)}; only strings belong there", place=(*path, number))
        yield text, (*path, number)


def _prompts(table: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    if table.get("prompts") == []:
        raise Fault("prompts is empty", "leave it out for the usual prompts", place=(*path, "prompts"))
    found: dict[str, Path] = {}
    for text, place in _strings(table, "prompts", (*path, "prompts")):
        prompt = _placed(words.prompt, text, place)
        if prompt in found:
            raise Fault(f"the prompt {prompt!r} stands already", place=place, other=found[prompt])
        found[prompt] = place
    return tuple(found)


def _threshold(table: Mapping[str, Any], path: Path) -> float | None:
    value = table.get("threshold")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        shown = value if _kind(value) == "a number" else _kind(value)
        raise Fault(f"threshold is {shown}, not a number from 0 to 1", place=(*path, "threshold"))
    return float(value)


def _examples(table: Mapping[str, Any], path: Path, folder: bytes) -> Iterable[bytes]:
    seen: dict[bytes, Path] = {}
    for name, place in _strings(table, "examples", (*path, "examples")):
        try:
            example = os.path.abspath(os.path.join(folder, os.path.expanduser(os.fsencode(name))))
            regular = stat.S_ISREG(os.stat(example).st_mode)
        except OSError as error:
            hint = f"looked for {os.fsdecode(example)}"
            raise Fault(f"the example {name!r}: {error.strerror}", hint, place=place) from error
        except ValueError:  # a NUL, or a character that no name of a file here can hold
            raise Fault(f"the example {name!r} is no name of a file", place=place) from None
        if not regular:
            raise Fault(f"the example {name!r} is not a file", place=place)
        if example in seen:
            raise Fault(f"the example {name!r} stands already", place=place, other=seen[example])
        seen[example] = place
        yield example


def _groups(tables: Mapping[str, Any], gathered: Gathering) -> tuple[Group, ...]:
    groups, taken = [], dict[str, Path]()
    for name, table in tables.items():
        path: Path = ("groups", name)
        if not isinstance(table, dict):
            hint = f"write [groups.{name}], and below it: exactly-one = [labels]"
            raise Fault(f"the group {name!r} is {_kind(table)}, not a table", hint, place=path)
        _check_keys(table, _GROUP, path)
        if len(table) != 1:
            reason = "says both exactly-one and at-most-one" if table else "is empty"
            raise Fault(
                f"the group {name!r} {reason}", "it has one of exactly-one and at-most-one", place=path
            )
        [kind] = table
        labels = _members(table, kind, (*path, kind), gathered, taken)
        groups.append(Group(_placed(_group_name, name, path), labels, kind == "exactly-one"))
    return tuple(groups)


def _group_name(text: str) -> str:
    return words.plain(text, "the name of a group")


def _members(
    table: Mapping[str, Any], kind: str, path: Path, gathered: Gathering, taken: dict[str, Path]
) -> tuple[str, ...]:
    labels = []
    for text, place in _strings(table, kind, path):
        try:
            label = gathered.known(words.label_name(text))
        except Fault as fault:
            raise fault.at(place) from None
        if label in taken:
            hint = "a label belongs to one group only"
            raise Fault(f"{label!r} is in a group already", hint, place=place, other=taken[label])
        taken[label] = place
        labels.append(label)
    if len(labels) < 2:
        raise Fault(f"{kind} names {len(labels)} label{'s'[: len(labels) != 1]}", "two at least", place=path)
    return tuple(labels)


def _kind(value: Any) -> str:
    for kind, name in ((bool, "true or false"), (str, "a string"), (int, "a number"), (float, "a number")):
        if isinstance(value, kind):
            return name
    return "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else "a date or time"
