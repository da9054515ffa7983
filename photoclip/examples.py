"""The embedding of a picture that the user shows as an example, in the library or not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from photoclip.errors import UnreadableQuery

if TYPE_CHECKING:
    from photoclip.encoders import Float32
    from photoclip.library import OpenLibrary
    from photoclip.store import StoredModel


def example_embedding(library: OpenLibrary, model: StoredModel, path: bytes, device: str) -> Float32:
    """Return the embedding of the picture at ``path``, (d,): the stored one if it is current, or the file
    is away; else the model is loaded.

    Raises UnreadableQuery when it is no picture, ModelUnavailable when the weights are not there.
    """
    import numpy as np

    known = library.store.embedding_at(path, model.id)
    if known is not None and _is_current_or_away(path, (known[0].size, known[0].mtime_ns)):
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


def example_hash(library: OpenLibrary, path: bytes) -> bytes:
    """Return the SHA-256 of the picture at ``path``; raises UnreadableQuery when it cannot be read."""
    import hashlib

    content_id = library.store.contents_at([path]).get(path)
    photos = [] if content_id is None else library.store.photos_of([content_id])[content_id]
    for photo in photos:
        if photo.path == path and _is_current_or_away(path, (photo.size, photo.mtime_ns)):
            return photo.content_hash
    try:
        with open(path, "rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise UnreadableQuery(f"the example cannot be read: {os.fsdecode(path)}: {error.strerror}") from error
    return digest.digest()


def _is_current_or_away(path: bytes, known: tuple[int, int]) -> bool:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == known
