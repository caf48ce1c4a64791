"""The first word on the browsers' port: one request of HTTP, for the page or for a WebSocket.

Rule: no I/O here. What the peer has sent goes in, and the bytes of the answer come out.
"""

from collections.abc import Collection
from email.utils import formatdate
from http import HTTPStatus

import h11
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection
from wsproto.utilities import RemoteProtocolError

from .page import PAGE, POLICY
from .websocket import SUBPROTOCOL, WebSocket

# Bytes before the body. Browsers send less than 2,000, and proxies as much again.
LONGEST_HEAD = 16_384

HEADERS = [
    ("Cache-Control", "no-store"),
    ("Connection", "close"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
]
TEXT = "text/plain; charset=utf-8"
NOTHING = "default-src 'none'; frame-ancestors 'none'"


class Reception:
    """Answers one request.

    ``origins``: those whose pages may talk here besides the page's own, such as
    'https://chat.example'. A page elsewhere could speak with the visitor's address.

    ``websocket``: the WebSocket that was agreed upon, None before and else. ``rest``: what the
    peer has sent on it already.
    """

    def __init__(self, origins: Collection[str] = ()) -> None:
        self.websocket: WebSocket | None = None
        self.rest = b""
        self._is_head = False
        self._origins = {origin.lower().encode() for origin in origins}
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_HEAD)

    def receive(self, data: bytes) -> bytes | None:
        """The answer, b'' if there is none to be given, None while the request is not whole.

        ``data``: b'' if nothing more will come.
        """
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            return self._say(HTTPStatus(error.error_status_hint), "this is not understood")
        if event is h11.NEED_DATA:
            return None
        return self._answer(event) if isinstance(event, h11.Request) else b""

    def _answer(self, request: h11.Request) -> bytes:
        self._is_head = request.method == b"HEAD"
        path = request.target.partition(b"?")[0]
        if path != b"/":
            return self._say(HTTPStatus.NOT_FOUND, "there is / alone")
        if request.method not in (b"GET", b"HEAD"):
            wrong = "GET and HEAD are allowed"
            return self._say(HTTPStatus.METHOD_NOT_ALLOWED, wrong, Allow="GET, HEAD")
        if b"websocket" in (value.lower() for value in _values(request, b"upgrade")):
            return self._upgrade(request)
        return self._send(HTTPStatus.OK, "text/html; charset=utf-8", PAGE, POLICY)

    def _upgrade(self, request: h11.Request) -> bytes:
        if not all(self._is_welcome(origin, request) for origin in _values(request, b"origin")):
            return self._say(HTTPStatus.FORBIDDEN, "pages of this origin may not talk here")
        handshake = WSConnection(ConnectionType.SERVER)
        try:
            handshake.initiate_upgrade_connection(list(request.headers), request.target)
            [wanted] = handshake.events()
        except RemoteProtocolError as error:
            version = {"Sec-WebSocket-Version": "13"}
            return self._say(HTTPStatus(error.event_hint.status_code), str(error), **version)
        except ValueError:  # a header that is no ASCII
            return self._say(HTTPStatus.BAD_REQUEST, "this is no WebSocket")
        chosen = SUBPROTOCOL if SUBPROTOCOL in wanted.subprotocols else None
        self.websocket = WebSocket()
        self.rest = self._http.trailing_data[0]
        return handshake.send(AcceptConnection(subprotocol=chosen))

    def _is_welcome(self, origin: bytes, request: h11.Request) -> bool:
        host = origin.lower().partition(b"://")[2]
        own = [value.lower() for value in _values(request, b"host")]
        return origin.lower() in self._origins or bool(host) and [host] == own

    def _say(self, status: HTTPStatus, text: str, **headers: str) -> bytes:
        body = f"{status.value} {text}\n".encode()
        return self._send(status, TEXT, body, NOTHING, **headers)

    def _send(
        self, status: HTTPStatus, kind: str, body: bytes, policy: str, **headers: str
    ) -> bytes:
        about = {
            "Date": formatdate(usegmt=True),
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": policy,
            **headers,
        }
        response = h11.Response(
            status_code=status, headers=[*HEADERS, *about.items()], reason=status.phrase
        )
        return self._http.send(response) + (b"" if self._is_head else body)


def _values(request: h11.Request, name: bytes) -> list[bytes]:
    return [value for key, value in request.headers if key == name]
