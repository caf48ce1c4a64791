"""The answers of a status server, one a connection."""

import json
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Any

from ..net.addresses import is_local_name
from .page import page, policy

TEXT = "text/plain; charset=utf-8"

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

# Bytes of a request before its body. Browsers send less than 2,000, and proxies as much again; the
# standard library would keep 6.5 million.
LONGEST_HEAD = 16_384

Answer = tuple[HTTPStatus, str, bytes]


class StatusHandler(BaseHTTPRequestHandler):
    """Answers GET and HEAD. What a peer sends is never repeated to anybody."""

    server: Any
    timeout = 10  # seconds for each write
    head_timeout = 3  # seconds for the whole request to come, in however many pieces
    error_content_type = TEXT
    error_message_format = "%(code)d %(explain)s\n"

    _policy = _HEADERS["Content-Security-Policy"]

    def handle(self) -> None:
        """Answer one request. Peers that go away meanwhile, or take too long, are no news."""
        with suppress(OSError):
            head = self._read_head()
            if len(head) <= LONGEST_HEAD:
                self.rfile = BytesIO(head)
                super().handle()
                return
            self.command = self.requestline = self.request_version = ""
            self.send_error(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                if b"\n" in head
                else HTTPStatus.REQUEST_URI_TOO_LONG
            )

    def _read_head(self) -> bytes:
        """All up to the empty line, or one byte too many."""
        head = b""
        with self.rfile as file, self.server.toolbox.deadline(self.head_timeout):
            while len(head) <= LONGEST_HEAD:
                line = file.readline(LONGEST_HEAD + 1 - len(head))
                head += line
                if line in (b"\r\n", b"\n", b""):
                    break
        return head

    def do_GET(self) -> None:
        """Answer, or say what is wrong."""
        path = self.path.partition("?")[0]
        if self.server.is_local and not self._is_asked_for_locally():
            self._say(HTTPStatus.FORBIDDEN, "ask for localhost or 127.0.0.1 in the Host header")
        elif path not in _ANSWERS:
            self._say(HTTPStatus.NOT_FOUND, f"there is {', '.join(_ANSWERS)}")
        else:
            try:
                answer = _ANSWERS[path](self)
            except Exception:
                self.server.handle_error(self.request, self.client_address)
                self._say(HTTPStatus.INTERNAL_SERVER_ERROR, "this went wrong; the log says how")
            else:
                self._send(*answer)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Refuse: there is nothing to be changed here."""
        self._say(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD are allowed", Allow="GET, HEAD")

    do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_POST

    def _is_asked_for_locally(self) -> bool:
        # Every browser sends the header; what does not is no browser, and need not be kept out.
        return all(map(is_local_name, self.headers.get_all("Host", ())))

    def _page(self) -> Answer:
        self._policy = policy()
        return HTTPStatus.OK, "text/html; charset=utf-8", page()

    def _health(self) -> Answer:
        return HTTPStatus.OK, TEXT, b"ok\n"

    def _readiness(self) -> Answer:
        obstacles = self.server.obstacles()
        if not obstacles:
            return HTTPStatus.OK, TEXT, b"ready\n"
        # A path may hold what is no UTF-8.
        text = "".join(f"{each}\n" for each in obstacles).encode(errors="backslashreplace")
        return HTTPStatus.SERVICE_UNAVAILABLE, TEXT, text

    def _metrics(self) -> Answer:
        try:
            from .. import metrics
        except ImportError as error:
            return HTTPStatus.NOT_IMPLEMENTED, TEXT, f"{error}\n".encode()
        return HTTPStatus.OK, metrics.CONTENT_TYPE_LATEST, self.server.metrics()

    def _stats(self) -> Answer:
        stats = self.server.stats()
        stats["ready"] = not self.server.obstacles()
        return _as_json(stats)

    def _connections(self) -> Answer:
        return _as_json(self.server.listed())

    def _say(self, status: HTTPStatus, text: str, **headers: str) -> None:
        self._send(status, TEXT, f"{status.value} {text}\n".encode(), **headers)

    def _send(self, status: HTTPStatus, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: Any = None, explain: Any = None) -> None:
        """Say what HTTP calls it, and not what the peer has said."""
        super().send_error(code)

    def end_headers(self) -> None:
        """Every answer, to what is no HTTP as well, tells browsers to do nothing with it."""
        for name, value in {**_HEADERS, "Content-Security-Policy": self._policy}.items():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self) -> str:
        """Nobody's business but the name."""
        return "greensock"

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing: whoever looks every few seconds is no news."""


def _as_json(value: object) -> Answer:
    return HTTPStatus.OK, "application/json", json.dumps(value).encode() + b"\n"


_ANSWERS: dict[str, Callable[[StatusHandler], Answer]] = {
    "/": StatusHandler._page,
    "/healthz": StatusHandler._health,
    "/readyz": StatusHandler._readiness,
    "/metrics": StatusHandler._metrics,
    "/stats.json": StatusHandler._stats,
    "/connections.json": StatusHandler._connections,
}
