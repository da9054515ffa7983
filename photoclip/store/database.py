"""An open catalogue file: how it is made, opened, read and written, whatever is in it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from photoclip.errors import LibraryDamaged, LibraryLocked, NewerLibrary, PhotoclipError
from photoclip.migrations import SCHEMA_VERSION, upgrade

_PAGE_SIZE = 8192  # a 512-number embedding leaves half of a 4 KiB page empty
_BUSY_SECONDS = 30.0
_CHUNK = 500  # SQLite's oldest limit on bound variables is 999

_REFUSALS = (
    "database or disk is full",
    "disk I/O error",
    "unable to open database file",
    "attempt to write a readonly database",
)
"""What SQLite says when the system refused something, which tells nothing about the catalogue. (Words: its
codes reach Python 3.11 and later only.)"""
_LOCKED = "database is locked"
_TRY_AGAIN = (
    "nothing that was stored is lost: free some space, or see what else ails the disk, then try again"
)


if TYPE_CHECKING:
    from typing_extensions import Self


class Database:
    """A SQLite file under the rules of the catalogue. Its errors leave it as ``PhotoclipError``.

    Reading goes through the standard library's sqlite3 alone, because a search should not pay for
    more; sqlite-utils creates and upgrades the schema.
    """

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._db = connection
        self.path = path
        self._identity = _identity(path)

    @classmethod
    def create(cls, path: str, library_id: str) -> Self:
        """Create a catalogue at ``path`` and open it; it appears whole or not at all."""
        with _appearing(path) as connection:
            connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
            upgrade(connection)
            connection.execute("INSERT INTO settings VALUES ('library_id', ?)", (library_id,))
            # SQLite does not raise when it stays in another mode, in which readers wait for writers.
            if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                raise PhotoclipError(
                    "the library could not be created: its journal cannot be made", _TRY_AGAIN
                )
        return cls.open(path)

    @classmethod
    def open(cls, path: str, *, any_thread: bool = False) -> Self:
        """Open the catalogue at ``path``, which must exist; with ``any_thread``, for more threads than this
        one, who take turns.

        Raises LibraryDamaged when it is not a catalogue, NewerLibrary when a newer photoclip made
        it. A catalogue with an older schema is opened as it is: see ``needs_upgrade``.
        """
        if os.path.getsize(path) == 0:
            raise LibraryDamaged(f"the catalogue is an empty file: {path}", "restore it from a backup")
        try:
            try:
                # This mode never makes an empty catalogue.
                connection, version = _connected(_uri(path, "mode=rw"), any_thread=any_thread)
            except sqlite3.OperationalError as error:
                if str(error) not in _REFUSALS or _is_in_use(path):
                    raise
                # On a disk that is full or may only be read, SQLite can make no -shm file beside it.
                connection, version = _connected(_uri(path, "immutable=1"), any_thread=any_thread)
        except sqlite3.DatabaseError as error:
            _raise_refused(error)
            raise LibraryDamaged(
                f"the catalogue cannot be read: {path} ({error})",
                "nothing was changed; restore it from a backup, or move the library away and index anew",
            ) from error
        if version > SCHEMA_VERSION:
            connection.close()
            raise NewerLibrary(
                f"this library was made by a newer photoclip (schema {version}, here {SCHEMA_VERSION})",
                "upgrade photoclip: pip install --upgrade photoclip",
            )
        return cls(connection, path)

    def close(self) -> None:
        """Close the catalogue."""
        self._db.close()

    def needs_upgrade(self) -> bool:
        """Return whether the schema is older than this photoclip's."""
        return self._count("PRAGMA user_version") < SCHEMA_VERSION

    def upgrade(self) -> None:
        """Upgrade the schema in place, step by step; an interrupted step leaves no trace."""
        with self._translated():
            upgrade(self._db)

    def copy_to(self, path: str) -> None:
        """Make ``path``, a catalogue or nothing yet, a copy of the catalogue as it is at this moment.

        A copy that is cut off leaves what was there.
        """
        if not os.path.exists(path):
            with self._translated(), _appearing(path) as connection:
                self._db.backup(connection)
            return
        # Into the old file in one transaction: a new one might meet what is left of the old one's -wal.
        with self._translated(), contextlib.closing(sqlite3.connect(path, _BUSY_SECONDS)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            self._db.backup(connection)

    @contextlib.contextmanager
    def _without_waiting(self) -> Iterator[None]:
        """Within, a lock held by somebody else is an error at once."""
        self._db.execute("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {int(_BUSY_SECONDS * 1000)}")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            _raise_refused(error)
            raise LibraryDamaged(f"the catalogue is damaged: {error}", "see: photoclip check") from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated():
            # IMMEDIATE: a read that turns into a write fails at once, whatever the timeout.
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
                self._require_place()
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Within, every read sees one and the same state of the catalogue, whatever writers do."""
        if self._db.in_transaction:  # a snapshot already, or our own writing
            yield
            return
        with self._translated():
            self._db.execute("BEGIN")
        try:
            yield
        finally:
            with self._translated():
                if self._db.in_transaction:  # an error of the disk has ended it
                    self._db.execute("ROLLBACK")  # there is nothing to commit

    def _require_place(self) -> None:
        """Raise PhotoclipError unless the open file still is the catalogue: what is written into one that was
        deleted, moved or replaced is lost, and SQLite does not say so."""
        try:
            is_there = _identity(self.path) == self._identity
        except FileNotFoundError:
            is_there = False
        if not is_there:
            raise PhotoclipError(
                f"the catalogue was moved, deleted or replaced while it was written: {self.path}",
                "what was stored last may be lost: put the library back, then index again",
            )

    def _all(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        with self._translated():
            return self._db.execute(sql, values).fetchall()

    def _each(self, sql: str, values: Sequence[object] = ()) -> Iterator[Any]:
        with self._translated():
            for row in self._db.execute(sql, values):  # noqa: UP028  would close the cursor of a closed database
                yield row

    def _one(self, sql: str, values: Sequence[object] = ()) -> Any:
        with self._translated():
            return self._db.execute(sql, values).fetchone()

    def _count(self, sql: str, values: Sequence[object] = ()) -> int:
        return int(self._one(sql, values)[0])

    def _in(self, select: str, keys: Sequence[object], values: Sequence[object] = ()) -> Iterator[Any]:
        """Yield the rows of ``select IN keys``; ``values`` are those of the variables in ``select``."""
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            yield from self._all(f"{select} IN ({marks(len(chunk))})", (*values, *chunk))


@contextlib.contextmanager
def _appearing(path: str) -> Iterator[sqlite3.Connection]:
    """Yield a connection to a new file that becomes ``path`` in the end, whole or not at all."""
    unfinished = path + ".new"
    for ending in ("", "-journal", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished + ending)
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    connection = sqlite3.connect(unfinished, isolation_level=None)
    try:
        yield connection
    except sqlite3.Error as error:
        raise PhotoclipError(f"the library could not be created: {error}", _TRY_AGAIN) from error
    finally:
        connection.close()
    os.rename(unfinished, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _connected(uri: str, *, any_thread: bool) -> tuple[sqlite3.Connection, int]:
    """Return a connection under our rules, and the schema version, both known to work."""
    connection = sqlite3.connect(
        uri, timeout=_BUSY_SECONDS, isolation_level=None, uri=True, check_same_thread=not any_thread
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        # An acknowledged batch must survive a power cut, so each commit is flushed.
        connection.execute("PRAGMA synchronous = FULL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute("SELECT value FROM settings WHERE key = 'library_id'").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection, int(version)


def _uri(path: str, option: str) -> str:
    # As https://www.sqlite.org/uri.html asks: these three mean something there, and nothing else does.
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file://{quoted}?{option}"


def _raise_refused(error: sqlite3.DatabaseError) -> None:
    """Raise what it means to a user when the system, or another program, stands in the way of SQLite."""
    if str(error) in _REFUSALS:
        raise PhotoclipError(f"the catalogue cannot be read or written: {error}", _TRY_AGAIN) from error
    if str(error) == _LOCKED:
        raise LibraryLocked(
            "another program is writing to the catalogue", "end it, then try again"
        ) from error


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _is_in_use(path: str) -> bool:
    """Return whether there may be more to the catalogue than the file ``path``, or somebody who writes it."""
    try:
        return os.path.exists(path + "-shm") or os.path.getsize(path + "-wal") > 0
    except FileNotFoundError:
        return False


def marks(count: int) -> str:
    """Return ``count`` bound variables, ``?, ?, …``."""
    return ", ".join("?" * count)
