"""What runs inside a decode worker: files come in through a socket, pictures go out."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import warnings
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import BinaryIO

from PIL import Image, PngImagePlugin

from photoclip import config
from photoclip.images import messages
from photoclip.images.decoding import decode_file
from photoclip.images.messages import OUT_OF_MEMORY, Outcome
from photoclip.images.reading import UnreadablePhoto, changed, hash_of, open_photo, stamp_of
from photoclip.records import KnownContent, Preprocessing, Problem, ScannedFile

_TEXT_BYTES = 32_000_000
_KEPT_BYTES = 30 << 20  # glibc heeds no larger blocks than 32 MB


def serve(descriptor: int) -> None:
    """Answer tasks from the socket ``descriptor`` until it closes. Never returns.

    The first message holds the settings and is answered with READY. Then come tasks, one after the
    other. A file that can be read is answered with its hash; if that is NEW, or nothing can be read,
    with its outcome.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to act on
    channel = socket.socket(fileno=descriptor)
    preprocessing, memory_limit = messages.unpack_settings(messages.receive(channel, messages.LONGEST))
    _limit(memory_limit)
    messages.send(channel, messages.READY)
    heard: SimpleQueue[bytearray] = SimpleQueue()
    Thread(target=_listen, args=(channel, heard), daemon=True).start()

    def is_known(content_hash: bytes) -> bool:
        messages.send(channel, messages.pack_hash(content_hash))
        return heard.get() == messages.KNOWN

    while True:
        outcome = _outcome(messages.unpack_task(heard.get()), is_known, preprocessing)
        if not isinstance(outcome, KnownContent):
            messages.send(channel, messages.pack_outcome(outcome))


def _limit(memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Not every system can limit memory, and one that is stricter already stays so.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    config.one_blas_thread()  # each thread of numpy's would take address space
    # glibc gives memory back beyond twice the largest block it has seen freed; to get it again for each photo
    # of 12 megapixels took one millisecond of forty.
    bytearray(_KEPT_BYTES)
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None  # decoding has limits of its own
    PngImagePlugin.MAX_TEXT_CHUNK = _TEXT_BYTES  # Pillow refuses pictures for a long text beside them


def _listen(channel: socket.socket, heard: SimpleQueue[bytearray]) -> None:
    """Pass messages on, and end the process when the parent is gone, even in the middle of a picture."""
    try:
        while True:
            heard.put(messages.receive(channel, messages.LONGEST))
    except (EOFError, OSError):
        os._exit(0)


def _outcome(
    file: ScannedFile, is_known: Callable[[bytes], bool], preprocessing: Preprocessing | None
) -> Outcome:
    try:
        with open_photo(file.path) as opened:
            with _of_one_version(file, opened):
                content_hash = hash_of(opened)
            if is_known(content_hash):
                return KnownContent(content_hash)
            with _of_one_version(file, opened):
                return decode_file(opened, file.path, content_hash, preprocessing)
    except FileNotFoundError:
        return None
    except UnreadablePhoto as error:
        return Problem(file.path, error.kind, error.reason, error.waits_for)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)  # after a failed allocation a fresh process is the safer one


@contextlib.contextmanager
def _of_one_version(file: ScannedFile, opened: BinaryIO) -> Iterator[None]:
    """Within, the file is the one that was listed; what went wrong, or right, with half of another version
    is of no interest."""
    _refuse_changed(file, opened)
    try:
        yield
    finally:
        _refuse_changed(file, opened)


def _refuse_changed(file: ScannedFile, opened: BinaryIO) -> None:
    now = stamp_of(opened)
    if (now.size, now.mtime_ns) != (file.stamp.size, file.stamp.mtime_ns):
        raise changed()
