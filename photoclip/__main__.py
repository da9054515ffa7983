"""``python -m photoclip`` and the ``photoclip`` command."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import NoReturn

from photoclip.errors import INTERRUPTED

_GRACE = 1.0
"""Seconds after Ctrl-C in which the program may end by itself."""
_IMPORTER = "<frozen importlib._bootstrap>"
_SHOW_CURSOR = b"\r\x1b[K\x1b[?25h"


def main() -> None:
    """Run the command line and end the process with its exit code; Ctrl-C ends it soon, and calmly."""
    ending = threading.Lock()
    try:
        _watch_for_interrupts(ending)
        gc.disable()
        from photoclip.cli.run import run

        gc.freeze()  # what is loaded by now stays
        gc.enable()
        code = run(sys.argv[1:])
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: nothing is left to interrupt
    except KeyboardInterrupt:  # even in the middle of an import
        code = INTERRUPTED
    if code == INTERRUPTED:
        _end_interrupted(ending)
    _end(code)


def _end(code: int) -> NoReturn:
    """End the process. All is closed and written: to take the interpreter and its modules apart, one by one,
    would take 10 ms after a search, and more after torch. Whoever asked to be called at the end is called."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or there never was one
            stream.flush()
    os._exit(code)


def _watch_for_interrupts(ending: threading.Lock) -> None:
    """Have the first Ctrl-C raise KeyboardInterrupt, and a thread that ends the process where that is too
    slow: the interpreter raises only between two steps of Python, and torch or hnswlib take long ones."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    threading.Thread(target=_end_after_grace, args=(reader, ending), daemon=True).start()

    def interrupt(_: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # one is enough: the process is about to end
        if _is_importing(frame):
            _end_at_once(ending)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    sys.unraisablehook = _unraisable


def _is_importing(frame: FrameType | None) -> bool:
    """Return whether a module is being imported: some of torch's abort on an exception they do not know."""
    while frame is not None and frame.f_code.co_filename != _IMPORTER:
        frame = frame.f_back
    return frame is not None


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    """Say nothing of a KeyboardInterrupt that came where none can be raised: the thread will end it."""
    if what.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(what)


def _end_after_grace(reader: int, ending: threading.Lock) -> None:
    while os.read(reader, 1) != bytes((signal.SIGINT,)):
        pass
    time.sleep(_GRACE)
    _end_at_once(ending)


def _end_at_once(ending: threading.Lock) -> None:
    if os.isatty(2):
        os.write(2, _SHOW_CURSOR)  # a progress bar has no time left to do it
    _end_interrupted(ending)


def _end_interrupted(ending: threading.Lock) -> None:
    """Say so, once, and end the process at once: the interpreter's own last steps would wait for threads,
    and CPython ends by a signal instead of the exit code where Ctrl-C met certain imports."""
    if ending.acquire(blocking=False):
        with contextlib.suppress(OSError):  # nobody may be listening
            os.write(2, b"error: interrupted; what was stored is kept\n")
        os._exit(INTERRUPTED)
    time.sleep(_GRACE)  # the other thread is about to end us


if __name__ == "__main__":
    main()
