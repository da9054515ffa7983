"""Read photo shards: ``SOURCE.tar`` holds small JPEGs, ``SOURCE.jsonl.gz`` one JSON object per photo.

Keys of a row: ``file`` (name inside the tar), ``texts`` (captions or prompts), ``label`` (class name, may be
empty; several names joined by ``|``), ``source``, ``licence`` and ``split`` (``train`` or ``dev``, the latter
for judging only).
``texts.jsonl.gz`` holds captions without photos, one ``{"text": ..., "source": ...}`` per line.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

MAX_SIDE = 256  # px; longer photos are scaled down when they are read


@dataclass
class Row:
    """One photo of a shard: its texts, its label and, once read, its pixels (RGB)."""

    file: str
    texts: list[str]
    label: str
    source: str
    split: str
    image: Image.Image | None = None


def clean(text: str) -> str:
    """A caption the way it is used everywhere: lower case, single blanks, no full stop at the end."""
    return " ".join(text.lower().split()).rstrip(" .")


def sources(data: Path) -> list[str]:
    """Names of the shards in a folder."""
    return sorted(path.stem for path in data.glob("*.tar"))


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """All objects of a gzipped JSON-lines file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def read_rows(data: Path, source: str, split: str, pixels: bool = False) -> list[Row]:
    """The rows of one split of a shard, in file order; with ``pixels`` also the decoded photos."""
    rows = [
        Row(
            item["file"],
            [clean(text) for text in item["texts"]],
            item["label"],
            item["source"],
            item["split"],
        )
        for item in read_json_lines(data / f"{source}.jsonl.gz")
        if item["split"] == split
    ]
    if pixels:
        _read_pixels(data / f"{source}.tar", {row.file: row for row in rows})
    return rows


def _read_pixels(tar_path: Path, rows: dict[str, Row]) -> None:
    """Fill in ``image`` of every row found in the tar."""
    with tarfile.open(tar_path) as tar:
        for member in tar:
            row = rows.get(Path(member.name).name)
            stream = tar.extractfile(member) if row is not None else None
            if row is None or stream is None:
                continue
            image = Image.open(io.BytesIO(stream.read())).convert("RGB")
            image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC)
            row.image = image
    missing = [name for name, row in rows.items() if row.image is None]
    if missing:
        raise ValueError(f"{tar_path} lacks {len(missing)} photos of its rows, for example {missing[0]}")


def read_texts(data: Path) -> list[str]:
    """Captions without photos, cleaned; captions of dev photos are left out."""
    held_out = {
        text for source in sources(data) for row in read_rows(data, source, "dev") for text in row.texts
    }
    texts = {clean(item["text"]) for item in read_json_lines(data / "texts.jsonl.gz")}
    return sorted(texts - held_out - {""})
