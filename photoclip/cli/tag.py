"""``photoclip tag``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from photoclip import config
from photoclip.cli import render, tagged
from photoclip.cli.options import (
    AmongOption,
    CheckOption,
    DeviceOption,
    ExplainPhotoOption,
    FailEmptyOption,
    FormatOption,
    LabelsOption,
    LabelsTemplateOption,
    LeastProbabilityOption,
    Print0Option,
    RemoveOption,
    SidecarStyle,
    SidecarStyleOption,
    SuggestOption,
    TopOption,
    Write,
    WriteOption,
)
from photoclip.cli.progress import counting
from photoclip.cli.render import Format
from photoclip.cli.session import Session, read_paths
from photoclip.cli.talk import counted
from photoclip.errors import BadUsage, NothingMatched, PhotoclipError
from photoclip.records import PhotoTags

if TYPE_CHECKING:
    from photoclip.labels import LabelList
    from photoclip.tagging import Tagging
    from photoclip.tagging.sharing import Shared

FIELDS = ("path", "labels")


def tag(
    context: typer.Context,
    labels: LabelsOption = None,
    write: WriteOption = Write.catalogue,
    sidecar_style: SidecarStyleOption = SidecarStyle.auto,
    minimum: LeastProbabilityOption = 0.3,
    top: TopOption = None,
    explain: ExplainPhotoOption = None,
    check: CheckOption = None,
    suggest: SuggestOption = None,
    remove: RemoveOption = False,
    among: AmongOption = None,
    format: FormatOption = None,
    print0: Print0Option = False,
    template: LabelsTemplateOption = None,
    device: DeviceOption = "auto",
    fail_empty: FailEmptyOption = False,
) -> None:
    """Tag photos with the labels of your own list; a photo that fits none gets none.

    Example: photoclip tag --labels labels.txt

    In labels.txt stands one label a line: beach, or dog = puppy, hound, or Animals/Dog. These lists are
    there already: builtin:everyday, builtin:scenes, builtin:documents-and-screens, builtin:screening.
    A table and a list of paths show the tagged photos only; json and jsonl show every photo.
    """
    session: Session = context.obj
    _refuse_contradictions(labels, write, sidecar_style, explain, check, suggest, remove, among)
    wanted = None if among is None else read_paths(among)
    if remove:
        _remove(session, labels, wanted)
        return
    assert labels is not None
    config.one_blas_thread()
    style = render.Style.of(format, print0, template)
    listed = _listed(labels)
    if explain is not None:
        tagged.explain_photo(session, listed, explain, minimum, top, format, device)
        return
    if check is not None:
        tagged.check_tags(session, labels, listed, check, suggest, minimum, top, format, device)
        return
    tagging: Tagging | None = None
    shared: Shared | None = None
    with session.library() as library:

        def rows() -> Iterator[render.Row]:  # a template that cannot be understood is known before the work
            nonlocal tagging, shared
            keep = write is not Write.none
            tagging = library.tag(listed, among=wanted, keep=keep, minimum=minimum, top=top, device=device)
            if write is Write.xmp:
                with counting(session, "writing sidecars") as progress:
                    shared = library.share_tags(listed, tagging.photos, sidecar_style.value, progress)
            everything = style.template is None and style.format in (Format.json, Format.jsonl)
            yield from (_row(photo) for photo in tagging.photos if photo.tags or everything)

        render.write(rows(), style, table=_draw, json_row=_json, fields=FIELDS)
    assert tagging is not None
    _say_what_came_of_it(session, tagging, wanted)
    _sum_up(session, shared)
    if fail_empty and not tagging.tagged:
        raise NothingMatched("no label fits any photo")


def _say_what_came_of_it(session: Session, tagging: Tagging, wanted: Sequence[bytes] | None) -> None:
    new = f"{counted(tagging.scored, 'picture')} new to this list" if tagging.scored else "nothing new"
    carry = "carries" if tagging.tagged == 1 else "carry"
    session.note(f"{tagging.tagged} of {counted(len(tagging.photos), 'photo')} {carry} a tag; {new}")
    session.detail(f"tags changed on {counted(tagging.changed, 'picture')}")
    if strangers := set(wanted or ()) - {photo.photo.path for photo in tagging.photos}:
        session.note(f"not in the library: {counted(len(strangers), 'listed path')}")


def _refuse_contradictions(
    labels: str | None,
    write: Write,
    sidecar_style: SidecarStyle,
    explain: str | None,
    check: str | None,
    suggest: str | None,
    remove: bool,
    among: str | None,
) -> None:
    if labels is None and not remove:
        raise BadUsage(
            "which labels? --labels is missing",
            "write one a line into a file, or begin with: photoclip tag --labels builtin:everyday",
        )
    if labels == "-" and among == "-":
        raise BadUsage("--labels and --among cannot both be read from stdin")
    given = [
        name for name, value in (("--explain", explain), ("--check", check), ("--remove", remove)) if value
    ]
    if len(given) > 1:
        raise BadUsage(f"{' and '.join(given)} cannot be asked for at once", "one after the other")
    if given and write is not Write.catalogue:
        raise BadUsage(f"{given[0]} writes no tags, so --write says nothing about it", "leave --write out")
    if suggest is not None and check is None:
        raise BadUsage("--suggest needs the truth about some photos", "name it with --check CSV")
    if sidecar_style is not SidecarStyle.auto and write is not Write.xmp:
        raise BadUsage("--sidecar-style is about --write xmp")
    if among is not None and (explain is not None or check is not None):
        raise BadUsage(f"{given[0]} names its photos itself, so --among says nothing about it")


def _listed(labels: str) -> LabelList:
    from photoclip.labels import open_labels, read_labels, text_of

    if labels == "-":
        return read_labels(text_of(sys.stdin.buffer.read(), "stdin"), "stdin")
    return open_labels(labels)


def _remove(session: Session, labels: str | None, among: Sequence[bytes] | None) -> None:
    listed = None if labels is None else _listed(labels)
    with session.library() as library, counting(session, "taking back") as progress:
        removed, shared = library.remove_tags(listed, among=among, progress=progress)
    session.note(f"{counted(removed, 'tag')} taken back")
    _sum_up(session, shared)


def _sum_up(session: Session, shared: Shared | None) -> None:
    """Say what came of the sidecars; raises PhotoclipError when some could not be written."""
    if shared is None:
        return
    if shared.written:
        session.note(f"{counted(shared.written, 'sidecar')} changed")
    session.note_some([f"not written: {os.fsdecode(path)}: {reason}" for path, reason in shared.refused])
    if shared.refused:
        raise PhotoclipError(f"{counted(len(shared.refused), 'sidecar')} could not be written")


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
