"""Drawn papers: text, receipts, tables, slides, notes and square codes."""

from __future__ import annotations

import random

from PIL import Image, ImageDraw, ImageFont

from photoclip.training.drawn.sheet import BRIGHT, INK, Sheet, darker, on_ground, photographed


def page(rng: random.Random) -> Image.Image:
    """Lines of text on paper, in one column or two, flat or photographed."""
    paper = rng.choice([(255, 255, 255), (250, 248, 240), (240, 238, 230), (245, 240, 220)])
    sheet = Sheet(rng, (rng.randint(300, 380), rng.randint(380, 500)), paper)
    width, height = sheet.size
    ink, margin, size = rng.choice(INK), rng.randint(20, 45), rng.choice((7, 9, 11, 14))
    top = float(margin)
    if rng.random() < 0.6:
        sheet.write((margin, top), sheet.words(2, 4), size * 1.8, ink)
        top += size * 3.5
    if rng.random() < 0.25:  # two columns
        middle = width / 2
        sheet.lines((margin, top, middle - 8, height - margin), size, ink)
        sheet.lines((middle + 8, top, width - margin, height - margin), size, ink)
    else:
        sheet.lines((margin, top, width - margin, height - margin * rng.uniform(1, 4)), size, ink)
    return photographed(sheet, rng) if rng.random() < 0.3 else sheet.image


def receipt(rng: random.Random) -> Image.Image:
    """A strip of items and prices with a total."""
    sheet = Sheet(rng, (rng.randint(150, 220), rng.randint(300, 480)), (252, 252, 248))
    width, height = sheet.size
    ink, size = rng.choice(INK), rng.choice((9, 10, 12))
    top = 14.0
    for text, scale in (
        (sheet.words(1, 2).upper(), 1.6),
        (sheet.words(2, 3), 1.0),
        ("12/05/2024 14:31", 1.0),
    ):
        font = ImageFont.load_default(size * scale)
        sheet.pen.text((width / 2, top), text, fill=ink, font=font, anchor="mt")
        top += size * scale * 1.5
    sheet.pen.text((10, top), "-" * 60, fill=ink, font=ImageFont.load_default(size))
    top += size * 1.5
    while top < height - size * 8:
        sheet.write((12, top), sheet.words(1, 2)[:14], size, ink)
        price = ImageFont.load_default(size)
        sheet.pen.text((width - 12, top), f"{rng.uniform(0.5, 60):.2f}", fill=ink, font=price, anchor="ra")
        top += size * 1.5
    sheet.pen.text((10, top), "-" * 60, fill=ink, font=ImageFont.load_default(size))
    top += size * 1.5
    sheet.write((12, top), "TOTAL", size * 1.5, ink)
    total = ImageFont.load_default(size * 1.5)
    sheet.pen.text((width - 12, top), f"{rng.uniform(9, 300):.2f}", fill=ink, font=total, anchor="ra")
    if rng.random() < 0.6:
        left = 20.0
        while left < width - 20:
            stripe = rng.choice((1, 2, 3))
            sheet.pen.rectangle((left, height - size * 4, left + stripe, height - 12), fill=ink)
            left += stripe + rng.choice((1, 2, 3))
    return photographed(sheet, rng) if rng.random() < 0.6 else on_ground(sheet.image, (255, 255, 255), rng)


def table(rng: random.Random) -> Image.Image:
    """Rows and columns of numbers."""
    sheet = Sheet(rng, (rng.randint(340, 480), rng.randint(240, 360)), (255, 255, 255))
    width, height = sheet.size
    across, down = rng.choice((44, 60, 80)), rng.choice((13, 16, 20))
    sheet.pen.rectangle((0, 0, width, down), fill=rng.choice([*BRIGHT, (225, 225, 225)]))
    for y in range(0, height, down):
        sheet.pen.line((0, y, width, y), fill=(200, 200, 200))
        for x in range(0, width, across):
            first = x == 0 or y == 0
            text = sheet.words(1, 1)[:7] if first else f"{rng.uniform(0, 999):.{rng.choice((0, 1, 2))}f}"
            sheet.write((x + 4, y + 2), text, down * 0.6, (40, 40, 40))
    for x in range(0, width, across):
        sheet.pen.line((x, 0, x, height), fill=(200, 200, 200))
    return sheet.image


def slide(rng: random.Random) -> Image.Image:
    """A title with bullet points on a wide ground."""
    accent = rng.choice(BRIGHT)
    ground = rng.choice([(255, 255, 255), (255, 255, 255), (20, 40, 80), accent])
    ink = (40, 40, 50) if sum(ground) > 600 else (250, 250, 250)
    sheet = Sheet(rng, rng.choice([(480, 270), (440, 330)]), ground)
    width, height = sheet.size
    if rng.random() < 0.6:
        sheet.pen.rectangle((0, 0, width, rng.choice((8, 60))), fill=darker(accent))
    sheet.write((28, 16), sheet.words(2, 3), 28, ink)
    top = 84.0
    while top < height - 40 and rng.random() < 0.9:
        sheet.pen.ellipse((32, top + 6, 40, top + 14), fill=ink)
        sheet.write((52, top), sheet.words(2, 5)[:28], 18, ink)
        top += 34
    if rng.random() < 0.4:
        sheet.pen.rectangle((width * 0.68, 90, width - 30, height - 40), fill=rng.choice(BRIGHT))
    return sheet.image


def note(rng: random.Random) -> Image.Image:
    """Scribbled lines on paper."""
    paper = rng.choice([(255, 250, 235), (255, 242, 150), (250, 250, 250), (235, 240, 245)])
    sheet = Sheet(rng, (rng.randint(280, 400), rng.randint(280, 420)), paper)
    width, height = sheet.size
    gap, ink = (
        rng.choice((26, 32, 40)),
        rng.choice([(30, 40, 120), (30, 30, 30), (40, 60, 160), (150, 30, 30)]),
    )
    ruled = rng.random() < 0.5
    for y in range(gap, height - 10, gap):
        if ruled:
            sheet.pen.line((0, y, width, y), fill=(180, 200, 225))
        x, end = rng.uniform(14, 30), width * rng.uniform(0.5, 0.95)
        while x < end:  # a word: loops that drift to the right
            points, long = [], rng.randint(6, 22)
            for i in range(long):
                rise = gap * (0.55 if rng.random() < 0.2 else 0.28) * rng.random()
                points.append(
                    (x + 2.6 * i + rng.gauss(0, 1.5), y - 3 - (rise if i % 2 else 0) + rng.gauss(0, 1))
                )
            sheet.pen.line(points, fill=ink, width=rng.choice((1, 2)), joint="curve")
            x = points[-1][0] + gap * 0.4
    return photographed(sheet, rng) if rng.random() < 0.4 else sheet.image


def code_square(rng: random.Random) -> Image.Image:
    """A QR code or a barcode."""
    if rng.random() < 0.4:
        bars = Sheet(rng, (320, 200), (255, 255, 255))
        x = 20
        while x < 300:
            stripe = rng.choice((2, 4, 6))
            bars.pen.rectangle((x, 16, x + stripe, 160), fill=(0, 0, 0))
            x += stripe + rng.choice((2, 4, 6))
        bars.write((60, 168), " ".join(str(rng.randrange(10)) for _ in range(12)), 18, (0, 0, 0))
        return on_ground(bars.image, (255, 255, 255), rng)
    count = rng.choice((21, 25, 29))
    grid = Image.new("L", (count + 4, count + 4), 255)
    for x in range(count):
        for y in range(count):
            grid.putpixel((x + 2, y + 2), rng.choice((0, 255)))
    pen = ImageDraw.Draw(grid)
    for x, y in ((2, 2), (count - 5, 2), (2, count - 5)):
        pen.rectangle((x - 1, y - 1, x + 7, y + 7), fill=255)
        pen.rectangle((x, y, x + 6, y + 6), outline=0)
        pen.rectangle((x + 2, y + 2, x + 4, y + 4), fill=0)
    big = grid.resize((330, 330), Image.Resampling.NEAREST).convert("RGB")
    return on_ground(big, (255, 255, 255), rng)
