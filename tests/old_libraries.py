"""Libraries as earlier versions of photoclip made them."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path


def make_schema_1(library: Path) -> None:
    """Make a library of schema 1 in the folder ``library``: three tagged photos in colours and a broken one,
    all in ``/photos``."""
    _make(library, 1)


def make_schema_2(library: Path) -> None:
    """Make the same library as ``make_schema_1``, of schema 2."""
    _make(library, 2)


def _make(library: Path, schema: int) -> None:
    library.mkdir(parents=True)
    script = Path(__file__).with_name(f"schema_{schema}.sql").read_text()
    with contextlib.closing(sqlite3.connect(library / "catalogue.sqlite")) as db:
        db.executescript(script)
