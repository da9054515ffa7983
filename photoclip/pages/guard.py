"""Who may ask: the user's own browser, on this machine, from our own page, with the token in the address.

Other programs' pages run in the same browser, and others' programs on the same machine. A page elsewhere that
gets its own name to point at 127.0.0.1 (DNS rebinding) is known by ``Host``; one that loads our pictures, by
``Sec-Fetch-Site`` and ``Origin``; whoever lacks the token is told the same whatever there is.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PLAIN = re.compile(rb"/([A-Za-z0-9_-]{1,100})(/[a-z0-9/.-]{0,200})?")
"""Every address there is. No escape such as %2e is among them, so none is ever decoded."""

_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""What every answer says, unless it says something else itself."""

_OWN = ("same-origin", "none")  # our page, or the user's own hand


class Guard:
    """Lets requests below ``/TOKEN/`` through to ``app``, which sees their addresses without the token.

    ``/TICKET`` leads there too, once: the command line of a browser is no secret on a machine of many.
    """

    def __init__(self, app: ASGIApp, port: int, token: str, ticket: str) -> None:
        self._app = app
        at = "" if port == 80 else f":{port}"  # browsers leave out that one
        self._hosts = (f"127.0.0.1{at}", f"localhost{at}")
        self._token = token.encode()
        self._ticket: bytes | None = ticket.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        assert scope["type"] == "http"
        headers = _headers(scope)
        if headers.get("host") not in self._hosts:
            await _refuse(send, 403, "forbidden")
            return
        match = _PLAIN.fullmatch(scope["raw_path"])
        name, place = (match[1], match[2]) if match else (b"", None)
        if self._is_ticket(name, place):
            await _redirect(send, b"/" + self._token + b"/")
        elif match is None or not hmac.compare_digest(name, self._token):
            await _refuse(send, 404, "not found")
        elif not _is_ours(headers, is_page=place in (None, b"/")):
            await _refuse(send, 403, "forbidden")
        elif scope["method"] not in ("GET", "HEAD"):
            await _refuse(send, 405, "method not allowed")
        elif place is None:
            await _redirect(send, b"/" + self._token + b"/")
        else:
            inner = {**scope, "path": place.decode("ascii"), "raw_path": place, "root_path": ""}
            await self._app(inner, receive, _with_headers(send))

    def _is_ticket(self, name: bytes, place: bytes | None) -> bool:
        if self._ticket is None or place is not None or not hmac.compare_digest(name, self._ticket):
            return False
        self._ticket = None
        return True


def _headers(scope: Scope) -> dict[str, str]:
    """Return the headers by name; what comes twice, as no browser sends it, is called so."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1")
        found[key] = "twice" if key in found else value.decode("latin-1")
    return found


def _is_ours(headers: Mapping[str, str], *, is_page: bool) -> bool:
    """Say whether the user, or our own page, asks."""
    if headers.get("origin", f"http://{headers['host']}") != f"http://{headers['host']}":
        return False
    if headers.get("sec-fetch-site", "none") in _OWN:
        return True
    # A terminal that is a web page itself may hold the link that was clicked.
    return (
        is_page
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            said = {name for name, _ in message["headers"]}
            more = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            message["headers"] = [*message["headers"], *(one for one in more if one[0] not in said)]
        await send(message)

    return sending


async def _refuse(send: Send, status: int, text: str) -> None:
    await _answer(send, status, text.encode() + b"\n", (b"content-type", b"text/plain; charset=utf-8"))


async def _redirect(send: Send, place: bytes) -> None:
    await _answer(send, 303, b"", (b"location", place))


async def _answer(send: Send, status: int, body: bytes, header: tuple[bytes, bytes]) -> None:
    headers = [header, (b"content-length", str(len(body)).encode())]
    await _with_headers(send)({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
