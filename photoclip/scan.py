"""Walk a tree and list what may be photos, and XMP sidecars, folder by folder, without opening any of it.

What the walk leaves out by itself: hidden files and folders (a leading dot: ``._x.jpg`` and
``.Trash-1000`` too), the bins and thumbnail folders of systems and network drives, and the bundles
in which photo managers keep their own copies and previews. A root is entered whatever its name.

A ``.photoclipignore`` in any folder holds patterns in gitignore syntax, for that folder and
everything below it; a deeper file decides before a higher one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from photoclip.errors import BadUsage
from photoclip.records import ScannedFile, ScannedFolder

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = b".photoclipignore"
"""Name of the file with patterns of what to leave out."""

_LEFT_OUT = frozenset((b"@eadir", b"#recycle", b"$recycle.bin", b"system volume information", b"lost+found"))
_BUNDLES = (b".photoslibrary", b".migratedphotolibrary", b".aplibrary", b".lrdata", b".lrlibrary")
_DOT = ord(".")
_SIDECAR = b".xmp"
_IGNORE_FILE_LIMIT = 1 << 20  # bytes; what is longer was not written by a person

_WORDS = {
    errno.ENOENT: "there is no such folder",
    errno.ENOTDIR: "it is not a folder",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENAMETOOLONG: "its path is longer than the system allows",
    errno.EIO: "its drive reports a read error",
    errno.ENOTCONN: "its drive is not connected",
    errno.ESTALE: "its drive is no longer there",
}


def scan(
    root: bytes,
    *,
    is_photo: Callable[[bytes], bool],
    excludes: Sequence[str] = (),
    follow_links: bool = False,
) -> Iterator[ScannedFolder]:
    """Yield every folder at and below ``root``, parents first, names in byte order.

    ``is_photo`` chooses candidates by name, and XMP sidecars are listed beside them; ``excludes`` are
    gitignore patterns relative to ``root`` that decide before any ignore file. Only regular files count.
    With ``follow_links`` links count as what they lead to, and each real folder is entered once.

    A folder that cannot be listed to its end, the root included, is yielded with
    ``complete=False``. Raises BadUsage when a pattern of ``excludes`` is not one.
    """
    walk = _Walk(is_photo, follow_links, _rules_of_user(root, excludes))
    waiting: list[tuple[bytes, tuple[_Rules, ...]]] = [(root, ())]
    while waiting:
        listing = walk.look_into(*waiting.pop())
        if listing is not None:
            yield listing.folder()
            waiting.extend((folder, listing.rules) for folder in sorted(listing.folders, reverse=True))


def scan_file(path: bytes) -> ScannedFile | None:
    """Return one file the user named, through a link if need be; None where no regular file is."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None
    return ScannedFile.of(path, status) if stat.S_ISREG(status.st_mode) else None


class _Rules(NamedTuple):
    """The patterns of one folder, for what lies below it."""

    folder: bytes
    spec: GitIgnoreSpec

    def verdict(self, path: bytes, *, is_folder: bool) -> bool | None:
        """Return True to leave ``path`` out, False to keep it, None when no pattern speaks of it."""
        name = os.fsdecode(path[len(self.folder) :].lstrip(b"/"))
        return self.spec.check_file(name + "/" if is_folder else name).include


@dataclass(slots=True)
class _Listing:
    """What one folder holds, as far as it could be read."""

    path: bytes
    rules: tuple[_Rules, ...]
    files: list[ScannedFile] = field(default_factory=list)
    sidecars: list[ScannedFile] = field(default_factory=list)
    folders: list[bytes] = field(default_factory=list)
    excluded: list[bytes] = field(default_factory=list)
    skipped: int = 0
    error: str = ""

    def folder(self) -> ScannedFolder:
        """Return the listing as the record that travels."""
        self.files.sort(key=itemgetter(0))  # by path
        self.excluded.sort()
        self.sidecars.sort(key=itemgetter(0))
        return ScannedFolder(
            self.path,
            tuple(self.files),
            not self.error,
            self.error,
            self.skipped,
            tuple(self.excluded),
            tuple(self.sidecars),
        )


class _Walk:
    """One walk: its choices, and the real folders it has been in (only links lead there twice)."""

    def __init__(
        self, is_photo: Callable[[bytes], bool], follow_links: bool, user_rules: tuple[_Rules, ...]
    ) -> None:
        self._is_photo = is_photo
        self._follow_links = follow_links
        self._user_rules = user_rules
        self._entered: set[tuple[int, int]] = set()

    def look_into(self, path: bytes, rules: tuple[_Rules, ...]) -> _Listing | None:
        """List one folder under the ``rules`` of those above it; None when it was entered before."""
        listing = _Listing(path, rules)
        try:
            if self._follow_links and not self._enter(path):
                return None
            entries = self._entries(listing)
            self._read_rules(listing, entries)
            self._sort_into(listing, entries)
        except OSError as error:
            listing.error = _in_words(error)
        except ValueError:  # a NUL in the name of a root
            listing.error = _WORDS[errno.ENOENT]
        return listing

    def _enter(self, path: bytes) -> bool:
        status = os.stat(path)
        known = len(self._entered)
        self._entered.add((status.st_dev, status.st_ino))
        return len(self._entered) > known

    def _entries(self, listing: _Listing) -> list[os.DirEntry[bytes]]:
        """Return all entries of a folder, or those before an error and the error in the listing."""
        entries: list[os.DirEntry[bytes]] = []
        with os.scandir(listing.path) as found:
            try:
                entries.extend(found)
            except OSError as error:
                listing.error = _in_words(error)
        return entries

    def _read_rules(self, listing: _Listing, entries: list[os.DirEntry[bytes]]) -> None:
        for entry in entries:
            if entry.name == IGNORE_FILE and entry.is_file():
                listing.rules = (_Rules(listing.path, _read_ignore_file(entry.path)), *listing.rules)

    def _sort_into(self, listing: _Listing, entries: list[os.DirEntry[bytes]]) -> None:
        # One loop without calls of ours for most files: a walk passes here a hundred thousand times.
        rules = (*self._user_rules, *listing.rules)
        follow, is_photo, files = self._follow_links, self._is_photo, listing.files
        for entry in entries:
            try:
                if entry.is_file(follow_symlinks=follow):
                    name, path = entry.name, entry.path
                    if name[0] == _DOT or not is_photo(name) or (rules and _excluded(path, rules)):
                        if _is_sidecar(name) and not _excluded(path, rules):
                            sidecar = ScannedFile.of(path, entry.stat(follow_symlinks=follow))
                            listing.sidecars.append(sidecar)
                        else:
                            listing.skipped += 1
                    else:
                        files.append(ScannedFile.of(path, entry.stat(follow_symlinks=follow)))
                elif entry.is_dir(follow_symlinks=follow):
                    leave = _left_out(entry.name) or _excluded(entry.path, rules, is_folder=True)
                    (listing.excluded if leave else listing.folders).append(entry.path)
            except FileNotFoundError:  # noqa: PERF203  a call for each file would cost more
                pass  # deleted since it was listed: as if it had never been there
            except OSError as error:
                if error.errno != errno.ELOOP:  # a link that leads nowhere
                    listing.error = _in_words(error)


def _is_sidecar(name: bytes) -> bool:
    return name[-4:].lower() == _SIDECAR and name[0] != _DOT


def _excluded(path: bytes, rules: tuple[_Rules, ...], *, is_folder: bool = False) -> bool:
    for rule in rules:
        verdict = rule.verdict(path, is_folder=is_folder)
        if verdict is not None:
            return verdict
    return False


def _left_out(name: bytes) -> bool:
    lower = name.lower()
    return lower.startswith(b".") or lower in _LEFT_OUT or lower.endswith(_BUNDLES)


def _in_words(error: OSError) -> str:
    return _WORDS.get(error.errno or 0) or (error.strerror or "it cannot be listed").lower()


def _rules_of_user(root: bytes, excludes: Sequence[str]) -> tuple[_Rules, ...]:
    if not excludes:
        return ()
    spec, bad = _compile(excludes)
    if bad:
        raise BadUsage(f"'{bad[0]}' is not a pattern", "Patterns are written as in a .gitignore file.")
    return (_Rules(root, spec),)


def _read_ignore_file(path: bytes) -> GitIgnoreSpec:
    """Read an ignore file. A line that is no pattern is passed over, as git does."""
    with open(path, "rb") as file:
        text = file.read(_IGNORE_FILE_LIMIT)
    # As in names: a byte that is not UTF-8 must match itself.
    return _compile(os.fsdecode(text).splitlines())[0]


def _compile(lines: Sequence[str]) -> tuple[GitIgnoreSpec, list[str]]:
    """Return the patterns of ``lines``, and the lines that are none."""
    from pathspec import GitIgnoreSpec

    bad = [line for line in lines if not _is_pattern(line)]
    return GitIgnoreSpec.from_lines(line for line in lines if line not in bad), bad


def _is_pattern(line: str) -> bool:
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except Exception:  # pathspec lets errors of its own and of `re` through
        return False
    return True
