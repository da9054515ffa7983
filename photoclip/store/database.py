"""An open catalogue file: how it is made, opened, read and written, whatever is in it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from photoclip.errors import LibraryDamaged, NewerLibrary, PhotoclipError
from photoclip.migrations import SCHEMA_VERSION, upgrade

_PAGE_SIZE = 8192  # a 512-number embedding leaves half of a 4 KiB page empty
_BUSY_SECONDS = 30.0
_CHUNK = 500  # SQLite's oldest limit on bound variables is 999


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

    @classmethod
    def create(cls, path: str, library_id: str) -> Self:
        """Create a catalogue at ``path`` and open it; it appears whole or not at all."""
        unfinished = path + ".new"
        for ending in ("", "-journal", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(unfinished + ending)
        connection = sqlite3.connect(unfinished, isolation_level=None)
        try:
            connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
            upgrade(connection)
            connection.execute("INSERT INTO settings VALUES ('library_id', ?)", (library_id,))
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.Error as error:
            raise PhotoclipError(f"the library could not be created: {error}") from error
        finally:
            connection.close()
        os.chmod(unfinished, 0o600)
        os.rename(unfinished, path)
        return cls.open(path)

    @classmethod
    def open(cls, path: str) -> Self:
        """Open the catalogue at ``path``, which must exist.

        Raises LibraryDamaged when it is not a catalogue, NewerLibrary when a newer photoclip made
        it. A catalogue with an older schema is opened as it is: see ``needs_upgrade``.
        """
        if os.path.getsize(path) == 0:
            raise LibraryDamaged(f"the catalogue is an empty file: {path}", "restore it from a backup")
        try:
            try:
                connection, version = _connected(path)
            except sqlite3.OperationalError:
                if os.path.exists(path + "-wal") or not _is_fixed(path):
                    raise
                # On a disk that may only be read, SQLite can make no -shm file beside the catalogue.
                connection, version = _connected(_immutable(path), uri=True)
        except sqlite3.DatabaseError as error:
            raise LibraryDamaged(
                f"the catalogue cannot be read: {path} ({error})",
                "nothing was changed; restore the file from a backup, or move it away and index anew",
            ) from error
        if version > SCHEMA_VERSION:
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
        return int(self._db.execute("PRAGMA user_version").fetchone()[0]) < SCHEMA_VERSION

    def upgrade(self) -> None:
        """Upgrade the schema in place, step by step; an interrupted step leaves no trace."""
        with self._translated():
            upgrade(self._db)

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
        except sqlite3.OperationalError as error:
            hint = "free some space and run the command again: nothing that was stored is lost"
            full = "full" in str(error)
            raise PhotoclipError(
                f"the catalogue could not be written: {error}", hint if full else ""
            ) from error
        except sqlite3.DatabaseError as error:
            raise LibraryDamaged(f"the catalogue is damaged: {error}", "see: photoclip check") from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated():
            # IMMEDIATE: a read that turns into a write fails at once, whatever the timeout.
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _all(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        with self._translated():
            return self._db.execute(sql, values).fetchall()

    def _one(self, sql: str, values: Sequence[object] = ()) -> Any:
        with self._translated():
            return self._db.execute(sql, values).fetchone()

    def _count(self, sql: str, values: Sequence[object] = ()) -> int:
        return int(self._one(sql, values)[0])

    def _in(self, select: str, keys: Sequence[object]) -> Iterator[Any]:
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            yield from self._all(f"{select} IN ({marks(len(chunk))})", chunk)


def _connected(path: str, *, uri: bool = False) -> tuple[sqlite3.Connection, int]:
    """Return a connection under our rules, and the schema version, both known to work."""
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, uri=uri)
    connection.execute("PRAGMA foreign_keys = ON")
    # An acknowledged batch must survive a power cut, so each commit is flushed.
    connection.execute("PRAGMA synchronous = FULL")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.execute("SELECT value FROM settings WHERE key = 'library_id'").fetchone()
    return connection, int(version)


def _immutable(path: str) -> str:
    from urllib.parse import quote

    return f"file:{quote(os.fsencode(path))}?immutable=1"


def _is_fixed(path: str) -> bool:
    return not (os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK))


def marks(count: int) -> str:
    """Return ``count`` bound variables, ``?, ?, …``."""
    return ", ".join("?" * count)
