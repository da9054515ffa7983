"""``python -m tests.faults [--long] [--seed N] [--only N …]``: do the thirty harms, say what came of them."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.faults.fault import Fault, Scale
from tests.faults.thirty import FAULTS

_SHOWN = 10


def main() -> int:
    """Run the faults; return how many were not withstood."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--long", action="store_true", help="the full number of rounds (most of an hour)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, nargs="*", metavar="N", help="these faults alone")
    options = parser.parse_args()
    scale = Scale(options.long, options.seed)
    chosen = [FAULTS[number] for number in options.only or sorted(FAULTS)]
    passed = 0
    for one in chosen:
        place = Path(tempfile.mkdtemp(prefix="photoclip-fault-"))
        try:
            passed += _withstood(one, place, scale)
        except pytest.skip.Exception as reason:
            print(f"F{one.number:<2} {one.title}: passed over: {reason}", flush=True)
        shutil.rmtree(place, ignore_errors=True)
    print(f"{passed} of {len(chosen)} faults withstood")
    return len(chosen) - passed


def _withstood(one: Fault, place: Path, scale: Scale) -> bool:
    began = time.monotonic()
    outcome = one.run(place, scale)
    counts = "".join(f", {number} {what}" for what, number in outcome.counts.items())
    verdict = "ok" if outcome.rounds and not outcome.faults else "NOT WITHSTOOD"
    took = f"{time.monotonic() - began:.1f} s"
    print(f"F{one.number:<2} {one.title}: {outcome.rounds} rounds{counts}: {verdict} ({took})", flush=True)
    for text in outcome.faults[:_SHOWN]:
        print(f"    {text}")
    if len(outcome.faults) > _SHOWN:
        print(f"    … and {len(outcome.faults) - _SHOWN} more")
    return verdict == "ok"


if __name__ == "__main__":
    sys.exit(main())
