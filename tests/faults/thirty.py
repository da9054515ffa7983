"""All thirty faults."""

from __future__ import annotations

from tests.faults import (
    bad_files,
    caches,
    company,
    damage,
    disk,
    drives,
    files,
    killing,
    models,
    names,
    output,
    trees,
    workers,
)
from tests.faults.fault import FAULTS

__all__ = [
    "FAULTS", "bad_files", "caches", "company", "damage", "disk", "drives", "files", "killing", "models",
    "names", "output", "trees", "workers",
]  # fmt: skip
