"""100,000 different pictures in a minute or two, and copies of some; for ``tests.benchmarks.dupes``.

To index as many photos would take an hour. So a few thousand are (of the test dependencies, and of a folder;
where these are too few, parts of them), and each picture is put together of two: a part of one beside a part
of the other, mirrored or not, lighter or darker, 128 x 96 pixels, grey. No two pictures are of the same two.

Real are the pixels, the copies made of them (``tests.benchmarks.edits``), and all renderings. The embeddings
are made up, of real ones by the built-in model: the deviations of three photos from the mean of all, weighted
so that their squares sum up to one. The greater part is that of the photo which takes the larger half, the
least that of one that is not shown. So the cosines of two pictures spread about as those of photos do;
``Made.cosines`` has both. A copy is as far from its original as a real copy of the same kind is from a whole
photo, half of the way in the same direction.
"""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from photoclip.encoders import Encoder, registry
from photoclip.images.pixels import Loaded, fit, rendering
from tests.benchmarks.duplicates import choose_photos
from tests.benchmarks.edits import KINDS, Kind, Picture

SEED = 8
SOURCES = 4000
COPIED_IN = tuple(place for place, kind in enumerate(KINDS) if kind.asked)
COPIED, MOVED = 150, 12  # of the photos of ``tests.benchmarks.duplicates``, some are copied in all these ways
LARGEST = 640  # px; larger photos are made smaller first, for speed
SMALL = 160  # px of the longer side, of what collages are cut from
LEAST_CONTRAST = 12  # standard deviation, of 256 levels; plain walls look all alike
SIZES = ((128, 96), (96, 128))
LARGER = 0.85, 1  # of the squared deviations, what is that of the larger half
UNSEEN = 0.25  # of the rest, what is that of a photo that is not shown
TONES = [
    [round(255 * (level / 255) ** gamma * share + lift) for level in range(256)]
    for gamma in (0.7, 0.85, 1, 1.2, 1.4)
    for share, lift in ((1, 0), (0.8, 0), (0.8, 51), (0.7, 30))
]
_BATCH = 64

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


class Made(NamedTuple):
    """Pictures in no order: embeddings of unit length, (n, d), renderings, (n, 1024), which picture each one
    shows, (n,), and what kind of copy of it it is, (n,): its place in KINDS, or -1 for none.

    ``many``: embeddings and renderings of picture 0, compressed again and again. ``cosines``: how near
    photos, and how near as many of these pictures, are to each other (see ``nearness``).
    """

    embeddings: Floats
    renderings: NDArray[np.uint8]
    pictures: Integers
    kinds: Integers
    many: tuple[Floats, NDArray[np.uint8]]
    cosines: tuple[list[float], list[float]]


class Sources(NamedTuple):
    """What collages are made of: small grey pictures, the photo each is of, (n,), and their embeddings."""

    pictures: list[Picture]
    photos: Integers
    embeddings: Floats


class Moves(NamedTuple):
    """How far real copies of one kind are from their originals: cosines, (m,), and differences, (m, d)."""

    cosines: Floats
    differences: Floats


def make(folder: Path, scratch: Path, count: int, share: float, many: int) -> Made:
    """Make ``count`` pictures, of which a ``share`` are copies of others, from the photos of ``folder``."""
    encoder = registry.load("builtin", "cpu")
    encoder.prepare(SOURCES)
    paths, others = choose_photos(folder, scratch, COPIED, sys.maxsize)
    some = random.Random(SEED).sample(others, min(len(others), SOURCES - COPIED))
    sources = read_sources(encoder, paths + some)
    moves = read_moves(encoder, paths)
    chance = np.random.default_rng(SEED)
    copies = round(count * share)
    originals = count - copies
    couples = _couples(sources.photos, originals, chance)
    rows = _mixed(sources.embeddings, couples, chance)
    copied = np.full(originals, -1)
    copied[chance.choice(originals, copies, replace=False)] = np.resize(COPIED_IN, copies)
    own = np.flatnonzero(copied >= 0)
    drawn, again = _drawn(sources.pictures, couples, copied, many)
    rows = np.concatenate([rows, _moved(rows[own], copied[own], moves, chance)])
    order = chance.permutation(count)
    jpegs = np.array([place for place, kind in enumerate(KINDS) if kind.name.startswith("JPEG")])
    one = np.tile(rows[0], (many, 1))
    return Made(
        rows[order],
        drawn[order],
        np.concatenate([np.arange(originals), own])[order],
        np.concatenate([np.full(originals, -1), copied[own]])[order],
        (_moved(one, chance.choice(jpegs, many), moves, chance), again),
        (nearness(sources.embeddings), nearness(rows[chance.permutation(originals)[:SOURCES]])),
    )


def _drawn(
    sources: Sequence[Picture], couples: Integers, copied: Integers, many: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the renderings of all pictures and, behind them, of the copies; and those of ``many`` more."""
    pictures, copies = [], []
    for number, (first, second) in enumerate(couples.tolist()):
        choose = random.Random(f"{SEED} {number}")
        picture = collage(sources[first], sources[second], choose)
        pictures.append(_rendering(picture))
        if copied[number] >= 0:
            copies.append(_rendering(copy_of(picture, KINDS[copied[number]], choose)))
        if number == 0:
            again = [_rendering(compressed(picture, choose)) for _ in range(many)]
    return np.array(pictures + copies), np.array(again)


def nearness(rows: Floats) -> list[float]:
    """Return the cosines that a half, 1 %, 0.1 % and 0.01 % of all pairs of ``rows`` reach, and that a half
    of the rows reach with the one that is nearest to them."""
    products = rows @ rows.T
    np.fill_diagonal(products, -1)
    quantiles = np.quantile(products[np.triu_indices(len(rows), 1)], (0.5, 0.99, 0.999, 0.9999))
    return [*quantiles.tolist(), float(np.median(products.max(1)))]


# -- photos ------------------------------------------------------------------------------------------


def read_sources(encoder: Encoder, paths: Sequence[Path]) -> Sources:
    """Return photos, and as many parts of them as are missing, and encode them."""
    parts = -(-SOURCES // len(paths))
    found: list[Picture] = []
    photos: list[int] = []

    def contents() -> Iterator[Picture]:
        for photo, path in enumerate(paths):
            whole, choose = _read(path), random.Random(f"{SEED} {path.name}")
            for number in range(parts):
                part = whole if number == 0 else whole.crop(_window(whole, choose, 0.25, 0.6))
                small = part.convert("L")
                small.thumbnail((SMALL, SMALL), Image.Resampling.BILINEAR)
                if np.asarray(small).std() >= LEAST_CONTRAST:
                    found.append(small)
                    photos.append(photo)
                    yield part

    embeddings = _encoded(encoder, contents())
    return Sources(found, np.array(photos), embeddings)


def read_moves(encoder: Encoder, paths: Sequence[Path]) -> dict[int, Moves]:
    """Return how far copies are from their originals, of MOVED of the photos, by place in KINDS."""
    wholes = [_read(path) for path in paths[:: -(-len(paths) // MOVED)]]
    originals = _encoded(encoder, wholes)
    found = {}
    for place in COPIED_IN:
        choose = random.Random(f"{SEED} {place}")
        copies = _encoded(encoder, [copy_of(whole, KINDS[place], choose) for whole in wholes])
        found[place] = Moves(np.einsum("ij,ij->i", originals, copies), copies - originals)
    return found


def _read(path: Path) -> Picture:
    with Image.open(path) as opened:
        opened.draft("RGB", (LARGEST, LARGEST))
        picture = opened.convert("RGB")
    picture.thumbnail((LARGEST, LARGEST))
    return picture


def _encoded(encoder: Encoder, pictures: Iterable[Picture]) -> Floats:
    """Return the embeddings of pictures, (n, d), as photoclip makes them."""
    rows, some = [], []
    for picture in pictures:
        some.append(np.asarray(fit(_loaded(picture), encoder.card.preprocessing)))
        if len(some) == _BATCH:
            rows.append(encoder.encode_images(np.stack(some)))
            some = []
    if some:
        rows.append(encoder.encode_images(np.stack(some)))
    return np.concatenate(rows)


def _loaded(picture: Picture) -> Loaded:
    return Loaded(picture, (0, 0, *picture.size))


def _rendering(picture: Picture) -> NDArray[np.uint8]:
    return np.frombuffer(rendering(_loaded(picture)), np.uint8)


# -- pictures ----------------------------------------------------------------------------------------


def collage(first: Picture, second: Picture, choose: random.Random) -> Picture:
    """Put a part of one picture beside, above or below a part of another, which takes less room."""
    size = choose.choice(SIZES)
    made = Image.new("L", size)
    side, share = choose.randrange(2), choose.uniform(0.5, 0.65)
    cut = round(size[side] * share)
    if choose.random() < 0.5:
        first, second, cut = second, first, size[side] - cut
    width, height = size
    boxes = [(0, 0, cut, height), (cut, 0, width, height)]
    if side:
        boxes = [(0, 0, width, cut), (0, cut, width, height)]
    for source, (left, top, right, bottom) in zip((first, second), boxes, strict=True):
        made.paste(_part(source, (right - left, bottom - top), choose), (left, top))
    return made


def _part(source: Picture, size: tuple[int, int], choose: random.Random) -> Picture:
    """Return a part of a picture in ``size``, mirrored or not, in another tone."""
    window = _window(source, choose, 0.6, 1)
    part = source.resize(size, Image.Resampling.BILINEAR, box=window).point(choose.choice(TONES))
    return ImageOps.mirror(part) if choose.random() < 0.5 else part


def _window(
    whole: Picture, choose: random.Random, least: float, most: float
) -> tuple[float, float, float, float]:
    """Return a part of a picture, anywhere, of at ``least`` and at ``most`` so much of either side."""
    width, height = (side * choose.uniform(least, most) for side in whole.size)
    left, top = choose.uniform(0, whole.width - width), choose.uniform(0, whole.height - height)
    return left, top, left + width, top + height


def copy_of(picture: Picture, kind: Kind, choose: random.Random) -> Picture:
    """Return a copy, saved and read again."""
    return _saved(kind.copy(picture.convert("RGB"), choose), **kind.save)


def compressed(picture: Picture, choose: random.Random) -> Picture:
    """Return the picture as JPEG of some quality."""
    return _saved(picture, format="JPEG", quality=choose.randint(30, 95))


def _saved(picture: Picture, **how: object) -> Picture:
    with io.BytesIO() as file:
        picture.save(file, **how)
        with Image.open(file) as opened:
            return opened.convert("RGB")


# -- embeddings --------------------------------------------------------------------------------------


def _couples(photos: Integers, count: int, chance: np.random.Generator) -> Integers:
    """Return ``count`` couples of sources of different photos, (count, 2), none of them twice."""
    some = chance.integers(0, len(photos), (2 * count + 1000, 2))
    some = some[photos[some[:, 0]] != photos[some[:, 1]]]
    _, once = np.unique(some.min(1) * len(photos) + some.max(1), return_index=True)
    if len(once) < count:
        raise SystemExit(f"{len(photos):,} photos and parts of photos are too few for {count:,} pictures")
    return some[chance.permutation(once)[:count]]


def _mixed(sources: Floats, couples: Integers, chance: np.random.Generator) -> Floats:
    """Return embeddings for couples of sources of which the first is the larger half."""
    mean = sources.mean(0)
    apart = sources - mean
    unseen = chance.integers(0, len(sources), len(couples))
    larger = chance.uniform(*LARGER, (len(couples), 1)).astype(np.float32)
    rows = mean + np.sqrt(larger) * apart[couples[:, 0]]
    rows += np.sqrt((1 - larger) * (1 - UNSEEN)) * apart[couples[:, 1]]
    rows += np.sqrt((1 - larger) * UNSEEN) * apart[unseen]
    return _unit(rows)


def _moved(rows: Floats, kinds: Integers, moves: dict[int, Moves], chance: np.random.Generator) -> Floats:
    """Return embeddings of copies of pictures: each as far away as a real copy of its kind is."""
    found = np.empty_like(rows)
    for kind in np.unique(kinds).tolist():
        places = np.flatnonzero(kinds == kind)
        which = chance.integers(0, len(moves[kind].cosines), len(places))
        cosines, ways = moves[kind].cosines[which, None], _unit(moves[kind].differences[which])
        ways = ways + _unit(chance.standard_normal(ways.shape).astype(np.float32))
        own = rows[places]
        ways = _unit(ways - np.einsum("ij,ij->i", ways, own)[:, None] * own)
        found[places] = _unit(cosines * own + np.sqrt(np.maximum(0, 1 - cosines**2)) * ways)
    return found


def _unit(rows: Floats) -> Floats:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
