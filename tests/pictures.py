"""Pictures for tests: drawn ones, the demo photographs, and what people do to photos."""

from __future__ import annotations

import os
import random
from pathlib import Path

from PIL import Image

from photoclip.cli.demo import demo_folders
from photoclip.encoders.fake import COLOURS


def paint(path: Path | bytes, colour: str = "red", variant: int = 0, side: int = 16) -> Path:
    """Save a picture of one colour word; ``variant`` makes it another content of the same colour."""
    picture = Image.new("RGB", (side, side), COLOURS[colour])
    picture.putpixel((0, 0), (variant % 256, variant // 256 % 256, 7))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        picture.save(file, "PNG")
    return Path(os.fsdecode(path))


def paint_many(folder: Path, count: int) -> list[Path]:
    """Save ``count`` different pictures, of every colour in turn."""
    words = list(COLOURS)
    paths = [folder / f"{number:03}.png" for number in range(count)]
    for number, path in enumerate(paths):
        paint(path, words[number % len(words)], number)
    return paths


def scene(seed: int, width: int = 240, height: int = 160) -> Image.Image:
    """Return a picture full of detail, another one for every seed: blocks in all colours, blown up softly."""
    choose = random.Random(seed)
    small = Image.new("RGB", (12, 8))
    small.putdata([choose.choice(list(COLOURS.values())) for _ in range(12 * 8)])
    return small.resize((width, height), Image.Resampling.BICUBIC)


def resized(picture: Image.Image) -> Image.Image:
    """Return the picture at 60 % of its size."""
    size = (max(1, picture.width * 3 // 5), max(1, picture.height * 3 // 5))
    return picture.resize(size, Image.Resampling.LANCZOS)


def cropped(picture: Image.Image) -> Image.Image:
    """Return the picture without a tenth of its width and height."""
    across, down = picture.width // 10, picture.height // 10
    left, top = across // 3, 2 * down // 3
    return picture.crop((left, top, left + picture.width - across, top + picture.height - down))


def save_copies(picture: Image.Image, folder: Path, name: str) -> None:
    """Save a resized, a re-compressed and a cropped copy."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = picture.convert("RGB")
    resized(plain).save(folder / f"{name}-resized.png", compress_level=1)
    plain.save(folder / f"{name}-recompressed.jpg", quality=40)
    cropped(plain).save(folder / f"{name}-cropped.jpg", quality=90)


DEMO = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png",
    "coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png",
    "motorcycle_left.png", "motorcycle_right.png", "page.png", "retina.jpg", "rocket.jpg", "text.png",
    "china.jpg", "flower.jpg",
)  # fmt: skip
"""The photographs that come with scikit-image and scikit-learn (not their drawings and masks)."""


def demo_photographs() -> dict[str, Path]:
    """Return the demo photographs by name."""
    found = {path.name: path for folder in demo_folders() for path in Path(folder).iterdir()}
    return {name: found[name] for name in DEMO}
