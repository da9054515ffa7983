"""The walk, compared with the catalogue folder by folder: what to read, what came back, what is gone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from photoclip import config
from photoclip.images import is_photo, worth_another_try
from photoclip.indexing.options import IndexOptions, Watcher
from photoclip.indexing.report import IndexReport, warn
from photoclip.indexing.sidecars import SidecarSurvey, sidecars_of
from photoclip.records import ScannedFile, ScannedFolder
from photoclip.scan import scan, scan_file
from photoclip.store import KnownFile, Store, StoredModel


class Loss(NamedTuple):
    """The known paths that are gone from ``root``, on evidence, and how many photos were known there."""

    root: bytes
    paths: list[bytes]
    photos: int


@dataclass(slots=True)
class Survey:
    """What a walk found: ``work`` to be read (``known`` tells what the catalogue remembers of it), the
    paths of photos that ``returned`` unchanged, those that are ``gone`` because the user named them and
    they are not there, the ``losses`` of the roots, and the ``sidecars``."""

    sidecars: SidecarSurvey
    work: list[ScannedFile] = field(default_factory=list)
    known: dict[bytes, KnownFile] = field(default_factory=dict)
    returned: list[bytes] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    files: int = 0


class Surveyor:
    """Walks roots and counts what it finds into ``report``; warnings go to ``watcher``, each once."""

    def __init__(
        self,
        store: Store,
        model: StoredModel | None,
        options: IndexOptions,
        report: IndexReport,
        watcher: Watcher,
    ) -> None:
        self.store = store
        self.model = model
        self.options = options
        self.report = report
        self.watcher = watcher
        self._all_embedded = model is not None and store.has_embedded_all(model.id)
        self._seen: set[bytes] = set()  # folders, because roots may overlap
        self._named: dict[bytes, dict[bytes, ScannedFile]] = {}  # files named by the user, by folder

    def survey(self, roots: Sequence[bytes]) -> Survey:
        """Walk ``roots`` (folders or files) and return what is to be done about them."""
        with config.no_garbage():
            return self._survey(roots)

    def _survey(self, roots: Sequence[bytes]) -> Survey:
        survey = Survey(SidecarSurvey(self.store, deep=self.options.deep))
        folders: list[bytes] = []
        for root in dict.fromkeys(roots):
            file = scan_file(root)
            if file is not None and is_photo(root):
                self._named.setdefault(os.path.dirname(root), {})[root] = file
            elif file is not None:
                self.report.skipped += 1
            elif self._is_gone_file(root):
                survey.gone.append(root)
            else:
                folders.append(root)
        for root in folders:
            self._survey_root(root, survey)
        for folder, named in self._named.items():
            files = tuple(named.values())
            # As if the folder had been listed in part: nothing follows from what is not named.
            self._compare(ScannedFolder(folder, files, False, sidecars=sidecars_of(files)), survey)
        return survey

    def _is_gone_file(self, path: bytes) -> bool:
        """Return whether ``path`` is a photo of the library whose folder is there without it."""
        folder = os.path.dirname(path)
        return (
            path in self.store.files_in(folder, None) and os.path.isdir(folder) and not os.path.lexists(path)
        )

    def _survey_root(self, root: bytes, survey: Survey) -> None:
        listed: dict[bytes, ScannedFolder] = {}
        gone: list[bytes] = []
        silent = {root, *(known for known in self.store.roots() if is_below(known, root))}
        for folder in scan(
            root, is_photo=is_photo, excludes=self.options.excludes, follow_links=self.options.follow_links
        ):
            # Only what decides about missing folders is kept: not the files.
            listed[folder.path] = ScannedFolder(
                folder.path, (), folder.complete, excluded_folders=folder.excluded_folders
            )
            if folder.error:
                self.warn(f"{os.fsdecode(folder.path)}: {folder.error}; nothing in it is forgotten")
            if folder.files:
                silent = {known for known in silent if not is_below(folder.path, known)}
            if folder.path not in self._seen:
                self._seen.add(folder.path)
                gone += self._compare(folder, survey)
                self._drop_named(folder)
            self.watcher.surveyed(survey.files)
        gone += self._gone_folders(root, listed)
        for away in sorted(silent):  # a root comes before those below it
            gone = self._keep_what_is_away(away, gone)
        if gone:
            survey.losses.append(Loss(root, gone, self.store.photos_under(root)))

    def _keep_what_is_away(self, root: bytes, gone: list[bytes]) -> list[bytes]:
        """Return what is gone elsewhere than from ``root``, in which no photo was met any more.

        An unmounted drive looks like an empty folder: nothing that was known is given up for it.
        """
        elsewhere = [path for path in gone if not is_below(path, root)]
        if len(elsewhere) < len(gone):
            self.warn(
                f"there are no photos in {os.fsdecode(root)} now: is its drive away?"
                f" {self.store.photos_under(root)} stay in the library (to take them out: photoclip forget)"
            )
        return elsewhere

    def _drop_named(self, folder: ScannedFolder) -> None:
        for file in folder.files if folder.path in self._named else ():
            self._named[folder.path].pop(file.path, None)

    def _compare(self, folder: ScannedFolder, survey: Survey) -> list[bytes]:
        """Sort the files of one folder into the survey; return the known paths that are gone."""
        model_id = self.model.id if self.model else None
        known = self.store.files_in(folder.path, model_id, all_embedded=self._all_embedded)
        self.report.skipped += folder.skipped
        survey.files += len(folder.files)
        trusting, unchanged, to_read = not self.options.deep, 0, len(survey.work)
        for file in folder.files:
            path, stamp = file
            before = known.pop(path, None)
            # before[1:5] is its stamp, but nothing is made for it: nearly all files end here.
            if before is not None and before[1:5] == stamp and before.embedded and trusting:
                unchanged += 1
                if before.missing:
                    survey.returned.append(path)
            elif before is None or before.stamp != stamp or self._must_read(before):
                survey.work.append(file)
                if before is not None:
                    survey.known[path] = before
            else:
                self.report.unreadable += 1
        self.report.unchanged += unchanged
        survey.sidecars.compare(folder, has_new_photos=len(survey.work) > to_read)
        if not folder.complete:
            return []
        return [path for path, file in known.items() if not file.missing and not os.path.isfile(path)]

    def _must_read(self, before: KnownFile) -> bool:
        if before.is_problem:
            return self.options.deep or worth_another_try(before.waits_for)
        return self.options.deep or not before.embedded

    def _gone_folders(self, root: bytes, listed: dict[bytes, ScannedFolder]) -> list[bytes]:
        """Return the photos of known folders that no longer exist, on evidence of a complete listing."""
        gone: list[bytes] = []
        for folder in self.store.folders_under(root):
            if folder in listed or not _vanished(folder, listed):
                continue
            files = self.store.files_in(folder, None)
            gone += [path for path, file in files.items() if not file.missing]
        return gone

    def warn(self, text: str) -> None:
        """Say, and put on record, what the user should know."""
        warn(self.report, self.watcher, text)


def is_below(path: bytes, root: bytes) -> bool:
    """Return whether ``path`` is ``root`` or lies anywhere below it."""
    return path == root or path.startswith(root.rstrip(b"/") + b"/")


def _vanished(folder: bytes, listed: dict[bytes, ScannedFolder]) -> bool:
    """Return whether a complete listing of the nearest ancestor shows that ``folder`` is gone."""
    child, parent = folder, os.path.dirname(folder)
    while parent not in listed:
        if parent == os.path.dirname(parent):
            return False
        child, parent = parent, os.path.dirname(parent)
    return listed[parent].complete and child not in listed[parent].excluded_folders
