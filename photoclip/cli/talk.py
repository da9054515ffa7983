"""Talk goes to stderr: notes, errors and hints, with nothing in them that a terminal would obey."""

from __future__ import annotations

import re
import sys

# C0, DEL, C1, line and paragraph separators, and the marks that reorder text.
_ACTING = "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\udc80-\udcff]"


def harmless(text: str) -> str:
    """Return ``text`` with every character that acts on a terminal written as an escape."""
    return re.sub(_ACTING, _escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as os.fsdecode hands it on
        return f"\\x{code - 0xDC00:02x}"
    short = {9: "\\t", 10: "\\n", 13: "\\r"}
    return short.get(code) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def say(text: str) -> None:
    """Write a line to stderr; a closed stderr is nobody listening."""
    try:
        sys.stderr.write(
            harmless(text)
            .encode(sys.stderr.encoding or "utf-8", "backslashreplace")
            .decode(sys.stderr.encoding or "utf-8")
            + "\n"
        )
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass


def say_error(text: str, hint: str = "") -> None:
    """Write ``error: …`` and, where it helps, ``hint: …``."""
    say(f"error: {text}")
    if hint:
        say(f"hint: {hint}")


def counted(count: int, noun: str) -> str:
    """Return ``1 photo``, ``2 photos``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
