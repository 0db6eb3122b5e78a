"""A local web server that serves a file well, or in one of the ways in which servers fail."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behaviour:
    """What the server does.

    Attributes:
        content: the file.
        drop_after: bytes of the body after which a connection is cut; one entry per request, then never.
        ranges: whether a requested range is served.
        validator: ``etag``, ``date``, ``weak`` or ``none``.
        announced: Content-Length to announce instead of the true one.
        statuses: status codes to answer with, one per request, before serving.
        chunked: give no length at all.
        wrong_range: serve another range than the requested one.
        requests: the headers of every request so far.
    """

    content: bytes
    drop_after: list[int] = field(default_factory=list)
    ranges: bool = True
    validator: str = "etag"
    announced: int | None = None
    statuses: list[int] = field(default_factory=list)
    chunked: bool = False
    wrong_range: bool = False
    requests: list[dict[str, str]] = field(default_factory=list)

    @property
    def tag(self) -> str:
        """The validator's value, which changes with the content."""
        digest = hashlib.md5(self.content, usedforsecurity=False).hexdigest()
        if self.validator == "date":
            return f"Mon, 0{1 + int(digest, 16) % 9} Jan 2024 00:00:00 GMT"
        return f'W/"{digest}"' if self.validator == "weak" else f'"{digest}"'


class _Server(ThreadingHTTPServer):
    """A server on a free local port."""

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behaviour = behaviour


class _Handler(BaseHTTPRequestHandler):
    """Answers one request with the server's behaviour."""

    @property
    def behaviour(self) -> Behaviour:
        assert isinstance(self.server, _Server)
        return self.server.behaviour

    def do_GET(self) -> None:
        behaviour = self.behaviour
        behaviour.requests.append(dict(self.headers))
        if behaviour.statuses:
            self.send_response(behaviour.statuses.pop(0))
            self.send_header("Content-Length", "0")
            self.send_header("Retry-After", "0")
            self.end_headers()
            return
        self._body(self._head())

    def _head(self) -> bytes:
        """Send status and headers, and return the content from the requested byte on."""
        behaviour = self.behaviour
        content, start = behaviour.content, 0
        requested = self.headers.get("Range")
        if requested and behaviour.ranges and self.headers.get("If-Range") == behaviour.tag:
            start = int(requested.removeprefix("bytes=").rstrip("-"))
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return b""
        self.send_response(206 if start else 200)
        if start:
            first = start - 1 if behaviour.wrong_range else start
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        if behaviour.validator in ("etag", "weak"):
            self.send_header("ETag", behaviour.tag)
        elif behaviour.validator == "date":
            self.send_header("Last-Modified", behaviour.tag)
        if not behaviour.chunked:
            length = len(content) - start if behaviour.announced is None else behaviour.announced - start
            self.send_header("Content-Length", str(length))
        self.end_headers()
        return content[start:]

    def _body(self, body: bytes) -> None:
        if self.behaviour.drop_after:
            body = body[: self.behaviour.drop_after.pop(0)]
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(behaviour: Behaviour) -> Iterator[str]:
    """Serve on a free local port; gives the address of the file."""
    server = _Server(behaviour)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/data/wiki.mat"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
