"""What is asked of a search."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from photoclip.errors import BadUsage

if TYPE_CHECKING:
    from photoclip.filters import PhotoFilter

Order = Literal["relevance", "similarity", "date", "path"]
"""``relevance``: first what answers, then the rest, each by similarity."""
_WEIGHT = r"(\d+(?:\.\d*)?|\.\d+):(.*)"


class Part(NamedTuple):
    """A text, or the path of an example picture (bytes), and how much it counts; below 0, against a photo."""

    what: str | bytes
    weight: float = 1.0

    @classmethod
    def text(cls, text: str, sign: int = 1) -> Part:
        """Return what ``text``, or ``WEIGHT:text``, says; raises BadUsage for a weight of 0."""
        weight, rest = _weighed(text)
        return cls(rest, sign * weight)

    @classmethod
    def picture(cls, path: str | bytes | os.PathLike[str]) -> Part:
        """Return what a path, or ``WEIGHT:path``, says; a file of just that name is taken for the path."""
        name = os.fsdecode(path)
        weight, rest = (1.0, name) if os.path.lexists(name) else _weighed(name)
        return cls(os.path.abspath(os.fsencode(rest)), weight)


class Query(NamedTuple):
    """What to look for: the sum of the parts' embeddings, each by its weight.

    ``where``: what photos must be besides (None: anything); without parts, all that pass are the answer.
    ``limit``: how many photos to return; ``minimum``: the least similarity; ``among``: the paths to choose
    from (None: the whole library). ``relevant``: only photos that answer the query; ``judged``: say of each
    whether it does; ``explained``: say of each what the parts contributed. ``order`` None is by similarity,
    without parts by path.
    """

    parts: tuple[Part, ...] = ()
    where: PhotoFilter | None = None
    limit: int = 20
    minimum: float | None = None
    among: frozenset[bytes] | None = None
    relevant: bool = False
    judged: bool = False
    explained: bool = False
    order: Order | None = None
    reverse: bool = False
    device: str = "auto"


def _weighed(text: str) -> tuple[float, str]:
    match = re.fullmatch(_WEIGHT, text, re.ASCII | re.DOTALL)
    if match is None:
        return 1.0, text
    weight = float(match[1])
    if not 0 < weight < 1e6:
        raise BadUsage(f"{text!r}: a weight lies above 0", "to leave something out: --minus TEXT")
    return weight, match[2]
