"""1,000 labels and 100,000 photos: ``python -m tests.benchmarks.tagspeed``.

Whole ``photoclip tag`` processes, from the interpreter's start to the last line, numerical libraries on one
thread: over a library that has no tags yet, again when nothing has changed, and after one photo was added.
The texts of the labels were encoded before, as the photos were; what new labels cost is a line of its own.
The photos are as in ``tests.benchmarks.search``. So that labels fit some of them, each text gets the
embedding of a made-up photo with a common part, as texts have it. The limit is the product of the matrices
alone: the same rows from a file, multiplied in numpy.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from photoclip.library import OpenLibrary
from photoclip.records import DecodedPhoto, FileStamp, PhotoFacts, ScannedFile
from photoclip.store import FoundFile
from photoclip.tagging import PROMPTS
from tests.benchmarks.libraries import ARCHITECTURE, library
from tests.benchmarks.neighbours import DIMENSION, photo_like, unit
from tests.benchmarks.report import ROUNDS, Cost, cost, machine, median, one_thread, table

# fmt: off
SIDES = (
    "red", "blue", "green", "old", "new", "small", "large", "wooden", "round", "dark", "bright", "wet", "dry",
    "open", "empty", "broken", "striped", "golden", "plain", "painted", "tall", "tiny", "white", "black",
    "grey",
)
THINGS = (
    "dog", "cat", "boat", "house", "car", "table", "chair", "tree", "flower", "bridge", "street", "hat",
    "shirt", "shoe", "ball", "bird", "horse", "train", "bus", "door", "window", "lamp", "clock", "cup",
    "plate", "bottle", "book", "sign", "toy", "tower", "fence", "garden", "road", "field", "beach", "lake",
    "hill", "stone", "bag", "box",
)
# fmt: on
LIKENESS = 0.17  # of a text and the photo it was made from, about what OpenCLIP's models reach

LIMIT = """
import sys
import numpy as np
rows, labels = np.load(sys.argv[1], mmap_mode="r"), np.load(sys.argv[2])
print(sum(float((rows[at:at + 4096] @ labels.T).max()) for at in range(0, len(rows), 4096)))
"""


def names(count: int) -> list[str]:
    """Return labels: 1,000 different ones at most."""
    return [f"{side} {thing}" for thing in THINGS for side in SIDES][:count]


def plant(place: Path, texts: Iterable[str]) -> None:
    """Give ``texts`` embeddings near to those of some photos, and the model the scale of a trained one."""
    with contextlib.closing(sqlite3.connect(place / "catalogue.sqlite", isolation_level=None)) as catalogue:
        catalogue.execute("UPDATE models SET logit_scale = 100")
    made = OpenLibrary.open(place)
    everyone = photo_like(5_000, seed=0)
    mean = everyone.mean(axis=0)
    common = unit(np.random.default_rng(1).normal(size=(1, DIMENSION)))
    vectors = {}
    for text in texts:
        # The prompts of a label end alike, and stand for the same thing.
        number = int(hashlib.sha256(" ".join(text.split()[-2:]).encode()).hexdigest(), 16)
        own = unit((everyone[number % len(everyone)] - mean)[None].astype(float))
        row = unit((LIKENESS * own + np.sqrt(1 - LIKENESS**2) * common).astype(float))
        vectors[text] = row.astype("<f4").tobytes()
    model = made.model()
    with made.lock("benchmark"):
        made.store.remember_queries(model.id, vectors)
    made.close()


def add_photo(place: Path) -> None:
    """Add a photo, as indexing does."""
    path = b"/photos/one more.jpg"
    content = hashlib.sha256(path).digest()
    facts = PhotoFacts(4000, 3000, "JPEG")
    found = FoundFile(
        ScannedFile(path, FileStamp(1, 1, 1, 1)),
        content,
        DecodedPhoto(content, facts, b"", bytes(1024)),
        photo_like(25, seed=77)[0].astype("<f4").tobytes(),
    )
    made = OpenLibrary.open(place)
    model = made.model()
    with made.lock("benchmark"):
        made.store.record(model.id, [found], ())
    made.matrix(model)
    made.close()


def _texts(place: Path) -> list[str]:
    """Return the texts whose embeddings the library remembers."""
    with contextlib.closing(sqlite3.connect(place / "catalogue.sqlite")) as catalogue:
        return [text for (text,) in catalogue.execute("SELECT text FROM queries")]


def _line(place: Path, listed: Path, *options: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "photoclip",
        "--library",
        str(place),
        "tag",
        "--labels",
        str(listed),
        *options,
    ]


def limit(place: Path, count: int, labels: int) -> list[str]:
    """Return the command that multiplies and does nothing else."""
    starts = range(0, count, 5_000)
    rows = np.concatenate([photo_like(min(5_000, count - start), seed=start) for start in starts])
    np.save(place / "rows.npy", rows)
    np.save(place / "labels.npy", photo_like(max(labels, 25), seed=1)[:labels])
    return [sys.executable, "-c", LIMIT, str(place / "rows.npy"), str(place / "labels.npy")]


def tag_count(place: Path) -> int:
    """Return how many tags are stored."""
    with contextlib.closing(sqlite3.connect(place / "catalogue.sqlite")) as catalogue:
        (count,) = catalogue.execute("SELECT count(*) FROM tags").fetchone()
    return int(count)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--labels", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--keep", type=Path, help="a folder for the library, to use it again")
    arguments = parser.parse_args()
    print(machine("numpy"))
    print(f"{arguments.labels:,} labels, {arguments.count:,} photos, medians of {arguments.rounds} rounds")
    with tempfile.TemporaryDirectory() as temporary:
        scratch, place = Path(temporary), arguments.keep or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        listed = scratch / "labels.txt"
        listed.write_text("\n".join(names(arguments.labels)), "utf-8")
        fresh, used = scratch / "fresh.library", scratch / "used.library"
        shutil.copytree(library(place, arguments.count), fresh)
        env = one_thread()
        few = library(place, 100)
        plant(few, [prompt.format(name) for name in names(arguments.labels) for prompt in PROMPTS])
        cost(_line(few, listed, "--write", "none"), env)  # encodes what else labels are compared with
        plant(fresh, _texts(few))
        line = _line(used, listed)
        alone = limit(scratch, arguments.count, arguments.labels)
        costs: dict[str, list[Cost]] = {}
        tags = 0
        for _ in range(arguments.rounds):
            shutil.rmtree(used, ignore_errors=True)
            shutil.copytree(fresh, used)
            costs.setdefault("first run: every photo is scored", []).append(cost(line, env))
            tags = tag_count(used)
            costs.setdefault("second run: nothing has changed", []).append(cost(line, env))
            add_photo(used)
            costs.setdefault("one photo more", []).append(cost(line, env))
            costs.setdefault("limit: the product alone", []).append(cost(alone, env))
        listed.write_text("\n".join(f"{side} lighthouse" for side in SIDES), "utf-8")
        costs[f"{len(SIDES)} labels never asked before"] = [cost(_line(used, listed), env)]
    print(f"{tags:,} tags stored by the first run; {ARCHITECTURE}, {os.cpu_count()} cores")
    rows = []
    for name, spent in costs.items():
        wall, cpu, peak = (median([getattr(one, what) for one in spent]) for what in ("wall", "cpu", "peak"))
        rows.append((name, f"{wall:.2f}", f"{cpu:.2f}", f"{peak:.0f}"))
    table(("whole command", "s", "CPU s", "MB"), rows)


if __name__ == "__main__":
    main()
