"""What all drawings are made with: a sheet to write and draw on, colours, and a table to lie on."""

from __future__ import annotations

import random

from PIL import Image, ImageDraw, ImageFont

from photoclip.training import labels

Colour = tuple[int, int, int]
WORDS = labels.words("drawn text")
INK: tuple[Colour, ...] = ((20, 20, 20), (40, 40, 60), (0, 0, 0), (60, 50, 50))
BRIGHT: tuple[Colour, ...] = (
    (220, 50, 47),
    (38, 139, 210),
    (60, 160, 70),
    (245, 160, 30),
    (110, 70, 170),
    (30, 170, 170),
    (230, 90, 150),
    (120, 120, 120),
)


class Sheet:
    """A picture being drawn, with its own randomness."""

    def __init__(self, rng: random.Random, size: tuple[int, int], ground: Colour) -> None:
        self.rng, self.size = rng, size
        self.image = Image.new("RGB", size, ground)
        self.pen = ImageDraw.Draw(self.image)

    def words(self, low: int, high: int) -> str:
        """A few words, the first one capitalised."""
        return " ".join(self.rng.choices(WORDS, k=self.rng.randint(low, high))).capitalize()

    def write(self, place: tuple[float, float], text: str, height: float, ink: Colour) -> float:
        """Write one line of text; returns its width."""
        font = ImageFont.load_default(max(height, 5))
        self.pen.text(place, text, fill=ink, font=font)
        return float(self.pen.textlength(text, font=font))

    def lines(self, box: tuple[float, float, float, float], height: float, ink: Colour) -> None:
        """Fill a box with lines of text, the last of a paragraph short."""
        left, top, right, bottom = box
        while top + height < bottom:
            font, text = ImageFont.load_default(max(height, 5)), ""
            room = (right - left) * (self.rng.uniform(0.3, 0.9) if self.rng.random() < 0.2 else 1.0)
            while self.pen.textlength(text, font=font) < room:
                text += self.rng.choice(WORDS) + " "
            self.pen.text((left, top), text.rsplit(" ", 2)[0], fill=ink, font=font)
            top += height * (2.2 if room < right - left else 1.4)


def darker(colour: Colour) -> Colour:
    """Half as bright."""
    return colour[0] // 2, colour[1] // 2, colour[2] // 2


def on_ground(image: Image.Image, ground: Colour, rng: random.Random) -> Image.Image:
    """The picture on a larger ground of one colour."""
    border = rng.randint(0, image.width // 3)
    whole = Image.new("RGB", (image.width + 2 * border, image.height + border), ground)
    whole.paste(image, (border, border // 2))
    return whole


def photographed(sheet: Sheet, rng: random.Random) -> Image.Image:
    """The sheet lying askew on something, unevenly lit."""
    width, height = sheet.size
    ground = rng.choice([(120, 85, 55), (60, 60, 65), (150, 150, 145), (90, 60, 40), (200, 190, 170)])
    whole = Image.new(
        "RGB", (int(width * rng.uniform(1.1, 1.8)), int(height * rng.uniform(1.05, 1.3))), ground
    )
    grain = Image.frombytes("L", (64, 64), rng.randbytes(64 * 64)).resize(whole.size).convert("RGB")
    whole = Image.blend(whole, grain, 0.15)
    turned = sheet.image.convert("RGBA").rotate(
        rng.uniform(-12, 12), expand=True, resample=Image.Resampling.BICUBIC
    )
    whole.paste(turned, ((whole.width - turned.width) // 2, (whole.height - turned.height) // 2), turned)
    light = Image.linear_gradient("L").resize(whole.size).rotate(rng.choice((0, 90, 180, 270)))
    light = light.resize(whole.size).point(lambda value: 150 + value * 105 // 255)
    dark = Image.new("RGB", whole.size)
    return Image.composite(whole, dark, light)
