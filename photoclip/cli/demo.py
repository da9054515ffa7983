"""``photoclip demo``."""

from __future__ import annotations

import importlib.util
import os
import tempfile

import typer

from photoclip.api import Library
from photoclip.cli import hits, render
from photoclip.cli.session import Session
from photoclip.cli.updates import run_index
from photoclip.errors import PhotoclipError

QUERIES = ("a cat", "a cup of coffee", "a submarine")
_FOLDERS = (("skimage", "data"), ("sklearn", "datasets", "images"))


def demo(context: typer.Context) -> None:
    """Index the photographs that come with scikit-image and scikit-learn, and search them.

    Example: photoclip demo

    Works offline, in a throw-away library; your own library is not touched.
    """
    from photoclip.indexing import IndexOptions

    session: Session = context.obj
    folders = demo_folders()
    with (
        tempfile.TemporaryDirectory(prefix="photoclip-demo-") as place,
        Library.open_or_create(os.path.join(place, "library")) as library,
    ):
        session.note("indexing the photographs of scikit-image and scikit-learn into a throw-away library")
        run_index(session, library, folders, IndexOptions(model="builtin", device="cpu"))
        for query in QUERIES:
            _show(library, query)
    session.note('now yours: photoclip index ~/Pictures, then: photoclip search "beach at sunset"')


def demo_folders() -> list[str]:
    """Return the folders with the photographs, or say how to get them."""
    folders = []
    for package, *inside in _FOLDERS:
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise PhotoclipError(
                "the demo photographs are not installed", "get them with: pip install 'photoclip[demo]'"
            )
        folders.append(os.path.join(found.submodule_search_locations[0], *inside))
    return folders


def _show(library: Library, query: str) -> None:
    render.put(f'\nphotoclip search "{query}" -n 3\n'.encode())
    found = library.search(query, limit=3, judged=True)
    if not any(hit.relevant for hit in found):
        render.put(hits.NO_ANSWER.encode() + b"\n")
    columns = (("rank", "right"), ("similarity", "right"), ("photo", "left"))
    rows = [(hit.rank, f"{hit.similarity:.3f}", os.path.basename(hit.photo.path)) for hit in found]
    render.draw(columns, rows, faint=[not hit.relevant for hit in found], line=hits.LOOK_ALIKES)
