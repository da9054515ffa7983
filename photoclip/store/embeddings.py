"""The embeddings in the catalogue, and what the caches that are made of them have to agree with."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from threading import Lock

from photoclip.errors import LibraryDamaged
from photoclip.records import FileStamp
from photoclip.store.decisions import Decisions


class Embeddings(Decisions):
    """The table of embeddings, and each model's generation, which every change to them raises."""

    def embeddings(
        self, model_id: int, above: int = 0, block: int = 4096
    ) -> Iterator[tuple[list[int], bytes]]:
        """Yield (content ids, their vectors one after the other), ascending, for ids > ``above``.

        Raises LibraryDamaged when a vector does not agree with its checksum.
        """
        while True:
            rows = self._all(
                "SELECT content_id, vector, checksum FROM embeddings WHERE model_id = ? AND content_id > ?"
                " ORDER BY content_id LIMIT ?",
                (model_id, above, block),
            )
            if not rows:
                return
            if any(zlib.crc32(vector) != checksum for _, vector, checksum in rows):
                raise LibraryDamaged(
                    "some embeddings in the catalogue have changed by themselves",
                    "photoclip check --repair names them, and the next index makes them again",
                )
            yield [row[0] for row in rows], b"".join(row[1] for row in rows)
            above = rows[-1][0]

    def generation(self, model_id: int) -> int:
        """Return a model's generation, which every change to its embeddings raises."""
        return self._count("SELECT generation FROM models WHERE id = ?", (model_id,))

    def embedded(self, model_id: int) -> int:
        """Return how many embeddings a model has."""
        return self._count("SELECT count(*) FROM embeddings WHERE model_id = ?", (model_id,))

    def changed_since(self, model_id: int, generation: int) -> tuple[int, int] | None:
        """Return how many embeddings were written after ``generation``, and the lowest of their ids.

        None when no embedding of that generation is left: what was made of it then may rest on what this
        catalogue has dropped since, or, restored from a backup, never knew.
        """
        known = self._one(
            "SELECT 1 FROM embeddings WHERE model_id = ? AND generation = ? LIMIT 1", (model_id, generation)
        )
        if known is None:
            return None
        row = self._one(
            "SELECT count(*), coalesce(min(content_id), 0) FROM embeddings"
            " WHERE model_id = ? AND generation > ?",
            (model_id, generation),
        )
        return int(row[0]), int(row[1])

    def damaged_embeddings(self, model_id: int, dimension: int) -> list[int]:
        """Return the ids of contents whose vector does not agree with its checksum or length."""
        rows = self._each(
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

    @contextlib.contextmanager
    def recogniser(self, model_id: int) -> Iterator[Callable[[bytes], bool]]:
        """Yield a function for any thread: is there nothing more to learn about the content of this hash? It
        has an embedding of the model, and does not have to be read again."""
        lock = Lock()
        with contextlib.closing(type(self).open(self.path, any_thread=True)) as other:

            def is_known(content_hash: bytes) -> bool:
                with lock:
                    return bool(
                        other._count(
                            "SELECT count(*) FROM contents c JOIN embeddings e"
                            " ON e.content_id = c.id AND e.model_id = ?"
                            " WHERE c.hash = ? AND c.id NOT IN (SELECT content_id FROM rereads)",
                            (model_id, content_hash),
                        )
                    )

            yield is_known

    def has_embedding(self, model_id: int, content_hash: bytes) -> bool:
        """Return whether the content of this hash has an embedding of the model."""
        one = self._one(
            "SELECT 1 FROM contents c JOIN embeddings e ON e.content_id = c.id AND e.model_id = ?"
            " WHERE c.hash = ?",
            (model_id, content_hash),
        )
        return one is not None

    def has_rereads(self) -> bool:
        """Return whether there are contents whose files have to be read again: an older photoclip read them,
        and left out what this one keeps."""
        return self._one("SELECT 1 FROM rereads LIMIT 1") is not None

    def embedding_at(self, path: bytes, model_id: int) -> tuple[FileStamp, bytes] | None:
        """Return the stamp of the photo at ``path`` and the vector of its content, if both are known."""
        row = self._one(
            "SELECT p.size, p.mtime_ns, p.ctime_ns, p.inode, e.vector FROM photos p"
            " JOIN embeddings e ON e.content_id = p.content_id AND e.model_id = ? WHERE p.path = ?",
            (model_id, path),
        )
        return None if row is None else (FileStamp(*row[:4]), row[4])

    def _next_generation(self, model_id: int) -> int:
        # By a random step: a catalogue that came back from a backup, or lost its -wal file, must not reach a
        # number once more that some vector cache still carries from the future it lost.
        self._db.execute(
            "UPDATE models SET generation = generation + 1 + abs(random() % 4294967296) WHERE id = ?",
            (model_id,),
        )
        return int(self._db.execute("SELECT generation FROM models WHERE id = ?", (model_id,)).fetchone()[0])
