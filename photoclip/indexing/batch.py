"""Files that were read but are not stored yet."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from photoclip.errors import ModelUnavailable
from photoclip.indexing.survey import is_below
from photoclip.records import DecodedPhoto, FileStamp, IndexReport, KnownContent, Problem, ScannedFile
from photoclip.store import FoundFile, KnownFile, Store, StoredModel

if TYPE_CHECKING:
    from photoclip.encoders import Encoder

    Outcome = DecodedPhoto | KnownContent | Problem | None


class Batch:
    """Collects what was read and commits it: what ``commit`` has returned from is stored for good.

    ``known`` is what the catalogue remembers of the files, ``load`` gives the encoder when the first
    photo needs it, and ``report`` is counted up.
    """

    def __init__(
        self,
        store: Store,
        model: StoredModel,
        known: dict[bytes, KnownFile],
        load: Callable[[], Encoder],
        report: IndexReport,
    ) -> None:
        self.store = store
        self.model = model
        self.known = known
        self.load = load
        self.report = report
        self.done = 0
        self.to_encode: list[int] = []  # places in the list of found files
        self._embedded: set[bytes] = set()  # in this run: a second copy costs nothing
        self._roots = {root: _holds_something(root) for root in store.roots()}
        self._clear()

    def _clear(self) -> None:
        self._found: list[FoundFile] = []
        self._problems: list[tuple[ScannedFile, Problem]] = []
        self._claimed: set[bytes] = set()  # old paths that a move in this batch already took
        self.to_encode = []

    def __len__(self) -> int:
        return len(self._found) + len(self._problems)

    def add(self, file: ScannedFile, outcome: Outcome) -> None:
        """Take one file with its outcome, and count it."""
        self.done += 1
        if outcome is None:  # it vanished between the walk and the reading
            return
        if isinstance(outcome, Problem):
            self._problems.append((file, outcome))
            self.report.problems.append(outcome)
            self.report.unreadable += 1
            return
        moved_from = self._count(file, outcome.content_hash)
        decoded = None
        if isinstance(outcome, DecodedPhoto) and outcome.content_hash not in self._embedded:
            decoded = outcome
            self._embedded.add(outcome.content_hash)
            self.to_encode.append(len(self._found))
        self._found.append(FoundFile(file, outcome.content_hash, decoded, None, moved_from))

    def _count(self, file: ScannedFile, content_hash: bytes) -> bytes | None:
        """Count the file as what it is, and return the path it was moved from, if it was."""
        report = self.report
        places = self.store.places_of(content_hash)
        if file.path in places:
            report.unchanged += 1
            return None
        before = self.known.get(file.path)
        if before is not None and not before.is_problem:
            report.updated += 1
            return None
        for old, stamp in places.items():
            if old not in self._claimed and self._has_left(old, stamp, file):
                self._claimed.add(old)
                report.moved += 1
                return old
        report.added += 1
        return None

    def _has_left(self, old: bytes, stamp: FileStamp, file: ScannedFile) -> bool:
        """Return whether ``old`` became ``file``, rather than lies on a drive that is away just now."""
        if os.path.lexists(old):
            return False
        if (stamp.inode, stamp.mtime_ns) == (file.stamp.inode, file.stamp.mtime_ns):
            return True
        return any(is_there for root, is_there in self._roots.items() if is_below(old, root))

    def commit(self) -> None:
        """Encode what has to be, and store everything in one transaction."""
        if len(self):
            self._encode()
            self.store.record(self.model.id, self._found, self._problems)
            self._clear()

    def _encode(self) -> None:
        if not self.to_encode:
            return
        import numpy as np

        size = self.model.card.preprocessing.size
        photos = [self._found[place].decoded for place in self.to_encode]
        pixels = np.stack(
            [np.frombuffer(photo.pixels, np.uint8).reshape(size, size, 3) for photo in photos if photo]
        )
        vectors = self.load().encode_images(pixels).astype("<f4", copy=False)
        if not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3):  # false for what is not finite
            raise ModelUnavailable(
                f"the model {self.model.card.spec} gives embeddings that are not of unit length",
                "its weights may be damaged: photoclip models pull gets them again",
            )
        for place, vector in zip(self.to_encode, vectors, strict=True):
            self._found[place] = replace(self._found[place], vector=vector.tobytes())
        self.report.embedded += len(vectors)


def _holds_something(folder: bytes) -> bool:
    try:
        return bool(os.listdir(folder))
    except OSError:
        return False
