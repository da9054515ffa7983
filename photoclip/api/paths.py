"""Paths as a program gives them."""

from __future__ import annotations

import os
from collections.abc import Iterable

PathLike = str | bytes | os.PathLike[str]


def absolute(paths: Iterable[PathLike] | None) -> frozenset[bytes] | None:
    """Return ``paths`` as the library knows them; None stays None."""
    return None if paths is None else frozenset(os.path.abspath(os.fsencode(path)) for path in paths)
