"""What a file of labels says: labels, groups of labels, and a hash of the meaning."""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple


class Label(NamedTuple):
    """One candidate of the user's list.

    ``name``: its levels, joined by "/" (``Animals/Dog``). ``words``: what stands for it in a text: the last
    level of the name, then the synonyms. ``prompts``: its own texts; ``{}`` in them stands for a word, and
    one without ``{}`` is used as it is; none: the usual prompts. ``threshold``: its own least probability.
    ``examples``: absolute paths of pictures that show it.
    """

    name: str
    words: tuple[str, ...]
    prompts: tuple[str, ...] = ()
    threshold: float | None = None
    examples: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, name: str, synonyms: tuple[str, ...] = ()) -> Label:
        """Return the label of a name, whose last level is its first word."""
        return cls(name, (name.rpartition("/")[2], *synonyms))


class Group(NamedTuple):
    """Labels that exclude each other. ``exactly_one``: a photo carries one of them; else at most one."""

    name: str
    labels: tuple[str, ...]
    exactly_one: bool


class LabelList(NamedTuple):
    """The user's labels and groups, in their order. ``others`` are words for what photos may show that is
    none of the labels: they compete with these, and are never tags."""

    labels: tuple[Label, ...]
    groups: tuple[Group, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the labels, in their order."""
        return tuple(label.name for label in self.labels)

    @property
    def hash(self) -> str:
        """SHA-256 of the meaning, in hexadecimal.

        A label is the mean of its texts and examples: the order of labels, others, synonyms and the rest
        means nothing, nor do the names of groups. Examples count by their path only.
        """
        labels = sorted(
            (
                label.name,
                label.words[0],
                sorted(label.words[1:]),
                sorted(label.prompts),
                "" if label.threshold is None else repr(float(label.threshold)),
                sorted(example.hex() for example in label.examples),
            )
            for label in self.labels
        )
        groups = sorted((sorted(group.labels), group.exactly_one) for group in self.groups)
        return hashlib.sha256(json.dumps([labels, groups, sorted(self.others)]).encode()).hexdigest()
