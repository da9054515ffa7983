"""``browse``: the page of photos, served live to the user's own browser.

Nothing here acts on anything: all is reading, but for the cache of thumbnails. A photo is looked up by its id
in the catalogue, never by a path that came with a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import secrets
import socket
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar
from urllib.parse import parse_qsl, quote

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from photoclip import config
from photoclip.api import Library
from photoclip.errors import BadUsage, PhotoclipError, UnreadableQuery
from photoclip.pages import asking
from photoclip.pages.asking import NoSuchPhoto
from photoclip.pages.cards import page_json
from photoclip.pages.guard import Guard
from photoclip.pages.onefile import page_file
from photoclip.pages.sheet import LIVE_POLICY, live_page
from photoclip.thumbnails import Thumbnails

if TYPE_CHECKING:
    from types import TracebackType

    from photoclip.records import Photo

T = TypeVar("T")

_SHOWN = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
}
"""The formats, as the catalogue calls them, that browsers show themselves."""

_ALONE = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
"""What a picture in a tab of its own may do: be laid out, as browsers do it."""

_VIEW = 1600  # pixels: the longer side of what is shown of a photo in another format
_PART = 1 << 18
_HEAD = 1 << 14  # bytes of a request line and its headers
_PATIENCE = 1.0  # seconds, at the end
_FOREVER = "private, max-age=31536000, immutable"  # an id stands for a content, which does not change
_GONE = 499  # nobody reads it


class Address(NamedTuple):
    """Where the page is, and where it can be reached once: that one may be shown to others."""

    page: str
    once: str


def serve(directory: str, port: int, ready: Callable[[Address], None], *, debug: bool = False) -> None:
    """Serve the library in ``directory`` on 127.0.0.1 until Ctrl-C, which raises KeyboardInterrupt.

    ``port`` 0 is any that is free. ``ready`` is called once, when the page can be asked for. ``debug``: write
    the traceback of a mistake in photoclip to stderr. Raises BadUsage when the port cannot be had.
    """
    token, ticket = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    with _listening(port) as listener, _Desks(directory) as desks:
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        guard = Guard(_app(desks), listener.getsockname()[1], token, ticket)
        ready(Address(f"{origin}/{token}/", f"{origin}/{ticket}"))
        uvicorn.Server(_settings(guard, debug)).run([listener])


def _settings(guard: Guard, debug: bool) -> uvicorn.Config:
    return uvicorn.Config(
        guard,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error" if debug else "critical",
        access_log=False,  # the token is in every address
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=_HEAD,
        timeout_graceful_shutdown=1,
    )


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    # The protocol is named because asyncio sends without delay (40 ms) only where it is.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError as error:
            raise BadUsage(
                f"port {port} cannot be used: {error.strerror}", "leave --port out to take any that is free"
            ) from error
        yield listener


# -- threads --------------------------------------------------------------------------------------


class _Desk:
    """One thread with the library to itself: an open one does not go from thread to thread."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._library: Library | None = None
        self._thread = ThreadPoolExecutor(1, "photoclip-desk")

    def do(self, work: Callable[[Library], T]) -> Future[T]:
        """Have ``work`` done, after all that was asked for before."""
        return self._thread.submit(self._do, work)

    def _do(self, work: Callable[[Library], T]) -> T:
        try:
            if self._library is None:
                self._library = Library.open(self._directory)
            return work(self._library)
        except (BadUsage, UnreadableQuery, NoSuchPhoto):
            raise
        except PhotoclipError:  # what is wrong may be mended, or put back: then another try finds it so
            self._leave()
            raise

    def _leave(self) -> None:
        if self._library is not None:
            self._library.close()
            self._library = None

    def close(self) -> None:
        """Close the library, unless its thread is busy for long."""
        wait([self._thread.submit(self._leave)], _PATIENCE)
        self._thread.shutdown(wait=False, cancel_futures=True)


class _Desks:
    """Who does the work: a desk for searches, one for looking up photos, threads that make pictures."""

    def __init__(self, directory: str) -> None:
        self.searches = _Desk(directory)
        self.lookups = _Desk(directory)  # so that no thumbnail waits for a search
        self.thumbnails = Thumbnails(directory)
        self.views = Thumbnails(None, _VIEW, jobs=1)
        self.makers = ThreadPoolExecutor(config.cpu_count() + 1, "photoclip-pictures")

    def __enter__(self) -> _Desks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.makers.shutdown(wait=False, cancel_futures=True)
        self.thumbnails.close()
        self.views.close()
        self.searches.close()
        self.lookups.close()


class _Gone(Exception):
    """Nobody waits for the answer any more."""


async def _awaited(request: Request, work: Future[T]) -> T:
    """Return what a thread does; when nobody waits for it any more and it has not begun, it never does."""
    done = asyncio.wrap_future(work)
    gone = asyncio.ensure_future(_left(request))
    both: set[asyncio.Future[Any]] = {done, gone}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            raise _Gone
        return done.result()
    finally:
        done.cancel()
        gone.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


# -- answers --------------------------------------------------------------------------------------


def _app(desks: _Desks) -> Starlette:
    """Return what answers requests that were let through."""
    page = live_page()
    routes = {
        "/": functools.partial(_page, page),
        "/page.css": functools.partial(_file, "page.css", "text/css; charset=utf-8"),
        "/page.js": functools.partial(_file, "page.js", "text/javascript; charset=utf-8"),
        "/api/search": functools.partial(_search, desks),
        "/api/tags": functools.partial(_tags, desks),
        "/thumb/{id}": functools.partial(_thumbnail, desks),
        "/photo/{id}": functools.partial(_photo, desks),
    }
    app = Starlette(
        routes=[Route(place, answer, methods=["GET"]) for place, answer in routes.items()],
        exception_handlers={PhotoclipError: _refusal, _Gone: _unread, Exception: _mistake},
    )
    app.router.redirect_slashes = False
    return app


async def _page(page: str, _: Request) -> Response:
    policy = f"{LIVE_POLICY}; frame-ancestors 'none'"
    return Response(page, media_type="text/html", headers={"content-security-policy": policy})


async def _file(name: str, kind: str, _: Request) -> Response:
    return Response(page_file(name), headers={"content-type": kind})


async def _search(desks: _Desks, request: Request) -> Response:
    asked = asking.read(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
    return _json(await _awaited(request, desks.searches.do(lambda library: asking.answer(library, asked))))


async def _tags(desks: _Desks, request: Request) -> Response:
    return _json({"tags": await _awaited(request, desks.lookups.do(asking.tags))})


async def _thumbnail(desks: _Desks, request: Request) -> Response:
    photo = await _looked_up(desks, request)
    picture = await _awaited(request, desks.makers.submit(desks.thumbnails.of, photo))
    return _jpeg(picture)


async def _photo(desks: _Desks, request: Request) -> Response:
    """Answer with the file itself where browsers can show it, else with a picture of it."""
    photo = await _looked_up(desks, request)
    kind = _SHOWN.get(photo.facts.format)
    if kind is None:
        return _jpeg(await _awaited(request, desks.makers.submit(desks.views.of, photo)))
    file = await _awaited(request, desks.makers.submit(_opened, photo))
    name = quote(os.path.basename(photo.path), safe="")
    headers = {
        "content-type": kind,
        "content-length": str(photo.size),
        "content-disposition": f"inline; filename*=UTF-8''{name}",
        "content-security-policy": _ALONE,
    }
    return StreamingResponse(_parts(file, photo.size), headers=headers)


async def _looked_up(desks: _Desks, request: Request) -> Photo:
    wanted: str = request.path_params["id"]
    return await _awaited(request, desks.lookups.do(lambda library: asking.photo_of(library, wanted)))


def _opened(photo: Photo) -> BinaryIO:
    """Open the file of a photo, if it still is what was indexed; raises NoSuchPhoto."""
    try:
        # Without O_NONBLOCK a named pipe would keep the thread waiting for a writer.
        file = os.fdopen(os.open(photo.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise NoSuchPhoto from error
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns) != (
        photo.size,
        photo.mtime_ns,
    ):
        file.close()
        raise NoSuchPhoto
    return file


def _parts(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield ``size`` bytes of a file."""
    with file:
        while size and (part := file.read(min(size, _PART))):
            size -= len(part)
            yield part


def _jpeg(picture: bytes | None) -> Response:
    if picture is None:
        raise NoSuchPhoto
    headers = {"cache-control": _FOREVER, "content-security-policy": _ALONE}
    return Response(picture, media_type="image/jpeg", headers=headers)


def _json(value: Any) -> Response:
    return Response(page_json(value), media_type="application/json")


async def _refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, PhotoclipError)
    answer = _json({"error": str(error), "hint": error.hint})
    misread = isinstance(error, (BadUsage, UnreadableQuery))
    answer.status_code = 404 if isinstance(error, NoSuchPhoto) else 400 if misread else 409
    return answer


async def _mistake(_: Request, __: Exception) -> Response:
    answer = _json(
        {"error": "photoclip made a mistake", "hint": "see what it says: photoclip --debug browse"}
    )
    answer.status_code = 500
    return answer


async def _unread(_: Request, __: Exception) -> Response:
    return Response(status_code=_GONE)
