"""Records as lines of JSON that show whether they are as they were written.

Each line ends with a sum over itself and its number, so that a line that was changed, put in or taken out is
found, and can be named. The sum guards against slips of a hand or a drive, not against a forger.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

Record = dict[str, Any]
_SUM = "sum"


class Unsound(Exception):
    """A line is not as it was written. ``str(error)`` is the reason."""


def line_of(number: int, record: Mapping[str, Any]) -> bytes:
    """Return a record as line ``number`` (from 1): ASCII, so that nothing in it acts on a terminal."""
    return _dumped({**record, _SUM: _sum(number, record)}) + b"\n"


def record_of(number: int, line: bytes) -> Record:
    """Return the record in line ``number``; raises Unsound."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise Unsound("it is not JSON") from None
    if not isinstance(record, dict):
        raise Unsound("it is not a JSON object")
    if record.pop(_SUM, None) != _sum(number, record):
        raise Unsound("it was changed, or a line before it was put in or taken out")
    return record


def path_fields(key: str, path: bytes) -> dict[str, str]:
    """Return a path as text under ``key``, and where that is not UTF-8, in base64 under ``key_b64``."""
    try:
        return {key: path.decode("utf-8")}
    except UnicodeDecodeError:
        shown = path.decode("utf-8", "replace")
        return {key: shown, f"{key}_b64": base64.b64encode(path).decode("ascii")}


def path_in(record: Mapping[str, Any], key: str) -> bytes:
    """Return the path under ``key``, which must be absolute; raises Unsound."""
    try:
        exact = record.get(f"{key}_b64")
        path: bytes = record[key].encode("utf-8") if exact is None else base64.b64decode(exact, validate=True)
    except (KeyError, AttributeError, TypeError, ValueError):
        raise Unsound(f"there is no {key} in it") from None
    if not path.startswith(b"/") or b"\0" in path:
        raise Unsound(f"its {key} is not an absolute path")
    return path


def field(record: Mapping[str, Any], key: str, kind: type) -> Any:
    """Return what stands under ``key``, of this very type; raises Unsound."""
    value = record.get(key)
    if type(value) is not kind:
        raise Unsound(f"there is no {key} in it, or none that can be")
    return value


def _sum(number: int, record: Mapping[str, Any]) -> str:
    return hashlib.sha256(b"%d " % number + _dumped(record)).hexdigest()[:16]


def _dumped(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, allow_nan=False, separators=(",", ":")).encode("ascii")
