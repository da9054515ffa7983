"""Duplicates side by side: what is in the file, and what a real browser makes of it."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import shlex
import subprocess
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from PIL import Image

from photoclip.errors import BadUsage
from photoclip.images.thumbnails import smaller
from photoclip.pages.compare import side_for, write_comparison
from photoclip.pages.sheet import write_sheet
from photoclip.records import DuplicateGroup, Level, Photo, PhotoFacts
from tests.chromium import PHONE, Chromium, Sight, chromium
from tests.pictures import scene
from tests.test_sheet import ACTING, HOSTILE, album, brightness, focused, hit, jpeg, path_of, small, wait_for

__all__ = ["chromium"]

GROUPS = re.compile(r'<script type="application/json" class="groups">(.*?)</script>')
PICTURES = re.compile(r'<script type="application/json" id="pictures-\d+">(.*?)</script>')
CLIPBOARD = ["clipboard-read", "clipboard-write"]
WIDTHS = "['one', 'other'].map(id => document.querySelector(`#${id} img`).naturalWidth)"
BOXES = """['one', 'other'].map(id => {
    const [pane, {x, y, width, height}] = [document.getElementById(id), document.querySelector(`#${id} img`)]
        .map(one => one.getBoundingClientRect());
    return [x - pane.x, y - pane.y, width, height].map(Math.round);
})"""
RECTANGLES = """all => all.map(one => {
    const {left, top, right, bottom} = one.getBoundingClientRect();
    return [one.tagName, left, top, right, bottom];
})"""
WHOLE = """all => all.every(one => Array.from(one.querySelectorAll('p')).every(
    line => line.getBoundingClientRect().bottom < one.getBoundingClientRect().bottom))"""
IN_SIGHT = """all => all.some(one => {
    const {top, bottom} = one.getBoundingClientRect();
    return top > 0 && bottom < innerHeight;
})"""
numbers = itertools.count(1)


def photo(path: bytes, *, content: int | None = None, size: int = 1000, **facts: Any) -> Photo:
    known = {
        "width": 300,
        "height": 200,
        "format": "JPEG",
        "taken_at": "2021-07-14T18:03:11",
        "camera": "Canon EOS R5",
    }
    number = next(numbers) if content is None else content
    return Photo(path, number.to_bytes(32, "big"), size, 1, PhotoFacts(**{**known, **facts}))


def group(*photos: Photo, level: Level = "same picture", similarity: float = 0.97) -> DuplicateGroup:
    return DuplicateGroup(level, similarity, photos)


def pairs(count: int) -> list[DuplicateGroup]:
    return [group(photo(b"/p/%d-a.jpg" % n), photo(b"/p/%d-b.jpg" % n)) for n in range(count)]


def groups_of(sheet: Path) -> list[dict[str, Any]]:
    return [one for piece in GROUPS.findall(sheet.read_text("utf-8")) for one in json.loads(piece)]


def pictures_of(sheet: Path) -> list[str | None]:
    return [one for piece in PICTURES.findall(sheet.read_text("utf-8")) for one in json.loads(piece)]


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return tmp_path / "duplicates.html"


# -- the file -------------------------------------------------------------------------------------


def test_every_group_is_there_in_order_and_every_name_byte_for_byte(sheet: Path) -> None:
    photos = [photo(b"/photos/" + name) for name in HOSTILE]
    found = [group(one, other) for one, other in itertools.pairwise(photos)]
    assert write_comparison(sheet, found, small) == len(found)
    written = groups_of(sheet)
    assert [[path_of(one) for one in some["photos"]] for some in written] == [
        [one.path for one in some.photos] for some in found
    ]
    for one in (one for some in written for one in some["photos"]):
        assert unquote_to_bytes(one["href"].removeprefix("file://")) == path_of(one)
    assert all(one["photos"][0]["stays"] and not one["photos"][1]["stays"] for one in written)


def test_copies_of_a_file_share_one_picture_and_a_reference_says_what_stays(sheet: Path) -> None:
    one = group(photo(b"/a.jpg", content=1), photo(b"/keep/a.jpg", content=1), photo(b"/b.jpg", content=2))
    write_comparison(sheet, [one, *pairs(1)], small, references=[b"/keep"])
    first, second = groups_of(sheet)
    assert [(one["thumb"], one["stays"]) for one in first["photos"]] == [(0, False), (0, True), (1, False)]
    assert [one["thumb"] for one in second["photos"]] == [2, 3] and len(pictures_of(sheet)) == 4


def test_no_name_or_camera_or_title_becomes_part_of_the_page(sheet: Path) -> None:
    evil = "</script></title><script>alert(1)</script>\x1b[31m\u202e"
    found = [group(*(photo(b"/p/" + name, camera=evil, format=evil) for name in HOSTILE))]
    write_comparison(sheet, found, small, title=evil, command=evil)
    text = sheet.read_text("utf-8")
    assert text.count("<script") == text.count("</script") == 4  # what it is about, groups, program, pictures
    assert "alert(1)</script>" not in text and not ACTING.search(text)
    assert not re.search(r"https?:|url\(|@import", text)


def test_the_more_pictures_the_smaller_they_are(sheet: Path) -> None:
    assert [side_for(count) for count in (0, 4_000, 4_001, 20_000)] == [None, None, 320, 144]
    sides = [side_for(count) or 0 for count in range(4_500, 300_000, 500)]
    assert sides == sorted(sides, reverse=True) and sides[-1] >= 48
    picture = jpeg(320, 213)
    with Image.open(io.BytesIO(smaller(picture, 144))) as reduced:
        assert (reduced.format, reduced.size) == ("WEBP", (144, 96))
    write_comparison(sheet, [group(*(photo(b"/%d.jpg" % n) for n in range(4_001)))], small)
    assert (pictures_of(sheet)[4_000] or "").startswith("data:image/webp;base64,")


def test_a_photo_without_a_thumbnail_takes_no_other_ones(sheet: Path) -> None:
    def some(photos: Iterable[Photo]) -> Iterator[tuple[Photo, bytes | None]]:
        return ((one, None if b"-a" in one.path else jpeg(8, 8)) for one in photos)

    done: list[tuple[int, int]] = []
    write_comparison(sheet, pairs(2), some, progress=lambda *counts: done.append(counts))
    assert [one is None for one in pictures_of(sheet)] == [True, False, True, False] and done[-1] == (4, 4)


def test_only_an_older_page_of_duplicates_is_replaced(sheet: Path, tmp_path: Path) -> None:
    write_comparison(sheet, pairs(1), small)
    write_comparison(sheet, pairs(2), small)
    assert len(groups_of(sheet)) == 2
    contact = tmp_path / "contact.html"
    write_sheet(contact, [hit(b"/a.jpg")], small, title="x")
    for place in (contact, tmp_path / "photo.jpg"):
        place.exists() or place.write_bytes(jpeg(8, 8))
        before = place.read_bytes()
        with pytest.raises(BadUsage, match="no page of duplicates"):
            write_comparison(place, pairs(1), small)
        assert place.read_bytes() == before


def test_when_it_fails_half_way_the_older_page_is_as_it_was(sheet: Path) -> None:
    def failing(photos: Iterable[Photo]) -> Iterator[tuple[Photo, bytes | None]]:
        yield from itertools.islice(small(photos), 150)
        raise KeyboardInterrupt

    write_comparison(sheet, pairs(1), small)
    before = sheet.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_comparison(sheet, pairs(200), failing)
    assert sheet.read_bytes() == before and os.listdir(sheet.parent) == [sheet.name]


def test_a_long_page_needs_little_memory(sheet: Path) -> None:
    picture = jpeg(8, 8) + bytes(30_000)
    write_comparison(sheet, pairs(1), small)  # what is loaded once is not counted
    found = pairs(1000)
    tracemalloc.start()
    write_comparison(sheet, found, lambda photos: ((one, picture) for one in photos))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sheet.stat().st_size > 80_000_000 and peak < 30_000_000


# -- in a browser ---------------------------------------------------------------------------------


def real(path: bytes, **more: Any) -> Photo:
    """Return the photo at ``path`` as a library would know it."""
    with Image.open(os.fsdecode(path)) as picture:
        seen = {"width": picture.width, "height": picture.height, "format": picture.format}
    return photo(path, **{"size": os.path.getsize(path), **seen, **more})


def thumbs(photos: Iterable[Photo]) -> Iterator[tuple[Photo, bytes | None]]:
    for one in photos:
        with Image.open(os.fsdecode(one.path)) as opened, io.BytesIO() as file:
            picture = opened.convert("RGB")
            picture.thumbnail((96, 96))
            picture.save(file, "JPEG")
            yield one, file.getvalue()


def shown(browser: Chromium, sheet: Path, **manner: Any) -> Sight:
    """Open a page and wait until its first groups are there."""
    sight = browser.visit(sheet.as_uri(), **manner)
    wait_for(lambda: sight.page.evaluate("performance.getEntriesByName('shown').length"))
    return sight


def number_of_groups(page: Any) -> list[str]:
    texts: list[str] = page.locator("article .number").all_text_contents()
    return texts


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of three groups: a scene with a resized and a TIFF copy, one with a crop, and equal files."""
    place = tmp_path_factory.mktemp("edited")
    names = ["a.jpg", "a small.jpg", "a.tif", "it's b.png", "b crop.png", "c.png", "copy of c.png"]
    paths = [os.fsencode(place / name) for name in names]
    one, other = scene(1, 600, 400), scene(2, 600, 400)
    one.save(place / names[0], quality=95)
    one.resize((300, 200)).save(place / names[1])
    one.save(place / names[2])
    other.save(place / names[3])
    other.crop((50, 20, 500, 400)).save(place / names[4])
    one.rotate(180).save(place / names[5])
    one.rotate(180).save(place / names[6])
    found = [
        group(real(paths[0]), real(paths[1], taken_at=None), real(paths[2]), similarity=0.99),
        group(real(paths[3], size=5_000_000), real(paths[4], size=4_000_000), similarity=0.96),
        group(real(paths[5], content=7), real(paths[6], content=7), level="identical", similarity=1.0),
    ]
    write_comparison(place / "d.html", found, thumbs, title="Twice", command="photoclip dupes apply 'a b'")
    return place / "d.html"


def test_each_group_says_what_is_known_and_what_differs(chromium: Chromium, edited: Path) -> None:
    sight = shown(chromium, edited)
    page = sight.page
    assert page.title() == page.inner_text("h1") == "Twice"
    assert page.inner_text("#count").startswith("3 groups · 4 spare photos · ")
    assert number_of_groups(page) == ["Group 1", "Group 2", "Group 3"]
    first = page.locator("article").first
    assert first.get_attribute("aria-label").startswith("Group 1, same picture, 0.990, ")
    assert first.get_attribute("aria-setsize") == "3"
    assert first.locator(".mark").all_text_contents() == ["stays", "spare", "spare"]
    assert first.locator("li").nth(0).locator(".differs").count() == 0
    differs = first.locator("li").nth(1).locator(".differs").all_text_contents()
    assert differs[0].replace("\u00a0", " ") == "↓ 300 × 200, less"
    assert "no date, differs" in differs and not any("Canon" in one for one in differs)
    assert "TIFF, differs" in first.locator("li").nth(2).locator(".differs").all_text_contents()
    assert "same bytes" in page.locator("article").nth(2).inner_text()
    assert page.locator("article img").evaluate_all(
        "all => all.every(one => one.src.startsWith('data:image/'))"
    )
    sight.calm("file:", "data:")


def test_what_goes_along_with_a_photo_is_told_with_it(chromium: Chromium, sheet: Path) -> None:
    one, other, raw = (photo(b"/p/" + name, size=2_000_000) for name in (b"a.jpg", b"b.jpg", b"b.cr3"))
    best = photo(b"/p/a.cr3", size=3_000_000)
    write_comparison(sheet, [group(one, other)._replace(along=((best,), (raw,)))], small)
    assert [photo["stays"] for photo in groups_of(sheet)[0]["photos"]] == [True, False]
    page = shown(chromium, sheet).page
    assert page.locator(".name").all_text_contents()[:2] == ["a.jpg + a.cr3", "b.jpg + b.cr3"]
    assert page.inner_text("#count") == "1 group · 2 spare photos · 4.0 MB to win"
    page.fill("[name=path]", "b.cr3")
    assert number_of_groups(page) == ["Group 1"]


def test_filter_and_order(chromium: Chromium, edited: Path) -> None:
    page = shown(chromium, edited).page
    page.fill("[name=path]", "IT'S B")
    assert number_of_groups(page) == ["Group 2"]
    assert page.inner_text("#count") == "1 of 3 groups · 1 spare photo · 4.0 MB to win"
    page.fill("[name=path]", "nowhere")
    assert page.inner_text("#note") == "No duplicates." and number_of_groups(page) == []
    page.fill("[name=path]", "")
    page.select_option("[name=sort]", "room")
    assert number_of_groups(page)[0] == "Group 2"
    page.select_option("[name=sort]", "similarity")
    assert number_of_groups(page) == ["Group 2", "Group 1", "Group 3"]
    page.select_option("[name=sort]", "path")
    assert number_of_groups(page) == ["Group 1", "Group 3", "Group 2"]
    page.select_option("[name=level]", "identical")
    assert number_of_groups(page) == ["Group 3"]


def test_everything_can_be_done_with_the_keyboard(chromium: Chromium, edited: Path) -> None:
    sight = shown(chromium, edited)
    page, press = sight.page, sight.page.keyboard.press
    for key, name in [
        ("ArrowRight", "a.jpg, stays"), ("ArrowRight", "a small.jpg, spare"), ("End", "c.png, stays"),
        ("ArrowLeft", "b crop.png, spare"), ("Home", "a.jpg, stays"), ("ArrowUp", "a.jpg, stays"),
        ("ArrowDown", "c.png, stays"), ("ArrowUp", "a.jpg, stays"), ("ArrowRight", "a small.jpg, spare"),
    ]:  # fmt: skip
        press(key)
        assert focused(page) == f"{name}: compare", key
    press("Space")
    assert page.inner_text("#large-title") == "Group 1 · same picture · 0.990 · photo 2 of 3"
    wait_for(lambda: page.evaluate(WIDTHS) == [600, 300])
    press("ArrowRight")
    assert page.inner_text("#about-other .name") == "a.tif"
    press("ArrowDown")
    assert page.inner_text("#large-title").startswith("Group 2 ")
    press("ArrowUp")
    for key, mode in (("2", "slide"), ("3", "blink"), ("4", "difference"), ("1", "side")):
        press(key)
        assert page.get_attribute("#stage", "data-mode") == mode
        assert page.locator(".modes [aria-pressed=true]").get_attribute("data-mode") == mode
    before = page.evaluate(BOXES)
    press("+")
    press("Shift+ArrowRight")
    larger = page.evaluate(BOXES)
    assert larger[0] != before[0] and larger[0][2] > before[0][2]
    assert larger[0][2:] == larger[1][2:], "both are zoomed and moved together"
    press("z")
    assert page.inner_text("#scale") == "100 %"
    press("0")
    assert page.evaluate(BOXES) == before
    press("?")
    assert page.is_visible("#keys")
    press("Escape")
    press("Escape")
    wait_for(lambda: not page.is_visible("#large") and focused(page) == "a small.jpg, spare: compare")
    press("/")
    page.keyboard.type("crop")
    assert number_of_groups(page) == ["Group 2"]
    sight.calm("file:", "data:")


def mean_colour(page: Any) -> float:
    """Return how bright the middle of the stage is, 0 to 255."""
    box = page.locator("#stage").bounding_box()
    clip = {
        "x": box["x"] + box["width"] / 2 - 100,
        "y": box["y"] + box["height"] / 2 - 100,
        "width": 200,
        "height": 200,
    }
    with Image.open(io.BytesIO(page.screenshot(clip=clip))) as picture:
        return sum(picture.convert("L").resize((1, 1), Image.Resampling.BOX).tobytes())


def test_the_difference_of_a_resized_copy_is_nearly_black_and_can_be_made_stronger(
    chromium: Chromium, edited: Path
) -> None:
    sight = shown(chromium, edited)
    page = sight.page
    page.locator("article").first.locator(".picture").nth(1).click()
    wait_for(lambda: page.evaluate(WIDTHS) == [600, 300])
    assert mean_colour(page) > 40
    page.click("[data-mode=difference] >> nth=-1")
    assert "Black is where both are equal." in page.inner_text("#hint")
    assert mean_colour(page) < 8
    page.keyboard.press("ArrowDown")
    wait_for(lambda: page.evaluate(WIDTHS) == [600, 450])
    assert "The proportions differ" in page.inner_text("#hint")
    faint = mean_colour(page)
    assert faint > 8, "a crop does not lie over its original"
    page.keyboard.press("x")
    page.keyboard.press("x")
    assert page.input_value("#stronger") == "16" and mean_colour(page) > faint
    sight.calm("file:", "data:")


def test_align_moves_one_photo_alone(chromium: Chromium, edited: Path) -> None:
    page = shown(chromium, edited).page
    page.locator("article").nth(1).locator(".picture").nth(1).click()
    page.keyboard.press("2")
    wait_for(lambda: page.evaluate(WIDTHS) == [600, 450])
    one, other = page.evaluate(BOXES)
    page.keyboard.press("a")
    page.keyboard.press("Shift+ArrowLeft")
    page.mouse.move(700, 400)
    page.mouse.wheel(0, -100)
    moved = page.evaluate(BOXES)
    assert moved[0] == one and moved[1][2] > other[2]
    page.keyboard.press("ArrowUp")
    assert page.get_attribute("#align", "aria-pressed") == "false"


def test_drag_wheel_double_click_and_the_divider(chromium: Chromium, edited: Path) -> None:
    sight = shown(chromium, edited)
    page, mouse = sight.page, sight.page.mouse
    page.locator(".picture").first.click()
    before = page.evaluate(BOXES)
    mouse.move(1000, 300)
    mouse.wheel(0, -200)
    zoomed = page.evaluate(BOXES)
    assert zoomed[0] == zoomed[1] and zoomed[0][2] > before[0][2]
    mouse.down()
    mouse.move(1030, 320, steps=3)
    mouse.up()
    assert [b - a for a, b in zip(zoomed[1], page.evaluate(BOXES)[1], strict=True)] == [30, 20, 0, 0]
    mouse.dblclick(1000, 300)
    assert page.inner_text("#scale") == "100 %"
    page.keyboard.press("2")
    mouse.move(700, 300)
    mouse.down()
    mouse.move(350, 300, steps=3)
    mouse.up()
    assert page.input_value("#split") == "25"
    sight.calm("file:", "data:")


def settled(page: Any) -> list[list[float]]:
    """Return where both photos are, once they stay there."""
    boxes: list[list[float]] = page.evaluate(BOXES)
    for _ in range(50):
        page.wait_for_timeout(100)
        before, boxes = boxes, page.evaluate(BOXES)
        if boxes == before:
            break
    return boxes


def test_two_fingers_zoom_both_photos(chromium: Chromium, edited: Path) -> None:
    sight = shown(chromium, edited, viewport=PHONE, has_touch=True, is_mobile=True)
    page = sight.page
    page.locator(".picture").nth(1).tap()
    before = settled(page)
    touch = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 40), ("touchMove", 60), ("touchMove", 120), ("touchEnd", 0)):
        fingers = [{"x": 195 + side * apart, "y": 250, "id": side + 1} for side in (-1, 1) if apart]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
    after = settled(page)
    assert after[0] == after[1] and abs(after[0][2] - 3 * before[0][2]) < 9
    sight.calm("file:", "data:")


def test_where_the_browser_cannot_show_it_the_thumbnail_stands_in(chromium: Chromium, edited: Path) -> None:
    page = shown(chromium, edited).page
    page.locator("article").first.locator(".picture").nth(2).click()
    wait_for(lambda: "This is the thumbnail" in page.inner_text("#about-other"))
    assert page.evaluate(WIDTHS)[1] == 96
    page.keyboard.press("4")
    assert "A thumbnail has lost fine detail." in page.inner_text("#hint")


def test_a_file_that_is_another_one_now_is_not_taken_for_what_was_compared(
    chromium: Chromium, sheet: Path, tmp_path: Path
) -> None:
    one, other = album(tmp_path / "photos", [b"a.jpg", b"b.jpg"])
    write_comparison(sheet, [group(real(one), real(other, width=900, height=600))], thumbs)
    page = shown(chromium, sheet).page
    page.locator(".picture").nth(1).click()
    wait_for(lambda: "is not what was compared" in page.inner_text("#about-other"))
    assert page.inner_text("#about-one .stand-in") == ""


def test_the_command_for_a_wrong_group_is_copied_but_not_for_equal_files(
    chromium: Chromium, edited: Path
) -> None:
    page = shown(chromium, edited, permissions=CLIPBOARD).page
    page.click("#command button")
    assert page.evaluate("navigator.clipboard.readText()") == "photoclip dupes apply 'a b'"
    page.locator("article").nth(1).locator(".picture").first.click()
    page.click("#deny button")
    copied = page.evaluate("navigator.clipboard.readText()")
    folder = edited.parent
    assert shlex.split(copied) == [
        "photoclip",
        "dupes",
        "deny",
        f"{folder}/it's b.png",
        f"{folder}/b crop.png",
    ]
    page.keyboard.press("ArrowDown")
    assert not page.is_visible("#deny")


def test_thousands_of_groups_are_a_few_elements(chromium: Chromium, sheet: Path) -> None:
    crowd = group(*(photo(b"/crowd/%d.jpg" % n, content=1) for n in range(3000)))
    write_comparison(sheet, [*pairs(1000), crowd, *pairs(1000)], small)
    sight = shown(chromium, sheet)
    page = sight.page
    count = "document.querySelectorAll('#groups li').length"
    assert 0 < page.evaluate(count) < 200
    page.keyboard.press("End")
    wait_for(lambda: focused(page) == "999-a.jpg, stays: compare")
    assert 0 < page.evaluate(count) < 200 and "Group 2001" in number_of_groups(page)
    page.fill("[name=path]", "crowd")
    page.locator(".picture").first.focus()
    for _ in range(40):
        page.keyboard.press("ArrowDown")
    columns = int(page.locator("ol").evaluate("one => one.style.getPropertyValue('--columns')"))
    assert focused(page) == f"{40 * columns}.jpg, spare: compare"
    assert page.evaluate(count) < 200
    assert page.locator("#groups li").evaluate_all(IN_SIGHT)
    sight.calm("file:", "data:")


def test_groups_do_not_overlap_however_wide_the_window_is(chromium: Chromium, sheet: Path) -> None:
    found = [group(*(photo(b"/%d-%d.jpg" % (n, copy)) for copy in range(2 + n * 7 % 11))) for n in range(40)]
    write_comparison(sheet, found, small)
    page = shown(chromium, sheet).page
    for width in (360, 700, 1400, 2600):
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("scrollTo(0, 1500)")
        page.wait_for_timeout(100)
        boxes = page.locator("article, li").evaluate_all(RECTANGLES)
        for kind in ("ARTICLE", "LI"):
            some = [box[1:] for box in boxes if box[0] == kind]
            assert some and all(left >= 0 and right <= width for left, _, right, _ in some)
            for one, other in itertools.combinations(some, 2):
                apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
                assert apart, (width, kind, one, other)
        assert page.locator("article").evaluate_all(WHOLE), width


def test_on_a_phone_nothing_is_wider_than_the_screen(chromium: Chromium, edited: Path) -> None:
    sight = shown(chromium, edited, viewport=PHONE, has_touch=True, is_mobile=True)
    page = sight.page
    assert page.evaluate("document.scrollingElement.scrollWidth") == PHONE["width"]
    page.locator(".picture").nth(1).tap()
    assert page.inner_text("#about-other .name") == "a small.jpg"
    assert page.evaluate("document.getElementById('large').scrollWidth") == PHONE["width"]
    assert page.locator("#deny button").bounding_box()["y"] < PHONE["height"]
    assert page.locator("#stage").bounding_box()["height"] > PHONE["height"] / 3
    sight.calm("file:", "data:")


def test_a_hostile_library_has_no_effect(chromium: Chromium, sheet: Path, tmp_path: Path) -> None:
    try:
        paths = album(tmp_path / "photos", HOSTILE)
    except OSError:
        pytest.skip("this file system refuses some of these names")
    evil = "</script><script>window.hacked=1</script><img src=x onerror=alert(1)>"
    best = [real(path, camera=evil, taken_at=evil) for path in paths]
    found = [group(one, other) for one, other in zip(best[::2], best[1::2], strict=False)]
    write_comparison(sheet, found, thumbs, title=evil, command=evil)
    sight = shown(chromium, sheet, permissions=CLIPBOARD)
    page = sight.page
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    for some in found:
        one, other = (one.path for one in some.photos)
        words = page.inner_text("#about-one") + page.inner_text("#about-other") + page.inner_text("#deny")
        assert not ACTING.search(words.replace("\n", ""))
        page.keyboard.press("c")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert "\n" not in copied
        told = subprocess.run(
            ["bash", "-c", copied.replace("photoclip dupes deny", "printf '%s\\0'")], capture_output=True
        )
        assert told.stdout == one + b"\0" + other + b"\0"
        wait_for(lambda: min(page.evaluate(WIDTHS)) > 96, 10)  # the originals, whatever is in their names
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert page.locator("script:not([type='application/json'])").count() == 1
    assert page.locator("[onerror], [onload], a[href^='javascript']").count() == 0
    assert {r"new\nline.png", r"not-utf-8-\xff\xfe.png"} <= set(page.locator(".name").all_text_contents())
    sight.calm("file:", "data:")


def test_an_empty_page_says_so(chromium: Chromium, sheet: Path) -> None:
    write_comparison(sheet, [], small)
    sight = shown(chromium, sheet)
    assert sight.page.inner_text("#note") == "No duplicates."
    sight.calm("file:", "data:")


def test_it_is_dark_or_light_as_the_system_says_or_the_button(chromium: Chromium, edited: Path) -> None:
    for scheme, dark in (("dark", True), ("light", False)):
        page = shown(chromium, edited, color_scheme=scheme).page
        assert (brightness(page) < 200) is dark
        page.click("#theme")
        assert (brightness(page) < 200) is not dark
