"""From the name of a file of labels, or of a starter list, to the list."""

from __future__ import annotations

import os

from photoclip.errors import BadUsage
from photoclip.labels.lines import read_labels
from photoclip.labels.lists import LabelList
from photoclip.labels.tables import read_toml
from photoclip.labels.words import nearest

_BUILTIN = "builtin:"
_STARTERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "starters")
_MOST_BYTES = 5_000_000


def starter_lists() -> tuple[str, ...]:
    """Return the names of the lists that come with photoclip."""
    return tuple(
        sorted(name.removesuffix(".toml") for name in os.listdir(_STARTERS) if name.endswith(".toml"))
    )


def open_labels(name: str) -> LabelList:
    """Read a list of labels: ``builtin:NAME``, a file that ends in ``.toml``, or one with a label a line.

    Raises BadUsage, with file, line and reason, for one that cannot be used; nothing is half-read.
    """
    text, path = label_text(name), _path(name)
    if path.lower().endswith(".toml"):
        return read_toml(text, name, os.fsencode(os.path.dirname(path)))
    return read_labels(text, name)


def label_text(name: str) -> str:
    """Return the text of a file of labels, named as for ``open_labels``. Raises BadUsage."""
    try:
        # A pipe is as good as a file, so the size is not asked for.
        with open(_path(name), "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadUsage(f"the labels cannot be read: {name}: {reason}") from error
    return text_of(data, name)


def text_of(data: bytes, source: str) -> str:
    """Return the text of the bytes of a file of labels. Raises BadUsage, naming ``source``, for no text."""
    if len(data) > _MOST_BYTES:
        raise BadUsage(f"{source} is too large for a file of labels", f"{_MOST_BYTES // 10**6} MB at most")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadUsage(f"{source}, line 1: this is UTF-16, not UTF-8", "save the file as UTF-8")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        reason = f"this is no UTF-8 text (byte 0x{data[error.start]:02X})"
        raise BadUsage(f"{source}, line {line}: {reason}", "save the file as UTF-8") from error


def _path(name: str) -> str:
    """Return the file that ``name`` means."""
    if not name.startswith(_BUILTIN):
        return name
    listed = starter_lists()
    starter = name.removeprefix(_BUILTIN)
    if starter not in listed:
        hint = nearest(starter, listed).replace("'", f"'{_BUILTIN}", 1) or f"there are {', '.join(listed)}"
        raise BadUsage(f"there is no list {name}", hint)
    return os.path.join(_STARTERS, f"{starter}.toml")
