"""The sidecars that a walk met: which to read, and which photos they belong to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from photoclip.errors import PhotoclipError
from photoclip.images.names import is_photo, is_raw
from photoclip.indexing.report import IndexReport, warn
from photoclip.records import ScannedFile, ScannedFolder
from photoclip.scan import scan_file
from photoclip.store import ReadSidecar

if TYPE_CHECKING:
    from photoclip.indexing.options import Watcher
    from photoclip.partners import Partners
    from photoclip.store import Store

_ENDING = b".xmp"


class FolderSidecars(NamedTuple):
    """The sidecars of one folder: ``changed`` ones are to be read; ``same`` ones are not, but new photos came
    beside them. ``photos`` are those that may own them."""

    photos: tuple[bytes, ...]
    changed: tuple[ScannedFile, ...]
    same: tuple[ScannedFile, ...]


class SidecarSurvey:
    """Compares the sidecars of a walk with those in the catalogue: ``folders`` have something to be done,
    ``gone`` are the paths of those that are not there any more. With ``deep`` all are read again."""

    def __init__(self, store: Store, *, deep: bool) -> None:
        self.folders: list[FolderSidecars] = []
        self.gone: list[bytes] = []
        self._store = store
        self._deep = deep
        self._knows_some = store.knows_sidecars()

    def compare(self, folder: ScannedFolder, *, has_new_photos: bool) -> None:
        """Take one folder of the walk."""
        if not (folder.sidecars or self._knows_some):
            return
        known = self._store.sidecars_in(folder.path)
        changed: list[ScannedFile] = []
        same: list[ScannedFile] = []
        for file in folder.sidecars:
            is_same = known.pop(file.path, None) == file.stamp and not self._deep
            (same if is_same else changed).append(file)
        if changed or (same and has_new_photos):
            photos = tuple(file.path for file in folder.files)
            self.folders.append(FolderSidecars(photos, tuple(changed), tuple(same)))
        if folder.complete and folder.files:  # where no photo is met any more, a drive may be away
            self.gone += [path for path in known if not os.path.lexists(path)]


def sidecars_of(photos: Iterable[ScannedFile]) -> tuple[ScannedFile, ...]:
    """Return the sidecars of photos that were named one by one, by path."""
    try:
        found = _owners(_partners(), [photo.path for photo in photos])
    except PhotoclipError:  # photos may be named in a folder that cannot be listed
        return ()
    files = (scan_file(path) for path in sorted(found))
    return tuple(file for file in files if file is not None)


def settle_sidecars(store: Store, survey: SidecarSurvey, report: IndexReport, watcher: Watcher) -> None:
    """Read what has changed, and bring the catalogue's rows of sidecars up to date.

    A sidecar that is damaged is a warning; it is not read again until it changes.
    """
    if survey.gone:
        store.drop_sidecars(survey.gone)
    if report.moved:
        store.drop_stray_sidecars()
    if survey.folders:
        reading = _Reading(store, report, watcher)
        reading.pair(survey.folders)
        store.record_sidecars(chain.from_iterable(map(reading.read, survey.folders)))


class _Reading:
    """Reads sidecars for one run."""

    def __init__(self, store: Store, report: IndexReport, watcher: Watcher) -> None:
        self._store = store
        self._report = report
        self._watcher = watcher
        self._partners = _partners()

    def pair(self, folders: Sequence[FolderSidecars]) -> None:
        """Bring up to date whom the sidecars belong to that are not read."""
        pairs = {}
        for folder in folders:
            owners = self._owners_in(folder) if folder.same else {}
            pairs.update({file.path: owners.get(file.path, ()) for file in folder.same})
        if pairs:
            self._store.pair_sidecars(pairs)

    def read(self, folder: FolderSidecars) -> Iterator[ReadSidecar]:
        """Read the changed sidecars of a folder."""
        from photoclip import sidecars

        owners = self._owners_in(folder)
        for file in folder.changed:
            photos = owners.get(file.path, ())
            try:
                stamp, keywords = sidecars.read(file.path)
            except sidecars.NotShared as error:
                if photos:
                    self._warn(file, error)
                if not isinstance(error.__cause__, OSError):  # which may pass: the next run tries again
                    yield ReadSidecar(file.path, file.stamp, photos)
                continue
            self._report.sidecars += 1
            yield ReadSidecar(file.path, stamp, photos, keywords.own, keywords.ours)

    def _owners_in(self, folder: FolderSidecars) -> dict[bytes, tuple[bytes, ...]]:
        try:
            return _owners(self._partners, folder.photos)
        except PhotoclipError as error:
            warn(self._report, self._watcher, str(error))
            return {}

    def _warn(self, file: ScannedFile, reason: object) -> None:
        warn(self._report, self._watcher, f"the sidecar {os.fsdecode(file.path)} cannot be read: {reason}")


def _partners() -> Partners:
    from photoclip.partners import Partners  # late: in most runs nothing has changed

    return Partners(is_photo, is_raw)


def _owners(partners: Partners, photos: Iterable[bytes]) -> dict[bytes, tuple[bytes, ...]]:
    """Return which photos the XMP sidecars of ``photos`` belong to, by path of the sidecar."""
    return {
        partner.path: partner.owners
        for photo in photos
        for partner in partners.of(photo)
        if partner.kind == "sidecar" and partner.path.lower().endswith(_ENDING)
    }
