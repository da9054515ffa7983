"""What the library has been asked before: embeddings of queries."""

from __future__ import annotations

from photoclip.errors import PhotoclipError
from photoclip.store.database import Database

_QUERIES_KEPT = 50_000  # the texts of the longest list of labels, twice


class Answers(Database):
    """The table of queries."""

    def query(self, model_id: int, text: str) -> bytes | None:
        """Return the embedding of a text that was asked before, or None."""
        row = self._one("SELECT vector FROM queries WHERE model_id = ? AND text = ?", (model_id, text))
        return None if row is None else bytes(row[0])

    def remember_queries(self, model_id: int, vectors: dict[str, bytes]) -> None:
        """Remember the embeddings of texts, if that is possible without waiting for anybody.

        A reader does this, and a reader never waits for a writer nor fails because of one.
        """
        assert not self._db.in_transaction, "a snapshot only reads"
        rows = [(model_id, text, vector) for text, vector in vectors.items()]
        try:
            with self._without_waiting(), self._transaction():
                self._db.executemany("INSERT OR REPLACE INTO queries VALUES (?, ?, ?)", rows)
                self._db.execute(
                    "DELETE FROM queries WHERE rowid <= (SELECT max(rowid) FROM queries) - ?",
                    (_QUERIES_KEPT,),
                )
        except PhotoclipError:
            pass  # a cache that could not be written is a cache that is asked again
