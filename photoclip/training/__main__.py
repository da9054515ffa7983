"""Make the built-in model: ``python -m photoclip.training STEP --data DIR --work DIR``.

Steps, in this order (minutes on two cores):

- ``prepare``: collect the texts and embed them with the teacher (2)
- ``text``: distil the text tower from the teacher (50 on one core)
- ``image``: train the image tower towards the teacher (60 on the other)
- ``polish``: train both towers together (35)
- ``export``: write ``photoclip/encoders/builtin/weights.safetensors``

A step that is stopped goes on where it was when it is started again. ``rehearse`` runs the first three
briefly, ten minutes in all, and prints the figures. ``vocabulary`` writes the tokenizer's merges anew.
``python -m photoclip.training.judge`` says how good a model is.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch

STEPS = ("prepare", "text", "image", "polish", "export", "rehearse", "vocabulary")


def main() -> None:
    """Run one step of the training."""
    parser = argparse.ArgumentParser(
        prog="python -m photoclip.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("step", choices=STEPS)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of photo shards (SOURCE.tar + SOURCE.jsonl.gz)"
    )
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for checkpoints and caches, outside the repository"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, to train on")
    parser.add_argument("--steps", type=int, help="optimizer steps in all, in place of the recipe's")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger().handlers[0].addFilter(logging.Filter("photoclip"))
    torch.set_num_threads(arguments.threads)
    torch.set_default_device(arguments.device)
    try:
        run(arguments)
    except FileNotFoundError as error:
        parser.exit(2, f"error: {error.filename} is not there\nhint: first {', then '.join(STEPS[:5])}\n")
    except ModuleNotFoundError as error:
        parser.exit(2, f"error: {error}\nhint: pip install 'photoclip[train]'\n")


def run(arguments: argparse.Namespace) -> None:
    """Dispatch; every step imports only what it needs."""
    data, work = arguments.data, arguments.work
    steps = {} if arguments.steps is None else {"steps": arguments.steps}
    work.mkdir(parents=True, exist_ok=True)
    if arguments.step == "prepare":
        from photoclip.training import corpus

        corpus.prepare(data, work)
    elif arguments.step == "text":
        from photoclip.training import text

        text.train(work, **steps)
    elif arguments.step == "image":
        from photoclip.training import image

        image.train(data, work, **steps)
    elif arguments.step == "polish":
        from photoclip.training import polish

        polish.train(data, work, **steps)
    elif arguments.step == "export":
        from photoclip.training import export

        export.export(data, work)
    elif arguments.step == "rehearse":
        from photoclip.training import rehearsal

        print(rehearsal.rehearse(data, work))
    elif arguments.step == "vocabulary":
        from photoclip.training import vocabulary

        vocabulary.write()


if __name__ == "__main__":
    main()
