"""What a fault of the suite is: a name, and a function that does the harm and judges what came of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Scale:
    """How thoroughly to look: the short form runs with the tests, the long one on its own."""

    long: bool = False
    seed: int = 1

    def rounds(self, short: int, long: int) -> int:
        """Return the number of rounds of this form."""
        return long if self.long else short

    def chance(self, salt: str) -> random.Random:
        """Return random numbers that are the same for the same seed and ``salt``."""
        return random.Random(f"{self.seed} {salt}")


@dataclass
class Outcome:
    """What came of a fault: how many rounds (or cases) were run, what was wrong, and what was counted."""

    rounds: int = 0
    faults: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, what: str, number: int = 1) -> None:
        """Add to one of the counts that the report prints."""
        self.counts[what] = self.counts.get(what, 0) + number

    def require(self, right: bool, otherwise: str) -> None:
        """Put ``otherwise`` on record unless ``right``."""
        if not right:
            self.faults.append(otherwise)


Harm = Callable[[Path, Scale], Outcome]
"""Does its harm in an empty folder, as often as the scale says, and judges it."""


@dataclass(frozen=True)
class Fault:
    """One of the thirty."""

    number: int
    title: str
    run: Harm


FAULTS: dict[int, Fault] = {}
"""All faults by number; the modules beside this one put theirs in with ``fault``."""


def fault(number: int, title: str) -> Callable[[Harm], Harm]:
    """Put a function among the faults."""

    def put(harm: Harm) -> Harm:
        assert number not in FAULTS, number
        FAULTS[number] = Fault(number, title, harm)
        return harm

    return put
