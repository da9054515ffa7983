"""A run of index from the first folder to the last cache."""

from __future__ import annotations

import functools
import os
import shlex
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from photoclip import config
from photoclip.errors import BadUsage
from photoclip.indexing.batch import Batches
from photoclip.indexing.options import IndexOptions, Watcher
from photoclip.indexing.report import IndexReport, warn
from photoclip.indexing.sidecars import settle_sidecars
from photoclip.indexing.survey import Loss, Survey, Surveyor
from photoclip.store import StoredModel

if TYPE_CHECKING:
    from photoclip.encoders import Encoder
    from photoclip.library import OpenLibrary


def index(
    library: OpenLibrary,
    roots: Sequence[bytes],
    options: IndexOptions,
    watcher: Watcher,
    listed: Sequence[bytes] = (),
) -> IndexReport:
    """Bring ``library`` up to date with the photos below ``roots`` and ``listed`` (folders or files).

    A root that does not exist and was never indexed raises BadUsage; in ``listed`` it is a warning.
    Raises LibraryLocked, and ModelUnavailable when photos have to be embedded and the model's
    weights are not there.
    """
    began = time.monotonic()
    roots, listed = ([os.path.abspath(path) for path in paths] for paths in (roots, listed))
    with library.lock("index"):
        _refuse_strangers(library, roots)
        report = _Run(library, options, watcher).over([*roots, *listed])
    report.seconds = time.monotonic() - began
    return report


def _refuse_strangers(library: OpenLibrary, roots: Sequence[bytes]) -> None:
    for root in roots:
        if not (os.path.lexists(root) or library.store.knows(root)):
            raise BadUsage(f"there is no such file or folder: {os.fsdecode(root)}")


_SHARE = 0.1
"""What may be gone from a root at once without a question: a drive that is half away, or a folder that was
moved out by mistake, must not empty a library."""
_AT_ONCE, _A_CORE = 32, 8  # photos to encode at once, at least, where the user does not say how many


class _WeightsChanged(Exception):
    """The model's file holds other weights than those the stored embeddings were made with."""


class _Run:
    """One run of index."""

    def __init__(self, library: OpenLibrary, options: IndexOptions, watcher: Watcher) -> None:
        self.library = library
        self.store = library.store
        self.options = options
        self.watcher = watcher
        self.report = IndexReport()
        self.encoder: Encoder | None = None
        self.spec = _full(options.model) if options.model else library.model_spec() or ""
        self.model = self.store.model(self.spec) if self.spec else None

    def over(self, roots: Sequence[bytes]) -> IndexReport:
        """Walk, read and settle everything; return what was done."""
        survey = self._survey(roots)
        if self.model is not None:
            self._remember_choice()
        if survey.work:
            try:
                self._read(survey)
            except _WeightsChanged:
                survey = self._survey(roots)
                self._read(survey)
        self._settle(survey)
        settle_sidecars(self.store, survey.sidecars, self.report, self.watcher)
        for root in roots:
            if os.path.isdir(root):
                self.store.add_root(root)
        if self.model is not None:
            self.library.refresh_vectors(self.model)
        return self.report

    def _survey(self, roots: Sequence[bytes]) -> Survey:
        self.report = IndexReport(warnings=self.report.warnings)
        return Surveyor(self.store, self.model, self.options, self.report, self.watcher).survey(roots)

    # -- the model --------------------------------------------------------------------------------

    def _ready_model(self) -> StoredModel:
        """Return the model as stored; load it only if it is new here (a move needs no model)."""
        if not self.spec:
            self.spec, line = self.library.new_model_spec()
            self.watcher.note(line)
        if self.model is None:
            encoder = self._load()
            self.model = self.store.add_model(encoder.card)
            self.library.export_tower(self.model, encoder)
        self._remember_choice()
        return self.model

    def _remember_choice(self) -> None:
        if self.library.model_spec() != self.spec:
            self.store.set_setting("model", self.spec)

    def _load(self) -> Encoder:
        """Load the model once; raises _WeightsChanged if it is not the one that was stored."""
        if self.encoder is None:
            from photoclip.encoders import registry

            self.encoder = registry.load(self.spec, self.options.device)
            if self.model is not None:
                self._compare_weights(self.encoder, self.model)
                self.library.export_tower(self.model, self.encoder)
        return self.encoder

    def _compare_weights(self, encoder: Encoder, model: StoredModel) -> None:
        if encoder.card.weights_hash != model.card.weights_hash:
            line = f"the weights of {self.spec} have changed: all photos are embedded anew"
            warn(self.report, self.watcher, line)
            self.model = None
            raise _WeightsChanged

    # -- read, encode, store ----------------------------------------------------------------------

    def _read(self, survey: Survey) -> None:
        from photoclip.images import DecodePool

        if self.store.has_rereads():
            self.watcher.note("photos of an earlier version are read again, for the keywords in them")
        model = self._ready_model()
        self.watcher.started(len(survey.work))
        jobs = min(self.options.jobs or config.cpu_count(), len(survey.work))
        size = self.options.batch_size or max(_AT_ONCE, _A_CORE * config.cpu_count())

        @functools.cache
        def ready() -> Encoder:
            encoder = self._load()
            encoder.prepare(len(survey.work))
            return encoder

        with (
            self.store.recogniser(model.id) as has_embedding,
            DecodePool(jobs, model.card.preprocessing, lambda _, content: has_embedding(content)) as pool,
            Batches(self.store, model, survey.known, ready, self.report) as batches,
        ):
            for file, outcome in pool.run(survey.work):
                batches.add(file, outcome)
                if batches.is_full(size):
                    self._commit(batches)
            while self._commit(batches):
                pass

    def _commit(self, batches: Batches) -> bool:
        """Commit, say so if that stored anything, and return whether there is more to store."""
        before = batches.stored
        is_more = batches.commit()
        if batches.stored > before:
            self.watcher.stored(batches.stored)
        return is_more

    def _settle(self, survey: Survey) -> None:
        if survey.returned:
            self.store.mark_seen(survey.returned)
        gone = [*survey.gone]
        for loss in survey.losses:
            if self._is_believed(loss):
                gone += loss.paths
        if gone:
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            self.report.missing += self.store.mark_missing(gone, now)

    def _is_believed(self, loss: Loss) -> bool:
        """Return whether photos may be hidden, or the user has to say first that they are gone for good."""
        left = len(self.store.contents_at(loss.paths))  # what was found elsewhere has been moved by now
        if self.options.prune or left <= max(1, _SHARE * loss.photos):
            return True
        root = os.fsdecode(loss.root)
        warn(
            self.report,
            self.watcher,
            f"{left} of the {loss.photos} photos of {root} are gone; they stay in the library until you say"
            f" that this is right: photoclip index --prune {shlex.quote(root)}",
        )
        return False


def _full(spec: str) -> str:
    """Return ``spec`` as libraries remember it, or fail before the walk when there is no such model."""
    from photoclip.encoders import registry

    return registry.resolve(spec).spec
