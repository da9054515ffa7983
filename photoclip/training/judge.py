"""How good a model is on photos it has not seen: ``python -m photoclip.training.judge --model M --data DIR``.

Works for every model that photoclip can load and every folder that ``datasets.py`` can read. Photos are read
and encoded the way ``photoclip index`` does it. Each figure stands beside what guessing would reach and a
95 % bootstrap interval:

- captions: text to image and image to text, recall among the first 1, 5 and 10;
- keywords: precision among the first 5 for single words, typed as they are; a photo is right when two of its
  captions (the one, where there is one) hold the word;
- label: zero-shot accuracy; tags: mean average precision (both with ``photoclip tag``'s prompts, averaged).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from photoclip import tagging
from photoclip.errors import PhotoclipError
from photoclip.images import UnreadablePhoto, decode
from photoclip.training import datasets, labels, measures
from photoclip.training.datasets import DataSet, Picture
from photoclip.training.measures import Figure, Vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from photoclip.records import Preprocessing

    EncodePixels = Callable[[NDArray[np.uint8]], Vectors]
    EncodeTexts = Callable[[Sequence[str]], Vectors]

FIRST = 5
LEAST_RIGHT = 5  # photos, for a keyword to be asked for
KEYWORDS = labels.words("keywords")
"""Single words that people search for; one that too few photos show is left out."""


def scores(
    data: DataSet, preprocessing: Preprocessing, encode_pixels: EncodePixels, encode_texts: EncodeTexts
) -> list[Figure]:
    """All figures that a data set allows."""
    images = np.concatenate([encode_pixels(batch) for batch in _pixels(data, preprocessing)])
    figures: list[Figure] = []
    captioned = [i for i, picture in enumerate(data.pictures) if picture.captions]
    if captioned:
        figures += _caption_figures([data.pictures[i] for i in captioned], images[captioned], encode_texts)
    labelled = [i for i, picture in enumerate(data.pictures) if picture.label]
    if labelled:
        names = sorted({data.pictures[i].label for i in labelled})
        right = np.array([names.index(data.pictures[i].label) for i in labelled])
        vectors = _label_vectors(names, encode_texts)
        figures.append(
            measures.accuracy(f"accuracy of {len(names)} labels", images[labelled], vectors, right)
        )
    tagged = [i for i, picture in enumerate(data.pictures) if picture.tags]
    if tagged:
        names = sorted({tag for i in tagged for tag in data.pictures[i].tags})
        hits = np.array([[name in data.pictures[i].tags for i in tagged] for name in names])
        vectors = _label_vectors(names, encode_texts)
        figures.append(measures.average_precision(f"mAP of {len(names)} tags", images[tagged], vectors, hits))
    return figures


def _caption_figures(pictures: list[Picture], images: Vectors, encode_texts: EncodeTexts) -> list[Figure]:
    owner = np.array([i for i, picture in enumerate(pictures) for _ in picture.captions])
    texts = encode_texts([text for picture in pictures for text in picture.captions])
    figures = measures.retrieval(images, texts, owner)
    right = np.array([[shows(picture, word) for picture in pictures] for word in KEYWORDS])
    asked = np.flatnonzero(right.sum(1) >= LEAST_RIGHT)
    if len(asked):
        queries = encode_texts([KEYWORDS[i] for i in asked])
        name = f"precision@{FIRST} of {len(asked)} words"
        figures.append(measures.precision(name, images, queries, right[asked], FIRST))
    return figures


def shows(picture: Picture, word: str) -> bool:
    """Whether two of the captions (or the only one) hold the word or its plural."""
    forms = {word, f"{word}s", f"{word}es"}
    return sum(not forms.isdisjoint(text.split()) for text in picture.captions) >= min(
        2, len(picture.captions)
    )


def _label_vectors(names: Sequence[str], encode_texts: EncodeTexts) -> Vectors:
    """Unit means (names, d) over the prompts that ``photoclip tag`` asks with."""
    prompts = encode_texts([prompt.format(name) for name in names for prompt in tagging.PROMPTS])
    means = prompts.reshape(len(names), len(tagging.PROMPTS), -1).mean(1)
    unit: Vectors = means / np.linalg.norm(means, axis=1, keepdims=True)
    return unit


@cache
def _pixels(data: DataSet, preprocessing: Preprocessing) -> list[NDArray[np.uint8]]:
    """The photos as a model takes them, in batches of 32 or less; kept, for they are asked for many times."""
    size, batches = preprocessing.size, []
    for start in range(0, len(data.pictures), 32):
        shown = [_read(picture.path, preprocessing) for picture in data.pictures[start : start + 32]]
        batches.append(np.stack(shown).reshape(len(shown), size, size, 3))
    return batches


def _read(path: Path, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """The bytes (size * size * 3,) of a photo as a model takes it."""
    try:
        pixels = decode(os.fsencode(path), preprocessing).pixels
    except UnreadablePhoto as error:
        raise datasets.NoData(f"{path}: {error}") from error
    assert pixels is not None, "decoding was told a preprocessing"
    return np.frombuffer(pixels, np.uint8)


def judge(model: str, sets: Sequence[DataSet], device: str = "auto") -> dict[str, list[Figure]]:
    """All figures of a model by the names of the data sets."""
    from photoclip.encoders import registry

    encoder = registry.load(model, device)
    wanted = encoder.card.preprocessing
    return {data.name: scores(data, wanted, encoder.encode_images, encoder.encode_texts) for data in sets}


def table(results: dict[str, list[Figure]]) -> str:
    """The figures as text, in percent."""
    lines = [f"{'':42}{'figure':>8}   {'95 % interval':<15}{'chance':>7}{'n':>7}"]
    for name, figures in results.items():
        lines.append(name)
        lines += [
            f"  {f.name:40}{100 * f.value:8.1f}   {f'{100 * f.low:.1f} to {100 * f.high:.1f}':<15}"
            f"{100 * f.chance:7.1f}{f.count:7}"
            for f in figures
        ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m photoclip.training.judge",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model", default="builtin", help="as `photoclip models list` names it (default: builtin)"
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of shards, or of photos with a table"
    )
    parser.add_argument("--split", default="dev", help="rows of shards to judge on (default: dev)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--json", action="store_true", help="one JSON object in place of a table")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            results = judge(given.model, datasets.read(given.data, given.split, Path(scratch)), given.device)
        except (datasets.NoData, PhotoclipError) as error:
            print(f"error: {error}", file=sys.stderr)
            return getattr(error, "exit_code", 2)
    plain: dict[str, Any] = {name: [asdict(f) for f in figures] for name, figures in results.items()}
    print(json.dumps(plain, indent=2) if given.json else table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
