"""``python -m tests.faults [--long] [--seed N]``: kill index at many moments and say what came of it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.killing import kill_at, moments, set_scene


def main() -> int:
    """Run the rounds; return the number of rounds in which something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--long", action="store_true", help="50 kills in place of 6")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="photoclip-faults-") as place:
        scene = set_scene(Path(place))
        for number, moment in enumerate(moments(50 if options.long else 6, scene.seconds, options.seed)):
            verdict = kill_at(moment, scene, Path(place) / f"library-{number}")
            bad += bool(verdict.faults)
            what = "; ".join(verdict.faults) or "fine"
            print(f"killed after {moment:.2f} s, {verdict.stored} stored: {what}", flush=True)
    print(f"{bad} bad rounds")
    return min(bad, 100)


if __name__ == "__main__":
    sys.exit(main())
