"""How a command is run, in a pipe or on a terminal, and how what it wrote is read."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from photoclip.cli.run import run
from tests.conftest import command, environment
from tests.terminal import acting, on_terminal

# -- how a command is run -------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """What a command wrote, as data and as talk (on a real terminal both are ``out``)."""

    code: int
    out: bytes
    err: bytes


Runner = Callable[..., Said]
"""(arguments, stdin=b"", terminal=False) -> Said."""


class _Stream(io.TextIOWrapper):
    """A stream that says it is a terminal, or that it is none."""

    def __init__(self, terminal: bool, errors: str) -> None:
        self.bytes = io.BytesIO()
        self.terminal = terminal
        super().__init__(self.bytes, encoding="utf-8", errors=errors, newline="\n")

    def isatty(self) -> bool:
        return self.terminal

    def taken(self) -> bytes:
        self.flush()
        return self.bytes.getvalue()


def in_this_process(arguments: Sequence[bytes], stdin: bytes = b"", terminal: bool = False) -> Said:
    """Run a command here: quick, with streams that only claim to be a terminal."""
    ours = sys.stdin, sys.stdout, sys.stderr
    out, err = _Stream(terminal, "strict"), _Stream(terminal, "backslashreplace")
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(_COLUMNS)
    sys.stdin, sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO(stdin)), out, err
    try:
        code = run([os.fsdecode(one) for one in arguments])
        return Said(code, out.taken(), err.taken())
    finally:
        sys.stdin, sys.stdout, sys.stderr = ours
        if columns is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = columns


def in_its_own(arguments: Sequence[bytes], stdin: bytes = b"", terminal: bool = False) -> Said:
    """Run a command in a process, in a pipe or on a pseudo-terminal."""
    line = command(*arguments)
    if terminal:
        screen, code = on_terminal(line, _COLUMNS, stdin)
        return Said(code, screen, b"")
    done = subprocess.run(line, input=stdin, capture_output=True, env=environment(), timeout=120)
    return Said(done.returncode, done.stdout, done.stderr)


_COLUMNS = 5000


# -- how what it wrote is read --------------------------------------------------------------------


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def exact(row: dict[str, Any], key: str = "path") -> bytes:
    return base64.b64decode(row[f"{key}_b64"]) if f"{key}_b64" in row else row[key].encode()


def rows_in(out: bytes) -> list[dict[str, Any]]:
    """Return JSON or JSON lines, strictly read, as rows."""
    text = out.decode("utf-8")
    documents = [text] if text.startswith("[") else text.split("\n")[:-1]
    read = [json.loads(one, parse_constant=_refuse) for one in documents]
    return read[0] if text.startswith("[") else read


def _photos(row: dict[str, Any]) -> list[dict[str, Any]]:
    return row.get("photos") or [row]


def _from_json(out: bytes) -> list[bytes]:
    return [exact(photo) for row in rows_in(out) for photo in _photos(row)]


def _from_csv(out: bytes) -> list[bytes]:
    text = out.decode("utf-8", "surrogateescape")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    cells = [cell for row in rows for cell in row.values()]
    formulas = [cell for cell in cells if re.match(r"[=+@\t\r\n\uff1d\uff0b\uff0d\uff20]|-(?![\d.]+$)", cell)]
    if formulas:
        raise ValueError(f"a spreadsheet would run {formulas[0]!r}")
    return [os.fsencode(row["path"]) for row in rows]


def _from_tsv(out: bytes) -> list[bytes]:
    head, *lines = out.split(b"\n")[:-1]
    place = head.split(b"\t").index(b"path")
    letters = {b"t": b"\t", b"n": b"\n", b"r": b"\r", b"\\": b"\\"}
    cells = [line.split(b"\t") for line in lines]
    if {len(line) for line in cells} - {head.count(b"\t") + 1}:
        raise ValueError("a line has another number of cells")
    return [re.sub(rb"\\(.)", lambda match: letters[match[1]], line[place]) for line in cells]


def _from_nul(out: bytes) -> list[bytes]:
    return [path for path in out.split(b"\0") if path]


READERS: dict[str, tuple[tuple[bytes, ...], Callable[[bytes], list[bytes]]]] = {
    "json": ((b"-f", b"json"), _from_json),
    "jsonl": ((b"-f", b"jsonl"), _from_json),
    "csv": ((b"-f", b"csv"), _from_csv),
    "tsv": ((b"-f", b"tsv"), _from_tsv),
    "print0": ((b"-0",), _from_nul),
    "template and print0": ((b"--template", b"{path}", b"-0"), _from_nul),
}
"""Formats that hold a name exactly: their options, and what gets the paths back."""

SHOWN: dict[str, tuple[bytes, ...]] = {
    "table": (b"-f", b"table"),
    "paths": (b"-f", b"paths"),
    "template": (b"--template", b"<{path}>"),
}
"""Formats of which a name may fill several lines."""


def shown(path: bytes) -> bytes:
    """Return a path as a person must see it: what acts is spelled out."""
    letters = []
    for letter in os.fsdecode(path):
        code = ord(letter)
        if 0xDC80 <= code <= 0xDCFF:
            letters.append(f"\\x{code - 0xDC00:02x}")
        elif letter in "\t\n\r":
            letters.append({"\t": "\\t", "\n": "\\n", "\r": "\\r"}[letter])
        elif unicodedata.category(letter) in ("Cc", "Zl", "Zp") or acting(letter.encode()):
            letters.append(f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
        else:
            letters.append(letter)
    return "".join(letters).encode()
