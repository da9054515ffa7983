"""A catalogue that is damaged: F14 and F15."""

from __future__ import annotations

import contextlib
import functools
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

from photoclip import Library
from photoclip.indexing import IndexOptions
from tests.conftest import command, environment
from tests.faults.fault import Outcome, Scale, fault
from tests.faults.killing import state_of
from tests.pictures import paint_many

_PAGE = 8192
_PHOTOS = 40
_DAMAGED, _FINE = 10, 0
_COMMANDS = (
    ("search", "red", "-n", "100"),
    ("list", "-f", "jsonl"),
    ("status",),
    ("problems",),
    ("tags",),
    ("check",),
    ("index", "PHOTOS"),
)


def _make(place: Path, photos: int = _PHOTOS) -> tuple[Path, Path]:
    """Make a library with tags and a problem; return it and its photos."""
    paths = paint_many(place / "photos", photos)
    paths[3].write_bytes(b"this is no picture")
    with Library.open_or_create(place / "library") as library:
        library.index([place / "photos"], IndexOptions(model="fake", jobs=1))
        for _ in library.tag(["red", "blue"]).photos:
            pass
    return place / "library", place / "photos"


def _cut(content: bytearray, chance: Random) -> None:
    del content[chance.randrange(1, len(content)) :]


def _zero_a_page(content: bytearray, chance: Random) -> None:
    start = chance.randrange(len(content) // _PAGE) * _PAGE
    content[start : start + _PAGE] = bytes(_PAGE)


def _fill_a_page(content: bytearray, chance: Random) -> None:
    start = chance.randrange(len(content) // _PAGE) * _PAGE
    content[start : start + _PAGE] = chance.randbytes(_PAGE)


def _lose_the_header(content: bytearray, chance: Random) -> None:
    content[:100] = chance.randbytes(100)


def _empty(content: bytearray, chance: Random) -> None:
    content.clear()


def _replace(content: bytearray, chance: Random) -> None:
    content[:] = b"\xff\xd8\xff\xe0 a photo, moved to the wrong place" + chance.randbytes(5000)


_HARMS: tuple[Callable[[bytearray, Random], None], ...] = (
    _cut, _zero_a_page, _fill_a_page, _lose_the_header, _empty, _replace,
)  # fmt: skip


@fault(14, "the catalogue is cut, loses a page, or is no catalogue")
def catalogue_damaged(place: Path, scale: Scale) -> Outcome:
    """Damage the catalogue: a command answers as before or ends with 10, and nothing replaces the file."""
    library, photos = _make(place)
    whole, outcome, chance = (library / "catalogue.sqlite").read_bytes(), Outcome(), scale.chance("F14")
    right = functools.cache(lambda line: _asked(library, photos, line))
    for number in range(scale.rounds(6, 60)):
        harm = _HARMS[number % len(_HARMS)]
        content = bytearray(whole)
        harm(content, chance)
        broken = place / f"broken-{number}"
        shutil.copytree(library, broken, ignore=shutil.ignore_patterns("catalogue*"))
        (broken / "catalogue.sqlite").write_bytes(content)
        for line in _COMMANDS if scale.long else chance.sample(_COMMANDS[:3], 1):
            _judge(outcome, harm.__name__, line, _asked(broken, photos, line), right(line))
            if line[0] != "index":  # what index may do to a page it can read is SQLite's business
                same = (broken / "catalogue.sqlite").read_bytes() == content
                outcome.require(same, f"{harm.__name__}: {line[0]} changed the damaged catalogue")
        outcome.rounds += 1
        shutil.rmtree(broken)
    return outcome


def _asked(library: Path, photos: Path, line: tuple[str, ...]) -> tuple[int, bytes, str]:
    arguments = [str(photos) if word == "PHOTOS" else word for word in line]
    done = subprocess.run(
        command("--library", library, *arguments), env=environment(), capture_output=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def _judge(
    outcome: Outcome,
    harm: str,
    line: tuple[str, ...],
    answer: tuple[int, bytes, str],
    right: tuple[int, bytes, str],
) -> None:
    code, out, err = answer
    outcome.count("answers")
    outcome.require("Traceback" not in err, f"{harm}: {line[0]} ends in a traceback: {err[-300:]}")
    if code == _DAMAGED:
        outcome.count("refused")
        outcome.require("error:" in err and "hint:" in err, f"{harm}: {line[0]} says only {err!r}")
    else:
        # A lost page that the answer does not need is no reason to refuse it, but it must be right.
        fits = code == right[0] and (line[0] in ("index", "status") or out == right[1])
        outcome.require(fits, f"{harm}: {line[0]} ended with {code} and another answer: {err[-200:]!r}")


@fault(15, "a bit flips in the embeddings")
def embeddings_flipped(place: Path, scale: Scale) -> Outcome:
    """Flip a bit in many rows: check names exactly those, repair and index bring exactly those back."""
    count = scale.rounds(40, 400)
    library, photos = _make(place, count)
    before, outcome, chance = state_of(library), Outcome(), scale.chance("F15")
    flipped = _flip(library, count // 4, chance)
    shutil.rmtree(library / "vectors")  # without it, search would not even notice
    code, _, err = _asked(library, photos, ("search", "red"))
    outcome.require(code == _DAMAGED and "--repair" in err, f"search went on with {code}: {err!r}")
    with Library.open(library) as opened:
        named = {finding.text for finding in opened.check()}
        outcome.require(
            {name for name in flipped if any(f"/{name} " in text for text in named)} == flipped
            and len(named) == len(flipped),
            f"{len(named)} were named, {len(flipped)} were flipped",
        )
        outcome.require(all(finding.mended for finding in opened.check(repair=True)), "not all was mended")
        outcome.require(opened.check() == [], "the repaired library is not whole")
        report = opened.index([photos], IndexOptions(model="fake"))
        outcome.require(report.embedded == len(flipped), f"{report.embedded} were embedded again")
    outcome.require(state_of(library) == before, "the library is not what it was before")
    outcome.rounds = len(flipped)
    return outcome


def _flip(library: Path, count: int, chance: Random) -> set[str]:
    """Flip one bit in each of ``count`` stored vectors; return the names of their photos."""
    with contextlib.closing(sqlite3.connect(library / "catalogue.sqlite")) as db, db:
        rows = db.execute(
            "SELECT e.content_id, e.vector, p.path FROM embeddings e JOIN photos p USING (content_id)"
        ).fetchall()
        chosen = chance.sample(rows, count)
        for content_id, vector, _ in chosen:
            damaged = bytearray(vector)
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
            db.execute("UPDATE embeddings SET vector = ? WHERE content_id = ?", (bytes(damaged), content_id))
    return {path.rpartition(b"/")[2].decode() for _, _, path in chosen}
