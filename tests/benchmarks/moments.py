"""One moment, or another: ``python -m tests.benchmarks.moments --photos DIR``.

There were no bursts to be had, so they are made. Photos of the test dependencies, and those of ``DIR`` that
the built-in model was not trained on (see ``tests.benchmarks.relevance``; without ``--photos``,
``shared/photos`` beside the checkout), are photographed anew by a camera that sees a part of them (70 % of
either side, for a pan 50 %) and is moved between two shots (KINDS). All are a second apart.

How many of the pairs of each kind are of one moment, how many similar, how many the same picture? And how
many are it wrongly: of pans that have nothing in common, of different photos of one class, of any two photos?
Beside it stands the embedding alone, at the line where it finds as many of the shots by hand ("all at once").

Then groups: of ten shots by hand in three seconds, and right behind them ten of another photo of the same
class, as ``dupes`` finds them.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from photoclip.config import one_blas_thread

one_blas_thread()

import numpy as np  # noqa: E402  (the number of threads is read at import)
from numpy.typing import NDArray  # noqa: E402
from PIL import Image  # noqa: E402

from photoclip import Library  # noqa: E402
from photoclip.duplicates import find_duplicates  # noqa: E402
from photoclip.duplicates.looking import SecondCheck  # noqa: E402
from photoclip.duplicates.moments import ALIKE, OVERLAP, SOMEWHAT_ALIKE  # noqa: E402
from photoclip.duplicates.shifted import Shifted  # noqa: E402
from photoclip.evidence import usual_similarity  # noqa: E402
from photoclip.indexing import IndexOptions  # noqa: E402
from photoclip.training import datasets  # noqa: E402
from tests.benchmarks.relevance import SHARED  # noqa: E402
from tests.benchmarks.report import machine, table  # noqa: E402
from tests.pictures import demo_photographs  # noqa: E402

SEED = 9
SEEN = 0.7
LARGEST = 640  # px; larger photos are made smaller first, for speed
FRAMES = 10
DATE_TIME = 306

Picture = Image.Image
Shoot = Callable[[Picture, Picture, random.Random], tuple[Picture, Picture]]
Places = NDArray[np.intp]


# -- shooting ---------------------------------------------------------------------------------------


def seen(whole: Picture, share: float, x: float = 0.5, y: float = 0.5, angle: float = 0) -> Picture:
    """Return what is seen of a picture around (x, y) by a camera that is rolled by ``angle`` degrees."""
    if angle:
        middle = (x * whole.width, y * whole.height)
        whole = whole.rotate(angle, Image.Resampling.BICUBIC, center=middle)
    width, height = share * whole.width, share * whole.height
    left, top = x * whole.width - width / 2, y * whole.height - height / 2
    box = (left, top, left + width, top + height)
    size = (round(width), round(height))
    return whole.transform(size, Image.Transform.EXTENT, box, Image.Resampling.BICUBIC)


def noisy(picture: Picture, strength: float, choose: random.Random) -> Picture:
    """Add noise of ``strength`` levels."""
    noise = np.random.default_rng(choose.randrange(2**31)).normal(0, strength, (*picture.size[::-1], 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def exposed(picture: Picture, stops: float) -> Picture:
    """Expose longer by ``stops``, in light that is as good as linear."""
    levels = [min(255, round(255 * ((level / 255) ** 2.2 * 2**stops) ** (1 / 2.2))) for level in range(256)]
    return picture.point(levels * 3)


def with_thing(picture: Picture, thing: Picture, share: float, x: float, y: float) -> Picture:
    """Put a thing, ``share`` of either side large, at (x, y)."""
    width, height = round(share * picture.width), round(share * picture.height)
    found = picture.copy()
    place = (round(x * picture.width - width / 2), round(y * picture.height - height / 2))
    found.paste(thing.resize((width, height), Image.Resampling.BICUBIC), place)
    return found


def shifted(share: float) -> Shoot:
    """Move by ``share`` of what is seen, in any direction."""

    def shoot(whole: Picture, _: Picture, choose: random.Random) -> tuple[Picture, Picture]:
        angle = choose.uniform(0, 2 * math.pi)
        x, y = (part * share * SEEN / 2 for part in (math.cos(angle), math.sin(angle)))
        return seen(whole, SEEN, 0.5 - x, 0.5 - y), seen(whole, SEEN, 0.5 + x, 0.5 + y)

    return shoot


def nearer(share: float) -> Shoot:
    """See ``share`` less of either side."""
    return lambda whole, _, __: (seen(whole, SEEN), seen(whole, SEEN * (1 - share)))


def rolled(angle: float) -> Shoot:
    """Roll the camera."""
    return lambda whole, _, __: (seen(whole, SEEN), seen(whole, SEEN, angle=angle))


def moving(share: float) -> Shoot:
    """Let a thing move through the picture, by a quarter of its width."""

    def shoot(whole: Picture, thing: Picture, choose: random.Random) -> tuple[Picture, Picture]:
        picture, x, y = seen(whole, SEEN), choose.uniform(0.25, 0.5), choose.uniform(0.3, 0.7)
        return with_thing(picture, thing, share, x, y), with_thing(picture, thing, share, x + 0.25, y)

    return shoot


def coming(share: float) -> Shoot:
    """Let a thing come into the picture."""

    def shoot(whole: Picture, thing: Picture, choose: random.Random) -> tuple[Picture, Picture]:
        picture = seen(whole, SEEN)
        return picture, with_thing(picture, thing, share, choose.uniform(0.3, 0.7), choose.uniform(0.3, 0.7))

    return shoot


def panned(common: float) -> Shoot:
    """Turn the camera along the longer side until only the share ``common`` is seen in both."""

    def shoot(whole: Picture, _: Picture, __: random.Random) -> tuple[Picture, Picture]:
        far = (1 - common) / 4
        x, y = (far, 0.0) if whole.width >= whole.height else (0.0, far)
        return seen(whole, 0.5, 0.5 - x, 0.5 - y), seen(whole, 0.5, 0.5 + x, 0.5 + y)

    return shoot


def by_hand(whole: Picture, thing: Picture, choose: random.Random, frames: int = 2) -> list[Picture]:
    """Shoot as people do: the camera wanders and rolls, comes nearer and away, something moves through the
    picture, the exposure changes, and there is noise."""
    found = []
    x = y = 0.5
    start, height = choose.uniform(0.2, 0.5), choose.uniform(0.3, 0.7)
    for frame in range(frames):
        picture = seen(whole, SEEN * choose.uniform(0.97, 1), x, y, choose.uniform(-1, 1))
        picture = with_thing(picture, thing, 0.2, start + 0.3 * frame / frames, height)
        found.append(noisy(exposed(picture, choose.uniform(-0.2, 0.2)), 5, choose))
        x, y = (min(0.62, max(0.38, place + choose.uniform(-0.03, 0.03))) for place in (x, y))
    return found


KINDS: dict[str, Shoot] = {
    **{f"shifted by {share} %": shifted(share / 100) for share in (3, 6, 12, 25)},
    **{f"nearer by {share} %": nearer(share / 100) for share in (5, 10, 20)},
    **{f"rolled by {angle}°": rolled(angle) for angle in (1, 3, 6)},
    **{f"something of {share} % moves": moving(share / 100) for share in (15, 30)},
    **{f"something of {share} % comes": coming(share / 100) for share in (15, 30)},
    "1 stop brighter": lambda whole, _, __: (seen(whole, SEEN), exposed(seen(whole, SEEN), 1)),
    "noise": lambda whole, _, choose: (seen(whole, SEEN), noisy(seen(whole, SEEN), 10, choose)),
    "by hand, all at once": lambda *of: tuple(by_hand(*of)),  # type: ignore[return-value]
    **{f"panned, {share} % in common": panned(share / 100) for share in (75, 50, 25, 0)},
}


# -- the photos -------------------------------------------------------------------------------------


class Base(NamedTuple):
    """A photo to be photographed anew; photos of one class have the same ``label``."""

    path: Path
    label: str


def bases_of(folder: Path, scratch: Path) -> list[Base]:
    """Return the photos there are, shuffled."""
    found = [Base(path, "") for path in demo_photographs().values()]
    for place in (folder, folder / "sample"):
        try:
            sets = datasets.read(place, "dev", scratch)
        except datasets.NoData:
            continue
        for one in sets:
            found += [
                Base(picture.path, picture.label and f"{one.name} {picture.label}")
                for picture in one.pictures
            ]
    return random.Random(SEED).sample(found, len(found))


def opened(path: Path) -> Picture:
    """Return a photo, not too large."""
    with Image.open(path) as file:
        picture = file.convert("RGB")
    picture.thumbnail((LARGEST, LARGEST))
    return picture


def save(picture: Picture, path: Path, second: int) -> None:
    """Save a shot, with its date."""
    exif = Image.Exif()
    minutes, seconds = divmod(second, 60)
    hours, minutes = divmod(minutes, 60)
    exif[DATE_TIME] = f"2024:05:{1 + hours // 24:02} {hours % 24:02}:{minutes:02}:{seconds:02}"
    path.parent.mkdir(exist_ok=True)
    picture.save(path, quality=92, exif=exif)


def shoot_pairs(bases: list[Base], target: Path) -> None:
    """Write two shots of each kind of each photo."""
    for number, base in enumerate(bases):
        whole, thing = opened(base.path), opened(bases[number - 1].path)
        for kind, (name, shoot) in enumerate(KINDS.items()):
            choose = random.Random(f"{SEED} {base.path.name} {name}")
            for side, picture in enumerate(shoot(whole, thing, choose)):
                save(picture, target / f"{kind}" / f"{number}-{side}.jpg", side)


def shoot_bursts(bases: list[Base], target: Path) -> int:
    """Write bursts, two of each class right behind each other; return how many."""
    classes: dict[str, list[Base]] = {}
    for base in bases:
        if base.label:
            classes.setdefault(base.label, []).append(base)
    bursts = [base for some in classes.values() if len(some) > 1 for base in some[:2]]
    for number, base in enumerate(bursts):
        choose = random.Random(f"{SEED} {base.path.name}")
        start = number // 2 * 60 + number % 2 * 5
        shots = by_hand(opened(base.path), opened(bursts[number - 2].path), choose, FRAMES)
        for frame, picture in enumerate(shots):
            save(picture, target / "bursts" / f"{number}-{frame}.jpg", start + frame // 3)
    return len(bursts)


# -- what is said about them ------------------------------------------------------------------------


class World(NamedTuple):
    """All photos of a library: the place of each path, embeddings and renderings."""

    places: dict[Path, int]
    embeddings: NDArray[np.float32]
    renderings: list[bytes]

    @classmethod
    def of(cls, library: Library) -> World:
        """Read it."""
        inner = library.inner
        found = {Path(photo.path.decode()): content for content, photo in inner.store.photos()}
        ids = list(found.values())
        renderings = inner.store.renderings(ids)
        rows = inner.matrix(inner.model()).rows_of(np.array(ids, np.int64))
        return cls({path: place for place, path in enumerate(found)}, rows, [renderings[one] for one in ids])


def pairs_of(world: World, bases: list[Base], folder: Path) -> dict[str, tuple[Places, Places]]:
    """Return the pairs of each kind, and at last those of different photos."""
    found = {}
    for kind, name in enumerate(KINDS):
        sides = [
            [world.places[folder / "pairs" / f"{kind}" / f"{number}-{side}.jpg"] for side in (0, 1)]
            for number in range(len(list((folder / "pairs" / "0").iterdir())) // 2)
        ]
        found[name] = np.array(sides, np.intp).T
    whole = [(base, world.places[folder / "whole" / base.path.name]) for base in bases]
    labels = np.array([base.label for base, _ in whole])
    places = np.array([place for _, place in whole], np.intp)
    first, second = np.triu_indices(len(whole), 1)
    alike = (labels[first] == labels[second]) & (labels[first] != "")
    every = {"different photos of one class": np.flatnonzero(alike), "any two photos": np.arange(len(first))}
    for name, among in every.items():
        some = np.random.default_rng(SEED).choice(among, min(10_000, len(among)), replace=False)
        found[name] = (places[first[some]], places[second[some]])
    return found


def judge(world: World, pairs: dict[str, tuple[Places, Places]], usual: float) -> None:
    """Print what is said about pairs."""
    overlap, check = Shifted(world.renderings), SecondCheck(world.renderings)
    said: dict[str, dict[str, Any]] = {}
    for name, (first, second) in pairs.items():
        cosine = np.einsum("ij,ij->i", world.embeddings[first], world.embeddings[second])
        alike = (cosine - usual) / (1 - usual)
        said[name] = {
            "alike": alike,
            "moment": (alike >= SOMEWHAT_ALIKE) & (overlap(first, second) >= OVERLAP),
            "same": check(first, second).same,
        }
    hand = said["by hand, all at once"]
    line = float(np.quantile(hand["alike"], 1 - hand["moment"].mean()))
    rows = [
        (
            name,
            f"{len(one['alike']):,}",
            f"{one['moment'].mean():.3f}",
            f"{(one['alike'] >= line).mean():.3f}",
            f"{(one['alike'] >= ALIKE).mean():.3f}",
            f"{one['same'].mean():.3f}",
        )
        for name, one in said.items()
    ]
    table(
        ("", "pairs", "same moment", f"embedding alone, {line:.2f}", f"similar, {ALIKE}", "same picture"),
        rows,
    )


def judge_bursts(library: Library, folder: Path, count: int) -> None:
    """Print how whole the bursts are, and whether they are mixed."""
    paths = list((folder / "bursts").iterdir())
    groups = find_duplicates(
        library.inner, level="same moment", among=frozenset(str(path).encode() for path in paths)
    )
    whole = mixed = 0
    largest = np.zeros(count)
    for group in groups:
        of = [int(Path(photo.path.decode()).stem.split("-")[0]) for photo in group.photos]
        mixed += len(set(of)) > 1
        whole += len(of) == FRAMES and len(set(of)) == 1
        for burst in set(of):
            largest[burst] = max(largest[burst], of.count(burst))
    print(
        f"{count} bursts of {FRAMES}: {whole} are one group each, the largest group of one holds "
        f"{largest.mean() / FRAMES:.3f} of it; {mixed} of {len(groups)} groups hold shots of two bursts"
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, default=SHARED)
    parser.add_argument("--bases", type=int, default=150, help="how many photos are photographed anew")
    parser.add_argument("--model", default="builtin", help="as `photoclip models list` names it")
    arguments = parser.parse_args()
    began = time.process_time()
    print(machine("numpy", "pillow"))
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        folder = place / "photos"
        bases = bases_of(arguments.photos, place / "shards")
        for kind in ("pairs", "bursts", "whole"):
            (folder / kind).mkdir(parents=True)
        shoot_pairs(bases[: arguments.bases], folder / "pairs")
        count = shoot_bursts(bases[::-1], folder)
        for base in bases:
            save(opened(base.path), folder / "whole" / base.path.name, 0)
        with Library.open_or_create(place / "library") as library:
            library.index([folder], IndexOptions(model=arguments.model))
            world = World.of(library)
            whole = [at for path, at in world.places.items() if path.parent == folder / "whole"]
            usual = usual_similarity([world.embeddings[whole]])
            print(f"{arguments.bases} photos in {len(KINDS)} ways, {len(bases):,} photos, usual {usual:.2f}")
            judge(world, pairs_of(world, bases, folder), usual)
            judge_bursts(library, folder, count)
    print(f"{time.process_time() - began:.0f} s of CPU")
    return 0


if __name__ == "__main__":
    sys.exit(main())
