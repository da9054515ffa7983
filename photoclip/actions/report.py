"""The report of duplicates: what was found, in a file that is read again before anything is done.

Lines of JSON: the head with the version, then one line a group, then the end with the number of groups. A
group has its ``level``, its ``similarity`` and its ``photos``, the best first; a photo has ``path`` (and
``path_b64`` where that is not UTF-8), ``size`` in bytes, ``mtime_ns``, ``sha256`` in hex, and whether it
``stays`` and lies in a ``reference`` folder, where nothing is written. Paths are data: nothing is expanded,
and nothing is followed while the file is read.

A report that was changed by hand or cut short is refused. Who wants something else to stay says so with the
rules when the report is made: then what was looked at is what is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple, get_args

from photoclip.actions.lines import Record, Unsound, field, line_of, path_fields, path_in, record_of
from photoclip.errors import BadUsage
from photoclip.keeping import is_in, what_stays
from photoclip.records import DuplicateGroup, Level, Photo

_KIND, _VERSION = "duplicates", 1
_AGAIN = "make the report again with: photoclip dupes --report FILE"
_HASH_BYTES = 32


class ReportPhoto(NamedTuple):
    """A photo as it was when the report was made. ``content_hash`` is the SHA-256 of its bytes."""

    path: bytes
    size: int
    mtime_ns: int
    content_hash: bytes
    stays: bool
    reference: bool


class ReportGroup(NamedTuple):
    """Photos that are one picture at ``level``, the best first; at least one of them stays."""

    level: Level
    similarity: float
    photos: tuple[ReportPhoto, ...]


class Report(NamedTuple):
    """What was found."""

    groups: tuple[ReportGroup, ...]

    def group(self, number: int) -> ReportGroup:
        """Return a group by its number, which counts from 1. Raises BadUsage when there is none."""
        if 1 <= number <= len(self.groups):
            return self.groups[number - 1]
        there = f"there are 1 to {len(self.groups)}" if self.groups else "there is none"
        raise BadUsage(f"there is no group {number} in the report", there)


def write_report(groups: Iterable[DuplicateGroup], file: BinaryIO, references: Sequence[bytes] = ()) -> None:
    """Write ``groups`` to ``file``, and which photos stay, as ``keeping.what_stays`` has it."""
    number = 1
    file.write(line_of(number, {"photoclip": _KIND, "version": _VERSION}))
    for number, group in enumerate(groups, 2):
        kept = what_stays(group, references)
        photos = [
            _photo_record(photo, photo.path in kept, is_in(photo.path, references))
            for unit in group.units()
            for photo in unit
        ]
        record = {"level": group.level, "similarity": float(group.similarity), "photos": photos}
        file.write(line_of(number, record))
    file.write(line_of(number + 1, {"groups": number - 1}))


def read_report(file: BinaryIO, source: str = "the report") -> Report:
    """Read a report. Raises BadUsage, naming ``source``, the line and the reason, for what is none."""
    number = 0
    groups: list[ReportGroup] = []
    try:
        for number, line in enumerate(file, 1):
            record = record_of(number, line)
            if number == 1:
                _see_the_head(record)
            elif "groups" in record:
                _see_the_end(record, number, file)
                return Report(tuple(groups))
            else:
                groups.append(_group(record))
    except Unsound as reason:
        raise BadUsage(f"{source}, line {number}: {reason}", _AGAIN) from reason
    raise BadUsage(f"{source}, line {number + 1}: its end is missing; it was cut short", _AGAIN)


def _photo_record(photo: Photo, stays: bool, reference: bool) -> Record:
    return {
        **path_fields("path", photo.path),
        "size": photo.size,
        "mtime_ns": photo.mtime_ns,
        "sha256": photo.content_hash.hex(),
        "stays": stays,
        "reference": reference,
    }


def _see_the_head(record: Record) -> None:
    if record.get("photoclip") != _KIND:
        raise Unsound("it is no report of duplicates")
    if record.get("version") != _VERSION:
        raise Unsound("it is of a version this photoclip does not know")


def _see_the_end(record: Record, number: int, file: BinaryIO) -> None:
    if field(record, "groups", int) != number - 2:
        raise Unsound("it counts other groups than there are")
    if file.read(1):
        raise Unsound("something follows the end")


def _group(record: Record) -> ReportGroup:
    if record.get("level") not in get_args(Level):
        raise Unsound("it is of no level this photoclip knows")
    photos = tuple(_photos(field(record, "photos", list)))
    if len({photo.path for photo in photos}) < max(len(photos), 2):
        raise Unsound("a group has two photos or more, each once")
    if not any(photo.stays for photo in photos):
        raise Unsound("no photo of the group stays")
    return ReportGroup(record["level"], field(record, "similarity", float), photos)


def _photos(records: list[Record]) -> Iterator[ReportPhoto]:
    for record in records:
        if not isinstance(record, dict):
            raise Unsound("a photo in it is not a JSON object")
        try:
            content_hash = bytes.fromhex(field(record, "sha256", str))
        except ValueError:
            content_hash = b""
        if len(content_hash) != _HASH_BYTES:
            raise Unsound("a sha256 in it is none")
        size, mtime_ns = field(record, "size", int), field(record, "mtime_ns", int)
        stays, reference = field(record, "stays", bool), field(record, "reference", bool)
        yield ReportPhoto(path_in(record, "path"), size, mtime_ns, content_hash, stays, reference)
