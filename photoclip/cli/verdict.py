"""How right tags are, for people and for programs: what ``photoclip tag --check`` writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from photoclip.cli import render
from photoclip.cli.render import Format, Style
from photoclip.cli.talk import counted, harmless
from photoclip.errors import BadUsage

if TYPE_CHECKING:
    from photoclip.tagging.truth import LabelVerdict, Suggestion, Verdict

FIELDS = ("label", "photos", "right", "wrong", "missed", "precision", "recall", "f1", "threshold", "f1_then")
_NAMED = 3


def write(verdict: Verdict, suggestions: Mapping[str, Suggestion], format: Format | None) -> None:
    """Write a row for each label to stdout: a table, unless another ``format`` is asked for.

    Raises BadUsage for a list of paths, since labels have none.
    """
    if format is Format.paths:
        raise BadUsage(
            "--check lists labels, which have no paths", "use --format table, json, jsonl, csv or tsv"
        )
    style = Style(format or Format.table)
    found = [_row(label, suggestions.get(label.label)) for label in verdict.labels]
    render.write(found, style, table=_draw, fields=FIELDS)


def summary(verdict: Verdict, suggestions: Mapping[str, Suggestion]) -> Iterator[str]:
    """Yield what is to be said about all labels, line by line."""
    shown = sum(1 for label in verdict.labels if label.shown)
    labels = counted(len(verdict.labels), "label")
    yield f"{counted(verdict.photos, 'photo')} judged, which show {shown} of {labels}"
    if verdict.macro_f1 is not None:
        together = _share(verdict.together.f1)
        yield f"F1, mean of these labels: {verdict.macro_f1:.2f}; of all tags together: {together}"
    if verdict.wrong_without:
        yield f"{counted(verdict.wrong_without, 'tag')} of labels that none of these photos shows"
    if suggestions:
        yield f"another threshold would be better for {counted(len(suggestions), 'label')}"
    if verdict.unknown:
        named = ", ".join(harmless(render.cell(render.near(path))) for path in verdict.unknown[:_NAMED])
        more = ", …" if len(verdict.unknown) > _NAMED else ""
        yield f"not in the library, and not judged: {counted(len(verdict.unknown), 'photo')} ({named}{more})"


def _row(label: LabelVerdict, suggestion: Suggestion | None) -> render.Row:
    return {
        "label": label.label,
        "photos": label.shown,
        "right": label.right,
        "wrong": label.wrong,
        "missed": label.missed,
        "precision": _rounded(label.precision),
        "recall": _rounded(label.recall),
        "f1": _rounded(label.f1),
        "threshold": suggestion and suggestion.threshold,
        "f1_then": suggestion and _rounded(suggestion.f1_then),
    }


def _draw(rows: Sequence[render.Row]) -> None:
    titles = ("photos", "right", "wrong", "missed", "precision", "recall", "F1")
    columns = [(title, "right") for title in titles]
    suggested = any(row["threshold"] is not None for row in rows)
    if suggested:
        columns += [("better at", "right"), ("F1 then", "right")]
    render.draw((*columns, ("label", "left")), (_cells(row, suggested) for row in rows))


def _cells(row: render.Row, suggested: bool) -> list[object]:
    counts = [row[name] for name in ("photos", "right", "wrong", "missed")]
    shares = [_share(row[name]) for name in ("precision", "recall", "f1")]
    better = [row["threshold"], _share(row["f1_then"]) if row["f1_then"] is not None else ""]
    return [*counts, *shares, *(better if suggested else ()), row["label"]]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
