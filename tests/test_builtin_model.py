"""The model that ships: what it finds among photographs it was not trained on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from photoclip import Library
from photoclip.indexing import IndexOptions
from tests.conftest import ROOT, Made, environment
from tests.pictures import chart, receipt, screenshot, text_page

DRAWN: dict[str, Callable[[], Image.Image]] = {
    "a screenshot": screenshot,
    "a receipt": receipt,
    "a page of text": text_page,
    "a chart": chart,
}
PAGES = {"page.png", "text.png"}  # photographs of printed pages: right answers too


@pytest.fixture(scope="module")
def mixed(demo: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of the demo photographs and the four drawn pictures."""
    place = tmp_path_factory.mktemp("mixed")
    for name, draw in DRAWN.items():
        draw().save(place / f"{name}.png")
    with Library.open(demo.copy_to(place)) as library:
        library.index([place], IndexOptions(model="builtin", device="cpu"))
    return place / "copy-of-library"


@pytest.mark.parametrize("query", DRAWN)
def test_a_drawn_picture_comes_first_for_its_name(mixed: Path, query: str) -> None:
    with Library.open(mixed) as library:
        hits = [os.path.basename(hit.photo.path).decode() for hit in library.search(query, limit=5)]
    other = [name for name in hits if query != "a page of text" or name not in PAGES]
    assert other[0] == f"{query}.png"


def test_openclip_loads_the_model_after_one_call() -> None:
    program = (
        "from photoclip.encoders import builtin; import open_clip, sys\n"
        "model, _, transform = open_clip.create_model_and_transforms(builtin.register(), "
        "pretrained=str(builtin.WEIGHTS_PATH))\n"
        "print(sorted(name for name in sys.modules if name.startswith('photoclip')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=environment()
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['photoclip', 'photoclip.encoders', 'photoclip.encoders.builtin']"
