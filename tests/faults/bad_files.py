"""A folder of bad and odd files, with good photos among them."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from photoclip import Library
from photoclip.encoders.fake import FakeEncoder
from photoclip.images import DecodePool
from photoclip.records import DecodedPhoto, Photo, Problem
from photoclip.scan import scan_file
from tests.faults import corpus, measured
from tests.faults.fault import Outcome, Scale, fault
from tests.faults.specimens import Specimen
from tests.pictures import paint_many

_ONE_IN = 10
_GOOD = 30
_SHARE = 0.99
_SECONDS = 12.0  # ten for the file, the rest for the worker that comes after one that was killed
_BYTES = 1.5e9
_WHOLE_BYTES = 50_000_000
_GHOSTSCRIPT = "#!/bin/sh\ntouch '{}'\nexit 1\n"


@fault(28, "a large set of bad files")
def bad_files(place: Path, scale: Scale) -> Outcome:
    """Index the corpus; judge every file, the totals, the talk, the time and the memory."""
    outcome = Outcome()
    for number in range(scale.rounds(1, 3)):
        folder = place / str(number)
        good = paint_many(folder / "photos", _GOOD)
        specimens = corpus.make(folder / "photos", scale.seed + number)
        if not scale.long:
            specimens = _some(specimens, scale.seed)
        _Round(folder, specimens, good, outcome).judge()
    return outcome


def _some(specimens: list[Specimen], seed: int) -> list[Specimen]:
    """Keep one in ten, of every kind because they lie side by side, and remove the files of the others."""
    chosen = []
    for number, specimen in enumerate(specimens):
        if number % _ONE_IN == seed % _ONE_IN and not specimen.slow:
            chosen.append(specimen)
        elif os.path.isdir(specimen.path) and not os.path.islink(specimen.path):
            os.rmdir(specimen.path)
        else:
            os.unlink(specimen.path)
    return chosen


@dataclass(frozen=True)
class _Round:
    """One corpus, indexed twice."""

    place: Path
    specimens: list[Specimen]
    good: list[Path]
    outcome: Outcome

    def judge(self) -> None:
        """Index and put on record what was wrong."""
        photos, library = self.place / "photos", self.place / "library"
        before = _seals(photos)
        first = self._index(library, photos)
        with Library.open(library) as opened:
            known = {photo.path: photo for photo in opened.photos()}
            problems = {problem.path: problem for problem in opened.problems()}
            answers = opened.search("red", limit=10 * len(self.specimens))
            self._require([hit.photo.path for hit in answers if hit.photo.path not in known] == []
                          and len(answers) == len(known),
                          "a search does not find every photo once")  # fmt: skip
        self._judge_totals(first, known, problems, photos)
        self._judge_each(known, problems)
        again = self._index(library, photos)
        self._require("reading" not in again.talk, f"the second run reads again: {again.talk[:200]}")
        same = {
            "unchanged": len(known),
            "unreadable": len(problems),
            "skipped": first.counts["skipped"],
            "embedded": 0,
        }
        self._require(
            {name: again.counts[name] for name in same} == same, f"the second run counts {again.counts}"
        )
        measured.finish(self.outcome, library)
        after = _seals(photos)
        self.outcome.faults += [f"{path!r} was changed" for path in before if before[path] != after.get(path)]

    def _require(self, right: bool, otherwise: str) -> None:
        self.outcome.require(right, otherwise)

    def _index(self, library: Path, photos: Path) -> measured.Run:
        """Index where a Ghostscript waits to be started."""
        programs, started = self.place / "programs", self.place / "started"
        programs.mkdir(exist_ok=True)
        (programs / "gs").write_text(_GHOSTSCRIPT.format(started))
        (programs / "gs").chmod(0o755)
        path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
        run = measured.index(library, photos, "-j", "2", cwd=programs, PATH=path)
        self.outcome.faults += run.faults()
        self._require(run.peak <= _BYTES, f"a process took {run.peak / 1e6:.0f} MB")
        self._require(not started.exists(), "another program was started")
        self._require(os.listdir(programs) == ["gs"], "a file wrote a file")
        return run

    def _judge_totals(
        self, run: measured.Run, known: dict[bytes, Photo], problems: dict[bytes, Problem], photos: Path
    ) -> None:
        files = [
            entry.path for entry in os.scandir(os.fsencode(photos)) if entry.is_file(follow_symlinks=False)
        ]
        left = [path for path in files if path not in known and path not in problems]
        both = known.keys() & problems.keys()
        counts = run.counts
        self._require(not both, f"both a photo and a problem: {both}")
        self._require(counts["added"] == len(known), f"{counts['added']} added, {len(known)} there")
        self._require(
            counts["unreadable"] == len(problems), f"{counts['unreadable']} unreadable, {len(problems)} there"
        )
        self._require(counts["skipped"] == len(left), f"{counts['skipped']} skipped, {len(left)} left out")
        lost = [path for path in self.good if os.fsencode(path) not in known]
        self._require(not lost, f"good photos are not there: {lost}")

    def _judge_each(self, known: dict[bytes, Photo], problems: dict[bytes, Problem]) -> None:
        pictures = self._decode()
        wrong = []
        for one in self.specimens:
            self.outcome.rounds += 1
            problem = problems.get(one.path)
            came = "photo" if one.path in known else problem.kind if problem else "skipped"
            self.outcome.count(came)
            text = f"{os.path.basename(one.path)[:90]!r} is {came}{f' ({problem.reason})' if problem else ''}"
            if came not in one.right:
                wrong.append(f"{text}, not {' or '.join(sorted(one.right))}")
            elif one.path in known and not os.path.islink(one.path):
                how = _differences(one, known[one.path], pictures.get(known[one.path].content_hash))
                wrong += [f"{text} {' and '.join(how)}"] if how else []
        if len(wrong) > (1 - _SHARE) * len(self.specimens):
            self.outcome.faults += wrong
        else:
            for text in wrong:
                self.outcome.count(f"not right ({text})")

    def _decode(self) -> dict[bytes, DecodedPhoto]:
        """Decode one file after the other, with a watch in hand."""
        pictures = {}
        files = [scan_file(one.path) for one in self.specimens if not os.path.islink(one.path)]
        tasks = [file for file in files if file is not None]
        with DecodePool(1, FakeEncoder().card.preprocessing) as pool:
            began = time.monotonic()
            for file, came in pool.run(tasks):
                seconds, began = time.monotonic() - began, time.monotonic()
                self._require(seconds <= _SECONDS, f"{file.path!r} took {seconds:.1f} s")
                if isinstance(came, DecodedPhoto):
                    pictures[came.content_hash] = came
        return pictures


def _differences(one: Specimen, photo: Photo, picture: DecodedPhoto | None) -> list[str]:
    """Return how a photo differs from what a person would see."""
    if one.seen is None:
        return []
    size = photo.facts.width, photo.facts.height
    wrong = [] if size == (one.seen.width, one.seen.height) else [f"of {size[0]} x {size[1]} pixels"]
    if picture is None:
        return [*wrong, "that cannot be decoded a second time"]
    side = FakeEncoder().card.preprocessing.size
    pixels = np.frombuffer(picture.pixels, np.uint8).reshape(side, side, 3)
    half, edge = side // 2, side // 8
    for place, colour in enumerate(one.seen.quarters):
        top, left = place // 2 * half + edge, place % 2 * half + edge
        mean = pixels[top : top + half - 2 * edge, left : left + half - 2 * edge].mean(axis=(0, 1))
        if np.abs(mean - colour).max() > one.seen.within:
            found = ", ".join(f"{value:.0f}" for value in mean)
            wrong.append(f"whose quarter {place + 1} is ({found}), not {colour}")
    return wrong


def _seals(folder: Path) -> dict[bytes, tuple[object, ...]]:
    """Return what must not change of the files in a folder (of a file of gigabytes, not the bytes)."""
    found: dict[bytes, tuple[object, ...]] = {}
    for entry in os.scandir(os.fsencode(folder)):
        status = entry.stat(follow_symlinks=False)
        digest = b""
        if stat.S_ISREG(status.st_mode) and status.st_size < _WHOLE_BYTES and os.access(entry.path, os.R_OK):
            digest = hashlib.sha256(Path(os.fsdecode(entry.path)).read_bytes()).digest()
        found[entry.path] = (
            digest,
            status.st_mode,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_ino,
        )
    return found
