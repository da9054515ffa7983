"""Encoders turn pictures and texts into embeddings: the one seam between photoclip and a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from photoclip.records import ModelCard

    Float32 = NDArray[np.float32]
    Uint8 = NDArray[np.uint8]


class TextEncoder(Protocol):
    """Turns texts into embeddings."""

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Return unit-length float32 embeddings, shape (len(texts), dimension)."""
        ...


class Encoder(TextEncoder, Protocol):
    """A whole model. ``card`` says which."""

    card: ModelCard

    def encode_images(self, pixels: Uint8) -> Float32:
        """Return unit-length float32 embeddings, shape (n, dimension), of ``pixels``: uint8 RGB of
        shape (n, size, size, 3), resized as ``card.preprocessing`` says but not yet normalised."""
        ...

    def prepare(self, photos: int) -> None:
        """Get ready to encode about so many photos: what takes seconds pays for many only."""
        ...

    def export_text_tower(self, path: str) -> bool:
        """Write the text tower to ``path`` for ``encoders.text`` to run without torch.

        Return False, and write nothing, when this model's text side is of a kind that needs torch.
        """
        ...
