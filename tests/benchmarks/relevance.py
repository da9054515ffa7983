"""Where relevance ends, on labelled photos: ``python -m tests.benchmarks.relevance --photos DIR``.

``DIR`` holds shards with rows for judging and, in ``sample``, photos with a table (see
``photoclip/training/datasets.py``); without ``--photos``, ``shared/photos`` beside the checkout. Every source
becomes a library of its own, and all of them together one more. ``relevance.txt`` says what is asked and
which photos answer: the rule was made with the sections "first", "second" and "last". Held out were the words
that the judge of models asks Flickr8k for, the tags of the sample, and the last list of what is nowhere.

photoclip's answer is that of ``search --relevant``, for the whole library. Beside it stands the best that any
fixed similarity could do, chosen with hindsight: for macro-F1; for macro-F1 among those that return nothing
for as many queries without an answer as photoclip does; and for all queries, where returning nothing for a
query without an answer counts 1, and returning anything 0. "Line per query" is the most that a similarity
chosen for each query, with hindsight, could reach. Queries with fewer than five answers (three, in a source
of its own) are left out. Then: example pictures as queries, and whether averaged prompts find more.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photoclip import Library
from photoclip.indexing import IndexOptions
from photoclip.searching.relevance import Relevance, neutral_words
from photoclip.tagging import PROMPTS
from photoclip.training import datasets
from photoclip.training.datasets import NoData, Picture
from photoclip.training.judge import KEYWORDS
from tests.benchmarks.report import machine, table

SHARED = Path(__file__).resolve().parents[3] / "shared" / "photos"
QUERIES = Path(__file__).with_suffix(".txt")
SECTIONS = ("first", "second", "last")
SHOWS, LACKS = 1, -1  # 0: left open
EXAMPLES = 60

Floats = NDArray[np.floating[Any]]
Truth = NDArray[np.int8]


@dataclass(frozen=True)
class Asked:
    """A query, and what tells its answers (see relevance.txt)."""

    text: str
    words: tuple[frozenset[str], ...] = ()
    labels: frozenset[str] = frozenset()
    open_words: frozenset[str] = frozenset()
    open_labels: frozenset[str] = frozenset()

    @classmethod
    def of(cls, line: str) -> Asked:
        """Parse a line of relevance.txt."""
        text, words, labels, open_words, open_labels = (
            [part.strip() for part in line.split("|")] + [""] * 4
        )[:5]
        groups = tuple(frozenset(group.split()) for group in words.split("&") if group.strip())
        return cls(text, groups, _names(labels), frozenset(open_words.split()), _names(open_labels))

    def truth(self, source: str, picture: Picture) -> int:
        """Return SHOWS, LACKS or 0."""
        if not self.words and not self.labels:
            return LACKS
        if picture.label:
            named = picture.label in self.labels
            return SHOWS if named else 0 if {picture.label, source} & self.open_labels else LACKS
        if source in self.open_labels:
            return 0
        captions = [frozenset(re.findall(r"[a-z-]+", text)) for text in _texts(picture)]
        holding = sum(
            bool(self.words) and all(group & caption for group in self.words) for caption in captions
        )
        if holding >= min(2, len(picture.captions)):
            return SHOWS
        said = frozenset().union(*captions)
        mentioned = bool(self.words) and all(group & said for group in self.words)
        return 0 if mentioned or said & self.open_words else LACKS


def _names(part: str) -> frozenset[str]:
    return frozenset(name.strip() for name in part.split(",") if name.strip())


def _texts(picture: Picture) -> tuple[str, ...]:
    """Return the captions; the tags of a photo are one more."""
    return (*picture.captions, " ".join(picture.tags)) if picture.tags else picture.captions


def sections() -> dict[str, list[Asked]]:
    """Return the queries of relevance.txt by section."""
    found: dict[str, list[Asked]] = {}
    for line in QUERIES.read_text("utf-8").splitlines():
        if line.startswith("["):
            current = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            current.append(Asked.of(line))
    return found


@dataclass(frozen=True)
class Judged:
    """What a library answered to (q,) queries about its (n,) photos, and what would have been right."""

    similarities: Floats
    margins: Floats
    truth: Truth


class World:
    """A library of pictures, and the truth about each of its photos."""

    def __init__(self, library: Library, pictures: dict[bytes, tuple[str, Picture]]) -> None:
        self.inner = library.inner
        self.model = self.inner.model()
        found = sorted((content, photo.path) for content, photo in self.inner.store.photos())
        self.ids = np.array([content for content, _ in found], np.int64)
        self.pictures = [pictures[path] for _, path in found]
        self.rows = self.inner.matrix(self.model).rows_of(self.ids)
        self.words = neutral_words(self.inner, self.model)

    def judge(self, queries: Sequence[Asked]) -> Judged:
        """Ask all queries."""
        texts = self.inner.embed_texts(self.model, [asked.text for asked in queries])
        margins = [Relevance.of(self.inner, self.model, text, self.words).margins(self.ids) for text in texts]
        truth = [[asked.truth(*picture) for picture in self.pictures] for asked in queries]
        return Judged(texts @ self.rows.T, np.array(margins), np.array(truth, np.int8))

    def judge_examples(self) -> Judged:
        """Ask with labelled photos of the library: what has the same label answers."""
        labels = np.array([picture.label for _, picture in self.pictures])
        labelled = np.flatnonzero(labels != "")
        chosen = labelled[np.linspace(0, len(labelled) - 1, EXAMPLES).astype(int)]
        margins = [
            Relevance.of(self.inner, self.model, self.rows[one], self.words, 1.0).margins(self.ids)
            for one in chosen
        ]
        truth = np.where(labels[chosen, None] == labels, SHOWS, LACKS).astype(np.int8)
        truth[:, labels == ""] = 0
        truth[np.arange(len(chosen)), chosen] = 0
        return Judged(self.rows[chosen] @ self.rows.T, np.array(margins), truth)


@dataclass(frozen=True)
class Figures:
    """Means over queries: of those with an answer, F1, precision and recall; of those without, the share for
    which nothing was returned; of all, F1."""

    f1: float
    precision: float
    recall: float
    nothing: float
    overall: float

    @classmethod
    def of(cls, returned: NDArray[np.bool_], truth: Truth, least: int) -> Figures:
        """Compare what was returned, (q, n), with the truth; queries with too few answers drop out."""
        right = (returned & (truth == SHOWS)).sum(1)
        wrong = (returned & (truth == LACKS)).sum(1)
        answers = (truth == SHOWS).sum(1)
        asked, without = answers >= least, np.asarray((truth == LACKS).all(1))
        f1 = (2 * right / np.maximum(right + wrong + answers, 1))[asked]
        empty = ~np.asarray(returned.any(1))[without]
        return cls(
            f1.mean(),
            (right / np.maximum(right + wrong, 1))[asked].mean(),
            (right / np.maximum(answers, 1))[asked].mean(),
            empty.mean() if len(empty) else np.nan,
            np.concatenate([f1, empty]).mean(),
        )


Goal = Callable[[Figures], float]


def best_fixed(judged: Judged, least: int, goal: Goal) -> tuple[float, Figures]:
    """Return the similarity that reaches most as a threshold, and what it reaches."""
    tried = np.arange(judged.similarities.min(), judged.similarities.max(), 0.005)
    figures = [(float(at), Figures.of(judged.similarities >= at, judged.truth, least)) for at in tried]
    return max(figures, key=lambda one: goal(one[1]))


def best_lines(judged: Judged) -> NDArray[np.bool_]:
    """Return what would be returned, (q, n), if each query had the similarity that suits it best."""
    returned = np.zeros(judged.truth.shape, bool)
    for query, (similarities, truth) in enumerate(zip(judged.similarities, judged.truth, strict=True)):
        order = np.argsort(-np.where(truth == 0, -np.inf, similarities), kind="stable")[: (truth != 0).sum()]
        right = (truth[order] == SHOWS).cumsum()
        if len(right) and right[-1]:
            end = int((right / (np.arange(1, len(order) + 1) + right[-1])).argmax())
            returned[query, order[: end + 1]] = True
    return returned


def compare(name: str, judged: Judged, least: int, rows: list[tuple[str, ...]]) -> None:
    """Add a line for photoclip and one for each of the best fixed similarities."""
    ours = Figures.of(judged.margins >= 0, judged.truth, least)
    ways: dict[str, tuple[float, Figures]] = {
        "--relevant": (np.nan, ours),
        "best fixed": best_fixed(judged, least, lambda one: one.f1),
    }
    if not np.isnan(ours.nothing):
        ways["fixed, as often nothing"] = best_fixed(
            judged, least, lambda one: one.f1 if one.nothing >= ours.nothing else -1
        )
        ways["fixed, best for all"] = best_fixed(judged, least, lambda one: one.overall)
    ways["line per query"] = (np.nan, Figures.of(best_lines(judged), judged.truth, least))
    asked, without = ((judged.truth == SHOWS).sum(1) >= least).sum(), (judged.truth == LACKS).all(1).sum()
    for way, (at, figures) in ways.items():
        numbers = (figures.f1, figures.precision, figures.recall, figures.nothing, figures.overall)
        shown = ("" if np.isnan(number) else f"{number:.3f}" for number in numbers)
        place = "" if np.isnan(at) else f"{at:.2f}"
        rows.append((f"{name} ({asked} + {without})", way, place, *shown))


def held_out(source: str, pictures: Sequence[Picture]) -> list[Asked]:
    """Return queries that nobody chose for this: the judge's words, or the tags of the photos."""
    if source == "flickr8k":
        return [Asked(word, (frozenset({word, f"{word}s", f"{word}es"}),)) for word in KEYWORDS]
    tags = sorted({tag for picture in pictures for tag in picture.tags})
    return [Asked(tag, tuple(frozenset({word}) for word in tag.split())) for tag in tags]


def prompts(world: World, queries: Sequence[Asked], least: int) -> list[tuple[str, ...]]:
    """Return how well words alone and words in prompts, averaged, find photos."""
    truth = np.array([[asked.truth(*picture) for picture in world.pictures] for asked in queries], np.int8)
    kept = (truth == SHOWS).sum(1) >= least
    rows = []
    for name, templates in (("the words alone", ("{}",)), (f"{len(PROMPTS)} prompts, averaged", PROMPTS)):
        texts = [template.format(asked.text) for asked in queries for template in templates]
        vectors = (
            world.inner.embed_texts(world.model, texts).reshape(len(queries), len(templates), -1).mean(1)
        )
        similarities = vectors @ world.rows.T
        found = [_found(*pair) for pair in zip(similarities[kept], truth[kept], strict=True)]
        means = np.mean(found, axis=0)
        rows.append((f"{name} ({kept.sum()} queries)", *(f"{mean:.3f}" for mean in means)))
    return rows


def _found(similarities: Floats, truth: Truth) -> tuple[float, float]:
    """Return the precision of the first five and the average precision, of the photos that count."""
    ranked = truth[truth != 0][np.argsort(-similarities[truth != 0], kind="stable")] == SHOWS
    return ranked[:5].mean(), float(
        (ranked * ranked.cumsum() / np.arange(1, len(ranked) + 1)).sum() / ranked.sum()
    )


def read(folder: Path, scratch: Path) -> dict[str, list[Picture]]:
    """Return the pictures by source: those of the shards that are for judging, and the sample."""
    folder = folder.resolve()  # libraries know absolute paths
    folders = [folder] + ([folder / "sample"] if (folder / "sample").is_dir() else [])
    return {one.name: list(one.pictures) for place in folders for one in datasets.read(place, "dev", scratch)}


def build(place: Path, sources: dict[str, list[Picture]], model: str) -> World:
    """Index the pictures of some sources into a library at ``place``."""
    pictures = {os.fsencode(one.path): (source, one) for source, ones in sources.items() for one in ones}
    library = Library.open_or_create(place)
    library.index([], IndexOptions(model=model), listed=list(pictures))
    return World(library, pictures)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, default=SHARED)
    parser.add_argument("--model", default="builtin", help="as `photoclip models list` names it")
    arguments = parser.parse_args()
    print(machine("numpy"))
    rows: list[tuple[str, ...]] = []
    examples: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as temporary:
        try:
            sources = read(arguments.photos, Path(temporary))
        except NoData as error:
            print(f"error: {error}; name a folder of labelled photos: --photos DIR", file=sys.stderr)
            return 2
        asked = sections()
        together = build(Path(temporary, "all.library"), sources, arguments.model)
        print(f"{arguments.model}, {len(together.ids)} photos: {', '.join(sources)}")
        every = [
            query for section, queries in asked.items() if "held out" not in section for query in queries
        ]
        compare("all three, all", together.judge(every), 5, rows)
        for section in SECTIONS:
            queries = asked[section] + asked[f"{section}, nothing"]
            compare(f"{section}, all", together.judge(queries), 5, rows)
        compare("photos of all", together.judge_examples(), 5, examples)
        found = prompts(together, asked["first"] + asked["second"] + asked["last"], 5)
        for source, pictures in sources.items():
            if len({picture.label for picture in pictures}) == 2:
                continue  # cats or dogs: nothing to choose from
            world = build(Path(temporary, f"{source}.library"), {source: pictures}, arguments.model)
            for section in SECTIONS:
                judged = world.judge(asked[section] + asked[f"{section}, nothing"])
                compare(f"{section}, {source}", judged, 3, rows)
            if words := held_out(source, pictures):
                judged = world.judge(words + asked["held out, nothing"])
                compare(f"held out, {source}", judged, 3, rows)
            if any(picture.label for picture in pictures):
                compare(f"photos of {source}", world.judge_examples(), 3, examples)
    titles = ("library (queries with + without an answer)", "what ends the list", "at")
    figures = ("macro-F1", "precision", "recall", "rightly nothing", "F1 of all")
    table((*titles, *figures), rows)
    print()
    table((*titles, *figures), examples)
    print()
    table(("what is asked", "P@5", "mAP"), found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
