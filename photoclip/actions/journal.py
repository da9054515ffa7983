"""The journal of a run: each step on disk before it is done, and after; so that it can be taken back.

A file of lines in the library's folder ``journal``, one a run, which only grows. First comes the head; then
for each step a line before it with all that taking it back needs, and a line after it; then the end. Lines
before steps are forced to disk. Killed at any moment, the last line may be half: then its step was not begun.

    20261122-213327-104729.jsonl           what was done
    20261122-213327-104729.undone.jsonl    how far it was taken back
"""

from __future__ import annotations

import base64
import binascii
import os
import time
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple, get_args

from photoclip.actions.changes import Change, change_of_record, record_of_change
from photoclip.actions.files import Stamp, force_to_disk, mtime_of
from photoclip.actions.lines import Record, Unsound, field, line_of, path_fields, path_in, record_of
from photoclip.errors import BadUsage, PhotoclipError
from photoclip.lock import SEE_THE_DISK

Kind = Literal["mkdir", "move", "copy", "hard", "clone", "write"]
"""Make a folder; rename; copy to another drive, then remove; put a link, or a copy that shares its blocks, in
a file's place; write into a sidecar."""

FOLDER, ENDING, UNDONE = "journal", ".jsonl", ".undone.jsonl"
"""Where journals are in a library, and how their names end; beside each, how far it was taken back."""

_KIND, _VERSION = "actions", 2
_READABLE = (1, _VERSION)  # 1 wrote into no sidecar


class Step(NamedTuple):
    """One step: ``source`` goes to ``target``, or becomes a link to it, or is written into.

    ``token`` is in the hidden names this step may use; ``stamp`` is what ``source`` was; ``info`` the note
    the trash gets; ``folders`` those whose time the step changes, with the time before it; ``change`` what is
    written.
    """

    number: int
    kind: Kind
    source: bytes
    target: bytes
    token: str
    stamp: Stamp
    attributes: dict[str, bytes]
    info: str
    folders: tuple[tuple[bytes, int], ...]
    change: Change | None = None

    @property
    def part(self) -> bytes:
        """Where the new file is made before it gets its name."""
        new = self.target if self.kind == "copy" else self.source
        return self._hidden(new, "part")

    @property
    def aside(self) -> bytes:
        """Where the old file waits until the new one is there for certain."""
        return self._hidden(self.source, "aside")

    @property
    def back(self) -> bytes:
        """Where the old file is made again."""
        return self._hidden(self.source, "back")

    @property
    def info_path(self) -> bytes:
        """Where the trash keeps its note about ``target``."""
        files, name = os.path.split(self.target)
        return os.path.join(os.path.dirname(files), b"info", name + b".trashinfo")

    def _hidden(self, beside: bytes, what: str) -> bytes:
        # Not the names of photoclip.arrival and photoclip.sidecars, who remove what they find under these.
        return os.path.join(os.path.dirname(beside), f".photoclip-{what}-{self.token}".encode())


class Told(NamedTuple):
    """What a journal tells: its steps, and the folders whose time can be given back, with that time; and the
    numbers of the steps that came to nothing.

    A time can be given back while a folder is as the last step left it, or that step may be half.
    """

    steps: tuple[Step, ...]
    folders: dict[bytes, int]
    failed: frozenset[int]


class Journal:
    """Writes the journal of one run; there is no file before its first step."""

    def __init__(self, library: str, how: str) -> None:
        self._folder = os.path.join(library, FOLDER)
        self._how = how
        self._lines: Lines | None = None
        self._steps = 0

    def next_number(self) -> int:
        """Return the number for another step."""
        self._steps += 1
        return self._steps

    def plan(self, steps: Iterable[Step]) -> None:
        """Record that these steps are about to be done. Raises PhotoclipError when that cannot be."""
        lines = self._lines = self._lines or self._begun()
        lines.add(*map(_step_record, steps))
        lines.force()

    def done(self, step: Step, failed: str = "") -> None:
        """Record that a step was done, or came to nothing."""
        assert self._lines is not None
        after = [{**path_fields("path", folder), "mtime_ns": mtime_of(folder)} for folder, _ in step.folders]
        self._lines.add({"done": step.number, "failed": failed, "folders": after})

    def close(self) -> str:
        """End the journal and return its path; empty when nothing was done."""
        if self._lines is None:
            return ""
        self._lines.add({"end": self._steps})
        self._lines.force()
        return self._lines.path

    def _begun(self) -> Lines:
        now = time.time_ns()
        started = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now // 10**9))
        try:
            os.makedirs(self._folder, 0o700, exist_ok=True)
        except OSError as error:
            raise unwritable(self._folder, error) from error
        path = os.path.join(self._folder, f"{started}-{now // 1000 % 10**6:06d}{ENDING}")
        lines = Lines(path)
        lines.add({"photoclip": _KIND, "version": _VERSION, "how": self._how, "started": started})
        for folder in (self._folder, os.path.dirname(self._folder)):
            force_to_disk(os.fsencode(folder))
        return lines


class Lines:
    """A file of records that only grows. Raises PhotoclipError when it cannot."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._count, whole = _whole_lines(self._file)
            os.ftruncate(self._file, whole)  # half a line, of a run that was killed
        except OSError as error:
            raise unwritable(path, error) from error

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    @property
    def is_new(self) -> bool:
        """Whether nothing was written yet."""
        return self._count == 0

    def add(self, *records: Record) -> None:
        """Write records, each on a line."""
        rest = memoryview(b"".join(line_of(self._count + n, record) for n, record in enumerate(records, 1)))
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            raise unwritable(self.path, error) from error
        self._count += len(records)

    def force(self) -> None:
        """Force what was written to disk."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise unwritable(self.path, error) from error


def undone_beside(journal: str) -> str:
    """Return where it is recorded how far a journal was taken back; raises BadUsage for such a record."""
    if journal.endswith(UNDONE):
        raise BadUsage(
            f"{journal} is the record of an undo, which cannot be undone", "apply a report again instead"
        )
    return journal.removesuffix(ENDING) + UNDONE


def is_undone(journal: str) -> bool:
    """Say whether all of a journal was taken back."""
    return any("end" in record for record in records_in(undone_beside(journal)))


def records_in(path: str) -> Iterator[Record]:
    """Yield the records of a file of lines, without the half one at its end; none when there is no file.

    Raises PhotoclipError when it cannot be read, or is damaged before its end.
    """
    number = 0
    lines = content_of_journal(path).split(b"\n")[:-1]
    try:
        for number, line in enumerate(lines, 1):
            yield record_of(number, line)
    except Unsound as reason:
        raise _damaged(path, number, reason) from reason


def content_of_journal(path: str) -> bytes:
    """Return what is in a journal, and nothing when there is none. Raises PhotoclipError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise PhotoclipError(f"the journal {path} cannot be read: {error.strerror}") from error


def read_journal(path: str) -> Told:
    """Read a journal. Raises BadUsage when there is none, PhotoclipError when it is damaged."""
    if not os.path.isfile(path):
        raise BadUsage(f"there is no journal {path}")
    steps: list[Step] = []
    failed: set[int] = set()
    times = _Times()
    number = 0
    try:
        for number, record in enumerate(records_in(path), 1):
            if number == 1 and not (record.get("photoclip") == _KIND and record.get("version") in _READABLE):
                raise Unsound("it is no journal, or of a version this photoclip does not know")
            if "step" in record:
                steps.append(_step(record))
                times.before(steps[-1])
            elif "done" in record:
                times.after(steps[field(record, "done", int) - 1], _folders(record))
                if field(record, "failed", str):
                    failed.add(record["done"])
    except (Unsound, IndexError) as reason:
        raise _damaged(path, number, reason) from reason
    return Told(tuple(steps), times.returning(), frozenset(failed))


class _Times:
    """Follows the times of folders through the steps."""

    def __init__(self) -> None:
        self._first: dict[bytes, int] = {}
        self._last: dict[bytes, int] = {}
        self._foreign: set[bytes] = set()
        self._open: dict[int, Step] = {}

    def before(self, step: Step) -> None:
        self._open[step.number] = step
        for folder, mtime_ns in step.folders:
            self._first.setdefault(folder, mtime_ns)
            if self._last.get(folder, mtime_ns) != mtime_ns:
                self._foreign.add(folder)  # somebody changed it between two steps of ours

    def after(self, step: Step, folders: Iterable[tuple[bytes, int]]) -> None:
        self._open.pop(step.number, None)
        self._last.update(folders)

    def returning(self) -> dict[bytes, int]:
        in_doubt = {folder for step in self._open.values() for folder, _ in step.folders}
        return {
            folder: mtime_ns
            for folder, mtime_ns in self._first.items()
            if folder not in self._foreign and (folder in in_doubt or mtime_of(folder) == self._last[folder])
        }


def _whole_lines(file: int) -> tuple[int, int]:
    """Return how many whole lines a file has, and where the last of them ends."""
    content = b""
    while chunk := os.pread(file, 1 << 20, len(content)):
        content += chunk
    return content.count(b"\n"), content.rfind(b"\n") + 1


def _step_record(step: Step) -> Record:
    stamp = step.stamp._asdict() | {"sha256": step.stamp.sha256.hex()}
    attributes = {name: base64.b64encode(value).decode("ascii") for name, value in step.attributes.items()}
    return {
        "step": step.number,
        "kind": step.kind,
        **path_fields("source", step.source),
        **path_fields("target", step.target),
        "token": step.token,
        "was": stamp,
        "attributes": attributes,
        "info": step.info,
        "folders": [{**path_fields("path", folder), "mtime_ns": mtime} for folder, mtime in step.folders],
        **({"change": record_of_change(step.change)} if step.change else {}),
    }


def _step(record: Record) -> Step:
    kind: Any = record.get("kind")
    if kind not in get_args(Kind):
        raise Unsound("it is of no kind this photoclip knows")
    was = field(record, "was", dict)
    try:
        stamp = Stamp(**was | {"sha256": bytes.fromhex(was["sha256"])})
        attributes = {
            name: base64.b64decode(value) for name, value in field(record, "attributes", dict).items()
        }
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise Unsound("it does not say what the file was") from None
    source, target = path_in(record, "source"), path_in(record, "target")
    token, info = field(record, "token", str), field(record, "info", str)
    number = field(record, "step", int)
    change = change_of_record(field(record, "change", dict)) if kind == "write" else None
    folders = tuple(_folders(record))
    return Step(number, kind, source, target, token, stamp, attributes, info, folders, change)


def _folders(record: Record) -> Iterator[tuple[bytes, int]]:
    for folder in field(record, "folders", list):
        yield path_in(folder, "path"), field(folder, "mtime_ns", int)


def _damaged(path: str, number: int, reason: object) -> PhotoclipError:
    return PhotoclipError(f"the journal {path}, line {number}: {reason}", "nothing was taken back")


def unwritable(path: str, error: OSError) -> PhotoclipError:
    """Return the error for a journal that the system did not let us write."""
    return PhotoclipError(f"{path} cannot be written: {error.strerror}", SEE_THE_DISK)
