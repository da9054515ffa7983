"""``photoclip tag``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any

import typer

from photoclip import config
from photoclip.cli import render
from photoclip.cli.options import (
    AmongOption,
    DeviceOption,
    FailEmptyOption,
    FormatOption,
    Print0Option,
    TemplateOption,
)
from photoclip.cli.render import Format
from photoclip.cli.session import Session, read_paths
from photoclip.errors import BadUsage, NothingMatched
from photoclip.records import PhotoTags

FIELDS = ("path", "labels")


class Keep(str, Enum):
    """Where decisions are written."""

    none = "none"
    catalogue = "catalogue"


def tag(
    context: typer.Context,
    labels: Annotated[
        str, typer.Option("--labels", help="A file with one label a line (- is stdin).", metavar="FILE")
    ],
    write: Annotated[Keep, typer.Option("--write", help="Where to keep the tags.")] = Keep.catalogue,
    minimum: Annotated[
        float, typer.Option("--min", help="The least probability of a tag.", min=0.0, max=1.0)
    ] = 0.5,
    among: AmongOption = None,
    format: FormatOption = None,
    print0: Print0Option = False,
    template: TemplateOption = None,
    device: DeviceOption = "auto",
    fail_empty: FailEmptyOption = False,
) -> None:
    """Tag photos with the labels of your own list; a photo that fits none gets none.

    Example: photoclip tag --labels labels.txt

    In labels.txt stands one label a line; lines that begin with # do not count. A table and a list of
    paths show the tagged photos only; json and jsonl show every photo.
    """
    from photoclip.tagging import read_labels

    session: Session = context.obj
    style = render.Style.of(format, print0, template)
    if labels == "-" and among == "-":
        raise BadUsage("--labels and --among cannot both be read from stdin")
    config.one_blas_thread()
    wanted = None if among is None else read_paths(among)
    listed = read_labels(_read(labels), "stdin" if labels == "-" else labels)
    with session.library() as library:
        everything = style.template is None and style.format in (Format.json, Format.jsonl)
        decided = library.tag(
            listed, among=wanted, keep=write is Keep.catalogue, minimum=minimum, device=device
        )
        tagged = 0

        def rows() -> Any:
            nonlocal tagged
            for photo in decided:
                tagged += bool(photo.tags)
                if photo.tags or everything:
                    yield _row(photo)

        total = render.write(rows(), style, table=_draw, json_row=_json, fields=FIELDS)
    session.detail(f"{total} photos written")
    session.note(f"{tagged} photos carry a tag")
    if fail_empty and not tagged:
        raise NothingMatched("no label fits any photo")


def _read(source: str) -> str:
    try:
        if source == "-":
            return sys.stdin.buffer.read().decode("utf-8")
        with open(source, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise BadUsage(f"the labels cannot be read: {source}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadUsage(f"the labels are not UTF-8 text: {source}", "save the file as UTF-8") from error


def _row(photo: PhotoTags) -> render.Row:
    return {"path": photo.photo.path, "labels": ", ".join(t.label for t in photo.tags), "tags": photo.tags}


def _json(row: render.Row) -> dict[str, Any]:
    tags = [
        {"label": tag.label, "similarity": tag.similarity, "probability": tag.probability}
        for tag in row["tags"]
    ]
    return {"path": row["path"], "tags": tags}


def _draw(rows: Sequence[render.Row]) -> None:
    if rows:
        columns = (("tags", "fold"), ("photo", "left"))
        render.draw(
            columns,
            (
                (", ".join(f"{t.label} {t.probability:.2f}" for t in row["tags"]), render.near(row["path"]))
                for row in rows
            ),
        )
