"""The same picture, or another one: ``python -m tests.benchmarks.duplicates --photos DIR``.

Photos of the test dependencies, and of ``DIR`` (see ``tests.benchmarks.relevance``; without ``--photos``,
``shared/photos`` beside the checkout), are copied in the ways people copy photos (KINDS). Their copies and
``--others`` more photos of the same scenes and classes become one library. Judged are all pairs of an
original, copied or not, with any other photo: its own copies are right, everything else is wrong. Photos that
are the same picture by accident of their collections are left out by name (TWINS).

photoclip's answer is that of its second check for all its candidates, one kind of copy at a time; "in its
group" is what `dupes` prints when all 23 copies of a picture are there at once. Beside it: the cosine of the
same embeddings, at the threshold that finds most with a precision of 0.995, chosen with hindsight; and
imagededup's hashes, at 10 of 64 bits, its default, and at the number of bits that finds most with that
precision, with hindsight too. They are the package's own where ``--imagededup`` names a Python that has it
(see ``tests.benchmarks.imagededup``), otherwise PHash and DHash as it defines them. ("Check alone" is shown
every copy with its original, and no other pair.)
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from photoclip.config import one_blas_thread

one_blas_thread()

import numpy as np  # noqa: E402  (the number of threads is read at import)
from numpy.typing import NDArray  # noqa: E402
from PIL import Image  # noqa: E402

from photoclip import Library  # noqa: E402
from photoclip.duplicates import Pictures  # noqa: E402
from photoclip.duplicates.looking import SecondCheck  # noqa: E402
from photoclip.indexing import IndexOptions  # noqa: E402
from photoclip.training import datasets  # noqa: E402
from tests.benchmarks import imagededup  # noqa: E402
from tests.benchmarks.edits import KINDS  # noqa: E402
from tests.benchmarks.relevance import SHARED  # noqa: E402
from tests.benchmarks.report import machine, table  # noqa: E402
from tests.pictures import demo_photographs  # noqa: E402

SEED = 8
LARGEST = 1024  # px; larger photos are made smaller first, for speed
PRECISION = 0.995
BITS = 10  # imagededup's default for its hashes
COSINE = 0.9  # and for its CNN
TWINS = frozenset(
    {
        "catdog_cat_0428.jpg",
        "houses_11_frontal.jpg",
        "houses_27_kitchen.jpg",
        "houses_296_bathroom.jpg",
        "houses_296_bedroom.jpg",
        "houses_305_bedroom.jpg",
        "houses_305_frontal.jpg",
        "houses_9_bathroom.jpg",
        "scene15_Highway_train_image_0098.jpg",
        "scene15_Highway_train_image_0223.jpg",
        "scene15_bedroom_test_image_0056.jpg",
        "scene15_bedroom_train_image_0154.jpg",
        "scene15_coast_test_image_0218.jpg",
        "scene15_forest_test_image_0185.jpg",
        "scene15_highway_test_image_0086.jpg",
        "scene15_highway_test_image_0104.jpg",
        "scene15_highway_test_image_0110.jpg",
        "scene15_kitchen_train_image_0158.jpg",
        "scene15_mountain_test_image_0336.jpg",
        "scene15_mountain_test_image_0337.jpg",
        "scene15_mountain_test_image_0358.jpg",
        "scene15_opencountry_test_image_0059.jpg",
        "scene15_tallbuilding_test_image_0002.jpg",
        "scene15_tallbuilding_test_image_0167.jpg",
        "scene15_tallbuilding_test_image_0235.jpg",
        "tin_n02123045_286.jpg",
        "tin_n02769748_342.jpg",
        "tin_n02948072_161.jpg",
        "tin_n03814639_3.jpg",
        "tin_n04265275_64.jpg",
        "tin_n07579787_275.jpg",
    }
)
"""Photos of the shards that show what another one shows."""

Bits = imagededup.Bits
Floats = imagededup.Floats


# -- the photos -------------------------------------------------------------------------------------


def read(folder: Path, scratch: Path, split: str) -> dict[str, list[Path]]:
    """Return photos by collection; what is not there is left out."""
    found: dict[str, list[Path]] = {}
    for place in (folder, folder / "sample") if split == "dev" else (folder,):
        try:
            sets = datasets.read(place, split, scratch / split)
        except datasets.NoData:
            continue
        found |= {one.name: [picture.path for picture in one.pictures] for one in sets}
    return found


def in_turn(collections: Iterable[list[Path]], choose: random.Random) -> Iterator[Path]:
    """Yield photos of all collections in turn, each shuffled."""
    piles = [choose.sample(pile, len(pile)) for pile in collections]
    while piles:
        for pile in piles:
            if pile:
                yield pile.pop()
        piles = [pile for pile in piles if pile]


def choose_photos(folder: Path, scratch: Path, copied: int, others: int) -> tuple[list[Path], list[Path]]:
    """Return the photos to be copied, and others."""
    choose = random.Random(SEED)
    held_out, more = read(folder, scratch, "dev"), read(folder, scratch, "train")
    small = [pile for name, pile in sorted(held_out.items()) if name != "sample"]
    samples = [path for name, pile in held_out.items() if name == "sample" for path in pile]
    first = [*demo_photographs().values(), *samples]
    order = [path for path in in_turn(small, choose) if path.name not in TWINS]
    first += order[: max(0, copied - len(first))]
    rest = [path for path in order if path not in set(first)]
    rest += [
        path for path in in_turn([pile for _, pile in sorted(more.items())], choose) if path.name not in TWINS
    ]
    return first[:copied], (first[copied:] + rest)[:others]


def write(paths: list[Path], others: list[Path], target: Path) -> None:
    """Write the originals as PNG, their copies, and the other photos as they are."""
    for folder in ("originals", "others", *(kind.name for kind in KINDS)):
        (target / folder).mkdir()
    for path in paths:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        picture.thumbnail((LARGEST, LARGEST))
        picture.save(target / "originals" / f"{path.stem}.png", compress_level=1)
        for kind in KINDS:
            choose = random.Random(f"{SEED} {path.stem} {kind.name}")
            copy = kind.copy(picture, choose)
            copy.save(target / kind.name / f"{path.stem}.{kind.save['format'].lower()}", **kind.save)
    for path in others:
        (target / "others" / path.name).write_bytes(path.read_bytes())


# -- the world, and what the ways say about it ------------------------------------------------------


class World(NamedTuple):
    """Every photo of the library by place: its path, whose picture it is, what kind of copy (-1: an original,
    -2: another photo), its embedding and its rendering."""

    paths: list[Path]
    pictures: NDArray[np.int64]
    kinds: NDArray[np.int64]
    embeddings: Floats
    renderings: list[bytes]


class Found(NamedTuple):
    """Of one way: recall by kind, right and wrong pairs, and the wrong ones, the surest first."""

    recall: list[float]
    right: int
    wrong: list[tuple[int, int]]

    @property
    def precision(self) -> float:
        """Right pairs of all."""
        return self.right / max(1, self.right + len(self.wrong))


def index(folder: Path, library: Path, model: str) -> World:
    """Index the photos."""
    opened = Library.open_or_create(library)
    opened.index([folder], IndexOptions(model=model))
    inner = opened.inner
    found = sorted((Path(photo.path.decode()), content) for content, photo in inner.store.photos())
    ids = [content for _, content in found]
    renderings = inner.store.renderings(ids)
    folders = {kind.name: place for place, kind in enumerate(KINDS)} | {"originals": -1, "others": -2}
    numbers: dict[str, int] = {}
    return World(
        [path for path, _ in found],
        np.array([numbers.setdefault(path.stem, len(numbers)) for path, _ in found]),
        np.array([folders[path.parent.name] for path, _ in found]),
        inner.matrix(inner.model()).rows_of(np.array(ids, np.int64)),
        [renderings[content] for content in ids],
    )


def judged_pairs(world: World) -> NDArray[np.bool_]:
    """Return (n, n): the pairs that count, of an original or another photo with any photo after it."""
    whole = world.kinds < 0
    return np.triu(whole[:, None] | whole[None], 1)


def found_by(world: World, said: NDArray[np.bool_], sure: Floats | None = None) -> Found:
    """Compare what was said about pairs, (n, n), upper half, with the truth."""
    both = said | said.T
    original = {int(world.pictures[place]): place for place in np.flatnonzero(world.kinds == -1)}
    recall = []
    for kind in range(len(KINDS)):
        copies = np.flatnonzero(world.kinds == kind)
        recall.append(float(np.mean([both[original[int(world.pictures[one])], one] for one in copies])))
    first, second = np.nonzero(said & judged_pairs(world))
    same = world.pictures[first] == world.pictures[second]
    wrong = list(zip(first[~same].tolist(), second[~same].tolist(), strict=True))
    if sure is not None:
        wrong.sort(key=lambda pair: -sure[pair])
    return Found(recall, int(same.sum()), wrong)


def best_line(world: World, closeness: NDArray[Any]) -> tuple[float, Found] | None:
    """Return the line from which on pairs are right with the precision wanted, and what it finds; None if
    there is no such line."""
    counted = np.nonzero(judged_pairs(world))
    values = closeness[counted]
    right = (world.pictures[counted[0]] == world.pictures[counted[1]])[
        order := np.argsort(-values, kind="stable")
    ]
    values = values[order]
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    ends = np.append(values[1:] != values[:-1], True)  # pairs that are as close go together
    good = np.flatnonzero((precision >= PRECISION) & ends)
    if not len(good):
        return None
    line = float(values[good[-1]])
    return line, found_by(world, closeness >= line)


def at_lines(
    world: World, name: str, closeness: NDArray[Any], usual: float | None = None
) -> dict[str, Found]:
    """Return what a way finds at its ``usual`` line and at the best, both in its name."""
    ways = {}
    if usual is not None:
        ways[f"{name} {abs(usual):g}"] = found_by(world, closeness >= usual)
    if best := best_line(world, closeness):
        ways[f"{name} {abs(best[0]):.3g}"] = best[1]
    else:
        print(f"{name}: no line has a precision of {PRECISION}")
    return ways


def bits_alike(bits: Bits) -> NDArray[np.int16]:
    """Return (n, n): minus the number of bits in which two differ."""
    signs = 2 * bits.astype(np.float32) - 1
    return ((signs @ signs.T - 64) / 2).astype(np.int16)


def imagededups(world: World, python: str | None, folder: Path) -> dict[str, Found]:
    """Return what imagededup's ways find: the package's in the environment of ``python``, or as it defines
    them."""
    ours = imagededup.as_defined(world.paths)
    said = imagededup.Said(ours, None, "--imagededup names no Python that has it")
    if python is not None:
        said = imagededup.said_by(python, world.paths, folder)
        for name, bits in ours.items():
            differ = int((bits != said.hashes[name]).sum())
            print(f"{name}: {differ:,} of {bits.size:,} bits are not as we compute them")
            if differ > bits.size // 100:
                raise SystemExit(f"{name} is not what tests.benchmarks.imagededup says it is")
    ways: dict[str, Found] = {}
    for name, bits in said.hashes.items():
        ways |= at_lines(world, name, bits_alike(bits), -BITS)
    if said.vectors is None:
        print(f"imagededup's CNN: left out: {said.error}")
    else:
        ways |= at_lines(world, "CNN", said.vectors @ said.vectors.T, COSINE)
    return ways


def photoclips(world: World) -> tuple[dict[str, Found], Floats]:
    """Return what photoclip finds, in steps, and how sure it is of pairs, (n, n).

    "Candidates" and "photoclip" see one kind of copy at a time, beside all originals and all other photos.
    """
    count = len(world.paths)
    candidate, confirmed, grouped, alone = (np.zeros((count, count), bool) for _ in range(4))
    sure = np.full((count, count), -1, np.float32)
    pictures = Pictures(world.embeddings, world.renderings)
    for kind in range(len(KINDS)):
        judged = pictures.judged(np.flatnonzero((world.kinds < 0) | (world.kinds == kind)))
        pairs = judged.first, judged.second
        candidate[pairs] = True
        confirmed[pairs] = judged.verdicts.same
        sure[pairs] = np.minimum(judged.verdicts.agreement, judged.verdicts.detail)
    for members in pictures.groups():
        grouped[np.ix_(members, members)] = True
    original = {int(world.pictures[place]): place for place in np.flatnonzero(world.kinds == -1)}
    copies = np.flatnonzero(world.kinds >= 0)
    own = np.array([original[int(world.pictures[copy])] for copy in copies])
    alone[own, copies] = SecondCheck(world.renderings)(own, copies).same
    ways = {
        "check alone": found_by(world, alone),
        "candidates": found_by(world, candidate),
        "photoclip": found_by(world, confirmed, sure),
        "in its group": found_by(world, np.triu(grouped, 1), sure),
    }
    return ways, sure


def show(world: World, ways: dict[str, Found], sure: Floats) -> None:
    """Print recall by kind, precision, and the wrong pairs."""
    rows = [
        (kind.name, *(f"{found.recall[place]:.3f}" for found in ways.values()))
        for place, kind in enumerate(KINDS)
    ]
    asked = [place for place, kind in enumerate(KINDS) if kind.asked]
    means = [np.mean([found.recall[place] for place in asked]) for found in ways.values()]
    rows.append(("mean, without mirrored and 20 %", *(f"{mean:.3f}" for mean in means)))
    rows.append(("precision", *(f"{found.precision:.4f}" for found in ways.values())))
    rows.append(("wrong pairs", *(f"{len(found.wrong):,}" for found in ways.values())))
    table(("recall", *ways), rows)
    for name in ("photoclip", "in its group"):
        for first, second in ways[name].wrong[:20]:
            near = float(world.embeddings[first] @ world.embeddings[second])
            pair = " and ".join(
                f"{world.paths[one].parent.name}/{world.paths[one].stem}" for one in (first, second)
            )
            print(f"wrong, {name}: {pair} (check {sure[first, second]:.3f}, cosine {near:.3f})")
    plain = np.flatnonzero(world.kinds < 0)
    others = np.where(world.pictures[plain, None] != world.pictures[plain], sure[np.ix_(plain, plain)], -1)
    one, other = np.unravel_index(int(others.argmax()), others.shape)
    names = " and ".join(world.paths[plain[place]].stem for place in (one, other))
    print(f"the surest pair of {len(plain):,} different photos: {names}, {others.max():.3f}")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, default=SHARED)
    parser.add_argument("--copied", type=int, default=150, help="how many photos are copied in every way")
    parser.add_argument("--others", type=int, default=2000, help="how many more photos there are")
    parser.add_argument("--model", default="builtin", help="as `photoclip models list` names it")
    parser.add_argument("--imagededup", metavar="PYTHON", help="a Python that has imagededup")
    arguments = parser.parse_args()
    began = time.process_time()
    print(machine("numpy", "pillow"))
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        (place / "photos").mkdir()
        paths, others = choose_photos(arguments.photos, place / "shards", arguments.copied, arguments.others)
        write(paths, others, place / "photos")
        world = index(place / "photos", place / "library", arguments.model)
        print(f"{len(paths)} photos copied in {len(KINDS)} ways, {len(others)} others, {arguments.model}")
        ways, sure = photoclips(world)
        ways |= at_lines(world, "cosine", world.embeddings @ world.embeddings.T)
        ways |= imagededups(world, arguments.imagededup, place)
        show(world, ways, sure)
    print(f"{time.process_time() - began:.0f} s of CPU")
    return 0


if __name__ == "__main__":
    sys.exit(main())
