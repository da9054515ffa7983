"""Libraries as earlier versions of photoclip made them."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path


def make_schema_1(library: Path) -> None:
    """Make a library of schema 1 in the folder ``library``: three tagged photos in colours and a broken one,
    all in ``/photos``."""
    library.mkdir(parents=True)
    script = Path(__file__).with_name("schema_1.sql").read_text()
    with contextlib.closing(sqlite3.connect(library / "catalogue.sqlite")) as db:
        db.executescript(script)
