"""The texts the towers learn from, with their teacher embeddings, written once to ``WORK/corpus.pt``.

Groups: ``captions`` (people's words about photos), ``spans`` (a few words out of a caption, the way people
search), ``words`` (the whole words of the teacher's vocabulary, bare and in templates), ``prompts`` (names of
the labels and keywords in all templates) and ``phrases`` (random short combinations of nouns).
"""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import torch

from photoclip.training import drawn, keywords, labels, loop, shards, styles
from photoclip.training.teacher import Teacher

Corpus = dict[str, tuple[list[str], torch.Tensor]]
"""Group name -> (texts, unit vectors of shape (texts, 384), float16)."""

COCO_REPEATS = 4
PHRASES, SPANS = 60_000, 40_000
_COLOURS = (
    *("red", "blue", "green", "yellow", "white", "black", "brown", "grey"),
    *("pink", "orange", "purple", "old", "new", "small", "big", "wooden"),
)
_PLACES = (
    "on the beach",
    "in the snow",
    "at night",
    "at sunset",
    "in the street",
    "in a kitchen",
    "on a table",
    "outdoors",
    "in the water",
    "in a garden",
    "in the city",
    "in a forest",
    "on a mountain",
    "on grass",
    "in a room",
    "in the sky",
)
_WORD_TEMPLATES = (
    "a photo of {}",
    "a picture of {}",
    "{} photo",
    "the {}",
    "photo of {} outdoors",
    "some {}",
)


def label_names(data: Path) -> dict[str, dict[str, list[str]]]:
    """Names per label, by shard: ``{source: {label or WordNet number: names}}``."""
    imagenet = [
        (labels.wordnet_number(row.file), row.label)
        for row in shards.read_rows(data, "imagenet1k-sample", "train")
    ]
    numbers = labels.imagenet_names(imagenet)
    named: dict[str, dict[str, list[str]]] = {"imagenet1k-sample": numbers, "tiny-imagenet": numbers}
    for source in ("scene15", "clothing", "houses", "cats-and-dogs"):
        found = {row.label for row in shards.read_rows(data, source, "train")}
        named[source] = {label: labels.everyday_names(label) for label in sorted(found)}
    named[drawn.SOURCE] = {kind: list(names) for kind, names in drawn.NAMES.items()}
    return named


def captions(data: Path) -> list[str]:
    """Every caption that may be trained on, once."""
    rows = shards.read_rows(data, "flickr8k", "train")
    return sorted({text for row in rows for text in row.texts} | set(shards.read_texts(data)))


def _words(vocabulary: list[str], rng: random.Random) -> list[str]:
    """Whole words of the teacher's vocabulary: bare, with an article and in one more template."""
    texts = []
    for word in vocabulary:
        if word.isascii() and word.isalpha() and len(word) > 2:
            article = labels.noun_phrase(word)
            template = rng.choice(_WORD_TEMPLATES)
            texts += [word, article, template.format(rng.choice((word, article)))]
    return texts


def _phrases(nouns: list[str], rng: random.Random) -> list[str]:
    """Short random combinations: coloured things, things side by side, things in places."""
    texts = []
    for _ in range(PHRASES):
        first, second = rng.choice(nouns), rng.choice(nouns)
        shape = rng.randrange(6)
        if shape == 0:
            texts.append(labels.noun_phrase(f"{rng.choice(_COLOURS)} {first}"))
        elif shape == 1:
            texts.append(f"{labels.noun_phrase(first)} and {labels.noun_phrase(second)}")
        elif shape == 2:
            texts.append(f"{first} {second}")
        elif shape == 3:
            pair = " or ".join(rng.sample(_COLOURS, 2))
            texts.append(labels.noun_phrase(f"{pair} {first}"))
        else:
            texts.append(f"{rng.choice((first, labels.noun_phrase(first)))} {rng.choice(_PLACES)}")
    return texts


def _spans(texts: list[str], rng: random.Random) -> list[str]:
    """Two to five neighbouring words of captions."""
    spans = set()
    for text in rng.sample(texts, min(SPANS, len(texts))):
        words = [word for word in text.split() if word[0].isalnum()]
        length = rng.randint(2, 5)
        start = rng.randrange(max(len(words) - length, 0) + 1)
        spans.add(" ".join(words[start : start + length]))
    return sorted(spans - {""})


def _nouns(names: list[str], texts: list[str], vocabulary: set[str]) -> list[str]:
    """Label names, and words that captions use after an article (the frequent ones several times)."""
    counts: Counter[str] = Counter()
    for text in texts:
        words = text.split()
        counts.update(b for a, b in pairwise(words) if a in ("a", "an", "the") and b in vocabulary)
    return names + [
        word for word, count in counts.items() if count >= 5 for _ in range(min(count // 20 + 1, 5))
    ]


def prepare(data: Path, work: Path) -> Corpus:
    """Collect all texts, embed them with the teacher and write ``WORK/corpus.pt``."""
    rng = random.Random(0)
    teacher = Teacher()
    named = sorted(
        {name for source in label_names(data).values() for names in source.values() for name in names}
    )
    people = captions(data)
    sought = {*named, *keywords.vocabulary(captioned_rows(data)), *labels.words("roles")}
    sought |= {name for names in styles.NAMES.values() for name in names}
    groups = {
        "captions": people,
        "spans": _spans(people, rng),
        "words": _words(teacher.vocabulary, rng),
        "prompts": [prompt for name in sorted(sought) for prompt in labels.prompts(name)],
        "phrases": _phrases(_nouns(named, people, set(teacher.vocabulary)), rng),
    }
    coco = {text for row in captioned_rows(data) if row.source == "coco" for text in row.texts}
    groups["prompts"] += sorted(coco)
    corpus = {name: (texts, teacher.encode(texts).half()) for name, texts in groups.items()}
    work.mkdir(parents=True, exist_ok=True)
    torch.save(corpus, work / "corpus.pt")
    return corpus


def captioned_rows(data: Path, pixels: bool = False) -> list[shards.Row]:
    """The training photos with captions; COCO photos get captions made of their tags and are repeated."""
    rows = shards.read_rows(data, "flickr8k", "train", pixels)
    for row in shards.read_rows(data, "coco", "train", pixels):
        row.texts = coco_captions(row)
        rows += [row] * COCO_REPEATS
    return rows


def coco_captions(row: shards.Row) -> list[str]:
    """Captions of a photo that has a list of things in place of a caption."""
    things = [labels.noun_phrase(thing) for thing in row.label.split("|")]
    pairs = [f"{a} and {b}" for a, b in pairwise(things)]
    return [*things, *(f"a photo of {thing}" for thing in things), *pairs]


def load(work: Path) -> Corpus:
    """The corpus that :func:`prepare` wrote."""
    corpus: Corpus = loop.load(work / "corpus.pt")
    return corpus
