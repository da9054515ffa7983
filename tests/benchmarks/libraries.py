"""Libraries to measure, made in seconds: many photos that do not exist, and a model that means nothing.

The weights are random, because no time depends on them; everything else is as ``index`` leaves it: the
catalogue, the embeddings, the text tower. The matrix comes with the first search.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from photoclip.library import OpenLibrary
from photoclip.records import DecodedPhoto, FileStamp, PhotoFacts, ScannedFile
from photoclip.store import FoundFile
from tests.benchmarks.neighbours import photo_like

ARCHITECTURE = "ViT-B-32"
_BATCH = 5_000
_PER_FOLDER = 500
_RENDERING = bytes(1024)


def weights(folder: Path, architecture: str = ARCHITECTURE) -> Path:
    """Return a file of random weights of ``architecture`` in ``folder``, made if need be."""
    file = folder / f"{architecture}.safetensors"
    if not file.exists():
        import open_clip
        import torch
        from safetensors.torch import save_file

        torch.manual_seed(0)
        save_file(open_clip.create_model(architecture).state_dict(), file)
    return file


def library(folder: Path, count: int, architecture: str = ARCHITECTURE, tree: Path = Path("/photos")) -> Path:
    """Return a library of ``count`` photos below ``tree`` (see ``photo_names``), kept in ``folder``, made if
    need be, and asked once. What is really in ``tree`` counts as indexed."""
    place = folder / f"library-{architecture}-{count}"
    if not place.exists():
        from photoclip.encoders import registry

        spec = f"{architecture}:{weights(folder, architecture)}"
        unfinished = place.with_suffix(".new")
        made = OpenLibrary.open_or_create(unfinished)
        encoder = registry.load(spec, "cpu")
        with made.lock("benchmark"):
            model = made.store.add_model(encoder.card)
            made.store.set_setting("model", encoder.card.spec)
            made.export_tower(model, encoder)
            for batch in _found(tree, count):
                made.store.record(model.id, batch, ())
        made.matrix(model)
        made.close()
        unfinished.rename(place)
    return place


def photo_names(tree: Path, count: int) -> Iterator[Path]:
    """Yield ``count`` paths, 500 to a folder, as a camera and its owner would name them."""
    for number in range(count):
        month = number // _PER_FOLDER
        yield tree / f"{2000 + month // 12:04}-{1 + month % 12:02}" / f"IMG_{number:07}.JPG"


def _found(tree: Path, count: int) -> Iterator[list[FoundFile]]:
    """Yield photos to record, batch by batch."""
    names = photo_names(tree, count)
    for start in range(0, count, _BATCH):
        rows = photo_like(min(_BATCH, count - start), seed=start)
        yield [_photo(os.fsencode(next(names)), row.astype("<f4", copy=False).tobytes()) for row in rows]


def _photo(path: bytes, vector: bytes) -> FoundFile:
    content = hashlib.sha256(path).digest()
    facts = PhotoFacts(4000, 3000, "JPEG", "2020-01-01T12:00:00", "Canon EOS R6", "RF24-105mm F4 L IS USM")
    try:
        stamp = FileStamp.of(os.stat(path))
    except FileNotFoundError:
        stamp = FileStamp(3_000_000, 10**18, 10**18, 1)
    return FoundFile(ScannedFile(path, stamp), content, DecodedPhoto(content, facts, b"", _RENDERING), vector)
