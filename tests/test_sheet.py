"""The contact sheet: what is in the file, and what a real browser makes of it."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit

import pytest
from PIL import Image

from photoclip.errors import BadUsage, PhotoclipError
from photoclip.pages.cards import card, page_json, photo_id
from photoclip.pages.onefile import page_file
from photoclip.pages.sheet import live_page, write_sheet
from photoclip.records import Photo, PhotoFacts, SearchHit, TagSuggestion
from tests.chromium import PHONE, Chromium, Sight, chromium
from tests.conftest import HOSTILE_NAMES

__all__ = ["chromium"]

MARKUP = (
    b"<script>window.hacked=1</script>.jpg", b"<!--<script>.jpg", b"<img src=x onerror=hacked=1>.jpg",
    b"javascript:alert(1).jpg", b"\"><svg onload='hacked=1'>'&amp;.jpg", b"{{ 7 * 7 }}{% raw %}.jpg",
    b"[/b]red.jpg", b"what?#%41&lt;.jpg", b"a\nrm -rf nowhere\n.jpg",
)  # fmt: skip
HOSTILE = (*MARKUP, *HOSTILE_NAMES)
ACTING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
BATCH = re.compile(r'<script type="application/json" class="batch">(.*?)</script>')


def jpeg(width: int, height: int, colour: tuple[int, int, int] = (200, 120, 40)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "JPEG")
    return file.getvalue()


def hit(path: bytes, rank: int = 1, *, relevant: bool | None = None, **facts: Any) -> SearchHit:
    known = PhotoFacts(**{"width": 300, "height": 200, "format": "JPEG", "camera": "Canon EOS R5", **facts})
    similarity = 0.5 - rank / 100
    margin = None if relevant is None else 0.1 if relevant else -0.1
    return SearchHit(rank, similarity, Photo(path, bytes(32), 1, 1, known), margin, relevant)


def small(photos: Iterable[Photo]) -> Iterator[tuple[Photo, bytes | None]]:
    for photo in photos:
        yield photo, jpeg(48, 32)


def tagged(hits: Iterable[SearchHit], *labels: str) -> dict[bytes, list[TagSuggestion]]:
    return {one.photo.path: [TagSuggestion(label, 0.3, 0.9) for label in labels] for one in hits}


def cards_of(sheet: Path) -> list[dict[str, Any]]:
    return [one for batch in BATCH.findall(sheet.read_text("utf-8")) for one in json.loads(batch)]


def path_of(written: dict[str, Any]) -> bytes:
    return base64.b64decode(written["path_b64"]) if "path_b64" in written else written["path"].encode()


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return tmp_path / "sheet.html"


# -- the file -------------------------------------------------------------------------------------


def test_every_name_comes_back_byte_for_byte(sheet: Path) -> None:
    paths = [b"/photos/" + name for name in HOSTILE] + [b"/photos/sub\xe9/plain.jpg"]
    assert write_sheet(sheet, [hit(path) for path in paths], small, title="x") == len(paths)
    written = cards_of(sheet)
    assert [path_of(one) for one in written] == paths
    assert [unquote_to_bytes(one["href"].removeprefix("file://")) for one in written] == paths
    assert all(re.fullmatch(r"file:///[\w.~/%-]+", one["href"], re.ASCII) for one in written)
    assert sum("path_b64" in one for one in written) == 2


def test_no_name_or_camera_or_title_becomes_part_of_the_page(sheet: Path) -> None:
    evil = "</script></title><script>alert(1)</script>\x1b[31m\u202e"
    hits = [hit(b"/p/" + name, camera=evil) for name in HOSTILE]
    write_sheet(sheet, hits, small, title=evil, note=evil, tags=tagged(hits, evil))
    text = sheet.read_text("utf-8")
    assert text.count("<script") == text.count("</script") == 3  # what it is about, one batch, the program
    assert "alert(1)</script>" not in text
    assert not ACTING.search(text)
    assert cards_of(sheet)[0]["camera"] == cards_of(sheet)[0]["tags"][0] == evil


def test_the_page_has_its_style_and_its_script_inside_and_names_no_other_place(sheet: Path) -> None:
    write_sheet(sheet, [hit(b"/a.jpg")], small, title="x")
    text = sheet.read_text("utf-8")
    assert page_file("page.css").decode() in text and page_file("page.js").decode() in text
    assert "</" not in page_file("page.css").decode() + page_file("page.js").decode()
    assert not re.search(r"https?:|url\(|@import", text)


def test_a_sheet_takes_the_place_of_an_older_one_also_through_a_link(sheet: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.html"
    link.symlink_to(sheet)
    write_sheet(os.fsencode(sheet), [hit(b"/a.jpg")], small, title="x")
    write_sheet(link, [hit(b"/b.jpg")], small, title="x")
    assert link.is_symlink() and [one["name"] for one in cards_of(sheet)] == ["b.jpg"]


@pytest.mark.parametrize("there", [jpeg(8, 8), b"<!doctype html>\n<p>mine", b"<!doct"])
def test_nothing_but_a_sheet_is_ever_replaced(sheet: Path, there: bytes) -> None:
    sheet.write_bytes(there)
    with pytest.raises(BadUsage, match="no contact sheet"):
        write_sheet(sheet, [hit(b"/a.jpg")], small, title="x")
    assert sheet.read_bytes() == there


def test_a_folder_or_a_pipe_is_no_place_for_a_sheet(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(BadUsage, match="is no file"):
            write_sheet(place, [], small, title="x")
    with pytest.raises(PhotoclipError, match="No such file"):
        write_sheet(tmp_path / "nowhere" / "sheet.html", [], small, title="x")


def test_when_it_fails_half_way_the_older_sheet_is_as_it_was(sheet: Path) -> None:
    def failing(photos: Iterable[Photo]) -> Iterator[tuple[Photo, bytes | None]]:
        yield from list(small(photos))[:150]
        raise KeyboardInterrupt

    write_sheet(sheet, [hit(b"/old.jpg")], small, title="old")
    before = sheet.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_sheet(sheet, [hit(b"/a.jpg")] * 200, failing, title="new")
    assert sheet.read_bytes() == before
    assert os.listdir(sheet.parent) == [sheet.name]


def test_a_long_sheet_needs_little_memory(sheet: Path) -> None:
    picture = jpeg(8, 8) + bytes(30_000)

    def large(photos: Iterable[Photo]) -> Iterator[tuple[Photo, bytes | None]]:
        return ((photo, picture) for photo in photos)

    hits = [hit(b"/%d.jpg" % number) for number in range(2000)]
    write_sheet(sheet, hits[:1], large, title="x")  # what is loaded once is not counted
    tracemalloc.start()
    write_sheet(sheet, hits, large, title="x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sheet.stat().st_size > 80_000_000
    assert peak < 30_000_000


def test_copies_of_a_picture_are_called_differently_and_always_the_same() -> None:
    one, other = hit(b"/a.jpg").photo, hit(b"/b.jpg").photo
    assert photo_id(one) != photo_id(other)
    assert re.fullmatch(r"[0-9a-f]{64}-[0-9a-f]{8}", photo_id(one)) and photo_id(one) == photo_id(one)


def test_a_page_says_only_what_is_known(sheet: Path) -> None:
    bare = hit(b"/a.jpg", camera=None)._replace(similarity=None)
    shown = card(bare, href=None, thumb=None)
    assert [shown[name] for name in ("similarity", "margin", "relevant", "camera", "taken_at")] == [None] * 5
    assert json.loads(page_json(shown)) == shown
    with pytest.raises(ValueError, match="JSON"):
        page_json(float("nan"))


# -- in a browser ---------------------------------------------------------------------------------


def album(folder: Path, names: Sequence[bytes]) -> list[bytes]:
    """Make a photo of each name, of several shapes, and return their paths."""
    folder.mkdir()
    paths = [os.fsencode(folder) + b"/" + name for name in names]
    for number, path in enumerate(paths):
        size = [(300, 200), (200, 300), (240, 240), (900, 300)][number % 4]
        os.makedirs(os.path.dirname(path), exist_ok=True)  # "</script>" is a folder and a file
        with open(path, "wb") as file:
            file.write(jpeg(*size, colour=(40 * number % 256, 90, 200 - 10 * number)))
    return paths


def shown(browser: Chromium, sheet: Path, count: int, **manner: Any) -> Sight:
    """Open a sheet and wait until its photos are there."""
    sight = browser.visit(sheet.as_uri(), **manner)
    wait_for(lambda: sight.page.locator(".photos > li").count() == count)
    return sight


def wait_for(condition: Any, patience: float = 5) -> None:
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def focused(page: Any) -> str | None:
    label: str | None = page.evaluate("document.activeElement.getAttribute('aria-label')")
    return label


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sheet of twelve photos, of which the first five are relevant."""
    place = tmp_path_factory.mktemp("twelve")
    paths = album(place / "photos", [b"%02d.jpg" % number for number in range(12)])
    shapes = [(300, 200), (200, 300), (240, 240), (900, 300)]
    hits = [
        hit(path, rank, relevant=rank < 5, width=shapes[rank % 4][0], height=shapes[rank % 4][1],
            taken_at="2021-07-14T18:03:11")
        for rank, path in enumerate(paths)
    ]  # fmt: skip
    write_sheet(place / "sheet.html", hits, small, title="a red kite", tags=tagged(hits, "sky", "kite"))
    return place / "sheet.html"


def test_a_click_shows_a_photo_large_with_all_that_is_known(chromium: Chromium, twelve: Path) -> None:
    sight = shown(chromium, twelve, 12)
    page = sight.page
    assert page.title() == page.inner_text("h1") == "a red kite"
    assert page.inner_text("#count") == "5 of 12 photos answer"
    page.click("text=02.jpg >> xpath=ancestor::li >> .picture")
    assert page.inner_text("#large-name") == "02.jpg"
    assert page.inner_text("#place") == "3 of 12 photos"
    facts = page.inner_text("#facts").split("\n")
    assert {"0.480", "2021-07-14 18:03:11", "240 × 240", "Canon EOS R5", "0.100 above the line"} <= set(facts)
    assert page.inner_text("#path").endswith("/photos/02.jpg")
    # The original has taken the place of the thumbnail.
    wait_for(lambda: page.evaluate("document.getElementById('picture').naturalWidth") == 240)
    assert page.get_attribute("#original", "href").endswith("/photos/02.jpg")
    page.click("#after")
    assert page.inner_text("#large-name") == "03.jpg"
    page.click("#close")
    wait_for(lambda: not page.is_visible("#large") and focused(page) == "03.jpg")
    sight.calm("file:", "data:")


def test_everything_can_be_done_with_the_keyboard(chromium: Chromium, twelve: Path) -> None:
    sight = shown(chromium, twelve, 12)
    page, press = sight.page, sight.page.keyboard.press
    press("ArrowRight")
    assert focused(page) == "00.jpg"
    for key, expected in [
        ("ArrowRight", "01.jpg"), ("j", "02.jpg"), ("k", "01.jpg"), ("ArrowLeft", "00.jpg"),
        ("ArrowLeft", "00.jpg"), ("End", "11.jpg"), ("ArrowRight", "11.jpg"), ("Home", "00.jpg"),
    ]:  # fmt: skip
        press(key)
        assert focused(page) == expected, key
    press("ArrowDown")
    top = "document.activeElement.getBoundingClientRect().top"
    below, name = page.evaluate(top), focused(page)
    assert name not in ("00.jpg", "01.jpg")
    press("ArrowUp")
    assert focused(page) == "00.jpg" and page.evaluate(top) < below
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press("Enter")
    assert page.inner_text("#large-name") == "00.jpg" and page.is_disabled("#before")
    press("ArrowRight")
    press("j")
    assert page.inner_text("#large-name") == "02.jpg"
    press("Escape")
    wait_for(lambda: not page.is_visible("#large") and focused(page) == "02.jpg")
    press("?")
    assert page.is_visible("#keys")
    press("Escape")
    assert not page.is_visible("#keys")
    sight.calm("file:", "data:")


def test_the_line_is_drawn_where_relevance_ends(chromium: Chromium, twelve: Path) -> None:
    page = shown(chromium, twelve, 12).page
    assert page.inner_text(".line") == "Not relevant below here"
    assert page.locator("section:first-child .photos > li").count() == 5
    assert page.locator(".far > li").count() == 7


def test_a_list_in_another_order_has_no_line_and_an_empty_one_says_so(
    chromium: Chromium, sheet: Path, tmp_path: Path
) -> None:
    paths = album(tmp_path / "photos", [b"a.jpg", b"b.jpg"])
    hits = [hit(paths[0], 2, relevant=False), hit(paths[1], 1, relevant=True)]
    write_sheet(sheet, hits, small, title="by date")
    assert shown(chromium, sheet, 2).page.locator(".line").count() == 0
    write_sheet(sheet, hits[:1], small, title="nothing like it")
    assert "Nothing here stands out" in shown(chromium, sheet, 1).page.inner_text(".line")
    write_sheet(sheet, [], small, title="none")
    assert shown(chromium, sheet, 0).page.inner_text("#note") == "No photo matches."


def brightness(page: Any) -> int:
    colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3])


def becomes_dark(page: Any, dark: bool) -> bool:
    """Return whether the page, loaded anew, is dark, or light if that is asked for."""
    page.reload()
    return (brightness(page) < 200) is dark


def test_it_is_dark_or_light_as_the_system_says_or_the_button(chromium: Chromium, twelve: Path) -> None:
    for scheme, dark in (("dark", True), ("light", False)):
        sight = shown(chromium, twelve, 12, color_scheme=scheme)
        assert (brightness(sight.page) < 200) is dark
        sight.page.click("#theme")
        assert (brightness(sight.page) < 200) is not dark
        # The browser writes down what is to be kept when it likes.
        wait_for(partial(becomes_dark, sight.page, not dark))
        sight.calm("file:", "data:")


def test_on_a_phone_nothing_is_wider_than_the_screen(chromium: Chromium, twelve: Path) -> None:
    sight = shown(chromium, twelve, 12, viewport=PHONE, has_touch=True, is_mobile=True)
    page = sight.page
    width = "document.scrollingElement.scrollWidth"
    assert page.evaluate(width) == PHONE["width"]
    page.locator(".picture").nth(3).tap()
    assert page.inner_text("#large-name") == "03.jpg"
    assert page.evaluate("document.getElementById('large').scrollWidth") == PHONE["width"]
    assert page.locator("#copy").bounding_box()["y"] < PHONE["height"]
    sight.calm("file:", "data:")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """A sheet of photos whose names, cameras and tags would act, if anything let them."""
    place = tmp_path_factory.mktemp("hostile")
    try:
        paths = album(place / "photos", HOSTILE)
    except OSError:
        pytest.skip("this file system refuses some of these names")
    evil = "</script><script>window.hacked=1</script><img src=x onerror=alert(1)>"
    hits = [hit(path, rank, camera=evil, taken_at=evil) for rank, path in enumerate(paths)]
    write_sheet(place / "sheet.html", hits, small, title=evil, note=evil, tags=tagged(hits, evil, "\u202e"))
    return place / "sheet.html", paths


def test_a_hostile_library_has_no_effect(chromium: Chromium, hostile: tuple[Path, list[bytes]]) -> None:
    sheet, paths = hostile
    sight = shown(chromium, sheet, len(paths))
    page = sight.page
    known = page.locator(".photos > li").evaluate_all(
        "items => items.map(item => ({path: item.dataset.path, path_b64: item.dataset.pathB64}))"
    )
    assert [path_of({k: v for k, v in one.items() if v}) for one in known] == paths
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    for path in paths:
        # The original is shown: its address is right, whatever is in the name.
        wait_for(lambda: page.evaluate("document.getElementById('picture').naturalWidth") > 48)
        assert unquote_to_bytes(page.get_attribute("#original", "href").removeprefix("file://")) == path
        assert not ACTING.search(page.inner_text("#large-name") + page.inner_text("#path").replace("\n", ""))
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    texts = page.locator(".name").all_text_contents()
    assert set(texts) >= {
        r"a\nrm -rf nowhere\n.jpg", r"esc\x1b]0;owned\x07\x1b[31m.png", r"not-utf-8-\xff\xfe.png",
        r"\u202egnp.exe.png", r"\u2028separator.png", "ü😀猫.png", "[red].png", "{{ 7 * 7 }}{% raw %}.jpg",
    }  # fmt: skip
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert page.locator("script:not([type='application/json'])").count() == 1
    assert page.locator("[onerror], [onload], a[href^='javascript']").count() == 0
    sight.calm("file:", "data:")


def test_even_markup_that_got_in_could_neither_run_nor_reach_out(chromium: Chromium, twelve: Path) -> None:
    sight = shown(chromium, twelve, 12)
    evil = "<img src=data:, onerror=hacked=1><img src=http://127.0.0.1:9><a href=javascript:hacked=1>"
    sight.page.evaluate("html => document.body.insertAdjacentHTML('beforeend', html)", evil)
    sight.page.evaluate("document.querySelector('body > a:last-child').click()")
    wait_for(lambda: sum("Content Security Policy" in one for one in sight.complaints) == 3)
    assert sight.page.evaluate("typeof window.hacked") == "undefined"


def test_a_copied_path_names_that_file_in_a_shell(
    chromium: Chromium, hostile: tuple[Path, list[bytes]]
) -> None:
    sheet, paths = hostile
    page = shown(chromium, sheet, len(paths), permissions=["clipboard-read", "clipboard-write"]).page
    for number in range(len(MARKUP) - 2, len(paths), 2):
        page.locator(".picture").nth(number).focus()
        page.keyboard.press("c")
        wait_for(lambda: page.is_visible("#said"))
        copied = page.evaluate("navigator.clipboard.readText()")
        if copied.startswith("$'"):
            assert "\n" not in copied
            told = subprocess.run(["bash", "-c", f"printf %s {copied}"], capture_output=True, check=True)
            assert told.stdout == paths[number]
        else:
            assert copied.encode() == paths[number]
        page.evaluate("document.getElementById('said').hidePopover()")


def test_where_the_original_is_gone_the_thumbnail_stays(
    chromium: Chromium, sheet: Path, tmp_path: Path
) -> None:
    def some(photos: Iterable[Photo]) -> Iterator[tuple[Photo, bytes | None]]:
        yield from zip(photos, (jpeg(48, 32), None), strict=True)

    gone = [hit(os.fsencode(tmp_path) + b"/gone.jpg"), hit(os.fsencode(tmp_path) + b"/gone.heic", 2)]
    write_sheet(sheet, gone, some, title="x")
    page = shown(chromium, sheet, 2).page
    assert page.locator(".picture").nth(1).inner_text() == "heic"
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    wait_for(lambda: page.inner_text("#place") == "1 of 2 photos · preview")
    assert page.evaluate("document.getElementById('picture').naturalWidth") == 48
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#absent") == "No preview" and not page.is_visible("#picture")


# -- live, before a server of three lines ---------------------------------------------------------


class Canned(BaseHTTPRequestHandler):
    """Answers as ``photoclip browse`` would with 70 photos; a search for ``slow`` takes its time."""

    def do_GET(self) -> None:
        place = urlsplit(self.path).path.removeprefix("/token/")
        if place.startswith(("thumb/", "photo/")):
            return self.answer(jpeg(48, 32), "image/jpeg")
        if place in ("page.css", "page.js"):
            return self.answer(page_file(place), "text/css" if place.endswith("css") else "text/javascript")
        if place == "api/tags":
            return self.answer(b'{"tags": [["sky", 3]]}')
        if place == "api/search":
            return self.search(parse_qs(urlsplit(self.path).query))
        return self.answer(live_page().encode(), "text/html")

    def search(self, query: dict[str, list[str]]) -> None:
        text = query.get("text", [""])[0]
        if text == "slow":
            time.sleep(0.5)
        if "taken" in query:
            self.answer(b'{"error": "taken: no time", "hint": "2019..2021"}', status=400)
            return
        start = int(query["offset"][0])
        like = query.get("like", [""])[0][:4]
        names = [f"{like}{text}{number}" for number in range(start, min(start + 60, 70))]
        photos = [hit(f"/{name}.jpg".encode(), relevant=text != "zebra") for name in names]
        found = [card(one, href="photo/1", thumb="thumb/1", tags=["sky"]) for one in photos]
        note = "Nothing matches; the nearest:" if text == "zebra" else None
        self.answer(page_json({"photos": found, "more": start == 0, "note": note}).encode())

    def answer(self, data: bytes, kind: str = "application/json", status: int = 200) -> None:
        with contextlib.suppress(ConnectionError):  # nobody waits for it any more
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def live(chromium: Chromium) -> Iterator[Sight]:
    """The live page, in a browser."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Canned) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        sight = chromium.visit(f"http://127.0.0.1:{server.server_port}/token/")
        first(sight, "0.jpg")
        yield sight
        server.shutdown()


def first(sight: Sight, name: str) -> None:
    wait_for(lambda: sight.page.locator(".name").first.text_content() == name)


def test_typing_asks_after_a_pause_and_only_the_newest_answer_counts(live: Sight) -> None:
    page = live.page
    page.keyboard.type("slow")
    page.wait_for_timeout(400)
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("dog", delay=20)
    first(live, "dog0.jpg")
    page.wait_for_timeout(400)
    assert page.locator(".name").first.text_content() == "dog0.jpg"
    asked = [parse_qs(urlsplit(one).query).get("text") for one in live.requests if "api/search" in one]
    assert asked == [None, ["slow"], ["dog"]], "one request a word, not a letter"
    live.calm(page.url.partition("#")[0], "data:")


def test_back_and_forward_keep_the_query(live: Sight) -> None:
    page = live.page
    page.keyboard.type("dog\n")
    first(live, "dog0.jpg")
    page.click(".photos .tags button >> nth=0")
    wait_for(lambda: page.url.endswith("#text=dog&tag=sky"))
    page.keyboard.press("Home")
    page.keyboard.press("m")
    first(live, "00000.jpg")
    assert page.input_value("[name=text]") == "" and page.is_visible("#like")
    assert focused(page) == "00000.jpg", "the keyboard is back at the first photo"
    page.go_back()
    first(live, "dog0.jpg")
    assert (page.input_value("[name=text]"), page.input_value("[name=tag]")) == ("dog", "sky")
    page.go_back()
    page.go_back()
    first(live, "0.jpg")
    page.go_forward()
    first(live, "dog0.jpg")
    live.calm(page.url.partition("#")[0], "data:")


def test_more_photos_come_with_scrolling_and_with_the_large_view(live: Sight) -> None:
    page = live.page
    assert page.inner_text("#count") == "60+ photos"
    page.locator(".picture").nth(59).click()
    page.keyboard.press("ArrowRight")
    wait_for(lambda: page.inner_text("#large-name") == "60.jpg")
    wait_for(lambda: page.inner_text("#count") == "70 photos")
    assert not page.is_visible("#more")


def test_an_empty_answer_and_a_mistake_are_said_plainly(live: Sight) -> None:
    page = live.page
    page.keyboard.type("zebra\n")
    wait_for(lambda: page.is_visible("#note"))
    assert page.inner_text("#note") == "Nothing matches; the nearest:"
    assert page.locator(".far > li").count() == 60 and page.locator(".line").count() == 0
    page.click("#filtering")
    page.fill("[name=taken]", "tomorrow")
    page.keyboard.press("Enter")
    wait_for(lambda: "2019..2021" in page.inner_text("#note"))
    assert page.inner_text("#note").split("\n") == ["taken: no time", "2019..2021"]
    assert page.locator(".photos > li").count() == 0 and page.inner_text("#filtered") == "1"
