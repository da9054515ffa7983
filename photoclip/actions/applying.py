"""Acting upon a report: every file is looked at again, right before something is done to it or its like.

What stays of a group must be there, byte for byte as the report has it; else nothing of the group is touched.
A file that changed, that is gone, or that became a link, is left alone and named. What stays in any group of
the report never goes, under no other name either: files are told apart by what the file system says they are.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, get_args

from photoclip import config
from photoclip.actions.belongings import Belongings, Companion
from photoclip.actions.carrying import Cargo, Carrying, KeywordsOf
from photoclip.actions.deeds import do
from photoclip.actions.files import NO_FILE, Stamp, Unfit, attributes_of, mtime_of, real, stamp_of, why
from photoclip.actions.journal import Journal, Kind, Step
from photoclip.actions.report import Report, ReportGroup, ReportPhoto
from photoclip.actions.ways import File, Plan, Way, linking, to_folder, to_trash
from photoclip.actions.writing import write_back
from photoclip.errors import BadUsage, PhotoclipError
from photoclip.partners import split_name
from photoclip.records import Level

How = Literal["trash", "move", "hard", "reflink"]
"""Into the trash; into a folder; a hard link to what stays; a copy that shares the blocks of what stays."""

ACTED_UPON: frozenset[Level] = frozenset({"identical", "same picture"})
"""The levels at which two photos are one picture."""

_FULL = {errno.ENOSPC, errno.EDQUOT}
_KEPT_CHANGED = "what stays of its group changed or is gone"


class Acted(NamedTuple):
    """What became of one file (or would, in a dry run): ``target`` is where it is now, or what it is a link
    to; empty when it was ``left`` alone, for ``reason``. Where ``carried``, it is the sidecar of what stays,
    which got keywords of the file: those in ``reason``. What became of the file itself comes next.

    ``group`` counts from 1; ``partner`` tells what came along from what the report names; a file that was
    moved can have a ``reason`` too: what is not done for it. ``size`` is in bytes.
    """

    group: int
    path: bytes
    outcome: Literal["moved", "linked", "left", "carried"]
    target: bytes = b""
    reason: str = ""
    partner: bool = False
    size: int = 0


def apply(
    report: Report,
    library: str,
    how: How,
    into: bytes | None = None,
    *,
    levels: frozenset[Level] = ACTED_UPON,
    carry: KeywordsOf | None = None,
    dry_run: bool = False,
) -> Iterator[Acted]:
    """Do to the photos of ``report`` that do not stay what ``how`` says, and yield what became of each.

    ``into`` is the folder to move them to, or the trash to use instead of the user's own. Only groups of
    ``levels`` are acted upon. With ``carry``, which tells what keywords are inside files, the user's keywords
    of what goes are carried to what stays, and a photo whose keywords cannot be is left alone. (A link stands
    where the photo stood, beside the same sidecars.) With ``dry_run`` nothing is written; what would be done
    is yielded. The caller holds the lock of ``library``, where the journal is kept; ``undo`` takes all of it
    back.

    Raises BadUsage when ``into`` does not fit ``how``; PhotoclipError, after what was done was yielded, when
    a drive is full or the journal cannot be written.
    """
    if how not in get_args(How):
        raise BadUsage(
            f"there is no way {how!r} to act upon a report", f"there are: {', '.join(get_args(How))}"
        )
    if (how == "move") != bool(into) and how != "trash":
        raise BadUsage("photos are moved to a folder, and links need none", "name a folder to move them to")
    return _Run(report, Journal(library, how), _way(how, into), levels, carry, dry_run).acting()


def _way(how: How, into: bytes | None) -> Way:
    if how == "move":
        return to_folder(into or b"")
    if how == "trash":
        return to_trash(into or os.fsencode(config.trash_folder()))
    return linking("hard" if how == "hard" else "clone")


class _Unit(NamedTuple):
    """A photo that goes, with what goes along and what is carried."""

    number: int
    files: list[File]
    plans: list[Plan]
    cargo: Cargo | None


class _Run:
    def __init__(
        self,
        report: Report,
        journal: Journal,
        way: Way,
        levels: frozenset[Level],
        carry: KeywordsOf | None,
        dry_run: bool,
    ) -> None:
        self._groups = report.groups
        self._journal = journal
        self._way = way
        self._levels = levels
        self._dry_run = dry_run
        self._gone: set[bytes] = set()
        self._staying = {real(one.path) for group in report.groups for one in group.photos if one.stays}
        self._identities = {identity: path for path in self._staying if (identity := _identity(path))}
        self._belongings = Belongings(self._staying, self._gone, carries=carry is not None)
        references = {real(one.path) for group in report.groups for one in group.photos if one.reference}
        self._carrying = Carrying(carry, self._belongings, references) if carry else None

    def acting(self) -> Iterator[Acted]:
        try:
            for number, group in enumerate(self._groups, 1):
                yield from self._act_upon(number, group)
        except (GeneratorExit, PhotoclipError):
            with contextlib.suppress(PhotoclipError):  # where there is no room for this either
                self._journal.close()
            raise
        self._journal.close()

    def _act_upon(self, number: int, group: ReportGroup) -> Iterator[Acted]:
        going = [one for one in group.photos if not one.stays and real(one.path) not in self._gone]
        reason = "" if group.level in self._levels else f"the level {group.level} is not acted upon"
        staying = [one for one in group.photos if one.stays and going and not reason]
        found = {real(one.path): _verified(one) for one in staying}
        kept = {path: stamp for path, stamp in found.items() if isinstance(stamp, Stamp)}
        for one in staying:
            if isinstance(why_not := found[real(one.path)], str):
                yield Acted(number, one.path, "left", reason=why_not, size=one.size)
                reason = _KEPT_CHANGED
        if reason:
            yield from (Acted(number, one.path, "left", reason=reason, size=one.size) for one in going)
            return
        seen = {real(one.path): self._seen(one, group, kept) for one in going}
        for one in going:
            if real(one.path) not in self._gone:  # it came along with another
                yield from self._let_go(number, one, kept, seen)

    def _seen(self, photo: ReportPhoto, group: ReportGroup, kept: Mapping[bytes, Stamp]) -> Stamp | str:
        """Return what a photo is that does not stay, or why it is left alone."""
        stamp = _verified(photo)
        if isinstance(stamp, str):
            return stamp
        if real(photo.path) in self._staying:
            return "it stays in another group"
        if stays := self._identities.get(stamp.identity):
            return f"it is the same file as {os.fsdecode(stays)}, which stays"
        if group.level == "identical" and stamp.sha256 not in {its.sha256 for its in kept.values()}:
            return "its bytes are not those of what stays"
        return stamp

    def _let_go(
        self, number: int, photo: ReportPhoto, kept: dict[bytes, Stamp], seen: dict[bytes, Stamp | str]
    ) -> Iterator[Acted]:
        path = real(photo.path)
        found = seen[path]
        if isinstance(found, str):
            yield Acted(number, photo.path, "left", reason=found, size=photo.size)
            return
        file = File(path, photo.path, split_name(os.path.basename(path))[1], found)
        try:
            beside = self._belongings.of(path, kept, seen) if self._way.outcome == "moved" else []
            cargo = self._cargo(file, beside, kept, seen)
            files = [file, *(_coming(one) for one in beside if one.goes and one.stamp)]
            plans = self._way.plan(files, kept)
        except Unfit as reason:
            yield Acted(number, photo.path, "left", reason=str(reason), size=photo.size)
            return
        results: list[Acted] = []
        full: PhotoclipError | None = None
        try:
            self._carry_out(_Unit(number, files, plans, cargo), kept, results)
        except PhotoclipError as error:
            full = error
        yield from results  # not before all that belongs together is together, for who listens may leave
        if full:
            raise full
        yield from (
            Acted(number, one.path, "left", reason=one.reason, partner=True) for one in beside if not one.goes
        )

    def _cargo(
        self,
        file: File,
        beside: list[Companion],
        kept: Mapping[bytes, Stamp],
        seen: Mapping[bytes, Stamp | str],
    ) -> Cargo | None:
        """Return what is to be carried. What goes along and is of the group may have keywords of its own."""
        if self._carrying is None or self._way.outcome != "moved":
            return None
        along = {one.stamp.sha256 for one in beside if one.goes and one.stamp and one.path in seen}
        return self._carrying.cargo(file.path, {file.stamp.sha256, *along}, kept)

    def _carry_out(self, unit: _Unit, kept: dict[bytes, Stamp], results: list[Acted]) -> None:
        """Let a photo and what belongs to it go, and say so in ``results``; when the photo cannot, nothing
        does, and nothing is carried. Raises PhotoclipError when a drive is full."""
        steps = [] if self._dry_run else self._recorded(unit)
        written = steps.pop(0) if steps and unit.cargo else None
        if unit.cargo and not self._carried(unit, unit.cargo, written, kept, results):
            self._give_up(steps)
            return
        try:
            self._move_or_link(unit, steps, kept, results)
        finally:
            if unit.cargo:
                self._settle(unit, unit.cargo, written, results)

    def _carried(
        self,
        unit: _Unit,
        cargo: Cargo,
        step: Step | None,
        kept: dict[bytes, Stamp],
        results: list[Acted],
    ) -> bool:
        file = unit.files[0]
        if step and (reason := self._do(step, kept, late=True)):
            reason = f"its keywords are not carried to {os.fsdecode(cargo.sidecar)}: {reason}"
            results.append(Acted(unit.number, file.shown, "left", reason=reason, size=file.stamp.size))
            return False
        results.append(Acted(unit.number, file.shown, "carried", cargo.sidecar, cargo.told))
        return True

    def _settle(self, unit: _Unit, cargo: Cargo, written: Step | None, results: list[Acted]) -> None:
        """Record that keywords were carried, or take them back where the photo could not go."""
        failed = ""
        if written and os.path.lexists(unit.files[0].path):
            with contextlib.suppress(OSError, Unfit):  # then they stay: somebody changed the sidecar just now
                write_back(written)
                del results[0]
                failed = "it was taken back, for the photo could not go"
        if self._carrying and not failed:
            self._carrying.done(cargo)
        if written:
            self._journal.done(written, failed)

    def _move_or_link(
        self, unit: _Unit, steps: list[Step], kept: dict[bytes, Stamp], results: list[Acted]
    ) -> None:
        for place, (file, plan) in enumerate(zip(unit.files, unit.plans, strict=True)):
            told = Acted(unit.number, file.shown, "left", partner=file.partner, size=file.stamp.size)
            if steps and (reason := self._do(steps[place], kept)):
                results.append(told._replace(reason=reason))
                if not file.partner:
                    self._give_up(steps[1:])
                    return
            else:
                self._gone.add(file.path)
                outcome = self._way.outcome
                results.append(told._replace(outcome=outcome, target=plan.target, reason=file.reason))

    def _recorded(self, unit: _Unit) -> list[Step]:
        """Record what is about to be done; first the folders it needs, which are made."""
        for folder in self._way.folders:
            step = self._step("mkdir", folder, Plan("mkdir", folder), NO_FILE)
            self._journal.plan([step])
            if reason := self._do(step, {}):
                raise PhotoclipError(f"the folder {os.fsdecode(folder)} cannot be made: {reason}")
        self._way.folders.clear()
        steps = [self._step_of(unit.cargo)] if unit.cargo else []
        steps += [
            self._step(plan.kind, file.path, plan, file.stamp)
            for file, plan in zip(unit.files, unit.plans, strict=True)
        ]
        self._journal.plan(steps)
        return steps

    def _give_up(self, steps: list[Step]) -> None:
        for step in steps:
            self._journal.done(step, "it was not begun")

    def _step_of(self, cargo: Cargo) -> Step:
        plan = Plan("write", cargo.sidecar)
        return self._step("write", cargo.sidecar, plan, cargo.stamp)._replace(change=cargo.change)

    def _step(self, kind: Kind, source: bytes, plan: Plan, stamp: Stamp) -> Step:
        changing = {os.path.dirname(source)}
        if kind in ("move", "copy") and not plan.info:
            changing.add(os.path.dirname(plan.target))
        folders = tuple((folder, mtime_of(folder)) for folder in sorted(changing))
        attributes = attributes_of(source) if kind in ("copy", "hard", "clone", "write") else {}
        token = os.urandom(4).hex()
        number = self._journal.next_number()
        return Step(number, kind, source, plan.target, token, stamp, attributes, plan.info, folders)

    def _do(self, step: Step, kept: dict[bytes, Stamp], *, late: bool = False) -> str:
        """Do a step and record it (``late``: the caller does, once he knows whether it lasts); return why it
        came to nothing, if so. Raises PhotoclipError when a drive is full."""
        try:
            do(step, kept)
        except (OSError, Unfit) as error:
            reason = why(error) if isinstance(error, OSError) else str(error)
            self._journal.done(step, reason)
            if isinstance(error, OSError) and error.errno in _FULL:
                raise PhotoclipError(
                    f"there is no room left for {os.fsdecode(step.target)}", "make some, then run it again"
                ) from error
            return reason
        if not late:
            self._journal.done(step)
        return ""


def _verified(photo: ReportPhoto) -> Stamp | str:
    """Return what a photo is, or why it is not what the report says."""
    try:
        stamp = stamp_of(photo.path)
    except Unfit as reason:
        return str(reason)
    if (stamp.size, stamp.mtime_ns, stamp.sha256) != (photo.size, photo.mtime_ns, photo.content_hash):
        return "it changed since the report was made"
    return stamp


def _identity(path: bytes) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _coming(one: Companion) -> File:
    assert one.stamp is not None
    return File(one.path, one.path, one.tail, one.stamp, one.reason, partner=True)
