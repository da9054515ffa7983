"""One run of the command line: the streams it is given, and the exit code it ends with."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

from photoclip.cli import quick
from photoclip.cli.render import ReaderGone
from photoclip.cli.talk import say_error
from photoclip.errors import INTERRUPTED, PhotoclipError


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; every known error becomes ``error:`` and ``hint:``.

    Of an interrupt nothing is said here: that is for the one who ends the process.
    """
    debug = "--debug" in arguments
    _ready_streams()
    try:
        code = _call(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _silently(INTERRUPTED)
    except (BrokenPipeError, ReaderGone, SystemExit):  # the last is how Typer takes a broken pipe
        return _silently(0)
    except PhotoclipError as error:
        if debug:
            raise
        say_error(str(error), error.hint)
        return _silently(error.exit_code)
    except OSError as error:
        if debug:
            raise
        place = os.fsdecode(error.filename) if error.filename else "the output cannot be written"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        say_error(f"{place}: {error.strerror or error}", "free some space, then try again" if full else "")
        return _silently(1)


def _call(arguments: Sequence[str]) -> int:
    plain = quick.read(arguments)
    if plain is not None:
        command, session, parameters = plain
        command.show(session, parameters)
        return 0
    from photoclip.cli import app  # Typer takes longer to load than a search takes

    return app.call(arguments)


class _Nowhere(io.RawIOBase):
    """A stream to which nothing can be written; it says so once, and is silent at the very end."""

    _refused = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not self._refused:
            self._refused = True
            raise OSError(errno.EBADF, "there is no standard output")
        return len(data)


def _ready_streams() -> None:
    """Have a stdin and a stdout that can be used, whatever the caller left open and says of its letters."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115  open as long as the process
    if sys.stdout is None:
        # What is written to a stream that was closed is lost, and must not look like success.
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(_Nowhere()), encoding="utf-8")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _silently(code: int) -> int:
    """Return ``code`` with stdout led nowhere, so that the interpreter's last flush cannot fail."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        return code
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return code
