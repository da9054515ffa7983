"""What runs inside a decode worker: files come in through a socket, pictures go out."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import warnings
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import BinaryIO

from PIL import Image

from photoclip import config
from photoclip.images.decoding import decode_file, refuse_unsupported
from photoclip.images.reading import UnreadablePhoto, hash_of, open_photo, stamp_of
from photoclip.records import DecodedPhoto, KnownContent, Preprocessing, Problem, ScannedFile

Task = tuple[ScannedFile, frozenset[bytes]]
"""A file, and the content hashes the library knows among files of its size."""

OUT_OF_MEMORY = 77
"""Exit status of a worker that met its memory limit."""


def serve(descriptor: int) -> None:
    """Answer tasks from the socket ``descriptor`` until it closes. Never returns.

    The first message is (Preprocessing or None, memory limit in bytes) and is answered with True;
    every other is a Task and is answered with its outcome, in order.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to act on
    connection = Connection(descriptor)
    preprocessing, memory_limit = connection.recv()
    _limit(memory_limit)
    connection.send(True)
    tasks: SimpleQueue[Task] = SimpleQueue()
    Thread(target=_listen, args=(connection, tasks), daemon=True).start()
    while True:
        file, known = tasks.get()
        connection.send(_outcome(file, known, preprocessing))


def _limit(memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Not every system can limit memory, and one that is stricter already stays so.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    config.one_blas_thread()  # each thread of numpy's would take address space
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None  # decoding has limits of its own


def _listen(connection: Connection, tasks: SimpleQueue[Task]) -> None:
    """Pass tasks on, and end the process when the parent is gone, even in the middle of a picture."""
    try:
        while True:
            tasks.put(connection.recv())
    except (EOFError, OSError):
        os._exit(0)


def _outcome(
    file: ScannedFile, known: frozenset[bytes], preprocessing: Preprocessing | None
) -> DecodedPhoto | KnownContent | Problem | None:
    try:
        with open_photo(file.path) as opened:
            refuse_unsupported(file.path)
            try:
                _refuse_changed(file, opened)
                content_hash = hash_of(opened)
                if content_hash in known:
                    return KnownContent(content_hash)
                return decode_file(opened, content_hash, preprocessing)
            finally:
                # What went wrong, or right, with half of another version is of no interest.
                _refuse_changed(file, opened)
    except FileNotFoundError:
        return None
    except UnreadablePhoto as error:
        return Problem(file.path, error.kind, error.reason)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)  # after a failed allocation a fresh process is the safer one


def _refuse_changed(file: ScannedFile, opened: BinaryIO) -> None:
    now = stamp_of(opened)
    if (now.size, now.mtime_ns) != (file.stamp.size, file.stamp.mtime_ns):
        raise UnreadablePhoto("unreadable", "it changed while it was read")
