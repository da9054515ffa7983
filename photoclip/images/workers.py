"""Decode in processes of their own, so that no file can hold up, crash or bloat a run.

A worker is a Python started afresh, with one socket. It is not forked (the parent has the threads
of torch) and not a ``multiprocessing`` process (which would run the parent's main module again).
It ends when its socket closes, so it cannot outlive its parent, however that ends. Because each
has its own socket, one that dies in the middle of a message harms no other: with a shared one, as
in the pools of ``multiprocessing`` and ``pebble``, a single killed worker can end the whole run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from types import TracebackType

from photoclip.errors import PhotoclipError
from photoclip.images import messages
from photoclip.images.messages import Malformed, Outcome
from photoclip.images.reading import UnreadablePhoto, open_photo, stamp_of
from photoclip.records import DecodedPhoto, KnownContent, Preprocessing, Problem, ScannedFile

IsKnown = Callable[[ScannedFile, bytes], bool]
"""Says whether the content of a file, by its hash, is one that need not be decoded."""

SECONDS = 9.0
"""Time for one photo, besides the time to read it: with what it takes to end a worker, at most ten."""
MEMORY = 1_500_000_000
"""Address space of one worker, in bytes."""

_BYTES_A_SECOND = 2_000_000  # a slow network drive must not turn large photos into problems
_START_SECONDS = 60.0
_END_SECONDS = 1.0
_LOOK_AHEAD = 128  # files: keeps workers busy while a model is loaded, or works on a batch
_ATTEMPTS = 2
_DEAD = (EOFError, OSError, Malformed)
"""What the other end of a channel shows of a worker that died, or is no longer itself."""
_PROGRAM = "import sys; sys.path[:] = {!a}; from photoclip.images.serving import serve; serve({})"


class DecodePool:
    """Worker processes that decode photos, as a context manager that ends them on leaving.

    A worker that takes longer than ``seconds`` for a photo (and the time to read it), needs more
    than ``memory_limit_bytes`` or dies is replaced; the photo becomes a Problem. Workers start
    with the first photos and never get Ctrl-C.

    ``is_known`` is asked, from any thread, about each file and its hash: where it says yes the outcome
    is KnownContent, and nothing is decoded.
    """

    def __init__(
        self,
        jobs: int,
        preprocessing: Preprocessing | None,
        is_known: IsKnown | None = None,
        *,
        seconds: float = SECONDS,
        memory_limit_bytes: int = MEMORY,
    ) -> None:
        self._preprocessing = preprocessing
        self._is_known = is_known or _nothing_is_known
        self._memory_limit = memory_limit_bytes
        self._seconds = seconds
        self._look_ahead = max(_LOOK_AHEAD, 4 * jobs)
        self._threads = ThreadPoolExecutor(jobs, "photoclip-decode")  # each waits for one worker
        self._lock = Lock()
        self._workers: set[_Worker] = set()
        self._idle: list[_Worker] = []
        self._closed = False

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all workers at once; what they were doing is lost."""
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.kill()
        # Its thread may be using a worker until here.
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._workers:
            worker.end()

    def run(self, files: Iterable[ScannedFile]) -> Iterator[tuple[ScannedFile, Outcome]]:
        """Yield every file with its outcome, in order.

        ``files`` is read in the caller's thread, a bounded number ahead of what is yielded, and may be
        endless. Raises PhotoclipError when no worker can be started.
        """
        waiting: deque[tuple[ScannedFile, Future[Outcome]]] = deque()
        try:
            for file in files:
                waiting.append((file, self._threads.submit(self._outcome, file)))
                while waiting and (len(waiting) >= self._look_ahead or waiting[0][1].done()):
                    file, future = waiting.popleft()
                    yield file, future.result()
            while waiting:
                file, future = waiting.popleft()
                yield file, future.result()
        finally:
            for _, future in waiting:
                future.cancel()

    def _outcome(self, file: ScannedFile) -> Outcome:
        path, limit = file.path, self._seconds + file.stamp.size / _BYTES_A_SECOND
        spent = 0.0
        for _ in range(_ATTEMPTS):  # the first worker may have been killed for another reason
            worker = self._take()
            began = time.monotonic()
            try:
                outcome = worker.ask(file, self._is_known, began + limit - spent)
            except TimeoutError:
                self._drop(worker)
                return Problem(path, "unreadable", f"it took longer than {self._seconds:g} seconds to decode")
            except _DEAD:
                spent += time.monotonic() - began
                if self._drop(worker, _END_SECONDS) == messages.OUT_OF_MEMORY:
                    return Problem(path, "unreadable", "it needs more memory than one photo may take")
            else:
                self._idle.append(worker)
                return outcome
        return Problem(path, "unreadable", "it crashed the decoder")

    def _take(self) -> _Worker:
        """Return a worker that has nothing to do, a new one if need be."""
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive():
                    return worker
                self._workers.discard(worker)
                worker.end()
        for _ in range(_ATTEMPTS):
            worker = self._new()
            try:
                worker.start(self._memory_limit)
                return worker
            except _DEAD:  # TimeoutError is an OSError
                self._drop(worker)
        raise PhotoclipError("the processes that decode photos cannot be started")

    def _new(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise PhotoclipError("the decode workers were closed")
            try:
                worker = _Worker(self._preprocessing)
            except OSError as error:
                raise PhotoclipError(f"no more processes can be started: {error.strerror}") from error
            self._workers.add(worker)
        return worker

    def _drop(self, worker: _Worker, grace: float = 0) -> int | None:
        """Give a worker up and return its exit status; ``grace``: seconds to end by itself."""
        with self._lock:
            self._workers.discard(worker)
        return worker.end(grace)


def _nothing_is_known(_file: ScannedFile, _content_hash: bytes) -> bool:
    return False


class _Worker:
    """One worker process, seen from the parent."""

    def __init__(self, preprocessing: Preprocessing | None) -> None:
        self._preprocessing = preprocessing
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._process = subprocess.Popen(  # noqa: S603  our own Python and our own program
                [sys.executable, "-c", _PROGRAM.format(sys.path, theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # out of reach of the terminal's Ctrl-C
            )
            self._channel = socket.socket(fileno=ours.detach())

    def start(self, memory_limit: int) -> None:
        """Hand the settings over and wait until the worker is ready. Raises one of _DEAD."""
        deadline = time.monotonic() + _START_SECONDS
        messages.send(self._channel, messages.pack_settings(self._preprocessing, memory_limit), deadline)
        if messages.receive(self._channel, len(messages.READY), deadline) != messages.READY:
            raise Malformed("not ready")

    def ask(self, file: ScannedFile, is_known: IsKnown, deadline: float) -> Outcome:
        """Return the outcome of one file. Raises TimeoutError when there is no whole one at ``deadline``
        (in seconds of ``time.monotonic``), or one of _DEAD."""
        messages.send(self._channel, messages.pack_task(file), deadline)
        answer = self._answer(file, deadline)
        if isinstance(answer, bytes):
            known = is_known(file, answer)
            messages.send(self._channel, messages.KNOWN if known else messages.NEW, deadline)
            answer = KnownContent(answer) if known else self._answer(file, deadline)
        if isinstance(answer, bytes):
            raise Malformed("a second hash")
        return answer

    def _answer(self, file: ScannedFile, deadline: float) -> bytes | Outcome:
        answer = messages.receive(self._channel, messages.longest_outcome(self._preprocessing), deadline)
        return messages.unpack_answer(answer, file.path, self._preprocessing)

    def alive(self) -> bool:
        """Say whether the process still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process without waiting for it."""
        self._process.kill()

    def end(self, grace: float = 0) -> int | None:
        """End the process, after ``grace`` seconds if it does not end by itself, and return its
        exit status (None: the system cannot end it)."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        self._process.kill()
        # A process that waits for a dead network drive does not even die when killed.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        self._channel.close()
        return self._process.returncode


def decode_safely(path: bytes, preprocessing: Preprocessing | None) -> DecodedPhoto:
    """Decode one photo as ``decode`` does, with its errors, but within the limits of a DecodePool."""
    with open_photo(path) as file:
        wanted = ScannedFile(path, stamp_of(file))
    with DecodePool(1, preprocessing) as pool:
        _, outcome = next(pool.run([wanted]))
    if isinstance(outcome, DecodedPhoto):
        return outcome
    if isinstance(outcome, Problem):
        raise UnreadablePhoto(outcome.kind, outcome.reason, outcome.waits_for)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
