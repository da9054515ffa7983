"""The page of duplicates, large: ``python -m tests.benchmarks.comparesheet --groups 10000``.

Writes the page, with pictures as detailed as photographs, and opens it in the Chromium of this machine, each
round as somebody new. *Shown* is when the first groups are to be seen with their pictures, *ready* when all
of the file is read and the page has answered a key; both from the moment the address is opened. Then the
whole list is scrolled through, a view a frame; a frame's time is what passes between two calls of
requestAnimationFrame.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from photoclip.pages.compare import side_for, write_comparison
from photoclip.records import DuplicateGroup, Photo, PhotoFacts
from photoclip.thumbnails import SIDE
from tests.benchmarks.report import machine, median, table
from tests.chromium import WIDE, installed

PICTURES = 100
_THERE = "performance.getEntriesByName('shown').length > 0 && document.readyState === 'complete'"
_SCROLL = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  const [times, most] = [[], {photos: 0, bare: 0}];
  scrollTo(0, 0);
  let last = await frame();
  while (scrollY + innerHeight < document.documentElement.scrollHeight - 1) {
    scrollBy(0, innerHeight * 0.9);
    const now = await frame();
    times.push(now - last);
    last = now;
    most.photos = Math.max(most.photos, document.querySelectorAll("#groups li").length);
    most.bare += document.querySelectorAll("#groups img:not([src])").length;
  }
  times.sort((one, other) => one - other);
  const at = (part) => times[Math.min(times.length - 1, Math.floor(times.length * part))];
  return {frames: times.length, middle: at(0.5), late: at(0.99), longest: at(1), ...most};
}"""


def photographs(count: int) -> list[bytes]:
    """Return thumbnails that take as many bytes as those of photographs do: about 15 kB."""
    made = []
    for seed in range(count):
        dice = np.random.default_rng(seed)
        soft = Image.fromarray(dice.integers(0, 256, (9, 12, 3), np.uint8)).resize(
            (320, 240), Image.Resampling.BICUBIC
        )
        grain = dice.normal(0, 9, (120, 160, 1)).repeat(2, 0).repeat(2, 1)
        picture = Image.fromarray((np.asarray(soft) + grain).clip(0, 255).astype(np.uint8))
        with io.BytesIO() as file:
            picture.save(file, "JPEG", quality=82, optimize=True)
            made.append(file.getvalue())
    return made


def duplicates(count: int) -> list[DuplicateGroup]:
    """Return groups of two to four photos, most of two, as large libraries have them."""
    dice = random.Random(0)
    groups = []
    for number in range(count):
        photos = []
        for copy in range(dice.choices((2, 3, 4), (8, 1, 1))[0]):
            folder = f"/home/ada/Pictures/{2000 + number % 25}/{('chosen', 'phone', 'mail')[copy % 3]}"
            path = f"{folder}/IMG_{number:05}-{copy}.jpg"
            facts = PhotoFacts(6000 >> copy, 4000 >> copy, "JPEG", "2021-07-14T18:03:11", "Canon EOS R5")
            photos.append(Photo(path.encode(), dice.randbytes(32), 9_000_000 >> copy, 0, facts))
        groups.append(DuplicateGroup("same picture", 0.95 + number % 50 / 1000, tuple(photos)))
    return groups


def written(folder: str, count: int) -> tuple[Path, float]:
    """Write the page; return where it is and the seconds it took."""
    pictures = photographs(PICTURES)

    def thumbnails(photos: Iterable[Photo]) -> Iterator[tuple[Photo, bytes | None]]:
        for number, photo in enumerate(photos):
            yield photo, pictures[number % PICTURES]

    groups, page = duplicates(count), Path(folder, "duplicates.html")
    began = time.perf_counter()
    write_comparison(page, groups, thumbnails)
    return page, time.perf_counter() - began


def opened(browser: Any, page: Path) -> dict[str, float]:
    """Open the page, scroll through it, and return what that took: seconds, milliseconds and megabytes."""
    context = browser.new_context(viewport=WIDE)
    sheet = context.new_page()
    sheet.set_default_timeout(120_000)
    sheet.goto(page.as_uri(), wait_until="commit")
    while not sheet.evaluate(_THERE):  # its policy lets nothing wait inside it
        time.sleep(0.05)
    sheet.keyboard.press("ArrowRight")
    ready = sheet.evaluate("new Promise(requestAnimationFrame).then(() => performance.now())") / 1000
    shown = sheet.evaluate("performance.getEntriesByName('shown')[0].startTime") / 1000
    seen: dict[str, float] = sheet.evaluate(_SCROLL)
    heap = sheet.evaluate("performance.memory.usedJSHeapSize") / 1e6
    context.close()
    return {"shown": shown, "ready": ready, "heap": heap, **seen}


def main() -> None:
    """Write the page, open it several times, and print the medians."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--groups", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(machine("pillow", "playwright"))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page, seconds = written(folder, options.groups)
        photos = sum(len(group.photos) for group in duplicates(options.groups))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        size = page.stat().st_size / 1e6
        print(f"{options.groups:,} groups, {photos:,} photos, {side_for(photos) or SIDE} px: {size:.1f} MB")
        print(f"written in {seconds:.1f} s, {peak:.0f} MB of memory at the most")
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        arguments.append("--enable-precise-memory-info")
        browser = driver.chromium.launch(executable_path=installed(), args=arguments)
        print(f"Chromium {browser.version}")
        rounds = [opened(browser, page) for _ in range(options.rounds)]
        browser.close()
    names = {
        "shown": "first groups shown, s",
        "ready": "ready, s",
        "frames": "frames of the scroll",
        "middle": "median frame, ms",
        "late": "99th percentile, ms",
        "longest": "longest frame, ms",
        "photos": "photos in the page at most",
        "bare": "of all seen, without a picture",
        "heap": "JS heap, MB",
    }
    rows = [
        [name, f"{median([one[key] for one in rounds]):.2f}", *(f"{one[key]:.2f}" for one in rounds)]
        for key, name in names.items()
    ]
    table(["", "median", *("" for _ in rounds)], rows)


if __name__ == "__main__":
    main()
