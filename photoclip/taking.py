"""Take photos along: copies of them, or links to them, in a folder of the user's choice, with their partners.

Nothing is overwritten, and nothing is half there (``photoclip.arrival`` sees to that).

A photo and its partners get their names together, so that they stay partners: if one of the names is in use
by something else, all get the next number, ``IMG_1-2``. Names that differ only in case, or in how Unicode
composes an accent, count as one, so that the folder can be carried to any drive. What is there already with
the same bytes is left as it is, so that to take twice changes nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from photoclip.arrival import Arrival, How, NotTaken, existing, reason_of
from photoclip.errors import BadUsage, PhotoclipError
from photoclip.images.names import is_photo, is_raw
from photoclip.partners import Partners, split_name
from photoclip.records import FileStamp, Photo

__all__ = ["How", "Outcome", "Taken", "take"]

Outcome = Literal["taken", "there", "failed"]
"""Brought (or to be brought, in a dry run); was there with the same bytes; not brought, for a ``reason``."""

_NAME_BYTES = 255  # the longest name that nearly every file system allows
_CHUNK = 1 << 20
_ATTEMPTS = 8
_GOOGLE_MOTION = b".mp"  # IMG_1.MP.jpg has IMG_1.MP


class Taken(NamedTuple):
    """What became of one file: ``target`` is where it is now, empty when it failed.

    ``partner`` tells a file that came along from a photo that was asked for.
    """

    source: bytes
    target: bytes
    outcome: Outcome
    reason: str = ""
    partner: bool = False


def take(
    photos: Iterable[Photo | bytes],
    directory: bytes | str | os.PathLike[str],
    how: How = "copy",
    *,
    dry_run: bool = False,
) -> Iterator[Taken]:
    """Bring ``photos`` and the files that belong to them into ``directory``, and yield each as it is there.

    ``directory`` is made with its parents when there is something to bring. A photo that is gone, unreadable,
    or not as the library knows it has failed, and the rest goes on; photos given as paths are taken as they
    are. With ``dry_run`` nothing is written; what would be done is yielded.

    Raises, here or after what has been done was yielded, BadUsage when ``directory`` is no folder, and
    PhotoclipError when it cannot be written to, is full, or cannot hold such links to the photos.
    """
    if not os.fsencode(directory):
        raise BadUsage("the folder to take photos to has no name", "an unset variable of the shell?")
    folder = os.path.abspath(os.fsencode(directory))
    names = _Names(folder, existing(folder), how)
    return _rehearse(photos, names) if dry_run else _perform(photos, names)


class _File(NamedTuple):
    """A file to bring, with what follows the stem in its name."""

    path: bytes
    tail: bytes
    partner: bool


class _Place(NamedTuple):
    """The name for a file, and whether the file is there already."""

    file: _File
    name: bytes
    there: bool


class _Group(NamedTuple):
    """Files that are to keep one stem."""

    stem: bytes
    files: list[_File]


# -- what belongs together ------------------------------------------------------------------------


def _sorted_out(photos: Iterable[Photo | bytes]) -> tuple[list[Taken], list[_Group]]:
    """Return the photos that cannot be brought, and the others in groups with what belongs to them."""
    reasons = {_path(photo): _reason_against(photo) for photo in photos}
    partners = Partners(is_photo, is_raw)
    layers: defaultdict[tuple[bytes, bytes], list[dict[str, _File]]] = defaultdict(list)
    for photo in [path for path, reason in reasons.items() if not reason]:
        try:
            coming = [partner for partner in partners.of(photo) if not reasons.get(partner.path)]
        except PhotoclipError as error:
            reasons[photo] = str(error)
            continue
        folder, name = os.path.split(photo)
        stem, tail = split_name(name)
        unit = [_File(partner.path, partner.tail, partner.path not in reasons) for partner in coming]
        _add([_File(photo, tail, False), *unit], layers[folder, stem])
    failed = [Taken(path, b"", "failed", reason) for path, reason in reasons.items() if reason]
    return failed, [
        _Group(stem, list(layer.values())) for (_, stem), those in layers.items() for layer in those
    ]


def _add(unit: list[_File], layers: list[dict[str, _File]]) -> None:
    """Add files to the first layer in which no name is in the way of another: not so with a.jpg and a.JPG."""
    for layer in layers:
        if all(layer.get(_folded(file.tail), file) == file for file in unit):
            layer.update((_folded(file.tail), file) for file in unit)
            return
    layers.append({})
    rest = [file for file in unit if layers[-1].setdefault(_folded(file.tail), file) != file]
    if rest:
        _add(rest, layers)


def _path(photo: Photo | bytes) -> bytes:
    return os.path.abspath(photo if isinstance(photo, bytes) else photo.path)


def _reason_against(photo: Photo | bytes) -> str:
    """Return why a photo cannot be brought; empty when it is as it should be."""
    try:
        status = os.stat(_path(photo))
    except OSError as error:
        return reason_of(error)
    except ValueError:
        return "there is a NUL in its path"
    if not stat.S_ISREG(status.st_mode):
        return "it is not a file"
    stamp = FileStamp.of(status)
    if isinstance(photo, Photo) and (stamp.size, stamp.mtime_ns) != (photo.size, photo.mtime_ns):
        return "it has changed since it was indexed"
    return ""


# -- names ----------------------------------------------------------------------------------------


@dataclass
class _Run:
    """The numbers before ``upto`` of one name, all in use, by the size of what has them. With a thousand
    ``cover.jpg`` only those of the right size are worth a look."""

    upto: int = 1
    by_size: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))


class _Names:
    """The names in the destination: which are in use, and by what."""

    def __init__(self, directory: bytes, existing: Iterable[bytes], how: How) -> None:
        self.directory = directory
        self.how = how
        self._alike: defaultdict[str, set[bytes]] = defaultdict(set)
        self._planned: dict[bytes, bytes] = {}  # in a dry run: the sources of what would be there
        self._runs: defaultdict[tuple[str, int, str], _Run] = defaultdict(_Run)
        for name in existing:
            self._alike[_folded(name)].add(name)

    def find(self, group: _Group, first: int = 1) -> list[_Place]:
        """Return places for a whole group under the first number at which nothing else is in the way."""
        room = _NAME_BYTES - max(len(file.tail) for file in group.files)
        lead = group.files[0]
        run = self._runs[_folded(group.stem), room, _folded(lead.tail)]
        for number in itertools.chain(run.by_size[_size(lead.path)], itertools.count(run.upto)):
            stem = _numbered(group.stem, number, room)
            places = [self._place(file, stem) for file in group.files]
            found = [place for place in places if place is not None]
            if found == places and number >= first:
                return found
            in_use = self._in_use(stem + lead.tail)
            if number == run.upto and in_use:
                run.upto += 1
                for name in in_use:
                    run.by_size[_size(self._path(name))].append(number)
        raise AssertionError("there is always another number")

    def note(self, places: Iterable[_Place]) -> None:
        """Remember that these files have their names."""
        for place in places:
            self._alike[_folded(place.name)].add(place.name)

    def plan(self, places: Iterable[_Place]) -> None:
        """Remember that these files would have their names."""
        places = [place for place in places if not place.there]
        self.note(places)
        self._planned.update((place.name, place.file.path) for place in places)

    def _place(self, file: _File, stem: bytes) -> _Place | None:
        """Return a place for a file under ``stem``; None when something else is in its way."""
        name = stem + file.tail
        in_use = self._in_use(name)
        spelt = self._alike.get(_folded(name)) or {name}
        for other in in_use:
            # Partners are found by their stem, byte for byte. Where case does not count, ``name`` seems to
            # be in use when only another spelling of it is.
            if other.startswith(stem) and other in spelt and self._is_there(file.path, other):
                return _Place(file, other, True)
        return None if in_use else _Place(file, name, False)

    def _in_use(self, name: bytes) -> list[bytes]:
        """Return the names in use that are the same as ``name`` on some file system."""
        alike = self._alike.get(_folded(name), set())
        return sorted(
            other for other in {name} | alike if other in self._planned or os.path.lexists(self._path(other))
        )

    def _path(self, name: bytes) -> bytes:
        """Return where the bytes are that are, or would be, under this name."""
        return self._planned.get(name) or os.path.join(self.directory, name)

    def _is_there(self, source: bytes, name: bytes) -> bool:
        """Say whether what has this name is what ``source`` would become."""
        path = self._path(name)
        with contextlib.suppress(OSError):  # not readable: it is something else
            only_a_link = self.how in ("copy", "reflink") and name not in self._planned
            return not (only_a_link and self._is_a_link_to(source, path)) and _are_equal(source, path)
        return False

    def _is_a_link_to(self, source: bytes, path: bytes) -> bool:
        """Say whether who asked for a copy would have a link only. The source itself, if that lies in the
        destination, is none."""
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            return True
        linked = os.path.samestat(status, os.stat(source))
        return linked and not os.path.samefile(os.path.dirname(source), self.directory)


def _numbered(stem: bytes, number: int, room: int) -> bytes:
    """Return a stem with a number, of at most ``room`` bytes; number 1 is not written."""
    mark = b"-%d" % number if number > 1 else b""
    if stem.lower().endswith(_GOOGLE_MOTION):
        stem, mark = stem[: -len(_GOOGLE_MOTION)], mark + stem[-len(_GOOGLE_MOTION) :]
    return _cut(stem, max(room - len(mark), 1)) + mark


def _cut(name: bytes, size: int) -> bytes:
    """Return the first ``size`` bytes, or up to three less, so that no character of UTF-8 is cut."""
    if len(name) <= size:
        return name
    ends = (end for end in range(size, max(size - 4, 0), -1) if name[end] & 0xC0 != 0x80)
    return name[: next(ends, size)]


def _folded(name: bytes) -> str:
    """Return what two names share that some file system takes for one."""
    if name.isascii():
        return name.decode("ascii").lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", os.fsdecode(name)).casefold())


def _size(path: bytes) -> int:
    """Return the size of a file; -1 when it leads nowhere."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _are_equal(one: bytes, other: bytes) -> bool:
    """Say whether two files hold the same bytes."""
    first, second = os.stat(one), os.stat(other)
    if os.path.samestat(first, second):
        return True
    if first.st_size != second.st_size or not (stat.S_ISREG(first.st_mode) and stat.S_ISREG(second.st_mode)):
        return False
    with open(one, "rb") as left, open(other, "rb") as right:
        while chunk := left.read(_CHUNK):
            if chunk != right.read(_CHUNK):
                return False
        return not right.read(1)


# -- the doing ------------------------------------------------------------------------------------


class _LeftBehind(Exception):
    """One file of a group cannot be brought."""

    def __init__(self, file: _File, reason: str) -> None:
        super().__init__(reason)
        self.file = file


def _rehearse(photos: Iterable[Photo | bytes], names: _Names) -> Iterator[Taken]:
    failed, groups = _sorted_out(photos)
    yield from failed
    for group in groups:
        places = names.find(group)
        names.plan(places)
        yield from _reports(places, names)


def _perform(photos: Iterable[Photo | bytes], names: _Names) -> Iterator[Taken]:
    failed, groups = _sorted_out(photos)
    yield from failed
    if groups:
        with Arrival(names.directory) as arrival:
            for group in groups:
                yield from _bring(group, names, arrival)


def _bring(group: _Group, names: _Names, arrival: Arrival) -> Iterator[Taken]:
    made: dict[_File, bytes] = {}
    for attempt in itertools.count():
        # Where looking for a name and giving it disagree, on strange drives, another number helps.
        first = 1 + attempt // _ATTEMPTS
        try:
            places = _attempt(group, made, names, arrival, first)
        except _LeftBehind as left:
            yield Taken(left.file.path, b"", "failed", str(left), left.file.partner)
            group.files.remove(left.file)
            places = [] if all(file.partner for file in group.files) else None  # no photo, no partners
        if places is not None:
            names.note(places)
            yield from _reports(places, names)
            return


def _attempt(
    group: _Group, made: dict[_File, bytes], names: _Names, arrival: Arrival, first: int
) -> list[_Place] | None:
    """Give a group its names if it is all made, and return the places; else make it, and return None.

    Nobody is kept from the folder while something is made, so names are looked for before, to make only what
    is not there, and again after, for they may be in use by then.
    """
    with arrival.alone():
        places = names.find(group, first)
        waiting = [place for place in places if not place.there]
        if all(place.file in made for place in waiting):
            return places if _appear(waiting, made, arrival) else None
    for place in waiting:
        if place.file not in made:
            try:
                made[place.file] = arrival.make(place.file.path, names.how)
            except NotTaken as error:
                raise _LeftBehind(place.file, str(error)) from error
    return None


def _appear(waiting: Iterable[_Place], made: dict[_File, bytes], arrival: Arrival) -> bool:
    """Give all these files their names and return True; if a name is in use by now, give none."""
    done: list[tuple[bytes, bytes]] = []
    try:
        for place in waiting:
            done.append((arrival.appear(made[place.file], place.name), made[place.file]))
    except (FileExistsError, NotTaken, PhotoclipError) as error:
        for target, origin in done:
            arrival.take_back(target, origin)
        if isinstance(error, NotTaken):
            raise _LeftBehind(place.file, str(error)) from error
        if isinstance(error, PhotoclipError):
            raise
        return False
    return True


def _reports(places: Iterable[_Place], names: _Names) -> Iterator[Taken]:
    for file, name, there in places:
        target = os.path.join(names.directory, name)
        yield Taken(file.path, target, "there" if there else "taken", partner=file.partner)
