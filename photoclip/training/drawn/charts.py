"""Drawn charts and maps, and plain colour."""

from __future__ import annotations

import math
import random

from PIL import Image

from photoclip.training.drawn.sheet import BRIGHT, WORDS, Sheet


def _axes(rng: random.Random) -> tuple[Sheet, tuple[int, int, int, int]]:
    """A sheet with a title, axes, ticks and perhaps a grid; and the box of the plot."""
    ground = rng.choice([(255, 255, 255), (255, 255, 255), (245, 245, 248), (235, 240, 245), (25, 28, 35)])
    sheet = Sheet(rng, (rng.randint(340, 460), rng.randint(260, 360)), ground)
    ink = (60, 60, 60) if sum(ground) > 300 else (210, 210, 210)
    width, height = sheet.size
    box = left, top, right, bottom = 44, 38, width - 20, height - 36
    sheet.write((width * 0.3, 10), sheet.words(2, 3), 15, ink)
    for i in range(6):
        y = bottom - (bottom - top) * i / 5
        if rng.random() < 0.7:
            sheet.pen.line((left, y, right, y), fill=(190, 190, 195))
        sheet.write((14, y - 6), str(i * 20), 10, ink)
        sheet.write((left + (right - left) * i / 5, bottom + 8), rng.choice(WORDS)[:4], 10, ink)
    sheet.pen.line((left, top, left, bottom, right, bottom), fill=ink, width=2)
    return sheet, box


def bar_chart(rng: random.Random) -> Image.Image:
    """Bars of one to three series."""
    sheet, (left, top, right, bottom) = _axes(rng)
    count, colours = rng.randint(3, 12), rng.sample(BRIGHT, 3)
    series = rng.choice((1, 1, 2, 3))
    slot = (right - left) / count
    for i in range(count):
        for j in range(series):
            x = left + slot * (i + 0.15) + slot * 0.7 * j / series
            high = bottom - (bottom - top) * rng.uniform(0.1, 0.95)
            sheet.pen.rectangle((x, high, x + slot * 0.7 / series - 1, bottom), fill=colours[j])
    return sheet.image


def line_chart(rng: random.Random) -> Image.Image:
    """One to four lines."""
    sheet, (left, top, right, bottom) = _axes(rng)
    for colour in rng.sample(BRIGHT, rng.randint(1, 4)):
        value, points, count = rng.random(), [], rng.randint(6, 40)
        for i in range(count):
            value = min(max(value + rng.gauss(0.01, 0.9 / math.sqrt(count) / 2), 0.02), 0.98)
            points.append((left + (right - left) * i / (count - 1), bottom - (bottom - top) * value))
        sheet.pen.line(points, fill=colour, width=rng.choice((2, 3, 4)))
        for x, y in points if count < 15 and rng.random() < 0.5 else []:
            sheet.pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour)
    return sheet.image


def pie_chart(rng: random.Random) -> Image.Image:
    """A pie or a doughnut with its legend."""
    sheet = Sheet(rng, (rng.randint(320, 440), rng.randint(260, 340)), (255, 255, 255))
    width, height = sheet.size
    sheet.write((width * 0.3, 8), sheet.words(2, 3), 15, (60, 60, 60))
    shares = [rng.uniform(0.3, 2) for _ in range(rng.randint(3, 7))]
    size, start = min(width, height) - 60, rng.uniform(0, 360)
    for i, share in enumerate(shares):
        sweep = 360 * share / sum(shares)
        sheet.pen.pieslice(
            (20, 40, 20 + size, 40 + size), start, start + sweep, fill=BRIGHT[i], outline="white"
        )
        start += sweep
        sheet.pen.rectangle((size + 40, 60 + 22 * i, size + 52, 72 + 22 * i), fill=BRIGHT[i])
        sheet.write((size + 58, 60 + 22 * i), rng.choice(WORDS), 11, (60, 60, 60))
    if rng.random() < 0.3:  # a doughnut
        hole = size * 0.27
        middle = 20 + size / 2
        sheet.pen.ellipse(
            (middle - hole, middle + 20 - hole, middle + hole, middle + 20 + hole), fill="white"
        )
    return sheet.image


def street_map(rng: random.Random) -> Image.Image:
    """Streets, parks and water."""
    sheet = Sheet(
        rng, (rng.randint(320, 440), rng.randint(320, 440)), rng.choice([(242, 239, 230), (235, 235, 235)])
    )
    (width, height), pen = sheet.size, sheet.pen

    def anywhere() -> tuple[float, float]:
        return rng.uniform(-40, width + 40), rng.uniform(-40, height + 40)

    for colour in ((200, 230, 180), (185, 220, 165), (160, 205, 235)):
        for _ in range(rng.randint(0, 3)):
            x, y = anywhere()
            corners = [(x + rng.uniform(-80, 80), y + rng.uniform(-80, 80)) for _ in range(6)]
            pen.polygon(corners, fill=colour)
    if rng.random() < 0.6:
        pen.line(
            [anywhere() for _ in range(4)], fill=(160, 205, 235), width=rng.randint(8, 24), joint="curve"
        )
    for wide, colour, count in ((3, (255, 255, 255), 30), (6, (255, 235, 150), 6), (8, (245, 170, 90), 2)):
        for _ in range(count):
            ends = anywhere(), anywhere()
            pen.line(ends, fill=(200, 195, 185), width=wide + 2)
            pen.line(ends, fill=colour, width=wide)
    for _ in range(rng.randint(5, 14)):
        sheet.write(anywhere(), sheet.words(1, 2)[:12], rng.choice((9, 11, 14)), (80, 80, 80))
    return sheet.image


def plain(rng: random.Random) -> Image.Image:
    """One colour, or one going over into another."""
    first, second = ([rng.randrange(256) for _ in range(3)] for _ in range(2))
    if rng.random() < 0.5:
        return Image.new("RGB", (160, 160), (first[0], first[1], first[2]))
    shade = Image.linear_gradient("L").resize((160, 160)).rotate(rng.choice((0, 90, 180, 270)))
    ends = [Image.new("RGB", (160, 160), (c[0], c[1], c[2])) for c in (first, second)]
    return Image.composite(ends[0], ends[1], shade)
