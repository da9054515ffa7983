"""A real terminal for commands to run on, and what must never reach it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Sequence

from tests.conftest import environment

PROMPT = b"photoclip> "


def on_terminal(
    line: list[str], columns: int = 200, stdin: bytes | None = None, keys: Sequence[bytes] = (), **env: str
) -> tuple[bytes, int]:
    """Run a command on a terminal of its own; return what the terminal got and the exit code.

    ``stdin``: what comes through a pipe instead of the keyboard, ``keys``: what is typed at one prompt
    after the other. An empty ``TERM`` in ``env`` is none.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    variables = {
        name: value
        for name, value in environment(**{"TERM": "xterm-256color", **env}).items()
        if (name not in ("NO_COLOR", "COLUMNS") or name in env) and (name, value) != ("TERM", "")
    }
    process = subprocess.Popen(
        line,
        stdin=theirs if stdin is None else subprocess.PIPE,
        stdout=theirs,
        stderr=theirs,
        env=variables,
        start_new_session=True,
    )
    os.close(theirs)
    if stdin is not None:
        assert process.stdin is not None
        with process.stdin:
            process.stdin.write(stdin)
    screen = b""
    waiting = list(keys)
    try:
        while chunk := os.read(ours, 65536):
            screen += chunk
            if waiting and screen.count(PROMPT) > len(keys) - len(waiting):
                os.write(ours, waiting.pop(0))
    except OSError:  # Linux says EIO at the end
        pass
    finally:
        os.close(ours)
    return screen, process.wait(60)


# SGR, erase, cursor up and the cursor's visibility: what a table in colour and a progress bar need.
_OURS = re.compile(rb"\x1b\[[0-9;]*m|\x1b\[\?25[hl]|\x1b\[[0-9]*[AK]|\r")
_ACTING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def acting(screen: bytes) -> list[str]:
    """Return what a terminal would obey in ``screen``, besides our own codes; bytes that are no UTF-8 too."""
    left = _OURS.sub(b"", screen).decode("utf-8", "surrogateescape")
    return _ACTING.findall(left) + re.findall("[\udc80-\udcff]", left)


def plain(screen: bytes) -> bytes:
    """Return what a terminal shows of ``screen``, without colours and carriage returns."""
    return _OURS.sub(b"", screen)
