"""Command line of the training package: ``python -m photoclip.training STEP --data DIR --work DIR``.

Steps, in this order:

- ``prepare``: collect the texts and embed them with the teacher (minutes)
- ``text``: distil the text tower from the teacher (an hour)
- ``image``: train the image tower towards the teacher (an hour; may run beside ``text``)
- ``polish``: train both towers together (20 minutes)
- ``export``: write ``photoclip/encoders/builtin/weights.safetensors``
- ``judge``: print the scores of the shipped files on the dev rows

A step that is stopped goes on where it was when it is started again.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import torch


def main() -> None:
    """Run one step of the training."""
    parser = argparse.ArgumentParser(
        prog="python -m photoclip.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("step", choices=("prepare", "text", "image", "polish", "export", "judge"))
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of photo shards (SOURCE.tar + SOURCE.jsonl.gz)"
    )
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for checkpoints and caches, outside the repository"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="minutes of training in all, resumed runs included"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger().handlers[0].addFilter(logging.Filter("photoclip"))
    torch.set_num_threads(arguments.threads)
    run(arguments)


def run(arguments: argparse.Namespace) -> None:
    """Dispatch; every step imports only what it needs."""
    data, work, minutes = arguments.data, arguments.work, arguments.minutes
    if arguments.step == "prepare":
        from photoclip.training import corpus

        corpus.prepare(data, work)
    elif arguments.step == "text":
        from photoclip.training import text

        text.train(work, minutes)
    elif arguments.step == "image":
        from photoclip.training import image

        image.train(data, work, minutes)
    elif arguments.step == "polish":
        from photoclip.training import polish

        polish.train(data, work, minutes)
    elif arguments.step == "export":
        from photoclip.training import export

        export.export(data, work)
    elif arguments.step == "judge":
        from photoclip.training import judge

        print(json.dumps(judge.shipped_scores(data), indent=2))


if __name__ == "__main__":
    main()
