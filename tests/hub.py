"""The Hugging Face hub on this machine, with all that can go wrong there, and a model small enough for it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 16, "width": 64, "heads": 2, "layers": 1, "vocab_size": 49408},
}
PREPROCESSING = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "resize_mode": "squash"}


class FakeHub(ThreadingHTTPServer):
    """As much of the Hugging Face hub as a download asks for.

    ``files``: path ``ORG/NAME/FILE`` to content. ``breaks``: path to the bytes after which its next body
    breaks off; ``cuts``: those beyond which nothing ever comes. ``damage``: whether to send wrong bytes.
    ``requests``: ``(method, path, Range)`` of each.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.files: dict[str, bytes] = {}
        self.breaks: dict[str, int] = {}
        self.cuts: dict[str, int] = {}
        self.damage = False
        self.requests: list[tuple[str, str, str]] = []

    def handle_error(self, request, client_address) -> None:
        """Say nothing: a client that goes away is part of the tests."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        wanted = self.headers.get("Range", "")
        self.server.requests.append((self.command, self.path, wanted))
        if self.path.startswith("/api/models/"):
            return self._list("/".join(self.path.split("/")[3:5]), "/tree/" in self.path)
        name = self.path.lstrip("/").replace("/resolve/main/", "/").replace(f"/resolve/{'c' * 40}/", "/")
        repository = name.rpartition("/")[0]
        if name not in self.server.files:
            known = any(file.startswith(f"{repository}/") for file in self.server.files)
            return self._say(404, b"", {"X-Error-Code": "EntryNotFound" if known else "RepoNotFound"})
        content = self.server.files[name]
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": "c" * 40,
            "Accept-Ranges": "bytes",
        }
        start = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        if self.server.damage:
            body = bytes([body[0] ^ 1]) + body[1:]
        end = self.server.breaks.pop(name, len(body)) if with_body else 0
        end = min(end, max(0, self.server.cuts.get(name, len(content)) - start))
        self.close_connection = with_body and end < len(body)
        return self._say(206 if start else 200, body, headers, end)

    def _list(self, repository: str, as_tree: bool) -> None:
        files = {file.removeprefix(f"{repository}/"): body for file, body in self.server.files.items()}
        tree = [
            {"type": "file", "path": name, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}
            for name, body in files.items()
        ]
        about = {"id": repository, "sha": "c" * 40, "siblings": [{"rfilename": name} for name in files]}
        self._say(200, json.dumps(tree if as_tree else about).encode(), {"Content-Type": "application/json"})

    def _say(self, status: int, body: bytes, headers: dict[str, str], end: int | None = None) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body[:end])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def running_hub() -> Iterator[FakeHub]:
    """Yield a hub that answers."""
    server = FakeHub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
