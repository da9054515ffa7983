"""Suggested thresholds and starter lists: ``python -m tests.benchmarks.tagproof --photos DIR``.

The photos and lists of ``tests.benchmarks.tagging``. What ``photoclip tag --check`` suggests from a half of
the photos is judged on the other half. The starter lists are judged where captions and labels tell: for the
others it says only which photos carry them. No photo here shows an identity paper or a bank card, so how many
of these ``builtin:screening`` would find is not known; how often it gives a false alarm is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from photoclip.labels import open_labels, starter_lists
from photoclip.tagging import CERTAIN
from photoclip.tagging.truth import FEWEST, suggest
from photoclip.tagging.truth import Truth as TruthFile
from photoclip.training.datasets import NoData, Picture
from tests.benchmarks.relevance import LACKS, SHARED, SHOWS, Asked, read
from tests.benchmarks.report import machine, table
from tests.benchmarks.tagging import LEAST, Bools, Figures, Truth, World, lists, number, photos_of, worlds

DRAWS = 6
PROMISED = ("before", "as promised", "others, before", "others, then", "got worse")
COUNTS = ("photos", "right", "wrong", "missed", "precision", "recall")


@dataclass(frozen=True)
class Promise:
    """A suggested threshold: F1 on its photos, before it and, as promised, then; and on others."""

    shown: int
    f1_now: float
    f1_then: float
    others_now: float
    others_then: float


def promises(world: World) -> tuple[int, list[Promise]]:
    """Return of how many labels thresholds were asked for, and what was suggested: from a half of the photos,
    drawn anew several times, judged on the other half."""
    values, shows, random = world.probabilities(minimum=0.0), world.truth == SHOWS, np.random.default_rng(0)
    asked, found = 0, []
    for _ in range(DRAWS):
        half = random.permutation(len(values)) % 2 == 0
        for column, label in enumerate(world.labels):
            known = world.truth[:, column] != 0
            here, there = np.flatnonzero(known & half), np.flatnonzero(known & ~half)
            shown = int(shows[here, column].sum())
            if shown < FEWEST or shows[there, column].sum() < LEAST:
                continue
            asked += 1
            paths = [world.photos.paths[one] for one in here]
            told = {
                path: frozenset([label] if shows[one, column] else ())
                for path, one in zip(paths, here, strict=True)
            }
            sure = {path: {label: values[one, column]} for path, one in zip(paths, here, strict=True)}
            for made in suggest(TruthFile((label,), told), sure, {label: CERTAIN}).values():
                others = (
                    _f1(values[there, column] >= at, shows[there, column]) for at in (CERTAIN, made.threshold)
                )
                found.append(Promise(shown, made.f1_now, made.f1_then, *others))
    return asked, found


def _f1(tagged: Bools, shows: Bools) -> float:
    return float(2 * (tagged & shows).sum() / max(tagged.sum() + shows.sum(), 1))


def kept_promises(found: Iterable[World]) -> list[tuple[str, ...]]:
    """Return lines for a table: how suggested thresholds fare on photos they do not come from."""
    each = [promises(world) for world in found]
    asked, made = sum(count for count, _ in each), [one for _, some in each for one in some]
    rows = []
    for low, high, name in ((FEWEST, 7, f"{FEWEST} to 7"), (8, 15, "8 to 15"), (16, 10**9, "16 and more")):
        few = [one for one in made if low <= one.shown <= high]
        if few:
            means = np.mean([astuple(one)[1:] for one in few], axis=0)
            worse = float(np.mean([one.others_then < one.others_now for one in few]))
            rows.append((name, f"{len(few)} of {asked}", *map(number, (*means, worse))))
    return rows


def starters(
    sources: dict[str, list[Picture]], place: Path, model: str
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Return lines for two tables: the starter lists on all photos, and their labels that can be judged.

    Photos with a label show a scene, a room, a garment or a pet, and nothing that should not be shared.
    """
    photos = photos_of(place / "everything.library", sources, model)
    labelled = np.array([bool(picture.label) for _, picture in photos.pictures])
    asked, per_list, per_label = lists(), [], []
    for name in starter_lists():
        labels = open_labels(f"builtin:{name}")
        judged = {one.text: one for one in asked[f"starters, {name}"]}
        world = World.of(name, photos, [judged.get(label, Asked(label)) for label in labels.names])
        tagged = world.decide(labels)
        known = np.array([label in judged for label in labels.names])
        figures = Figures.of(tagged[:, known], world.truth[:, known]) if judged else None
        numbers = (figures.f1, figures.precision, figures.recall) if figures else (np.nan,) * 3
        flagged = (tagged[:, ~known][labelled].any(1).mean(), tagged[:, ~known][~labelled].any(1).mean())
        counts = (str(len(labels.names)), str(len(judged)))
        per_list.append((name, *counts, *map(number, (*numbers, *flagged))))
        per_label += [
            _label_row(label, tagged[:, place], world.truth[:, place], labelled, label in judged)
            for place, label in enumerate(labels.names)
            if label in judged or name == "screening"
        ]
    return per_list, per_label


def _label_row(label: str, tagged: Bools, truth: Truth, labelled: Bools, is_judged: bool) -> tuple[str, ...]:
    """Return a line: how right the tags are, or, where nobody knows, which photos carry them."""
    if not is_judged:
        return (label, "", "", "", "", "", "", f"{tagged[labelled].sum()}", f"{tagged[~labelled].sum()}")
    shown, right, wrong = (
        int(x.sum()) for x in (truth == SHOWS, tagged & (truth == SHOWS), tagged & (truth == LACKS))
    )
    shares = (right / (right + wrong) if right + wrong else np.nan, right / shown if shown else np.nan)
    return (label, str(shown), str(right), str(wrong), str(shown - right), *map(number, shares), "", "")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, default=SHARED)
    parser.add_argument("--model", default="builtin", help="as `photoclip models list` names it")
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
        for section in ("first", "held out"):
            print(f"\nsuggested thresholds, {section}: F1")
            found = worlds(sources, place, section, arguments.model)
            table(("photos that show the label", "suggested", *PROMISED), kept_promises(found))
        per_list, per_label = starters(sources, place, arguments.model)
        print("\nstarter lists: labels that can be judged, and the share of photos with any of the others")
        means = ("macro-F1", "precision", "recall")
        table(("list", "labels", "judged", *means, "labelled photos", "with captions"), per_list)
        print()
        table(("label", *COUNTS, "labelled photos", "with captions"), per_label)
    return 0


if __name__ == "__main__":
    sys.exit(main())
