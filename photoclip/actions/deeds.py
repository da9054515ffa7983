"""One step of a journal, done: as few calls as can be, none of which takes the place of another file.

Where something is removed at the end (the old file, when a link took its place or a copy went to another
drive), it waits under a hidden name until the new one is there for certain, and is as it should be.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Mapping

from photoclip.actions import trash
from photoclip.actions.files import (
    Stamp,
    Unfit,
    are_one,
    copy,
    dress,
    force_to_disk,
    is_still,
    new_file,
    opened,
    remove,
    shift,
)
from photoclip.actions.journal import Step
from photoclip.actions.writing import write

_FICLONE = getattr(fcntl, "FICLONE", 0x40049409)  # fcntl has it from Python 3.12 on
_WHAT_STAYS = "what stays of its group changed meanwhile, or is this very file under another name"

Kept = Mapping[bytes, Stamp]
"""What stays of a group, as it was seen a moment ago."""


def do(step: Step, kept: Kept) -> None:
    """Do a step. Raises Unfit or OSError when it came to nothing; then all is as it was."""
    if step.kind == "mkdir":
        os.mkdir(step.target)
        force_to_disk(os.path.dirname(step.target))
    elif step.kind == "move":
        _move(step, kept)
    elif step.kind == "copy":
        _carry_over(step, kept)
    elif step.kind == "write":
        _see_what_stays(kept)
        write(step)
    else:
        _link(step, kept)


def _move(step: Step, kept: Kept) -> None:
    if step.info:
        trash.announce(step.target, step.info_path, step.info)
    try:
        shift(step.source, step.target)
        try:
            _see(step.target, step.stamp, kept)
        except Unfit:
            shift(step.target, step.source)
            raise
    except (OSError, Unfit):
        if step.info:
            trash.withdraw(step.info_path, step.info)
        raise


def _carry_over(step: Step, kept: Kept) -> None:
    copy(step.source, step.part, step.stamp, step.attributes)
    try:
        shift(step.part, step.target)
    except OSError:
        remove(step.part)
        raise
    force_to_disk(os.path.dirname(step.target))
    try:
        _set_aside(step, kept)
        _drop_what_waits(step)
    except (OSError, Unfit):
        if os.path.lexists(step.source):
            os.unlink(step.target)
        raise


def _link(step: Step, kept: Kept) -> None:
    of_the_kept = kept[step.target]
    if step.kind == "hard":
        os.link(step.target, step.part)
    else:
        _clone(step)
    try:
        if not is_still(step.target, of_the_kept):
            raise Unfit(_WHAT_STAYS)
        _set_aside(step, kept)
        try:
            shift(step.part, step.source)
        except OSError:
            shift(step.aside, step.source)
            raise
    except (OSError, Unfit):
        remove(step.part)
        raise
    force_to_disk(os.path.dirname(step.source))
    if not is_still(step.target, of_the_kept) or not _is_made(step):
        os.unlink(step.source)
        shift(step.aside, step.source)
        raise Unfit(_WHAT_STAYS)
    _drop_what_waits(step)


def _is_made(step: Step) -> bool:
    return step.kind == "clone" or are_one(step.target, step.source)


def _clone(step: Step) -> None:
    if sys.platform != "linux":
        raise Unfit("photoclip can make copies that share their blocks on Linux only")
    with opened(step.target) as reading, new_file(step.part) as writing:
        try:
            fcntl.ioctl(writing, _FICLONE, reading)
        except OSError as error:
            reason = error.strerror or str(error)
            raise Unfit(f"its drive makes no copies that share their blocks: {reason}") from error
        dress(writing, step.stamp, step.attributes)
        os.fsync(writing)


def _set_aside(step: Step, kept: Kept) -> None:
    """Let the old file wait under a hidden name, if it and what stays are still what they were."""
    shift(step.source, step.aside)
    try:
        _see(step.aside, step.stamp, kept)
    except Unfit:
        shift(step.aside, step.source)
        raise


def _drop_what_waits(step: Step) -> None:
    """Remove the old file, the new one being there; when that cannot be, let it be as before."""
    try:
        remove(step.aside)
    except OSError:
        if step.kind != "copy":
            os.unlink(step.source)  # the link
        shift(step.aside, step.source)
        raise


def _see(moved: bytes, stamp: Stamp, kept: Kept) -> None:
    """See that what was moved is what was looked at, and that what stays is still there: last of all, so
    that nothing can slip in between."""
    if not is_still(moved, stamp):
        raise Unfit("it changed just now")
    _see_what_stays(kept)


def _see_what_stays(kept: Kept) -> None:
    if not all(is_still(path, its) for path, its in kept.items()):
        raise Unfit(_WHAT_STAYS)
