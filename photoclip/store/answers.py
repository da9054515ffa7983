"""What the library has answered before: embeddings of queries, and tags."""

from __future__ import annotations

from collections.abc import Sequence

from photoclip.errors import PhotoclipError
from photoclip.records import TagSuggestion
from photoclip.store.database import Database

_QUERIES_KEPT = 10_000


class Answers(Database):
    """The tables of queries and tags."""

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

    def replace_tags(
        self,
        model_id: int,
        labels: Sequence[str],
        labels_hash: str,
        tags: dict[int, Sequence[TagSuggestion]],
        now: str,
    ) -> None:
        """Set the tags of ``labels`` on the contents that are the keys of ``tags``; nothing else changes."""
        with self._transaction():
            self._db.executemany(
                "DELETE FROM tags WHERE content_id = ? AND model_id = ? AND label = ?",
                [(content_id, model_id, label) for content_id in tags for label in labels],
            )
            self._db.executemany(
                "INSERT INTO tags (content_id, model_id, label, similarity, probability, labels_hash,"
                " tagged_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (content_id, model_id, tag.label, tag.similarity, tag.probability, labels_hash, now)
                    for content_id, suggestions in tags.items()
                    for tag in suggestions
                ],
            )

    def tags_of(self, content_ids: Sequence[int], model_id: int) -> dict[int, list[TagSuggestion]]:
        """Return the stored tags of contents, by content id, the most probable first."""
        found: dict[int, list[TagSuggestion]] = {}
        select = (
            f"SELECT content_id, label, similarity, probability FROM tags WHERE model_id = {int(model_id)}"
        )
        for content_id, *tag in self._in(f"{select} AND content_id", content_ids):
            found.setdefault(content_id, []).append(TagSuggestion(*tag))
        for tags in found.values():
            tags.sort(key=lambda tag: (-tag.probability, tag.label))
        return found

    def tag_counts(self, model_id: int) -> list[tuple[str, int]]:
        """Return (label, number of photos that carry it), the most frequent first."""
        return self._all(
            "SELECT t.label, count(*) FROM tags t JOIN photos p ON p.content_id = t.content_id"
            " WHERE t.model_id = ? AND p.missing_since IS NULL"
            " GROUP BY t.label ORDER BY count(*) DESC, t.label",
            (model_id,),
        )
