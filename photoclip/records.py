"""The things that travel between the floors: named tuples, so nobody can change them on their way. (Why not
frozen dataclasses: decision 0012.)

Paths are ``bytes``, as the file system holds them. Times of files are integer
nanoseconds; times of photos are ISO 8601 text as the camera wrote them.
"""

from __future__ import annotations

import os
from operator import attrgetter
from typing import Literal, NamedTuple

_HALF = 1 << 63
_numbers_of = attrgetter("st_size", "st_mtime_ns", "st_ctime_ns", "st_ino")

ProblemKind = Literal["unreadable", "unsupported"]
Level = Literal["identical", "same picture", "same moment", "similar"]  # the strictest first
TagKind = Literal["tag", "keyword"]


class FileStamp(NamedTuple):
    """What tells a changed file from an unchanged one without reading it."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileStamp:
        """Return the stamp of a file. Some file systems number their files, or date them, beyond what
        64 bits with a sign hold; such a number is wrapped around, which still tells it from another."""
        stamp = _numbers_of(status)
        if (stamp[1] | stamp[2] | stamp[3]) >> 63:  # one of them is beyond, or below 0
            stamp = tuple((number + _HALF) % (2 * _HALF) - _HALF for number in stamp)
        return tuple.__new__(cls, stamp)


class ScannedFile(NamedTuple):
    """One candidate file met by a walk."""

    path: bytes
    stamp: FileStamp

    @classmethod
    def of(cls, path: bytes, status: os.stat_result) -> ScannedFile:
        """Return the file at ``path`` as the system describes it."""
        return tuple.__new__(cls, (path, FileStamp.of(status)))  # in half the time of cls(…)


class ScannedFolder(NamedTuple):
    """One folder met by a walk: its candidate files, and whether its listing was complete.

    ``error`` says why it was not. ``skipped`` counts regular files that are neither photos nor XMP sidecars,
    or are excluded; ``excluded_folders`` are sub-folders the walk was told not to enter (their photos
    are neither seen nor missing). ``sidecars`` are the XMP sidecars, whatever they belong to.
    """

    path: bytes
    files: tuple[ScannedFile, ...]
    complete: bool
    error: str = ""
    skipped: int = 0
    excluded_folders: tuple[bytes, ...] = ()
    sidecars: tuple[ScannedFile, ...] = ()


class Preprocessing(NamedTuple):
    """How a model wants its pictures.

    ``size`` is height = width in pixels; ``resize`` one of OpenCLIP's modes (``shortest``: shorter
    side to size, centre crop; ``longest``: longer side to size, padded with ``fill``; ``squash``:
    both sides to size); ``mean`` and ``std`` are per channel, for values in 0..1.
    """

    size: int
    resize: Literal["shortest", "longest", "squash"] = "shortest"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    fill: int = 0


class PhotoFacts(NamedTuple):
    """What a picture says about itself. Pixel sizes are as a person sees it (orientation applied).

    ``taken_at`` is ``YYYY-MM-DDTHH:MM:SS[.fff][±HH:MM]``; latitude and longitude are degrees,
    north and east positive; ``orientation`` is the EXIF value 1..8.
    """

    width: int
    height: int
    format: str
    taken_at: str | None = None
    camera: str | None = None
    lens: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    orientation: int = 1


class DecodedPhoto(NamedTuple):
    """One file, read once and made ready for a model and for the catalogue.

    ``content_hash``: SHA-256 of the file's bytes (32 bytes). ``pixels``: uint8 RGB, row by row,
    size x size x 3, as ``Preprocessing`` asks (empty when only the hash was wanted).
    ``rendering``: the whole picture as 32 x 32 uint8 luminance, row by row, 1,024 bytes: the raw
    material of perceptual hashes and of the second check on pixels. ``keywords`` are those the user, or
    another program, wrote into the file.
    """

    content_hash: bytes
    facts: PhotoFacts
    pixels: bytes
    rendering: bytes
    keywords: tuple[str, ...] = ()


class KnownContent(NamedTuple):
    """A file whose bytes the library already knows: nothing was decoded."""

    content_hash: bytes


class Problem(NamedTuple):
    """A file that could not be read, and why.

    ``waits_for`` says what makes another try worthwhile besides a change of the file: nothing (empty),
    the next ``run`` (a drive that failed), or the name of a package that has to be installed.
    """

    path: bytes
    kind: ProblemKind
    reason: str
    waits_for: str = ""


class Photo(NamedTuple):
    """One file in the library (*where* a picture is), with the facts of its content (*what* it is)."""

    path: bytes
    content_hash: bytes
    size: int
    mtime_ns: int
    facts: PhotoFacts
    missing: bool = False


class Contribution(NamedTuple):
    """What one part of a query, a text or an example picture (its path), had to do with a hit.

    ``similarity`` is the photo's to this part alone; the contributions of all parts add up to the hit's.
    """

    part: str | bytes
    weight: float
    similarity: float
    contribution: float


class SearchHit(NamedTuple):
    """A photo that answers a query. ``similarity`` is the cosine, higher is better; rank 1 is best.

    ``margin`` is how much more similar it is than a photo has to be that answers, ``relevant`` whether it
    does answer; ``parts`` says what each part of the query contributed. What was not asked for is None, or
    empty: so is ``similarity`` where nothing but a filter was.
    """

    rank: int
    similarity: float | None
    photo: Photo
    margin: float | None = None
    relevant: bool | None = None
    parts: tuple[Contribution, ...] = ()


class TagSuggestion(NamedTuple):
    """A label that fits a photo: cosine to the label's prompts, and how sure that is (0..1)."""

    label: str
    similarity: float
    probability: float

    def rank(self) -> tuple[float, str]:
        """Return what tags of a photo are sorted by: the most probable first, then the alphabet."""
        return -self.probability, self.label


class Weighed(NamedTuple):
    """How a label fares with a photo. ``probability`` has to reach ``threshold`` for it to be ``tagged``;
    ``rival`` is the label of the list that speaks most against it, if any does."""

    label: str
    similarity: float
    probability: float
    threshold: float
    tagged: bool
    rival: str | None


class PhotoTags(NamedTuple):
    """The tags of one photo, best first (empty when no label fits)."""

    photo: Photo
    tags: tuple[TagSuggestion, ...]


class TagCount(NamedTuple):
    """How many photos carry a label: as a ``tag`` of photoclip's, or as a ``keyword`` of the user's."""

    label: str
    photos: int
    kind: TagKind


class DuplicateGroup(NamedTuple):
    """Photos that belong together, best first. ``level`` is the weakest that any two of them need;
    ``similarity`` the lowest of any two that were compared (1.0 for identical bytes).

    RAW and JPEG of one shot count once, as the best of them; ``along`` holds the others, one tuple for each
    of ``photos`` (or is empty where there are none at all).
    """

    level: Level
    similarity: float
    photos: tuple[Photo, ...]
    along: tuple[tuple[Photo, ...], ...] = ()

    def units(self) -> tuple[tuple[Photo, ...], ...]:
        """Return each of ``photos`` together with those along with it: what moves as one."""
        along = self.along or ((),) * len(self.photos)
        return tuple((photo, *others) for photo, others in zip(self.photos, along, strict=True))


class ModelCard(NamedTuple):
    """A model as a library remembers it.

    ``spec`` is what the user types (``builtin``, ``ViT-B-32:laion2b_s34b_b79k``, …);
    ``weights_hash`` the SHA-256 of its weights (hex); ``dimension`` the length of its embeddings;
    ``name`` the model's name for people; ``logit_scale`` what the model was trained to multiply a
    cosine with before a softmax (it says how much a difference of similarities means).
    """

    spec: str
    weights_hash: str
    dimension: int
    preprocessing: Preprocessing
    name: str = ""
    logit_scale: float = 100.0
