"""Keywords written into the sidecar of what stays, and taken out again.

At any moment the sidecar is the old one or the new one: the new one is made beside it under a hidden name,
and takes its place once it is forced to disk. Where there was none, it takes nobody's place.
"""

from __future__ import annotations

import os

from photoclip import xmp
from photoclip.actions.changes import Change
from photoclip.actions.files import (
    NO_FILE,
    Unfit,
    content_of,
    dress,
    force_to_disk,
    holds,
    is_still,
    new_file,
    pour,
    remove,
    shift,
)
from photoclip.actions.journal import Step

_CHANGED = "it was changed since; what is there now is left as it is"


def write(step: Step) -> None:
    """Do it. Raises Unfit or OSError when it came to nothing; then all is as it was."""
    change = _change(step)
    is_new = step.stamp == NO_FILE
    before = b"" if is_new else content_of(step.source, xmp.SIZE_LIMIT)[1]
    after = change.done_to(before)
    with new_file(step.part, 0o666 if is_new else 0o600) as file:
        pour(after, file)
        if not is_new:
            dress(file, step.stamp, step.attributes, also_time=False)  # others shall see that it is new
        os.fsync(file)
    try:
        if is_new:
            shift(step.part, step.source)
        elif is_still(step.source, step.stamp):
            os.rename(step.part, step.source)
        else:
            raise Unfit("it changed just now")
    except (OSError, Unfit):
        remove(step.part)
        raise
    force_to_disk(os.path.dirname(step.source))


def write_back(step: Step) -> bool:
    """Make a sidecar what it was before, or remove it if there was none; say whether that was needed.

    Raises Unfit or OSError when it cannot be; it is then as it was found.
    """
    change = _change(step)
    remove(step.part)
    remove(step.back)
    is_new = step.stamp == NO_FILE
    if not os.path.lexists(step.source):
        if is_new:
            return False
        raise Unfit("it is gone")
    if not is_new and holds(step.source, step.stamp):
        return False
    now, content = content_of(step.source, xmp.SIZE_LIMIT)
    if now.sha256 != change.sha256:
        raise Unfit(_CHANGED)
    if is_new:
        os.unlink(step.source)
    else:
        with new_file(step.back) as file:
            pour(change.undone_in(content, step.stamp.sha256), file)
            dress(file, step.stamp, step.attributes)
            os.fsync(file)
        if not is_still(step.source, now):
            os.unlink(step.back)
            raise Unfit(_CHANGED)
        os.rename(step.back, step.source)
    force_to_disk(os.path.dirname(step.source))
    return True


def _change(step: Step) -> Change:
    assert step.change is not None
    return step.change
