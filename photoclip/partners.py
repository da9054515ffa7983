"""Which files belong to a photo, told by their names: sidecars, the video of a live photo, RAW and JPEG.

All lie in the photo's folder and share its stem (the name without its ending), byte for byte; endings may be
in any case. ``IMG_10`` is no partner of ``IMG_1``. For a photo ``IMG_1.jpg`` they are

    sidecar   IMG_1.xmp and others: of every photo with this stem; IMG_1.jpg.xmp: of this one alone
              IMG_1_01.jpg.xmp: darktable's second version
              IMG_1.jpg.json, IMG_1.jpg.supplemental-metadata.json, also cut short: Google Takeout;
              there IMG_1(2).jpg has IMG_1.jpg(2).json
    video     IMG_1.mov, IMG_1.mp4, IMG_1_HEVC.mov (icloudpd), IMG_1.mp beside IMG_1.MP.jpg (Google)
    raw       IMG_1.cr3 and what else cameras write
    picture   the other way round: IMG_1.jpg is one for IMG_1.cr3

Only pictures as cameras write them, JPEG and HEIF, have a video or a RAW file. Two of these, or two RAW
files, are not partners of each other, but partners of their partner. What belongs to a partner, its own
sidecar say, comes along with it.

A hidden file has a stem with a dot in front and thus belongs to hidden photos only. A link to a file is a
partner only of a photo that is itself a link: a stranger's archive must not choose what we read.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from photoclip.errors import PhotoclipError

PartnerKind = Literal["sidecar", "video", "raw", "picture"]

_CAMERA_PICTURES = frozenset(b"jpg jpeg heic heif hif".split())
_VIDEOS = frozenset(b"mov mp4 mp".split())
_SIDECARS = frozenset(b"aae arp dop dr4 on1 pp3 thm vrd xmp".split())
# Apple, ART, DxO, Canon (and vrd), ON1, RawTherapee, thumbnails, Canon, everybody. Left out: wav and txt,
# for a song with its cover, and a text with its figure, are no photo with a note. Capture One and Nikon
# keep theirs in folders of their own.

_ICLOUDPD = re.compile(rb"(.+)_HEVC", re.DOTALL | re.IGNORECASE)
_DARKTABLE = re.compile(rb"(.+)_[0-9]{2,}(\.[^.]+)", re.DOTALL)
_WORD = b".supplemental-metadata"
_WORD_CUT_SHORT = b"|".join(re.escape(_WORD[:length]) for length in range(len(_WORD), -1, -1))
_TAKEOUT = re.compile(rb"(.+?)(" + _WORD_CUT_SHORT + rb")(\([0-9]+\))?", re.DOTALL)


class Partner(NamedTuple):
    """A file that travels with a photo.

    ``tail`` is what follows the stem in its name: beside a photo with another stem, the file is to be called
    that stem + ``tail``. ``owners`` are the photos it belongs to by itself; who moves or removes files lets
    it go with the last of them.
    """

    path: bytes
    kind: PartnerKind
    tail: bytes
    owners: tuple[bytes, ...]


class Partners:
    """Finds the partners of photos; looks into each folder once.

    ``is_photo`` and ``is_raw`` say what the name of a file tells.
    """

    def __init__(self, is_photo: Callable[[bytes], bool], is_raw: Callable[[bytes], bool]) -> None:
        self._is_photo = is_photo
        self._is_raw = is_raw
        self._known: dict[bytes, dict[bytes, tuple[Partner, ...]]] = {}

    def of(self, photo: bytes) -> tuple[Partner, ...]:
        """Return the files that travel with ``photo``, by name; none when it is not there or no photo.

        Raises PhotoclipError when its folder cannot be listed.
        """
        folder, name = os.path.split(photo)
        if folder not in self._known:
            self._known[folder] = self._look_into(folder)
        return self._known[folder].get(name, ())

    def _look_into(self, folder: bytes) -> dict[bytes, tuple[Partner, ...]]:
        """Return the partners of all photos in a folder that have some."""
        files, links = _names(folder)
        found = _pair(folder, files, self._is_photo, self._is_raw)
        if links:
            mixed = _pair(folder, files | links, self._is_photo, self._is_raw)
            found |= {name: partners for name, partners in mixed.items() if name in links}
        return found


def shots(photos: Iterable[bytes], is_raw: Callable[[bytes], bool]) -> dict[bytes, tuple[bytes, ...]]:
    """Return path → paths of its shot, for those of ``photos`` of which a camera wrote RAW and picture.

    As ``Partners`` has it, but told by the paths alone, without a look at the disk.
    """
    with_stem: defaultdict[tuple[bytes, bytes], list[bytes]] = defaultdict(list)
    for path in photos:
        folder, name = os.path.split(path)
        if is_raw(name) or _is_from_camera(name):
            with_stem[folder, split_name(name)[0]].append(path)
    found: dict[bytes, tuple[bytes, ...]] = {}
    for paths in with_stem.values():
        if len(paths) > 1 and len({is_raw(os.path.basename(path)) for path in paths}) == 2:
            found |= dict.fromkeys(paths, tuple(sorted(paths)))
    return found


def split_name(name: bytes) -> tuple[bytes, bytes]:
    """Return the stem of a name, and its ending with the dot (empty where there is none)."""
    stem, dot, ending = name.rpartition(b".")
    return (stem, dot + ending) if stem else (name, b"")


def _names(folder: bytes) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Return the names of the regular files in a folder, and of the links to regular files."""
    files, links = set(), set()
    try:
        with os.scandir(folder or b".") as entries:
            for entry in entries:
                if entry.is_symlink():
                    if os.path.isfile(entry.path):
                        links.add(entry.name)
                elif entry.is_file():
                    files.add(entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return frozenset(), frozenset()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise PhotoclipError(f"the folder {os.fsdecode(folder)} cannot be listed: {reason}") from error
    return frozenset(files), frozenset(links)


def _pair(
    folder: bytes,
    names: frozenset[bytes],
    is_photo: Callable[[bytes], bool],
    is_raw: Callable[[bytes], bool],
) -> dict[bytes, tuple[Partner, ...]]:
    photos = sorted(filter(is_photo, names))
    pairing = _Pairing(folder, photos, is_raw)
    others = sorted(names.difference(photos))
    for name in others:
        pairing.add_video(name)
    for name in others:  # after the videos, for these have sidecars too
        pairing.add_sidecar(name, names)
    return {name: partners for name in photos if (partners := tuple(pairing.of(name)))}


class _Pairing:
    """The photos of one folder, and what has been found to belong to them. All by name."""

    def __init__(self, folder: bytes, photos: list[bytes], is_raw: Callable[[bytes], bool]) -> None:
        self._folder = folder
        self._is_raw = is_raw
        self._with_stem: defaultdict[bytes, list[bytes]] = defaultdict(list)
        self._in_any_case: defaultdict[bytes, list[bytes]] = defaultdict(list)
        self._carriers: dict[bytes, tuple[bytes, ...]] = {}  # what may have sidecars, and its photos
        self._own: defaultdict[bytes, list[Partner]] = defaultdict(list)
        for name in photos:
            self._with_stem[split_name(name)[0]].append(name)
            self._carry(name, (name,))

    def of(self, photo: bytes) -> Iterator[Partner]:
        """Yield the partners of a photo by name: its own, the RAW file or the pictures, and theirs."""
        partners = set(self._own[photo])
        for mate in self._mates(photo):
            kind: PartnerKind = "raw" if self._is_raw(mate) else "picture"
            owners = [os.path.join(self._folder, owner) for owner in self._mates(mate)]
            path = os.path.join(self._folder, mate)
            partners |= {Partner(path, kind, split_name(mate)[1], tuple(owners)), *self._own[mate]}
        yield from sorted(partners)

    def _mates(self, photo: bytes) -> list[bytes]:
        """Return the RAW files of a camera's picture, or the pictures of a RAW file."""
        same = self._with_stem[split_name(photo)[0]]
        if self._is_raw(photo):
            return [name for name in same if _is_from_camera(name)]
        return list(filter(self._is_raw, same)) if _is_from_camera(photo) else []

    def add_video(self, name: bytes) -> None:
        """Give ``name`` to its photos if it is the video of a live photo."""
        stem, ending = split_name(name)
        if _bare(ending) not in _VIDEOS:
            return
        shorter = _ICLOUDPD.fullmatch(stem)
        candidates = [name] if _bare(ending) == b"mp" else []
        for candidate in [*candidates, stem, *([shorter[1]] if shorter else [])]:
            owners = tuple(filter(_is_from_camera, self._with_stem.get(candidate, ())))
            if owners:
                self._give(name, "video", name[len(candidate) :], owners)
                self._carry(name, owners)
                return

    def add_sidecar(self, name: bytes, names: frozenset[bytes]) -> None:
        """Give ``name`` to its photos if it is a sidecar."""
        base, ending = split_name(name)
        if _bare(ending) == b"json":
            self._add_takeout(name, base, ending, names)
        elif _bare(ending) in _SIDECARS:
            version = _DARKTABLE.fullmatch(base)
            owners = self._photos_of(base) or tuple(self._with_stem.get(base, ()))
            if not owners and version:
                owners = self._photos_of(version[1] + version[2])
            self._give(name, "sidecar", name[len(_stem_of(owners)) :], owners)

    def _add_takeout(self, name: bytes, base: bytes, ending: bytes, names: frozenset[bytes]) -> None:
        owners, rest = self._photos_of(base), b""
        if not owners:
            match = _TAKEOUT.fullmatch(base)
            if match is None:
                return
            owner, rest, number = match.groups(b"")
            stem, photo_ending = split_name(owner)
            base = stem + number + photo_ending
            owners = self._photos_of(base)
            if number and base + rest + ending in names:
                return  # they have one of their own
        self._give(name, "sidecar", (base + rest + ending)[len(_stem_of(owners)) :], owners)

    def _carry(self, name: bytes, photos: tuple[bytes, ...]) -> None:
        self._carriers[name] = photos
        self._in_any_case[_with_lower_ending(name)].append(name)

    def _photos_of(self, name: bytes) -> tuple[bytes, ...]:
        """Return the photos behind a file that may have a sidecar; the case of its ending matters only
        where there are two that differ in nothing else."""
        if name in self._carriers:
            return self._carriers[name]
        others = self._in_any_case.get(_with_lower_ending(name), ())
        return tuple(photo for other in others for photo in self._carriers[other])

    def _give(self, name: bytes, kind: PartnerKind, tail: bytes, owners: Iterable[bytes]) -> None:
        paths = tuple(os.path.join(self._folder, owner) for owner in owners)
        for owner in owners:
            self._own[owner].append(Partner(os.path.join(self._folder, name), kind, tail, paths))


def _is_from_camera(name: bytes) -> bool:
    return _bare(split_name(name)[1]) in _CAMERA_PICTURES


def _bare(ending: bytes) -> bytes:
    return ending[1:].lower()


def _with_lower_ending(name: bytes) -> bytes:
    stem, ending = split_name(name)
    return stem + ending.lower()


def _stem_of(photos: tuple[bytes, ...]) -> bytes:
    """Return the stem that these photos have in common (empty without photos)."""
    return split_name(photos[0])[0] if photos else b""
