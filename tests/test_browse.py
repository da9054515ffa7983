"""``photoclip browse``: what it answers, whom it refuses, and how it ends."""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import psutil
import pytest
from PIL import Image

from photoclip import Library
from photoclip.indexing import IndexOptions
from photoclip.pages.browse import _awaited, _Gone
from photoclip.pages.cards import photo_id
from tests.chromium import Chromium, Sight, chromium
from tests.conftest import HOSTILE_NAMES, command, environment
from tests.pictures import paint, scene

__all__ = ["chromium"]  # a fixture


class Reply(NamedTuple):
    """An answer of the server."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """``photoclip browse`` in a process of its own."""

    def __init__(self, library: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command("--library", library, "browse", *(options or ("--no-open",))),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(**(env or {})),
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().decode().strip()
        assert self.address.startswith("http://127.0.0.1:"), self.end()
        place = urlsplit(self.address)
        assert place.port is not None
        self.port, self.token = place.port, place.path.strip("/")
        self.host = f"127.0.0.1:{self.port}"

    def end(self, sign: int = signal.SIGINT) -> tuple[int, str]:
        """End the process; return its exit code and its talk."""
        self.process.send_signal(sign)
        _, talk = self.process.communicate(timeout=10)
        return self.process.returncode, talk.decode()

    def ask(self, place: str, method: str = "GET", **headers: str) -> Reply:
        """Ask as a browser does, for what lies below the token."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, f"/{self.token}/{place}", headers=named)
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def search(self, **parameters: str | int) -> Any:
        """Return what a search is answered, which must be fine."""
        reply = self.ask(f"api/search?{urlencode(parameters)}")
        assert reply.status == 200, reply
        return reply.json

    def raw(self, request: bytes) -> Reply:
        """Send these very bytes; status 0 when the connection is just closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            except TimeoutError:
                raise
            except OSError:
                return Reply(0, {}, b"")
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in rest)}
        return Reply(int(first.split()[1]) if answer else 0, headers, body)

    def get(self, target: bytes, *headers: bytes) -> Reply:
        """Ask for this very target."""
        lines = [b"GET " + target + b" HTTP/1.1", b"Host: " + self.host.encode(), b"Connection: close"]
        return self.raw(b"\r\n".join([*lines, *headers, b"", b""]))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos under tame and hostile names, and their library."""
    place = tmp_path_factory.mktemp("browse")
    for number, colour in enumerate(("red", "red", "red", "green", "blue", "yellow")):
        paint(place / "photos" / f"{colour}-{number}.png", colour, number)
    shutil.copy(place / "photos" / "red-0.png", place / "photos" / "red-0-copy.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    scene(1, 900, 600).save(place / "photos" / "turned.jpg", exif=exif)
    scene(2, 2000, 1000).save(place / "photos" / "scan.tif")
    for number, name in enumerate(HOSTILE_NAMES):
        paint(os.path.join(os.fsencode(place), b"photos", name), "purple", number)
    with Library.open_or_create(place / "library") as library:
        library.index([place / "photos"], IndexOptions(model="fake", jobs=1))
        library.tag(["red", "green"])
    return place


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Server]:
    server = Server(place / "library")
    try:
        yield server
    finally:
        code, talk = server.end()
    assert code == 0, talk
    assert "Traceback" not in talk
    assert server.token not in talk


def named(server: Server, name: str) -> dict[str, Any]:
    """Return the card of the photo of this name."""
    cards: list[dict[str, Any]] = server.search(limit=100)["photos"]
    return next(card for card in cards if card["name"] == name)


# -- the page ---------------------------------------------------------------------------------------


def test_the_page_and_what_it_loads_are_there(server: Server) -> None:
    page = server.ask("")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b'"live":true' in page.body
    assert server.ask("page.css").headers["content-type"] == "text/css; charset=utf-8"
    assert server.ask("page.js").headers["content-type"] == "text/javascript; charset=utf-8"
    assert server.ask("", "HEAD")[::2] == (200, b"")


def test_every_answer_forbids_what_is_not_needed(server: Server) -> None:
    card = named(server, "turned.jpg")
    places = [
        "",
        "page.js",
        "api/search",
        "api/tags",
        card["thumb"],
        card["href"],
        "api/search?limit=x",
        "none",
    ]
    for place in places:
        headers = server.ask(place).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert (
            headers["cross-origin-resource-policy"] == headers["cross-origin-opener-policy"] == "same-origin"
        )
        kept = place == card["thumb"]
        assert headers["cache-control"] == ("private, max-age=31536000, immutable" if kept else "no-store")
        assert (
            not {name for name in headers if name.startswith("access-control")} | {"server"} & headers.keys()
        )


def test_it_is_there_for_this_machine_alone(server: Server) -> None:
    listening = psutil.Process(server.process.pid).net_connections()
    assert {one.laddr for one in listening if one.status == psutil.CONN_LISTEN} == {
        ("127.0.0.1", server.port)
    }


def test_an_address_without_its_last_slash_leads_to_the_page(server: Server) -> None:
    reply = server.get(f"/{server.token}".encode())
    assert (reply.status, reply.headers["location"]) == (303, f"/{server.token}/")


# -- answers ----------------------------------------------------------------------------------------


def test_a_search_is_answered_with_cards(server: Server) -> None:
    found = server.search(text="red", limit=4)
    assert {card["name"] for card in found["photos"]} == {
        "red-0.png",
        "red-0-copy.png",
        "red-1.png",
        "red-2.png",
    }
    assert found["more"] is True
    first = found["photos"][0]
    assert first["similarity"] > 0.9
    assert (first["width"], first["height"], first["tags"]) == (16, 16, ["red"])
    assert first["href"] == f"photo/{first['id']}"
    assert first["thumb"] == f"thumb/{first['id']}"


def test_pages_of_an_answer_follow_each_other_without_a_gap(server: Server) -> None:
    whole = server.search(text="blue", limit=100)
    parts = [server.search(text="blue", limit=10, offset=start) for start in (0, 10, 20, 30)]
    assert [card for part in parts for card in part["photos"]] == whole["photos"]
    assert [part["more"] for part in parts] == [True, True, len(whole["photos"]) > 30, False]
    assert whole["more"] is False


def test_without_a_word_all_photos_come_by_path(server: Server, place: Path) -> None:
    cards = server.search(limit=100)["photos"]
    paths = [
        base64.b64decode(card["path_b64"]) if "path_b64" in card else card["path"].encode() for card in cards
    ]
    folder = os.fsencode(place / "photos")
    assert paths == sorted(os.path.join(folder, name) for name in os.listdir(folder))


def test_more_like_this_finds_the_photo_itself_first(server: Server) -> None:
    blue = named(server, "blue-4.png")
    assert server.search(like=blue["id"], limit=1)["photos"][0]["id"] == blue["id"]
    both = server.search(like=blue["id"], text="yellow", limit=2)["photos"]
    assert {card["name"] for card in both} == {"blue-4.png", "yellow-5.png"}


def test_filters_hold(server: Server) -> None:
    assert [card["name"] for card in server.search(orientation="portrait")["photos"]] == ["turned.jpg"]
    assert {card["name"] for card in server.search(min_side=600, sort="path")["photos"]} == {
        "turned.jpg",
        "scan.tif",
    }
    assert {card["name"] for card in server.search(tag="green")["photos"]} == {"green-3.png"}
    none = server.search(camera="no such camera")
    assert (none["photos"], none["note"]) == ([], "No photo passes these filters.")


def test_tags_are_listed_with_their_counts(server: Server) -> None:
    assert server.ask("api/tags").json == {"tags": [["red", 4], ["green", 1]]}


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("taken=yesterday", "--taken 'yesterday' names no time"),
        ("near=1,2", "--near '1,2' names no place"),
        ("orientation=round", "--orientation 'round' is none"),
        ("tag=!", "--tag names no tag"),
        ("limit=-1", "limit='-1' is no number"),
        ("offset=99999999999999999999", "offset='99999999999999999999' is no number"),
        ("min_side=1e9", "min_side='1e9' is no number"),
        ("sort=size", "sort='size' is no order"),
        ("text=a&text=b", "'text' is no parameter of a search"),
        ("path=/etc/passwd", "'path' is no parameter of a search"),
        ("text=" + "a" * 1001, "text: more than 1,000 characters"),
        ("tag=a&" * 51, "more than 50 parameters"),
        ("like=../../etc/passwd", "this photo is not in the library any more"),
        ("like=" + "0" * 64, "this photo is not in the library any more"),
    ],
)
def test_a_wrong_parameter_is_answered_as_on_the_command_line(server: Server, query: str, error: str) -> None:
    reply = server.ask(f"api/search?{query}")
    assert reply.status == (404 if query.startswith("like") else 400)
    assert reply.json["error"] == error
    assert reply.json["hint"]


def test_many_filters_are_answered(server: Server) -> None:
    reply = server.ask("api/search?" + "&".join(f"tag=tag+{number}" for number in range(50)))
    assert reply.json["photos"] == []


@pytest.mark.parametrize(
    "text",
    [
        "%00",
        "%ff%fe",
        "%ED%A0%80",
        "%",
        "%F0%9F%90%88" * 50,
        "%0d%0aSet-Cookie:x",
        "0:red",
        "%3Cscript%3E",
        "+" * 900,
    ],
)
def test_no_text_is_too_odd_to_be_answered(server: Server, text: str) -> None:
    reply = server.ask(f"api/search?text={text}")
    assert reply.status in (200, 400)
    assert "set-cookie" not in reply.headers
    assert b"<" not in reply.body


# -- pictures ---------------------------------------------------------------------------------------


def test_a_thumbnail_is_small_upright_and_kept_in_the_library(server: Server, place: Path) -> None:
    card = named(server, "turned.jpg")
    reply = server.ask(card["thumb"])
    assert reply.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(reply.body)).size == (213, 320)
    kept = place / "library" / "thumbnails" / card["id"][:2] / f"{card['id'][:64]}.jpg"
    assert kept.read_bytes()[:-4] == reply.body
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_photo_comes_byte_for_byte_under_its_own_name_whatever_that_is(server: Server, place: Path) -> None:
    for card in server.search(text="purple", limit=len(HOSTILE_NAMES))["photos"]:
        reply = server.ask(card["href"])
        name = base64.b64decode(card["path_b64"]) if "path_b64" in card else os.fsencode(card["path"])
        with open(name, "rb") as file:
            assert reply.body == file.read()
        assert reply.headers["content-type"] == "image/png"
        assert reply.headers["content-disposition"].startswith("inline; filename*=UTF-8''")
        assert reply.headers["content-security-policy"].endswith("sandbox")


def test_a_format_that_browsers_do_not_show_comes_as_a_large_jpeg(server: Server) -> None:
    reply = server.ask(named(server, "scan.tif")["href"])
    assert reply.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(reply.body)).size == (1600, 800)


def test_a_file_that_is_gone_or_changed_is_not_sent(server: Server, place: Path) -> None:
    card = named(server, "green-3.png")
    file = place / "photos" / "green-3.png"
    before = file.read_bytes()
    moved = file.rename(place / "green")
    try:
        for content in (None, b"<script>alert(1)</script>"):
            if content is not None:
                file.write_bytes(content)
            assert server.ask(card["href"]).status == 404
            assert server.ask(card["thumb"]).status in (200, 404)  # a kept one is of what was indexed
        file.unlink()
        os.mkfifo(file)
        assert server.ask(card["href"]).status == 404
    finally:
        file.unlink()
        moved.rename(file)
    assert server.ask(card["href"]).body == before


def test_a_copy_is_found_by_the_name_of_its_own(server: Server) -> None:
    one, other = named(server, "red-0.png"), named(server, "red-0-copy.png")
    assert one["id"] != other["id"]
    assert one["id"][:64] == other["id"][:64]
    assert "red-0-copy.png" in server.ask(other["href"]).headers["content-disposition"]


@pytest.mark.parametrize("name", ["thumb", "photo"])
@pytest.mark.parametrize("wanted", ["", "x", "0" * 64, "0" * 64 + "-00000000", "0" * 63, "A" * 64, "0" * 128])
def test_a_photo_that_is_none_is_not_found(server: Server, name: str, wanted: str) -> None:
    assert server.ask(f"{name}/{wanted}").status == 404


# -- who is refused ---------------------------------------------------------------------------------


def test_without_the_token_everything_looks_the_same(server: Server) -> None:
    card = named(server, "turned.jpg")
    almost = server.token[:-1] + ("A" if server.token[-1] != "A" else "B")
    tokens = ["", almost, server.token[:-1], server.token + "A", server.token.swapcase(), "x" * 43, "photo"]
    places = ["", "api/search", "page.js", card["thumb"], card["href"], "nothing"]
    for token in tokens:
        for place in places:
            reply = server.get(f"/{token}/{place}".encode() if token else f"/{place}".encode())
            assert (reply.status, reply.body) == (404, b"not found\n"), (token, place)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil:{port}", "",
     "[::1]:{port}", "127.0.0.1:{port}.evil", "0.0.0.0:{port}", "127.1:{port}", "user@127.0.0.1:{port}"],
)  # fmt: skip
def test_another_host_is_refused_with_the_token_and_without(server: Server, host: str) -> None:
    for place in (f"/{server.token}/", "/"):
        lines = f"GET {place} HTTP/1.1\r\nHost: {host.format(port=server.port)}\r\nConnection: close\r\n\r\n"
        assert server.raw(lines.encode())[::2] == (403, b"forbidden\n")


def test_no_host_or_two_are_refused(server: Server) -> None:
    assert server.raw(f"GET /{server.token}/ HTTP/1.0\r\n\r\n".encode()).status == 403
    assert server.get(f"/{server.token}/".encode(), b"Host: evil.example").status in (400, 403)


def test_localhost_is_this_machine_too(server: Server) -> None:
    lines = f"GET /{server.token}/ HTTP/1.1\r\nHost: localhost:{server.port}\r\nConnection: close\r\n\r\n"
    assert server.raw(lines.encode()).status == 200


@pytest.mark.parametrize(
    "target",
    ["/../../etc/passwd", "/T/../../etc/passwd", "/T/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd",
     "/T//etc/passwd", "/T/photo//etc/passwd", "/T/photo/%2fetc%2fpasswd", "/T/photo/..%2f..%2fetc%2fpasswd",
     "/T/photo/\0", "/T/photo/%00", "/T/thumb/../page.js", "/T/./page.js", "/T/page.js%00.png",
     "/T/..\\..\\etc\\passwd", "/T/photo/\xff\xfe", "/T/page.html", "/T/sheet.py", "/T/__init__.py",
     "/%54/", "/T%2f", "/T/api/search/", "http://H/T/", "http://evil.example/T/", "T/", "*", "", "?", "/T;/",
     "/T/ HTTP/1.1\r\nX: ", "\\T\\"],
)  # fmt: skip
def test_no_odd_address_leads_anywhere(server: Server, target: str) -> None:
    literal = target.replace("T", server.token, 1) if "HTTP" not in target else target
    reply = server.get(literal.replace("//H/", f"//{server.host}/").encode("latin-1"))
    assert reply.status in (0, 400, 404)
    assert b"root:" not in reply.body


def test_a_huge_request_is_refused_and_the_server_goes_on(server: Server) -> None:
    page = f"/{server.token}/".encode()
    assert server.get(page, b"X: " + b"a" * 1_000_000).status in (0, 400, 431)
    assert server.get(page + b"a" * 1_000_000).status in (0, 400, 404, 414)
    assert server.get(page, *(b"X%d: y" % number for number in range(10_000))).status < 500
    assert server.raw(b"\x16\x03\x01\0\xa5\x01" + os.urandom(200)).status in (0, 400)
    assert server.ask("").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_only_reading_is_possible(server: Server, method: str) -> None:
    for place in ("", "api/search", "page.js"):
        assert server.ask(place, method).status == 405


@pytest.mark.parametrize(
    ("headers", "page", "data"),
    [
        ({"Sec_Fetch_Site": "same-origin"}, 200, 200),
        ({"Sec_Fetch_Site": "none", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}, 200, 200),
        ({"Sec_Fetch_Site": "cross-site"}, 403, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"}, 403, 403),
        (
            {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"},
            200,
            403,
        ),
        (
            {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"},
            403,
            403,
        ),
        ({"Origin": "http://{host}"}, 200, 200),
        ({"Origin": "http://evil.example"}, 403, 403),
        ({"Origin": "null"}, 403, 403),
        ({"Origin": "https://{host}"}, 403, 403),
    ],
)
def test_what_another_page_asks_for_is_refused(
    server: Server, headers: dict[str, str], page: int, data: int
) -> None:
    sent = {name: value.format(host=server.host) for name, value in headers.items()}
    card = named(server, "turned.jpg")
    assert server.ask("", **sent).status == page
    for place in ("api/search", "api/tags", card["thumb"], card["href"], "page.js"):
        assert server.ask(place, **sent).status == data


# -- many at once, and the end ----------------------------------------------------------------------


def test_many_may_ask_at_once(server: Server) -> None:
    cards = server.search(limit=100)["photos"]
    replies: list[Reply] = []
    threads = [
        threading.Thread(target=lambda place=place: replies.append(server.ask(place)))
        for card in cards
        for place in (card["thumb"], f"api/search?like={card['id']}")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {reply.status for reply in replies} == {200}
    assert len(replies) == 2 * len(cards)


def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    from starlette.requests import Request

    async def gone() -> dict[str, str]:
        return {"type": "http.disconnect"}

    work: Future[int] = Future()
    with pytest.raises(_Gone):
        asyncio.run(_awaited(Request({"type": "http"}, gone), work))
    assert work.cancelled()


def test_requests_that_were_given_up_do_no_harm(server: Server) -> None:
    for number in range(50):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            line = (
                f"GET /{server.token}/api/search?text=word+{number} HTTP/1.1\r\nHost: {server.host}\r\n\r\n"
            )
            connection.sendall(line.encode())
    assert server.search(text="green", limit=1)["photos"][0]["name"] == "green-3.png"


def test_ctrl_c_ends_it_calmly_even_while_somebody_is_connected(place: Path) -> None:
    server = Server(place / "library")
    with socket.create_connection(("127.0.0.1", server.port)) as half:
        half.sendall(f"GET /{server.token}/ HTTP/1.1\r\n".encode())
        assert server.ask(named(server, "scan.tif")["href"]).status == 200
        workers = psutil.Process(server.process.pid).children(recursive=True)
        assert workers
        began = time.monotonic()
        code, talk = server.end()
        assert time.monotonic() - began < 2
    assert code == 0
    assert talk.splitlines() == [f"{len(os.listdir(place / 'photos'))} photos to look at; end with Ctrl-C"]
    assert psutil.wait_procs(workers, timeout=2)[1] == []


def test_a_library_that_is_away_is_said_to_be_and_found_when_it_is_back(place: Path, tmp_path: Path) -> None:
    library = Path(shutil.copytree(place / "library", tmp_path / "library"))
    server = Server(library)
    try:
        library.rename(tmp_path / "away")
        reply = server.ask("api/search?text=red")
        assert reply.status == 409
        assert reply.json["error"] == f"there is no library in {library} yet"
        (tmp_path / "away").rename(library)
        assert server.search(text="red", limit=1)["photos"][0]["tags"] == ["red"]
    finally:
        server.end()


def test_a_taken_port_is_an_error_of_the_command_line(place: Path, server: Server) -> None:
    line = command("--library", place / "library", "browse", "--no-open", "--port", str(server.port))
    done = subprocess.run(line, capture_output=True, text=True, env=environment(), timeout=20)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: port {server.port} cannot be used")


def test_without_a_library_nothing_is_served(tmp_path: Path) -> None:
    line = command("--library", tmp_path / "none", "browse", "--no-open")
    done = subprocess.run(line, capture_output=True, text=True, env=environment(), timeout=20)
    assert (done.returncode, done.stdout) == (3, "")


def test_the_address_that_a_browser_is_started_with_works_once(place: Path, tmp_path: Path) -> None:
    script = tmp_path / "browser"
    script.write_text(
        f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/part && mv {tmp_path}/part {tmp_path}/address\n'
    )
    script.chmod(0o700)
    server = Server(place / "library", "--open", env={"BROWSER": f"{script} %s &"})
    try:
        until = time.monotonic() + 10
        while not (tmp_path / "address").exists() and time.monotonic() < until:
            time.sleep(0.02)
        once = urlsplit((tmp_path / "address").read_text())
        assert server.token not in once.path
        replies = [server.get(once.path.encode()) for _ in range(2)]
    finally:
        server.end()
    assert [reply.status for reply in replies] == [303, 404]
    assert replies[0].headers["location"] == f"/{server.token}/"


def test_ids_do_not_depend_on_the_run(place: Path, server: Server) -> None:
    with Library.open(place / "library") as library:
        ids = {photo_id(photo) for photo in library.photos()}
    assert {card["id"] for card in server.search(limit=100)["photos"]} == ids


# -- in a real browser ------------------------------------------------------------------------------


def first(sight: Sight, name: str) -> None:
    """Wait until the photo of this name is the first one."""
    sight.page.locator(".photos > li").first.locator(".name", has_text=name).wait_for()


WIDTH = "picture => picture.decode().then(() => picture.naturalWidth)"
"""How wide a picture is, once it is there."""


def test_a_mouse_finds_its_way(server: Server, chromium: Chromium) -> None:
    sight = chromium.visit(server.address)
    page = sight.page
    page.get_by_role("searchbox").fill("green")
    first(sight, "green-3.png")
    page.get_by_role("searchbox").fill("turned")
    page.get_by_role("searchbox").fill("blue")
    first(sight, "blue-4.png")
    page.locator(".photos > li", has_text="yellow-5.png").hover()
    page.get_by_role("button", name="More like yellow-5.png").click()
    first(sight, "yellow-5.png")
    assert "like=" in page.url
    page.locator(".picture").first.click()
    page.get_by_role("heading", name="yellow-5.png").wait_for()
    assert page.locator("#picture[src*='/photo/']").evaluate(WIDTH) == 16
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open original").click()
    assert opened.value.locator("img").evaluate(WIDTH) == 16
    page.get_by_role("button", name="Close").click()
    page.go_back()
    first(sight, "blue-4.png")
    sight.calm(server.address, "data:")


def test_the_keyboard_alone_finds_its_way(server: Server, chromium: Chromium) -> None:
    sight = chromium.visit(server.address)
    page = sight.page
    page.locator(".photos > li").first.wait_for()
    page.keyboard.press("/")
    page.keyboard.type("green")
    page.keyboard.press("Enter")
    first(sight, "green-3.png")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="green-3.png").wait_for()
    page.keyboard.press("ArrowRight")
    page.locator("#place", has_text="2 of").wait_for()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("m")
    page.locator("#like").wait_for(state="visible")
    first(sight, "green-3.png")
    assert not page.locator("#large").is_visible()
    sight.calm(server.address, "data:")


def test_a_picture_in_a_tab_of_its_own_is_shown_without_complaint(server: Server, chromium: Chromium) -> None:
    for place in ("thumb", "href"):
        sight = chromium.visit(server.address + named(server, "turned.jpg")[place])
        assert sight.page.locator("img").evaluate(WIDTH) > 0
        sight.calm(server.address)


def test_a_tag_is_a_filter(server: Server, chromium: Chromium) -> None:
    sight = chromium.visit(server.address + "#text=green")
    first(sight, "green-3.png")
    sight.page.get_by_role("button", name="green", exact=True).first.click()
    sight.page.locator("#count", has_text="1 photo").wait_for()
    sight.calm(server.address, "data:")


def test_hostile_names_do_nothing_in_the_page(server: Server, chromium: Chromium) -> None:
    sight = chromium.visit(server.address + "#text=purple")
    cards = sight.page.locator(".photos > li")
    cards.nth(len(HOSTILE_NAMES) - 1).wait_for()
    read = "all => all.map(({ dataset }) => [dataset.path, dataset.pathB64])"
    found = {base64.b64decode(odd) if odd else path.encode() for path, odd in cards.evaluate_all(read)}
    names = {os.path.basename(path) for path in found}
    assert set(HOSTILE_NAMES) <= names
    sight.page.wait_for_load_state("networkidle")
    sight.calm(server.address, "data:")


def test_a_server_that_has_ended_is_said_to_have(place: Path, chromium: Chromium) -> None:
    server = Server(place / "library")
    sight = chromium.visit(server.address)
    sight.page.locator(".photos > li").first.wait_for()
    server.end()
    sight.page.get_by_role("searchbox").fill("red")
    sight.page.locator("#note", has_text="does not answer").wait_for()
