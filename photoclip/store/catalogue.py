"""The statements of the catalogue."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, astuple

from photoclip.records import DecodedPhoto, FileStamp, ModelCard, Photo, Problem, ScannedFile
from photoclip.store.answers import Answers
from photoclip.store.database import marks
from photoclip.store.rows import (
    PHOTO,
    FoundFile,
    KnownFile,
    StoredModel,
    folder_of,
    kind_of,
    photo_of,
    preprocessing_of,
)


class Store(Answers):
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
            "SELECT id, generation, spec, weights_hash, dimension, preprocessing, name, logit_scale"
            " FROM models ORDER BY chosen"
        )
        return [
            StoredModel(
                model_id, ModelCard(spec, weights, dimension, preprocessing_of(how), name, scale), generation
            )
            for model_id, generation, spec, weights, dimension, how, name, scale in rows
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
                    json.dumps(asdict(card.preprocessing)),
                    card.name,
                    card.logit_scale,
                ),
            )
        found = self.model(card.spec)
        assert found is not None
        return found

    # -- what a walk is compared with -------------------------------------------------------------

    def add_root(self, root: bytes) -> None:
        """Remember that ``root`` was indexed; a root already known costs no write."""
        if self._one("SELECT 1 FROM roots WHERE path = ?", (root,)) is None:
            with self._transaction():
                self._db.execute("INSERT INTO roots VALUES (?)", (root,))

    def roots(self) -> list[bytes]:
        """Return the folders and files that were given to index."""
        return [row[0] for row in self._all("SELECT path FROM roots ORDER BY path")]

    def files_in(self, folder: bytes, model_id: int | None) -> dict[bytes, KnownFile]:
        """Return the known files that lie directly in ``folder``, by path.

        ``embedded`` is about the model ``model_id``; None stands for a model not stored yet.
        """
        photos = self._all(
            "SELECT p.path, p.size, p.mtime_ns, p.ctime_ns, p.inode, p.missing_since IS NOT NULL,"
            " e.content_id IS NOT NULL FROM photos p"
            " LEFT JOIN embeddings e ON e.content_id = p.content_id AND e.model_id = ? WHERE p.folder = ?",
            (model_id, folder),
        )
        known = {row[0]: KnownFile(FileStamp(*row[1:5]), False, bool(row[5]), bool(row[6])) for row in photos}
        problems = self._all(
            "SELECT path, size, mtime_ns, ctime_ns, inode FROM problems WHERE folder = ?", (folder,)
        )
        known.update({row[0]: KnownFile(FileStamp(*row[1:]), True, False, False) for row in problems})
        return known

    def knows(self, path: bytes) -> bool:
        """Return whether ``path`` is a photo, a problem, a root, or a folder with photos."""
        known = "SELECT 1 FROM photos WHERE path = ? UNION SELECT 1 FROM problems WHERE path = ?"
        one = self._one(f"{known} UNION SELECT 1 FROM roots WHERE path = ?", (path,) * 3)
        return one is not None or bool(self.folders_under(path))

    def folders_under(self, root: bytes) -> list[bytes]:
        """Return the folders at or below ``root`` that hold photos not yet missing."""
        below = root.rstrip(b"/") + b"/"
        rows = self._all(
            "SELECT DISTINCT folder FROM photos WHERE missing_since IS NULL"
            " AND (folder = ? OR (folder >= ? AND folder < ?))",
            (root, below, below[:-1] + b"0"),  # "0" is the byte after "/"
        )
        return [row[0] for row in rows]

    def hashes_of_size(self, size: int, model_id: int | None) -> frozenset[bytes]:
        """Return the hashes of contents of ``size`` bytes that already have an embedding."""
        rows = self._all(
            "SELECT c.hash FROM contents c JOIN embeddings e ON e.content_id = c.id AND e.model_id = ?"
            " WHERE c.size = ?",
            (model_id, size),
        )
        return frozenset(row[0] for row in rows)

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

    def _next_generation(self, model_id: int) -> int:
        self._db.execute("UPDATE models SET generation = generation + 1 WHERE id = ?", (model_id,))
        return int(self._db.execute("SELECT generation FROM models WHERE id = ?", (model_id,)).fetchone()[0])

    def _record_found(self, one: FoundFile, model_id: int, generation: int) -> None:
        if one.decoded is not None:
            self._record_content(one.decoded, one.file.stamp.size)
        content_id = self._db.execute(
            "SELECT id FROM contents WHERE hash = ?", (one.content_hash,)
        ).fetchone()[0]
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
            (path, folder_of(path), content_id, *astuple(one.file.stamp)),
        )
        self._db.execute("DELETE FROM problems WHERE path = ?", (path,))

    def _record_content(self, decoded: DecodedPhoto, size: int) -> None:
        facts = asdict(decoded.facts)
        columns = ["hash", "size", "rendering", *facts]
        updates = ", ".join(f"{name} = excluded.{name}" for name in columns[1:])
        self._db.execute(
            f"INSERT INTO contents ({', '.join(columns)}) VALUES ({marks(len(columns))})"
            f" ON CONFLICT (hash) DO UPDATE SET {updates}",
            (decoded.content_hash, size, decoded.rendering, *facts.values()),
        )

    def _record_problem(self, file: ScannedFile, problem: Problem) -> None:
        self._db.execute("DELETE FROM photos WHERE path = ?", (file.path,))
        self._db.execute(
            "INSERT OR REPLACE INTO problems (path, folder, kind, reason, size, mtime_ns, ctime_ns, inode)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (file.path, folder_of(file.path), problem.kind, problem.reason, *astuple(file.stamp)),
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
        below = path.rstrip(b"/") + b"/"
        place = (path, below, below[:-1] + b"0")
        with self._transaction():
            condition = "WHERE path = ? OR (path >= ? AND path < ?)"
            dropped = self._db.execute(f"DELETE FROM photos {condition}", place).rowcount
            self._db.execute(f"DELETE FROM problems {condition}", place)
            self._db.execute(f"DELETE FROM roots {condition}", place)
            self._drop_unused_contents()
        return int(dropped)

    def _drop_unused_contents(self) -> None:
        unused = "(SELECT id FROM contents WHERE id NOT IN (SELECT content_id FROM photos))"
        touched = self._all(f"SELECT DISTINCT model_id FROM embeddings WHERE content_id IN {unused}")
        for (model_id,) in touched:
            self._next_generation(model_id)
        self._db.execute(f"DELETE FROM embeddings WHERE content_id IN {unused}")
        self._db.execute(f"DELETE FROM tags WHERE content_id IN {unused}")
        self._db.execute(f"DELETE FROM contents WHERE id IN {unused}")

    # -- embeddings -------------------------------------------------------------------------------

    def embeddings(
        self, model_id: int, above: int = 0, block: int = 4096
    ) -> Iterator[tuple[list[int], bytes]]:
        """Yield (content ids, their vectors one after the other), ascending, for ids > ``above``."""
        while True:
            rows = self._all(
                "SELECT content_id, vector FROM embeddings WHERE model_id = ? AND content_id > ?"
                " ORDER BY content_id LIMIT ?",
                (model_id, above, block),
            )
            if not rows:
                return
            yield [row[0] for row in rows], b"".join(row[1] for row in rows)
            above = rows[-1][0]

    def embedding_count(self, model_id: int) -> int:
        """Return how many contents have an embedding of this model."""
        return self._count("SELECT count(*) FROM embeddings WHERE model_id = ?", (model_id,))

    def changed_since(self, model_id: int, generation: int) -> tuple[int, int]:
        """Return how many embeddings were written after ``generation``, and the lowest of their ids."""
        row = self._one(
            "SELECT count(*), coalesce(min(content_id), 0) FROM embeddings"
            " WHERE model_id = ? AND generation > ?",
            (model_id, generation),
        )
        return int(row[0]), int(row[1])

    def damaged_embeddings(self, model_id: int, dimension: int) -> list[int]:
        """Return the ids of contents whose vector does not agree with its checksum or length."""
        rows = self._db.execute(
            "SELECT content_id, vector, checksum FROM embeddings WHERE model_id = ?", (model_id,)
        )
        return [row[0] for row in rows if len(row[1]) != 4 * dimension or zlib.crc32(row[1]) != row[2]]

    def drop_embeddings(self, model_id: int, content_ids: Sequence[int]) -> None:
        """Drop embeddings, so that the next index makes them anew."""
        with self._transaction():
            self._next_generation(model_id)
            self._db.executemany(
                "DELETE FROM embeddings WHERE model_id = ? AND content_id = ?",
                [(model_id, content_id) for content_id in content_ids],
            )

    def renderings(self, content_ids: Sequence[int]) -> dict[int, bytes]:
        """Return the 32 x 32 renderings of contents, by content id."""
        return dict(self._in("SELECT id, rendering FROM contents WHERE id", content_ids))

    # -- reading photos ---------------------------------------------------------------------------

    def photos(self) -> Iterator[tuple[int, Photo]]:
        """Yield (content id, photo) for every photo that is not missing, by path."""
        for row in self._db.execute(f"{PHOTO} WHERE p.missing_since IS NULL ORDER BY p.path"):
            yield row[0], photo_of(row)

    def photos_of(self, content_ids: Sequence[int]) -> dict[int, list[Photo]]:
        """Return the photos of contents by content id, missing ones left out, each list by path."""
        found: dict[int, list[Photo]] = {}
        for row in self._in(f"{PHOTO} WHERE p.missing_since IS NULL AND p.content_id", content_ids):
            found.setdefault(row[0], []).append(photo_of(row))
        for photos in found.values():
            photos.sort(key=lambda photo: photo.path)
        return found

    def contents_at(self, paths: Iterable[bytes]) -> dict[bytes, int]:
        """Return the content ids of the photos at ``paths`` (those that are known and not missing)."""
        return dict(
            self._in("SELECT path, content_id FROM photos WHERE missing_since IS NULL AND path", list(paths))
        )

    def embedding_at(self, path: bytes, model_id: int) -> tuple[FileStamp, bytes] | None:
        """Return the stamp of the photo at ``path`` and the vector of its content, if both are known."""
        row = self._one(
            "SELECT p.size, p.mtime_ns, p.ctime_ns, p.inode, e.vector FROM photos p"
            " JOIN embeddings e ON e.content_id = p.content_id AND e.model_id = ? WHERE p.path = ?",
            (model_id, path),
        )
        return None if row is None else (FileStamp(*row[:4]), row[4])

    def problems(self) -> Iterator[Problem]:
        """Yield the files that could not be read, by path."""
        for path, kind, reason in self._db.execute("SELECT path, kind, reason FROM problems ORDER BY path"):
            yield Problem(path, kind_of(kind), reason)

    def counts(self) -> dict[str, int]:
        """Return the numbers of photos, missing photos, contents, problems and tags."""
        return {
            "photos": self._count("SELECT count(*) FROM photos WHERE missing_since IS NULL"),
            "missing": self._count("SELECT count(*) FROM photos WHERE missing_since IS NOT NULL"),
            "contents": self._count("SELECT count(*) FROM contents"),
            "problems": self._count("SELECT count(*) FROM problems"),
            "tags": self._count("SELECT count(*) FROM tags"),
        }

    # -- looking after it -------------------------------------------------------------------------

    def faults(self) -> list[str]:
        """Return what SQLite itself finds wrong with the catalogue, in words; empty when it is whole."""
        integrity = [row[0] for row in self._all("PRAGMA integrity_check") if row[0] != "ok"]
        strays = self._all("PRAGMA foreign_key_check")
        return integrity + [f"table {row[0]}: a row refers to nothing in {row[2]}" for row in strays]
