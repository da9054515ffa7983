"""Taking back what a journal tells, the last step first.

Each step is judged by what is on disk, not by how far the journal says it came: so a run that was killed is
taken back like one that ended, and taking back can itself be killed, and run again. Where the world went on
(another file stands in the old place, or a file was changed or removed where it went), nothing is touched,
and the file is named.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from photoclip.actions import trash
from photoclip.actions.files import (
    Unfit,
    are_one,
    copy,
    dress,
    force_to_disk,
    holds,
    is_still,
    opened,
    remove,
    shift,
    stamp_of,
    why,
)
from photoclip.actions.journal import Kind, Lines, Step, Told, read_journal, records_in, undone_beside
from photoclip.actions.lines import path_fields, path_in
from photoclip.actions.writing import write_back
from photoclip.errors import BadUsage

_OCCUPIED = "another file is in its place now"


class Undone(NamedTuple):
    """What became of one file: ``restored``; ``there``, as nothing had been done to it; or ``not restored``,
    for ``reason``."""

    path: bytes
    outcome: Literal["restored", "there", "not restored"]
    reason: str = ""


def undo(journal: str) -> Iterator[Undone]:
    """Take back what ``journal`` tells, and yield each file as it is back: its name, bytes, mode and time.

    Folders get their times back where nobody else has changed them. What could not be restored can be tried
    again. The caller holds the lock of the library.

    Raises BadUsage when all of it was taken back already, or when it is no journal; PhotoclipError when it
    is damaged or nothing can be recorded beside it.
    """
    record = undone_beside(journal)
    told = read_journal(journal)
    before = list(records_in(record))
    if any("end" in line for line in before):
        raise BadUsage(f"all that {journal} tells was taken back already", "apply the report again instead")
    if before:
        folders = {path_in(one, "path"): one["mtime_ns"] for one in before[0].get("folders", ())}
        told = told._replace(folders=folders)
    return _taking_back(told, record, {line["done"] for line in before if "done" in line})


def _taking_back(told: Told, record: str, done: set[int]) -> Iterator[Undone]:
    lines = Lines(record)
    if lines.is_new:
        folders = [{**path_fields("path", path), "mtime_ns": time} for path, time in told.folders.items()]
        lines.add({"photoclip": "undo", "folders": folders})
        lines.force()
    failed: set[bytes] = set()
    for step in reversed(told.steps):
        if step.number in done:
            continue
        result = _taken_back(step, failed=step.number in told.failed)
        if result.outcome == "not restored":
            failed.update(folder for folder, _ in step.folders)
        else:
            lines.add({"done": step.number})
            if step.kind == "write":  # what is there then may be known to an earlier step only
                lines.force()
        if step.kind != "mkdir":
            yield result
    for folder, mtime_ns in told.folders.items():
        if folder not in failed:
            _give_time(folder, mtime_ns)
    if not failed:
        lines.add({"end": len(told.steps)})
        lines.force()


def _taken_back(step: Step, *, failed: bool) -> Undone:
    try:
        changed = _WAYS_BACK[step.kind](step)
        return Undone(step.source, "restored" if changed else "there")
    except Unfit as reason:
        if failed and not _left_a_trace(step):
            return Undone(step.source, "there")  # what others did to it since is not our affair
        return Undone(step.source, "not restored", str(reason))
    except OSError as error:
        return Undone(step.source, "not restored", why(error))


def _left_a_trace(step: Step) -> bool:
    moved = step.kind in ("move", "copy") and os.path.lexists(step.target)
    return moved or os.path.lexists(step.aside)


def _remove_folder(step: Step) -> bool:
    try:
        os.rmdir(step.target)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    return True  # what others put there keeps it


def _move_back(step: Step) -> bool:
    changed = _moved_back(step)
    if step.info:
        trash.withdraw(step.info_path, step.info)
    return changed


def _moved_back(step: Step) -> bool:
    if os.path.lexists(step.source):
        if are_one(step.source, step.target):  # half of a move
            os.unlink(step.target)
            return True
        if holds(step.source, step.stamp):
            return False
        raise Unfit(f"{_OCCUPIED}; it is at {os.fsdecode(step.target)}")
    _see_at_target(step)
    _see_that_there_is_a_folder(step)
    shift(step.target, step.source)
    _dress_again(step)
    return True


def _carry_back(step: Step) -> bool:
    remove(step.part)
    remove(step.back)
    changed = _from_aside(step)
    if os.path.lexists(step.source):
        if not holds(step.source, step.stamp):
            raise Unfit(f"{_OCCUPIED}; it is at {os.fsdecode(step.target)}")
        if holds(step.target, step.stamp):
            os.unlink(step.target)
            return True
        return changed
    _see_at_target(step)
    _see_that_there_is_a_folder(step)
    copy(step.target, step.back, step.stamp, step.attributes)
    shift(step.back, step.source)
    force_to_disk(os.path.dirname(step.source))
    os.unlink(step.target)
    return True


def _make_separate(step: Step) -> bool:
    remove(step.back)
    if _from_aside(step):
        remove(step.part)
        return True
    remove(step.part)
    if not os.path.lexists(step.source):
        raise Unfit("it is gone")
    if os.lstat(step.source).st_ino == step.stamp.inode and holds(step.source, step.stamp):
        return False
    now = stamp_of(step.source)
    if now.sha256 != step.stamp.sha256:
        raise Unfit("its bytes were changed since; what is there now is left as it is")
    copy(step.source, step.back, step.stamp, step.attributes)
    if not is_still(step.source, now):
        os.unlink(step.back)
        raise Unfit("it is being changed")
    os.rename(step.back, step.source)
    force_to_disk(os.path.dirname(step.source))
    return True


def _from_aside(step: Step) -> bool:
    """Give the old file its name again if it waits aside; say whether it did."""
    if not os.path.lexists(step.aside):
        return False
    if are_one(step.source, step.aside):  # half of a move
        os.unlink(step.aside)
        return True
    if os.path.lexists(step.source):
        if not holds(step.source, step.stamp):
            raise Unfit(f"{_OCCUPIED}; it is at {os.fsdecode(step.aside)}")
        os.unlink(step.source)  # the link: the same bytes wait aside
    shift(step.aside, step.source)
    return True


def _see_at_target(step: Step) -> None:
    where = os.fsdecode(step.target)
    if not os.path.lexists(step.target):
        raise Unfit(f"it is gone from {where}")
    if not holds(step.target, step.stamp):
        raise Unfit(f"it was changed where it is now, at {where}")


def _see_that_there_is_a_folder(step: Step) -> None:
    folder = os.path.dirname(step.source)
    if not os.path.isdir(folder):
        os.makedirs(folder, exist_ok=True)
        force_to_disk(os.path.dirname(folder))


def _dress_again(step: Step) -> None:
    """Give a file that came back the mode and the time that somebody may have changed while it was away."""
    status = os.lstat(step.source)
    if (status.st_mode & 0o7777, status.st_mtime_ns) != (step.stamp.mode, step.stamp.mtime_ns):
        with opened(step.source) as file:
            dress(file, step.stamp, step.attributes)


def _give_time(folder: bytes, mtime_ns: int) -> None:
    with contextlib.suppress(OSError):  # it was made for this, and is gone
        status = os.stat(folder)
        if status.st_mtime_ns != mtime_ns:
            os.utime(folder, ns=(status.st_atime_ns, mtime_ns))


_WAYS_BACK: dict[Kind, Callable[[Step], bool]] = {
    "mkdir": _remove_folder,
    "move": _move_back,
    "copy": _carry_back,
    "hard": _make_separate,
    "clone": _make_separate,
    "write": write_back,
}
