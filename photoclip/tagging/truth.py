"""What photos really show, as the user wrote it down: how right the tags are, and which thresholds would be
better.

Levels count on both sides, as they do for ``search --tag``: where a list holds ``Animals`` and
``Animals/Dog``, a photo that shows the second shows the first too, and one tagged with the second is tagged
with both.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from photoclip.errors import BadUsage
from photoclip.labels.words import Fault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from photoclip.records import TagSuggestion

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

FEWEST = 3
"""So many photos have to show a label, and so many not, for a threshold to be suggested."""

_FOLDS = 5
_DELIMITERS = ",;\t"
_HEADINGS = {"path": "path", "labels": "labels", "label": "labels"}
_COLUMNS = "the first line has to name the columns: path,labels"


class Truth(NamedTuple):
    """What photos show: by absolute path, the labels of the list ``names`` (none: none of these)."""

    names: tuple[str, ...]
    shown: Mapping[bytes, frozenset[str]]


class LabelVerdict(NamedTuple):
    """A label: how many photos show it, how many of these carry it, and how many others do (``wrong``)."""

    label: str
    shown: int
    right: int
    wrong: int

    @property
    def missed(self) -> int:
        """Photos that show the label and do not carry it."""
        return self.shown - self.right

    @property
    def precision(self) -> float | None:
        """The share of tags that are right; None without a tag."""
        return _share(self.right, self.right + self.wrong)

    @property
    def recall(self) -> float | None:
        """The share of the photos that show the label which carry it; None if no photo shows it."""
        return _share(self.right, self.shown)

    @property
    def f1(self) -> float | None:
        """Precision and recall in one, 2r / (2r + wrong + missed); None if no photo shows the label."""
        return _share(2 * self.right, self.right + self.wrong + self.shown) if self.shown else None


class Verdict(NamedTuple):
    """How right the tags are: ``labels`` in the order of the list, the number of ``photos`` they were judged
    on, and those photos of the truth that the library does not hold.

    A label that no photo shows can only be wrong: it has no F1 and no part in ``macro_f1``. Its tags count in
    what all labels reach ``together``, and in ``wrong_without``.
    """

    labels: tuple[LabelVerdict, ...]
    photos: int
    unknown: tuple[bytes, ...]

    @property
    def together(self) -> LabelVerdict:
        """All photos of all labels as one (micro-averaged)."""
        sums = (sum(numbers) for numbers in zip(*(label[1:] for label in self.labels), strict=True))
        return LabelVerdict("all labels", *sums)

    @property
    def macro_f1(self) -> float | None:
        """The mean F1 of the labels that some photo shows; None if there is none."""
        known = [label.f1 for label in self.labels if label.f1 is not None]
        return sum(known) / len(known) if known else None

    @property
    def wrong_without(self) -> int:
        """Tags of labels that no photo shows."""
        return sum(label.wrong for label in self.labels if not label.shown)


class Suggestion(NamedTuple):
    """A threshold that fits the truth better, F1 with the one in use, and F1 to be expected with it: measured
    on photos that had no say in it."""

    threshold: float
    f1_now: float
    f1_then: float


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


# -- reading --------------------------------------------------------------------------------------


def read_truth(text: str, source: str, folder: bytes, names: Sequence[str]) -> Truth:
    """Parse what photos show: a CSV with columns ``path`` and ``labels``, or JSON lines as ``tag`` writes.

    Paths are absolute, or relative to ``folder``. Labels, of the list ``names``, are joined by ``;``, ``|``
    or ``,``; none means: none of these. A photo may have several lines, whose labels add up. Case does not
    count, and the last level names a label where no other label ends so. Raises BadUsage, naming ``source``,
    the line and the reason, for anything else.
    """
    known = _Names(names)
    text = text.removeprefix("\ufeff")
    rows = _of_json(text, source) if text.lstrip().startswith("{") else _of_csv(text, source)
    shown: dict[bytes, frozenset[str]] = {}
    for line, path, labels in rows:
        try:
            place = _place(path, folder)
            said = frozenset(known.meant(label) for label in known.split(labels))
        except Fault as fault:
            raise fault.at(line).told(source, int) from None
        shown[place] = shown.get(place, frozenset()) | known.with_levels(said)
    if not shown:
        raise BadUsage(f"{source} names no photo", "write one photo a line: path,labels")
    return Truth(tuple(names), shown)


_Row = tuple[int, "str | bytes", "str | list[str]"]


def _of_csv(text: str, source: str) -> Iterator[_Row]:
    """Yield line, path and labels of each row."""
    delimiter = max(_DELIMITERS, key=re.split(r"[\r\n]", text, maxsplit=1)[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        header = [_HEADINGS.get(name.strip().casefold()) for name in next(reader, [])]
        if header.count("path") != 1 or header.count("labels") != 1:
            raise Fault(_COLUMNS)
        path, labels = header.index("path"), header.index("labels")
        while True:
            line = reader.line_num + 1
            row = next(reader, None)
            if row is None:
                return
            if not any(row):
                continue
            if len(row) != len(header):
                hint = "a value that holds the delimiter stands in double quotes"
                raise Fault(f"{len(row)} values, but {len(header)} columns", hint)
            yield line, row[path], row[labels]
    except Fault as fault:
        raise fault.at(line).told(source, int) from None
    except csv.Error as error:
        raise BadUsage(f"{source}, line {line}: not a row of a CSV file: {error}") from error


def _of_json(text: str, source: str) -> Iterator[_Row]:
    """Yield line, path and labels of each object."""
    for line, row in enumerate(text.split("\n"), start=1):
        if not row.strip():
            continue
        try:
            yield line, *_of_object(json.loads(row))
        except Fault as fault:
            raise fault.at(line).told(source, int) from None
        except (ValueError, RecursionError) as error:
            raise BadUsage(f"{source}, line {line}: not a JSON object") from error


def _of_object(row: Any) -> tuple[str | bytes, list[str]]:
    hint = 'write {"path": "a.jpg", "tags": [{"label": "dog"}]}'
    if not isinstance(row, dict):
        raise Fault("not an object", hint)
    path, tags = row.get("path"), row.get("tags", row.get("labels"))
    if "path_b64" in row:
        try:
            path = base64.b64decode(row["path_b64"], validate=True)
        except (TypeError, ValueError):
            raise Fault("path_b64 is not base64") from None
    if not isinstance(path, (str, bytes)):
        raise Fault("no path", hint)
    if not isinstance(tags, list):
        raise Fault("no list of tags", hint)
    labels = [tag.get("label") if isinstance(tag, dict) else tag for tag in tags]
    named = [label for label in labels if isinstance(label, str)]
    if len(named) < len(labels):
        raise Fault("a tag without a label", hint)
    return path, named


def _place(path: str | bytes, folder: bytes) -> bytes:
    if isinstance(path, str):
        try:
            path = path.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise Fault("the path is no text") from None
    if not path.strip():
        raise Fault("the path is empty")
    if b"\0" in path:
        raise Fault("a path may not hold a NUL character")
    return os.path.abspath(os.path.join(folder, path))


class _Names:
    """The labels of the list, and what may stand for them in a truth."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._by_name = {_folded(name): name for name in names}
        self._by_end: dict[str, list[str]] = {}
        for name in names:
            self._by_end.setdefault(_folded(name.rpartition("/")[2]), []).append(name)

    def split(self, labels: str | list[str]) -> Iterator[str]:
        """Yield the labels of a cell; one that holds a comma, or another mark, stays whole."""
        if isinstance(labels, list) or _folded(labels) in self._by_name:
            yield from [labels] if isinstance(labels, str) else labels
            return
        for part in re.split(r"[;|\n]", labels):
            whole = _folded(part) in self._by_name
            yield from filter(str.strip, [part] if whole else part.split(","))

    def meant(self, label: str) -> str:
        """Return the name of the label that is meant; raises Fault if none is, or several are."""
        # photoclip's own CSV has an apostrophe before what a spreadsheet would run as a formula.
        folds = [_folded(label), _folded(label.strip().removeprefix("'"))]
        for fold in folds:
            if fold in self._by_name:
                return self._by_name[fold]
        for fold in folds:
            ends = self._by_end.get(fold, [])
            if len(ends) > 1:
                raise Fault(f"{label.strip()!r} may be {' or '.join(ends)}", "write the whole label")
            if ends:
                return ends[0]
        raise Fault(f"{label.strip()!r} is no label of the list", self._nearest(folds[0]))

    def _nearest(self, fold: str) -> str:
        spelled = {**{end: names[0] for end, names in self._by_end.items()}, **self._by_name}
        close = get_close_matches(fold, spelled, 1)
        return f"did you mean {spelled[close[0]]!r}?" if close else ""

    def with_levels(self, labels: Iterable[str]) -> frozenset[str]:
        """Return the labels, and those of the list that are levels above them."""
        found = set(labels)
        for label in tuple(found):
            parts = _folded(label).split("/")
            above = ("/".join(parts[:end]) for end in range(1, len(parts)))
            found.update(self._by_name[one] for one in above if one in self._by_name)
        return frozenset(found)


def _folded(text: str) -> str:
    levels = unicodedata.normalize("NFC", " ".join(text.split())).casefold().split("/")
    return "/".join(level.strip() for level in levels)


# -- judging --------------------------------------------------------------------------------------


def judge(truth: Truth, decided: Mapping[bytes, Sequence[TagSuggestion]]) -> Verdict:
    """Compare tags with the truth. ``decided`` holds every photo of the library by path, tagged or not."""
    known = _Names(truth.names)
    counts = {name: [0, 0, 0] for name in truth.names}
    unknown = []
    for path, shown in truth.shown.items():
        if path not in decided:
            unknown.append(path)
            continue
        tagged = known.with_levels(tag.label for tag in decided[path] if tag.label in counts)
        for place, labels in enumerate((shown, shown & tagged, tagged - shown)):
            for label in labels:
                counts[label][place] += 1
    verdicts = tuple(LabelVerdict(name, *numbers) for name, numbers in counts.items())
    return Verdict(verdicts, len(truth.shown) - len(unknown), tuple(unknown))


# -- better thresholds ----------------------------------------------------------------------------


def suggest(
    truth: Truth, probabilities: Mapping[bytes, Mapping[str, float]], now: Mapping[str, float]
) -> dict[str, Suggestion]:
    """Return better thresholds, by label, for labels that have one.

    ``probabilities``: of every label, by path; ``now``: the thresholds in use. A threshold is changed only
    where F1 rises on photos that were left out when it was chosen (cross-validation), and no further than is
    sure: see ``_chosen``. Every label is looked at alone: groups do not count.
    """
    import numpy as np

    # By path: neighbours, which may be alike, are left out together.
    paths = sorted(path for path in truth.shown if path in probabilities)
    found = {}
    for name in truth.names:
        shows = np.array([name in truth.shown[path] for path in paths], bool)
        if min(shows.sum(), (~shows).sum()) >= FEWEST:
            values = np.array([probabilities[path][name] for path in paths], np.float64)
            suggestion = _suggestion(values, shows, now[name])
            if suggestion is not None:
                found[name] = suggestion
    return found


def _suggestion(values: Floats, shows: Bools, now: float) -> Suggestion | None:
    threshold = _chosen(values, shows, now)
    if threshold == now:
        return None
    f1_now = _f1(values >= now, shows)
    f1_then = _f1(_left_out(values, shows, now), shows)
    return Suggestion(threshold, f1_now, f1_then) if f1_then > f1_now else None


def _left_out(values: Floats, shows: Bools, now: float) -> Bools:
    """Decide about each part of the photos with the threshold that the others would have chosen."""
    import numpy as np

    fold = np.empty(len(shows), np.intp)
    for kind in (shows, ~shows):
        count = int(kind.sum())
        fold[kind] = np.arange(count) * min(_FOLDS, count) // count
    tagged = np.empty(len(shows), bool)
    for number in range(_FOLDS):
        out = fold == number
        tagged[out] = values[out] >= _chosen(values[~out], shows[~out], now)
    return tagged


def _chosen(values: Floats, shows: Bools, now: float) -> float:
    """Return the threshold for photos with these probabilities, of which some show the label.

    Of the thresholds that reach as much as the best, but for what a single photo decides, those around the
    one nearest to ``now``, and of these the middle: the fewer photos show the label, the less is sure, and
    the less it moves. (Breiman et al. 1984 do so with one standard error.)
    """
    import numpy as np

    steps, place = np.unique(values, return_inverse=True)
    right = np.bincount(place, shows, len(steps))[::-1].cumsum()[::-1]
    tagged = np.bincount(place, minlength=len(steps))[::-1].cumsum()[::-1]
    f1 = 2 * right / (tagged + shows.sum())  # with steps[i] as threshold
    good = f1 >= f1.max() - 1 / shows.sum()
    below = np.concatenate([[0.0], steps[:-1]])  # any threshold above it, up to steps[i], decides alike
    away = np.where(good, np.abs(np.clip(now, below, steps) - now), np.inf)
    first = last = int(away.argmin())
    if below[first] < now <= steps[last]:
        return now
    while first and good[first - 1]:
        first -= 1
    while last + 1 < len(good) and good[last + 1]:
        last += 1
    return _short(float(below[first]), float(steps[last]))


def _short(low: float, high: float) -> float:
    """Return a number from the middle half between ``low`` and ``high``, with few decimals."""
    middle, near = (low + high) / 2, (high - low) / 4
    rounded = (round(middle, digits) for digits in range(1, 17))
    return next((one for one in rounded if abs(one - middle) <= near), middle)


def _f1(tagged: Bools, shows: Bools) -> float:
    return float(2 * (tagged & shows).sum() / max(tagged.sum() + shows.sum(), 1))
