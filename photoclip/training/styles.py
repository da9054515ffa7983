"""Photos rendered as what few captions speak of: black and white, sepia, blurred, night, sunset, sketch."""

from __future__ import annotations

import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

NAMES = {
    "grey": ("black and white photo", "black and white", "monochrome photo", "black and white picture"),
    "sepia": ("sepia photo", "old photo", "vintage photo", "old photograph"),
    "blurred": ("blurry photo", "blurred picture", "out of focus photo", "blurry"),
    "night": ("night", "night photo", "dark", "at night", "in the dark"),
    "sunset": ("sunset", "sunrise", "at sunset", "evening light", "dusk"),
    "sketch": ("pencil drawing", "sketch", "drawing", "line drawing"),
}
HINTS = {
    "grey": ("black and white", "grey photo"),
    "sepia": ("old",),
    "blurred": ("blur", "focus"),
    "night": ("night", "dark", "evening", "lit up", "lights", "concert", "stage"),
    "sunset": ("sunset", "sunrise", "dusk", "dawn", "evening", "silhouette", "sun "),
    "sketch": ("drawing", "sketch"),
}
"""Words of captions by which a photo may be of the style already."""


def _grey(image: Image.Image, rng: random.Random) -> Image.Image:
    return ImageEnhance.Contrast(image.convert("L")).enhance(rng.uniform(0.8, 1.5)).convert("RGB")


def _sepia(image: Image.Image, rng: random.Random) -> Image.Image:
    grey = ImageEnhance.Contrast(image.convert("L")).enhance(rng.uniform(0.6, 1.1))
    tint = rng.choice([(255, 235, 195), (250, 225, 170), (240, 220, 190)])
    return ImageOps.colorize(grey, (rng.randint(25, 55), rng.randint(15, 35), 10), tint)


def _blurred(image: Image.Image, rng: random.Random) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(image.width * rng.uniform(0.015, 0.04)))


def _night(image: Image.Image, rng: random.Random) -> Image.Image:
    depth = rng.uniform(1.6, 2.6)  # dark but for the lights, and bluish
    bright = rng.uniform(120, 225)
    dark = image.point([int(bright * (value % 256 / 255) ** depth) for value in range(768)])
    red, green, blue = dark.split()
    night = Image.merge("RGB", (red.point(lambda v: v * 7 // 10), green.point(lambda v: v * 8 // 10), blue))
    lamps = Image.new("RGB", image.size)
    pen, unit = ImageDraw.Draw(lamps), image.width / 80
    for _ in range(rng.randint(0, 14)):
        x, y, size = (
            rng.uniform(0, image.width),
            rng.uniform(0, image.height * 0.7),
            unit * rng.uniform(0.6, 2.2),
        )
        pen.ellipse(
            (x - size, y - size, x + size, y + size), fill=(255, rng.randint(180, 245), rng.randint(90, 200))
        )
    glow = lamps.filter(ImageFilter.GaussianBlur(unit * 1.5))
    return Image.composite(Image.new("RGB", image.size, (255, 225, 160)), night, glow.convert("L"))


def _sunset(image: Image.Image, rng: random.Random) -> Image.Image:
    sky = Image.new("RGB", (1, 4))
    sky.putdata([(70, 60, 120), (220, 90, 70), (255, 160, 60), (60, 35, 30)])
    gradient = sky.resize(image.size, Image.Resampling.BICUBIC)
    dark = ImageEnhance.Contrast(image).enhance(1.3).point([int(v % 256 * 0.75) for v in range(768)])
    return Image.blend(dark, gradient, rng.uniform(0.4, 0.6))


def _sketch(image: Image.Image, rng: random.Random) -> Image.Image:
    grey = image.convert("L").filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 1.2)))
    lines = ImageOps.invert(grey.filter(ImageFilter.FIND_EDGES))
    return ImageEnhance.Contrast(lines).enhance(rng.uniform(1.5, 3.0)).convert("RGB")


_RENDER: dict[str, Callable[[Image.Image, random.Random], Image.Image]] = {
    "grey": _grey,
    "sepia": _sepia,
    "blurred": _blurred,
    "night": _night,
    "sunset": _sunset,
    "sketch": _sketch,
}


def render(image: Image.Image, style: str, rng: random.Random) -> Image.Image:
    """The RGB image in a style (a key of ``NAMES``), of the same size."""
    return _RENDER[style](image, rng)


def hinted(texts: list[str]) -> set[str]:
    """The styles that captions hint at."""
    return {style for style, hints in HINTS.items() if any(hint in text for hint in hints for text in texts)}
