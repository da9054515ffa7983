"""What a library says of duplicates, and what is done about them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from photoclip.api.paths import PathLike, absolute

if TYPE_CHECKING:
    from photoclip.actions import Acted, How, JournalFile, Report, Undone
    from photoclip.keeping import Rule
    from photoclip.library import OpenLibrary
    from photoclip.records import DuplicateGroup, Level


class Duplicates:
    """A library's methods about duplicates."""

    inner: OpenLibrary

    def duplicates(
        self,
        level: Level = "same picture",
        *,
        within: float | None = None,
        least: float | None = None,
        mirrored: bool = False,
        turned: bool = False,
        among: Iterable[PathLike] | None = None,
        rules: Sequence[Rule] = (),
        references: Iterable[PathLike] = (),
        progress: Callable[[int, int], None] | None = None,
    ) -> list[DuplicateGroup]:
        """Return the groups of duplicates at ``level`` or better, the best photo of each first.

        ``within``: how long a moment lasts, in seconds. ``least``: the similarity from which photos are
        similar (None: the library's own line). A copy may also be ``mirrored``, or ``turned`` by quarters.
        ``rules`` say which is the best, as ``photoclip.keeping.parse_rules`` reads them; photos in the
        folders ``references`` come before all others.
        """
        from photoclip.duplicates import find_duplicates

        return find_duplicates(
            self.inner,
            level=level,
            within=within,
            least=least,
            mirrored=mirrored,
            turned=turned,
            among=absolute(among),
            rules=rules,
            references=sorted(absolute(references) or ()),
            progress=progress,
        )

    def deny(self, photos: Iterable[PathLike], *, revoke: bool = False) -> int:
        """Remember that no two of these photos are the same picture, or with ``revoke`` forget that; return
        how many pairs that were. Raises BadUsage for a photo that is not in the library, and for copies of
        one file."""
        from photoclip.duplicates import deny

        with self.inner.lock("dupes deny"):
            return deny(self.inner, sorted(absolute(photos) or ()), revoke=revoke)

    def deny_group(self, report: Report, number: int, *, revoke: bool = False) -> int:
        """Do as ``deny`` for the photos of a group of a report, counted from 1, as they were when it was
        made. Raises BadUsage when there is no such group, and for copies of one file."""
        from photoclip.duplicates.denying import deny_contents

        hashes = {photo.content_hash for photo in report.group(number).photos}
        with self.inner.lock("dupes deny"):
            return deny_contents(self.inner, hashes, revoke=revoke)

    def apply(
        self,
        report: Report,
        how: How,
        into: PathLike | None = None,
        *,
        carry: bool = True,
        dry_run: bool = False,
    ) -> Iterator[Acted]:
        """Do to the photos of a report of duplicates that do not stay what ``how`` says, and yield what
        became of each: into the ``trash`` or the folder ``into`` (``move``), or a link to what stays
        (``hard``, ``reflink``). Every file is compared with the report right before. With ``carry``, keywords
        of the user's go into the sidecar of what stays, and a photo whose keywords cannot is left alone.
        ``undo`` takes all of it back.
        """
        from photoclip.actions import apply

        place = None if into is None else os.path.abspath(os.fsencode(into))
        known = self.inner.store.keywords_in if carry else None
        with contextlib.nullcontext() if dry_run else self.inner.lock("dupes apply"):
            for acted in apply(report, self.inner.directory, how, place, carry=known, dry_run=dry_run):
                if acted.outcome == "moved" and not dry_run:
                    self.inner.store.mark_missing([acted.path], _now())
                yield acted

    def journals(self) -> list[JournalFile]:
        """Return what was done to duplicates and can be taken back, the newest last."""
        from photoclip.actions import journals

        return journals(self.inner.directory)

    def was_cut_off(self) -> bool:
        """Say whether a run of ``apply`` was killed and not taken back: photos may have hidden names."""
        from photoclip.actions import was_cut_off

        return was_cut_off(self.inner.directory)

    def undo(self, journal: JournalFile) -> Iterator[Undone]:
        """Take back what ``journal`` tells, and yield each file as it is back."""
        from photoclip.actions import undo

        with self.inner.lock("undo"):
            for undone in undo(journal.path):
                if undone.outcome == "restored":
                    self.inner.store.mark_seen([undone.path])
                yield undone


def _now() -> str:
    from datetime import datetime, timezone

    return datetime.now(timezone.utc).isoformat(timespec="seconds")
