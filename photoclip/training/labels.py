"""Everyday words for the labels of the photo shards; the table itself is ``names.txt``.

ImageNet says "tabby" or "espresso" where people search for "cat" or "a cup of coffee". Every label gets a
list of names: itself first, then everyday words and hypernyms, which labels share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

TEMPLATES = (
    "{}",
    "a photo of {}",
    "a picture of {}",
    "a close-up photo of {}",
    "a good photo of {}",
)


@cache
def _sections() -> dict[str, list[str]]:
    """Lines of ``names.txt`` by section."""
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in Path(__file__).with_name("names.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            current.append(line)
    return sections


@cache
def _table(section: str) -> dict[str, str]:
    """A section whose lines read ``key: value``."""
    return dict(line.split(": ", 1) for line in _sections()[section])


@cache
def words(section: str) -> tuple[str, ...]:
    """A section that lists words between commas, such as ``roles`` or ``person``."""
    return tuple(word.strip() for line in _sections()[section] for word in line.split(",") if word.strip())


@cache
def _without_article() -> frozenset[str]:
    """Plural and mass nouns."""
    return frozenset(words("plural") + words("mass"))


def _spread(ranges: str) -> list[int]:
    """Numbers of a list such as ``"3-5 9"``."""
    numbers: list[int] = []
    for part in ranges.split():
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def wordnet_number(file: str) -> str:
    """``n03770439`` of ``imagenet_n03770439_miniskirt.jpg``; empty for files of other shards."""
    found = re.match(r"[a-z]+_(n\d{8})_", file)
    return found[1] if found else ""


def imagenet_names(labels: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Names per WordNet number, own name first, from (number, label) of the 1,000 classes."""
    ordered, renamed = sorted(set(labels)), _table("renamed")
    names = [
        [renamed.get(f"{label} {i}", renamed.get(label, label)).lower()]
        for i, (_, label) in enumerate(ordered)
    ]
    for word, ranges in _table("imagenet").items():
        for i in _spread(ranges):
            if i < len(names) and word not in names[i]:
                names[i].append(word)
    return {number: names[i] for i, (number, _) in enumerate(ordered)}


def everyday_names(label: str) -> list[str]:
    """Names of a label of the other shards, own name first."""
    further = _table("everyday").get(label, "")
    return [label.lower(), *(further.split(", ") if further else [])]


def noun_phrase(name: str) -> str:
    """``a dog``, ``an owl``, ``flowers``, ``snow``: the name with the article it takes."""
    if name in _without_article() or name.split()[-1] in _without_article():
        return name
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def prompts(name: str) -> list[str]:
    """The bare name, then the name in every template."""
    return [name, *(template.format(noun_phrase(name)) for template in TEMPLATES)]


def prompt_vectors(names: Iterable[str], embed: Mapping[str, Tensor]) -> Tensor:
    """Vectors (templates, names, 384) of the prompts of names, from those of all texts."""
    return torch.stack(
        [torch.stack([embed[text] for text in prompts(name)]).float() for name in names], dim=1
    )
