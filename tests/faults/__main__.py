"""``python -m tests.faults [--long] [--seed N] [--only N …]``: do all the harms, say what came of them."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

import pytest

from tests.faults.fault import Fault, Scale
from tests.faults.interrupting import interrupts
from tests.faults.thirty import FAULTS

_SHOWN = 10
ALL = {**FAULTS, 31: Fault(31, "Ctrl-C at any moment of any command", interrupts)}


def main() -> int:
    """Do the thirty harms, and press Ctrl-C; return how many were not withstood."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--long", action="store_true", help="the full number of rounds (an hour or more)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, nargs="*", metavar="N", help="these faults alone")
    options = parser.parse_args()
    scale = Scale(options.long, options.seed)
    ends = {number: _tried(ALL[number], scale) for number in options.only or sorted(ALL)}
    thirty = [end for number, end in ends.items() if number in FAULTS]
    print(f"{thirty.count(True)} of {len(thirty)} faults withstood, {thirty.count(None)} passed over")
    return list(ends.values()).count(False)


def _tried(one: Fault, scale: Scale) -> bool | None:
    """Do one harm in a folder of its own; None: it cannot be done on this machine."""
    place = Path(tempfile.mkdtemp(prefix="photoclip-fault-"))
    try:
        return _withstood(one, place, scale)
    except pytest.skip.Exception as reason:
        print(f"F{one.number:<2} {one.title}: passed over: {reason}", flush=True)
        return None
    except Exception:  # a harm that nobody judged is not withstood, and the others go on
        print(f"F{one.number:<2} {one.title}: NOT WITHSTOOD", flush=True)
        traceback.print_exc()
        return False
    finally:
        shutil.rmtree(place, ignore_errors=True)


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
