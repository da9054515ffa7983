"""The user's own keywords: inside photos, and in the sidecars beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from photoclip.records import FileStamp, TagCount
from photoclip.store.embeddings import Embeddings
from photoclip.store.rows import KnownSidecar, ReadSidecar, at_or_below, folded, folder_of

_AT_ONCE = 1000  # sidecars in one transaction

_IN_FILES = (
    "SELECT p.path, k.keyword FROM photos p JOIN keywords k ON k.content_id = p.content_id"
    " WHERE p.missing_since IS NULL"
)
_IN_SIDECARS = (
    "SELECT p.path, k.keyword FROM sidecar_photos s JOIN photos p ON p.path = s.photo"
    " JOIN sidecar_keywords k ON k.sidecar = s.sidecar WHERE NOT k.ours AND p.missing_since IS NULL"
)


class Keywords(Embeddings):
    """The tables of keywords and of sidecars. A sidecar's file is the truth; its rows are what was in it."""

    # -- the user's keywords ----------------------------------------------------------------------

    def own_keywords(self, paths: Iterable[bytes]) -> dict[bytes, list[str]]:
        """Return the user's keywords of the photos at ``paths`` that have some and are not missing, by path;
        in the order of the alphabet, those that differ in case alone once."""
        wanted = list(paths)
        found: dict[bytes, dict[str, str]] = {}
        for select in (_IN_FILES, _IN_SIDECARS):
            for path, keyword in self._in(f"{select} AND p.path", wanted):
                found.setdefault(path, {}).setdefault(folded(keyword), keyword)
        return {path: [known[word] for word in sorted(known)] for path, known in found.items()}

    def keywords_in(self, hashes: Iterable[bytes]) -> dict[bytes, list[str]]:
        """Return the user's keywords inside files, by SHA-256 of their bytes: an empty list for one without,
        no entry for one that was never read, or before photoclip read keywords."""
        wanted = list(hashes)
        read = "SELECT hash FROM contents WHERE id NOT IN (SELECT content_id FROM rereads) AND hash"
        found: dict[bytes, list[str]] = {row[0]: [] for row in self._in(read, wanted)}
        words = "SELECT hash, keyword FROM contents JOIN keywords ON content_id = id WHERE hash"
        for content_hash, keyword in self._in(words, list(found)):
            found[content_hash].append(keyword)
        return found

    def tag_counts(self, model_id: int | None) -> list[TagCount]:
        """Return how many photos carry each tag of a model (None: of no model) and each keyword of the
        user's, the most frequent first."""
        tags = self._all(
            "SELECT label, sum(n), 'tag' FROM tags JOIN ("
            "SELECT content_id, count(*) AS n FROM photos WHERE missing_since IS NULL GROUP BY content_id"
            ") USING (content_id) WHERE model_id = ? GROUP BY label",
            (model_id,),
        )
        # UNION: a photo has a keyword once, though it may be in the file and in the sidecar.
        keywords = self._all(
            f"SELECT keyword, count(*), 'keyword' FROM ({_IN_FILES} UNION {_IN_SIDECARS}) GROUP BY keyword"
        )
        counts = [TagCount(*row) for row in (*tags, *keywords)]
        return sorted(counts, key=lambda count: (-count.photos, count.label, count.kind))

    # -- sidecars ---------------------------------------------------------------------------------

    def knows_sidecars(self) -> bool:
        """Return whether any sidecar is known."""
        return self._one("SELECT 1 FROM sidecars LIMIT 1") is not None

    def sidecars_in(self, folder: bytes) -> dict[bytes, FileStamp]:
        """Return the stamps of the known sidecars that lie directly in ``folder``, by path."""
        rows = self._all(
            "SELECT path, size, mtime_ns, ctime_ns, inode FROM sidecars WHERE folder = ?", (folder,)
        )
        return {row[0]: FileStamp(*row[1:]) for row in rows}

    def sidecars(self, paths: Iterable[bytes]) -> dict[bytes, KnownSidecar]:
        """Return what is known of the sidecars at ``paths``, by path."""
        wanted = list(paths)
        stamps = self._in("SELECT path, size, mtime_ns, ctime_ns, inode FROM sidecars WHERE path", wanted)
        keywords: dict[tuple[bytes, bool], list[str]] = {}
        select = "SELECT sidecar, keyword, ours FROM sidecar_keywords WHERE sidecar"
        for path, keyword, ours in self._in(select, wanted):
            keywords.setdefault((path, bool(ours)), []).append(keyword)
        return {
            path: KnownSidecar(
                FileStamp(*stamp), *(tuple(keywords.get((path, ours), ())) for ours in (False, True))
            )
            for path, *stamp in stamps
        }

    def shared_sidecars(self) -> dict[bytes, tuple[bytes, ...]]:
        """Return the paths of the photos of each sidecar that photoclip has written into, by its path."""
        rows = self._all(
            "SELECT sidecar, photo FROM sidecar_photos WHERE sidecar IN"
            " (SELECT sidecar FROM sidecar_keywords WHERE ours) ORDER BY sidecar, photo"
        )
        found: dict[bytes, tuple[bytes, ...]] = {}
        for sidecar, photo in rows:
            found[sidecar] = (*found.get(sidecar, ()), photo)
        return found

    def record_sidecars(self, sidecars: Iterable[ReadSidecar]) -> None:
        """Remember sidecars as they were read, in place of what was known of them."""
        rest = iter(sidecars)
        while some := list(islice(rest, _AT_ONCE)):
            with self._transaction():
                self._drop_keywords_of([sidecar.path for sidecar in some])
                for sidecar in some:
                    self._record_sidecar(sidecar)

    def _record_sidecar(self, sidecar: ReadSidecar) -> None:
        self._db.execute(
            "INSERT INTO sidecars (path, folder, size, mtime_ns, ctime_ns, inode) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,"
            " ctime_ns = excluded.ctime_ns, inode = excluded.inode",
            (sidecar.path, folder_of(sidecar.path), *sidecar.stamp),
        )
        self._db.executemany(
            "INSERT INTO sidecar_keywords (sidecar, keyword, ours) VALUES (?, ?, ?)",
            [
                (sidecar.path, keyword, ours)
                for ours, keywords in ((0, sidecar.own), (1, sidecar.ours))
                for keyword in keywords
            ],
        )
        self._pair(sidecar.path, sidecar.photos)

    def pair_sidecars(self, photos: Mapping[bytes, Sequence[bytes]]) -> None:
        """Remember which photos known sidecars belong to: paths of photos, by path of the sidecar."""
        with self._transaction():
            for sidecar, owners in photos.items():
                self._pair(sidecar, owners)

    def _pair(self, sidecar: bytes, photos: Sequence[bytes]) -> None:
        self._db.execute("DELETE FROM sidecar_photos WHERE sidecar = ?", (sidecar,))
        self._db.executemany(
            "INSERT INTO sidecar_photos (sidecar, photo) VALUES (?, ?)",
            [(sidecar, photo) for photo in photos],
        )

    def drop_sidecars(self, paths: Iterable[bytes]) -> None:
        """Forget the sidecars at ``paths``."""
        gone = list(paths)
        with self._transaction():
            self._drop_sidecars(gone)

    def drop_stray_sidecars(self) -> None:
        """Forget the sidecars in folders that hold no photos any more."""
        with self._transaction():
            rows = self._all("SELECT path FROM sidecars WHERE folder NOT IN (SELECT folder FROM photos)")
            self._drop_sidecars([row[0] for row in rows])

    def _record_keywords(self, content_id: int, keywords: Sequence[str]) -> None:
        """Remember the keywords in a file that was just read, and nothing else, within a transaction."""
        self._db.execute("DELETE FROM keywords WHERE content_id = ?", (content_id,))
        self._db.executemany(
            "INSERT OR IGNORE INTO keywords (content_id, keyword) VALUES (?, ?)",
            [(content_id, keyword) for keyword in keywords],
        )
        self._db.execute("DELETE FROM rereads WHERE content_id = ?", (content_id,))

    def _drop_sidecars_under(self, root: bytes) -> None:
        """Forget the sidecars at or below ``root``, within a transaction."""
        rows = self._all(
            "SELECT path FROM sidecars WHERE path = ? OR (path >= ? AND path < ?)", at_or_below(root)
        )
        self._drop_sidecars([row[0] for row in rows])

    def _drop_sidecars(self, paths: Sequence[bytes]) -> None:
        self._drop_keywords_of(paths)
        for table, column in (("sidecar_photos", "sidecar"), ("sidecars", "path")):
            self._db.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(path,) for path in paths])

    def _drop_keywords_of(self, sidecars: Sequence[bytes]) -> None:
        self._db.executemany("DELETE FROM sidecar_keywords WHERE sidecar = ?", [(path,) for path in sidecars])
