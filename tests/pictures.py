"""Pictures for tests: drawn ones, the demo photographs, and what people do to photos."""

from __future__ import annotations

import os
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

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


def paint_many(folder: Path, count: int, first: int = 0) -> list[Path]:
    """Save ``count`` different pictures, of every colour in turn, numbered from ``first`` on."""
    words = list(COLOURS)
    paths = [folder / f"{number:03}.png" for number in range(first, first + count)]
    for number, path in enumerate(paths, first):
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


# -- pictures that are no photographs ---------------------------------------------------------------


def screenshot() -> Image.Image:
    """A settings window: a title bar, a list of sections, rows with switches."""
    picture = Image.new("RGB", (900, 640), (242, 242, 247))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(18)
    pen.rectangle((0, 0, 900, 44), fill=(222, 222, 228))
    for place, colour in enumerate(((255, 95, 87), (254, 188, 46), (40, 200, 64))):
        pen.ellipse((16 + 26 * place, 15, 30 + 26 * place, 29), fill=colour)
    pen.text((400, 12), "Settings", fill=(40, 40, 40), font=font)
    pen.rectangle((0, 44, 240, 640), fill=(230, 230, 236))
    for row, name in enumerate(
        ("General", "Sound", "Network", "Privacy", "Display", "Keyboard", "Mouse", "Users")
    ):
        pen.rounded_rectangle(
            (16, 64 + 44 * row, 40, 88 + 44 * row), 6, fill=(10 + 28 * row, 120, 255 - 28 * row)
        )
        pen.text((52, 66 + 44 * row), name, fill=(30, 30, 30), font=font)
    for row in range(7):
        pen.rounded_rectangle((270, 70 + 76 * row, 870, 132 + 76 * row), 12, fill=(255, 255, 255))
        pen.text((290, 90 + 76 * row), f"Turn on option number {row}", fill=(30, 30, 30), font=font)
        on = (52, 199, 89) if row % 2 else (200, 200, 205)
        pen.rounded_rectangle((790, 86 + 76 * row, 850, 116 + 76 * row), 15, fill=on)
    return picture


def receipt() -> Image.Image:
    """A till receipt on a dark table."""
    picture = Image.new("RGB", (600, 800), (74, 54, 40))
    paper = Image.new("RGB", (300, 700), (250, 250, 246))
    pen, font = ImageDraw.Draw(paper), ImageFont.load_default(17)
    pen.text((80, 20), "CORNER SHOP", fill="black", font=font)
    pen.text((60, 44), "24 High Street, Leeds", fill="black", font=font)
    for row in range(18):
        pen.text(
            (20, 100 + 24 * row),
            f"{['milk', 'bread', 'eggs', 'tea', 'rice', 'soap'][row % 6]} x{row}",
            fill="black",
            font=font,
        )
        pen.text((225, 100 + 24 * row), f"{1.35 * row + 0.9:6.2f}", fill="black", font=font)
    pen.line((20, 545, 280, 545), fill="black", width=2)
    pen.text((20, 555), "TOTAL", fill="black", font=ImageFont.load_default(26))
    pen.text((190, 555), "245.70", fill="black", font=ImageFont.load_default(26))
    pen.text((60, 640), "THANK YOU", fill="black", font=font)
    picture.paste(paper, (150, 50))
    return picture


def text_page() -> Image.Image:
    """A printed page: a heading and five paragraphs."""
    picture = Image.new("RGB", (850, 1100), (252, 252, 250))
    pen = ImageDraw.Draw(picture)
    words = ["It", "was", "a", "bright", "cold", "day", "in", "April", "and", "clocks", "were", "striking"]
    pen.text((90, 80), "Chapter One", fill=(20, 20, 20), font=ImageFont.load_default(34))
    font, choose = ImageFont.load_default(19), random.Random(0)
    for paragraph in range(5):
        for line in range(6):
            text = " ".join(choose.choices(words, k=4 if line == 5 else 13))
            pen.text((90, 150 + 180 * paragraph + 26 * line), text[:70], fill=(20, 20, 20), font=font)
    return picture


def chart() -> Image.Image:
    """A bar chart with its axes."""
    picture = Image.new("RGB", (800, 560), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(16)
    pen.text((290, 20), "Visitors per month", fill="black", font=ImageFont.load_default(24))
    pen.line((80, 70, 80, 480), fill="black", width=2)
    pen.line((80, 480, 760, 480), fill="black", width=2)
    for place, month in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep"]):
        height = (60, 90, 140, 200, 260, 330, 380, 340, 220)[place]
        pen.rectangle((100 + 72 * place, 480 - height, 148 + 72 * place, 480), fill=(66, 114, 196))
        pen.text((106 + 72 * place, 490), month, fill="black", font=font)
    for row in range(5):
        pen.text((40, 470 - 95 * row), str(100 * row), fill="black", font=font)
    return picture
