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
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from threading import Lock
from types import TracebackType

from photoclip.errors import PhotoclipError
from photoclip.images.reading import UnreadablePhoto, open_photo, stamp_of
from photoclip.images.serving import OUT_OF_MEMORY, Task
from photoclip.records import DecodedPhoto, KnownContent, Preprocessing, Problem, ScannedFile

Outcome = DecodedPhoto | KnownContent | Problem | None
"""What comes of one file; None: it is not there any more."""

SECONDS = 10.0
"""Time for one photo, besides the time to read it."""
MEMORY = 1_500_000_000
"""Address space of one worker, in bytes."""

_BYTES_A_SECOND = 2_000_000  # a slow network drive must not turn large photos into problems
_START_SECONDS = 60.0
_END_SECONDS = 1.0
_LOOK_AHEAD = 64  # files: keeps workers busy while a model works on a batch
_ATTEMPTS = 2
_PROGRAM = "import sys; sys.path[:] = {!a}; from photoclip.images.serving import serve; serve({})"


class DecodePool:
    """Worker processes that decode photos, as a context manager that ends them on leaving.

    A worker that takes longer than ``seconds`` for a photo (and the time to read it), needs more
    than ``memory_limit_bytes`` or dies is replaced; the photo becomes a Problem. Workers start
    with the first photos and never get Ctrl-C.
    """

    def __init__(
        self,
        jobs: int,
        preprocessing: Preprocessing | None,
        *,
        seconds: float = SECONDS,
        memory_limit_bytes: int = MEMORY,
    ) -> None:
        self._settings = (preprocessing, memory_limit_bytes)
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

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[ScannedFile, Outcome]]:
        """Yield every file with its outcome, in the order of ``tasks``.

        ``tasks`` is read in the caller's thread, a bounded number ahead of what is yielded, and
        may be endless. With each file come the hashes the library knows among files of that size:
        if the file's is one of them the outcome is KnownContent, and nothing is decoded. Raises
        PhotoclipError when no worker can be started.
        """
        waiting: deque[tuple[ScannedFile, Future[Outcome]]] = deque()
        try:
            for task in tasks:
                waiting.append((task[0], self._threads.submit(self._outcome, task)))
                while waiting and (len(waiting) >= self._look_ahead or waiting[0][1].done()):
                    file, future = waiting.popleft()
                    yield file, future.result()
            while waiting:
                file, future = waiting.popleft()
                yield file, future.result()
        finally:
            for _, future in waiting:
                future.cancel()

    def _outcome(self, task: Task) -> Outcome:
        path, size = task[0].path, task[0].stamp.size
        for _ in range(_ATTEMPTS):  # the first worker may have been killed for another reason
            worker = self._take()
            try:
                outcome = worker.ask(task, self._seconds + size / _BYTES_A_SECOND)
            except TimeoutError:
                self._drop(worker)
                return Problem(path, "unreadable", f"it took longer than {self._seconds:g} seconds to decode")
            except (EOFError, OSError):
                if self._drop(worker, _END_SECONDS) == OUT_OF_MEMORY:
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
                worker.start(self._settings)
                return worker
            except (EOFError, OSError):  # TimeoutError is one
                self._drop(worker)
        raise PhotoclipError("the processes that decode photos cannot be started")

    def _new(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise PhotoclipError("the decode workers were closed")
            try:
                worker = _Worker()
            except OSError as error:
                raise PhotoclipError(f"no more processes can be started: {error.strerror}") from error
            self._workers.add(worker)
        return worker

    def _drop(self, worker: _Worker, grace: float = 0) -> int | None:
        """Give a worker up and return its exit status; ``grace``: seconds to end by itself."""
        with self._lock:
            self._workers.discard(worker)
        return worker.end(grace)


class _Worker:
    """One worker process, seen from the parent."""

    def __init__(self) -> None:
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
            self._connection = Connection(ours.detach())

    def start(self, settings: tuple[Preprocessing | None, int]) -> None:
        """Hand the settings over and wait until the worker is ready. Raises EOFError or OSError."""
        self._connection.send(settings)
        self._receive(_START_SECONDS)

    def ask(self, task: Task, seconds: float) -> Outcome:
        """Return the outcome of one task. Raises TimeoutError, or EOFError or OSError when the
        worker is dead."""
        self._connection.send(task)
        outcome: Outcome = self._receive(seconds)
        return outcome

    def _receive(self, seconds: float) -> Outcome:
        if not self._connection.poll(seconds):
            raise TimeoutError
        message: Outcome = self._connection.recv()
        return message

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
        self._connection.close()
        return self._process.returncode


def decode_safely(path: bytes, preprocessing: Preprocessing | None) -> DecodedPhoto:
    """Decode one photo as ``decode`` does, with its errors, but within the limits of a DecodePool."""
    with open_photo(path) as file:
        task = ScannedFile(path, stamp_of(file)), frozenset[bytes]()
    with DecodePool(1, preprocessing) as pool:
        _, outcome = next(pool.run([task]))
    if isinstance(outcome, DecodedPhoto):
        return outcome
    if isinstance(outcome, Problem):
        raise UnreadablePhoto(outcome.kind, outcome.reason)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
