"""``photoclip status``."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from photoclip.api import Library
from photoclip.cli import render
from photoclip.cli.session import Session


def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")] = False,
) -> None:
    """Show what the library holds and which model answers.

    Example: photoclip status
    """
    session: Session = context.obj
    with session.library() as library:
        facts = _facts(library)
        session.note_cut_off(library)
    if as_json:
        render.put(render.to_json(facts) + b"\n")
        return
    rows = [
        ("library", facts["library"]),
        ("size", f"{facts['bytes'] / 1e6:.1f} MB"),
        ("model", facts["model"] or "none yet"),
        ("photos", facts["photos"]),
        ("embedded", f"{facts['embedded']} of {facts['contents']} different pictures"),
        ("missing", facts["missing"]),
        ("problems", facts["problems"]),
        ("tags", facts["tags"]),
        ("keywords", facts["keywords"]),
    ]
    if facts["model"] and not facts["text_without_torch"]:
        rows.append(("note", "this model's queries need torch, which takes seconds to load"))
    rows += [("indexed", root["path"]) for root in facts["roots"]]
    render.draw((("", "left"), ("", "left")), rows)


def _facts(library: Library) -> dict[str, Any]:
    inner = library.inner
    counts = inner.store.counts()
    spec = inner.model_spec()
    model = inner.store.model(spec) if spec else None
    embedded = 0 if model is None else inner.store.embedded(model.id)
    return {
        "library": os.fsencode(inner.directory),
        "model": spec,
        "model_name": model.card.name if model else None,
        **counts,
        "embedded": embedded,
        "text_without_torch": bool(model) and os.path.exists(inner.tower_path(model)) if model else False,
        "bytes": sum(
            os.path.getsize(os.path.join(folder, name))
            for folder, _, names in os.walk(inner.directory)
            for name in names
        ),
        "roots": [{"path": root} for root in inner.store.roots()],
    }
