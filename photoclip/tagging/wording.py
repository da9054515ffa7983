"""From a label to its embedding, and to what it is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from photoclip.background import THINGS
from photoclip.errors import UnreadableQuery
from photoclip.examples import example_embedding
from photoclip.tagging.deciding import SAMPLE, Sides

if TYPE_CHECKING:
    from photoclip.encoders import Float32
    from photoclip.labels import Label, LabelList
    from photoclip.library import OpenLibrary
    from photoclip.store import StoredModel

PROMPTS = ("{}", "a photo of a {}", "a picture of the {}", "a close-up photo of a {}")
"""What a label's words are put into, unless it has prompts of its own."""


def sides_of(library: OpenLibrary, model: StoredModel, labels: LabelList, device: str) -> Sides:
    """Return the embeddings of labels, and the neutral queries that each is compared with.

    A label is the mean of its texts; with example pictures, the mean of that and of their mean. Pictures are
    all nearer to pictures than texts are. So such a label is compared with neutral words to which the mean
    photo of the library was added alike.

    Raises UnreadableQuery for an example that is no picture.
    """
    texts = [_texts(label.words, label.prompts) for label in labels.labels]
    texts += [_texts((word,), ()) for word in (*labels.others, *THINGS)]
    rows = _means(library.embed_texts(model, [text for some in texts for text in some], device), texts)
    rows, words = rows[: -len(THINGS)], rows[-len(THINGS) :]
    others = len(labels.others)
    shown = np.array([bool(label.examples) for label in labels.labels] + [False] * others)
    for place in np.flatnonzero(shown):
        pictures = _pictures(library, model, labels.labels[place], device)
        rows[place] = _unit(rows[place] + _unit(pictures.mean(axis=0)))
    kin = _kin((*labels.names, *labels.others))
    if not shown.any():
        return Sides(rows, (slice(None),), (words,), kin, others)
    mixed = _unit(words + _unit(library.matrix(model).sample(SAMPLE).sum(axis=0)))
    return Sides(rows, (np.flatnonzero(~shown), np.flatnonzero(shown)), (words, mixed), kin, others)


def _kin(names: Sequence[str]) -> NDArray[np.bool_]:
    """Return which labels are the same, or a level of each other, (l, l)."""
    place = {name.casefold(): number for number, name in enumerate(names)}
    kin = np.eye(len(names), dtype=bool)
    for number, name in enumerate(names):
        levels = name.casefold().split("/")
        for end in range(1, len(levels)):
            parent = place.get("/".join(levels[:end]), number)
            kin[number, parent] = kin[parent, number] = True
    return kin


def _texts(words: Iterable[str], prompts: tuple[str, ...]) -> list[str]:
    """Return all texts that stand for a label, each once."""
    texts = (prompt.replace("{}", word) for prompt in prompts or PROMPTS for word in words)
    return list(dict.fromkeys(texts))


def _means(rows: Float32, texts: list[list[str]]) -> Float32:
    """Return the mean, of unit length, of the rows that belong to each list of texts."""
    starts = np.cumsum([0, *(len(some) for some in texts[:-1])])
    return _unit(np.add.reduceat(rows, starts, axis=0))


def _pictures(library: OpenLibrary, model: StoredModel, label: Label, device: str) -> Float32:
    try:
        return np.stack([example_embedding(library, model, path, device) for path in label.examples])
    except UnreadableQuery as error:
        raise UnreadableQuery(f"label {label.name!r}: {error}") from error


def _unit(rows: Float32) -> Float32:
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-9), np.float32)
