"""Tags, and which photos a list of labels has been decided about."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from photoclip.records import TagSuggestion
from photoclip.store.answers import Answers
from photoclip.store.rows import folded


class StoredList(NamedTuple):
    """A list of labels that was decided about: its ``calibration``, and how many ``photos`` that rests on."""

    id: int
    calibration: bytes
    photos: int


class Decisions(Answers):
    """The tables of tags, of lists of labels, and of the contents each list is decided about."""

    def label_list(self, model_id: int, list_hash: str) -> StoredList | None:
        """Return the list of this hash, or None."""
        row = self._one(
            "SELECT id, calibration, photos FROM label_lists WHERE model_id = ? AND hash = ?",
            (model_id, list_hash),
        )
        return None if row is None else StoredList(*row)

    def decided(self, list_id: int) -> set[int]:
        """Return the ids of the contents a list is decided about."""
        return {row[0] for row in self._each("SELECT content_id FROM decided WHERE list_id = ?", (list_id,))}

    def record_decisions(
        self,
        list_id: int,
        labels: Collection[str],
        list_hash: str,
        decided: Mapping[int, Sequence[TagSuggestion]],
        now: str,
    ) -> int:
        """Set the tags of ``labels`` on the contents that are the keys of ``decided``, and remember that the
        list is decided about these; return on how many contents anything changed.

        A tag that is there already with the same numbers stays as it is. Labels that differ in case alone are
        one. Contents that have been forgotten meanwhile are passed over.
        """
        (model_id,) = self._all("SELECT model_id FROM label_lists WHERE id = ?", (list_id,))[0]
        names = set(map(folded, labels))
        there = {row[0] for row in self._in("SELECT id FROM contents WHERE id", list(decided))}
        decided = {content_id: tags for content_id, tags in decided.items() if content_id in there}
        stored = self.tags_of(list(decided), model_id)
        changed = {
            content_id: tags
            for content_id, tags in decided.items()
            if [tag for tag in stored.get(content_id, ()) if folded(tag.label) in names]
            != sorted(tags, key=TagSuggestion.rank)
        }
        with self._transaction():
            self._db.executemany(
                "DELETE FROM tags WHERE content_id = ? AND model_id = ? AND label = ?",
                (
                    (content_id, model_id, tag.label)
                    for content_id in changed
                    for tag in stored.get(content_id, ())
                    if folded(tag.label) in names
                ),
            )
            self._db.executemany(
                "INSERT INTO tags (content_id, model_id, label, similarity, probability, labels_hash,"
                " tagged_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    (content_id, model_id, tag.label, tag.similarity, tag.probability, list_hash, now)
                    for content_id, tags in changed.items()
                    for tag in tags
                ),
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO decided (list_id, content_id) VALUES (?, ?)",
                ((list_id, content_id) for content_id in decided),
            )
        return len(changed)

    def add_label_list(
        self,
        model_id: int,
        list_hash: str,
        labels: Sequence[str],
        calibration: bytes,
        photos: int,
        now: str,
    ) -> int:
        """Remember a list, in place of an older calibration of it; return its id.

        Other lists of the model that have a label in common with it are forgotten, for about that label they
        decide no more. Their tags stay.
        """
        lists = self._all("SELECT id, hash, labels FROM label_lists WHERE model_id = ?", (model_id,))
        names = set(map(folded, labels))
        with self._transaction():
            for other, other_hash, others in lists:
                if other_hash == list_hash or not names.isdisjoint(map(folded, json.loads(others))):
                    self._forget_list(other)
            self._db.execute(
                "INSERT INTO label_lists (model_id, hash, labels, calibration, photos, made_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (model_id, list_hash, json.dumps(labels), calibration, photos, now),
            )
        found = self.label_list(model_id, list_hash)
        assert found is not None
        return found.id

    def remove_tags(self, labels: Collection[str] | None, content_ids: Collection[int] | None) -> int:
        """Remove the tags of ``labels`` (None: all) from contents (None: all), of every model; return how
        many there were. Lists with these labels are no longer decided about these contents."""
        names = None if labels is None else set(map(folded, labels))
        tags = [
            tag
            for tag in self._each("SELECT content_id, label, model_id FROM tags")
            if (content_ids is None or tag[0] in content_ids) and (names is None or folded(tag[1]) in names)
        ]
        lists = [
            list_id
            for list_id, others in self._all("SELECT id, labels FROM label_lists")
            if names is None or not names.isdisjoint(map(folded, json.loads(others)))
        ]
        with self._transaction():
            self._db.executemany("DELETE FROM tags WHERE content_id = ? AND label = ? AND model_id = ?", tags)
            for list_id in lists:
                if content_ids is None:
                    self._forget_list(list_id)
                else:
                    self._db.executemany(
                        "DELETE FROM decided WHERE list_id = ? AND content_id = ?",
                        [(list_id, content_id) for content_id in content_ids],
                    )
        return len(tags)

    def tags_of(self, content_ids: Sequence[int], model_id: int) -> dict[int, list[TagSuggestion]]:
        """Return the stored tags of contents, by content id, the most probable first."""
        found: dict[int, list[TagSuggestion]] = {}
        select = (
            f"SELECT content_id, label, similarity, probability FROM tags WHERE model_id = {int(model_id)}"
        )
        for content_id, *tag in self._in(f"{select} AND content_id", content_ids):
            found.setdefault(content_id, []).append(TagSuggestion(*tag))
        for tags in found.values():
            tags.sort(key=TagSuggestion.rank)
        return found

    def _forget_list(self, list_id: int) -> None:
        """Forget a list and what it is decided about, within a transaction."""
        self._db.execute("DELETE FROM decided WHERE list_id = ?", (list_id,))
        self._db.execute("DELETE FROM label_lists WHERE id = ?", (list_id,))
