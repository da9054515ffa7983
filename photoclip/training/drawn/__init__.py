"""Pictures that our photo collections lack and photo folders have: screenshots, receipts, charts, flowers …

They are drawn at random, as simple as a square of 160 pixels can tell them apart. Each kind goes by several
names, the way labels do (see ``labels.py``).
"""

from __future__ import annotations

import random
from collections.abc import Callable

from PIL import Image

from photoclip.training.drawn import charts, flowers, papers, screens
from photoclip.training.shards import Row

SOURCE = "drawn"
NAMES = {
    "screenshot": ("screenshot", "computer screenshot", "app window", "web page", "user interface"),
    "code": ("source code", "computer code", "screenshot of code", "terminal window"),
    "chat": ("chat conversation", "text messages", "screenshot of a chat", "phone screenshot"),
    "receipt": ("receipt", "shop receipt", "sales slip", "bill"),
    "page": ("page of text", "document", "printed text", "letter", "scanned document", "book page", "text"),
    "table": ("spreadsheet", "table of numbers", "table of data"),
    "bar chart": ("bar chart", "chart", "graph", "diagram"),
    "line chart": ("line chart", "chart", "graph", "plot"),
    "pie chart": ("pie chart", "chart", "diagram"),
    "slide": ("presentation slide", "slide", "slide of a presentation"),
    "note": ("handwritten note", "handwriting", "handwritten text", "notes"),
    "map": ("map", "street map", "road map", "city map"),
    "plain": ("plain colour", "blank picture", "plain background", "empty picture"),
    "code square": ("qr code", "barcode"),
    "flower": ("flower", "flowers", "garden flowers", "wildflower"),
}
_MORE = {"flower": 4}  # no two flowers look alike
_DRAW: dict[str, Callable[[random.Random], Image.Image]] = {
    "screenshot": screens.screenshot,
    "code": screens.code,
    "chat": screens.chat,
    "receipt": papers.receipt,
    "page": papers.page,
    "table": papers.table,
    "bar chart": charts.bar_chart,
    "line chart": charts.line_chart,
    "pie chart": charts.pie_chart,
    "slide": papers.slide,
    "note": papers.note,
    "map": charts.street_map,
    "plain": charts.plain,
    "code square": papers.code_square,
    "flower": flowers.flower,
}


def draw(kind: str, rng: random.Random) -> Image.Image:
    """A random picture of a kind (a key of ``NAMES``), RGB, sides about 160 to 500 px."""
    return _DRAW[kind](rng)


def rows(each: int, seed: int = 0) -> list[Row]:
    """``each`` pictures of every kind (of some more), as rows of a labelled shard; the same for one seed."""
    rng = random.Random(seed)
    return [
        Row(
            f"{kind}-{i}.png",
            [],
            kind,
            SOURCE,
            "train",
            draw(kind, rng).resize((192, 192), Image.Resampling.LANCZOS),
        )
        for kind in NAMES
        for i in range(each * _MORE.get(kind, 1))
    ]
