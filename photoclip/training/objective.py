"""What the towers learn from: captions, keywords and styles of captioned photos, names of labelled ones."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from photoclip.training import corpus, drawn, labels, shards, styles
from photoclip.training.classifier import captioned_classes
from photoclip.training.keywords import Keywords, log_ratio

EXTRA_CAPTIONS = 2048  # random captions per step, as wrong answers
QUEUE = 1024  # recent photos kept as wrong answers
LABEL_WEIGHT, SEARCH_WEIGHT = 0.4, 0.2  # of naming labelled photos, and of finding them by name
KEYWORD_WEIGHT, FIND_WEIGHT = 0.2, 0.6  # the same for keywords of captioned photos
GUESS_WEIGHT = 0.3  # of the second teacher's labels for captioned photos
PEOPLE_WEIGHT, ROLES_WEIGHT, STYLE_WEIGHT = 0.1, 0.3, 0.1
NEAR = 0.8  # names nearer than this (teacher cosine) are no wrong answers for each other
DRAWN = 80  # pictures of every kind that is drawn
LABELLED_SHARES = {
    "imagenet1k-sample": 0.35,
    "tiny-imagenet": 0.2,
    "scene15": 0.12,
    "clothing": 0.1,
    "houses": 0.06,
    "cats-and-dogs": 0.07,
    drawn.SOURCE: 0.1,
}
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
    """All training photos, decoded, and the drawn pictures."""
    labelled = {
        source: shards.read_rows(data, source, "train", pixels=True)
        for source in LABELLED_SHARES
        if source != drawn.SOURCE
    }
    return Photos(corpus.captioned_rows(data, pixels=True), labelled | {drawn.SOURCE: drawn.rows(DRAWN)})


@dataclass
class Batch:
    """What a step shows: unit vectors of captioned photos and of labelled ones, and what is true of them.

    ``numbers``, ``styles``: which captioned photos, and the style each was rendered in (or ""); ``targets``:
    labels of the labelled ones; ``words`` (n,): a keyword of each captioned photo that shows any.
    """

    seen: Tensor
    numbers: list[int]
    styles: list[str]
    tagged: Tensor
    targets: list[Target]
    words: Tensor


class Names:
    """Vectors (n, 384) of some of the names that an objective knows, by their numbers."""

    def __init__(self, numbers: list[int], vectors: Tensor) -> None:
        self.numbers, self.vectors = numbers, vectors
        self._place = {number: i for i, number in enumerate(numbers)}

    def __call__(self, numbers: list[int]) -> Tensor:
        """The vectors of these names."""
        return self.vectors[[self._place[number] for number in numbers]]


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
        self.vectors = labels.prompt_vectors(self.names, embed)
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
    """Losses over unit image vectors; its two parameters are the log scales of the similarities.

    Names are numbered through: those of labels (``bank``), then keywords, then styles; ``names`` lists them.
    """

    def __init__(self, data: Path, work: Path, photos: Photos, seed: int = 0) -> None:
        super().__init__()
        embed = known_texts(work)
        self.bank, self.keywords = Bank(data, embed), Keywords(photos.captioned, embed)
        self._first_keyword = len(self.bank.names)
        self._first_style = self._first_keyword + len(self.keywords.words)
        style_names = [name for names in styles.NAMES.values() for name in names]
        self.names = [*self.bank.names, *self.keywords.words, *style_names]
        self._vectors = labels.prompt_vectors(self.names, embed)
        self.vectors = [torch.stack([embed[text] for text in row.texts]).float() for row in photos.captioned]
        owners = [i for i, vectors in enumerate(self.vectors) for _ in vectors]
        self._classes = captioned_classes(data, work, photos.captioned)
        self._unlikely = self.bank.unlikely(photos.captioned, self._classes[1].tolist())
        self._person = torch.tensor([shows_person(row) for row in photos.captioned])
        self._hinted = [styles.hinted(row.texts) for row in photos.captioned]
        self._all, self._owner = torch.cat(self.vectors), torch.tensor(owners)
        self._recent, self._recent_owner = torch.zeros(0, 384), torch.zeros(0, dtype=torch.long)
        self._tagged, self._tagged_label = torch.zeros(0, 384), torch.zeros(0, dtype=torch.long)
        self.caption_scale = torch.nn.Parameter(torch.tensor(20.0).log())
        self.label_scale = torch.nn.Parameter(torch.tensor(20.0).log())
        self._rng = random.Random(seed)

    def batch(self, vectors: Tensor, numbers: list[int], rendered: list[str], targets: list[Target]) -> Batch:
        """The batch of captioned photos (first) and labelled ones, from their vectors."""
        seen, tagged = vectors[: len(numbers)], vectors[len(numbers) :]
        return Batch(seen, numbers, rendered, tagged, targets, self.keywords.draw(numbers))

    def wanted(self, batch: Batch) -> list[int]:
        """Numbers of the names that the losses of a batch cannot do without."""
        return sorted(
            {name for _, name in batch.targets}
            | {self._first_keyword + word for word in batch.words.tolist()}
            | {*self.bank.roles, *range(self._first_style, len(self.names))}
        )

    def teacher_names(self) -> Names:
        """Teacher vectors of all names in a random template."""
        return Names(list(range(len(self.names))), self._vectors[self._rng.randrange(len(self._vectors))])

    def name_loss(self, batch: Batch, names: Names) -> Tensor:
        """All losses that need the vectors of names (those of ``wanted``, and any others)."""
        return (
            LABEL_WEIGHT * self._labels(batch.tagged, batch.targets, names)
            + SEARCH_WEIGHT * self._search(batch, names)
            + PEOPLE_WEIGHT * self._people(batch, names)
            + ROLES_WEIGHT * self._roles(batch, names)
            + FIND_WEIGHT * self._find(batch, names)
            + KEYWORD_WEIGHT * self._name(batch, names)
            + STYLE_WEIGHT * self._style(batch, names)
        )

    def teacher_loss(self, batch: Batch) -> Tensor:
        """All losses of the image tower against the teacher's vectors."""
        names = self.teacher_names()
        return (
            self._captions(batch.seen, batch.numbers)
            + GUESS_WEIGHT * self._labels(batch.seen, self._guesses(batch.numbers), names)
            + self.name_loss(batch, names)
        )

    def remember(self, batch: Batch) -> None:
        """Keep the vectors of a step, for the next ones to tell apart."""
        label = torch.tensor([self.bank.number[key] for key, _ in batch.targets])
        self._recent = torch.cat([batch.seen.detach(), self._recent])[:QUEUE]
        self._recent_owner = torch.cat([torch.tensor(batch.numbers), self._recent_owner])[:QUEUE]
        self._tagged = torch.cat([batch.tagged.detach(), self._tagged])[:QUEUE]
        self._tagged_label = torch.cat([label, self._tagged_label])[:QUEUE]

    def _captions(self, images: Tensor, numbers: list[int]) -> Tensor:
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

    def _guesses(self, numbers: list[int]) -> list[Target]:
        """For captioned photos, ImageNet labels drawn as likely as the second teacher finds them."""
        drawn_class = torch.multinomial(self._classes[0][numbers], 1)
        classes = self._classes[1][numbers].gather(1, drawn_class)[:, 0].tolist()
        return [self.target(self.bank.imagenet[c]) for c in classes]

    def _scale(self) -> Tensor:
        return self.label_scale.exp().clamp(max=60)

    def _labels(self, images: Tensor, targets: list[Target], names: Names) -> Tensor:
        """Softmax of labelled photos over the names of labels.

        The right answer is the name of the target; other names its label may go by do not count.
        """
        chosen = [number for number in names.numbers if number < self._first_keyword]
        logits = self._scale() * images @ names(chosen).T
        place = torch.tensor([chosen.index(name) for _, name in targets])
        label = torch.tensor([self.bank.number[key] for key, _ in targets])
        allowed = self.bank.wrong[label][:, chosen]
        allowed[torch.arange(len(place)), place] = True
        return functional.cross_entropy(logits.masked_fill(~allowed, -1e4), place)

    def _search(self, batch: Batch, names: Names) -> Tensor:
        """The other way round: every target's name finds its photo among this step's and the recent labelled
        photos; photos it may fit as well do not count.
        """
        own = [name for _, name in batch.targets]
        label = torch.tensor([self.bank.number[key] for key, _ in batch.targets])
        pool = torch.cat([batch.tagged, self._tagged, batch.seen])
        known = self.bank.wrong[torch.cat([label, self._tagged_label])][:, own]
        allowed = torch.cat([known, self._unlikely[batch.numbers][:, own]]).T
        allowed[torch.arange(len(own)), torch.arange(len(own))] = True
        logits = self._scale() * names(own) @ pool.T
        return functional.cross_entropy(logits.masked_fill(~allowed, -1e4), torch.arange(len(own)))

    def _people(self, batch: Batch, names: Names) -> Tensor:
        """For captioned photos of people: some role or other is likelier than the names nothing hints at."""
        chosen = [number for number in names.numbers if number < self._first_keyword]
        person = self._person[batch.numbers]
        logits = self._scale() * batch.seen[person] @ names(chosen).T
        logits = logits.masked_fill(~self._unlikely[batch.numbers][person][:, chosen], -1e4)
        roles = logits[:, [chosen.index(role) for role in self.bank.roles]]
        return (logits.logsumexp(1) - roles.logsumexp(1)).mean()

    def _roles(self, batch: Batch, names: Names) -> Tensor:
        """For every role: photos of people are nearer to its vector than photos of things, among this
        step's and the recent ones (an astronaut is no rocket).
        """
        label = torch.tensor([self.bank.number[key] for key, _ in batch.targets])
        people = torch.cat(
            [batch.seen[self._person[batch.numbers]], self._recent[self._person[self._recent_owner]]]
        )
        things = torch.cat(
            [batch.tagged[self.bank.thing[label]], self._tagged[self.bank.thing[self._tagged_label]]]
        )
        vectors = names(self.bank.roles)
        right = (self._scale() * vectors @ people.T).logsumexp(1)
        wrong = (self._scale() * vectors @ things.T).logsumexp(1)
        return functional.softplus(wrong - right).mean()

    def _find(self, batch: Batch, names: Names) -> Tensor:
        """Keywords find the photos that show them, among this step's and the recent captioned ones."""
        words = batch.words
        vectors = names([self._first_keyword + word for word in words.tolist()])
        pool = torch.cat([batch.seen, self._recent])
        owner = torch.cat([torch.tensor(batch.numbers), self._recent_owner])
        return self.keywords.find(self._scale(), words, vectors, pool, owner)

    def _name(self, batch: Batch, names: Names) -> Tensor:
        """Photos find the keywords they show."""
        chosen = [number for number in names.numbers if self._first_keyword <= number < self._first_style]
        words = torch.tensor(chosen) - self._first_keyword
        return self.keywords.name(
            self._scale(), batch.seen, torch.tensor(batch.numbers), words, names(chosen)
        )

    def _style(self, batch: Batch, names: Names) -> Tensor:
        """Renderings find the name of their style, and it finds them; hinted styles do not count."""
        chosen, number = [], self._first_style
        for style in styles.NAMES.values():
            chosen.append(number + self._rng.randrange(len(style)))
            number += len(style)
        right = torch.tensor([[style == own for style in styles.NAMES] for own in batch.styles])
        hinted = torch.tensor([[style in self._hinted[n] for style in styles.NAMES] for n in batch.numbers])
        logits = self._scale() * batch.seen @ names(chosen).T
        wrong = ~right & ~hinted
        return log_ratio(logits, right, wrong) + log_ratio(logits.T, right.T, wrong.T)

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
