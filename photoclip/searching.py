"""Searching: query → embedding → neighbours → photos."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from photoclip.errors import BadUsage, UnreadableQuery
from photoclip.records import SearchHit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from photoclip.encoders import Float32
    from photoclip.library import OpenLibrary
    from photoclip.store import StoredModel

    Int64 = NDArray[np.int64]


class Query(NamedTuple):
    """What to look for: texts and example pictures, their embeddings added and normalised.

    ``limit`` is how many photos to return, ``minimum`` the least similarity, ``among`` the paths to
    choose from (None: the whole library).
    """

    texts: tuple[str, ...] = ()
    like: tuple[bytes, ...] = ()
    limit: int = 20
    minimum: float | None = None
    among: frozenset[bytes] | None = None
    device: str = "auto"


def search(library: OpenLibrary, query: Query) -> list[SearchHit]:
    """Return the photos that answer ``query`` best, by falling similarity, then by path.

    Never fewer than there are: min(limit, photos that qualify). Raises BadUsage for an empty query,
    UnreadableQuery for an example that is no picture, ModelUnavailable for a library without photos.
    """
    texts = _readable(query.texts)
    if not query.like and not texts:
        raise BadUsage(
            "there is nothing to search for", 'say what the photo shows: photoclip search "a red bus"'
        )
    model = library.model()
    vector = _query_embedding(library, model, texts, query)
    with library.store.snapshot():
        return _photos_near(library, model, vector, query)


def _readable(texts: Sequence[str]) -> list[str]:
    """Return the texts that say something; raises BadUsage for bytes that are no text."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        raise BadUsage("the description is not UTF-8 text", "check the letters of your terminal") from error
    return [text.strip() for text in texts if text.strip()]


def _query_embedding(library: OpenLibrary, model: StoredModel, texts: Sequence[str], query: Query) -> Float32:
    import numpy as np

    parts: list[Float32] = []
    if texts:
        parts.append(library.embed_texts(model, texts, query.device))
    parts += [_example_embedding(library, model, path, query.device)[None] for path in query.like]
    total = np.concatenate(parts).sum(axis=0)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-12), np.float32)


def _example_embedding(library: OpenLibrary, model: StoredModel, path: bytes, device: str) -> Float32:
    """Return the embedding of an example picture, shape (dimension,): the stored one if it is current."""
    import numpy as np

    path = os.path.abspath(path)
    known = library.store.embedding_at(path, model.id)
    if known is not None and _is_current(path, known[0].size, known[0].mtime_ns):
        return np.array(np.frombuffer(known[1], "<f4"), np.float32)
    from photoclip.encoders import registry
    from photoclip.images import UnreadablePhoto, decode_safely

    try:
        photo = decode_safely(path, model.card.preprocessing)
    except UnreadablePhoto as error:
        raise UnreadableQuery(f"the example cannot be read: {os.fsdecode(path)}: {error}") from error
    except OSError as error:
        raise UnreadableQuery(f"the example cannot be read: {os.fsdecode(path)}: {error.strerror}") from error
    size = model.card.preprocessing.size
    pixels = np.frombuffer(photo.pixels, np.uint8).reshape(1, size, size, 3)
    embeddings = registry.load(model.card.spec, device).encode_images(pixels)
    return np.asarray(embeddings[0], np.float32)


def _is_current(path: bytes, size: int, mtime_ns: int) -> bool:
    try:
        status = os.stat(path)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (size, mtime_ns)


def _photos_near(library: OpenLibrary, model: StoredModel, vector: Float32, query: Query) -> list[SearchHit]:
    """Take the nearest contents, and more of them, until enough of their photos qualify."""
    import numpy as np

    if query.limit <= 0:
        return []
    among = None
    if query.among is not None:
        contents = library.store.contents_at(query.among).values()
        among = np.array(sorted(set(contents)), np.int64)
    library.searches += 1
    wanted = query.limit + 16  # a few contents may have no photo left
    while True:
        ids, similarities = _nearest(library, model, vector, wanted, among)
        hits = _hits(library, ids.tolist(), similarities.tolist(), query)
        # The last similarity may go on beyond what was asked for; only a full list ends the search.
        if len(hits) >= query.limit or len(ids) < wanted:
            return hits[: query.limit]
        wanted *= 4


def _nearest(
    library: OpenLibrary, model: StoredModel, vector: Float32, wanted: int, among: Int64 | None
) -> tuple[Int64, Float32]:
    """Return ids and similarities of the nearest contents: by exact scan, or, where a process has asked
    so often that loading the graph pays, through it. While somebody indexes there may be two matrices, and
    a row that had to be made good is in both: of two answers the better counts once."""
    import numpy as np

    from photoclip.vectors import prefer_graph

    matrices = library.matrices(model)
    if among is None and len(matrices) == 1 and prefer_graph(len(matrices[0]), library.searches):
        graph = library.graph(model)
        if graph is not None:
            ids, similarities = graph.nearest(vector[None], wanted)
            return ids[0], similarities[0]
    answers = [matrix.nearest(vector, wanted, among=among) for matrix in matrices]
    if len(answers) == 1:
        return answers[0]
    all_ids, all_similarities = (np.concatenate(column) for column in zip(*answers, strict=True))
    order = np.lexsort((all_ids, -all_similarities))
    _, first = np.unique(all_ids[order], return_index=True)
    order = order[np.sort(first)][:wanted]
    return all_ids[order], all_similarities[order]


def _hits(
    library: OpenLibrary, ids: Sequence[int], similarities: Iterable[float], query: Query
) -> list[SearchHit]:
    photos = library.store.photos_of(ids)
    found = [
        (similarity, photo)
        for content_id, similarity in zip(ids, similarities, strict=True)
        if query.minimum is None or similarity >= query.minimum
        for photo in photos.get(content_id, ())
        if query.among is None or photo.path in query.among
    ]
    found.sort(key=lambda hit: (-hit[0], hit[1].path))
    return [SearchHit(rank, similarity, photo) for rank, (similarity, photo) in enumerate(found, start=1)]
