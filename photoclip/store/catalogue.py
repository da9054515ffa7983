"""The statements of the catalogue."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence

from photoclip.records import DecodedPhoto, FileStamp, ModelCard, Problem, ScannedFile
from photoclip.store.database import marks
from photoclip.store.rows import (
    FoundFile,
    KnownFile,
    StoredModel,
    at_or_below,
    folder_of,
    kind_of,
    preprocessing_of,
)
from photoclip.store.selection import Selections


class Store(Selections):
    """An open catalogue, the truth of a library. Writers hold the library's lock; readers never wait."""

    # -- settings and models ---------------------------------------------------------------------

    def setting(self, key: str) -> str | None:
        """Return a setting, or None."""
        row = self._one("SELECT value FROM settings WHERE key = ?", (key,))
        return None if row is None else str(row[0])

    def set_setting(self, key: str, value: str) -> None:
        """Remember a setting."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, value))

    def models(self) -> list[StoredModel]:
        """Return the models this library has known, the one chosen last at the end."""
        rows = self._all(
            "SELECT id, spec, weights_hash, dimension, preprocessing, name, logit_scale"
            " FROM models ORDER BY chosen"
        )
        return [
            StoredModel(model_id, ModelCard(spec, weights, dimension, preprocessing_of(how), name, scale))
            for model_id, spec, weights, dimension, how, name, scale in rows
        ]

    def model(self, spec: str) -> StoredModel | None:
        """Return the newest model known under ``spec``, or None."""
        return next((known for known in reversed(self.models()) if known.card.spec == spec), None)

    def add_model(self, card: ModelCard) -> StoredModel:
        """Remember ``card`` as the newest of its spec and return it as stored."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO models (spec, weights_hash, dimension, preprocessing, name, logit_scale, chosen)"
                " VALUES (?, ?, ?, ?, ?, ?, (SELECT coalesce(max(chosen), 0) + 1 FROM models))"
                " ON CONFLICT (spec, weights_hash) DO UPDATE SET chosen = excluded.chosen",
                (
                    card.spec,
                    card.weights_hash,
                    card.dimension,
                    json.dumps(card.preprocessing._asdict()),
                    card.name,
                    card.logit_scale,
                ),
            )
        found = self.model(card.spec)
        assert found is not None
        return found

    # -- what a walk is compared with -------------------------------------------------------------

    def add_root(self, root: bytes) -> None:
        """Remember that the folder ``root`` was indexed; one already known costs no write."""
        if self._one("SELECT 1 FROM roots WHERE path = ?", (root,)) is None:
            with self._transaction():
                self._db.execute("INSERT INTO roots VALUES (?)", (root,))

    def roots(self) -> list[bytes]:
        """Return the folders that were given to index."""
        return [row[0] for row in self._all("SELECT path FROM roots ORDER BY path")]

    def files_in(
        self, folder: bytes, model_id: int | None, *, all_embedded: bool = False
    ) -> dict[bytes, KnownFile]:
        """Return the known files that lie directly in ``folder``, by path.

        ``embedded`` is about the model ``model_id``; None stands for a model not stored yet. Contents that
        have to be read again count as not embedded. It is not looked up where the caller knows that
        ``all_embedded`` are.
        """
        # The columns are in the order of KnownFile: a walk passes here for every file.
        columns = "p.path, p.size, p.mtime_ns, p.ctime_ns, p.inode, p.missing_since IS NOT NULL"
        if all_embedded:
            select = f"SELECT {columns}, 1, 0, '' FROM photos p WHERE p.folder = ?"
            photos = self._all(select, (folder,))
        else:
            select = (
                f"SELECT {columns}, e.content_id IS NOT NULL AND r.content_id IS NULL, 0, '' FROM photos p"
                " LEFT JOIN rereads r ON r.content_id = p.content_id"
                " LEFT JOIN embeddings e ON e.content_id = p.content_id AND e.model_id = ? WHERE p.folder = ?"
            )
            photos = self._all(select, (model_id, folder))
        known = {row[0]: KnownFile._make(row) for row in photos}
        problems = self._all(
            "SELECT path, size, mtime_ns, ctime_ns, inode, 0, 0, 1, waits_for FROM problems WHERE folder = ?",
            (folder,),
        )
        return known | {row[0]: KnownFile._make(row) for row in problems}

    def has_embedded_all(self, model_id: int) -> bool:
        """Return whether every content has an embedding of the model, and none has to be read again."""
        if self.has_rereads():
            return False
        # Embeddings are of contents, and of each there is one: so it is enough to count.
        contents = self._count("SELECT count(*) FROM contents")
        return self._count("SELECT count(*) FROM embeddings WHERE model_id = ?", (model_id,)) == contents

    def knows(self, path: bytes) -> bool:
        """Return whether ``path`` is a photo, a problem, a root, or a folder with photos."""
        known = "SELECT 1 FROM photos WHERE path = ? UNION SELECT 1 FROM problems WHERE path = ?"
        one = self._one(f"{known} UNION SELECT 1 FROM roots WHERE path = ?", (path,) * 3)
        return one is not None or self.photos_under(path) > 0

    def folders_under(self, root: bytes) -> list[bytes]:
        """Return the folders at or below ``root`` that hold photos, missing ones too."""
        rows = self._all(
            "SELECT DISTINCT folder FROM photos WHERE folder = ? OR (folder >= ? AND folder < ?)",
            at_or_below(root),
        )
        return [row[0] for row in rows]

    def photos_under(self, root: bytes) -> int:
        """Return how many photos at or below ``root`` are not missing."""
        return self._count(
            "SELECT count(*) FROM photos WHERE missing_since IS NULL"
            " AND (path = ? OR (path >= ? AND path < ?))",
            at_or_below(root),
        )

    def places_of(self, content_hash: bytes) -> dict[bytes, FileStamp]:
        """Return where the content ``content_hash`` was found, missing photos included, by path."""
        rows = self._all(
            "SELECT p.path, p.size, p.mtime_ns, p.ctime_ns, p.inode FROM photos p"
            " JOIN contents c ON c.id = p.content_id WHERE c.hash = ?"
            " ORDER BY p.path",
            (content_hash,),
        )
        return {row[0]: FileStamp(*row[1:]) for row in rows}

    # -- writing a walk ---------------------------------------------------------------------------

    def record(
        self, model_id: int, found: Sequence[FoundFile], problems: Sequence[tuple[ScannedFile, Problem]]
    ) -> None:
        """Write one batch in one transaction: contents, embeddings, photos and problems."""
        with self._transaction():
            generation = self._next_generation(model_id) if any(f.vector for f in found) else 0
            for one in found:
                self._record_found(one, model_id, generation)
            for file, problem in problems:
                self._record_problem(file, problem)

    def _record_found(self, one: FoundFile, model_id: int, generation: int) -> None:
        if one.decoded is not None:
            self._record_content(one.decoded, one.file.stamp.size)
        content_id = self._db.execute(
            "SELECT id FROM contents WHERE hash = ?", (one.content_hash,)
        ).fetchone()[0]
        if one.decoded is not None:
            self._record_keywords(content_id, one.decoded.keywords)
        if one.vector is not None:
            self._db.execute(
                "INSERT OR REPLACE INTO embeddings (model_id, content_id, vector, checksum, generation)"
                " VALUES (?, ?, ?, ?, ?)",
                (model_id, content_id, one.vector, zlib.crc32(one.vector), generation),
            )
        path = one.file.path
        if one.moved_from is not None:
            self._db.execute("DELETE FROM photos WHERE path = ?", (path,))
            self._db.execute(
                "UPDATE photos SET path = ?, folder = ? WHERE path = ?",
                (path, folder_of(path), one.moved_from),
            )
        self._db.execute(
            "INSERT INTO photos (path, folder, content_id, size, mtime_ns, ctime_ns, inode)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET content_id = excluded.content_id,"
            " size = excluded.size, mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns,"
            " inode = excluded.inode, missing_since = NULL",
            (path, folder_of(path), content_id, *one.file.stamp),
        )
        self._db.execute("DELETE FROM problems WHERE path = ?", (path,))

    def _record_content(self, decoded: DecodedPhoto, size: int) -> None:
        facts = decoded.facts._asdict()
        columns = ["hash", "size", "rendering", *facts]
        updates = ", ".join(f"{name} = excluded.{name}" for name in columns[1:])
        self._db.execute(
            f"INSERT INTO contents ({', '.join(columns)}) VALUES ({marks(len(columns))})"
            f" ON CONFLICT (hash) DO UPDATE SET {updates}",
            (decoded.content_hash, size, decoded.rendering, *facts.values()),
        )

    def _record_problem(self, file: ScannedFile, problem: Problem) -> None:
        # What the photo was is kept: its file may come back from a backup, and its tags with it.
        self._db.execute(
            "UPDATE photos SET missing_since = strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now')"
            " WHERE path = ? AND missing_since IS NULL",
            (file.path,),
        )
        self._db.execute(
            "INSERT OR REPLACE INTO problems"
            " (path, folder, kind, reason, waits_for, size, mtime_ns, ctime_ns, inode)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                file.path,
                folder_of(file.path),
                problem.kind,
                problem.reason,
                problem.waits_for,
                *file.stamp,
            ),
        )

    def mark_seen(self, paths: Sequence[bytes]) -> None:
        """Show photos again whose unchanged files came back."""
        with self._transaction():
            self._db.executemany(
                "UPDATE photos SET missing_since = NULL WHERE path = ?", [(p,) for p in paths]
            )

    def mark_missing(self, paths: Sequence[bytes], now: str) -> int:
        """Hide photos whose files are gone (``now``: ISO 8601), drop problems that are gone.

        Returns how many photos were hidden (a moved one is at its new path by now).
        """
        with self._transaction():
            rows = [(now, path) for path in paths]
            hidden = self._db.executemany("UPDATE photos SET missing_since = ? WHERE path = ?", rows).rowcount
            self._db.executemany("DELETE FROM problems WHERE path = ?", [(path,) for path in paths])
        return int(hidden)

    def forget(self, path: bytes) -> int:
        """Drop the photos and problems at or below ``path``, and what only they held.

        Returns how many photos were dropped. Files are never touched.
        """
        place = at_or_below(path)
        with self._transaction():
            condition = "WHERE path = ? OR (path >= ? AND path < ?)"
            dropped = self._db.execute(f"DELETE FROM photos {condition}", place).rowcount
            self._db.execute(f"DELETE FROM problems {condition}", place)
            self._db.execute(f"DELETE FROM roots {condition}", place)
            self._drop_sidecars_under(path)
            self._drop_unused_contents()
        return int(dropped)

    def _drop_unused_contents(self) -> None:
        unused = "(SELECT id FROM contents WHERE id NOT IN (SELECT content_id FROM photos))"
        touched = self._all(f"SELECT DISTINCT model_id FROM embeddings WHERE content_id IN {unused}")
        for (model_id,) in touched:
            self._next_generation(model_id)
        for table in ("embeddings", "tags", "keywords", "rereads", "decided"):
            self._db.execute(f"DELETE FROM {table} WHERE content_id IN {unused}")
        self._db.execute(f"DELETE FROM contents WHERE id IN {unused}")

    # -- reading photos ---------------------------------------------------------------------------

    def held(self, content_hashes: Sequence[bytes]) -> set[bytes]:
        """Return those of these hashes of which there is a content."""
        return {row[0] for row in self._in("SELECT hash FROM contents WHERE hash", content_hashes)}

    def renderings(self, content_ids: Sequence[int]) -> dict[int, bytes]:
        """Return the 32 x 32 renderings of contents, by content id."""
        return dict(self._in("SELECT id, rendering FROM contents WHERE id", content_ids))

    def contents_at(self, paths: Iterable[bytes]) -> dict[bytes, int]:
        """Return the content ids of the photos at ``paths`` (those that are known and not missing)."""
        return dict(
            self._in("SELECT path, content_id FROM photos WHERE missing_since IS NULL AND path", list(paths))
        )

    def problems(self) -> Iterator[Problem]:
        """Yield the files that could not be read, by path."""
        rows = self._each("SELECT path, kind, reason, waits_for FROM problems ORDER BY path")
        for path, kind, reason, waits_for in rows:
            yield Problem(path, kind_of(kind), reason, waits_for)

    def counts(self) -> dict[str, int]:
        """Return the numbers of photos, missing photos, contents, problems, tags and keywords."""
        return {
            "photos": self._count("SELECT count(*) FROM photos WHERE missing_since IS NULL"),
            "missing": self._count(
                "SELECT count(*) FROM photos WHERE missing_since IS NOT NULL"
                " AND path NOT IN (SELECT path FROM problems)"
            ),
            "contents": self._count("SELECT count(*) FROM contents"),
            "problems": self._count("SELECT count(*) FROM problems"),
            "tags": self._count("SELECT count(*) FROM tags"),
            "keywords": self._count("SELECT count(*) FROM keywords")
            + self._count("SELECT count(*) FROM sidecar_keywords WHERE NOT ours"),
        }

    # -- what the user says of duplicates --------------------------------------------------------

    def denied(self) -> set[tuple[bytes, bytes]]:
        """Return the pairs of content hashes, the lower first, that are not the same picture: the user said
        so."""
        return {(first, second) for first, second in self._each("SELECT first, second FROM denied")}

    def deny(self, pairs: Iterable[tuple[bytes, bytes]], *, revoke: bool = False) -> None:
        """Remember such pairs, or with ``revoke`` forget them."""
        rows = [(min(pair), max(pair)) for pair in pairs]
        with self._transaction():
            if revoke:
                self._db.executemany("DELETE FROM denied WHERE first = ? AND second = ?", rows)
            else:
                self._db.executemany("INSERT OR IGNORE INTO denied (first, second) VALUES (?, ?)", rows)

    # -- looking after it -------------------------------------------------------------------------

    def faults(self) -> list[str]:
        """Return what SQLite itself finds wrong with the catalogue, in words; empty when it is whole."""
        integrity = [row[0] for row in self._all("PRAGMA integrity_check") if row[0] != "ok"]
        strays = self._all("PRAGMA foreign_key_check")
        return integrity + [f"table {row[0]}: a row refers to nothing in {row[2]}" for row in strays]
