"""Indexing against its bound: ``python -m tests.benchmarks.index``.

JPEGs of 12 megapixels are indexed into a new library, by the built-in model and by a ViT-B-32 with random
weights (no time depends on them). In the same rounds, in turn:

* the bound: cores / (seconds of one core to encode a photo + seconds of one core to decode it),
* the serial loop most scripts have: Pillow's full decode, OpenCLIP's transform, eager float32 in batches of
  32 on all cores.

"from the first photo" leaves out the loading of PyTorch and of the weights, which a script has to wait for
too; the whole run is beside it. With ``--device cuda`` the bound is the smaller of the pure forward rate and
the rate of decoding on all cores.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

from photoclip import Library
from photoclip.config import cpu_count
from photoclip.encoders import registry
from photoclip.encoders.openclip import OpenClipEncoder
from photoclip.images.decoding import decode
from photoclip.indexing import IndexOptions, Silence
from tests.benchmarks.libraries import weights
from tests.benchmarks.report import ROUNDS, machine, median, table
from tests.pictures import demo_photographs

PIXELS = (4000, 3000)
SAMPLE = 32
"""Photos of a round that the bound and the serial loop are measured on."""


def photographs(folder: Path, count: int) -> list[Path]:
    """Return ``count`` different JPEGs of 12 megapixels and about 3 MB: enlarged, with the grain of a sensor.

    A few pictures are encoded; the others are these with other bytes after their end, which changes their
    content and not their decoding.
    """
    random = np.random.default_rng(0)
    encoded = []
    for path in demo_photographs().values():
        with Image.open(path) as opened:
            picture = opened.convert("RGB").resize(PIXELS, Image.Resampling.BICUBIC)
        grain = random.normal(0, 5, (PIXELS[1], PIXELS[0], 1))
        pixels = (np.asarray(picture) + grain).clip(0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=90)
        encoded.append(file.getvalue())
    folder.mkdir()
    paths = [folder / f"IMG_{number:05}.JPG" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(encoded[number % len(encoded)] + number.to_bytes(8, "big"))
    return paths


@dataclass
class Clock(Silence):
    """A watcher that remembers when the first photo was begun, and when the last was stored."""

    began: float = 0.0
    ended: float = 0.0

    def started(self, total: int) -> None:
        """Remember the moment."""
        self.began = time.perf_counter()

    def stored(self, done: int) -> None:
        """Remember the moment."""
        self.ended = time.perf_counter()


class Memory(threading.Thread):
    """Watches what a process and its children have in memory; a page that they share counts for each."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(pid)
        self.peak = 0
        self._done = threading.Event()

    def run(self) -> None:
        """Look five times a second."""
        while not self._done.wait(0.2):
            with contextlib.suppress(psutil.Error):  # one has just ended
                processes = (self._process, *self._process.children(recursive=True))
                self.peak = max(self.peak, sum(one.memory_info().rss for one in processes))

    def __enter__(self) -> Memory:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()


@dataclass
class Rounds:
    """The figures of all rounds: seconds of one core a photo, and photos a second."""

    encode: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    serial: list[float] = field(default_factory=list)
    peak: int = 0


def ours(spec: str, device: str, photos: Path, rounds: Rounds) -> None:
    """Index all photos into a new library, in a process of its own."""
    line = [sys.executable, "-m", "tests.benchmarks.index", "--run", spec, str(photos), "--device", device]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as process, Memory(process.pid) as memory:
        assert process.stdout is not None
        figures = json.loads(process.stdout.read())
    rounds.first.append(figures["first"])
    rounds.whole.append(figures["whole"])
    rounds.peak = max(rounds.peak, memory.peak)


def run(spec: str, folder: str, device: str) -> None:
    """Index ``folder`` into a new library and print how many photos a second that were."""
    with tempfile.TemporaryDirectory() as place, Library.open_or_create(place) as library:
        clock, began = Clock(), time.perf_counter()
        report = library.index([folder], IndexOptions(model=spec, device=device), clock)
        ended = time.perf_counter()
        assert report.embedded == report.added > 0, report
    print(
        json.dumps(
            {"whole": report.added / (ended - began), "first": report.added / (clock.ended - clock.began)}
        )
    )


def bound(encoder: OpenClipEncoder, photos: Sequence[Path], rounds: Rounds) -> None:
    """Measure what a photo costs to decode and to encode, on one core, with nothing beside it."""
    began = time.process_time()
    pictures = [decode(os.fsencode(path), encoder.card.preprocessing).pixels for path in photos]
    rounds.decode.append((time.process_time() - began) / len(photos))
    size = encoder.card.preprocessing.size
    pixels = np.frombuffer(b"".join(pictures), np.uint8).reshape(-1, size, size, 3)
    clock = time.process_time if encoder.device == "cpu" else time.perf_counter
    began = clock()
    encoder.encode_images(pixels)
    rounds.encode.append((clock() - began) / len(photos))


@torch.inference_mode()
def serial(model: Any, transform: Any, photos: Sequence[Path], device: str, rounds: Rounds) -> None:
    """Do what most scripts do."""
    began = time.perf_counter()
    pictures = []
    for path in photos:
        with Image.open(path) as picture:
            pictures.append(transform(picture))
    model.encode_image(torch.stack(pictures).to(device)).cpu()
    rounds.serial.append(len(photos) / (time.perf_counter() - began))


def measure(name: str, spec: str, device: str, photos: Sequence[Path], count: int) -> Sequence[str]:
    """Return the row of the table for one model."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    encoder = registry.load(spec, device)
    assert isinstance(encoder, OpenClipEncoder)
    encoder.prepare(len(photos))
    wanted = encoder.card.preprocessing
    transform = image_transform_v2(
        PreprocessCfg(wanted.size, "RGB", wanted.mean, wanted.std, wanted.interpolation, wanted.resize), False
    )
    rounds = Rounds()
    for number in range(count):
        sample = [photos[(number * SAMPLE + offset) % len(photos)] for offset in range(SAMPLE)]
        bound(encoder, sample, rounds)
        serial(encoder._model, transform, sample, device, rounds)
        ours(spec, device, photos[0].parent, rounds)
    encode, decoded = median(rounds.encode), median(rounds.decode)
    cores = cpu_count()
    limit = cores / (encode + decoded) if device == "cpu" else min(1 / encode, cores / decoded)
    first, slow = median(rounds.first), median(rounds.serial)
    form = encoder._tower.form if encoder._tower else device
    return (
        f"{name} ({form})",
        *(f"{1000 * encode:.1f}", f"{1000 * decoded:.1f}", f"{limit:.1f}", f"{first:.1f}"),
        *(
            f"{100 * first / limit:.0f} %",
            f"{median(rounds.whole):.1f}",
            f"{slow:.1f}",
            f"{first / slow:.1f}",
        ),
        f"{rounds.peak / 1e6:.0f}",
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--run", nargs=2, metavar=("SPEC", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--models", nargs="*", default=["builtin", "ViT-B-32"])
    arguments = parser.parse_args()
    if arguments.run:
        run(*arguments.run, arguments.device)
        return
    print(machine("torch", "open_clip_torch", "pillow", "openvino"))
    print(f"{arguments.photos} JPEGs of 12 megapixels, medians of {arguments.rounds} rounds in turn")
    with tempfile.TemporaryDirectory() as place:
        photos = photographs(Path(place) / "photos", arguments.photos)
        megabytes = sum(path.stat().st_size for path in photos) / len(photos) / 1e6
        print(f"{megabytes:.1f} MB a photo; the last column is MB of memory, all processes")
        rows = []
        for name in arguments.models:
            spec = name if name == "builtin" else f"{name}:{weights(Path(place), name)}"
            rows.append(measure(name, spec, arguments.device, photos, arguments.rounds))
    titles = ("model", "encode ms", "decode ms", "bound /s", "from the first photo /s", "of the bound")
    table((*titles, "whole run /s", "serial loop /s", "faster by", "MB"), rows)


if __name__ == "__main__":
    main()
