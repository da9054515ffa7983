"""What imagededup 0.3.3 says about photos: its own code, unchanged, in a Python that has it.

    python -m venv imagededup; imagededup/bin/pip install imagededup==0.3.3.post2

Its hashes need neither weights nor torchvision, but it imports both methods together, and torchvision does
not import beside a PyTorch it was not compiled with. Then two operators of torchvision are declared, that
nothing here calls. Its CNN loads weights by itself; where they cannot be had, its error is handed back.

Where there is no such Python, PHash and DHash are computed here as imagededup defines them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

VERSION = "0.3.3.post2"

Bits = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

_SAY = """
import json, os, sys
from importlib import metadata
import torch

version, answer = sys.argv[1:]
if metadata.version("imagededup") != version:
    sys.exit(f"imagededup is {metadata.version('imagededup')} there, not {version}")
try:
    import torchvision
except RuntimeError:
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from imagededup.methods import CNN, AHash, DHash, PHash, WHash

paths = json.load(sys.stdin)
said = {}
for method in (PHash, DHash, AHash, WHash):
    hasher = method(verbose=False)
    said[method.__name__] = [hasher.encode_image(image_file=path) for path in paths]
try:
    network = CNN(verbose=False)
    said["CNN"] = [network.encode_image(image_file=path).ravel().tolist() for path in paths]
except Exception as error:
    said["error"] = str(error)
with open(answer, "w") as file:
    json.dump(said, file)
"""
"""Run by imagededup's Python: paths come in by the input, hashes and the CNN's vectors go to a file."""


class Said(NamedTuple):
    """Of photos: the bits of each hash, (n, 64), the vectors of the CNN, (n, d) of unit length, if there are
    any, and why not."""

    hashes: dict[str, Bits]
    vectors: Floats | None
    error: str


def said_by(python: str, paths: Sequence[Path], folder: Path) -> Said:
    """Ask the package in the environment of ``python``; ``folder`` takes a file."""
    answer = folder / "imagededup.json"
    line = [python, "-I", "-c", _SAY, VERSION, str(answer)]
    subprocess.run(line, input=json.dumps([str(path) for path in paths]), text=True, check=True)
    said = json.loads(answer.read_text("utf-8"))
    error = said.pop("error", "")
    vectors = np.array(said.pop("CNN")) if "CNN" in said else None
    if vectors is not None:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Said({name: _bits(hashes) for name, hashes in said.items()}, vectors, error)


def _bits(hashes: list[str]) -> Bits:
    return np.unpackbits(np.array([list(bytes.fromhex(one)) for one in hashes], np.uint8), axis=1)


def as_defined(paths: Sequence[Path]) -> dict[str, Bits]:
    """Return PHash and DHash of photos, (n, 64) bits each, as imagededup defines them.

    PHash: the 8 x 8 lowest frequencies of 32 x 32 pixels against their median without the first. DHash: which
    pixels of 9 x 8 are darker than the one to their right.
    """
    frequency, place = np.arange(8)[:, None], np.arange(32)[None]
    waves = np.cos(np.pi * frequency * (2 * place + 1) / 64)
    first, second = [], []
    for path in paths:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        grey = np.asarray(picture.resize((32, 32), Image.Resampling.LANCZOS).convert("L"), np.float64)
        strengths = (waves @ grey @ waves.T).ravel()
        first.append(strengths >= np.median(strengths[1:]))
        grey = np.asarray(picture.resize((9, 8), Image.Resampling.LANCZOS).convert("L"))
        second.append((grey[:, 1:] > grey[:, :-1]).ravel())
    return {"PHash": np.array(first, np.uint8), "DHash": np.array(second, np.uint8)}
