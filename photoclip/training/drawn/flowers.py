"""Drawn flowers: few photo collections at hand show any, and many people have photos of little else."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from photoclip.training.drawn.sheet import Colour

_SIDE = 160
_PETALS: tuple[Colour, ...] = (
    (235, 90, 140),
    (250, 200, 60),
    (240, 240, 235),
    (200, 40, 50),
    (150, 80, 200),
    (250, 150, 60),
    (255, 180, 200),
    (120, 120, 230),
)
_MIDDLES: tuple[Colour, ...] = ((240, 190, 40), (110, 70, 30), (200, 200, 80))
Pixels = np.ndarray[Any, np.dtype[np.float64]]


def flower(rng: random.Random) -> Image.Image:
    """One flower or a few in front of blurred green."""
    noise = np.random.default_rng(rng.getrandbits(32))
    bright = rng.uniform(0.4, 1.1)
    cells = noise.uniform((20, 60, 10), (110, 170, 70), (9, 9, 3)) * bright
    ground = Image.fromarray(cells.astype(np.uint8)).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    pixels = np.asarray(ground.filter(ImageFilter.GaussianBlur(5)), float)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        pixels = _bloom(pixels, rng, noise)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.7))


def _bloom(pixels: Pixels, rng: random.Random, noise: np.random.Generator) -> Pixels:
    """A bloom seen at some slant: whorls of petals, the inner ones above the outer, perhaps with a disc."""
    down, across = np.mgrid[:_SIDE, :_SIDE]
    right = across - _SIDE * rng.uniform(0.35, 0.65)
    below = (down - _SIDE * rng.uniform(0.35, 0.65)) / rng.uniform(0.6, 1)
    distance = np.hypot(right, below) / (_SIDE * rng.uniform(0.18, 0.62))
    angle = np.arctan2(below, right)
    colour = np.array(rng.choice(_PETALS), float)
    tip, base = (
        colour * rng.uniform(0.7, 1.1),
        rng.choice((colour * 0.6, colour * 1.1, np.array((250.0, 220, 120)))),
    )
    petals, whorls = rng.choice((5, 6, 8, 13, 21, 34)), rng.choice((1, 1, 2, 4, 7))
    for whorl in range(whorls):
        size, turn = 1 - 0.85 * whorl / whorls, rng.uniform(0, math.tau)
        aside = (
            np.abs((angle + turn) * petals / math.tau % 1 - 0.5) * 2
        )  # 0 along a petal's middle, 1 at its rim
        rim = size * (1 - 0.45 * aside ** rng.uniform(1.5, 4))
        inside = distance < rim
        along = (distance / size).clip(0, 1)
        light = (
            (1 - 0.45 * aside**2)
            * (0.75 + 0.3 * along)
            * (1 - 0.25 * np.exp(-(((rim - distance) * 12) ** 2)))
        )
        petal = (base * (1 - along[..., None]) + tip * along[..., None]) * light[..., None]
        pixels = np.where(inside[..., None], petal, pixels)
        if whorl + 1 < whorls:  # the shadow of the next whorl
            shaded = inside & (distance < 1.12 * (1 - 0.85 * (whorl + 1) / whorls))
            pixels = pixels * np.where(shaded, 0.75, 1)[..., None]
    if whorls < 4:
        disc = distance < rng.uniform(0.12, 0.3)
        grain = np.array(rng.choice(_MIDDLES)) * noise.uniform(0.7, 1.15, (_SIDE, _SIDE, 1))
        pixels = np.where(disc[..., None], grain, pixels)
    return pixels
