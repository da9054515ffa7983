"""Photos with captions or labels to judge models on, from shards or from a folder with a table.

A folder of shards is described in ``shards.py``. A table is a ``.csv`` file with a header or a ``.jsonl``
file, beside or above its photos, with one photo a line: ``file`` (path from the table's folder), and any
of ``caption`` (or ``texts``, a list), ``label`` (the right class) and ``tags`` (a list, or joined by commas).
"""

from __future__ import annotations

import csv
import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photoclip.training import shards


@dataclass(frozen=True)
class Picture:
    """A photo and what is known of it; what is not known is empty."""

    path: Path
    captions: tuple[str, ...] = ()
    label: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataSet:
    """Pictures that are judged against each other."""

    name: str
    pictures: tuple[Picture, ...]


class NoData(ValueError):
    """A folder, a table or a photo that cannot be judged on."""


def read(folder: Path, split: str, scratch: Path) -> list[DataSet]:
    """The data sets of a folder; photos of shards (the rows of one split) are unpacked into ``scratch``."""
    if not folder.is_dir():
        raise NoData(f"{folder} is no folder")
    found = [_shard(folder, source, split, scratch) for source in shards.sources(folder)]
    found += [_table(path) for path in sorted(folder.iterdir()) if path.suffix in (".csv", ".jsonl")]
    found = [data for data in found if data.pictures]
    if not found:
        raise NoData(
            f"{folder} holds neither shards with a split {split!r} nor a .csv or .jsonl table of photos"
        )
    return found


def _shard(folder: Path, source: str, split: str, scratch: Path) -> DataSet:
    """The rows of a shard. Texts of a labelled row are prompts made of its label, no captions."""
    rows = {row.file: row for row in shards.read_rows(folder, source, split)}
    target = scratch / source
    target.mkdir(parents=True, exist_ok=True)
    pictures = []
    with tarfile.open(folder / f"{source}.tar") as tar:
        for member in tar:
            row, stream = rows.get(os.path.basename(member.name)), tar.extractfile(member)
            if row is None or stream is None:
                continue
            path = target / row.file
            path.write_bytes(stream.read())
            tags = tuple(row.label.split("|")) if "|" in row.label else ()
            captions = () if row.label else tuple(row.texts)
            pictures.append(Picture(path, captions, "" if tags else row.label, tags))
    return DataSet(source, tuple(sorted(pictures, key=lambda picture: picture.path.name)))


def _table(path: Path) -> DataSet:
    """The lines of a table that name a file."""
    items: list[Any]
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            if path.suffix == ".csv":
                items = list(csv.DictReader(lines))
            else:
                items = [json.loads(line) for line in lines if line.strip()]
    except (ValueError, csv.Error) as error:
        raise NoData(f"{path} is no table: {error}") from error
    if not all(isinstance(item, dict) for item in items):
        raise NoData(f"{path} is no table: not every line is a JSON object")
    pictures = [_picture(path.parent, item) for item in items if item.get("file")]
    missing = [str(picture.path) for picture in pictures if not picture.path.is_file()]
    if missing:
        raise NoData(f"{path} names {len(missing)} photos that are not there, for example {missing[0]}")
    return DataSet(path.stem, tuple(pictures))


def _picture(folder: Path, item: dict[str, Any]) -> Picture:
    captions = _several(item.get("texts")) or ((item["caption"],) if item.get("caption") else ())
    return Picture(
        folder / item["file"],
        tuple(map(shards.clean, captions)),
        (item.get("label") or "").strip(),
        _several(item.get("tags")),
    )


def _several(value: list[str] | str | None) -> tuple[str, ...]:
    """A list as it is, a string taken apart at its commas."""
    parts = value.split(",") if isinstance(value, str) else value or ()
    return tuple(part.strip() for part in parts if part.strip())
