"""The same picture among 100,000, with 10 % copies: ``python -m tests.benchmarks.dupes --photos DIR``.

The pictures are collages of the photos of the test dependencies, and of ``DIR`` (see
``tests.benchmarks.relevance``; without ``--photos``, ``shared/photos`` beside the checkout): real pixels,
made up embeddings (see ``tests.benchmarks.collages``). Each way runs in a process of its own, on one thread.
Its seconds of CPU are those from embeddings and renderings to the groups, what it remembers for the next run
included, but not those to make and to read the pictures; its megabytes are those of the whole process.

photoclip runs for the first time; again; with 100 pictures less; with these again, which are new then; and
for the first time where a twentieth of the pictures is one and the same, or one that was compressed again
and again. *Found* are copies that are in one group with their originals, *wrong* groups that hold different
pictures.

Beside it: the plain way to all pairs at a cosine of 0.9 and above (products of blocks with all rows), a graph
of hnswlib's, built and asked for the 8 nearest of each picture, and as the limit the products of vectors as
short as those that photoclip looks for neighbours with. What share does each way know of the pairs of a
copy and its original, of the 8 nearest of some pictures, by exact products, and of all pairs at 0.9 and at
0.95? Of photoclip's, a pair counts that it looked at, or that it holds in one bundle.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from photoclip.duplicates import Pictures, candidates, remembered
from tests.benchmarks.report import cost, machine, median, one_thread, table

COPIES = 0.1
NEW = 100
MANY = 0.05
PARTS = ("copies", f"{candidates.NEIGHBOURS} nearest")
LINES = (0.9, 0.95)
ASKED = 2000  # pictures whose nearest are found by exact products
BLOCK = 1024
SEED = 8
PACKAGES = ("numpy", "hnswlib", "pillow")

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Answer = dict[str, Any]


# -- ways, each in its process ---------------------------------------------------------------------------


class Run(NamedTuple):
    """A run of photoclip's: which pictures there are, what is remembered, and where it remembers that."""

    change: str = ""
    past: str = ""
    writes: str = ""


RUNS = {
    "photoclip": Run(writes="all"),
    "again, nothing new": Run(past="all"),
    f"with {NEW} less": Run("less", past="all", writes="less"),
    f"with {NEW} new ones": Run(past="less"),
    "a twentieth of them identical": Run("identical"),
    "a twentieth of them one, compressed": Run("compressed"),
}
EVERY, GRAPH, LIMIT = "numpy, every product", "hnswlib, built and asked for 8", "limit: as many products"


class World(NamedTuple):
    """The pictures, as ``collages.Made`` has them; renderings as photoclip takes them."""

    embeddings: Floats
    renderings: list[bytes]
    pictures: Integers
    kinds: Integers


def world(place: Path, change: str) -> World:
    """Read the pictures, some of them left out or replaced."""
    parts = [np.load(place / f"{name}.npy") for name in World._fields]
    some = np.random.default_rng(SEED).permutation(len(parts[0]))[: round(MANY * len(parts[0]))]
    if change == "less":
        parts = [np.delete(part, some[:NEW], axis=0) for part in parts]
    elif change:
        embeddings, renderings, pictures, kinds = parts
        one = np.flatnonzero((pictures == 0) & (kinds < 0))
        pictures[some], kinds[some] = 0, -2
        for rows, name in ((embeddings, "many_embeddings"), (renderings, "many_renderings")):
            rows[some] = rows[one] if change == "identical" else np.load(place / f"{name}.npy")
    embeddings, renderings, pictures, kinds = parts
    return World(embeddings, [row.tobytes() for row in renderings], pictures, kinds)


def photoclip(place: Path, run: Run) -> Answer:
    """Find the groups, and return what that cost, and how good they are."""
    there = world(place, run.change)
    began = time.process_time()
    past = remembered.read(str(place / f"{run.past}.pairs")) if run.past else None
    pictures = Pictures(there.embeddings, there.renderings, past)
    groups = pictures.groups()
    if run.writes:
        remembered.write(str(place / f"{run.writes}.pairs"), pictures.compared())
    answer = spent(began)
    answer |= judged(there, groups)
    if not (run.change or run.past):
        answer["pairs"] = known(place, *looked_at(pictures, len(there.kinds)))
        answer["looked at"] = len(pictures.compared().judged.first)
    return answer


def spent(began: float) -> Answer:
    """Return the CPU seconds since ``began``, and the megabytes of this process at the most."""
    cpu = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"cpu": cpu, "peak": peak * (1 if sys.platform == "darwin" else 1024) / 1e6}


def judged(there: World, groups: list[list[int]]) -> Answer:
    """Return what share of the copies is in the group of the original, by kind, too, and what is wrong."""
    group_of = np.arange(len(there.kinds)) + len(groups)
    for number, members in enumerate(groups):
        group_of[members] = number
    copies, own = copies_of(there.pictures, there.kinds)
    found = group_of[copies] == group_of[own]
    near = np.einsum("ij,ij->i", there.embeddings[copies], there.embeddings[own])
    kinds = {
        int(kind): [int(of.sum()), float(np.median(near[of])), float(found[of].mean())]
        for kind in np.unique(there.kinds[copies])
        for of in [there.kinds[copies] == kind]
    }
    shown = [sorted(set(there.pictures[members].tolist())) for members in groups]
    one = group_of[there.kinds == -2] if (there.kinds == -2).any() else np.zeros(1, int)
    return {
        "found": float(found.mean()),
        "kinds": kinds,
        "wrong": [some for some in shown if len(some) > 1],
        "together": int(np.bincount(one).max()),
    }


def copies_of(pictures: Integers, kinds: Integers) -> tuple[Integers, Integers]:
    """Return the copies that have an original, and these."""
    original = np.full(pictures.max() + 1, -1)
    original[pictures[kinds == -1]] = np.flatnonzero(kinds == -1)
    copies = np.flatnonzero(kinds >= 0)
    copies = copies[original[pictures[copies]] >= 0]
    return copies, original[pictures[copies]]


def looked_at(pictures: Pictures, count: int) -> tuple[Integers, Integers, Integers]:
    """Return the first of the bundle of each picture, and which pairs of such photoclip looked at."""
    first_of = np.arange(count)
    for places in pictures._twins.values():
        first_of[places] = places[0]
    of_bundle = np.arange(count)
    for first, members in pictures._all_but_equal(pictures._near).items():
        of_bundle[members] = first
    seen = pictures._looks.judged()
    return of_bundle[first_of], seen.first, seen.second


def known(place: Path, bundle: Integers, first: Integers, second: Integers) -> list[float]:
    """Return what share of the pairs of PARTS, and of those at each of LINES, is given or in one bundle."""
    exact = np.load(place / "exact.npz")
    one, other = bundle[exact["first"]], bundle[exact["second"]]
    keys = np.minimum(one, other) * len(bundle) + np.maximum(one, other)
    there = (one == other) | np.isin(keys, first * len(bundle) + second)
    part, cosine = exact["part"], exact["cosine"]
    lines = [(part == len(PARTS)) & (cosine >= line) for line in LINES]
    return [float(there[some].mean()) for some in (*(part == one for one in range(len(PARTS))), *lines)]


def every_product(place: Path) -> Answer:
    """Multiply all rows with all, and keep the pairs for the other ways to be measured by."""
    rows = np.load(place / "embeddings.npy")
    began = time.process_time()
    found = []
    for start in range(0, len(rows), BLOCK):
        products = rows[start : start + BLOCK] @ rows[start:].T
        places = np.flatnonzero(products >= LINES[0])
        first, second = np.divmod(places, products.shape[1])
        later = first < second
        found.append((first[later] + start, second[later] + start, products.ravel()[places[later]]))
    counts = [sum(int((cosine >= line).sum()) for _, _, cosine in found) for line in LINES]
    answer = spent(began) | {"counts": counts}
    copies = copies_of(np.load(place / "pictures.npy"), np.load(place / "kinds.npy"))
    parts = [(*copies, np.einsum("ij,ij->i", rows[copies[0]], rows[copies[1]])), nearest(rows)]
    first, second, cosine = (np.concatenate(part) for part in zip(*parts, *found, strict=True))
    part = np.repeat([0, 1, 2], [len(parts[0][0]), len(parts[1][0]), sum(len(some[0]) for some in found)])
    np.savez(place / "exact.npz", first=first, second=second, cosine=cosine, part=part)
    return answer | {"pairs": [1.0] * (len(PARTS) + len(LINES))}


def nearest(rows: Floats) -> tuple[Integers, Integers, Floats]:
    """Return some pictures, the nearest of each that are near enough to be candidates, and the cosines."""
    found = []
    for one in np.random.default_rng(SEED).permutation(len(rows))[:ASKED]:
        products = rows @ rows[one]
        products[one] = -1
        others = np.argpartition(products, -candidates.NEIGHBOURS)[-candidates.NEIGHBOURS :]
        others = others[products[others] >= candidates.CANDIDATE_SIMILARITY]
        found.append((np.full(len(others), one), others, products[others]))
    one, other, cosine = (np.concatenate(part) for part in zip(*found, strict=True))
    return one, other, cosine


def graph(place: Path) -> Answer:
    """Build a graph and ask it for the nearest of each row."""
    import hnswlib

    rows = np.load(place / "embeddings.npy")
    began = time.process_time()
    index = hnswlib.Index(space="ip", dim=rows.shape[1])
    index.init_index(max_elements=len(rows), M=16, ef_construction=200, random_seed=1)
    index.add_items(rows, num_threads=1)
    built = time.process_time() - began
    index.set_ef(64)
    near, _ = index.knn_query(rows, candidates.NEIGHBOURS + 1, num_threads=1)
    answer = spent(began)
    own = np.repeat(np.arange(len(rows)), near.shape[1])
    other = near.ravel().astype(np.int64)
    pairs = np.minimum(own, other), np.maximum(own, other)
    return answer | {"pairs": known(place, np.arange(len(rows)), *pairs), "built": built}


def limit(place: Path) -> Answer:
    """Multiply each picture's two short vectors with those of all after it, and do nothing else."""
    rows = np.load(place / "embeddings.npy")
    lengths = candidates._DIRECTIONS, candidates.outlines_of([bytes(1024)]).shape[1]
    short = [np.ascontiguousarray(rows[:, :length]) for length in lengths]
    began = time.process_time()
    for some in short:
        for start in range(0, len(some), BLOCK):
            part = some[start : start + BLOCK]
            for top in range(start, len(some), BLOCK):
                part @ some[top : top + BLOCK].T
    return spent(began)


OTHERS: dict[str, Callable[[Path], Answer]] = {EVERY: every_product, GRAPH: graph, LIMIT: limit}


def measure(place: Path, way: str) -> Answer:
    """Go one way, in this process, and return what it cost."""
    return OTHERS[way](place) if way in OTHERS else photoclip(place, RUNS[way])


# -- all of it -------------------------------------------------------------------------------------------


def prepare(place: Path, folder: Path | None, count: int) -> None:
    """Make the pictures, unless they are there, and say what they are like."""
    if not (place / "cosines.json").exists():
        from tests.benchmarks.collages import make
        from tests.benchmarks.relevance import SHARED

        began = time.process_time()
        with tempfile.TemporaryDirectory() as scratch:
            made = make(folder or SHARED, Path(scratch), count, COPIES, round(MANY * count))
        for name in World._fields:
            np.save(place / f"{name}.npy", getattr(made, name))
        for name, part in zip(("embeddings", "renderings"), made.many, strict=True):
            np.save(place / f"many_{name}.npy", part)
        (place / "cosines.json").write_text(json.dumps(made.cosines))
        print(f"made in {time.process_time() - began:.0f} s of CPU", flush=True)
    titles = ("cosines", "of half of all pairs", "1 %", "0.1 %", "0.01 %", "of half, with the nearest")
    cosines = json.loads((place / "cosines.json").read_text())
    names = ("photos, and parts of them", "as many of the pictures")
    rows = [(name, *(f"{one:.3f}" for one in some)) for name, some in zip(names, cosines, strict=True)]
    table(titles, rows)
    print(flush=True)


def show(answers: dict[str, list[Answer]]) -> None:
    """Print what each way cost and found."""
    lines = []
    for way, some in answers.items():
        cpu, peak = (median([answer[what] for answer in some]) for what in ("cpu", "peak"))
        last = some[-1]
        quality = (f"{last['found']:.4f}", f"{len(last['wrong']):,}") if "found" in last else ("", "")
        pairs = [f"{share:.4f}" for share in last.get("pairs", ())] or [""] * (len(PARTS) + len(LINES))
        lines.append((way, f"{cpu:.1f}", f"{peak:,.0f}", *quality, *pairs))
    shares = (*PARTS, *(f"pairs at {line}" for line in LINES))
    table(("", "CPU s", "MB", "found", "wrong", *shares), lines)
    first = answers["photoclip"][-1]
    counts = " and ".join(f"{count:,}" for count in answers[EVERY][-1]["counts"])
    print(f"\n{counts} pairs at {LINES[0]} and {LINES[1]}; photoclip looked at {first['looked at']:,} pairs")
    for pictures in first["wrong"][:20]:
        print(f"photoclip: wrong: the pictures {', '.join(map(str, pictures))}")
    for way, some in answers.items():
        if some[-1].get("together", 1) > 1:
            print(f"{way}: {some[-1]['together']:,} are in one group")
        if "built" in some[-1]:
            print(f"{way}: {median([answer['built'] for answer in some]):.1f} s to build it")


def show_kinds(kinds: dict[str, tuple[int, float, float]]) -> None:
    """Print how near copies are in the embedding, and how many are found."""
    from tests.benchmarks.edits import KINDS

    print()
    lines = [
        (KINDS[int(kind)].name, f"{count:,}", f"{near:.3f}", f"{found:.3f}")
        for kind, (count, near, found) in kinds.items()
    ]
    table(("copies", "number", "median cosine", "found"), lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--no-hnswlib", action="store_true", help="leave it out: it takes a minute")
    parser.add_argument("--keep", type=Path, help="a folder for the pictures, to use them again")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        answer = measure(arguments.keep, arguments.way)
        (arguments.keep / "answer.json").write_text(json.dumps(answer))
        return
    print(machine(*PACKAGES), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        place = arguments.keep or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        prepare(place, arguments.photos, arguments.count)
        print(f"{arguments.count:,} pictures, {COPIES:.0%} copies; rounds: {arguments.rounds}", flush=True)
        answers: dict[str, list[Answer]] = {}
        ways = [EVERY, *RUNS, GRAPH, LIMIT]
        for way in (way for _ in range(arguments.rounds) for way in ways):
            if way != GRAPH or not arguments.no_hnswlib:
                line = [sys.executable, "-m", "tests.benchmarks.dupes", "--keep", str(place), "--way", way]
                cost(line, one_thread())
                answers.setdefault(way, []).append(json.loads((place / "answer.json").read_text()))
    show({way: answers[way] for way in (*RUNS, EVERY, GRAPH, LIMIT) if way in answers})
    show_kinds(answers["photoclip"][-1]["kinds"])


if __name__ == "__main__":
    main()
