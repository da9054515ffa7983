"""What people do to photos, each with a copy to show for it; for ``tests.benchmarks.duplicates``."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

Picture = Image.Image
Edit = Callable[[Picture, random.Random], Picture]


class Kind(NamedTuple):
    """A way to copy a photo. ``asked``: whether the goal for recall speaks of it."""

    name: str
    copy: Edit
    save: dict[str, Any]
    asked: bool = True


def resized(share: float) -> Edit:
    """Make both sides ``share`` as long."""
    return lambda picture, _: picture.resize(
        (max(1, round(picture.width * share)), max(1, round(picture.height * share))),
        Image.Resampling.LANCZOS,
    )


def cropped(share: float) -> Edit:
    """Take ``share`` of both sides away, anywhere."""

    def crop(picture: Picture, choose: random.Random) -> Picture:
        width, height = round(picture.width * (1 - share)), round(picture.height * (1 - share))
        left, top = choose.randint(0, picture.width - width), choose.randint(0, picture.height - height)
        return picture.crop((left, top, left + width, top + height))

    return crop


def enhanced(how: Callable[[Picture], Any], factor: float) -> Edit:
    """Change brightness or contrast by a factor."""
    return lambda picture, _: how(picture).enhance(factor)


def watermarked(picture: Picture, choose: random.Random) -> Picture:
    """Write two thirds of the width over the picture, half transparent, somewhere in its lower half."""
    text = "© Studio Example 2026"
    size = 0.67 * picture.width / ImageFont.load_default(100).getlength(text) * 100
    veil = Image.new("RGBA", picture.size)
    place = choose.uniform(0.02, 0.3) * picture.width, choose.uniform(0.5, 0.85) * picture.height
    ImageDraw.Draw(veil).text(place, text, (255, 255, 255, 128), ImageFont.load_default(size))
    return Image.alpha_composite(picture.convert("RGBA"), veil).convert("RGB")


def bordered(picture: Picture, choose: random.Random) -> Picture:
    """Put a white or black frame around, a twentieth of the longer side wide."""
    return ImageOps.expand(picture, max(picture.size) // 20, choose.choice(("white", "black")))


def straightened(degrees: float) -> Edit:
    """Turn, and cut to the largest part of the same proportions without empty corners."""

    def turn(picture: Picture, choose: random.Random) -> Picture:
        angle = math.radians(degrees)
        longer = max(picture.size) / min(picture.size)
        share = 1 / (math.cos(angle) + longer * math.sin(angle))
        whole = picture.rotate(choose.choice((-1, 1)) * degrees, Image.Resampling.BICUBIC)
        width, height = picture.width * share, picture.height * share
        left, top = (picture.width - width) / 2, (picture.height - height) / 2
        return whole.crop(tuple(map(round, (left, top, left + width, top + height))))  # type: ignore[arg-type]

    return turn


def turned(picture: Picture, choose: random.Random) -> Picture:
    """Turn by two degrees and leave the corners black."""
    return picture.rotate(choose.choice((-2, 2)), Image.Resampling.BICUBIC)


JPEG = {"format": "JPEG", "quality": 90}
KINDS = (
    *(Kind(f"resized to {share} %", resized(share / 100), JPEG) for share in (75, 50, 25)),
    *(
        Kind(f"JPEG, quality {quality}", lambda picture, _: picture, {"format": "JPEG", "quality": quality})
        for quality in (90, 60, 30)
    ),
    Kind("WebP", lambda picture, _: picture, {"format": "WEBP", "quality": 75}),
    *(Kind(f"cropped by {share} %", cropped(share / 100), JPEG, share <= 15) for share in (5, 10, 15, 20)),
    Kind("brighter by 30 %", enhanced(ImageEnhance.Brightness, 1.3), JPEG),
    Kind("darker by 30 %", enhanced(ImageEnhance.Brightness, 0.7), JPEG),
    Kind("more contrast, 40 %", enhanced(ImageEnhance.Contrast, 1.4), JPEG),
    Kind("less contrast, 40 %", enhanced(ImageEnhance.Contrast, 0.6), JPEG),
    Kind("grey", lambda picture, _: picture.convert("L"), JPEG),
    Kind("watermark", watermarked, JPEG),
    Kind("border", bordered, JPEG),
    *(Kind(f"straightened by {degrees}°", straightened(degrees), JPEG) for degrees in (1, 2, 3)),
    Kind("turned by 2°, black corners", turned, JPEG),
    Kind("mirrored", lambda picture, _: ImageOps.mirror(picture), JPEG, False),
)
