"""Files that were read but are not stored yet."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from photoclip.errors import ModelUnavailable
from photoclip.indexing.report import IndexReport
from photoclip.indexing.survey import is_below
from photoclip.records import DecodedPhoto, FileStamp, KnownContent, Problem, ScannedFile
from photoclip.store import FoundFile, KnownFile, Store, StoredModel

if TYPE_CHECKING:
    from concurrent.futures import Future

    from photoclip.encoders import Encoder, Float32, Uint8
    from photoclip.records import ModelCard

    Outcome = DecodedPhoto | KnownContent | Problem | None

_UNENCODED = 8  # times the batch size: files that need no encoding cost only the transaction


@dataclass(slots=True)
class _Batch:
    """Files for one transaction; ``to_encode`` are places in ``found``, ``vectors`` what becomes of them."""

    found: list[FoundFile] = field(default_factory=list)
    problems: list[tuple[ScannedFile, Problem]] = field(default_factory=list)
    to_encode: list[int] = field(default_factory=list)
    files: int = 0
    vectors: Future[Sequence[bytes]] | None = None


class Batches:
    """Collects what was read and stores it, batch by batch: the model works on one while the next is read.

    ``known`` is what the catalogue remembers of the files, ``load`` gives the encoder when the first
    photo needs it, and ``report`` is counted up. As a context manager it waits for the model on leaving.
    """

    def __init__(
        self,
        store: Store,
        model: StoredModel,
        known: dict[bytes, KnownFile],
        load: Callable[[], Encoder],
        report: IndexReport,
    ) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self.store = store
        self.model = model
        self.known = known
        self.load = load
        self.report = report
        self.stored = 0
        """Files that are done, and stored for good where there is anything to store."""
        self._read: set[bytes] = set()  # in this run: a second copy costs nothing
        self._reads_again = store.has_rereads()
        self._claimed: set[bytes] = set()  # old paths that a move in this run already took
        self._roots = {root: _holds_something(root) for root in store.roots()}
        self._collected = _Batch()
        self._with_model = _Batch()
        self._thread = ThreadPoolExecutor(1, "photoclip-batch")

    def __enter__(self) -> Batches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def is_full(self, size: int) -> bool:
        """Return whether it is time to commit, at ``size`` photos to encode."""
        batch = self._collected
        return len(batch.to_encode) >= size or len(batch.found) + len(batch.problems) >= _UNENCODED * size

    def add(self, file: ScannedFile, outcome: Outcome) -> None:
        """Take one file with its outcome, and count it."""
        batch = self._collected
        batch.files += 1
        if outcome is None:  # it vanished between the walk and the reading
            return
        if isinstance(outcome, Problem):
            batch.problems.append((file, outcome))
            self.report.problems.append(outcome)
            self.report.unreadable += 1
            return
        moved_from = self._count(file, outcome.content_hash)
        decoded = None
        if isinstance(outcome, DecodedPhoto) and outcome.content_hash not in self._read:
            decoded = outcome
            self._read.add(outcome.content_hash)
            if not self._has_embedding(outcome.content_hash):
                batch.to_encode.append(len(batch.found))
        batch.found.append(FoundFile(file, outcome.content_hash, decoded, None, moved_from))

    def _has_embedding(self, content_hash: bytes) -> bool:
        return self._reads_again and self.store.has_embedding(self.model.id, content_hash)

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

    def commit(self) -> bool:
        """Hand what was collected to the model, and store, in one transaction, what it was handed before.

        Return whether there is anything left to store.
        """
        before, self._with_model, self._collected = self._with_model, self._collected, _Batch()
        photos = [self._with_model.found[place].decoded for place in self._with_model.to_encode]
        if photos:
            encode, pixels = self.load().encode_images, [photo.pixels for photo in photos if photo]
            self._with_model.vectors = self._thread.submit(_encoded, encode, pixels, self.model.card)
        self._store(before)
        return self._with_model.files > 0

    def _store(self, batch: _Batch) -> None:
        if batch.vectors is not None:
            for place, vector in zip(batch.to_encode, batch.vectors.result(), strict=True):
                batch.found[place] = batch.found[place]._replace(vector=vector)
        if batch.found or batch.problems:
            self.store.record(self.model.id, batch.found, batch.problems)
        self.report.embedded += len(batch.to_encode)
        self.stored += batch.files


def _encoded(
    encode: Callable[[Uint8], Float32], pictures: Sequence[bytes], card: ModelCard
) -> Sequence[bytes]:
    """Return the embeddings of pictures as the catalogue keeps them: little-endian float32."""
    import numpy as np

    size = card.preprocessing.size
    pixels = np.frombuffer(b"".join(pictures), np.uint8).reshape(-1, size, size, 3)
    vectors = encode(pixels).astype("<f4", copy=False)
    if not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3):  # false for what is not finite
        raise ModelUnavailable(
            f"the model {card.spec} gives embeddings that are not of unit length",
            "its weights may be damaged: photoclip models pull gets them again",
        )
    return [vector.tobytes() for vector in vectors]


def _holds_something(folder: bytes) -> bool:
    try:
        return bool(os.listdir(folder))
    except OSError:
        return False
