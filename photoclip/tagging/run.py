"""A run of tag: what is decided anew, what stands, and what is kept.

A list of labels is calibrated on the library once. From then on only photos that are new to it are decided
about, so that a second run changes nothing. When the library has doubled since, and grown by a hundred
photos, the list is calibrated anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from photoclip.examples import example_hash
from photoclip.records import Photo, PhotoTags, TagSuggestion
from photoclip.tagging.deciding import (
    CERTAIN,
    DIGITS,
    LEAST,
    Calibration,
    Found,
    Judge,
    blocks_of,
    least_evidence,
    probabilities,
)
from photoclip.tagging.wording import sides_of

if TYPE_CHECKING:
    from photoclip.encoders import Float32
    from photoclip.labels import LabelList
    from photoclip.library import OpenLibrary
    from photoclip.tagging.deciding import Int64

_RULE = "1"  # goes up with every change of what is decided: stored decisions are then made anew
_GROWTH, _GROWTH_LEAST = 2, 100
_ROUNDING = 1e-6
_AT_ONCE = 8192  # photos whose pairs with labels are held at once, where these may be all there are

Decided = dict[int, tuple[TagSuggestion, ...]]


class Tagging(NamedTuple):
    """What a run of tag came to: ``photos`` with their tags, by path; how many contents were ``scored``, and
    on how many of them tags ``changed``."""

    photos: list[PhotoTags]
    scored: int
    changed: int

    @property
    def tagged(self) -> int:
        """How many of the photos carry a tag."""
        return sum(bool(photo.tags) for photo in self.photos)


def tag(
    library: OpenLibrary,
    labels: LabelList,
    *,
    among: frozenset[bytes] | None = None,
    keep: bool = True,
    minimum: float | None = None,
    top: int | None = None,
    device: str = "auto",
) -> Tagging:
    """Decide which labels fit which photos, keep the decisions, and return every photo with its tags.

    ``minimum`` is the least probability of a label without one of its own (None: CERTAIN); ``top``: no more
    tags than this for a photo. With ``keep`` False nothing is stored. Tags come the most probable first.

    Raises UnreadableQuery for an example picture that is none, LibraryLocked when somebody else writes.
    """
    run = Run(library, labels, minimum, top, device)
    photos = [
        (content_id, photo)
        for content_id, photo in library.store.photos()
        if among is None or photo.path in among
    ]
    return run.over(photos, keep=keep)


class _Kept(NamedTuple):
    """What the library keeps of a list."""

    id: int
    calibration: Calibration


class Run:
    """One run, for one list of labels."""

    def __init__(
        self, library: OpenLibrary, labels: LabelList, minimum: float | None, top: int | None, device: str
    ) -> None:
        minimum = CERTAIN if minimum is None else minimum
        self.library = library
        self.labels = labels
        self.model = library.model()
        self.matrix = library.matrix(self.model)
        self.thresholds = np.array(
            [minimum if label.threshold is None else label.threshold for label in labels.labels], np.float64
        )
        self._top = top
        self._device = device
        self._hash = _hash(library, labels, minimum, top)
        self._groups = _groups(labels)

    @cached_property
    def judge(self) -> Judge:
        """What weighs the labels; made when there is something to weigh."""
        sides = sides_of(self.library, self.model, self.labels, self._device)
        return Judge(sides, self.model.card.logit_scale)

    def over(self, photos: Sequence[tuple[int, Photo]], *, keep: bool) -> Tagging:
        """Return ``photos``, given with the ids of their contents, with the tags they have, or get now."""
        ids = np.unique(np.array([content_id for content_id, _ in photos], np.int64))
        _, is_embedded = self.matrix.find(ids)
        ids = ids[is_embedded]
        known = self._known()
        done = self.library.store.decided(known.id) if keep and known is not None else set()
        stands = [content_id for content_id in ids.tolist() if content_id in done]
        new = ids[~np.isin(ids, stands)]
        changed = 0
        if keep and (len(new) or (known is None and len(ids))):
            decided, changed = self._decide_and_keep(new)
        else:
            _, decided = self._decide(new, known)
        names = set(self.labels.names)
        for content_id, tags in self.library.store.tags_of(stands, self.model.id).items():
            decided[content_id] = tuple(tag for tag in tags if tag.label in names)
        tagged = [PhotoTags(photo, decided.get(content_id, ())) for content_id, photo in photos]
        return Tagging(tagged, len(new), changed)

    def calibration(self) -> Calibration:
        """Return what the library tells about the labels: as it is kept, or as it is now."""
        known = self._known()
        return self.judge.calibrate(self.matrix)[0] if known is None else known.calibration

    def _known(self) -> _Kept | None:
        """Return what is kept of this list, unless the library has outgrown it, or it is damaged."""
        known = self.library.store.label_list(self.model.id, self._hash)
        if known is None or _is_outgrown(known.photos, len(self.matrix)):
            return None
        try:
            return _Kept(known.id, Calibration.unpacked(known.calibration))
        except ValueError:
            return None

    def _decide(self, ids: Int64, known: _Kept | None) -> tuple[Calibration | None, Decided]:
        """Return decisions about the contents ``ids``, and the calibration if it was made for them."""
        if not len(ids):
            return None, {}
        found: Found | None = None
        if known is None:
            calibration, found = self.judge.calibrate(self.matrix)
        else:
            calibration = known.calibration
        made = None if found is None else calibration
        least = np.array([least_evidence(one - _ROUNDING) - _ROUNDING for one in self.thresholds.tolist()])
        always = [labels for labels, exactly_one in self._groups if exactly_one]
        if found is not None and (least >= LEAST - 10 * _ROUNDING).all() and not always:
            return made, self.settled(found.among(ids), calibration, ids)
        decided: Decided = {}
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            found = self.judge.find(blocks_of(self.matrix, some), calibration.rivalry, least, always)
            decided |= self.settled(found, calibration, some)
        return made, decided

    def _decide_and_keep(self, ids: Int64) -> tuple[Decided, int]:
        """Return decisions, and on how many contents that changed anything."""
        store, names = self.library.store, self.labels.names
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        with self.library.lock("tag"):
            known = self._known()  # until now another run may have taken these labels over
            made, decided = self._decide(ids, known)
            if made is not None:
                list_id = store.add_label_list(
                    self.model.id, self._hash, names, made.packed(), made.photos, now
                )
            else:
                assert known is not None
                list_id = known.id
            changed = store.record_decisions(list_id, set(names), self._hash, decided, now)
        return decided, changed

    def settled(self, found: Found, calibration: Calibration, ids: Int64) -> Decided:
        """Return the tags of the contents ``ids``, from pairs that may be some."""
        probability = probabilities(found, calibration.line)
        fits = probability >= self.thresholds[found.labels] - _ROUNDING
        for labels, exactly_one in self._groups:
            inside = np.isin(found.labels, labels)
            rank = found.similarities if exactly_one else probability
            best = _first_of_each(found, -rank.round(DIGITS), inside if exactly_one else inside & fits)
            fits[inside] = False
            fits[best] = True
        chosen = np.flatnonzero(fits)
        order = chosen[np.argsort(found.ids[chosen], kind="stable")]
        decided: dict[int, tuple[TagSuggestion, ...]] = dict.fromkeys(ids.tolist(), ())
        names = self.labels.names
        columns = (found.labels, found.similarities, probability)
        label, similarity, sure = (column[order].tolist() for column in columns)
        tags = [
            TagSuggestion(names[one], round(cosine, DIGITS), round(p, DIGITS))
            for one, cosine, p in zip(label, similarity, sure, strict=True)
        ]
        contents, starts = np.unique(found.ids[order], return_index=True)
        ends = [*starts.tolist(), len(tags)][1:]
        for content_id, start, end in zip(contents.tolist(), starts.tolist(), ends, strict=True):
            decided[content_id] = tuple(sorted(tags[start:end], key=TagSuggestion.rank)[: self._top])
        return decided


def _first_of_each(found: Found, rank: Float32, among: NDArray[np.bool_]) -> Int64:
    """Return the places of the pairs of the lowest ``rank``, one of each content, of those ``among``."""
    places = np.flatnonzero(among)
    order = places[np.lexsort((found.labels[places], rank[places], found.ids[places]))]
    _, first = np.unique(found.ids[order], return_index=True)
    return order[first]


def _groups(labels: LabelList) -> list[tuple[Int64, bool]]:
    """Return the places of the labels of each group, and whether exactly one of them is wanted."""
    place = {name: number for number, name in enumerate(labels.names)}
    return [
        (np.array([place[name] for name in group.labels], np.int64), group.exactly_one)
        for group in labels.groups
    ]


def _hash(library: OpenLibrary, labels: LabelList, minimum: float, top: int | None) -> str:
    """Return what tells this list, and how it is decided, from others. Examples count by what they show."""
    digest = hashlib.sha256(f"{_RULE} {labels.hash} {minimum!r} {top!r}".encode())
    for label in sorted(labels.labels, key=lambda label: label.name):
        for example in label.examples:
            digest.update(example_hash(library, example))
    return digest.hexdigest()


def _is_outgrown(photos: int, now: int) -> bool:
    return now >= max(_GROWTH * photos, photos + _GROWTH_LEAST)
