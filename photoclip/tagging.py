"""Tagging: the user's own labels, decided against stored embeddings. No photo is opened.

A label stands for the mean of a few prompts. It fits a photo when it explains the photo better
than a bank of everyday things does, so that a photo may fit no label at all, and so that labels do not
compete: adding one to the list changes nothing for the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from photoclip.background import THINGS
from photoclip.errors import BadUsage
from photoclip.records import PhotoTags, TagSuggestion

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from photoclip.encoders import Float32
    from photoclip.library import OpenLibrary
    from photoclip.store import StoredModel

    Bools = NDArray[np.bool_]

PROMPTS = ("{}", "a photo of a {}", "a picture of the {}", "a close-up photo of a {}")

_SAME_THING = 0.8  # text cosine above which a background word says the same as a label
_PRIOR = 6.0  # measured on 836 labelled scenes, rooms, clothes and pets: F1 is level from 3 to 6
_GENERALITY = 0.6  # measured on the same photos: more costs F1, less lets "person" hide an astronaut
CERTAIN = 0.5
"""The least probability of a tag, unless the user says another."""


class LabelList(NamedTuple):
    """The user's labels, in their order, and a hash that tells whether the list has changed."""

    labels: tuple[str, ...]
    hash: str


_JOINERS = dict.fromkeys((0x200C, 0x200D))
"""No letters by themselves, but Persian words and many emoji are not whole without them."""


def read_labels(text: str, source: str) -> LabelList:
    """Parse a label file: one label a line; empty lines and lines that begin with ``#`` do not count.

    Raises BadUsage, naming ``source`` and the line, for a list that cannot be used.
    """
    first: dict[str, int] = {}
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        label = " ".join(line.split())
        if not label or label.startswith("#"):
            continue
        if not label.translate(_JOINERS).isprintable():
            raise BadUsage(f"{source}, line {number}: a label may not hold control characters")
        if len(label) > 200:
            raise BadUsage(f"{source}, line {number}: a label of {len(label)} characters", "200 at most")
        if label in first:
            raise BadUsage(f"{source}, line {number}: {label!r} stands already in line {first[label]}")
        first[label] = number
    if not first:
        raise BadUsage(f"{source} holds no label", "write one label a line")
    return LabelList(tuple(first), hashlib.sha256("\n".join(first).encode()).hexdigest())


def tag(
    library: OpenLibrary,
    labels: LabelList,
    *,
    among: frozenset[bytes] | None = None,
    keep: bool = True,
    minimum: float = CERTAIN,
    device: str = "auto",
) -> Iterator[PhotoTags]:
    """Decide which labels fit which photos, keep the decisions, and return every photo with its tags.

    Photos come by path. ``minimum`` is the least probability; with ``keep`` False nothing is stored.
    A run that decides as the last one did writes nothing.
    """
    model = library.model()
    decided = _decide(library, model, labels, minimum, device)
    photos = [
        (content_id, photo)
        for content_id, photo in library.store.photos()
        if content_id in decided and (among is None or photo.path in among)
    ]
    if keep:
        _keep(library, model, labels, {content_id: decided[content_id] for content_id, _ in photos})
    return (PhotoTags(photo, decided[content_id]) for content_id, photo in photos)


def _decide(
    library: OpenLibrary, model: StoredModel, labels: LabelList, minimum: float, device: str
) -> dict[int, tuple[TagSuggestion, ...]]:
    """Return the labels that fit, by content id, the most probable first."""
    import numpy as np

    label_rows, background, same = _prompts(library, model, labels.labels, device)
    matrix = library.matrix(model)
    if not len(matrix):
        return {}
    mean = sum(rows.sum(axis=0) for _, rows in matrix.blocks()) / len(matrix)
    label_share, background_share = _generality(label_rows, background, mean)
    decided: dict[int, tuple[TagSuggestion, ...]] = {}
    for ids, rows in matrix.blocks():
        similarities = rows @ label_rows.T
        against = rows @ background.T - background_share
        probabilities = _probabilities(similarities - label_share, against, same, model.card.logit_scale)
        for place, content_id in enumerate(ids.tolist()):
            fitting = np.flatnonzero(probabilities[place] >= minimum)
            order = fitting[np.argsort(-probabilities[place, fitting], kind="stable")]
            decided[content_id] = tuple(
                TagSuggestion(
                    labels.labels[label],
                    round(float(similarities[place, label]), 6),
                    round(float(probabilities[place, label]), 6),
                )
                for label in order
            )
    return decided


def _prompts(
    library: OpenLibrary, model: StoredModel, labels: Sequence[str], device: str
) -> tuple[Float32, Float32, Bools]:
    """Return label rows (l, d), background rows (b, d), and which background says a label: bool (l, b)."""
    import numpy as np

    texts = [prompt.format(label) for label in labels for prompt in PROMPTS]
    texts += [prompt.format(thing) for thing in THINGS for prompt in PROMPTS]
    rows = library.embed_texts(model, texts, device)
    means = rows.reshape(-1, len(PROMPTS), rows.shape[1]).mean(axis=1)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    label_rows, background = means[: len(labels)], means[len(labels) :]
    return label_rows, background, label_rows @ background.T >= _SAME_THING


def _generality(label_rows: Float32, background: Float32, mean: Float32) -> tuple[Float32, Float32]:
    """Return the part of their similarities that labels (l,) and background (b,) owe to being general.

    Words that are near to all other words, such as "person", are near to all photos too and would explain
    away what a label says more exactly (hubness: Radovanović et al. 2010). How much nearer, the photos of
    the library tell: the slope of the words' similarity to the ``mean`` photo over that to the other words.
    """
    import numpy as np

    near = (background @ background.T).mean(axis=1)
    spread = near - near.mean()
    slope = float(np.clip(spread @ (background @ mean) / max(float(spread @ spread), 1e-6), 0, 1))
    share = _GENERALITY * slope
    return share * (label_rows @ background.T).mean(axis=1), share * near


def _probabilities(similarities: Float32, background: Float32, same: Bools, scale: float) -> Float32:
    """Return how probable each label is against the background, shape (n, labels).

    A softmax per photo and label over that label and the background, at the scale the model was
    trained with. Because somebody put the label on a list, it counts ``_PRIOR`` times as much as one
    thing of the background. Things that say the same as the label stand aside.
    """
    import numpy as np

    peak = np.maximum(background.max(axis=1), similarities.max(axis=1))[:, None]
    against = np.exp(scale * (background - peak)) @ (~same).T.astype(np.float32)
    own = _PRIOR * np.exp(scale * (similarities - peak))
    return np.asarray(own / (own + against), np.float32)


def _keep(
    library: OpenLibrary,
    model: StoredModel,
    labels: LabelList,
    decided: dict[int, tuple[TagSuggestion, ...]],
) -> None:
    listed = set(labels.labels)
    stored = library.store.tags_of(list(decided), model.id)
    changed: dict[int, Sequence[TagSuggestion]] = {
        content_id: tags
        for content_id, tags in decided.items()
        if tuple(old for old in stored.get(content_id, []) if old.label in listed) != tags
    }
    if changed:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        with library.lock("tag"):
            library.store.replace_tags(model.id, labels.labels, labels.hash, changed, now)
