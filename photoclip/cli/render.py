"""One renderer for every command that lists photos: tables for people, exact bytes for programs."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from photoclip.cli.talk import harmless, say
from photoclip.errors import BadUsage
from photoclip.records import Photo

if TYPE_CHECKING:
    from rich.text import Text

Row = dict[str, Any]
"""Fields by name, in the order of the columns; ``path`` (and any other path) is bytes."""

_NARROW = 60
_NO_EDGE = 10_000
# The wide forms count where text is written in Chinese or Japanese.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NOT_IN_JSON = "[\x7f-\x9f\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]"


class Format(str, Enum):
    """How a list of photos is written."""

    table = "table"
    paths = "paths"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"
    tsv = "tsv"


class ReaderGone(Exception):
    """Who read our output has seen enough (``| head -1``): that is no error.

    Typer would take the BrokenPipeError itself for one.
    """


class Style(NamedTuple):
    """How rows are written, as the user asked."""

    format: Format
    print0: bool = False
    template: str | None = None

    @classmethod
    def of(cls, format: Format | None, print0: bool = False, template: str | None = None) -> Style:
        """Settle what the options leave open; raises BadUsage for options that contradict."""
        if template is not None and format is not None:
            raise BadUsage("--template and --format cannot both be given")
        if print0 and format not in (None, Format.paths):
            raise BadUsage(f"--print0 ends paths; it says nothing about {format.value if format else ''}")
        if print0 or template is not None:
            return cls(Format.paths, print0, template)
        return cls(format or (Format.table if sys.stdout.isatty() else Format.paths))


def photo_fields(photo: Photo) -> Row:
    """Return the documented fields of a photo."""
    facts = photo.facts
    return {
        "path": photo.path,
        "taken_at": facts.taken_at,
        "width": facts.width,
        "height": facts.height,
        "size": photo.size,
        "format": facts.format,
        "camera": facts.camera,
        "lens": facts.lens,
        "latitude": facts.latitude,
        "longitude": facts.longitude,
        "hash": photo.content_hash.hex(),
    }


def write(
    rows: Iterable[Row],
    style: Style,
    *,
    table: Callable[[Sequence[Row]], None],
    json_row: Callable[[Row], Mapping[str, Any]] | None = None,
    fields: Sequence[str] = (),
    paths: Callable[[Row], Iterable[bytes]] = lambda row: (row["path"],),
) -> int:
    """Write rows to stdout in ``style`` and return how many there were.

    ``table`` draws them for people; ``json_row`` turns a row into its JSON object (default: the row);
    ``fields`` are the columns, for templates and for lists without rows; ``paths`` the paths of a row.
    """
    counted = _Counter(rows)
    if style.template is not None:
        _write_template(counted, style, fields)
    elif style.format is Format.paths:
        _write_paths(counted, style, paths)
    elif style.format is Format.table:
        table(list(counted))
    elif style.format in (Format.csv, Format.tsv):
        _write_cells(counted, style.format, fields)
    else:
        _write_json(counted, style.format, json_row or (lambda row: row))
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error
    return counted.count


class _Counter:
    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self.rows:
            self.count += 1
            yield row


def put(data: bytes) -> None:
    """Write bytes to stdout; raises ReaderGone when nobody reads them any more."""
    try:
        sys.stdout.buffer.write(data)
    except BrokenPipeError as error:
        raise ReaderGone from error


# -- paths and templates --------------------------------------------------------------------------


def _write_paths(rows: Iterable[Row], style: Style, paths: Callable[[Row], Iterable[bytes]]) -> None:
    split = 0
    for row in rows:
        for path in paths(row):
            split += b"\n" in path
            put(path + b"\0" if style.print0 else _surrogates(_for_reader(path)) + b"\n")
    if split and not style.print0:
        say(f"note: {split} of these names hold a newline; -0 keeps them whole")


def _for_reader(text: str | bytes) -> str:
    """Return a text or path as it is for a program, and harmless for a terminal."""
    text = cell(text)
    return harmless(text) if sys.stdout.isatty() else text


def _write_template(rows: Iterable[Row], style: Style, fields: Sequence[str]) -> None:
    template = (style.template or "").replace("\\t", "\t").replace("\\n", "\n").replace("\\0", "\0")
    known = dict.fromkeys(fields)
    for _, name, _, _ in _parsed(template):
        if name is not None and name not in known:
            raise BadUsage(f"--template knows no {{{name}}}", f"it knows: {', '.join(known)}")
    for row in rows:
        line = "".join(_filled(part, row) for part in _parsed(template))
        data = _surrogates(line)
        put(data + (b"\0" if style.print0 else b"\n"))


def _parsed(template: str) -> list[tuple[str, str | None, str | None, str | None]]:
    import string

    try:
        return list(string.Formatter().parse(template))
    except ValueError as error:
        raise BadUsage(f"--template cannot be understood: {error}") from error


def _filled(part: tuple[str, str | None, str | None, str | None], row: Row) -> str:
    text, name, spec, _ = part
    if name is None:
        return text
    value = row.get(name)
    if isinstance(value, (bytes, str)):
        value = _for_reader(value)
    if value is None:
        return text
    try:
        return text + format(value, spec or "")
    except ValueError as error:
        raise BadUsage(f"--template: {{{name}:{spec}}} does not fit {name}: {error}") from error


def _surrogates(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


# -- machine formats ------------------------------------------------------------------------------


def _write_json(rows: Iterable[Row], format: Format, json_row: Callable[[Row], Mapping[str, Any]]) -> None:
    if format is Format.jsonl:
        for row in rows:
            put(to_json(json_row(row)) + b"\n")
        return
    separator = b"[\n"
    for row in rows:
        put(separator + to_json(json_row(row)))
        separator = b",\n"
    put(b"[]\n" if separator == b"[\n" else b"\n]\n")


def to_json(value: Mapping[str, Any]) -> bytes:
    """Return strict, UTF-8 JSON on one line in which nothing acts on a terminal.

    A path (bytes) becomes text under its key, and, when it is not UTF-8, the exact bytes in base64
    under ``KEY_b64`` as well.
    """
    text = json.dumps(_jsonable(value), ensure_ascii=False, allow_nan=False)
    return re.sub(_NOT_IN_JSON, lambda match: f"\\u{ord(match.group()):04x}", text).encode("utf-8")


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        flat: dict[str, Any] = {}
        for key, item in value.items():
            if isinstance(item, bytes):
                flat.update(_json_path(key, item))
            else:
                flat[key] = _jsonable(item)
        return flat
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    return value


def _json_path(key: str, path: bytes) -> dict[str, str]:
    try:
        return {key: path.decode("utf-8")}
    except UnicodeDecodeError:
        import base64

        return {key: path.decode("utf-8", "replace"), f"{key}_b64": base64.b64encode(path).decode("ascii")}


def _write_cells(rows: Iterable[Row], format: Format, fields: Sequence[str]) -> None:
    line = _csv_line if format is Format.csv else _tsv_line
    put(line(list(fields)))
    for row in rows:
        put(line([row.get(name) for name in fields]))


def _csv_line(values: Sequence[Any]) -> bytes:
    """Return one RFC 4180 line; text that a spreadsheet would run as a formula gets a leading apostrophe."""
    import csv
    import io

    cells = []
    for value in values:
        text = _for_reader(cell(value))
        if isinstance(value, (str, bytes)) and text.startswith(_FORMULA):
            text = "'" + text
        cells.append(text)
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return _surrogates(line.getvalue())


def _tsv_line(values: Sequence[Any]) -> bytes:
    escapes = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
    cells = [_for_reader("".join(escapes.get(c, c) for c in cell(value))) for value in values]
    return _surrogates("\t".join(cells) + "\n")


def cell(value: Any) -> str:
    """Return a value as text, with what is not UTF-8 in a path as lone surrogates."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    # Not os.fsdecode: what is written is UTF-8, whatever the locale takes names for.
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


# -- tables ---------------------------------------------------------------------------------------


def draw(
    columns: Sequence[tuple[str, str]],
    rows: Iterable[Sequence[object]],
    faint: Sequence[bool] = (),
    line: str = "",
) -> None:
    """Draw a table; cells are never markup. ``columns`` are (title, side): ``left`` or ``right`` for what is
    short, ``fold`` for text of any length, as which the last column always counts.

    The rows that are ``faint`` matter less; where they follow all others, ``line`` stands between.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Who reads a table from a file or a pipe has no right-hand edge.
    width = None if sys.stdout.isatty() else _NO_EDGE
    console = Console(highlight=False, emoji=False, markup=False, width=width)
    texts = [[Text(harmless(cell(value))) for value in row] for row in rows]
    shown = columns[-_shown(columns, texts, console.width) :]
    titled = any(title for title, _ in shown)
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=titled)
    for number, (title, side) in enumerate(shown, start=1):
        if side == "fold" or number == len(shown):
            table.add_column(title, overflow="fold", min_width=min(_NARROW // 3, console.width))
        else:
            table.add_column(title, justify="right" if side == "right" else "left", no_wrap=True)
    first = faint.index(True) if any(faint) and list(faint) == sorted(faint) else 0
    for number, row in enumerate(texts):
        if number and number == first:
            table.add_row(*[""] * (len(shown) - 1), line, style="dim")
        table.add_row(*row[-len(shown) :], style="dim" if faint and faint[number] else None)
    with console.capture() as drawn:
        console.print(table)
    put(drawn.get().encode(sys.stdout.encoding or "utf-8", "backslashreplace"))


def _shown(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Text]], width: int) -> int:
    """Return how many columns, of the last ones, have room in ``width``: the last says which photo or label
    it is, and matters most."""
    if width < _NARROW:
        return 1
    needed = _NARROW // 3
    for number in range(2, len(columns) + 1):
        title, side = columns[-number]
        widest = max((row[-number].cell_len for row in rows), default=0)
        needed += 1 + max(len(title), _NARROW // 3 if side == "fold" else widest)
        if needed > width:
            return number - 1
    return len(columns)


def pixels(row: Row) -> str:
    """Return ``4000×3000``."""
    return f"{row['width']}×{row['height']}"


def day(row: Row) -> str:
    """Return the day a photo was taken, or nothing."""
    return (row["taken_at"] or "")[:10]


def near(path: bytes) -> bytes:
    """Return a path as short as a reader at this place needs it."""
    try:
        here = os.path.join(os.getcwdb(), b"")
    except OSError:  # this folder was deleted, or may not be seen
        return path
    return path[len(here) :] if path.startswith(here) else path
