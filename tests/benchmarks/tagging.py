"""Tagging on labelled photos, and its speed: ``python -m tests.benchmarks.tagging --photos DIR``.

``DIR`` as for ``tests.benchmarks.relevance``, which explains who judges: no photo here was trained on.
``tagging.txt`` holds two sets of lists. The rule was made with the lists "first" and every second labelled
photo; "held out" are other words, asked of the other photos. (Photos with captions are in both: of them other
things are asked.) Every source is a library of its own, and all of them together one more.

"photoclip" is what ``photoclip tag`` decides by default. Beside it, from the same embeddings of the same
prompts: arg-max, where every photo gets the label it is most similar to; the best threshold, one similarity
for all labels, chosen with hindsight for macro-F1; and the best of those that tag no more photos with a label
that fits none than photoclip does. "Line per label", a threshold for each label chosen with hindsight, is the
most that any thresholds could reach. Labels that fewer than three photos show are left out of the means. A
photo whose label is open counts for nobody. "Wrong" photos carry a label that fits none.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photoclip import Library
from photoclip.indexing import IndexOptions
from photoclip.labels import LabelList
from photoclip.tagging import PROMPTS
from photoclip.training.datasets import NoData, Picture
from tests.benchmarks import relevance
from tests.benchmarks.relevance import LACKS, SHARED, SHOWS, Asked, Judged, best_lines, read
from tests.benchmarks.report import machine, table

LISTS = Path(__file__).with_suffix(".txt")
OWN = {
    "scene15": "scenes",
    "houses": "rooms",
    "clothing": "clothes",
    "cats-and-dogs": "pets",
    "flickr8k": "things",
}
LEAST = 3
TRIED = np.arange(0.1, 0.8, 0.005)

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Truth = NDArray[np.int8]


def lists() -> dict[str, list[Asked]]:
    """Return the labels of tagging.txt by section; what tells the photos that show them is in each."""
    known = {asked.text: asked for section in relevance.sections().values() for asked in section}
    found: dict[str, list[str]] = {}
    for line in LISTS.read_text("utf-8").splitlines():
        if line.startswith("["):
            current = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            current.append(line)
    (people,) = found.pop("people")
    asked: dict[str, list[Asked]] = {}
    for name, lines in found.items():
        asked[name] = [_asked(line, known, people) for line in lines]
        known |= {one.text: one for one in asked[name]}
    return asked


def _asked(line: str, known: dict[str, Asked], people: str) -> Asked:
    label, _, query = line.partition(" = ")
    return replace(known[query], text=label) if query else Asked.of(line.replace("$people", people))


class Photos:
    """A library of pictures; ``rows`` are their embeddings, (n, d), in the order of ``pictures``."""

    def __init__(self, place: Path, pictures: dict[bytes, tuple[str, Picture]], model: str) -> None:
        self.library = Library.open_or_create(place)
        self.library.index([], IndexOptions(model=model), listed=list(pictures))
        inner = self.library.inner
        self.model = inner.model()
        found = sorted((photo.path, content) for content, photo in inner.store.photos())
        self.paths = [path for path, _ in found]
        self.pictures = [pictures[path] for path in self.paths]
        ids = np.array([content for _, content in found], np.int64)
        self.rows = inner.matrix(self.model).rows_of(ids)

    def embed(self, labels: Sequence[str]) -> Floats:
        """Return the mean of the prompts of each label, of unit length, (l, d)."""
        texts = [prompt.format(label) for label in labels for prompt in PROMPTS]
        rows = self.library.inner.embed_texts(self.model, texts)
        means = rows.reshape(len(labels), len(PROMPTS), -1).mean(axis=1)
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True))


@dataclass(frozen=True)
class World:
    """Photos and a list of labels. ``truth``, (n, l): SHOWS, LACKS or 0, which is open."""

    name: str
    photos: Photos
    labels: list[str]
    truth: Truth

    @classmethod
    def of(cls, name: str, photos: Photos, asked: Sequence[Asked]) -> World:
        """Ask for each label once, though several lists may hold it."""
        once = {one.text: one for one in asked}
        truth = [[one.truth(*picture) for one in once.values()] for picture in photos.pictures]
        return cls(name, photos, list(once), np.array(truth, np.int8))

    @property
    def rows(self) -> Floats:
        """The embeddings of the photos, (n, d)."""
        return self.photos.rows

    @cached_property
    def similarities(self) -> Floats:
        """Of photos and labels, (n, l)."""
        return self.rows @ self.photos.embed(self.labels).T

    def decide(self, labels: LabelList | None = None) -> Bools:
        """Return what photoclip decides by default, (n, l). ``labels``: the same, with more to say."""
        return self.probabilities(labels) > 0

    def probabilities(self, labels: LabelList | None = None, minimum: float | None = None) -> Floats:
        """Return how sure photoclip is of its tags, (n, l); 0 where there is none."""
        place, column = ({one: i for i, one in enumerate(all_)} for all_ in (self.photos.paths, self.labels))
        found = np.zeros(self.truth.shape)
        for photo in self.photos.library.tag(labels or self.labels, keep=False, minimum=minimum).photos:
            for tag in photo.tags:
                found[place[photo.photo.path], column[tag.label]] = max(tag.probability, 1e-9)
        return found


def worlds(
    sources: dict[str, list[Picture]], place: Path, section: str, model: str = "builtin"
) -> Iterator[World]:
    """Yield the worlds of a section, ``first`` or ``held out``; libraries are in ``place``, made if need be.

    ``sources``: what ``relevance.read`` returns.
    """
    asked = {name.partition(", ")[2]: ones for name, ones in lists().items() if name.startswith(section)}
    nothing = asked.pop("nothing")
    every = [one for ones in asked.values() for one in ones]
    half = 0 if section == "first" else 1
    taken = {name: pictures[half::2] if pictures[0].label else pictures for name, pictures in sources.items()}
    for source, name in OWN.items():
        photos = photos_of(place / f"{section}-{source}.library", {source: taken[source]}, model)
        yield World.of(f"{source}: {name} + nothing", photos, asked[name] + nothing)
    photos = photos_of(place / f"{section}-all.library", taken, model)
    yield World.of("all: all labels", photos, every)
    yield World.of("all: all labels + nothing", photos, every + nothing)
    for name, ones in asked.items():
        yield World.of(f"all: {name} + nothing", photos, ones + nothing)
    few = [asked[name][0] for name in ("pets", "scenes", "things")]
    yield World.of(f"all: {', '.join(one.text for one in few)}", photos, few)
    if section != "first" and "sample" in sources:
        photos = photos_of(place / "sample.library", {"sample": sources["sample"]}, model)
        tags = relevance.held_out("sample", sources["sample"])
        yield World.of("sample: its tags + nothing", photos, tags + nothing)


def photos_of(place: Path, sources: dict[str, list[Picture]], model: str) -> Photos:
    """Return the library at ``place``, of the pictures of these sources, made if need be."""
    pictures = {os.fsencode(one.path): (source, one) for source, ones in sources.items() for one in ones}
    return Photos(place, pictures, model)


@dataclass(frozen=True)
class Figures:
    """Means over the labels that enough photos show, and what all labels together reach.

    ``nothing``: the share of photos that carry a label which fits none; NaN where the list has no such label.
    """

    f1: float
    precision: float
    recall: float
    micro: float
    nothing: float
    tags: float

    @classmethod
    def of(cls, tagged: Bools, truth: Truth) -> Figures:
        """Compare what was decided, (n, l), with the truth."""
        right = (tagged & (truth == SHOWS)).sum(0)
        wrong = (tagged & (truth == LACKS)).sum(0)
        shown = (truth == SHOWS).sum(0)
        kept, empty = shown >= LEAST, (truth == LACKS).all(0)
        return cls(
            (2 * right / np.maximum(right + wrong + shown, 1))[kept].mean(),
            (right / np.maximum(right + wrong, 1))[kept].mean(),
            (right / np.maximum(shown, 1))[kept].mean(),
            2 * right.sum() / max(right.sum() + wrong.sum() + shown.sum(), 1),
            tagged[:, empty].any(1).mean() if empty.any() else np.nan,
            tagged.sum(1).mean(),
        )


def arg_max(similarities: Floats) -> Bools:
    """Return the decision that gives every photo the label it is most similar to, (n, l)."""
    tagged = np.zeros(similarities.shape, bool)
    tagged[np.arange(len(tagged)), similarities.argmax(1)] = True
    return tagged


def best_threshold(similarities: Floats, truth: Truth, most_wrong: float = 1.0) -> tuple[float, Bools]:
    """Return the similarity that reaches most as a threshold, and its decision.

    ``most_wrong``: the largest share of photos that may carry a label which fits none.
    """
    tried = np.arange(similarities.min(), similarities.max(), 0.002)
    figures = [(float(at), Figures.of(similarities >= at, truth)) for at in tried]
    allowed = [pair for pair in figures if not pair[1].nothing > most_wrong] or figures[-1:]
    at, _ = max(allowed, key=lambda pair: pair[1].f1)
    return at, similarities >= at


def ways(world: World) -> dict[str, tuple[float, Figures]]:
    """Return what each way of deciding reaches, and the similarity it may be chosen by."""
    truth, similarities = world.truth, world.similarities
    ours = Figures.of(world.decide(), truth)
    found = {
        "photoclip": (np.nan, ours),
        "arg-max": (np.nan, Figures.of(arg_max(similarities), truth)),
    }
    at, tagged = best_threshold(similarities, truth)
    found["best threshold"] = (at, Figures.of(tagged, truth))
    if not np.isnan(ours.nothing):
        at, tagged = best_threshold(similarities, truth, ours.nothing)
        found["threshold, as silent"] = (at, Figures.of(tagged, truth))
    lines = best_lines(Judged(similarities.T, similarities.T, truth.T)).T
    found["line per label"] = (np.nan, Figures.of(lines, truth))
    return found


def accuracy(found: Iterable[World]) -> list[tuple[str, ...]]:
    """Return lines for a table: each world, each way; then their means, and the one threshold for all."""
    rows = []
    reached: dict[str, list[tuple[float, ...]]] = {}
    fixed = []
    for world in found:
        shown = ((world.truth == SHOWS).sum(0) >= LEAST).sum()
        empty = (world.truth == LACKS).all(0).sum()
        name = f"{world.name} ({len(world.rows)} photos, {shown} + {empty} labels)"
        for way, (at, figures) in ways(world).items():
            reached.setdefault(way, []).append(astuple(figures))
            rows.append((name, way, *map(number, (at, *astuple(figures)))))
        fixed.append([astuple(Figures.of(world.similarities >= at, world.truth)) for at in TRIED])
    for way, numbers in reached.items():
        rows.append(("mean of these", way, "", *map(number, np.nanmean(numbers, axis=0))))
    means = np.nanmean(fixed, axis=0)
    best = int(means[:, 0].argmax())
    rows.append(("mean of these", "one threshold for all", *map(number, (TRIED[best], *means[best]))))
    return rows


def number(value: float) -> str:
    """Return a figure as text; nothing for NaN."""
    return "" if np.isnan(value) else f"{value:.3f}"


FIGURES = ("macro-F1", "precision", "recall", "micro-F1", "wrong", "tags")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, default=SHARED)
    parser.add_argument("--model", default="builtin", help="as `photoclip models list` names it")
    parser.add_argument("--section", choices=("first", "held out"), help="one set of lists only")
    parser.add_argument("--keep", type=Path, help="a folder for photos and libraries, to use them again")
    arguments = parser.parse_args()
    print(machine("numpy"))
    with tempfile.TemporaryDirectory() as temporary:
        place = arguments.keep or Path(temporary)
        try:
            sources = read(arguments.photos, place / "photos")
        except NoData as error:
            print(f"error: {error}; name a folder of labelled photos: --photos DIR", file=sys.stderr)
            return 2
        print(f"{arguments.model}, {sum(map(len, sources.values()))} photos: {', '.join(sources)}")
        for section in (arguments.section,) if arguments.section else ("first", "held out"):
            print(f"\n{section}")
            found = worlds(sources, place, section, arguments.model)
            table(("photos: list", "way", "at", *FIGURES), accuracy(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
