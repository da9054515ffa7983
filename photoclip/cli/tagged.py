"""What ``photoclip tag`` says about its decisions: why, and how right they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from photoclip.cli import render, verdict
from photoclip.cli.render import Format
from photoclip.cli.session import Session
from photoclip.cli.talk import counted
from photoclip.errors import BadUsage, PhotoclipError
from photoclip.replacing import replacing

if TYPE_CHECKING:
    from photoclip.labels import LabelList
    from photoclip.tagging.truth import Suggestion

FIELDS = ("label", "similarity", "probability", "threshold", "tagged", "rival")
_LARGEST = 50_000_000


def explain_photo(
    session: Session,
    labels: LabelList,
    photo: str,
    minimum: float,
    top: int | None,
    format: Format | None,
    device: str,
) -> None:
    """Write how each label fares with a photo, the most probable first."""
    if format is Format.paths:
        raise BadUsage("--explain lists labels, which have no paths", "use table, json, jsonl, csv or tsv")
    with session.library() as library:
        found = library.explain_tags(labels, photo, minimum=minimum, top=top, device=device)
    style = render.Style.of(format or Format.table)
    render.write((one._asdict() for one in found), style, table=_draw, fields=FIELDS)


def check_tags(
    session: Session,
    source: str,
    labels: LabelList,
    check: str,
    suggest: str | None,
    minimum: float,
    top: int | None,
    format: Format | None,
    device: str,
) -> None:
    """Write how right tags are, and, where wanted, better thresholds into the labels.toml ``suggest``."""
    from photoclip.tagging.truth import read_truth

    if suggest is not None:
        _see_that_it_may_be_written(suggest, source)
    folder = os.fsencode(os.path.dirname(os.path.abspath(check)))
    truth = read_truth(_text(check), check, folder, labels.names)
    with session.library() as library:
        judged, better = library.check_tags(labels, truth, minimum=minimum, top=top, device=device)
    verdict.write(judged, better, format)
    for line in verdict.summary(judged, better):
        session.note(line)
    if suggest is not None:
        _write(session, suggest, source, labels, better)
    elif better:
        session.note("write them with: --suggest labels.toml")


def _see_that_it_may_be_written(target: str, source: str) -> None:
    if not target.lower().endswith(".toml"):
        raise BadUsage("--suggest writes a labels.toml", "give it a name that ends in .toml")
    if os.path.exists(target) and not _is_same(target, source):
        raise BadUsage(f"{target} is there already", "name a new file, or that of --labels")


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _write(
    session: Session, target: str, source: str, labels: LabelList, better: dict[str, Suggestion]
) -> None:
    from photoclip.labels import label_text, with_thresholds

    if not better:
        session.note("no threshold would be better; nothing was written")
        return
    is_toml = source.lower().endswith(".toml") or source.startswith("builtin:")
    folders = [os.path.realpath(os.path.dirname(os.path.abspath(path))) for path in (target, source)]
    text = with_thresholds(
        label_text(source) if is_toml else None,
        labels,
        {label: suggestion.threshold for label, suggestion in better.items()},
        moved=folders[0] != folders[1],
    )
    try:
        with replacing(os.fsencode(target)) as file:
            file.write(text)
    except OSError as error:
        raise PhotoclipError(f"{target} cannot be written: {error.strerror}") from error
    session.note(f"{counted(len(better), 'threshold')} written to {target}")


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise BadUsage(f"the truth cannot be read: {path}: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise BadUsage(f"{path} is too large", f"{_LARGEST // 10**6} MB at most")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadUsage(f"{path} is UTF-16, not UTF-8", "save the file as UTF-8")
    return data.decode("utf-8", "surrogateescape")  # names of files may hold any byte


def _draw(rows: Sequence[render.Row]) -> None:
    columns = (("", "left"), ("probability", "right"), ("at least", "right"), ("similarity", "right"))
    render.draw((*columns, ("label", "left"), ("speaks against it", "left")), map(_cells, rows))


def _cells(row: render.Row) -> tuple[Any, ...]:
    numbers = (f"{row['probability']:.2f}", f"{row['threshold']:.2f}", f"{row['similarity']:.3f}")
    return ("tag" if row["tagged"] else "", *numbers, row["label"], row["rival"] or "")
