"""The words of captions as labels, so that a single word finds the photos whose captions hold it.

A photo *shows* a keyword if two or more of its captions hold it, and *lacks* it if none of its captions holds
it or a word that means about the same. Whatever is in between counts neither way.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from photoclip.training import labels
from photoclip.training.shards import Row

LEAST_PHOTOS = 6  # that show a keyword
RELATED = 0.5  # teacher cosine from which two keywords may mean the same thing
_FUNCTION_WORDS = frozenset(labels.words("function words"))


def _terms(text: str) -> set[str]:
    """The words of a caption, and its pairs of neighbouring words."""
    words = text.split()
    return {word for word in words if _content(word)} | {
        f"{a} {b}" for a, b in pairwise(words) if _content(a) and _content(b)
    }


def _content(word: str) -> bool:
    return word.isalpha() and len(word) > 2 and word not in _FUNCTION_WORDS


def shown(rows: list[Row]) -> list[set[str]]:
    """Per photo the terms that two or more of its captions hold (one, where it has only one)."""
    found = []
    for row in rows:
        counts = Counter(term for text in row.texts for term in _terms(text))
        found.append({term for term, count in counts.items() if count >= min(2, len(row.texts))})
    return found


def vocabulary(rows: list[Row]) -> list[str]:
    """The terms that enough photos show, sorted."""
    counts = Counter(term for terms in shown(rows) for term in terms)
    return sorted(term for term, count in counts.items() if count >= LEAST_PHOTOS)


class Keywords:
    """Which photos show and which lack which keyword, and the losses of both directions.

    ``words``: the keywords; ``shows``, ``lacks``: (photos, keywords) bool.
    """

    def __init__(self, rows: list[Row], embed: dict[str, Tensor]) -> None:
        self.words = vocabulary(rows)
        number = {word: i for i, word in enumerate(self.words)}
        mean = functional.normalize(labels.prompt_vectors(self.words, embed).mean(0), dim=-1)
        related = (mean @ mean.T > RELATED).float()
        self.shows = torch.zeros(len(rows), len(self.words), dtype=torch.bool)
        mentioned = torch.zeros(len(rows), len(self.words))
        for i, (row, terms) in enumerate(zip(rows, shown(rows), strict=True)):
            self.shows[i, [number[term] for term in terms if term in number]] = True
            said = {term for text in row.texts for term in _terms(text)}
            mentioned[i, [number[term] for term in said if term in number]] = 1.0
        self.lacks = mentioned @ related == 0
        frequency = self.shows.float().sum(0)
        # Rare words are drawn more often than they occur.
        self._weight = self.shows.float() / frequency.sqrt()

    def draw(self, numbers: list[int]) -> Tensor:
        """One keyword (n,), by number, of each of these photos that shows any."""
        weight = self._weight[numbers]
        return torch.multinomial(weight[weight.sum(1) > 0], 1)[:, 0]

    def find(self, scale: Tensor, words: Tensor, vectors: Tensor, pool: Tensor, owner: Tensor) -> Tensor:
        """Word to photo: a softmax over the pool, on average over the photos that show the word.

        ``words`` (n,) keyword numbers with their ``vectors`` (n, 384); ``pool`` (m, 384) photos by ``owner``.
        """
        logits = scale * vectors @ pool.T
        right, wrong = self.shows[owner][:, words].T, self.lacks[owner][:, words].T
        return log_ratio(logits, right, wrong)

    def name(self, scale: Tensor, images: Tensor, owner: Tensor, words: Tensor, vectors: Tensor) -> Tensor:
        """Photo to word: a softmax over the given keywords (k,), on average over those that a photo shows."""
        logits = scale * images @ vectors.T
        right, wrong = self.shows[owner][:, words], self.lacks[owner][:, words]
        return log_ratio(logits, right, wrong)


def log_ratio(logits: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
    """Mean over the right entries of a row of ``-log(right / (right + all wrong))``, then over the rows."""
    against = logits.masked_fill(~wrong, -1e4).logsumexp(1, keepdim=True)
    losses = functional.softplus(against - logits) * right
    count = right.sum(1)
    return (losses.sum(1) / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)
