"""Drawn screens: windows, program code, chats."""

from __future__ import annotations

import random

from PIL import Image

from photoclip.training.drawn.sheet import BRIGHT, WORDS, Sheet, darker


def screenshot(rng: random.Random) -> Image.Image:
    """A window or web page with a bar, a list and cards, light or dark."""
    dark = rng.random() < 0.3
    ground, ink = ((32, 33, 36), (225, 225, 225)) if dark else ((250, 250, 250), (50, 50, 50))
    panel = tuple(value + 18 if dark else value - 14 for value in ground)
    accent = rng.choice(BRIGHT)
    sheet = Sheet(rng, rng.choice([(480, 300), (480, 360), (420, 420), (270, 480)]), ground)
    (width, height), pen = sheet.size, sheet.pen
    pen.rectangle((0, 0, width, 22), fill=panel if rng.random() < 0.6 else accent)
    for i in range(3):
        pen.ellipse((8 + 14 * i, 7, 16 + 14 * i, 15), fill=BRIGHT[i])
    pen.rounded_rectangle((60, 5, width - 30, 18), 6, fill=ground)
    sheet.write((68, 6), "www." + rng.choice(WORDS) + ".com", 9, ink)
    left = 0
    if rng.random() < 0.6 and width > 300:
        left = rng.randint(80, 120)
        pen.rectangle((0, 23, left, height), fill=panel)
        for top in range(34, height - 20, rng.choice((18, 22, 28))):
            pen.rectangle((10, top, 18, top + 8), fill=rng.choice(BRIGHT))
            sheet.write((24, top - 1), sheet.words(1, 2)[:11], 9, ink)
    sheet.write((left + 16, 32), sheet.words(1, 3), 17, ink)
    rows, columns = rng.randint(1, 4), rng.randint(1, 3)
    across, down = (width - left - 24) / columns, (height - 64) / rows
    for row in range(rows):
        for column in range(columns):
            x, y = left + 14 + across * column, 58 + down * row
            pen.rounded_rectangle((x, y, x + across - 10, y + down - 10), 5, fill=panel)
            if rng.random() < 0.4:
                pen.rectangle((x + 6, y + 6, x + across * 0.4, y + down * 0.5), fill=rng.choice(BRIGHT))
            sheet.lines((x + 8, y + down * 0.55, x + across - 20, y + down - 12), 8, ink)
    if rng.random() < 0.6:
        pen.rounded_rectangle((width - 90, height - 34, width - 16, height - 14), 5, fill=accent)
        sheet.write(
            (width - 78, height - 30), rng.choice(("Save", "Send", "Sign in", "OK")), 11, (255, 255, 255)
        )
    return sheet.image


def code(rng: random.Random) -> Image.Image:
    """Coloured lines of a program."""
    dark = rng.random() < 0.75
    sheet = Sheet(
        rng, (rng.randint(320, 480), rng.randint(240, 360)), (30, 31, 40) if dark else (253, 253, 250)
    )
    inks = [(230, 220, 120), (120, 200, 240), (150, 220, 130), (230, 120, 150), (215, 215, 215)]
    size, depth, top = rng.choice((9, 11, 13)), 0, 10.0
    while top < sheet.size[1]:
        depth = max(0, min(5, depth + rng.choice((-1, 0, 0, 1))))
        left = 26.0 + depth * size * 1.6
        sheet.write((4, top), str(int(top // size)), size, (110, 110, 120))
        for _ in range(rng.randint(0, 5)):
            token = rng.choice(WORDS) + rng.choice(("", "(", " =", ");", ":", "."))
            ink = rng.choice(inks)
            left += sheet.write((left, top), token, size, ink if dark else darker(ink)) + size * 0.5
        top += size * 1.35
    return sheet.image


def chat(rng: random.Random) -> Image.Image:
    """Speech bubbles left and right."""
    ground = rng.choice([(255, 255, 255), (236, 229, 221), (20, 24, 28), (230, 240, 250)])
    sheet = Sheet(rng, (240, rng.randint(380, 480)), ground)
    mine, theirs = rng.choice(BRIGHT), (235, 235, 238) if sum(ground) > 300 else (60, 62, 68)
    sheet.pen.rectangle((0, 0, 240, 34), fill=theirs)
    sheet.pen.ellipse((8, 6, 30, 28), fill=mine)
    sheet.write((40, 9), sheet.words(1, 1), 13, (90, 90, 90))
    top = 46.0
    while top < sheet.size[1] - 40:
        wide, tall, own = rng.randint(70, 165), rng.choice((22, 36, 50)), rng.random() < 0.5
        left = 232 - wide if own else 8
        sheet.pen.rounded_rectangle((left, top, left + wide, top + tall), 9, fill=mine if own else theirs)
        ink = (255, 255, 255) if own or sum(ground) <= 300 else (30, 30, 30)
        sheet.lines((left + 8, top + 5, left + wide - 8, top + tall), 9, ink)
        top += tall + rng.choice((6, 12))
    return sheet.image
