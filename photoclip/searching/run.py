"""A search, from what is asked to the photos that answer it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Literal

from photoclip.errors import BadUsage
from photoclip.records import Contribution, Photo, SearchHit
from photoclip.searching.query import Part, Query

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from photoclip.encoders import Float32
    from photoclip.library import OpenLibrary
    from photoclip.searching.relevance import Relevance
    from photoclip.store import StoredModel

    Int64 = NDArray[np.int64]


def search(library: OpenLibrary, query: Query) -> list[SearchHit]:
    """Return the photos that answer ``query`` best, in the order it asks for.

    Never fewer than there are: min(limit, photos that qualify). Raises BadUsage for parts that cancel each
    other out, UnreadableQuery for an example that is no picture, ModelUnavailable where nothing is embedded.
    """
    parts = _readable(query.parts)
    if not parts:
        return _all_that_pass(library, query)
    model = library.model()
    rows = _embeddings(library, model, parts, query.device)
    vector = _sum(parts, rows)
    judged = query.relevant or query.judged or query.order == "relevance"
    words = _neutral_words(library, model, query) if judged else None
    with library.store.snapshot():
        relevance = None if words is None else _relevance(library, model, parts, vector, words)
        hits = _photos_near(library, model, vector, query, relevance)
        if query.explained:
            hits = _explained(library, model, hits, parts, rows)
    return _ordered(hits, query)


def _all_that_pass(library: OpenLibrary, query: Query) -> list[SearchHit]:
    """Answer a query that only says what photos must be, without looking at what they show."""
    if query.order in ("relevance", "similarity") or query.minimum is not None or query.relevant:
        raise BadUsage(
            "without a description there is no similarity", 'add one: photoclip search "a red bus"'
        )
    order: Literal["date", "path"] = "date" if query.order == "date" else "path"
    found = library.store.photos(query.where, order, query.reverse)
    photos = (photo for _, photo in found if query.among is None or photo.path in query.among)
    taken = islice(photos, max(query.limit, 0))
    return [SearchHit(rank, None, photo) for rank, photo in enumerate(taken, start=1)]


def _ordered(hits: list[SearchHit], query: Query) -> list[SearchHit]:
    """Return the best hits in another order, if asked for; photos without a date come last either way."""
    if query.order == "path":
        hits = sorted(hits, key=lambda hit: hit.photo.path, reverse=query.reverse)
    elif query.order == "date":
        hits = sorted(hits, key=lambda hit: (_date(hit.photo), hit.photo.path), reverse=query.reverse)
        hits.sort(key=lambda hit: not _date(hit.photo))
    else:
        if query.order == "relevance":
            hits = sorted(hits, key=lambda hit: not hit.relevant)
        if query.reverse:
            hits = hits[::-1]
    return hits


def _date(photo: Photo) -> str:
    return photo.facts.taken_at or ""


def _neutral_words(library: OpenLibrary, model: StoredModel, query: Query) -> Float32:
    from photoclip.searching.relevance import neutral_words

    return neutral_words(library, model, query.device)


def _relevance(
    library: OpenLibrary, model: StoredModel, parts: Sequence[Part], vector: Float32, words: Float32
) -> Relevance:
    from photoclip.searching.relevance import Relevance

    weights = {kind: sum(abs(p.weight) for p in parts if isinstance(p.what, kind)) for kind in (str, bytes)}
    pictures = weights[bytes] / (weights[str] + weights[bytes])
    return Relevance.of(library, model, vector, words, pictures)


def _explained(
    library: OpenLibrary, model: StoredModel, hits: list[SearchHit], parts: Sequence[Part], rows: Float32
) -> list[SearchHit]:
    """Return the hits, each with what the parts, whose embeddings are ``rows``, contributed to it."""
    import numpy as np

    length = float(np.linalg.norm(_weights(parts) @ rows))
    explained = []
    for hit in hits:
        _, row = library.store.embedding_at(hit.photo.path, model.id) or (None, bytes(rows[0].nbytes))
        similarities = (rows @ np.frombuffer(row, "<f4")).tolist()
        told = (
            Contribution(part.what, part.weight, similarity, part.weight * similarity / length)
            for part, similarity in zip(parts, similarities, strict=True)
        )
        explained.append(hit._replace(parts=tuple(told)))
    return explained


def _readable(parts: Sequence[Part]) -> list[Part]:
    """Return the parts that say something; raises BadUsage for bytes that are no text."""
    readable = []
    for part in parts:
        if isinstance(part.what, str):
            try:
                part.what.encode()
            except UnicodeEncodeError as error:
                hint = "check the letters of your terminal"
                raise BadUsage("the description is not UTF-8 text", hint) from error
            part = part._replace(what=part.what.strip())
        if part.what:
            readable.append(part)
    return readable


def _embeddings(library: OpenLibrary, model: StoredModel, parts: Sequence[Part], device: str) -> Float32:
    """Return the embeddings of the parts, (n, d)."""
    import numpy as np

    from photoclip.examples import example_embedding

    texts = [part.what for part in parts if isinstance(part.what, str)]
    words = iter(library.embed_texts(model, texts, device) if texts else ())
    rows = (
        next(words) if isinstance(part.what, str) else example_embedding(library, model, part.what, device)
        for part in parts
    )
    return np.stack(list(rows))


def _weights(parts: Sequence[Part]) -> Float32:
    import numpy as np

    return np.array([part.weight for part in parts], np.float32)


def _sum(parts: Sequence[Part], rows: Float32) -> Float32:
    """Return the weighed sum of the embeddings, of unit length; raises BadUsage if nothing is left of it."""
    import numpy as np

    weights = _weights(parts)
    total = weights @ rows
    length = float(np.linalg.norm(total))
    if length < 1e-3 * float(np.abs(weights).sum()):
        raise BadUsage("the parts of the query cancel each other out", "leave one of them out")
    return np.asarray(total / length, np.float32)


def _photos_near(
    library: OpenLibrary, model: StoredModel, vector: Float32, query: Query, relevance: Relevance | None
) -> list[SearchHit]:
    """Take the nearest contents, and more of them, until enough of their photos qualify.

    Which photos are relevant does not follow from their similarity alone. To look for them ends where
    three times as many as before brought none.
    """
    if query.limit <= 0 or (query.relevant and relevance and not relevance.holds_an_answer):
        return []
    among = _contents_allowed(library, query)
    library.searches += 1
    wanted = query.limit + 16  # a few contents may have no photo left
    before = -1
    while True:
        ids, similarities = _nearest(library, model, vector, wanted, among)
        hits = _hits(library, ids.tolist(), similarities.tolist(), query, relevance)
        # The last similarity may go on beyond what was asked for; only a full list ends the search.
        if len(hits) >= query.limit or len(ids) < wanted or (query.relevant and len(hits) == before):
            return hits[: query.limit]
        before = len(hits)
        wanted *= 4


def _contents_allowed(library: OpenLibrary, query: Query) -> Int64 | None:
    """Return the ids of the contents that have a photo which may be in the answer; None for all."""
    import numpy as np

    allowed = None
    if query.among is not None:
        allowed = set(library.store.contents_at(query.among).values())
    if query.where is not None:
        passing = library.store.contents_where(query.where)
        allowed = set(passing) if allowed is None else allowed.intersection(passing)
    return None if allowed is None else np.array(sorted(allowed), np.int64)


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
    library: OpenLibrary,
    ids: Sequence[int],
    similarities: Iterable[float],
    query: Query,
    relevance: Relevance | None,
) -> list[SearchHit]:
    photos = library.store.photos_of(ids, query.where)
    margins = [None] * len(ids) if relevance is None else relevance.margins(ids).tolist()
    found = [
        (similarity, photo, margin)
        for content_id, similarity, margin in zip(ids, similarities, margins, strict=True)
        if query.minimum is None or similarity >= query.minimum
        if not query.relevant or margin >= 0
        for photo in photos.get(content_id, ())
        if query.among is None or photo.path in query.among
    ]
    found.sort(key=lambda hit: (-hit[0], hit[1].path))
    return [
        SearchHit(rank, similarity, photo, margin, None if margin is None else margin >= 0)
        for rank, (similarity, photo, margin) in enumerate(found, start=1)
    ]
