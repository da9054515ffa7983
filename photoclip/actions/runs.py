"""The journals of a library: which there are, and whether a run was cut off."""

from __future__ import annotations

import os
from typing import NamedTuple

from photoclip.actions.journal import (
    ENDING,
    FOLDER,
    UNDONE,
    content_of_journal,
    is_undone,
    records_in,
    undone_beside,
    unwritable,
)
from photoclip.replacing import replacing


class JournalFile(NamedTuple):
    """A journal: the way of its run (``trash``, ``move`` …), when that began (UTC, ``20261122-213327``), how
    many steps it has, and whether the run ended by itself, or was killed."""

    path: str
    how: str
    started: str
    steps: int
    ended: bool


def journals(library: str) -> list[JournalFile]:
    """Return the journals of a library that can be taken back, or taken back further, the newest last.

    Raises PhotoclipError when one is damaged.
    """
    found = [_described(path) for path in _runs(library) if not is_undone(path)]
    return [file for file in found if file.steps]


def was_cut_off(library: str) -> bool:
    """Say, quickly, whether a run was killed and not taken back: photos may wait under hidden names."""
    return any(map(_is_cut_off, _runs(library)))


def copy_journals(library: str, other: str) -> None:
    """Copy the journals of a library into ``other``, a copy of it, so that what was done can be taken back
    from there too. Raises PhotoclipError when they cannot be read or written."""
    runs = _runs(library)
    for path in (*runs, *filter(os.path.exists, map(undone_beside, runs))):
        place = os.path.join(other, FOLDER, os.path.basename(path))
        try:
            os.makedirs(os.path.dirname(place), 0o700, exist_ok=True)
            with replacing(os.fsencode(place)) as file:
                file.write(content_of_journal(path).decode("ascii"))
        except OSError as error:
            raise unwritable(place, error) from error


def _runs(library: str) -> list[str]:
    """Return the paths of all journals, the oldest first."""
    folder = os.path.join(library, FOLDER)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    runs = [name for name in names if name.endswith(ENDING) and not name.endswith(UNDONE)]
    return [os.path.join(folder, name) for name in runs]


def _is_cut_off(path: str) -> bool:
    lines = content_of_journal(path).split(b"\n")[:-1]
    ended = any(line.startswith(b'{"end":') for line in lines[-1:])
    return len(lines) > 1 and not ended and not is_undone(path)


def _described(path: str) -> JournalFile:
    records = list(records_in(path))
    head = records[0] if records else {}
    steps = sum("step" in record for record in records)
    return JournalFile(
        path, head.get("how", ""), head.get("started", ""), steps, "end" in (records or [{}])[-1]
    )
