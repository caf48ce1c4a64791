"""The browsers' port: a page to chat with, and the WebSocket that it speaks through.

A visitor is parked between two messages: who says nothing costs no greenlet.
"""

import socket
from collections.abc import Collection
from contextlib import suppress
from time import monotonic
from typing import Any

from greensock import StreamRequestHandler

from .reception import Reception
from .server import host_of
from .websocket import WebSocket, frames

# Bytes read at a time.
PIECE = 65_536


class Wire:
    """What a session knows of a visitor: a connection, as Client is one.

    ``host``: the visitor's address. ``is_secure``: whether it has come by TLS.
    """

    def __init__(self, visitor: "Page", websocket: WebSocket) -> None:
        self.host = host_of(visitor.client_address)
        self.is_secure = hasattr(visitor.request, "cipher")
        self._visitor = visitor
        self._websocket = websocket

    def post(self, data: bytes) -> bool:
        """Send ``data``, lines with their CR LF, without ever waiting; False if it is closed."""
        return not self._websocket.is_over and self._visitor.post(frames(data))

    def end(self) -> None:
        """Close once all that was posted is sent. Nobody waits for that."""
        self._visitor.post(self._websocket.close(1000))
        self._visitor.hang_up()


class Page(StreamRequestHandler):
    """A visitor: somebody who asks for the page, or who comes in by a WebSocket.

    ``origins``: of pages elsewhere that may come in as well, such as 'https://chat.example'.
    """

    parked = True
    disable_nagle_algorithm = True
    origins: Collection[str] = ()
    timeout = 20.0  # seconds until a browser that has connected in advance says what it wants
    head_timeout = 10.0  # seconds for the rest of that to come, in however many pieces
    farewell = 3.0  # seconds to hear the last word, and to close

    has_asked = False
    websocket: Any = None
    wire: Any = None
    session: Any = None

    def handle(self) -> None:
        """Deal with what has come."""
        try:
            if self.websocket is None:
                self._receive()
            else:
                self._hear(self.rfile.read1(PIECE))
        except OSError:  # a visitor may vanish at any moment
            with suppress(OSError):
                self.request.shutdown(socket.SHUT_RDWR)

    def _receive(self) -> None:
        """Read a request, and answer it."""
        self.has_asked = True
        reception = Reception(self.origins)
        with self.toolbox.deadline(self.head_timeout):
            while (answer := reception.receive(self.rfile.read1(PIECE))) is None:
                pass
        self.wfile.write(answer)
        self.websocket = reception.websocket
        if self.websocket is None:
            self._see_off()
            return
        self.request.settimeout(None)  # from now on it is IRC that asks who is still there
        self.wire = Wire(self, self.websocket)
        self.session = self.server.network.welcome(self.wire)
        self._hear(reception.rest)

    def _hear(self, data: bytes) -> None:
        lines, answer = self.websocket.receive(data)
        for line in lines:
            self.session.receive(line)
            if self.session.is_over:
                self.wire.end()
                return
        self.post(answer)
        if self.websocket.is_over:
            self._see_off()

    def _see_off(self) -> None:
        """Close, but hear the visitor out: who is cut off in mid-sentence may not hear why."""
        self._leave()
        self.request.shutdown(socket.SHUT_WR)
        ends = monotonic() + self.farewell
        while (left := ends - monotonic()) > 0:
            self.request.settimeout(left)
            if not self.rfile.read1(PIECE):
                break
        self.request.shutdown(socket.SHUT_RDWR)

    def _leave(self) -> None:
        if self.session is not None:
            self.session.lost(self.server.why_lost(self))

    def finish(self) -> None:
        """Tell the session that it was the last."""
        self._leave()
        super().finish()

    def draining(self) -> None:
        """Have the session say that the server is about to end."""
        if self.session is not None:
            self.session.draining()
        elif not self.has_asked:  # and browsers keep what they may need for a long time
            self.hang_up()
