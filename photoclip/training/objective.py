"""What the image tower learns from: captions against photos, and label names against labelled photos."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from photoclip.training import corpus, labels, shards
from photoclip.training.classifier import captioned_classes
from photoclip.training.teacher import Teacher

EXTRA_CAPTIONS = 2048  # random captions per step, as wrong answers
QUEUE = 1024  # recent photos kept as wrong answers
NEAR = 0.8  # names nearer than this (teacher cosine) are no wrong answers for each other
LABELLED_SHARES = {
    "imagenet1k-sample": 0.4,
    "tiny-imagenet": 0.25,
    "scene15": 0.12,
    "clothing": 0.08,
    "houses": 0.08,
    "cats-and-dogs": 0.07,
}
COCO_REPEATS = 4
Key = tuple[str, str]
"""A label: shard and class name (or WordNet number)."""
Target = tuple[Key, int]
"""A label and the number of that one of its names which is the right answer now."""


@dataclass
class Photos:
    """Training photos: captioned ones, and labelled ones by shard."""

    captioned: list[shards.Row] = field(default_factory=list)
    labelled: dict[str, list[shards.Row]] = field(default_factory=dict)


def load_photos(data: Path) -> Photos:
    """All training photos, decoded. COCO photos get captions made of their tags and are repeated."""
    photos = Photos(shards.read_rows(data, "flickr8k", "train", pixels=True))
    for row in shards.read_rows(data, "coco", "train", pixels=True):
        row.texts = corpus.coco_captions(row)
        photos.captioned += [row] * COCO_REPEATS
    photos.labelled = {
        source: shards.read_rows(data, source, "train", pixels=True) for source in LABELLED_SHARES
    }
    return photos


class Bank:
    """All label names as vectors, and for every label which names are right and which are wrong.

    ``vectors``: (templates, names, 384); ``right[label]``: numbers of its names, own name first;
    ``wrong``: (labels, names) bool, labels by ``number``; ``thing``: (labels,) bool: no person shown.
    """

    def __init__(self, data: Path, embed: dict[str, Tensor]) -> None:
        named = corpus.label_names(data)
        by_label = {
            (source, label): names for source, table in named.items() for label, names in table.items()
        }
        self.names = sorted(
            {name for names in by_label.values() for name in names} | set(labels.words("roles"))
        )
        number = {name: i for i, name in enumerate(self.names)}
        missing = [text for name in self.names for text in labels.prompts(name) if text not in embed]
        if missing:  # names newer than the corpus
            embed = embed | dict(zip(missing, Teacher().encode(missing).half(), strict=True))
        self.vectors = torch.stack(
            [torch.stack([embed[text] for text in labels.prompts(name)]).float() for name in self.names],
            dim=1,
        )
        mean = functional.normalize(self.vectors.mean(0), dim=-1)
        near = mean @ mean.T > NEAR
        self.roles = [number[role] for role in labels.words("roles")]
        self.right = {key: [number[name] for name in names] for key, names in by_label.items()}
        self.imagenet = sorted(key for key in by_label if key[0] == "imagenet1k-sample")
        self.number = {key: i for i, key in enumerate(by_label)}
        self.thing = torch.tensor(
            [key[0] != "clothing" and not _worn(names) for key, names in by_label.items()]
        )
        self.wrong = torch.ones(len(by_label), len(self.names), dtype=torch.bool)
        for key, names in by_label.items():
            # what a "dog" may also be
            own = {name for other in by_label.values() if names[0] in other for name in other}
            self.wrong[self.number[key], near[self.right[key]].any(0)] = False
            self.wrong[self.number[key], [number[name] for name in own | set(names)]] = False

    def key(self, row: shards.Row) -> Key:
        """Label of a row, as the keys of ``right`` and ``wrong``."""
        return row.source, labels.wordnet_number(row.file) or row.label

    def unlikely(self, rows: list[shards.Row], guesses: list[list[int]]) -> Tensor:
        """(photos, names) bool: names that neither the captions nor the guessed ImageNet classes hint at."""
        by_word: dict[str, list[int]] = {}
        for i, name in enumerate(self.names):
            by_word.setdefault(name.split()[-1].removesuffix("s"), []).append(i)
        mask = torch.ones(len(rows), len(self.names), dtype=torch.bool)
        for place, (row, classes) in enumerate(zip(rows, guesses, strict=True)):
            seen = {word.removesuffix("s") for text in row.texts for word in text.split()}
            hinted = [i for word in seen for i in by_word.get(word, ())]
            mask[place, hinted + [i for c in classes for i in self.right[self.imagenet[c]]]] = False
        mask[:, self.roles] = True
        return mask


def known_texts(work: Path) -> dict[str, Tensor]:
    """Teacher vectors of the captions and prompts of the corpus."""
    texts = corpus.load(work)
    groups = [texts["captions"], texts["prompts"]]
    return {text: vector for group in groups for text, vector in zip(*group, strict=True)}


def bank_of(data: Path, work: Path) -> Bank:
    """The bank of all label names."""
    return Bank(data, known_texts(work))


class Objective(torch.nn.Module):
    """Losses over unit image vectors; its two parameters are the log scales of the similarities."""

    def __init__(self, data: Path, work: Path, photos: Photos, seed: int = 0) -> None:
        super().__init__()
        embed = known_texts(work)
        self.bank = Bank(data, embed)
        self.vectors = [torch.stack([embed[text] for text in row.texts]).float() for row in photos.captioned]
        owners = [i for i, vectors in enumerate(self.vectors) for _ in vectors]
        self._classes = captioned_classes(data, work, photos.captioned)
        self._unlikely = self.bank.unlikely(photos.captioned, self._classes[1].tolist())
        self._person = torch.tensor([shows_person(row) for row in photos.captioned])
        self._all, self._owner = torch.cat(self.vectors), torch.tensor(owners)
        self._recent, self._recent_owner = torch.zeros(0, 384), torch.zeros(0, dtype=torch.long)
        self._tagged, self._tagged_label = torch.zeros(0, 384), torch.zeros(0, dtype=torch.long)
        self.caption_scale = torch.nn.Parameter(torch.tensor(20.0).log())
        self.label_scale = torch.nn.Parameter(torch.tensor(20.0).log())
        self._rng = random.Random(seed)

    def captions(self, images: Tensor, numbers: list[int]) -> Tensor:
        """Symmetric contrastive loss of captioned photos (by number) with one random caption each."""
        owner = torch.tensor(numbers)
        own = torch.stack([self.vectors[n][self._rng.randrange(len(self.vectors[n]))] for n in numbers])
        scale = self.caption_scale.exp().clamp(max=60)
        picked = torch.randint(len(self._all), (EXTRA_CAPTIONS,))
        texts, text_owner = torch.cat([own, self._all[picked]]), torch.cat([owner, self._owner[picked]])
        to_text = scale * images @ texts.T
        pool, pool_owner = torch.cat([images, self._recent]), torch.cat([owner, self._recent_owner])
        to_image = scale * own @ pool.T
        return 0.5 * (contrast(to_text, owner, text_owner) + contrast(to_image, owner, pool_owner))

    def guesses(self, numbers: list[int]) -> list[Target]:
        """For captioned photos, ImageNet labels drawn as likely as the second teacher finds them."""
        drawn = torch.multinomial(self._classes[0][numbers], 1)
        classes = self._classes[1][numbers].gather(1, drawn)[:, 0].tolist()
        return [self.target(self.bank.imagenet[c]) for c in classes]

    def remember(self, seen: Tensor, numbers: list[int], tagged: Tensor, targets: list[Target]) -> None:
        """Keep the vectors of a step, for the next ones to tell apart."""
        label = torch.tensor([self.bank.number[key] for key, _ in targets])
        self._recent = torch.cat([seen.detach(), self._recent])[:QUEUE]
        self._recent_owner = torch.cat([torch.tensor(numbers), self._recent_owner])[:QUEUE]
        self._tagged = torch.cat([tagged.detach(), self._tagged])[:QUEUE]
        self._tagged_label = torch.cat([label, self._tagged_label])[:QUEUE]

    def labels(self, images: Tensor, targets: list[Target], chosen: list[int], vectors: Tensor) -> Tensor:
        """Softmax of labelled photos over the ``chosen`` names, whose vectors are given.

        The right answer is the name of the target; other names its label may go by do not count.
        """
        logits = self.label_scale.exp().clamp(max=60) * images @ vectors.T
        place = torch.tensor([chosen.index(name) for _, name in targets])
        label = torch.tensor([self.bank.number[key] for key, _ in targets])
        allowed = self.bank.wrong[label][:, chosen]
        allowed[torch.arange(len(place)), place] = True
        return functional.cross_entropy(logits.masked_fill(~allowed, -1e4), place)

    def search(
        self, tagged: Tensor, targets: list[Target], seen: Tensor, numbers: list[int], vectors: Tensor
    ) -> Tensor:
        """The other way round: every target's name (by its vector) finds its photo among this step's and the
        recent labelled photos; photos it may fit as well do not count.
        """
        names = [name for _, name in targets]
        label = torch.tensor([self.bank.number[key] for key, _ in targets])
        pool = torch.cat([tagged, self._tagged, seen])
        labels = torch.cat([label, self._tagged_label])
        allowed = torch.cat([self.bank.wrong[labels][:, names], self._unlikely[numbers][:, names]]).T
        allowed[torch.arange(len(names)), torch.arange(len(names))] = True
        logits = self.label_scale.exp().clamp(max=60) * vectors @ pool.T
        return functional.cross_entropy(logits.masked_fill(~allowed, -1e4), torch.arange(len(names)))

    def people(self, images: Tensor, numbers: list[int], chosen: list[int], vectors: Tensor) -> Tensor:
        """For captioned photos of people: some role or other is likelier than the names nothing hints at."""
        person = self._person[numbers]
        logits = self.label_scale.exp().clamp(max=60) * images[person] @ vectors.T
        logits = logits.masked_fill(~self._unlikely[numbers][person][:, chosen], -1e4)
        roles = logits[:, [chosen.index(role) for role in self.bank.roles]]
        return (logits.logsumexp(1) - roles.logsumexp(1)).mean()

    def roles(
        self, tagged: Tensor, targets: list[Target], seen: Tensor, numbers: list[int], vectors: Tensor
    ) -> Tensor:
        """For every role: photos of people are nearer to its vector than photos of things, among this
        step's and the recent ones (an astronaut is no rocket).
        """
        label = torch.tensor([self.bank.number[key] for key, _ in targets])
        shown = torch.cat([seen[self._person[numbers]], self._recent[self._person[self._recent_owner]]])
        things = torch.cat(
            [tagged[self.bank.thing[label]], self._tagged[self.bank.thing[self._tagged_label]]]
        )
        scale = self.label_scale.exp().clamp(max=60)
        right = (scale * vectors @ shown.T).logsumexp(1)
        wrong = (scale * vectors @ things.T).logsumexp(1)
        return functional.softplus(wrong - right).mean()

    def prompt_vectors(self) -> Tensor:
        """Teacher vectors of all names in a random template, (names, 384)."""
        return self.bank.vectors[self._rng.randrange(len(self.bank.vectors))]

    def target(self, key: Key) -> Target:
        """A label with one of its names: its own half of the time, else one of its others."""
        right = self.bank.right[key]
        own = len(right) == 1 or self._rng.random() < 0.5
        return key, right[0] if own else self._rng.choice(right[1:])


def _worn(names: list[str]) -> bool:
    """Whether photos of a class likely show a person wearing it."""
    return any("suit" in name.split() or name.startswith("person in") for name in names)


def shows_person(row: shards.Row) -> bool:
    """Whether two or more of the captions speak of a person."""
    return sum(not set(labels.words("person")).isdisjoint(text.split()) for text in row.texts) >= 2


def contrast(logits: Tensor, owner: Tensor, other: Tensor) -> Tensor:
    """Cross-entropy, the diagonal being right; other texts or views of the same photo do not count."""
    same = owner[:, None] == other[None, :]
    same[torch.arange(len(owner)), torch.arange(len(owner))] = False
    return functional.cross_entropy(logits.masked_fill(same, -1e4), torch.arange(len(owner)))
