"""A whole encoder that is instant and explainable: it sees colours and reads colour words.

Tests of everything above this seam use it, and so can anyone who wants to try the commands without
a model: ``--model fake``. The model ``fake:slow`` is the same but takes 20 ms for each picture, so
that a test can stop a run in the middle.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from photoclip.records import ModelCard, Preprocessing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from photoclip.encoders import Float32, Uint8

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 20, 20),
    "orange": (255, 140, 0),
    "yellow": (250, 230, 30),
    "green": (30, 160, 40),
    "cyan": (30, 210, 220),
    "blue": (30, 60, 220),
    "purple": (130, 30, 160),
    "pink": (255, 150, 190),
    "brown": (120, 70, 30),
    "black": (0, 0, 0),
    "grey": (128, 128, 128),
    "white": (255, 255, 255),
}
"""The colour words it knows, and what each looks like (sRGB)."""

MOODS = ("bright", "dark", "warm", "cold")
"""The words for a picture as a whole: its mean brightness, and its mean of red less blue."""

WORDS = (*COLOURS, *MOODS)
"""The meaning of each of the 16 dimensions."""

_SPELLINGS = {"gray": "grey", "violet": "purple", "warmer": "warm", "colder": "cold"}
_SOFTNESS = 900.0
_MOOD_WEIGHT = 0.3
_FLOOR = 0.01
_SECONDS_PER_SLOW_PICTURE = 0.02


class FakeEncoder:
    """An encoder of 16 dimensions, one for each of ``WORDS``."""

    def __init__(self, *, slow: bool = False) -> None:
        self._pause = _SECONDS_PER_SLOW_PICTURE if slow else 0.0
        self.card = ModelCard(
            spec="fake:slow" if slow else "fake",
            weights_hash=hashlib.sha256(repr(COLOURS).encode()).hexdigest(),
            dimension=len(WORDS),
            preprocessing=Preprocessing(size=32, resize="squash", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
            name="colour words (for tests)",
        )

    def encode_images(self, pixels: Uint8) -> Float32:
        """Return how much of each word is in each picture: shape (n, 16), unit length.

        ``pixels``: uint8 RGB, shape (n, 32, 32, 3).
        """
        time.sleep(self._pause * len(pixels))
        flat = pixels.reshape(len(pixels), 32 * 32, 3).astype(np.float32)
        moods = _MOOD_WEIGHT * _moods(flat)
        return _unit(np.concatenate([_colour_shares(flat), moods], axis=1) + _FLOOR)

    def prepare(self, photos: int) -> None:
        """Do nothing: there is no faster form of this."""

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Return which of ``WORDS`` each text names: shape (len(texts), 16), unit length."""
        rows = np.full((len(texts), len(WORDS)), _FLOOR, dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"[a-z]+", text.lower()):
                word = _SPELLINGS.get(word, word)
                if word in WORDS:
                    row[WORDS.index(word)] = 1.0
        return _unit(rows)

    def export_text_tower(self, path: str) -> bool:  # noqa: ARG002 - the protocol names it
        """Write nothing and return False: this encoder is as light as a text tower."""
        return False


def _colour_shares(flat: Float32) -> Float32:
    """Return the share of each colour: every pixel is divided among the colours near it."""
    references = np.array(list(COLOURS.values()), dtype=np.float32)
    distances = ((flat[:, :, None, :] - references) ** 2).sum(axis=3)
    distances -= distances.min(axis=2, keepdims=True)
    weights = np.exp(-distances / _SOFTNESS)
    shares: Float32 = (weights / weights.sum(axis=2, keepdims=True)).mean(axis=1)
    return shares


def _moods(flat: Float32) -> Float32:
    """Return bright, dark, warm and cold of each picture, each 0..1."""
    brightness = flat.mean(axis=(1, 2)) / 255
    warmth = (flat[:, :, 0] - flat[:, :, 2]).mean(axis=1) / 255
    moods: Float32 = np.stack(
        [brightness, 1 - brightness, np.maximum(warmth, 0), np.maximum(-warmth, 0)], axis=1
    )
    return moods


def _unit(rows: NDArray[np.floating]) -> Float32:
    """Return ``rows`` scaled to unit length, float32."""
    unit: Float32 = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit
