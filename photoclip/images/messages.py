"""What a decode worker and its parent say to each other: bytes with lengths, and nothing that acts.

A worker reads files of unknown origin, and one of them may take it over. So its parent believes
nothing: no pickle, no length without a limit, no text or number that a photo cannot have.

A message is the length of its head (4 bytes), the head in JSON, and what the head does not hold as
it is. On the way it follows its own length (4 bytes).
"""

from __future__ import annotations

import json
import math
import socket
import struct
import time
import unicodedata
from collections.abc import Callable
from typing import Any, NoReturn

from photoclip.records import (
    DecodedPhoto,
    FileStamp,
    KnownContent,
    PhotoFacts,
    Preprocessing,
    Problem,
    ScannedFile,
)

Outcome = DecodedPhoto | KnownContent | Problem | None
"""What comes of one file; None: it is not there any more."""

OUT_OF_MEMORY = 77
"""Exit status of a worker that met its memory limit."""

READY = b"ready"
"""A worker's answer to its settings."""

KNOWN, NEW = b"known", b"new"
"""The parent's answers to the hash of a file: leave it, decode it."""

LONGEST = 0xFFFFFFFF
"""The longest message there can be, in bytes."""

_JOINERS = "\u200c\u200d"
_LENGTH = struct.Struct(">I")
_HASH = 32
_RENDERING = 1024
_TEXT = 1000  # characters
KEYWORDS, KEYWORD_LETTERS = 250, 10_000
"""How many keywords of a photo there can be, and how many letters in all of them."""

_HEAD = (1 << 14) + 12 * KEYWORD_LETTERS + 4 * KEYWORDS
"""Bytes of an outcome besides its pixels: JSON in ASCII writes a letter in up to 12."""
_LARGEST = 1 << 31


class Malformed(Exception):
    """A message that no worker of ours has sent."""


# -- on the way -----------------------------------------------------------------------------------


def send(channel: socket.socket, message: bytes, deadline: float | None = None) -> None:
    """Send a message. Raises TimeoutError when ``deadline`` (in seconds of ``time.monotonic``) has
    come, another OSError when nobody is there."""
    channel.settimeout(_left(deadline))
    channel.sendall(_LENGTH.pack(len(message)) + message)


def receive(channel: socket.socket, limit: int, deadline: float | None = None) -> bytearray:
    """Wait for a message of at most ``limit`` bytes, to its last byte.

    Raises TimeoutError as ``send``, Malformed when the message is longer, EOFError or OSError when
    nobody is there.
    """
    (length,) = _LENGTH.unpack(_exactly(channel, _LENGTH.size, deadline))
    if length > limit:
        raise Malformed(f"{length} bytes")
    return _exactly(channel, length, deadline)


def _exactly(channel: socket.socket, count: int, deadline: float | None) -> bytearray:
    content = bytearray(count)
    rest = memoryview(content)
    while rest:
        channel.settimeout(_left(deadline))
        read = channel.recv_into(rest)
        if not read:
            raise EOFError
        rest = rest[read:]
    return content


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


# -- to the worker --------------------------------------------------------------------------------


def pack_settings(preprocessing: Preprocessing | None, memory_limit: int) -> bytes:
    """Return the first message to a worker; ``memory_limit`` is in bytes."""
    wanted = None if preprocessing is None else preprocessing._asdict()
    return _packed({"preprocessing": wanted, "memory": memory_limit})


def unpack_settings(message: bytearray) -> tuple[Preprocessing | None, int]:
    """Return what ``pack_settings`` was given."""
    head, _ = _unpacked(message)
    wanted = head["preprocessing"]
    if wanted is None:
        return None, head["memory"]
    wanted |= {"mean": tuple(wanted["mean"]), "std": tuple(wanted["std"])}
    return Preprocessing(**wanted), head["memory"]


def pack_task(file: ScannedFile) -> bytes:
    """Return a file to be decoded as a message."""
    stamp = file.stamp.size, file.stamp.mtime_ns, file.stamp.ctime_ns, file.stamp.inode
    return _packed({"stamp": stamp}, file.path)


def unpack_task(message: bytearray) -> ScannedFile:
    """Return what ``pack_task`` was given."""
    head, path = _unpacked(message)
    return ScannedFile(bytes(path), FileStamp(*head["stamp"]))


# -- from the worker ------------------------------------------------------------------------------


def longest_outcome(preprocessing: Preprocessing | None) -> int:
    """Return how many bytes a worker can have to say about a file at most."""
    return _HEAD + _HASH + _RENDERING + _pixels(preprocessing)


def _pixels(preprocessing: Preprocessing | None) -> int:
    return 3 * preprocessing.size**2 if preprocessing else 0


def pack_hash(content_hash: bytes) -> bytes:
    """Return the hash of a file as a message, to be answered with KNOWN or NEW."""
    return _packed({"is": "hash"}, content_hash)


def pack_outcome(outcome: Outcome) -> bytes:
    """Return the outcome of a task as a message. (KnownContent is none: the parent knows that first.)"""
    if isinstance(outcome, DecodedPhoto):
        facts = {name: getattr(outcome.facts, name) for name in _RIGHT}
        head = {"is": "photo", "facts": facts, "keywords": outcome.keywords}
        return _packed(head, outcome.content_hash, outcome.rendering, outcome.pixels)
    if isinstance(outcome, Problem):
        words = {"kind": outcome.kind, "reason": outcome.reason, "waits_for": outcome.waits_for}
        return _packed({"is": "problem", **words})
    return _packed({"is": "gone"})


def unpack_answer(message: bytearray, path: bytes, preprocessing: Preprocessing | None) -> bytes | Outcome:
    """Return the hash, or the outcome, of the file ``path`` that a worker with these settings has packed.

    Raises Malformed for anything else. A Problem's path is ``path``, whatever the worker says.
    """
    try:
        head, rest = _unpacked(message)
        return _answer(head, rest, path, _pixels(preprocessing))
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError, struct.error) as error:
        raise Malformed(type(error).__name__) from error


def _answer(head: dict[str, Any], rest: memoryview, path: bytes, pixels: int) -> bytes | Outcome:
    kind = head.pop("is")
    if kind == "photo" and len(rest) == _HASH + _RENDERING + pixels:
        keywords = _keywords(head.pop("keywords"))
        facts = _facts(**head)
        middle = _HASH + _RENDERING
        parts = bytes(rest[:_HASH]), facts, bytes(rest[middle:]), bytes(rest[_HASH:middle])
        return DecodedPhoto(*parts, keywords)
    if kind == "hash" and not head and len(rest) == _HASH:
        return bytes(rest)
    if kind == "problem" and not rest:
        return _problem(path, **head)
    if kind == "gone" and not head and not rest:
        return None
    raise ValueError(kind)


def _problem(path: bytes, kind: object, reason: object, waits_for: object) -> Problem:
    if kind not in ("unreadable", "unsupported") or not reason or not _is_text(reason, waits_for):
        raise ValueError(kind)
    return Problem(path, kind, str(reason), str(waits_for))


def _facts(facts: dict[str, Any]) -> PhotoFacts:
    if any(not is_right(facts[name]) for name, is_right in _RIGHT.items()):
        raise ValueError("facts")
    return PhotoFacts(**facts)


def _keywords(words: object) -> tuple[str, ...]:
    if not isinstance(words, list) or len(words) > KEYWORDS or not all(map(_is_keyword, words)):
        raise ValueError("keywords")
    if sum(map(len, words)) > KEYWORD_LETTERS:
        raise ValueError("keywords")
    return tuple(words)


def _is_keyword(word: object) -> bool:
    # Not every letter that people use is printable to Python: neither joiners, as in many emoji and in
    # Persian, nor letters that are newer than it.
    return (
        isinstance(word, str)
        and word.strip() != ""
        and all(
            letter in _JOINERS or letter.isprintable() or unicodedata.category(letter) in ("Cn", "Co")
            for letter in word
        )
    )


def _is_text(*values: object) -> bool:
    return all(isinstance(value, str) and len(value) <= _TEXT and value.isprintable() for value in values)


def _number(lowest: int, highest: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and lowest <= value <= highest


def _degrees(limit: int) -> Callable[[object], bool]:
    return lambda value: (
        value is None or (type(value) in (int, float) and math.isfinite(value) and abs(value) <= limit)  # type: ignore[arg-type]
    )


def _text_or_none(value: object) -> bool:
    return value is None or _is_text(value)


_RIGHT: dict[str, Callable[[object], bool]] = {
    "width": _number(1, _LARGEST),
    "height": _number(1, _LARGEST),
    "format": _is_text,
    "taken_at": _text_or_none,
    "camera": _text_or_none,
    "lens": _text_or_none,
    "latitude": _degrees(90),
    "longitude": _degrees(180),
    "orientation": _number(1, 8),
}
"""What each fact of a photo can be."""


# -- both ways ------------------------------------------------------------------------------------


def _packed(head: dict[str, Any], *parts: bytes) -> bytes:
    text = json.dumps(head).encode("ascii")
    return b"".join((_LENGTH.pack(len(text)), text, *parts))


def _unpacked(message: bytearray) -> tuple[dict[str, Any], memoryview]:
    """Return the head and the rest of a message."""
    (length,) = _LENGTH.unpack_from(message)
    whole = memoryview(message)
    end = _LENGTH.size + length
    if end > len(message):
        raise ValueError(length)
    head = json.loads(str(whole[_LENGTH.size : end], "ascii"), parse_constant=_refuse)
    if not isinstance(head, dict):
        raise ValueError(head)
    return head, whole[end:]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
